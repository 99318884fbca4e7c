//! What two versions of a plan differ in, by what a search of each has found.

use std::collections::{BTreeMap, BTreeSet};

use belay_sim::explore::{IncidentWays, Property, Report, Verdict};
use serde::Serialize;

use crate::{exploration, output::Output, text};

#[derive(Serialize)]
pub(crate) struct Comparison {
    old: Side,
    new: Side,
    /// Whose verdicts differ.
    properties: Vec<Changed>,
    /// What ends mean outside, and which steps are in trouble in them.
    ends: Gained,
    /// To which an incident comes before a run, by its trigger.
    incidents: Gained,
    /// Triggers that are answered otherwise: with another time, by other people.
    questions: Vec<Asked>,
    /// That neither plan accepts.
    findings: Gained,
    /// More ends than these are known by their number only.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_listed: Option<usize>,
}

#[derive(Serialize)]
struct Side {
    plan_sha256: String,
    verdict: Verdict,
    ends_count: u64,
    states: usize,
}

#[derive(Serialize)]
struct Changed {
    property: Property,
    claim: &'static str,
    old: Verdict,
    new: Verdict,
}

#[derive(Serialize)]
struct Asked {
    trigger: String,
    old: String,
    new: String,
}

#[derive(Serialize)]
struct Gained {
    gained: BTreeSet<String>,
    lost: BTreeSet<String>,
}

impl Gained {
    fn between(old: BTreeSet<String>, new: BTreeSet<String>) -> Self {
        Self { gained: new.difference(&old).cloned().collect(), lost: old.difference(&new).cloned().collect() }
    }

    fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty()
    }
}

impl Comparison {
    /// Of reports, each with the hash of its plan.
    pub(crate) fn of([(old, old_sha256), (new, new_sha256)]: [(&Report, &str); 2]) -> Self {
        let side = |report: &Report, sha256: &str| Side {
            plan_sha256: sha256.to_owned(),
            verdict: report.verdict,
            ends_count: report.ends_count,
            states: report.states,
        };
        let properties = old.properties.iter().zip(&new.properties).filter(|(old, new)| old.verdict != new.verdict);
        let listed = old.ends.len().max(new.ends.len());
        Self {
            old: side(old, old_sha256),
            new: side(new, new_sha256),
            properties: properties
                .map(|(old, new)| Changed {
                    property: new.property,
                    claim: new.claim,
                    old: old.verdict,
                    new: new.verdict,
                })
                .collect(),
            ends: Gained::between(ends(old), ends(new)),
            incidents: Gained::between(incidents(old), incidents(new)),
            questions: questions(old, new),
            findings: Gained::between(findings(old), findings(new)),
            only_listed: [old, new].iter().any(|report| report.ends_count > report.ends.len() as u64).then_some(listed),
        }
    }

    pub(crate) fn show(&self, output: Output) {
        let Self { properties, ends, incidents, questions, findings, .. } = self;
        let same = [ends, incidents, findings].into_iter().all(Gained::is_empty);
        if same && properties.is_empty() && questions.is_empty() {
            output.line("both plans end in the same ways, and the same holds of them");
        }
        for Changed { claim, old, new, .. } in properties {
            let style = if matches!(new, Verdict::Proven | Verdict::Assumed) { output.good() } else { output.bad() };
            output.line(format_args!("{}: {claim}", style.apply_to(format!("{} -> {}", word(*old), word(*new)))));
        }
        for Asked { trigger, old, new } in questions {
            exploration::paragraph("", &format!("{trigger}: {old} -> {new}"), output);
        }
        let lists = [("end", ends), ("incident end", incidents), ("finding", findings)];
        for (what, Gained { gained, lost }) in lists {
            for (entries, word, sign) in [(gained, "gained", "+"), (lost, "lost", "-")] {
                if !entries.is_empty() {
                    let heading = format!("{} {word}", text::count(entries.len(), what));
                    output.line(output.bold().apply_to(heading));
                    entries.iter().for_each(|entry| exploration::paragraph(&format!("  {sign} "), entry, output));
                }
            }
        }
        if let Some(listed) = self.only_listed {
            output.line(format_args!("only the {listed} ends with the fewest steps in trouble are compared"));
        }
    }
}

fn ends(report: &Report) -> BTreeSet<String> {
    let group = |group: &belay_sim::explore::EndGroup| -> Vec<String> {
        let means = group.consequence.words();
        let ends = group.ends.iter().filter_map(|end| report.ends.get(*end));
        ends.map(|end| if means.is_empty() { end.words.clone() } else { format!("{}: {means}", end.words) }).collect()
    };
    report.groups.iter().flat_map(group).collect()
}

/// By trigger: one rule has several, and their order in the plan means nothing here.
fn incidents(report: &Report) -> BTreeSet<String> {
    let of = |incident: &IncidentWays| -> Vec<String> {
        let ways = incident.ways.iter().map(exploration::way);
        let ways: Vec<String> = ways.collect();
        incident.triggers.iter().flat_map(|trigger| ways.iter().map(move |way| format!("{trigger}: {way}"))).collect()
    };
    report.incidents.iter().flat_map(of).collect()
}

fn questions(old: &Report, new: &Report) -> Vec<Asked> {
    let asked = |report: &Report| -> BTreeMap<String, String> {
        let of = |incident: &IncidentWays| {
            incident
                .triggers
                .clone()
                .into_iter()
                .map(|trigger| (trigger, incident.question.clone()))
                .collect::<Vec<_>>()
        };
        report.incidents.iter().flat_map(of).collect()
    };
    let new = asked(new);
    let both = asked(old).into_iter().filter_map(|(trigger, old)| {
        let new = new.get(&trigger)?.clone();
        (new != old).then_some(Asked { trigger, old, new })
    });
    both.collect()
}

fn findings(report: &Report) -> BTreeSet<String> {
    report.advice.iter().filter(|advice| advice.is_open()).map(|advice| advice.what.clone()).collect()
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proven => "proven",
        Verdict::Assumed => "assumed",
        Verdict::Refuted => "refuted",
        Verdict::Bounded => "bounded",
    }
}
