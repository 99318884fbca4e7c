//! A run: its steps, how far each is, and what is left.

use std::time::Duration;

use jiff::Timestamp;

use super::{Look, age};
use crate::{
    document::{Gate, Run, Step},
    paint::Style,
    text,
};

const JUST_NOW: Duration = Duration::from_secs(10);

pub(super) fn draw(run: &Run, now: Timestamp, look: &Look) -> Vec<String> {
    let mut lines = head(run, now, look);
    let rows = run.steps.iter().map(|(name, step)| row(name, step, run, now, look));
    lines.extend(look.columns(4, rows.collect()));
    for (name, step) in &run.steps {
        let report = step.report.as_ref().map(text::job).unwrap_or_default();
        lines.extend(look.wrap(4, &format!("{name} says: "), &report, look.output.dim()));
    }
    let gates = run.confirm.iter().filter(|_| matches!(run.state.as_str(), "confirming" | "halted"));
    let rows = gates.map(|gate| {
        let (mark, style) = gate_mark(gate, look);
        [
            format!("{} {}", style.apply_to(mark), look.output.bold().apply_to("confirmation")),
            gate_text(gate, now, look),
        ]
    });
    lines.extend(look.columns(4, rows.collect()));
    lines
}

fn head(run: &Run, now: Timestamp, look: &Look) -> Vec<String> {
    let output = look.output;
    let style = match run.state.as_str() {
        "rolled_back" | "undone" | "rehearsed" => output.good(),
        "halted" | "aborted" => output.bad(),
        "held" => output.warn(),
        _ => output.accent(),
    };
    let state = match (run.state.as_str(), run.kind.as_str()) {
        ("running", _) if run.aborting => "aborting".to_owned(),
        ("running", "undo") => "undoing".to_owned(),
        ("running", _) => "rolling back".to_owned(),
        (state, _) => text::words(state),
    };
    let (verb, since) = match run.ended {
        // How long ago is of interest to who comes later, not to who was there.
        Some(ended) if text::between(ended, now) < JUST_NOW => ("after", age(run.started, ended)),
        Some(ended) => ("after", format!("{}, {} ago", age(run.started, ended), age(ended, now))),
        None => ("for", age(run.started, now)),
    };
    let left = run
        .expected_left_s
        .map_or(String::new(), |left| format!(", about {} left", text::duration(Duration::from_secs(left))));
    let kind = match run.kind.as_str() {
        kind @ ("undo" | "drill") => kind,
        _ => "run",
    };
    let mut lines = vec![look.fit(&format!(
        "  {} {}  {} {verb} {since}{}",
        output.bold().apply_to(kind),
        run.id,
        style.bold().apply_to(state),
        output.accent().apply_to(left)
    ))];
    lines.extend(look.wrap(4, &format!("{}: ", run.actor), &run.reason, output.dim()));
    lines
}

fn row(name: &str, step: &Step, run: &Run, now: Timestamp, look: &Look) -> [String; 3] {
    let (mark, style) = mark(step, look);
    let phase = match step.phase.as_str() {
        "awaiting_approval" => "needs a person".to_owned(),
        "requiring" => "interlock".to_owned(),
        phase => text::words(phase),
    };
    let phase = match (step.started, step.ended) {
        (Some(started), Some(ended)) if step.is_over() => format!("{phase} {}", age(started, ended)),
        _ => phase,
    };
    [
        format!("{} {}", style.apply_to(mark), look.output.bold().apply_to(name)),
        style.apply_to(phase).to_string(),
        stage(step) + &what(step, run, now, look) + &throttled(step, look),
    ]
}

/// `stage 1 of 2 (50%)  `, while there is a stage to speak of.
fn stage(step: &Step) -> String {
    let begun = !step.is_over() && step.phase != "pending";
    step.stage
        .as_ref()
        .filter(|_| begun)
        .map_or(String::new(), |stage| format!("stage {} of {} ({}%)  ", stage.number, stage.of, stage.percent))
}

