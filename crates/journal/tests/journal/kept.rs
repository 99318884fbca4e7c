//! Events as earlier versions wrote them, a line each, in `samples.jsonl`: each line has to be read for ever, and nothing of it may be
//! lost on the way. Lines are only added: `UPDATE_GOLDEN=1` does it for those of today's samples that are not in the file.

use std::{collections::BTreeSet, fs};

use belay_core::event::Event;
use serde_json::Value;

use crate::samples::events;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/journal/samples.jsonl");

/// Whether all of `old` is in `new`, which may have more members.
fn is_in(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.iter().all(|(key, old)| new.get(key).is_some_and(|new| is_in(old, new)))
        }
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_in(old, new))
        }
        _ => old == new,
    }
}

#[test]
fn every_line_that_was_ever_written_is_read_as_it_was() {
    let mut text = fs::read_to_string(FILE).unwrap_or_default();
    // One sample is there for its length alone.
    let today = events().into_iter().map(|event| serde_json::to_string(&event).unwrap());
    let today: Vec<String> = today.filter(|line| line.len() < 10_000).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let known: BTreeSet<String> = text.lines().map(str::to_owned).collect();
        text.extend(today.iter().filter(|line| !known.contains(*line)).map(|line| format!("{line}\n")));
        fs::write(FILE, &text).unwrap();
    }
    for line in text.lines() {
        let event: Event = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let (old, new) = (serde_json::from_str(line).unwrap(), serde_json::to_value(&event).unwrap());
        assert!(is_in(&old, &new), "{old}\nis read as\n{new}");
    }
    let known: BTreeSet<&str> = text.lines().collect();
    for line in &today {
        assert!(known.contains(line.as_str()), "UPDATE_GOLDEN=1 adds this line, which stays for ever: {line}");
    }
}
