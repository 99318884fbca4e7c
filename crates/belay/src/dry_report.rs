//! A dry run as people read it.

use std::time::Duration;

use belay_core::reading::Health;
use belay_engine::{DryGate, DryRun, DryStep, ExpectedFrom, Found, Verdict};
use belay_plan::{duration, model::Gate};
use comfy_table::Cell;

use crate::{commands::status::table, exit::Exit, output::Output, text};

/// Shows it, and the exit code that says whether a rollback would go through.
pub(crate) fn answer(report: &DryRun, output: Output) -> Exit {
    if !output.json {
        show(report, output);
    }
    match report.verdict {
        Verdict::WouldRollBack => Exit::Done,
        Verdict::WouldStop => Exit::No,
    }
}

fn show(report: &DryRun, output: Output) {
    output.line(format_args!(
        "{} {}  {}",
        output.bold().apply_to("dry run of"),
        output.bold().apply_to(&report.migration),
        output.dim().apply_to(format_args!("plan {}", report.plan_sha256.get(..12).unwrap_or_default())),
    ));
    output.line("");
    output.line(steps(report, output));
    if let Some(gates) = gates(report, output) {
        output.line("");
        output.line(gates);
    }
    output.line("");
    times(report, output);
    for warning in &report.warnings {
        output.line(format_args!("{} {warning}", output.warn().apply_to("warning:")));
    }
    for stop in &report.stopped_by {
        output.line(format_args!("{} {}: {}", output.bad().apply_to("stopped:"), stop.step, stop.why));
    }
    output.line(match report.verdict {
        Verdict::WouldRollBack => output.good().apply_to("nothing would stop the rollback now; nothing was changed"),
        Verdict::WouldStop => output.bad().apply_to("the rollback would be stopped now; nothing was changed"),
    });
}

fn steps(report: &DryRun, output: Output) -> comfy_table::Table {
    let mut table = table(output);
    table.set_header(["", "step", "change", "before -> after", "call", "takes"]);
    for (index, (name, step)) in report.steps.iter().enumerate() {
        let mut head = [(index + 1).to_string(), name.clone()];
        if step.changes.is_empty() {
            table.add_row(head.iter().cloned().chain([
                found(step),
                String::new(),
                String::new(),
                takes(step.expected_s),
            ]));
        }
        for change in &step.changes {
            let images = text::difference(&change.before, &change.after);
            let cells = [change.title.clone(), images, change.call.clone(), takes(change.expected_s)];
            table.add_row(std::mem::take(&mut head).into_iter().chain(cells));
        }
    }
    table
}

fn found(step: &DryStep) -> String {
    let found = match step.found {
        Found::InPlace => "in place already",
        Found::Settling => "settling",
        Found::ToChange => "to change",
        Found::Failed => "cannot be reached",
        Found::Ambiguous => "ambiguous",
        Found::Unreadable => "cannot be looked at",
        Found::ByHand => "a person does it",
        Found::Wait => "waits",
    };
    if step.why.is_empty() { found.to_owned() } else { format!("{found}: {}", step.why) }
}

fn takes(seconds: u64) -> String {
    if seconds == 0 { String::new() } else { text::duration(Duration::from_secs(seconds)) }
}

fn gates(report: &DryRun, output: Output) -> Option<comfy_table::Table> {
    let of_steps = report.steps.iter().flat_map(|(name, step)| {
        let require = step.require.iter().map(move |gate| (name.as_str(), "require", gate));
        let verify = if step.stages.is_empty() { "verify" } else { "verify, each stage" };
        require.chain(step.verify.iter().map(move |gate| (name.as_str(), verify, gate)))
    });
    let gates: Vec<_> = of_steps.chain(report.confirm.iter().map(|gate| ("", "confirm", gate))).collect();
    if gates.is_empty() {
        return None;
    }
    let mut table = table(output);
    table.set_header(["step", "gate", "signal", "reads now", "evidence"]);
    for (step, kind, gate) in gates {
        let signal = wanted(&gate.gate);
        table.add_row([
            Cell::new(step),
            Cell::new(kind),
            Cell::new(signal),
            health(gate, output),
            Cell::new(&gate.evidence),
        ]);
    }
    Some(table)
}

/// `errors for 1m within 5m`
fn wanted(gate: &Gate) -> String {
    let part = |word: &str, time: Duration| {
        if time.is_zero() { String::new() } else { format!(" {word} {}", duration::format(time)) }
    };
    format!("{}{}{}", gate.signal, part("for", gate.hold), part("within", gate.within))
}

fn health(gate: &DryGate, output: Output) -> Cell {
    let (word, colour) = match gate.health {
        Health::Healthy => ("healthy", comfy_table::Color::Green),
        Health::Unhealthy => ("unhealthy", comfy_table::Color::Red),
        Health::Unknown => ("unknown", comfy_table::Color::Yellow),
    };
    if output.colour { Cell::new(word).fg(colour) } else { Cell::new(word) }
}

/// `dns_back 42s (measured, 3 runs)`
fn expected(name: &str, step: &DryStep) -> String {
    let time = text::duration(Duration::from_secs(step.expected_s));
    format!("{name} {time} ({})", source(step.expected_from, step.measured_runs))
}

/// `measured, 3 runs`, or `default`
pub(crate) fn source(from: ExpectedFrom, runs: usize) -> String {
    match from {
        ExpectedFrom::Measured => format!("measured, {}", text::count(runs, "run")),
        ExpectedFrom::Default => "default".to_owned(),
    }
}

fn times(report: &DryRun, output: Output) {
    let measured = report.steps.iter().filter(|(_, step)| step.expected_from == ExpectedFrom::Measured);
    let measured: Vec<String> = measured.map(|(name, step)| expected(name, step)).collect();
    if !measured.is_empty() {
        output.line(format_args!("measured before: {}", measured.join(", ")));
    }
    if !report.critical_path.is_empty() {
        output.line(format_args!("critical path: {}", report.critical_path.join(" -> ")));
    }
    let expected = text::duration(Duration::from_secs(report.expected_s));
    match (report.rto_s, report.within_rto) {
        (Some(rto), Some(within)) => {
            let rto = text::duration(Duration::from_secs(rto));
            let (word, style) = if within { ("within", output.good()) } else { ("longer than", output.bad()) };
            output.line(format_args!("expected: {expected}, {} the objective of {rto}", style.apply_to(word)));
        }
        _ => output.line(format_args!("expected: {expected}; the plan has no objective for it (rto)")),
    }
}
