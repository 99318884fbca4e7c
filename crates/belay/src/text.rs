//! Small texts that several commands write.

use std::{borrow::Cow, time::Duration};

use belay_engine::LossView;
pub(crate) use belay_report::words::{between, count, difference, duration, job, words};
use jiff::{Timestamp, tz::TimeZone};

use crate::paint;

/// What would be lost, against the objective: `12m 05s of data, more than the rpo of 5m 00s`.
pub(crate) fn loss(loss: &LossView) -> String {
    let time = |seconds: u64| duration(Duration::from_secs(seconds));
    match (loss.now_s.map(time), loss.rpo_s.map(time)) {
        (None, _) => "unknown".to_owned(),
        (Some(now), Some(rpo)) if loss.is_over() => format!("{now} of data, more than the rpo of {rpo}"),
        (Some(now), Some(rpo)) => format!("{now} of data, within the rpo of {rpo}"),
        (Some(now), None) => format!("{now} of data"),
    }
}

/// `14:03:07`, in the time zone of whoever reads it.
pub(crate) fn clock_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// A word of a command line, as a shell reads it back.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:,=@%+".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Broken between words alone: names have hyphens, and nobody can copy half a name.
pub(crate) fn wrapping(width: usize) -> textwrap::Options<'static> {
    textwrap::Options::new(width).word_splitter(textwrap::WordSplitter::NoHyphenation)
}

/// A text in rows no wider than this.
pub(crate) fn rows(text: &str, width: usize) -> Vec<String> {
    let mut rows = Vec::new();
    for line in paint::lines(text) {
        rows.extend(textwrap::wrap(&line, wrapping(width)).into_iter().map(Cow::into_owned));
    }
    rows
}

/// Lines no wider than this; what goes on in a next line stands two columns further in.
pub(crate) fn wrap(text: &str, width: usize) -> String {
    let wrapped = text.split('\n').map(|line| {
        let indent = line.len() - line.trim_start_matches(' ').len() + 2;
        textwrap::fill(line, wrapping(width).subsequent_indent(&" ".repeat(indent)))
    });
    wrapped.collect::<Vec<_>>().join("\n")
}

/// A remark on a place of a file, its sentences no wider than this: what happened, and the help. The lines of the file and the marks
/// below them stay as they are.
pub(crate) fn wrap_remark(remark: &str, width: usize) -> String {
    let wrapped = remark.split('\n').enumerate().map(|(index, row)| {
        let plain = console::strip_ansi_codes(row);
        let help = plain.find("= help: ").filter(|at| plain[..*at].trim().is_empty()).map(|at| at + "= help: ".len());
        match (index, help) {
            (0, _) => textwrap::fill(row, wrapping(width).subsequent_indent("  ")),
            (_, Some(indent)) => textwrap::fill(row, wrapping(width).subsequent_indent(&" ".repeat(indent))),
            _ => row.to_owned(),
        }
    });
    wrapped.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_held_against_the_objective() {
        let told = |now_s, rpo_s| loss(&LossView { now_s, rpo_s, basis: String::new() });
        assert_eq!(told(Some(725), Some(300)), "12m 05s of data, more than the rpo of 5m 00s");
        assert_eq!(told(Some(300), Some(300)), "5m 00s of data, within the rpo of 5m 00s");
        assert_eq!(told(Some(0), None), "0s of data");
        assert_eq!(told(None, Some(300)), "unknown");
    }

    #[test]
    fn the_sentences_of_a_remark_are_wrapped_and_its_lines_of_the_file_are_not() {
        let file = " --> shop.yaml:12:3\n  |\n12 |   db_back: { action: rds.restore }\n  |   ^^^^^^^\n  |";
        let remark = format!(
            "finding: nobody is asked before the data is lost\n{file}\n  = help: ask a person who may decide it"
        );
        let first = "finding: nobody is asked\n  before the data is lost";
        let wrapped = format!("{first}\n{file}\n  = help: ask a person who\n          may decide it");
        assert_eq!(wrap_remark(&remark, 26), wrapped);
        assert_eq!(wrap_remark(&remark, 80), remark);
    }

    #[test]
    fn lines_are_broken_between_words() {
        let text = "changed:\n  the-listener-of-checkout: blue 0 -> 100";
        assert_eq!(wrap(text, 30), "changed:\n  the-listener-of-checkout:\n    blue 0 -> 100");
        assert_eq!(wrap(text, 80), text);
    }
}
