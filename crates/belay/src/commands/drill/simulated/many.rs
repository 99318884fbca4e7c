//! Many runs as people read them: the distribution, its picture, and the runs to look at.

use std::time::Duration;

use belay_plan::{model::Plan, visible};
use belay_sim::rehearsal::{Counted, Distribution, Outcome, Quantiles, Report};

use super::{Act, Came, plot};
use crate::{commands::status::table, output::Output, text};

pub(super) fn show(
    plan: &Plan,
    found: &Distribution,
    reports: &[Report],
    replay: impl Fn(u64) -> String,
    source: impl Fn(&str) -> Option<&'static str>,
    output: Output,
) {
    if output.json {
        return;
    }
    let Distribution { runs, within_objectives, .. } = found;
    let style = if within_objectives == runs { output.good() } else { output.bad() };
    let share = percent(*within_objectives, *runs);
    let share = match plan.objectives.is_empty() {
        true => format!("{within_objectives} of {runs} runs rolled back ({share}); the plan has no objectives"),
        false => format!("{within_objectives} of {runs} runs within the objectives ({share})"),
    };
    output.line(style.apply_to(share));
    for (outcome, counted) in &found.outcomes {
        let count =
            format!("  {:<17}{:>7}  {:>6}", text::words(outcome.as_str()), counted.runs, percent(counted.runs, *runs));
        output.line(count);
        if *outcome != Outcome::RolledBack {
            output.line(format_args!("    for example: {}", counted.why));
            output.line(format_args!("    {}", output.accent().apply_to(replay(counted.seed))));
        }
    }
    output.line("");
    output.line(format_args!("  {:<11}{:>9}{:>9}{:>9}{:>12}", "", "p50", "p95", "worst", "objective"));
    let objectives = &plan.objectives;
    row("detection", found.detection, None, output);
    row("decision", found.decision, None, output);
    row("recovery", found.recovery, None, output);
    row("confidence", found.confidence, objectives.confidence, output);
    row("total", found.total, objectives.rto, output);
    row("data lost", found.data_lost, objectives.rpo, output);
    if found.loss_approved > 0 {
        let share = percent(found.loss_approved, found.runs);
        output.line(format_args!(
            "  in {share} of the runs more was lost than the rpo allows, approved as the plan asks"
        ));
    }
    let recoveries: Vec<Duration> = reports.iter().filter_map(|report| report.times.total).collect();
    if !recoveries.is_empty() {
        output.line("");
        output.line(format_args!("{}", output.bold().apply_to("Total, from the breach to the confirmed rollback")));
        plot::histogram(&recoveries, objectives.rto, output).iter().for_each(|line| output.line(line));
    }
    steps(found, source, output);
    if let Some(seed) = found.worst_seed {
        output.line("");
        output.line("the worst, again:");
        output.line(format_args!("  {}", output.accent().apply_to(replay(seed))));
    }
}

/// Each step in two lines, p50 and p95: what it took, where the time went, how often it did not succeed, and how its duration is
/// known. What no step has is left out, so that a terminal of 80 columns has room for the rest.
fn steps(found: &Distribution, source: impl Fn(&str) -> Option<&'static str>, output: Output) {
    if found.steps.is_empty() {
        return;
    }
    let time = |seconds: f64| text::duration(Duration::from_secs_f64(seconds));
    let both = |quantiles: Option<Quantiles>| {
        quantiles.map_or_else(String::new, |found| format!("{}\n{}", time(found.p50_s), time(found.p95_s)))
    };
    let count = |runs: usize| if runs == 0 { String::new() } else { percent(runs, found.runs) };
    let rows: Vec<[String; 11]> = found
        .steps
        .iter()
        .map(|(name, step)| {
            [
                if step.longest { format!("{name}\n(longest)") } else { name.clone() },
                "p50\np95".to_owned(),
                both(step.took),
                both(step.waited),
                both(step.changed),
                both(step.verified),
                count(step.failed),
                count(step.fell_back),
                count(step.skipped),
                step.asked.as_ref().map(ToString::to_string).unwrap_or_default(),
                source(name).unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    let header = [
        "step",
        "",
        "took",
        "waited",
        "changed",
        "verified",
        "failed",
        "fell back",
        "skipped",
        "waits for",
        "duration",
    ];
    let kept: Vec<usize> = (0..header.len()).filter(|column| rows.iter().any(|row| !row[*column].is_empty())).collect();
    let mut shown = table(output);
    shown.set_header(kept.iter().map(|column| header[*column]));
    for row in &rows {
        shown.add_row(kept.iter().map(|column| &row[*column]));
    }
    output.line("");
    output.drawing(shown);
}

/// What a run that counts as good has achieved.
pub(super) fn within(plan: &Plan) -> &'static str {
    if plan.objectives.is_empty() { "rolled back" } else { "within the objectives" }
}

/// Several scenarios beside each other.
pub(super) fn matrix(plan: &Plan, acts: &[Act], output: Output) {
    if output.json || acts.len() < 2 {
        return;
    }
    let mut shown = table(output);
    shown.set_header(["scenario", within(plan), "outcomes", "total p95"]);
    for act in acts {
        let time = |seconds: f64| text::duration(Duration::from_secs_f64(seconds));
        let (within, outcomes, total) = match &act.came {
            Came::Report(report) => (
                if report.verdict.within_objectives { "yes" } else { "no" }.to_owned(),
                text::words(report.outcome.as_str()),
                report.times.total.map(text::duration),
            ),
            Came::Distribution(found) => {
                let share = |(outcome, counted): (&Outcome, &Counted)| {
                    format!("{} {}", text::words(outcome.as_str()), percent(counted.runs, found.runs))
                };
                let outcomes: Vec<String> = found.outcomes.iter().map(share).collect();
                let total = found.total.map(|total| time(total.p95_s));
                (percent(found.within_objectives, found.runs), outcomes.join(", "), total)
            }
        };
        // The name of a file, or a text of it.
        let name = visible::line(act.scenario.as_ref().unwrap_or(&act.summary)).into_owned();
        shown.add_row([name, within, outcomes, total.unwrap_or_default()]);
    }
    output.line("");
    output.drawing(shown);
}

fn row(name: &str, quantiles: Option<Quantiles>, objective: Option<Duration>, output: Output) {
    let Some(Quantiles { p50_s, p95_s, worst_s }) = quantiles else { return };
    let cell = |seconds: f64| {
        let time = Duration::from_secs_f64(seconds);
        let style = if objective.is_some_and(|objective| time > objective) { output.bad() } else { output.plain() };
        style.apply_to(format!("{:>9}", text::duration(time))).to_string()
    };
    let objective = objective.map_or(String::new(), text::duration);
    output.line(format_args!("  {name:<11}{}{}{}{objective:>12}", cell(p50_s), cell(p95_s), cell(worst_s)));
}

/// Never rounded up to all, nor down to none.
fn percent(part: usize, whole: usize) -> String {
    let share = 100.0 * part as f64 / whole.max(1) as f64;
    match (part, whole) {
        (0, _) => "0%".to_owned(),
        (part, whole) if part == whole => "100%".to_owned(),
        _ => format!("{:.1}%", share.clamp(0.1, 99.9)),
    }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_share_is_all_only_when_it_is() {
        assert_eq!(
            [percent(0, 9), percent(9999, 10_000), percent(1, 3), percent(3, 3)],
            ["0%", "99.9%", "33.3%", "100%"]
        );
    }
}
