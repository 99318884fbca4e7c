//! Small texts that several commands write.

use std::{borrow::Cow, time::Duration};

use belay_core::change::Report;
use belay_engine::LossView;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use crate::paint;

/// `12s`, `1m 05s`, `1h 02m`, `3d 04h`: for people.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) if hours < 48 => format!("{hours}h {minutes:02}m"),
        (hours, ..) => format!("{}d {:02}h", hours / 24, hours % 24),
    }
}

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

/// The time between two moments; none if they are the wrong way round.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// `14:03:07`, in the time zone of whoever reads it.
pub(crate) fn clock_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// A document on one line: `blue 0, green 100`.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{key} {}", inline(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What a change replaces by what, a line for each member that differs: `blue: 0 -> 100`, `settings.multi_az: true`.
pub(crate) fn difference(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    differ("", Some(before), after, &mut lines);
    lines
}

fn differ(path: &str, before: Option<&Value>, after: &Value, lines: &mut Vec<String>) {
    match (before, after) {
        (Some(before), after) if before == after => {}
        (before, Value::Object(members)) if !members.is_empty() => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differ(&path, before.and_then(|before| before.get(key)), value, lines);
            }
        }
        (before, after) => {
            let name = if path.is_empty() { String::new() } else { format!("{path}: ") };
            let before = before.map(|before| format!("{} -> ", inline(before))).unwrap_or_default();
            lines.push(format!("{name}{before}{}", inline(after)));
        }
    }
}

/// What a job has left to read, on one line: the end of its output, and where there is more.
pub(crate) fn report(report: &Report) -> String {
    const CHARS_MAX: usize = 240;
    let words: Vec<&str> = report.output.split_whitespace().collect();
    let output = words.join(" ");
    let cut = output.chars().count().saturating_sub(CHARS_MAX);
    let output = match output.char_indices().nth(cut) {
        Some((from, _)) if cut > 0 => format!("...{}", &output[from..]),
        _ => output,
    };
    let logs = if report.logs.is_empty() { String::new() } else { format!("logs: {}", report.logs) };
    let parts = [output, logs].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("; ")
}

/// `rolled_back` as people write it.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// `1 step`, `3 steps`
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn a_difference_names_each_member_that_changes() {
        let before = json!({ "blue": 0, "green": 100, "grey": 1 });
        let after = json!({ "blue": 100, "green": 0, "grey": 1 });
        assert_eq!(difference(&before, &after), ["blue: 0 -> 100", "green: 100 -> 0"]);
        let after = json!({ "settings": { "class": "db.t3.micro", "zones": ["a", "b"] } });
        assert_eq!(difference(&Value::Null, &after), ["settings.class: db.t3.micro", "settings.zones: a, b"]);
        assert_eq!(difference(&json!("none"), &json!("succeeded")), ["none -> succeeded"]);
    }

    #[test]
    fn lines_are_broken_between_words() {
        let text = "changed:\n  the-listener-of-checkout: blue 0 -> 100";
        assert_eq!(wrap(text, 30), "changed:\n  the-listener-of-checkout:\n    blue 0 -> 100");
        assert_eq!(wrap(text, 80), text);
    }

    #[test]
    fn a_report_is_the_end_of_the_output_and_the_way_to_the_rest() {
        let said = |output: &str, logs: &str| report(&Report { output: output.to_owned(), logs: logs.to_owned() });
        assert_eq!(said("stopped 3\nworkers\n", "/aws/lambda/fence"), "stopped 3 workers; logs: /aws/lambda/fence");
        assert_eq!(said("", "a"), "logs: a");
        let long = said(&format!("{} end", "é".repeat(400)), "");
        assert!(long.starts_with("...é") && long.ends_with(" end") && long.chars().count() == 243, "{long}");
    }

    #[test]
    fn durations_are_short() {
        let cases = [(400, "0s"), (12_000, "12s"), (65_000, "1m 05s"), (3_720_000, "1h 02m"), (363_600_000, "4d 05h")];
        for (ms, text) in cases {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn documents_fit_on_a_line() {
        assert_eq!(inline(&json!({ "blue": 100, "names": ["a", "b"], "none": null })), "blue 100, names a, b, none -");
    }
}
