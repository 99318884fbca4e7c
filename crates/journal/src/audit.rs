//! Verifies a stream from its first record, through any journal.

use belay_ports::{Head, Journal, ReadFailure};
use jiff::Timestamp;
use serde::Serialize;

/// A stream whose chain holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    pub stream: String,
    pub records: u64,
    /// The hash of the last record. Kept elsewhere, it later proves that nothing was cut off.
    pub head: String,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// Records that are older than the one before them. Clocks jump, so this is no failure, but it is worth a look.
    pub clock_steps_back: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFailure {
    #[error("there is no stream {stream} in this journal")]
    NoStream { stream: String },
    /// The chain is broken, too new to be judged, or cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    #[error(
        "the chain of {stream} holds, but none of its {records} records has the hash {head}: its end was cut off, or \
         the hash belongs to another journal"
    )]
    Cut { stream: String, records: u64, head: String },
}

/// Verifies that the records of a stream are as they were written and none is missing. `head`: the hash of a record
/// that was the last one once (a notice carries it); without it, a cut-off end cannot be noticed.
///
/// # Errors
/// [`AuditFailure`] when the stream cannot be verified, or is not what `head` proves it was.
pub async fn audit(journal: &dyn Journal, stream: &str, head: Option<&str>) -> Result<AuditReport, AuditFailure> {
    let records = journal.read(stream, 0).await?;
    let count = records.len() as u64;
    if let Some(head) = head
        && !records.iter().any(|record| record.hash == head)
    {
        return Err(AuditFailure::Cut { stream: stream.to_owned(), records: count, head: head.to_owned() });
    }
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return Err(AuditFailure::NoStream { stream: stream.to_owned() });
    };
    Ok(AuditReport {
        stream: stream.to_owned(),
        records: count,
        head: last.hash.clone(),
        first_at: first.at,
        last_at: last.at,
        clock_steps_back: records.windows(2).filter(|pair| pair[1].at < pair[0].at).count() as u64,
    })
}

/// The head over all streams at a position, from one before it; of a journal that ends before, its last.
///
/// # Errors
/// [`ReadFailure`] when the journal cannot be read.
pub async fn head_at(journal: &dyn Journal, from: &Head, position: u64) -> Result<Head, ReadFailure> {
    let mut head = from.clone();
    while head.position < position {
        let next = journal.advance(&head, position).await?;
        if next == head {
            break;
        }
        head = next;
    }
    Ok(head)
}
