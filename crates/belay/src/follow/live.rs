//! The part of a terminal that is drawn anew again and again, with lines above it that stay.

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::paint;

pub(crate) struct Live(ProgressBar);

fn shown(rows: &[String]) -> String {
    rows.iter().map(|row| paint::shown(row)).collect::<Vec<_>>().join("\n")
}

/// The last lines, and how many there are above them.
fn fitting(lines: &[String], rows: usize) -> Vec<String> {
    let Some(cut) = lines.len().checked_sub(rows).filter(|cut| *cut > 0) else { return lines.to_vec() };
    let more = format!("  +{} more lines above: `belay status` shows them", cut + 1);
    std::iter::once(more).chain(lines[cut + 1..].iter().cloned()).collect()
}

impl Live {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        let style = ProgressStyle::with_template("{msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self(bar)
    }

    /// What does not fit on the screen is cut at its top: what waits for somebody stands at the end.
    pub(crate) fn show(&self, lines: &[String]) {
        let rows = usize::from(Term::stdout().size().0).saturating_sub(1).max(1);
        self.0.set_message(shown(&fitting(lines, rows)));
    }

    /// Rows above the picture.
    pub(crate) fn rows(&self, rows: &[String]) {
        self.0.println(shown(rows));
    }

    /// Takes the picture off while something else has the terminal.
    pub(crate) fn suspend<T>(&self, action: impl FnOnce() -> T) -> T {
        self.0.suspend(action)
    }

    /// Takes the picture off for good.
    pub(crate) fn clear(self) {
        self.0.finish_and_clear();
    }

    /// Leaves the last picture standing.
    pub(crate) fn finish(self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_counted() {
        let lines: Vec<String> = (1..=5).map(|line| format!("line {line}")).collect();
        assert_eq!(fitting(&lines, 5), lines);
        assert_eq!(fitting(&lines, 3), ["  +3 more lines above: `belay status` shows them", "line 4", "line 5"]);
    }
}
