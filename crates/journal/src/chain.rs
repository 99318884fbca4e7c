//! What a record is in a journal, and the chain of hashes that holds the records of a stream together.
//!
//! The hash of a record is SHA-256, in lower-case hexadecimal, over these lines of UTF-8, each ended by a line feed:
//!
//! ```text
//! belay record 1
//! 16:checkout-cutover
//! 1:1
//! ...
//! ```
//!
//! The first line is fixed. Then come the eight fields stream, seq, version, at, actor, type, body, prev, in this
//! order, each as its length in bytes, a colon and its text. Numbers are decimal, `at` is RFC 3339 as stored, `body` is
//! the event's JSON byte for byte as stored (a later Belay, which would write the same event differently, still finds
//! the old hash), and `prev` is the hash of the record before, or 64 zeros for the first.
//!
//! The head over all streams is a chain of its own, over the hashes of the records in the order of their positions: SHA-256
//! over `belay head 1`, the head before (64 zeros at first), and position, colon and hash of the record, each line ended by a
//! line feed.

use belay_core::event::{EVENT_VERSION, Event, Record};
use belay_ports::{AppendError, Head, NewRecord, Placed, ReadFailure, Snapshot};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// A record as a journal keeps it: the event is still text, and nothing of it is trusted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) seq: u64,
    pub(crate) version: u32,
    pub(crate) at: String,
    pub(crate) actor: String,
    /// The event's type, which its body says too: so that a person can search the table.
    pub(crate) kind: String,
    pub(crate) body: String,
    pub(crate) prev: String,
    pub(crate) hash: String,
}

/// A link of one of many streams, with its place among all.
pub(crate) struct PlacedLink {
    pub(crate) position: u64,
    pub(crate) stream: String,
    pub(crate) link: Link,
}

/// The end of a stream: what the next record is hung on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) seq: u64,
    /// Never falls within a stream: a stream whose tail is too new is not appended to.
    pub(crate) version: u32,
    pub(crate) hash: String,
}

impl Tail {
    pub(crate) fn of_nothing() -> Self {
        Self { seq: 0, version: 0, hash: "0".repeat(64) }
    }

    /// Whether a caller who knows `after` as the last record may append.
    ///
    /// # Errors
    /// Refused for a stream that a newer Belay has written to, conflict for another last record.
    pub(crate) fn admit(&self, stream: &str, after: u64) -> Result<(), AppendError> {
        if self.is_newer() {
            let version = self.version;
            let why = format!(
                "record {} of {stream} has version {version}, which is newer than this Belay understands; go on with \
                 the version that wrote it",
                self.seq
            );
            return Err(AppendError::Refused { why });
        }
        match self.seq == after {
            true => Ok(()),
            false => Err(AppendError::Conflict { stream: stream.to_owned(), expected: after, found: self.seq }),
        }
    }

    fn is_newer(&self) -> bool {
        self.version > EVENT_VERSION
    }
}

impl From<&Link> for Tail {
    fn from(link: &Link) -> Self {
        Self { seq: link.seq, version: link.version, hash: link.hash.clone() }
    }
}

/// Makes the record that follows `tail`. The record is read back from what will be stored: so the live state and a
/// replay see the same event to the letter, and one that could never be read again is refused now.
///
/// # Errors
/// Refused, when the event does not survive being written down.
pub(crate) fn seal(stream: &str, tail: &Tail, new: &NewRecord) -> Result<(Link, Record), AppendError> {
    #[derive(Deserialize)]
    struct Tag {
        #[serde(rename = "type")]
        kind: String,
    }
    let refused = |why: String| AppendError::Refused { why };
    let unwritable = |error: serde_json::Error| refused(format!("an event cannot be written down as JSON: {error}"));
    let body = serde_json::to_string(&new.event).map_err(unwritable)?;
    let Tag { kind } = serde_json::from_str(&body).map_err(unwritable)?;
    let mut link = Link {
        seq: tail.seq + 1,
        version: EVENT_VERSION,
        at: new.at.to_string(),
        actor: new.actor.clone(),
        kind,
        body,
        prev: tail.hash.clone(),
        hash: String::new(),
    };
    link.hash = hash(stream, &link);
    let record =
        decode(stream, &link).map_err(|why| refused(format!("a {} could not be read back: {why}", link.kind)))?;
    Ok((link, record))
}

/// Verifies the links of a stream and decodes them. For `after` 0 they start with the first record; else with the
/// record `after` itself, which anchors the ones behind it and is not returned.
///
/// # Errors
/// The first link that does not hold, or that is newer than this code.
pub(crate) fn verified(stream: &str, after: u64, links: Vec<Link>) -> Result<Vec<Record>, ReadFailure> {
    let mut links = links.into_iter();
    let mut tail = match after {
        0 => Tail::of_nothing(),
        _ => {
            let Some(anchor) = links.next() else {
                return Err(broken(stream, after, "it is not there: the end of the journal was cut off"));
            };
            // What came before the anchor was verified when it was read; its own contents may have changed since.
            let before = Tail { seq: after - 1, version: 0, hash: anchor.prev.clone() };
            follow(stream, &before, &anchor)?
        }
    };
    let mut records = Vec::with_capacity(links.len());
    for link in links {
        tail = follow(stream, &tail, &link)?;
        records.push(read(stream, &link)?);
    }
    Ok(records)
}

