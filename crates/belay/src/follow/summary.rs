//! How a run went, when it is over or waits for a person.

use std::time::Duration;

use crate::{
    board::{self, Look},
    document::{Migration, Run, Step},
    exit::Exit,
    output::Output,
    text,
};

/// `objective`: the plan's RTO, where it is known. `total`: from the breach; none where there was no incident, and the run counts from
/// its start.
pub(crate) fn show(run: &Run, objective: Option<Duration>, total: Option<Duration>, output: Output) {
    let style = if run.exit() == Exit::Done { output.good() } else { output.bad() };
    let state = style.apply_to(text::words(&run.state)).to_string();
    let took = run.took().map_or(String::new(), |took| format!(" after {}", text::duration(took)));
    let kept = match (total.or(run.took()), objective) {
        (Some(took), Some(objective)) if run.state == "rolled_back" => {
            let kept = if took <= objective { "within" } else { "later than" };
            let since = total.map(|total| format!(" ({} from the breach)", text::duration(total))).unwrap_or_default();
            format!(", {kept} the objective of {}{since}", text::duration(objective))
        }
        _ => String::new(),
    };
    output.line("");
    output.line(format_args!("{}: {state}{took}{kept}", output.bold().apply_to(&run.migration)));
    if !run.why.is_empty() {
        output.line(format_args!("  {}", run.why));
    }
    section("changed", changed(run), output);
    section("kept, nothing was deleted", run.kept().into_iter().map(str::to_owned).collect(), output);
    section("done by a person, or by waiting", without_a_call(run, true), output);
    section("not changed", without_a_call(run, false), output);
    section("could not be undone, and stays", run.left.clone(), output);
}

/// What waits for a person, and the commands that move it.
pub(crate) fn show_needs(migration: &Migration, look: &Look, output: Output) {
    board::draw_needs(migration, look).iter().for_each(|line| output.line(line));
}

fn section(title: &str, lines: Vec<String>, output: Output) {
    if !lines.is_empty() {
        output.line(format_args!("  {}", output.bold().apply_to(format_args!("{title}:"))));
        lines.iter().for_each(|line| output.line(format_args!("    {line}")));
    }
}

fn changed(run: &Run) -> Vec<String> {
    let effective = run.steps.iter().flat_map(|(name, step)| {
        let effective = step.changes.iter().filter(|change| change.effective && change.sent);
        effective.map(move |change| format!("{name}: {}", change.title))
    });
    effective.collect()
}

/// Steps for which nothing was sent: done all the same, or not.
fn without_a_call(run: &Run, done: bool) -> Vec<String> {
    let sent_nothing = |step: &Step| !step.changes.iter().any(|change| change.effective && change.sent);
    let wanted = run.steps.iter().filter(|(_, step)| sent_nothing(step) && (step.phase == "done") == done);
    let line = |(name, step): (&String, &Step)| match step.why.as_str() {
        _ if done => name.clone(),
        "" => format!("{name}: {}", text::words(&step.phase)),
        why => format!("{name}: {} ({why})", text::words(&step.phase)),
    };
    wanted.map(line).collect()
}
