//! What people and programs get to see. Nothing else in this crate writes to standard output or standard error.

use std::{
    fmt::Display,
    io::{IsTerminal, Write, stderr, stdin, stdout},
};

use serde::Serialize;
use serde_json::json;

use crate::{
    exit::{Failure, Refused},
    paint::{self, Style},
    text,
};

/// Narrower than this nothing can be shown.
const WIDTH_MIN: usize = 40;

/// Columns of a report where there is no terminal.
const PAGE_WIDTH: usize = 100;

/// How this process talks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    /// Colour, tables and bars on standard output.
    pub(crate) terminal: bool,
    pub(crate) colour: bool,
    colour_errors: bool,
}

impl Output {
    pub(crate) fn detect(json: bool) -> Self {
        // https://no-color.org: present and not empty.
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = !json && stdout().is_terminal() && !dumb;
        Self {
            json,
            terminal,
            colour: terminal && !no_colour,
            colour_errors: stderr().is_terminal() && !no_colour && !dumb,
        }
    }

    #[cfg(test)]
    pub(crate) fn plain_text() -> Self {
        Self { json: false, terminal: false, colour: false, colour_errors: false }
    }

    /// Columns of the terminal; none without one.
    pub(crate) fn width(self) -> Option<usize> {
        let terminal = console::Term::stdout();
        self.terminal.then(|| usize::from(terminal.size().1).max(WIDTH_MIN))
    }

    /// A line for a person, in several rows where it is longer than the terminal is wide; nothing with `--json`.
    pub(crate) fn line(self, text: impl Display) {
        if !self.json {
            write_wrapped(&mut stdout().lock(), &text.to_string(), self.width());
        }
    }

    /// What has its own layout, on standard output.
    pub(crate) fn drawing(self, drawing: impl Display) {
        if !self.json {
            write_line(&mut stdout().lock(), &paint::drawn(&drawing.to_string()));
        }
    }

    /// The same, wrapped where there is no terminal, too: for long reports that people read from a file or a pipe.
    pub(crate) fn page(self, text: impl Display) {
        if !self.json {
            write_wrapped(&mut stdout().lock(), &text.to_string(), Some(self.page_width()));
        }
    }

    /// Columns of a report.
    pub(crate) fn page_width(self) -> usize {
        self.width().unwrap_or(PAGE_WIDTH)
    }

    /// Text as it is, for programs and pipes too.
    pub(crate) fn raw(self, text: &str) {
        write_line(&mut stdout().lock(), text.trim_end_matches('\n'));
    }

    /// One JSON document, pretty: the whole answer.
    pub(crate) fn document(self, document: &impl Serialize) {
        self.raw(&paint::json(&format!("{:#}", json!(document))));
    }

    /// One JSON line of a stream.
    pub(crate) fn json_line(self, document: &impl Serialize) {
        self.raw(&paint::json(&json!(document).to_string()));
    }

    /// What has its own layout, on standard error.
    pub(crate) fn drawn_note(self, text: impl Display) {
        write_line(&mut stderr().lock(), &paint::drawn(&text.to_string()));
    }

    /// A remark beside the answer, a line on standard error.
    pub(crate) fn note(self, text: impl Display) {
        write_wrapped(&mut stderr().lock(), &text.to_string(), stderr_width());
    }

    /// An empty line between the parts of a remark, where the answer stands between them on the same terminal.
    pub(crate) fn gap(self) {
        if self.terminal {
            self.note("");
        }
    }

    /// The same, each row behind a label: where another program writes to standard error, too.
    pub(crate) fn labelled_note(self, label: &str, text: impl Display) {
        let width = stderr_width().map(|width| width.saturating_sub(label.len()).max(WIDTH_MIN));
        for line in paint::lines(&text.to_string()) {
            let rows = width.map_or(line.clone(), |width| text::wrap(&line, width));
            rows.split('\n').for_each(|row| write_line(&mut stderr().lock(), &paint::shown(&format!("{label}{row}"))));
        }
    }

