//! The state of a stream, and what its state has forgotten: read from the journal a page at a time.

use std::ops::ControlFlow;

use belay_core::{
    migration::{Corrupt, Migration},
    past::Forgotten,
};
use belay_ports::{Journal, ReadFailure, each_record};

/// Why a migration could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Unreadable(#[from] ReadFailure),
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// The state that a stream folds to.
///
/// # Errors
/// [`OpenError`] when the journal cannot be read or understood.
pub async fn folded(journal: &dyn Journal, stream: &str) -> Result<Migration, OpenError> {
    let mut state = Migration::new(stream);
    each_record(journal, stream, 0, |record| {
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
