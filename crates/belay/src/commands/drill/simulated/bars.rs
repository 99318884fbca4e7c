//! When each step is under way: a bar for each, from p50 of its start to p95 of its end, for each scenario. What makes a run as long
//! as it is stands out.

use std::{fmt::Write, time::Duration};

use belay_plan::visible::in_svg;
use belay_sim::rehearsal::{Distribution, StepDistribution};

use super::{
    Act, Came,
    svg::{LEFT as MARGIN, RIGHT, WIDTH, mark},
};
use crate::text;

/// Where the bars begin: before them stand the names of the steps.
const LEFT: f64 = 200.0;
/// A step.
const ROW: f64 = 24.0;
const BAR: f64 = 14.0;
/// The title above, and the times below.
const ABOVE: f64 = 62.0;
const BELOW: f64 = 40.0;

/// Longer names are cut: about so many letters have room.
const NAME_MAX: usize = 26;

fn played(acts: &[Act]) -> impl Iterator<Item = (&Act, &Distribution)> {
    acts.iter().filter_map(|act| match &act.came {
        Came::Distribution(found) if found.steps.values().any(|step| step.began.is_some()) => Some((act, &**found)),
        _ => None,
    })
}

/// How much room the bars of all scenarios take.
pub(super) fn height(acts: &[Act]) -> f64 {
    played(acts).map(|(_, found)| ABOVE + ROW * found.steps.len() as f64 + BELOW).sum()
}

pub(super) fn draw(svg: &mut String, acts: &[Act], top: f64) {
    let ends = played(acts).flat_map(|(_, found)| found.steps.values().filter_map(|step| step.ended));
    let longest_s = ends.map(|ended| ended.p95_s).fold(1.0, f64::max) * 1.05;
    let x = |seconds: f64| LEFT + seconds / longest_s * (WIDTH - LEFT - RIGHT);
    let mut top = top;
    // Writing to a string cannot fail, here and below.
    for (act, found) in played(acts) {
        let (first, last) = (top + ABOVE, top + ABOVE + ROW * found.steps.len() as f64);
        let title = format!("Steps: {}", act.summary.trim_end_matches('.'));
        let _ = writeln!(svg, "<text class=\"title\" x=\"{MARGIN}\" y=\"{:.1}\">{}</text>", top + 22.0, in_svg(&title));
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{:.1}\">From p50 of the start to p50 (full) and p95 (pale) of the end; orange: on the longest way in most runs</text>",
            top + 42.0
        );
        let mut at = 0.0;
        while at <= longest_s {
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{:.1} {first:.1}V{last:.1}\"/>", x(at));
            let label = text::duration(Duration::from_secs_f64(at));
            let _ = writeln!(svg, "<text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>", x(at), last + 18.0);
            at += mark(longest_s * 1.2);
        }
        for (row, (name, step)) in found.steps.iter().enumerate() {
            bar(svg, name, step, found.runs, first + ROW * row as f64, &x);
        }
        top = last + BELOW;
    }
}

fn bar(svg: &mut String, name: &str, step: &StepDistribution, runs: usize, y: f64, x: &dyn Fn(f64) -> f64) {
    let name = match name.char_indices().nth(NAME_MAX) {
        Some((cut, _)) => format!("{}…", &name[..cut]),
        None => name.to_owned(),
    };
    let _ = writeln!(
        svg,
        "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        LEFT - 8.0,
        y + ROW / 2.0 + 4.0,
        in_svg(&name)
    );
    let (Some(began), Some(ended)) = (step.began, step.ended) else { return };
    let class = if step.critical * 2 > runs { "slow" } else { "quick" };
    let from = x(began.p50_s);
    for (class, to) in [(format!("{class} till95"), ended.p95_s), (class.to_owned(), ended.p50_s)] {
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>",
            y + (ROW - BAR) / 2.0,
            (x(to) - from).max(1.5)
        );
    }
}
