//! What a drill measured, as people read it.

use std::time::Duration;

use belay_core::event::DrillVerdict;
use belay_engine::{DrillReport, DrillStep};

use crate::{commands::status::table, dry_report::source, output::Output, text};

pub(super) fn show(report: &DrillReport, output: Output) {
    let (style, verdict) = match report.verdict {
        DrillVerdict::Within if report.objectives.is_empty() => (output.good(), "done; the plan has no objectives"),
        DrillVerdict::Within => (output.good(), "within the objectives"),
        DrillVerdict::Outside => (output.bad(), "outside the objectives"),
        DrillVerdict::Halted => (output.bad(), "halted"),
        DrillVerdict::Aborted => (output.bad(), "aborted"),
    };
    let overlay = report.overlaid.as_ref().and_then(|overlaid| overlaid.overlay.as_deref());
    let overlay = overlay.map(|name| format!(" (overlay {name})")).unwrap_or_default();
    output.line("");
    output.line(format_args!(
        "{} {}{overlay}: {}",
        output.bold().apply_to("drill of"),
        output.bold().apply_to(&report.migration),
        style.apply_to(verdict)
    ));
    for (name, time, what) in [
        ("detection", report.detection_s, "from the breach to the incident"),
        ("decision", report.decision_s, "from the incident to the decision"),
        ("recovery", report.recovery_s, "from the breach to the end of the last step"),
        ("confidence", report.confidence_s, "from there to the end of the confirmation"),
        ("total", report.total_s, "from the breach to the end of the confirmation"),
    ] {
        if let Some(time) = time {
            output.line(format_args!("  {name:10}  {:>8}  {}", seconds(time), output.dim().apply_to(what)));
        }
    }
    for objective in &report.objectives {
        let (word, style) = if objective.within { ("within", output.good()) } else { ("outside", output.bad()) };
        let measured = objective.measured_s.map_or("not known".to_owned(), seconds);
        output.line(format_args!(
            "  {:10}  {measured:>8}  of {}: {}",
            objective.name,
            seconds(objective.limit_s),
            style.apply_to(word)
        ));
    }
    output.line("");
    let mut steps = table(output);
    steps.set_header(["step", "", "took", "expected", "in which"]);
    for (name, step) in &report.steps {
        let took = step.took_s.map_or(String::new(), seconds);
        let expected = format!("{} ({})", seconds(step.expected_s), source(step.expected_from, step.measured_runs));
        steps.add_row([name.clone(), text::words(&step.phase), took, expected, phases(step)]);
    }
    output.drawing(steps);
    for stays in &report.stays {
        output.line(format_args!("{} {stays}", output.warn().apply_to("cannot be put back:")));
    }
}

/// The phases that took any time, the longest first.
fn phases(step: &DrillStep) -> String {
    let mut phases: Vec<(&String, f64)> = step.phases.iter().map(|(phase, time)| (phase, *time)).collect();
    phases.retain(|(_, time)| *time >= 0.05);
    phases.sort_by(|one, other| other.1.total_cmp(&one.1));
    phases
        .iter()
        .map(|(phase, time)| format!("{} {}", text::words(phase), seconds(*time)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Short times to the tenth.
fn seconds(time: f64) -> String {
    let time = Duration::try_from_secs_f64(time).unwrap_or_default();
    if time < Duration::from_secs(10) { format!("{:.1}s", time.as_secs_f64()) } else { text::duration(time) }
}
