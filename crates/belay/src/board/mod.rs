//! The board: a migration as a person reads it at a glance. Pure: from a document to lines.

mod commands;
mod guard;
mod needs;
mod run;

pub(crate) use self::{
    commands::{Act, Commands},
    needs::{draw as draw_needs, of_step as need},
};

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    document::Migration,
    output::Output,
    paint::{self, Style},
    text,
};

/// How it is to look.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) output: Output,
    /// Columns of the terminal; without one nothing is cut.
    pub(crate) width: Option<usize>,
    /// Turns what is under way, where the picture moves.
    pub(crate) frame: Option<usize>,
    pub(crate) zone: TimeZone,
    /// Where a person's commands are taken; elsewhere none are shown.
    pub(crate) commands: Option<Commands>,
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Each trigger, signal and step by itself.
    Full,
    /// What is as it should be is only counted.
    Short,
    /// Only the run: whoever waits for it has asked for nothing else.
    Run,
}

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const BAR_WIDTH: usize = 16;
/// Long texts are easier to read in columns that are not too wide.
const TEXT_WIDTH_MAX: usize = 110;

/// The lines of a migration.
pub(crate) fn draw(migration: &Migration, detail: Detail, look: &Look) -> Vec<String> {
    let mut lines = Vec::new();
    if detail != Detail::Run {
        lines.extend(guard::head(migration, look));
        lines.extend(guard::watch(migration, detail, look));
        lines.extend(guard::incident(migration, look));
    }
    if let Some(run) = &migration.run {
        lines.extend(run::draw(run, migration.now, look));
    }
    let quiet = migration.open_run().is_none() && migration.waiting_for.is_empty();
    if detail == Detail::Full || !quiet {
        lines.extend(needs::draw(migration, look));
    }
    lines
}

impl Look {
    /// Cut to the width of the terminal.
    fn fit(&self, line: &str) -> String {
        paint::cut(&paint::line(line.trim_end()), self.width.unwrap_or(usize::MAX))
    }

    /// Rows whose columns stand below each other; the last column takes what is left.
    fn columns<const N: usize>(&self, indent: usize, rows: Vec<[String; N]>) -> Vec<String> {
        let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| paint::line(&cell))).collect();
        let width = |column: usize| rows.iter().map(|row| paint::width(&row[column])).max().unwrap_or_default();
        let widths: Vec<usize> = (0..N).map(width).collect();
        let line = |row: [String; N]| {
            let mut line = " ".repeat(indent);
            for (column, cell) in row.iter().enumerate() {
                if widths[column] > 0 {
                    let gap = if column + 1 == N { 0 } else { widths[column] + 2 - paint::width(cell) };
                    line.push_str(&format!("{cell}{:gap$}", ""));
                }
            }
            self.fit(&line)
        };
        rows.into_iter().map(line).collect()
    }

    /// A text over as many lines as it takes; those after the first stand further in.
    fn wrap(&self, indent: usize, lead: &str, what: &str, style: Style) -> Vec<String> {
        let lead = paint::line(lead);
        let whole = self.width.unwrap_or(TEXT_WIDTH_MAX).min(TEXT_WIDTH_MAX);
        let hang = indent + paint::width(&lead);
        if hang > whole / 2 {
            return self.wrap(indent, "", &format!("{lead}{what}"), style);
        }
        let width = whole.saturating_sub(hang);
        let rows = if what.trim().is_empty() { Vec::new() } else { text::rows(what, width) };
        let row = |(index, row): (usize, &String)| match index {
            0 => format!("{:indent$}{lead}{}", "", style.apply_to(row)),
            _ => format!("{:hang$}{}", "", style.apply_to(row)),
        };
        rows.iter().enumerate().map(row).collect()
    }

    /// Short texts beside each other, each whole in its line.
    fn wrap_whole(&self, indent: usize, items: &[String], style: Style) -> Vec<String> {
        const BETWEEN: &str = " · ";
        let width = self.width.unwrap_or(TEXT_WIDTH_MAX).min(TEXT_WIDTH_MAX).saturating_sub(indent);
        let mut rows: Vec<String> = Vec::new();
        for item in items.iter().map(|item| paint::line(item)) {
            match rows.last_mut() {
                Some(row) if paint::width(row) + paint::width(&item) + BETWEEN.len() < width => {
                    *row = format!("{row}{BETWEEN}{item}");
                }
                last => {
                    last.into_iter().for_each(|row| row.push_str(BETWEEN.trim_end()));
                    // One that is longer than a line takes several: nothing of it is lost.
                    rows.extend(text::rows(&item, width.saturating_sub(BETWEEN.len())));
                }
            }
        }
        rows.iter().map(|row| format!("{:indent$}{}", "", style.apply_to(row))).collect()
    }

    /// `━━━━━━╌╌╌╌`
    fn bar(&self, fraction: f64, style: Style) -> String {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the width")]
        #[expect(clippy::cast_precision_loss, reason = "a handful of columns")]
        let filled = (fraction.clamp(0.0, 1.0) * BAR_WIDTH as f64).round() as usize;
        let rest = self.output.dim().apply_to("╌".repeat(BAR_WIDTH - filled)).to_string();
        format!("{}{rest}", style.apply_to("━".repeat(filled)))
    }

    /// What is under way turns.
    fn spinner(&self) -> &'static str {
        self.frame.map_or("▸", |frame| SPINNER[frame % SPINNER.len()])
    }

    /// `22:01:03`, with its day if that is not today.
    fn clock_time(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), now.to_zoned(self.zone.clone()));
        let form = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        at.strftime(form).to_string()
    }

    /// A short rule between what happened and what is.
    pub(crate) fn rule(&self) -> String {
        self.output.dim().apply_to("─".repeat(self.width.unwrap_or(TEXT_WIDTH_MAX).min(TEXT_WIDTH_MAX))).to_string()
    }
}

/// How long ago, or how long since.
fn age(since: Timestamp, now: Timestamp) -> String {
    text::duration(text::between(since, now))
}

fn seconds(seconds: f64) -> String {
    text::duration(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
