//! What a search of a plan has found, as people read it.

use std::time::Duration;

use belay_plan::diagnostic::Diagnostic;
use belay_sim::explore::{
    Advice, Coverage, EndReport, Happening, IncidentWays, Level, Outcome, Proof, Report, Verdict, WayToDecide, When,
};
use indicatif::HumanCount;

use crate::{output::Output, paint, text};

/// Ends that are shown; `--json` has more.
const ENDS_SHOWN: usize = 12;

/// The remark on a place of the plan file: pointer, what, and what would be right.
pub(crate) type Place<'a> = dyn Fn(&str, &str, &str) -> Option<Diagnostic> + 'a;

pub(crate) fn show(report: &Report, sha256: &str, took: Duration, place: &Place<'_>, output: Output) {
    output.page(format_args!(
        "{} {}  {}",
        output.bold().apply_to("every way to roll back"),
        output.bold().apply_to(&report.migration),
        output.dim().apply_to(format_args!("plan {}", sha256.get(..12).unwrap_or_default())),
    ));
    let count = |number: usize| HumanCount(number as u64);
    let searched = if report.complete { "all of them" } else { "BOUNDED: there are more" };
    output.page(format_args!(
        "{} states, {} transitions, {searched}, in {:.1}s",
        count(report.states),
        count(report.transitions),
        took.as_secs_f64()
    ));
    for part in &report.not_explored {
        paragraph("not explored: ", part, output);
    }
    output.line("");
    report.properties.iter().for_each(|proof| property(proof, output));
    coverage(report, output);
    for proof in report.properties.iter().filter(|proof| proof.verdict == Verdict::Refuted) {
        counter_example(proof, output);
    }
    incidents(report, output);
    ends(report, output);
    advice(report, Level::Finding, place, output);
    advice(report, Level::Hint, place, output);
    accepted(report, output);
    let findings = report.advice.iter().filter(|advice| advice.is_open()).count();
    if findings > 0 {
        output.page(output.warn().apply_to(format!("{} to look at, above", text::count(findings, "finding"))));
    }
    output.page(match report.verdict {
        Verdict::Proven | Verdict::Assumed => {
            output.good().apply_to("proven: every property holds in every state".to_owned())
        }
        Verdict::Refuted => output.bad().apply_to("refuted: the counter-examples are above".to_owned()),
        Verdict::Bounded => output.warn().apply_to(format!(
            "bounded: no counter-example in {} states; --max-states and --within search further",
            count(report.states)
        )),
    });
}

fn property(proof: &Proof, output: Output) {
    let (word, style) = match proof.verdict {
        Verdict::Proven => ("proven", output.good()),
        Verdict::Refuted => ("refuted", output.bad()),
        Verdict::Assumed => ("assumed", output.warn()),
        Verdict::Bounded => ("bounded", output.warn()),
    };
    output.page(format_args!("{} {}", style.apply_to(format_args!("{word:<8}")), proof.claim));
    if let Some(why) = &proof.why {
        paragraph("         ", why, output);
    }
    for assumption in &proof.assumes {
        paragraph("         if ", assumption, output);
    }
    for rest in &proof.rests_on {
        paragraph("         rests on: ", rest, output);
    }
}

/// What the plan accepts, each in a line, with its reason.
fn accepted(report: &Report, output: Output) {
    let accepted: Vec<(&Advice, &String)> =
        report.advice.iter().filter_map(|advice| Some((advice, advice.accepted.as_ref()?))).collect();
    if !accepted.is_empty() {
        output.line("");
        output.page(output.bold().apply_to("accepted by the plan"));
    }
    for (advice, reason) in accepted {
        paragraph("  - ", &format!("{}. Reason: {reason}", advice.what), output);
    }
}

/// Findings, then hints.
fn advice(report: &Report, level: Level, place: &Place<'_>, output: Output) {
    let of_level: Vec<&Advice> =
        report.advice.iter().filter(|advice| advice.level == level && advice.accepted.is_none()).collect();
    if of_level.is_empty() {
        return;
    }
    output.line("");
    output.page(output.bold().apply_to(if level == Level::Finding { "findings" } else { "hints" }));
    for advice in of_level {
        if let Some(remark) = place(&advice.pointer, &advice.what, &advice.instead) {
            let shown = match level {
                Level::Finding => remark.render_as_finding(output.colour),
                Level::Hint => remark.render_as_advice(output.colour),
            };
            output.drawing(format_args!("{}\n", text::wrap_remark(&shown, output.page_width())));
        }
    }
}

/// What the properties were held against.
fn coverage(report: &Report, output: Output) {
    let Coverage { gates, fallbacks } = &report.coverage;
    let passed = gates.iter().filter(|gate| gate.passed).count();
    let failed = gates.iter().filter(|gate| gate.failed).count();
    let started = fallbacks.iter().filter(|fallback| fallback.started).count();
    output.page(format_args!(
        "  met: of {}, {passed} passed and {failed} failed; {started} of {}; {} of steps",
        text::count(gates.len(), "gate"),
        text::count(fallbacks.len(), "fallback"),
        text::count(report.failures.len(), "failure"),
    ));
    report.coverage.never().iter().for_each(|what| paragraph("    never met: ", what, output));
}

