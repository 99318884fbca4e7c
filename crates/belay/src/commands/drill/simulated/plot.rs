//! A histogram for a terminal.

use std::time::Duration;

use crate::{output::Output, text};

/// Lines of the histogram, at most.
const BINS_MAX: u64 = 16;

/// The longest bar, in columns.
const BAR: usize = 40;

/// Widths of bins that people can count with, in seconds.
const WIDTHS: [u64; 17] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/// One line a bin; what lies beyond the objective is marked.
pub(super) fn histogram(times: &[Duration], objective: Option<Duration>, output: Output) -> Vec<String> {
    let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) else { return Vec::new() };
    let width = bin_width(least.as_secs(), most.as_secs());
    let first = least.as_secs() / width;
    let mut bins = vec![0_usize; usize::try_from(most.as_secs() / width - first + 1).unwrap_or(1)];
    for time in times {
        bins[usize::try_from(time.as_secs() / width - first).unwrap_or(0)] += 1;
    }
    let fullest = bins.iter().copied().max().unwrap_or(1).max(1);
    let block = if output.terminal { "█" } else { "#" };
    let mut lines = Vec::new();
    let mut passed = false;
    for (number, count) in (first..).zip(bins) {
        let from = Duration::from_secs(number * width);
        if let Some(objective) = objective.filter(|objective| !passed && *objective <= from) {
            lines.push(rule(objective, output));
            passed = true;
        }
        // What is there is seen, however little.
        let length = (count * BAR).div_ceil(fullest);
        let late = objective.is_some_and(|objective| objective <= from);
        let style = if late { output.bad() } else { output.good() };
        let bar = style.apply_to(block.repeat(length));
        let pad = " ".repeat(BAR - length);
        lines.push(format!("  {:>8} {bar}{pad} {count:>6}", text::duration(from)));
    }
    if let Some(objective) = objective.filter(|_| !passed) {
        lines.push(rule(objective, output));
    }
    lines
}

fn rule(objective: Duration, output: Output) -> String {
    let text = format!("{:>8} {} rto", text::duration(objective), "-".repeat(BAR + 3));
    format!("  {}", output.warn().apply_to(text))
}

fn bin_width(least: u64, most: u64) -> u64 {
    let fits = |width: &u64| most / width - least / width < BINS_MAX;
    WIDTHS.into_iter().find(fits).unwrap_or_else(|| ((most - least) / BINS_MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_run_and_the_objective_stands_between_them() {
        let times: Vec<Duration> = [61, 62, 64, 119, 121, 130].map(Duration::from_secs).to_vec();
        let lines = histogram(&times, Some(Duration::from_secs(120)), Output::plain_text());
        let counted: usize = lines
            .iter()
            .filter(|line| !line.contains("rto"))
            .map(|line| line.split_whitespace().next_back().unwrap().parse::<usize>().unwrap())
            .sum();
        assert_eq!(counted, 6, "{lines:#?}");
        let rule = lines.iter().position(|line| line.contains("rto")).unwrap();
        assert!(lines[rule + 1].contains("2m 00s"), "{lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
        assert_eq!(histogram(&[Duration::from_secs(5)], None, Output::plain_text()).len(), 1);
    }
}
