//! What templates can name.

use belay_plan::visible;
use belay_ports::Notice;
use serde_json::{Map, Value, json};

use super::parts::cut;

/// Text from outside is not longer than this.
const VALUE_CHARS_MAX: usize = 500;
/// Lists are not longer.
const ITEMS_MAX: usize = 50;
/// More evidence than this is only counted.
const EVIDENCE_MAX: usize = 8;
const EVIDENCE_CHARS_MAX: usize = 300;

/// The names beside objects.
const NAMES: [&str; 22] = [
    "kind",
    "update",
    "migration",
    "summary",
    "drill",
    "over",
    "source",
    "test",
    "at",
    "why",
    "by",
    "joined",
    "more",
    "well",
    "phase",
    "muted_until",
    "point_of_no_return",
    "readiness",
    "expected_end",
    "next_update",
    "page",
    "channel",
];
const INCIDENT: [&str; 18] = [
    "id",
    "opened",
    "felt_since",
    "severity",
    "customer_facing",
    "triggers",
    "firing",
    "healthy",
    "evidence",
    "changes",
    "observed",
    "problem",
    "answer",
    "why",
    "timebox_ends",
    "then",
    "authority",
    "all",
];
const INCIDENT_END: &str = "outcome";
const RUN: [&str; 14] = [
    "id",
    "kind",
    "state",
    "started",
    "ended",
    "reason",
    "by",
    "steps",
    "over",
    "done",
    "confirmed",
    "now",
    "failed",
    "alerted",
];
const STEP: [&str; 7] = ["name", "action", "why", "role", "quorum", "until", "overdue"];

/// The values of a notice. An unknown value is an empty text; a missing object is none.
pub(super) fn of(notice: &Notice) -> Value {
    let mut facts = cleaned(serde_json::to_value(&notice.facts).unwrap_or_default());
    for list in ["evidence", "changes", "observed"] {
        if let Some(lines) = facts.pointer_mut(&format!("/incident/{list}")).and_then(Value::as_array_mut) {
            shorten(lines);
        }
    }
    // A notice of an earlier version counts no steps that are done.
    if let Some(run) = facts["run"].as_object_mut()
        && !run.contains_key("done")
    {
        run.insert("done".to_owned(), run["over"].clone());
    }
    let mut values = filled(&facts, &NAMES);
    values.insert("well".to_owned(), json!(notice.facts.is_well()));
    for (name, keys) in [("incident", incident_names()), ("run", RUN.to_vec()), ("step", STEP.to_vec())] {
        let object = &facts[name];
        let value = if object.is_object() { Value::Object(filled(object, &keys)) } else { Value::Null };
        values.insert(name.to_owned(), value);
    }
    let time = |time: Option<jiff::Timestamp>| time.map_or_else(String::new, |time| time.to_string());
    values.insert("expected_end".to_owned(), json!(time(notice.expected_end)));
    values.insert("next_update".to_owned(), json!(time(notice.next_update)));
    values.insert("page".to_owned(), json!(visible::line(&notice.page)));
    values.insert("channel".to_owned(), json!(notice.channel));
    values.insert("test".to_owned(), json!(notice.test));
    Value::Object(values)
}

fn shorten(evidence: &mut Vec<Value>) {
    let more = evidence.len().saturating_sub(EVIDENCE_MAX);
    evidence.truncate(EVIDENCE_MAX);
    for shown in evidence.iter_mut() {
        *shown = json!(cut(shown.as_str().unwrap_or_default(), EVIDENCE_CHARS_MAX));
    }
    if more > 0 {
        evidence.push(json!(format!("and {more} more")));
    }
}

fn incident_names() -> Vec<&'static str> {
    INCIDENT.into_iter().chain([INCIDENT_END]).collect()
}

/// The value of a name that the facts leave out.
fn empty(name: &str) -> Value {
    match name {
        "drill" | "test" | "customer_facing" | "all" | "well" | "healthy" | "confirmed" | "overdue" => json!(false),
        "triggers" | "firing" | "joined" | "evidence" | "changes" | "observed" | "authority" | "now" | "failed" => {
            json!([])
        }
        "more" => json!(0),
        _ => json!(""),
    }
}

fn filled(from: &Value, names: &[&str]) -> Map<String, Value> {
    let value = |name: &&str| {
        let value = &from[*name];
        ((*name).to_owned(), if value.is_null() { empty(name) } else { value.clone() })
    };
    names.iter().map(value).collect()
}

/// Puts every text on one line, without control characters and cut to a bound; lists are cut, too.
pub(crate) fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => json!(cut(&visible::line(&text), VALUE_CHARS_MAX)),
        Value::Array(items) => Value::Array(items.into_iter().take(ITEMS_MAX).map(cleaned).collect()),
        Value::Object(entries) => {
            Value::Object(entries.into_iter().map(|(key, value)| (key, cleaned(value))).collect())
        }
        value => value,
    }
}

/// Why a dotted name is unknown, with the known ones.
pub(super) fn unknown(path: &str) -> Option<String> {
    let mut parts = path.split('.');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let keys = match first {
        "incident" => incident_names(),
        "run" => RUN.to_vec(),
        "step" => STEP.to_vec(),
        _ => {
            let known: Vec<&str> = NAMES.into_iter().chain(["incident", "run", "step"]).collect();
            return match (known.contains(&first), second) {
                (true, None) => None,
                (true, Some(_)) => Some(format!("`{first}` is a single value: there is no `{path}`")),
                (false, _) => Some(format!("there is no `{first}`; known are {}", known.join(", "))),
            };
        }
    };
    let second = second.filter(|second| !keys.contains(second))?;
    Some(format!("`{first}` has no `{second}`; it has {}", keys.join(", ")))
}
