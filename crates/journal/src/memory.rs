//! A journal in memory, for simulations and tests. It keeps the same chain as the one on disk.
//!
//! Whoever simulates a process shares the journal with it in an `Arc`. It outlives the process, as a disk does: after a
//! simulated crash the next process goes on with what is there.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError},
};

use belay_core::event::Record;
use belay_ports::{AppendError, Fut, Head, Journal, NewRecord, Placed, ReadFailure, Rescued, Snapshot};
use tokio::sync::watch;

use crate::chain::{self, Link, PlacedLink, Tail};

/// What befalls an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFault {
    /// Nothing is written, and the caller is told: a full disk.
    Refuse,
    /// Nothing is written, and the caller cannot know.
    Lose,
    /// It is written, and the caller cannot know.
    WriteUnknown,
    /// The process dies before the records are durable.
    CrashBefore,
    /// The process dies after the records are durable and before it learns of it.
    CrashAfter,
}

#[derive(Debug)]
pub struct MemoryJournal {
    contents: Mutex<Contents>,
    /// While it is true, nobody gets an answer: the process that asks is dead.
    crashed: watch::Sender<bool>,
    /// The position of the last record.
    head: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Contents {
    streams: BTreeMap<String, Vec<Link>>,
    snapshots: BTreeMap<String, Snapshot>,
    /// Stream and sequence of each record, as they arrived: the first has position 1.
    arrived: Vec<(String, u64)>,
    /// Appends that were asked for, the ones that failed included.
    appends: u64,
    /// By the number of the append.
    faults: BTreeMap<u64, AppendFault>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self { contents: Mutex::default(), crashed: watch::Sender::new(false), head: watch::Sender::new(0) }
    }
}

impl MemoryJournal {
    /// The next append meets this.
    pub fn fail_next(&self, fault: AppendFault) {
        let next = self.appends() + 1;
        self.fail_at(next, fault);
    }

    /// The append with this number meets this; the first one ever has number 1.
    pub fn fail_at(&self, append: u64, fault: AppendFault) {
        self.contents().faults.insert(append, fault);
    }

    /// How many appends were asked for. To crash at every append of a scenario, run it once to count them.
    pub fn appends(&self) -> u64 {
        self.contents().appends
    }

    /// Waits until a fault has crashed the process. Its calls never return from then on: drop it, then [`restart`].
    ///
    /// [`restart`]: Self::restart
    pub async fn crashed(&self) {
        // It cannot fail: the sender is in `self`.
        let _ = self.crashed.subscribe().wait_for(|crashed| *crashed).await;
    }

    /// Lets the next process in.
    pub fn restart(&self) {
        self.crashed.send_replace(false);
    }

    /// The contents are replaced whole or not at all, so a panic elsewhere has not spoilt them.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None when the process is dead.
    fn try_append(&self, stream: &str, after: u64, new: &[NewRecord]) -> Option<Result<Vec<Record>, AppendError>> {
        if *self.crashed.borrow() {
            return None;
        }
        let mut contents = self.contents();
        contents.appends += 1;
        let number = contents.appends;
        let fault = contents.faults.remove(&number);
        let why = "a fault was injected".to_owned();
        let answer = match fault {
            None => Some(contents.append(stream, after, new)),
            Some(AppendFault::Refuse) => Some(Err(AppendError::Refused { why })),
            Some(AppendFault::Lose) => Some(Err(AppendError::Unknown { why })),
            // A conflict or a refusal is found out before anything is written: that much is known.
            Some(AppendFault::WriteUnknown) => {
                Some(contents.append(stream, after, new).and(Err(AppendError::Unknown { why })))
            }
            Some(AppendFault::CrashBefore) => {
                self.crashed.send_replace(true);
                None
            }
            Some(AppendFault::CrashAfter) => {
                // Whether it was written or refused: nobody is left to hear of it.
                let _ = contents.append(stream, after, new);
                self.crashed.send_replace(true);
                None
            }
        };
        self.head.send_replace(contents.arrived.len() as u64);
        answer
    }

    async fn alive(&self) {
        if *self.crashed.borrow() {
            pending::<()>().await;
        }
    }
}

impl Contents {
    fn append(&mut self, stream: &str, after: u64, new: &[NewRecord]) -> Result<Vec<Record>, AppendError> {
        let links = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let mut tail = links.last().map_or_else(Tail::of_nothing, Tail::from);
        tail.admit(stream, after)?;
        let mut added = Vec::with_capacity(new.len());
        let mut records = Vec::with_capacity(new.len());
        for new in new {
            let (link, record) = chain::seal(stream, &tail, new)?;
            tail = Tail::from(&link);
            added.push(link);
            records.push(record);
        }
        if !added.is_empty() {
            self.arrived.extend(added.iter().map(|link| (stream.to_owned(), link.seq)));
            self.streams.entry(stream.to_owned()).or_default().extend(added);
        }
        Ok(records)
    }

