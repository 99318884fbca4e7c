//! The state of a stream, and what its state has forgotten: read from the journal a page at a time.

use std::ops::ControlFlow;

use belay_core::{
    migration::{Corrupt, Migration},
    past::Forgotten,
};
use belay_ports::{Journal, ReadFailure, Snapshot, each_record};

/// Why a migration could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Unreadable(#[from] ReadFailure),
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// The state that a stream folds to, from its last snapshot on. A snapshot that does not fit is ignored.
///
/// # Errors
/// [`OpenError`] when the journal cannot be read or understood.
pub async fn folded(journal: &dyn Journal, stream: &str) -> Result<Migration, OpenError> {
    let kept = journal.snapshot(stream).await.ok().flatten();
    if let Some(begun) = kept.and_then(|kept| begun(stream, &kept)) {
        match folded_from(journal, begun).await {
            Err(OpenError::Corrupt(_)) => {}
            folded => return folded,
        }
    }
    folded_from(journal, Migration::new(stream)).await
}

/// The state in a snapshot, where it is of the record that the snapshot stands on.
fn begun(stream: &str, kept: &Snapshot) -> Option<Migration> {
    let state = Migration::of_snapshot(&kept.text)?;
    (state.name == stream && state.seq == kept.seq && state.head == kept.hash).then_some(state)
}

/// Keeps a snapshot of a state beside the records that it comes from. One that would not read back the same is not kept.
///
/// # Errors
/// [`ReadFailure`] when the journal does not take it.
pub async fn keep_snapshot(journal: &dyn Journal, state: &Migration) -> Result<(), ReadFailure> {
    let Some(text) = state.to_snapshot() else { return Ok(()) };
    let snapshot = Snapshot { seq: state.seq, hash: state.head.clone(), text };
    journal.keep_snapshot(&state.name, snapshot).await
}

/// The record that the snapshot of a stream stands on, where the records up to there do not fold to what it holds.
///
/// # Errors
/// As [`folded`].
pub async fn unfit_snapshot(journal: &dyn Journal, stream: &str) -> Result<Option<u64>, OpenError> {
    let Some(kept) = journal.snapshot(stream).await? else { return Ok(None) };
    let Some(begun) = begun(stream, &kept) else { return Ok(None) }; // no start goes by it
    let mut state = Migration::new(stream);
    each_record(journal, stream, 0, |record| {
        state.evolve(&record)?;
        let there = state.seq == kept.seq;
        Ok::<_, OpenError>(if there { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .await?;
    Ok((state != begun).then_some(kept.seq))
}

async fn folded_from(journal: &dyn Journal, mut state: Migration) -> Result<Migration, OpenError> {
    let (stream, after) = (state.name.clone(), state.seq);
    let stream = stream.as_str();
    each_record(journal, stream, after, |record| {
        state.evolve(&record)?;
        Ok::<_, OpenError>(ControlFlow::Continue(()))
    })
    .await?;
    Ok(state)
}

/// Gives out the runs and incidents that the state of a stream has forgotten, the oldest first, until `take` has seen enough.
/// It folds the stream from its first record.
///
/// # Errors
/// As [`folded`].
pub async fn forgotten(
    journal: &dyn Journal,
    stream: &str,
    mut take: impl FnMut(Forgotten) -> ControlFlow<()> + Send,
) -> Result<(), OpenError> {
    let mut state = Migration::new(stream);
    each_record(journal, stream, 0, |record| Ok(take(state.evolve_and_forget(&record)?))).await
}
