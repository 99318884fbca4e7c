//! The journal as one process has it: until another one takes it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use belay_core::event::Record;
use belay_ports::{AppendError, Fut, Head, Journal, NewRecord, Placed, ReadFailure, Rescued};

pub(crate) struct Leased {
    journal: Arc<dyn Journal>,
    is_lost: AtomicBool,
}

impl Leased {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, is_lost: AtomicBool::new(false) }
    }

    /// From now on, another process writes to it.
    pub(crate) fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }
}

impl Journal for Leased {
    fn append<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        records: Vec<NewRecord>,
    ) -> Fut<'a, Result<Vec<Record>, AppendError>> {
        if self.is_lost.load(Ordering::Relaxed) {
            // The other one has put its start on record.
            let conflict = AppendError::Conflict { stream: stream.to_owned(), expected: after, found: after + 1 };
            return Box::pin(async { Err(conflict) });
        }
        self.journal.append(stream, after, records)
    }

    fn read<'a>(&'a self, stream: &'a str, after: u64) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        self.journal.read(stream, after)
    }

    fn page<'a>(&'a self, stream: &'a str, after: u64, max: usize) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        self.journal.page(stream, after, max)
    }

    fn snapshot<'a>(&'a self, stream: &'a str) -> Fut<'a, Result<Option<belay_ports::Snapshot>, ReadFailure>> {
        self.journal.snapshot(stream)
    }

    fn keep_snapshot<'a>(
        &'a self,
        stream: &'a str,
        snapshot: belay_ports::Snapshot,
    ) -> Fut<'a, Result<(), ReadFailure>> {
        self.journal.keep_snapshot(stream, snapshot)
    }

    fn streams<'a>(&'a self) -> Fut<'a, Result<Vec<String>, ReadFailure>> {
        self.journal.streams()
    }

    fn across<'a>(&'a self, from: u64, max: usize) -> Fut<'a, Result<Vec<Placed>, ReadFailure>> {
        self.journal.across(from, max)
    }

    fn head(&self) -> u64 {
        self.journal.head()
    }

    fn grown<'a>(&'a self, position: u64) -> Fut<'a, ()> {
        self.journal.grown(position)
    }

    fn check<'a>(&'a self) -> Fut<'a, Result<(), ReadFailure>> {
        self.journal.check()
    }

    fn advance<'a>(&'a self, from: &'a Head, to: u64) -> Fut<'a, Result<Head, ReadFailure>> {
        self.journal.advance(from, to)
    }

    fn rescue<'a>(&'a self) -> Fut<'a, Result<Rescued, ReadFailure>> {
        self.journal.rescue()
    }
}