    /// As it is where everything goes to standard error: in its colours, and for no width.
    pub(crate) fn for_errors(self) -> Self {
        Self { terminal: false, colour: self.colour_errors, ..self }
    }

    /// A failure: what, why, what to do next.
    pub(crate) fn failure_lines(self, failure: &Failure) -> Vec<String> {
        let red = style(self.colour_errors).red().bold();
        let dim = style(self.colour_errors).dim();
        let cyan = style(self.colour_errors).cyan();
        let mut lines = vec![format!("{} {}", red.apply_to("error:"), failure.error)];
        lines.extend(failure.causes().iter().map(|cause| format!("  {} {cause}", dim.apply_to("because:"))));
        match &failure.help {
            Some(help) => lines.push(format!("  {} {help}", cyan.apply_to("next:"))),
            None if !failure.acts.is_empty() => lines.push(format!("  {}", cyan.apply_to("next:"))),
            None => {}
        }
        if let Some(Refused { state, possible, .. }) = failure.refused.as_deref().filter(|_| failure.acts.is_empty())
            && !possible.is_empty()
        {
            let what = format!("possible while {}:", text::words(state));
            lines.push(format!("  {} {}", dim.apply_to(what), possible.join(", ")));
        }
        let width = failure.acts.iter().map(|act| act.label.len()).max().unwrap_or_default();
        lines.extend(failure.acts.iter().map(|act| {
            let label = dim.apply_to(format!("{:width$}", act.label));
            format!("    {label}  {}", cyan.apply_to(&act.command))
        }));
        lines
    }

    /// Shows a failure; with `--json` on standard output, too.
    pub(crate) fn failure(self, failure: &Failure) {
        self.failure_lines(failure).iter().for_each(|line| self.note(line));
        if self.json {
            let refused = failure.refused.as_deref();
            self.json_line(&json!({ "error": {
                "exit": failure.exit as u8,
                "kind": failure.exit,
                "what": failure.error.to_string(),
                "why": failure.causes(),
                "help": failure.help,
                "state": refused.map(|refused| &refused.state),
                "possible": refused.map(|refused| &refused.possible),
                "commands": failure.acts.iter().map(|act| &act.command).collect::<Vec<_>>(),
            }}));
        }
    }

    pub(crate) fn colour_errors(self) -> bool {
        self.colour_errors
    }

    pub(crate) fn plain(self) -> Style {
        style(self.colour)
    }

    pub(crate) fn bold(self) -> Style {
        style(self.colour).bold()
    }

    pub(crate) fn dim(self) -> Style {
        style(self.colour).dim()
    }

    pub(crate) fn good(self) -> Style {
        style(self.colour).green()
    }

    pub(crate) fn bad(self) -> Style {
        style(self.colour).red()
    }

    pub(crate) fn warn(self) -> Style {
        style(self.colour).yellow()
    }

    pub(crate) fn accent(self) -> Style {
        style(self.colour).cyan()
    }
}

/// Columns of the terminal that errors go to; none without one.
fn stderr_width() -> Option<usize> {
    let terminal = console::Term::stderr();
    terminal.is_term().then(|| usize::from(terminal.size().1).max(WIDTH_MIN))
}

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    stdin().is_terminal()
}

/// The same beside an answer: the question goes to standard error, and somebody has to see it.
pub(crate) fn can_ask_aside() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

fn style(colour: bool) -> Style {
    Style::new(colour)
}

/// A line, in rows no longer than `width`.
fn write_wrapped(to: &mut impl Write, text: &str, width: Option<usize>) {
    for line in paint::lines(text) {
        let rows = width.map_or(line.clone(), |width| text::wrap(&line, width));
        rows.split('\n').for_each(|row| write_line(to, &paint::shown(row)));
    }
}

/// A reader that has gone away must not end a rollback, so a failed write is not an error here. One write a line: others
/// may write to the same terminal or pipe.
fn write_line(to: &mut impl Write, text: &str) {
    let _ = to.write_all(format!("{text}\n").as_bytes());
    let _ = to.flush();
}
