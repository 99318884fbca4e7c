//! One run as people read it: what happened, and how long it took.

use std::time::Duration;

use belay_core::event::Record;
use belay_plan::model::Plan;
use belay_sim::rehearsal::{Outcome, Report};

use super::held;
use crate::{follow::timeline, output::Output, text};

pub(super) fn show(plan: &Plan, report: &Report, records: &[Record], output: Output) {
    if output.json {
        return;
    }
    if let Some(breach) = report.times.breach {
        output.line(output.bold().apply_to("Timeline, from the breach (simulated time):"));
        timeline(records, 0, breach, output);
        output.line("");
    }
    let good = report.outcome == Outcome::RolledBack;
    let style = if good { output.good() } else { output.bad() };
    let why = if report.why.is_empty() { String::new() } else { format!(": {}", report.why) };
    output.line(format_args!("{}{why}", style.apply_to(output.bold().apply_to(text::words(report.outcome.as_str())))));
    times(plan, report, output);
    let verdict = if report.verdict.within_objectives && plan.objectives.is_empty() {
        output.good().apply_to("done; the plan has no objectives")
    } else if report.verdict.within_objectives {
        output.good().apply_to("within the objectives")
    } else if good {
        output.bad().apply_to("outside the objectives")
    } else if report.outcome == Outcome::FixForward {
        output.bad().apply_to("nothing was rolled back")
    } else {
        output.bad().apply_to("the rollback did not come to its end")
    };
    output.line(format_args!("{verdict}; seed {}", report.seed));
}

fn times(plan: &Plan, report: &Report, output: Output) {
    let (times, objectives) = (&report.times, &plan.objectives);
    row("detection", times.detection, "from the breach to the incident", None, output);
    row("decision", times.decision, "from the incident to the decision", None, output);
    row("recovery", times.recovery, "from the breach to the end of the last step", None, output);
    let confidence = held(times.confidence, "objective", objectives.confidence);
    row("confidence", times.confidence, "from there to the end of the confirmation", confidence, output);
    let rto = held(times.total, "rto", objectives.rto);
    row("total", times.total, "from the breach to the end of the confirmation", rto, output);
    let rpo = held(times.data_lost, "rpo", objectives.rpo);
    let rpo = match rpo {
        Some((false, held)) if report.verdict.loss_approved => {
            Some((true, format!("{held}, approved as the plan asks")))
        }
        rpo => rpo,
    };
    row("data lost", times.data_lost, "written before it was put back", rpo, output);
}

fn row(name: &str, time: Option<Duration>, what: &str, held: Option<(bool, String)>, output: Output) {
    let Some(time) = time else { return };
    output.line(format_args!("  {name:<11}{:>8}  {}", text::duration(time), output.dim().apply_to(what)));
    if let Some((within, held)) = held {
        let style = if within { output.good() } else { output.bad() };
        output.line(format_args!("  {:21}{}", "", style.apply_to(held)));
    }
}
