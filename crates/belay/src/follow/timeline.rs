//! What mattered, counted from a moment.

use belay_core::event::{Event, Record};
use belay_narrate::{Narrator, Tone};
use jiff::Timestamp;

use crate::{follow::row, output::Output, text};

/// Columns of the time.
const TIME: usize = 8;

/// A line for each record that is more than machinery, without the first `left_out`; what was before `from` stands with a minus.
pub(crate) fn timeline(records: &[Record], left_out: usize, from: Timestamp, output: Output) {
    let mut narrator = Narrator::default();
    let lines = records.iter().map(|record| (record, narrator.line(record, &text::clock_time)));
    for (record, line) in lines.skip(left_out) {
        let Some(line) = line.filter(|line| line.tone != Tone::Quiet) else { continue };
        if matches!(record.event, Event::Commanded { .. }) && record.at < from {
            continue; // what came of it stands below
        }
        let after = match record.at < from {
            true => format!("-{}", text::duration(text::between(record.at, from))),
            false => text::duration(text::between(from, record.at)),
        };
        row::rows_at(&line, &format!("{after:>TIME$}"), output).iter().for_each(|row| output.line(row));
    }
}
