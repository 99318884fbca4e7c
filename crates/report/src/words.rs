//! Words and numbers as people read them.

use std::time::Duration;

pub use belay_narrate::words::{count, duration, job, name, words};
use jiff::Timestamp;
use serde_json::Value;

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

/// A measured value, to six digits at most.
pub fn value(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && !(1e-4..1e9).contains(&size) => format!("{value:e}"),
        _ => format!("{value}"),
    }
}

/// To three digits, for a label.
pub(crate) fn rounded(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || size >= 100.0 {
        return value(if size < 1e9 { number.round() } else { number });
    }
    let rounded = format!("{number:.2e}").parse().unwrap_or(number);
    value(rounded)
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
    fn values_are_short() {
        for (number, text) in [(0.0, "0"), (0.05, "0.05"), (1200.0, "1200"), (1e300, "1e300"), (-2.5e-9, "-2.5e-9")] {
            assert_eq!(value(number), text);
        }
    }

    #[test]
    fn a_label_has_three_digits() {
        for (number, text) in [(1.27708, "1.28"), (57.1217, "57.1"), (1234.6, "1235"), (0.0, "0"), (0.012345, "0.0123")]
        {
            assert_eq!(rounded(number), text);
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
    fn documents_fit_on_a_line() {
        assert_eq!(inline(&json!({ "blue": 100, "names": ["a", "b"], "none": null })), "blue 100, names a, b, none -");
    }
}
