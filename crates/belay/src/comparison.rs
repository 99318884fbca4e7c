//! What two versions of a plan differ in, by what a search of each has found.

use std::collections::BTreeSet;

use belay_sim::explore::{Property, Report, Verdict};
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
            findings: Gained::between(findings(old), findings(new)),
            only_listed: [old, new].iter().any(|report| report.ends_count > report.ends.len() as u64).then_some(listed),
        }
    }

    pub(crate) fn show(&self, output: Output) {
        let Self { properties, ends, findings, .. } = self;
        if properties.is_empty() && ends.is_empty() && findings.is_empty() {
            output.line("both plans end in the same ways, and the same holds of them");
        }
        for Changed { claim, old, new, .. } in properties {
            let style = if matches!(new, Verdict::Proven | Verdict::Assumed) { output.good() } else { output.bad() };
            output.line(format_args!("{}: {claim}", style.apply_to(format!("{} -> {}", word(*old), word(*new)))));
        }
        for (what, Gained { gained, lost }) in [("end", ends), ("finding", findings)] {
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
