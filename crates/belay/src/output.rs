//! What people and programs get to see. Nothing else in this crate writes to standard output or standard error.

use std::{
    fmt::Display,
    io::{IsTerminal, Write, stderr, stdin, stdout},
};

use console::Style;
use serde::Serialize;
use serde_json::json;

use crate::{
    exit::{Failure, Refused},
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

    /// A line or several for a person; nothing with `--json`.
    pub(crate) fn line(self, text: impl Display) {
        if !self.json {
            let text = text.to_string();
            let text = self.width().map_or(text.clone(), |width| text::wrap(&text, width));
            write_line(&mut stdout().lock(), &text);
        }
    }

    /// The same, wrapped where there is no terminal, too: for long reports that people read from a file or a pipe.
    pub(crate) fn page(self, text: impl Display) {
        if !self.json {
            let text = text::wrap(&text.to_string(), self.page_width());
            write_line(&mut stdout().lock(), &text);
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
        self.raw(&format!("{:#}", json!(document)));
    }

    /// One JSON line of a stream.
    pub(crate) fn json_line(self, document: &impl Serialize) {
        self.raw(&json!(document).to_string());
    }

    /// What has its own layout, on standard error.
    pub(crate) fn drawn(self, text: impl Display) {
        write_line(&mut stderr().lock(), &text.to_string());
    }

    /// A remark beside the answer, on standard error.
    pub(crate) fn note(self, text: impl Display) {
        let terminal = console::Term::stderr();
        let text = text.to_string();
        let width = terminal.is_term().then(|| usize::from(terminal.size().1).max(WIDTH_MIN));
        let text = width.map_or(text.clone(), |width| text::wrap(&text, width));
        write_line(&mut stderr().lock(), &text);
    }

    /// A failure: what, why, what to do next.
    pub(crate) fn failure(self, failure: &Failure) {
        let red = style(self.colour_errors).red().bold();
        let dim = style(self.colour_errors).dim();
        let mut text = format!("{} {}", red.apply_to("error:"), failure.error);
        for cause in failure.causes() {
            text.push_str(&format!("\n  {} {cause}", dim.apply_to("because:")));
        }
        let cyan = style(self.colour_errors).cyan();
        match &failure.help {
            Some(help) => text.push_str(&format!("\n  {} {help}", cyan.apply_to("next:"))),
            None if !failure.acts.is_empty() => text.push_str(&format!("\n  {}", cyan.apply_to("next:"))),
            None => {}
        }
        let refused = failure.refused.as_deref();
        if let Some(Refused { state, possible, .. }) = refused.filter(|_| failure.acts.is_empty())
            && !possible.is_empty()
        {
            let what = format!("possible while {}:", text::words(state));
            text.push_str(&format!("\n  {} {}", dim.apply_to(what), possible.join(", ")));
        }
        let width = failure.acts.iter().map(|act| act.label.len()).max().unwrap_or_default();
        for act in &failure.acts {
            let label = dim.apply_to(format!("{:width$}", act.label));
            text.push_str(&format!("\n    {label}  {}", cyan.apply_to(&act.command)));
        }
        self.note(text);
        if self.json {
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

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    stdin().is_terminal()
}

fn style(colour: bool) -> Style {
    Style::new().force_styling(colour)
}

/// A reader that has gone away must not end a rollback, so a failed write is not an error here.
fn write_line(to: &mut impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
    let _ = to.flush();
}
