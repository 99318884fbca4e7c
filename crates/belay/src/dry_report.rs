//! A dry run as people read it.

use std::time::Duration;

use belay_core::reading::Health;
use belay_engine::{DryRun, DryStep, ExpectedFrom, Found, Verdict};
use belay_plan::{duration, model::Gate};
use comfy_table::Cell;

use crate::{commands::status::table, exit::Exit, output::Output, paint, text};

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
    output.page(format_args!(
        "{} {}  {}",
        output.bold().apply_to("dry run of"),
        output.bold().apply_to(&report.migration),
        output.dim().apply_to(format_args!("plan {}", report.plan_sha256.get(..12).unwrap_or_default())),
    ));
    if let Some(phase) = &report.phase {
        output.page(format_args!("in phase {}", output.bold().apply_to(phase)));
    }
    output.line("");
    steps(report, output);
    for (name, why) in &report.skipped {
        output.page(format_args!(
            " - {}  {}",
            output.bold().apply_to(name),
            output.dim().apply_to(format_args!("skipped: {why}"))
        ));
    }
    if let Some(signals) = signals(report, output) {
        output.line("");
        output.drawing(signals);
    }
    if !report.reaches.is_empty() {
        output.line("");
        output.page("beyond AWS, the plan does this:");
        report.reaches.iter().for_each(|reach| output.page(format_args!("  {reach}")));
    }
    output.line("");
    for detour in &report.detours {
        output.page(format_args!("{} {detour}", output.warn().apply_to("note:")));
    }
    times(report, output);
    for warning in &report.warnings {
        output.page(format_args!("{} {warning}", output.warn().apply_to("warning:")));
    }
    for stop in &report.stopped_by {
        output.page(format_args!("{} {}: {}", output.bad().apply_to("stopped:"), stop.step, stop.why));
    }
    let warned = report.warnings.len();
    let uncaptured = report.steps.values().filter(|step| step.found == Found::Uncaptured).count();
    output.page(match report.verdict {
        Verdict::WouldRollBack if uncaptured > 0 => output.warn().apply_to(format!(
            "what can be looked at now would not stop the rollback; {uncaptured} of {} have no baseline yet, so what they would send is \
             not known: look again once it is armed; nothing was changed",
            text::count(report.steps.len(), "step")
        )),
        Verdict::WouldRollBack if warned > 0 => output.good().apply_to(format!(
            "nothing would stop the rollback now, see the {} above; nothing was changed",
            if warned == 1 { "warning" } else { "warnings" }
        )),
        Verdict::WouldRollBack => {
            output.good().apply_to("nothing would stop the rollback now; nothing was changed".to_owned())
        }
        Verdict::WouldStop => {
            output.bad().apply_to("the rollback would be stopped now; nothing was changed".to_owned())
        }
    });
}

/// A block for each step: what is found, each change with what it replaces, and what a person should know.
fn steps(report: &DryRun, output: Output) {
    for (index, (step_name, step)) in report.steps.iter().enumerate() {
        let mut head = vec![step.action.clone()];
        head.extend((!step.needs.is_empty()).then(|| format!("after {}", step.needs.join(", "))));
        head.extend((step.expected_s > 0).then(|| format!("takes {}", takes(step.expected_s))));
        let name = output.bold().apply_to(step_name);
        output.page(format_args!("{:>2} {name}  {}", index + 1, output.dim().apply_to(head.join(", "))));
        if step.changes.is_empty() {
            output.page(format_args!("     {}", found(step)));
        }
        for change in &step.changes {
            output.page(format_args!("     {}", change.title));
            let time = if step.changes.len() > 1 { takes(change.expected_s) } else { String::new() };
            let call = [change.call.clone(), time].into_iter().filter(|part| !part.is_empty());
            let call = call.collect::<Vec<_>>().join(", ");
            output.page(format_args!("       {}", output.dim().apply_to(call)));
            // A key without a value says nothing.
            for line in text::difference(&change.before, &change.after).iter().filter(|line| !line.ends_with(": ")) {
                output.page(format_args!("       {line}"));
            }
        }
        if let Some(loss) = report.loss.get(step_name) {
            let style = match loss.now_s {
                _ if loss.is_over() => output.bad(),
                Some(_) => output.plain(),
                None => output.warn(),
            };
            output.page(format_args!(
                "     would be lost now: {}",
                style.apply_to(format_args!("{}: {}", text::loss(loss), loss.basis))
            ));
        }
    }
}

fn found(step: &DryStep) -> String {
    let found = match step.found {
        Found::InPlace => "in place already",
        Found::Settling => "settling",
        Found::ToChange => "to change",
        Found::Failed => "cannot be reached",
        Found::Ambiguous => "ambiguous",
        Found::Unreadable => "cannot be read",
        Found::Uncaptured => "returns to the baseline, which is not captured yet",
        Found::ByHand => "a person does it",
        Found::Wait => "waits",
    };
    if step.why.is_empty() { found.to_owned() } else { format!("{found}: {}", step.why) }
}

fn takes(seconds: u64) -> String {
    if seconds == 0 { String::new() } else { text::duration(Duration::from_secs(seconds)) }
}

/// What the triggers and the gates go by, as it reads now.
fn signals(report: &DryRun, output: Output) -> Option<comfy_table::Table> {
    let of_steps = report.steps.iter().flat_map(|(name, step)| {
        let require = step.require.iter().map(move |gate| (name.as_str(), "require", gate));
        let verify = if step.stages.is_empty() { "verify" } else { "verify, each stage" };
        require.chain(step.verify.iter().map(move |gate| (name.as_str(), verify, gate)))
    });
    let gates = of_steps.chain(report.confirm.iter().map(|gate| ("", "confirm", gate)));
    let gates = gates.map(|(step, kind, gate)| (step, kind, wanted(&gate.gate), gate.health, gate.evidence.as_str()));
    let triggers = report.triggers.iter().flat_map(|(name, trigger)| {
        let signals = trigger.signals.iter().filter_map(|signal| Some((signal, report.signals.get(signal)?)));
        signals
            .map(move |(signal, read)| (name.as_str(), "trigger", signal.clone(), read.health, read.evidence.as_str()))
    });
    let rows: Vec<_> = triggers.chain(gates).collect();
    if rows.is_empty() {
        return None;
    }
    let mut table = table(output);
    table.set_header(["", "", "signal", "reads now", "evidence"]);
    for (subject, kind, signal, read, evidence) in rows {
        let cells = [
            Cell::new(subject),
            Cell::new(kind),
            Cell::new(signal),
            health(read, output),
            Cell::new(paint::line(evidence)),
        ];
        table.add_row(cells);
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

fn health(health: Health, output: Output) -> Cell {
    let (word, colour) = match health {
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
        output.page(format_args!("measured before: {}", measured.join(", ")));
    }
    if !report.critical_path.is_empty() {
        output.page(format_args!("critical path: {}", report.critical_path.join(" -> ")));
    }
    let expected = text::duration(Duration::from_secs(report.expected_s));
    match (report.rto_s, report.within_rto) {
        (Some(rto), Some(within)) => {
            let rto = text::duration(Duration::from_secs(rto));
            let (word, style) = if within { ("within", output.good()) } else { ("longer than", output.bad()) };
            output.page(format_args!("expected: {expected}, {} the objective of {rto}", style.apply_to(word)));
        }
        _ => output.page(format_args!("expected: {expected}; the plan has no objective for it (rto)")),
    }
}
