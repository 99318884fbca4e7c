//! Snapshots of the state, kept in the journal so that the next start folds only what comes behind.

use std::sync::Arc;

use belay_core::{migration::Migration, run::RunState};
use belay_ports::Journal;
use tokio::task::JoinSet;

use crate::history::keep_snapshot;

/// Records from one snapshot to the next: so many are folded in a fraction of a second, and what a snapshot of a thousand signals takes
/// of memory and time while it is made is seldom taken.
const EVERY: u64 = 4_000;

pub(super) struct Snapshots {
    journal: Arc<dyn Journal>,
    /// The record that the last one stands on. After a start it is not known, and one is made soon.
    last: u64,
    making: JoinSet<()>,
}

impl Snapshots {
    pub(super) fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, last: 0, making: JoinSet::new() }
    }

    /// Makes one beside the loop when it is time, and no run needs the loop's thread.
    pub(super) fn follow(&mut self, state: &Arc<Migration>) {
        while self.making.try_join_next().is_some() {}
        let runs = state.run.as_ref().is_some_and(|run| run.state == RunState::Running);
        if state.seq < self.last + EVERY || runs || !self.making.is_empty() {
            return;
        }
        self.last = state.seq;
        let (journal, state) = (self.journal.clone(), state.clone());
        self.making.spawn(async move {
            if let Err(error) = keep_snapshot(journal.as_ref(), &state).await {
                tracing::warn!(migration = state.name, %error, "no snapshot was kept: the next start reads more records");
            }
        });
    }
}
