//! The durable record of a stream. Intents stand in it before their effects, state is a fold over it, and it has one owner.

use std::{fmt, ops::ControlFlow, path::PathBuf};

use belay_core::event::{Event, Record};
use jiff::Timestamp;

use crate::Fut;

/// An event on its way into the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    pub at: Timestamp,
    pub actor: String,
    pub event: Event,
}

/// A record with its place among the records of all streams.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Counts from 1 in the order in which records became durable; never given to another record.
    pub position: u64,
    pub record: Record,
}

/// What proves all records up to a position, over all streams: kept elsewhere, it later shows whether any of them was
/// changed, cut off or removed. As text it is `POSITION HASH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub position: u64,
    /// In lower-case hexadecimal.
    pub hash: String,
}

impl Head {
    /// Before the first record.
    pub fn of_nothing() -> Self {
        Self { position: 0, hash: "0".repeat(64) }
    }

    /// None for a text that is no head.
    pub fn parse(text: &str) -> Option<Self> {
        let (position, hash) = text.trim().split_once(' ')?;
        let hexadecimal = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        Some(Self { position: position.parse().ok()?, hash: hexadecimal.then(|| hash.to_owned())? })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.position, self.hash)
    }
}

/// The state of a stream as of one of its records. The journal does not know what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The record that it stands on.
    pub seq: u64,
    pub hash: String,
    pub text: String,
}

/// A copy of a journal whose own file is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    pub path: PathBuf,
    /// Of all streams.
    pub records: u64,
}

pub trait Journal: Send + Sync {
    /// Appends all or nothing. When it answers, the records are durable. `after`: the sequence that the caller knows as
    /// the last one (0 for an empty stream).
    fn append<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        records: Vec<NewRecord>,
    ) -> Fut<'a, Result<Vec<Record>, AppendError>>;

    /// All records of a stream after a sequence, in order, the hash chain verified.
    fn read<'a>(&'a self, stream: &'a str, after: u64) -> Fut<'a, Result<Vec<Record>, ReadFailure>>;

    /// Up to `max` records of a stream after a sequence, fewer where they are long, but none only where there is none; the hash
    /// chain verified from the record `after` on.
    fn page<'a>(&'a self, stream: &'a str, after: u64, max: usize) -> Fut<'a, Result<Vec<Record>, ReadFailure>>;

    /// The last snapshot of a stream, where the record that it stands on is in the journal, with the same hash.
    fn snapshot<'a>(&'a self, stream: &'a str) -> Fut<'a, Result<Option<Snapshot>, ReadFailure>>;

    /// Keeps a snapshot beside the records, in place of the one before. It is no record: losing it costs time alone.
    fn keep_snapshot<'a>(&'a self, stream: &'a str, snapshot: Snapshot) -> Fut<'a, Result<(), ReadFailure>>;

    fn streams<'a>(&'a self) -> Fut<'a, Result<Vec<String>, ReadFailure>>;

    /// The records of all streams in the order in which they became durable, from a position on, that one included: at
    /// most `max`, and fewer where they are long, but none only where there is none. Each is as it was written: its own
    /// hash is verified; that none is missing is for [`read`](Self::read) to verify.
    fn across<'a>(&'a self, from: u64, max: usize) -> Fut<'a, Result<Vec<Placed>, ReadFailure>>;

    /// The position of the last record that is known to be durable; 0 when there is none.
    fn head(&self) -> u64;

    /// Waits until there is a record behind a position.
    fn grown<'a>(&'a self, position: u64) -> Fut<'a, ()>;

    /// Whether an append could be answered: the files are still the ones that were opened, with the records that were
    /// written to them.
    fn check<'a>(&'a self) -> Fut<'a, Result<(), ReadFailure>>;

    /// The head over all streams at the position `to`, from one before it; or one on the way there, where there are many
    /// records. The same as `from` where there are no more.
    fn advance<'a>(&'a self, from: &'a Head, to: u64) -> Fut<'a, Result<Head, ReadFailure>>;

    /// Writes all records to a new file, also when the journal's own file was deleted or replaced.
    fn rescue<'a>(&'a self) -> Fut<'a, Result<Rescued, ReadFailure>>;
}

/// Records of one read while a stream is read to its end: an append waits for one such read at most.
const PAGE: usize = 500;

/// Reads a stream after a sequence to its end, a page at a time, so memory holds a page of it however long it is. `take` ends
/// it sooner with [`ControlFlow::Break`].
///
/// # Errors
/// A [`ReadFailure`], and what `take` fails with.
pub async fn each_record<E: From<ReadFailure>>(
    journal: &dyn Journal,
    stream: &str,
    after: u64,
    mut take: impl FnMut(Record) -> Result<ControlFlow<()>, E> + Send,
) -> Result<(), E> {
    let mut after = after;
    loop {
        let page = journal.page(stream, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        for record in page {
            if take(record)?.is_break() {
                return Ok(());
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended: this process is not the owner any more and must stop acting.
    #[error("the journal of {stream} is at record {found}, not {expected}: another process wrote to it")]
    Conflict { stream: String, expected: u64, found: u64 },
    /// Nothing was written, and nothing will be (a full disk, a read-only file, a broken file).
    #[error("the journal cannot be written: {why}")]
    Refused { why: String },
    /// The commit failed in a way that leaves its outcome open: reopen and compare the tail.
    #[error("it is not known whether the journal took the last records: {why}")]
    Unknown { why: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadFailure {
    #[error("the journal cannot be read: {why}")]
    Unreadable { why: String },
    /// The chain is broken: a record was changed, or one is missing.
    #[error("the journal of {stream} is broken at record {seq}: {why}")]
    Broken { stream: String, seq: u64, why: String },
    /// Written by a newer Belay: the stream can be read by that version only.
    #[error("record {seq} of {stream} has version {version}, which is newer than this Belay understands")]
    Newer { stream: String, seq: u64, version: u32 },
}