    fn read(&self, stream: &str, after: u64) -> Result<Vec<Record>, ReadFailure> {
        let links = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let from = links.partition_point(|link| link.seq < after);
        chain::verified(stream, after, links[from..].to_vec())
    }

    fn page(&self, stream: &str, after: u64, max: usize) -> Result<Vec<Record>, ReadFailure> {
        let links = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let from = links.partition_point(|link| link.seq < after);
        let count = max.saturating_add(usize::from(after > 0));
        chain::verified(stream, after, links[from..].iter().take(count).cloned().collect())
    }

    fn across(&self, from: u64, max: usize) -> Result<Vec<Placed>, ReadFailure> {
        let first = from.max(1);
        let skipped = usize::try_from(first - 1).unwrap_or(usize::MAX);
        let placed =
            (first..).zip(self.arrived.iter().skip(skipped).take(max)).filter_map(|(position, (stream, seq))| {
                let links = self.streams.get(stream)?;
                let link = links.get(links.partition_point(|link| link.seq < *seq))?.clone();
                Some(PlacedLink { position, stream: stream.clone(), link })
            });
        chain::verified_apart(placed.collect())
    }
}

impl Journal for MemoryJournal {
    fn append<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        records: Vec<NewRecord>,
    ) -> Fut<'a, Result<Vec<Record>, AppendError>> {
        Box::pin(async move {
            match self.try_append(stream, after, &records) {
                Some(answer) => answer,
                None => pending().await,
            }
        })
    }

    fn read<'a>(&'a self, stream: &'a str, after: u64) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        Box::pin(async move {
            self.alive().await;
            self.contents().read(stream, after)
        })
    }

    fn page<'a>(&'a self, stream: &'a str, after: u64, max: usize) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        Box::pin(async move {
            self.alive().await;
            self.contents().page(stream, after, max)
        })
    }

    fn snapshot<'a>(&'a self, stream: &'a str) -> Fut<'a, Result<Option<Snapshot>, ReadFailure>> {
        Box::pin(async move {
            self.alive().await;
            let contents = self.contents();
            let kept = contents.snapshots.get(stream);
            let stands = |kept: &&Snapshot| {
                let links = contents.streams.get(stream);
                links.is_some_and(|links| links.iter().any(|link| link.seq == kept.seq && link.hash == kept.hash))
            };
            Ok(kept.filter(stands).cloned())
        })
    }

    fn keep_snapshot<'a>(&'a self, stream: &'a str, snapshot: Snapshot) -> Fut<'a, Result<(), ReadFailure>> {
        Box::pin(async move {
            self.alive().await;
            self.contents().snapshots.insert(stream.to_owned(), snapshot);
            Ok(())
        })
    }

    fn streams<'a>(&'a self) -> Fut<'a, Result<Vec<String>, ReadFailure>> {
        Box::pin(async move {
            self.alive().await;
            Ok(self.contents().streams.keys().cloned().collect())
        })
    }

    fn across<'a>(&'a self, from: u64, max: usize) -> Fut<'a, Result<Vec<Placed>, ReadFailure>> {
        Box::pin(async move {
            self.alive().await;
            self.contents().across(from, max)
        })
    }

    fn head(&self) -> u64 {
        *self.head.borrow()
    }

    fn grown<'a>(&'a self, position: u64) -> Fut<'a, ()> {
        let mut head = self.head.subscribe();
        Box::pin(async move {
            // It cannot fail: the sender is in `self`.
            let _ = head.wait_for(|head| *head > position).await;
        })
    }

    fn check<'a>(&'a self) -> Fut<'a, Result<(), ReadFailure>> {
        Box::pin(async move {
            self.alive().await;
            Ok(())
        })
    }

    fn advance<'a>(&'a self, from: &'a Head, to: u64) -> Fut<'a, Result<Head, ReadFailure>> {
        Box::pin(async move {
            self.alive().await;
            let contents = self.contents();
            let hash = |(stream, seq): &(String, u64)| {
                let links = contents.streams.get(stream)?;
                links.get(links.partition_point(|link| link.seq < *seq)).map(|link| link.hash.as_str())
            };
            let after = usize::try_from(from.position).unwrap_or(usize::MAX);
            let arrived = (from.position + 1..=to).zip(contents.arrived.iter().skip(after));
            let head = |head: Head, (position, hash): (u64, &str)| chain::advanced(&head, position, hash);
            Ok(arrived.filter_map(|(position, at)| Some((position, hash(at)?))).fold(from.clone(), head))
        })
    }

    fn rescue<'a>(&'a self) -> Fut<'a, Result<Rescued, ReadFailure>> {
        Box::pin(async {
            Err(ReadFailure::Unreadable { why: "it is kept in memory alone, and has no file".to_owned() })
        })
    }
}