fn counter_example(proof: &Proof, output: Output) {
    let Some(happenings) = proof.counter_example.as_ref().filter(|happenings| !happenings.is_empty()) else { return };
    output.line("");
    output.page(format_args!("{} {}", output.bad().apply_to("counter-example:"), output.bold().apply_to(proof.claim)));
    let who = happenings.iter().map(|happening| happening.who.len()).max().unwrap_or_default();
    for Happening { after_s, who: by, what, belay } in happenings {
        let time = text::duration(Duration::from_secs(*after_s));
        paragraph(&format!("  {time:>7}  {by:<who$}  "), what, output);
        for said in belay {
            paragraph(&format!("  {:>7}  {:<who$}    > ", "", ""), said, output);
        }
    }
}

/// What can come of an incident before a run.
fn incidents(report: &Report, output: Output) {
    if report.incidents.is_empty() {
        return;
    }
    output.line("");
    output.page(output.bold().apply_to("from the trigger to the rollback, or to an end without one"));
    for IncidentWays { triggers, rule, question, ways, complete, .. } in &report.incidents {
        paragraph("  ", &format!("{} (rule {rule}: {question})", triggers.join(", ")), output);
        // Where the window or the phase changes nothing, an end is told once.
        let known = |way: &WayToDecide, at: When| {
            ways.iter().any(|other| other.end == way.end && other.when == at && other.phase.is_none())
        };
        for way in ways {
            let elsewhere = way.phase.is_some() && known(way, way.when);
            let usual = (way.when != When::Open || way.phase.is_some()) && known(way, When::Open);
            if elsewhere || usual {
                continue;
            }
            paragraph("    - ", &self::way(way), output);
        }
        if !complete {
            paragraph("    ", "not all of it was searched: there are too many people and phases", output);
        }
    }
}

/// `in phase soak: people decide to roll back`
pub(crate) fn way(way: &WayToDecide) -> String {
    let joins = way.joins.as_ref().map(|trigger| format!("when {trigger} joins"));
    let at = [when(way.when), way.phase.as_ref().map(|phase| format!("in phase {phase}")), joins];
    at.into_iter().flatten().map(|at| format!("{at}: ")).collect::<String>() + &way.words
}

fn when(when: When) -> Option<String> {
    match when {
        When::Open => None,
        When::BeforeItOpens => Some("before the window opens".to_owned()),
        When::PastThePoint => Some("past the point of no return".to_owned()),
    }
}

fn ends(report: &Report, output: Output) {
    let rolled_back = report.ends.iter().filter(|end| end.outcome == Outcome::RolledBack).count();
    output.line("");
    output.page(format_args!(
        "{}, {rolled_back} of those listed rolled back; by what they mean, the fewest steps in trouble first",
        output.bold().apply_to(text::count(usize::try_from(report.ends_count).unwrap_or(usize::MAX), "end")),
    ));
    let mut shown = 0;
    for group in &report.groups {
        if shown >= ENDS_SHOWN {
            break;
        }
        let outcome = text::words(outcome(group.outcome));
        let means = group.consequence.words();
        let means = if means.is_empty() { outcome } else { format!("{outcome}: {means}") };
        output.page(format_args!("  {} ({})", output.bold().apply_to(means), text::count(group.ends.len(), "end")));
        for end in group.ends.iter().filter_map(|end| report.ends.get(*end)).take(ENDS_SHOWN - shown) {
            paragraph("  - ", &format!("{}{}", end.words, way_out(end)), output);
            shown += 1;
        }
    }
    let shown = shown as u64;
    if report.ends_count > shown && shown > 0 {
        output.page(format_args!("  and {} more, with more steps in trouble", HumanCount(report.ends_count - shown)));
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::RolledBack => "rolled_back",
        Outcome::Halted => "halted",
        Outcome::NotConfirmed => "not_confirmed",
        Outcome::Waiting => "waits_for_a_person",
        Outcome::Stuck => "stuck",
    }
}

fn way_out(end: &EndReport) -> String {
    match &end.way_out {
        _ if end.outcome == Outcome::RolledBack => String::new(),
        Some(acts) => {
            format!(
                ". From here: {} ({}), when what stood in the way is put right",
                text::count(acts.len(), "act"),
                acts.join(", then ")
            )
        }
        None if end.stuck => ". From here: only `abort`".to_owned(),
        None if end.acts_tried == 0 => ". From here: there was no time to look for a way".to_owned(),
        None => format!(". From here: no way found within {} acts", end.acts_tried),
    }
}

/// Text with what stands before its first line; the next lines are indented as far.
pub(crate) fn paragraph(before: &str, text: &str, output: Output) {
    let indent = " ".repeat(before.chars().count());
    let width = output.page_width().max(indent.len() + 20);
    let options = textwrap::Options::new(width).initial_indent(before).subsequent_indent(&indent);
    paint::lines(text).for_each(|line| textwrap::wrap(&line, &options).iter().for_each(|row| output.line(row)));
}