/// Verifies links of many streams, each by itself, and decodes them.
///
/// # Errors
/// The first link that was changed, or that is newer than this code.
pub(crate) fn verified_apart(links: Vec<PlacedLink>) -> Result<Vec<Placed>, ReadFailure> {
    let placed = links.into_iter().map(|PlacedLink { position, stream, link }| {
        unchanged(&stream, &link)?;
        let record = read(&stream, &link)?;
        Ok(Placed { position, record })
    });
    placed.collect()
}

/// The new tail, when the link hangs on the old one.
fn follow(stream: &str, tail: &Tail, link: &Link) -> Result<Tail, ReadFailure> {
    let expected = tail.seq + 1;
    if link.seq != expected {
        return Err(broken(stream, expected, &format!("it is missing; the next one found is {}", link.seq)));
    }
    unchanged(stream, link)?;
    if link.prev != tail.hash {
        return Err(broken(stream, link.seq, "it does not follow the record before it: its `prev` does not match"));
    }
    Ok(Tail::from(link))
}

fn unchanged(stream: &str, link: &Link) -> Result<(), ReadFailure> {
    match link.hash == hash(stream, link) {
        true => Ok(()),
        false => Err(broken(stream, link.seq, "it was changed after it was written: its hash does not match")),
    }
}

/// The record in a link that holds.
fn read(stream: &str, link: &Link) -> Result<Record, ReadFailure> {
    if Tail::from(link).is_newer() {
        return Err(ReadFailure::Newer { stream: stream.to_owned(), seq: link.seq, version: link.version });
    }
    decode(stream, link).map_err(|why| broken(stream, link.seq, &why))
}

fn decode(stream: &str, link: &Link) -> Result<Record, String> {
    let event: Event = serde_json::from_str(&link.body).map_err(|error| format!("its event is not known: {error}"))?;
    let at = link.at.parse().map_err(|error: jiff::Error| format!("its time cannot be read: {error}"))?;
    Ok(Record {
        stream: stream.to_owned(),
        seq: link.seq,
        version: link.version,
        at,
        actor: link.actor.clone(),
        event,
        prev: link.prev.clone(),
        hash: link.hash.clone(),
    })
}

fn broken(stream: &str, seq: u64, why: &str) -> ReadFailure {
    ReadFailure::Broken { stream: stream.to_owned(), seq, why: why.to_owned() }
}

/// The hash of a record by the form above.
pub(crate) fn hash(stream: &str, link: &Link) -> String {
    let (seq, version) = (link.seq.to_string(), link.version.to_string());
    let fields = [stream, &seq, &version, &link.at, &link.actor, &link.kind, &link.body, &link.prev];
    let mut digest = Sha256::new();
    digest.update("belay record 1\n");
    for field in fields {
        // The length keeps two neighbours apart: "ab" and "c" are not "a" and "bc".
        digest.update(format!("{}:", field.len()));
        digest.update(field);
        digest.update("\n");
    }
    hexadecimal(&digest.finalize())
}

/// The head over all streams with one more record.
pub(crate) fn advanced(head: &Head, position: u64, hash: &str) -> Head {
    let text = format!("belay head 1\n{}\n{position}:{hash}\n", head.hash);
    Head { position, hash: hexadecimal(&Sha256::digest(text)) }
}

/// What a snapshot is known by: it shows a text that was damaged, or put on another record.
pub(crate) fn snapshot_sum(stream: &str, snapshot: &Snapshot) -> String {
    let Snapshot { seq, hash, text } = snapshot;
    hexadecimal(&Sha256::digest(format!("belay snapshot 1\n{}:{stream}\n{seq}:{hash}\n{text}\n", stream.len())))
}

/// The name of a body that is kept apart from its record.
pub(crate) fn blob_name(body: &str) -> String {
    hexadecimal(&Sha256::digest(body))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            seq: 1,
            version: 1,
            at: "2026-01-02T03:04:05Z".to_owned(),
            actor: "ana".to_owned(),
            kind: "cutover_marked".to_owned(),
            body: r#"{"type":"cutover_marked"}"#.to_owned(),
            prev: "0".repeat(64),
            hash: String::new(),
        }
    }

    /// Journals in the field are verified with this form: it never changes.
    #[test]
    fn the_form_is_what_the_documentation_says() {
        let zeros = "0".repeat(64);
        let form = format!(
            "belay record 1\n8:checkout\n1:1\n1:1\n20:2026-01-02T03:04:05Z\n3:ana\n14:cutover_marked\n\
             25:{{\"type\":\"cutover_marked\"}}\n64:{zeros}\n"
        );
        assert_eq!(hash("checkout", &link()), hexadecimal(&Sha256::digest(&form)));
        assert_eq!(hash("checkout", &link()), "93bb02444a62bd64c1d920c0fd6117b8c5c23fd1c9d6702b314b82ebdd8f6190");
    }

    #[test]
    fn a_newer_record_is_verified_before_it_is_called_newer() {
        let mut newer = Link { version: EVENT_VERSION + 1, ..link() };
        newer.hash = hash("checkout", &newer);
        let refused = verified("checkout", 0, vec![newer.clone()]);
        assert_eq!(
            refused,
            Err(ReadFailure::Newer { stream: "checkout".to_owned(), seq: 1, version: EVENT_VERSION + 1 })
        );
        newer.actor = "eve".to_owned();
        assert!(matches!(verified("checkout", 0, vec![newer]), Err(ReadFailure::Broken { seq: 1, .. })));
    }
}
