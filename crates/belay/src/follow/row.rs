//! A line of what happened, on a terminal.

use belay_narrate::{Line, Tone};

use crate::{output::Output, paint, text};

/// With the time of the day.
pub(crate) fn rows(line: &Line, output: Output) -> Vec<String> {
    rows_at(line, &text::clock_time(line.at), output)
}

/// With the time in these words. What does not fit beside it goes on below itself.
pub(crate) fn rows_at(line: &Line, at: &str, output: Output) -> Vec<String> {
    let style = match line.tone {
        Tone::Plain => output.plain(),
        Tone::Quiet => output.dim(),
        Tone::Good => output.good(),
        Tone::Warn => output.warn(),
        Tone::Bad => output.bad(),
    };
    let subject = if line.subject.is_empty() { String::new() } else { paint::line(&format!("{}: ", line.subject)) };
    let hang = at.len() + 2;
    let width = output.width().map_or(usize::MAX, |width| width.saturating_sub(hang));
    let rows = text::rows(&format!("{subject}{}", line.text), width);
    let row = |(index, row): (usize, &String)| match row.strip_prefix(&subject).filter(|_| index == 0) {
        Some(rest) => {
            let (at, subject) = (output.dim().apply_to(at), output.bold().apply_to(&subject));
            format!("{at}  {subject}{}", style.apply_to(rest))
        }
        None => format!("{:hang$}{}", "", style.apply_to(row)),
    };
    rows.iter().enumerate().map(row).collect()
}
