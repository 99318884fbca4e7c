//! Verifies a stream from its first record, through any journal.

use std::ops::ControlFlow;

use belay_ports::{Head, Journal, ReadFailure, each_record};
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
    let mut report: Option<AuditReport> = None;
    let mut holds = false;
    each_record(journal, stream, 0, |record| {
        holds |= head == Some(record.hash.as_str());
        let report = report.get_or_insert_with(|| AuditReport {
            stream: stream.to_owned(),
            records: 0,
            head: String::new(),
            first_at: record.at,
            last_at: record.at,
            clock_steps_back: 0,
        });
        report.records += 1;
        report.clock_steps_back += u64::from(record.at < report.last_at);
        (report.head, report.last_at) = (record.hash, record.at);
        Ok::<_, ReadFailure>(ControlFlow::Continue(()))
    })
    .await?;
    if let Some(head) = head.filter(|_| !holds) {
        let records = report.map_or(0, |report| report.records);
        return Err(AuditFailure::Cut { stream: stream.to_owned(), records, head: head.to_owned() });
    }
    report.ok_or_else(|| AuditFailure::NoStream { stream: stream.to_owned() })
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
