//! What readers of the events get of a record, and how they name its place.

use std::fmt;

use belay_core::event::Record;
use belay_ports::Placed;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A place in the journal, as readers know it: it outlives a restart, and no other journal has the same.
///
/// It reads `POSITION-HASH`, with the first characters of the record's hash; `0` is before the first record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    position: u64,
    hash: String,
}

/// Characters of the hash in a cursor: enough to tell a journal that was put back from a backup from the one before.
const HASH_CHARS: usize = 12;

impl Cursor {
    pub(crate) fn beginning() -> Self {
        Self { position: 0, hash: String::new() }
    }

    fn of(Placed { position, record }: &Placed) -> Self {
        Self { position: *position, hash: record.hash.chars().take(HASH_CHARS).collect() }
    }

    /// None for what was never a cursor.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::beginning());
        }
        let (position, hash) = text.split_once('-')?;
        let cursor = Self { position: position.parse().ok()?, hash: hash.to_owned() };
        (cursor.to_string() == text && cursor.position > 0 && hash.len() == HASH_CHARS).then_some(cursor)
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            0 => f.write_str("0"),
            position => write!(f, "{position}-{}", self.hash),
        }
    }
}

/// A record as readers get it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) cursor: Cursor,
    pub(crate) migration: String,
    /// The type of its event.
    pub(crate) kind: String,
    /// JSON, in one line.
    pub(crate) data: String,
}

/// A record, as it is shown.
#[derive(Debug, Serialize)]
struct EventView<'a> {
    /// Give it as `after` to go on behind this record.
    cursor: String,
    migration: &'a str,
    /// Counts the records of the migration from 1 without a gap.
    seq: u64,
    at: Timestamp,
    /// `belay`, or the person who asked.
    actor: &'a str,
    /// `type` and its members. A plan, a baseline, the report of a rehearsal, and any other member over 64 KiB, stands as
    /// `{ "sha256", "bytes" }` of its JSON.
    event: Value,
}

/// The members that are documents of their own: who wants them asks for them.
const DOCUMENTS: [&str; 3] = ["plan", "baseline", "report"];
/// Bytes of a member's JSON. An event has at most half a dozen members.
const MEMBER_BYTES_MAX: usize = 64 * 1024;

impl Frame {
    pub(crate) fn new(placed: &Placed) -> Self {
        let cursor = Cursor::of(placed);
        let Record { stream: migration, seq, at, actor, event, .. } = &placed.record;
        let event = shown(json!(event));
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        let view = EventView { cursor: cursor.to_string(), migration, seq: *seq, at: *at, actor, event };
        Self { cursor, migration: migration.clone(), kind, data: json!(view).to_string() }
    }
}

fn shown(mut event: Value) -> Value {
    // What a job of a step leaves to read is short, and stands in every follower's line.
    let documents: &[&str] = if event["type"] == "step" { &[] } else { &DOCUMENTS };
    for (name, member) in event.as_object_mut().into_iter().flatten() {
        let text = member.to_string();
        if documents.contains(&name.as_str()) || text.len() > MEMBER_BYTES_MAX {
            let sha256: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
            *member = json!({ "sha256": sha256, "bytes": text.len() });
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_a_job_is_read_by_followers_and_that_of_a_rehearsal_is_a_document() {
        let report = json!({ "output": "done", "logs": "" });
        let job = shown(json!({ "type": "step", "step": "job", "what": "reported", "report": report }));
        assert_eq!(job["report"], report);
        let rehearsed = shown(json!({ "type": "rehearsed", "report": report }));
        assert!(rehearsed["report"]["sha256"].is_string(), "{rehearsed}");
    }
}