/// `  throttled 4 times, 12s`
fn throttled(step: &Step, look: &Look) -> String {
    let Some(throttled) = &step.throttled else { return String::new() };
    let times = if throttled.sends == 1 { "once".to_owned() } else { format!("{} times", throttled.sends) };
    let time = text::duration(Duration::from_secs(throttled.seconds));
    format!("  {}", look.output.warn().apply_to(format!("throttled {times}, {time}")))
}

fn mark(step: &Step, look: &Look) -> (&'static str, Style) {
    let output = look.output;
    match step.phase.as_str() {
        "done" | "unchanged" => ("✔", output.good()),
        "failed" => ("✘", output.bad()),
        "blocked" => ("⊘", output.bad()),
        "skipped" => ("↷", output.warn()),
        "pending" => ("·", output.dim()),
        "awaiting_approval" => ("?", output.warn()),
        _ => (look.spinner(), output.accent()),
    }
}

/// What is to be said of a step, with its bar where there is one.
fn what(step: &Step, run: &Run, now: Timestamp, look: &Look) -> String {
    let gates = |gates: &[Gate]| {
        let open = gates.iter().filter(|gate| gate.state != "passed").map(|gate| gate_text(gate, now, look));
        open.collect::<Vec<_>>().join("; ")
    };
    match step.phase.as_str() {
        "pending" => {
            let over = |name: &&String| run.steps.get(*name).is_some_and(Step::is_over);
            let open: Vec<&str> = step.needs.iter().filter(|name| !over(name)).map(String::as_str).collect();
            let after = if open.is_empty() { String::new() } else { format!("after {}", open.join(", ")) };
            look.output.dim().apply_to(after).to_string()
        }
        "requiring" => gates(&step.require),
        "verifying" => gates(&step.verify),
        "settling" | "applying" | "observing" => under_way(step, now, look),
        _ => step.what(),
    }
}

fn under_way(step: &Step, now: Timestamp, look: &Look) -> String {
    let progress = step.progress.as_ref();
    let bar = progress.and_then(|progress| progress.fraction);
    let bar = bar.map_or(String::new(), |fraction| look.bar(fraction, look.output.accent()) + "  ");
    // What the system itself says of the time comes first.
    let tells = progress.is_some_and(|progress| progress.note.contains(" left"));
    let left = progress.and_then(|progress| progress.expected_left_s).filter(|_| !tells);
    let left = left.map_or(String::new(), |left| format!("about {} left  ", text::duration(Duration::from_secs(left))));
    let left = if left.is_empty() && step.phase == "settling" && !tells {
        format!("{}  ", age(step.since, now))
    } else {
        left
    };
    format!("{bar}{left}{}", step.what())
}

fn gate_mark(gate: &Gate, look: &Look) -> (&'static str, Style) {
    match gate.state.as_str() {
        "passed" => ("✔", look.output.good()),
        "failed" => ("✘", look.output.bad()),
        _ => (look.spinner(), look.output.accent()),
    }
}

/// `errors healthy for 24s of 1m 00s`
fn gate_text(gate: &Gate, now: Timestamp, look: &Look) -> String {
    let hold = Duration::from_secs(gate.for_s);
    let evidence = if gate.evidence.is_empty() { String::new() } else { format!(": {}", gate.evidence) };
    match (gate.state.as_str(), gate.holding_since) {
        ("passed", _) => format!("{} passed", gate.signal),
        ("failed", _) => format!("{} not healthy in time{evidence}", gate.signal),
        (_, Some(since)) => {
            let held = text::between(since, now).min(hold);
            let bar = look.bar(held.as_secs_f64() / hold.as_secs_f64().max(0.001), look.output.accent());
            format!("{bar}  {} healthy for {} of {}", gate.signal, text::duration(held), text::duration(hold))
        }
        ("broken", _) => look.output.warn().apply_to(format!("{} is not healthy{evidence}", gate.signal)).to_string(),
        _ => format!("{} is being read", gate.signal),
    }
}
