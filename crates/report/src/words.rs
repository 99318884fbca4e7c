//! Words and numbers as people read them.

use std::time::Duration;

use belay_core::change::Report;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// `12s`, `1m 05s`, `1h 02m`, `3d 04h`: for people.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) if hours < 48 => format!("{hours}h {minutes:02}m"),
        (hours, ..) => format!("{}d {:02}h", hours / 24, hours % 24),
    }
}

/// `the clock was set back by 1h 00m`: none where it was not set.
pub(crate) fn clock_set(seconds: i64) -> Option<String> {
    let way = if seconds < 0 { "back" } else { "forward" };
    (seconds != 0)
        .then(|| format!("the clock was set {way} by {}", duration(Duration::from_secs(seconds.unsigned_abs()))))
}

/// The time between two moments; none if they are the wrong way round.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// A document on one line: `blue 0, green 100`.
pub fn inline(value: &Value) -> String {
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
pub fn difference(before: &Value, after: &Value) -> Vec<String> {
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
pub fn job(report: &Report) -> String {
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
pub fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A measured value, to six digits at most.
pub fn value(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && !(1e-4..1e9).contains(&size) => format!("{value:e}"),
        _ => format!("{value}"),
    }
}

/// `120 ms`, `0.5%`, `40/s`
pub fn with_unit(number: &str, unit: Option<&str>) -> String {
    match unit {
        None => number.to_owned(),
        Some(unit) if unit.starts_with(['%', '/']) => format!("{number}{unit}"),
        Some(unit) => format!("{number} {unit}"),
    }
}

/// What is healthy, with the unit where the text has none: `< 0.5 s`, `within 500ms`.
pub fn limit(healthy: &str, unit: Option<&str>) -> String {
    let has_none = healthy.ends_with(|last: char| last.is_ascii_digit());
    with_unit(healthy, unit.filter(|_| has_none))
}

/// `1 step`, `3 steps`
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// An enum as the journal writes it, in words.
pub fn name(value: &impl Serialize) -> String {
    match json!(value) {
        Value::String(name) => words(&name),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
    fn a_report_is_the_end_of_the_output_and_the_way_to_the_rest() {
        let said = |output: &str, logs: &str| job(&Report { output: output.to_owned(), logs: logs.to_owned() });
        assert_eq!(said("stopped 3\nworkers\n", "/aws/lambda/fence"), "stopped 3 workers; logs: /aws/lambda/fence");
        assert_eq!(said("", "a"), "logs: a");
        let long = said(&format!("{} end", "é".repeat(400)), "");
        assert!(long.starts_with("...é") && long.ends_with(" end") && long.chars().count() == 243, "{long}");
    }

    #[test]
    fn values_are_short() {
        for (number, text) in [(0.0, "0"), (0.05, "0.05"), (1200.0, "1200"), (1e300, "1e300"), (-2.5e-9, "-2.5e-9")] {
            assert_eq!(value(number), text);
        }
    }

    #[test]
    fn values_have_their_unit() {
        let cases =
            [("120", Some("ms"), "120 ms"), ("0.5", Some("%"), "0.5%"), ("40", Some("/s"), "40/s"), ("7", None, "7")];
        for (number, unit, text) in cases {
            assert_eq!(with_unit(number, unit), text);
        }
        assert_eq!(limit("< 0.5", Some("s")), "< 0.5 s");
        assert_eq!(limit("within 500ms", Some("ms")), "within 500ms");
        assert_eq!(limit("<= 0.1%", Some("%")), "<= 0.1%");
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
