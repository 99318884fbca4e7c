//! What is told of an event, and for whom.

use std::fmt;

use belay_plan::visible;
use serde::Serialize;
use utoipa::ToSchema;

use crate::words;

/// Characters of a text. The journal has the whole of what is cut.
const CHARS_MAX: usize = 1000;

/// Whether an event is good or bad for the system: the colour of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    Plain,
    Quiet,
    Good,
    Warn,
    Bad,
}

/// Who has to hear of it. Each includes those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Nobody as a line: what it is for shows elsewhere.
    Machines,
    /// Whoever searches for a cause afterwards: the log has it.
    Log,
    /// Whoever follows the migration: terminal and report have it, too.
    Followers,
    /// Whoever is on call: a warning in the log.
    OnCall,
    /// A person has to act: an error in the log.
    Responsible,
}

/// An event in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The step, signal, trigger, source or item; empty for the migration itself.
    pub subject: String,
    /// What has become of the subject, and why. With a subject it goes on behind it (`dns_back: done`); without one it begins
    /// with what it is about.
    pub text: String,
    /// The text without its reasons: it fits beside a mark in a picture.
    pub brief: String,
    pub tone: Tone,
    pub audience: Audience,
    /// The command that comes next: for the log, since everybody else sees what is possible beside the lines.
    pub next: Option<&'static str>,
}

impl Told {
    /// For followers, neither good nor bad. `what` is the whole of it until [`Told::because`] adds a reason.
    pub(crate) fn of(subject: &str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self {
            subject: subject.to_owned(),
            text: what.clone(),
            brief: what,
            tone: Tone::Plain,
            audience: Audience::Followers,
            next: None,
        }
    }

    /// Of the migration itself.
    pub(crate) fn that(what: impl Into<String>) -> Self {
        Self::of("", what)
    }

    pub(crate) fn because(self, why: &str) -> Self {
        Self { text: words::with_why(&self.text, why), ..self }
    }

    pub(crate) fn brief(self, brief: impl Into<String>) -> Self {
        Self { brief: brief.into(), ..self }
    }

    pub(crate) fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    pub(crate) fn good(self) -> Self {
        self.toned(Tone::Good)
    }

    pub(crate) fn warn(self) -> Self {
        self.toned(Tone::Warn)
    }

    pub(crate) fn bad(self) -> Self {
        self.toned(Tone::Bad)
    }

    pub(crate) fn quiet(self) -> Self {
        self.toned(Tone::Quiet)
    }

    pub(crate) fn to(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    pub(crate) fn next(self, next: &'static str) -> Self {
        Self { next: Some(next), ..self }
    }

    /// Names, reasons and evidence come from outside: each text is one line of bounded length, without control characters.
    pub(crate) fn fitted(self) -> Self {
        Self { subject: fitted(&self.subject), text: fitted(&self.text), brief: fitted(&self.brief), ..self }
    }

    /// `dns_back: FAILED`
    pub fn in_brief(&self) -> String {
        match self.subject.as_str() {
            "" => self.brief.clone(),
            subject => format!("{subject}: {}", self.brief),
        }
    }

    /// As the log has it: the line that everybody gets, and what to do about it.
    pub fn in_log(&self) -> String {
        match self.next {
            Some(next) => format!("{self}; {next}"),
            None => self.to_string(),
        }
    }
}

/// `dns_back: done`
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject.as_str() {
            "" => f.write_str(&self.text),
            subject => write!(f, "{subject}: {}", self.text),
        }
    }
}

fn fitted(text: &str) -> String {
    let text = visible::line(text.trim_end());
    match text.char_indices().nth(CHARS_MAX) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}... ({} more characters)", &text[..end], text[end..].chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_and_has_an_end() {
        let told = Told::of("dns\u{1b}[2J", "failed").because("a\r\nb\n").fitted();
        assert_eq!((told.subject.as_str(), told.text.as_str()), ("dns␛[2J", "failed: a␍␊b"));
        let long = Told::that("é".repeat(CHARS_MAX + 7)).fitted();
        assert!(long.text.ends_with("é... (7 more characters)"), "{long}");
    }
}
