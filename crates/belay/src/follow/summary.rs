//! How a run went, when it is over or waits for a person.

use std::time::Duration;

use crate::{
    follow::run::{Run, Waiting},
    output::Output,
    text,
};

/// `objective`: the plan's RTO, where it is known.
pub(crate) fn show(run: &Run, objective: Option<Duration>, output: Output) {
    let style = if run.state == "rolled_back" { output.good() } else { output.bad() };
    let state = style.apply_to(text::words(&run.state)).to_string();
    let took = run.took().map_or(String::new(), |took| format!(" after {}", text::duration(took)));
    let kept = match (run.took(), objective) {
        (Some(took), Some(objective)) if run.state == "rolled_back" => {
            let kept = if took <= objective { "within" } else { "later than" };
            format!(", {kept} the objective of {}", text::duration(objective))
        }
        _ => String::new(),
    };
    output.line("");
    output.line(format_args!("{}: {state}{took}{kept}", output.bold().apply_to(&run.migration)));
    if !run.why.is_empty() {
        output.line(format_args!("  {}", run.why));
    }
    section("changed", changed(run), output);
    let kept: Vec<String> = run.kept_databases().into_iter().map(str::to_owned).collect();
    section("kept, nothing was deleted", kept, output);
    section("not changed", untouched(run), output);
    for waiting in &run.waiting_for {
        output.line(waiting_line(waiting, output));
    }
}

fn section(title: &str, lines: Vec<String>, output: Output) {
    if !lines.is_empty() {
        output.line(format_args!("  {}", output.bold().apply_to(format_args!("{title}:"))));
        lines.iter().for_each(|line| output.line(format_args!("    {line}")));
    }
}

fn changed(run: &Run) -> Vec<String> {
    let effective = run.steps.iter().flat_map(|(name, step)| {
        let effective = step.changes.iter().filter(|change| change.effective);
        effective.map(move |change| format!("{name}: {}", change.title))
    });
    effective.collect()
}

fn untouched(run: &Run) -> Vec<String> {
    let untouched = run.steps.iter().filter(|(_, step)| !step.changes.iter().any(|change| change.effective));
    let line = |name: &String, phase: &str, why: &str| {
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        format!("{name}: {}{why}", text::words(phase))
    };
    untouched.map(|(name, step)| line(name, &step.phase, &step.why)).collect()
}

/// What somebody has to do, and with which commands.
pub(crate) fn waiting_line(waiting: &Waiting, output: Output) -> String {
    let verbs = if waiting.verbs.is_empty() {
        String::new()
    } else {
        format!("  ({})", waiting.verbs.iter().map(|verb| format!("belay {verb}")).collect::<Vec<_>>().join(", "))
    };
    format!("  {} {}{}", output.warn().apply_to("waits:"), waiting.reason, output.dim().apply_to(verbs))
}
