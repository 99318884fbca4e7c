//! Which verbs are possible in which state: the one table that the verbs themselves, every refusal, `waiting_for` and the
//! documentation (`VERBS.md`) go by.
//!
//! A possible verb can still be refused for what it asks (a step that the plan does not have, a missing baseline, a role
//! that the caller does not have), never for the state.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    event::{FailureCode, RunKind},
    migration::Migration,
    run::{Phase, Run, RunState, StepState},
    undo::has_way_back,
};

/// What an operator can ask for, by the word that the command line and HTTP use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerbWord {
    // of a migration
    Arm,
    Disarm,
    Cutover,
    Phase,
    Mute,
    Unmute,
    Rollback,
    Decide,
    // of a run
    Hold,
    Resume,
    Abort,
    Undo,
    // of a step
    Approve,
    Override,
    Retry,
    Skip,
}

impl VerbWord {
    pub const OF_MIGRATION: [Self; 8] =
        [Self::Arm, Self::Disarm, Self::Cutover, Self::Phase, Self::Mute, Self::Unmute, Self::Rollback, Self::Decide];
    pub const OF_RUN: [Self; 4] = [Self::Hold, Self::Resume, Self::Abort, Self::Undo];
    pub const OF_STEP: [Self; 4] = [Self::Approve, Self::Override, Self::Retry, Self::Skip];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arm => "arm",
            Self::Disarm => "disarm",
            Self::Cutover => "cutover",
            Self::Phase => "phase",
            Self::Mute => "mute",
            Self::Unmute => "unmute",
            Self::Rollback => "rollback",
            Self::Decide => "decide",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Undo => "undo",
            Self::Approve => "approve",
            Self::Override => "override",
            Self::Retry => "retry",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for VerbWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Verbs that address the migration. While a run is open, the run and its steps are what can be moved.
pub fn of_migration(state: &Migration) -> Vec<VerbWord> {
    use VerbWord::{Arm, Cutover, Decide, Disarm, Mute, Phase, Rollback, Unmute};
    if state.open_run().is_some() {
        return Vec::new();
    }
    if state.armed.is_none() {
        return vec![Arm];
    }
    let incident = state.incident.is_some();
    let phases = state.plan.as_ref().map_or(0, |plan| plan.phases.len());
    let verbs = [
        (Arm, !incident),
        (Disarm, true),
        (Cutover, state.cutover.is_none()),
        (Phase, phases > 1),
        (Mute, true),
        (Unmute, state.muted.is_some()),
        (Rollback, true),
        (Decide, incident),
    ];
    verbs.into_iter().filter(|(_, possible)| *possible).map(|(verb, _)| verb).collect()
}

/// Verbs that address a run.
pub fn of_run(state: &Migration, run: &Run) -> Vec<VerbWord> {
    use VerbWord::{Abort, Hold, Resume, Undo};
    match run.state {
        _ if run.aborting && !run.state.is_over() => vec![],
        RunState::Running | RunState::Confirming => vec![Hold, Abort],
        RunState::Halted if is_stopped_by_the_point(run) => vec![Abort],
        RunState::Held | RunState::Halted => vec![Resume, Abort],
        RunState::RolledBack | RunState::Aborted if is_undoable(state, run) => vec![Undo],
        RunState::RolledBack | RunState::Aborted | RunState::Undone | RunState::Rehearsed => vec![],
    }
}

/// Verbs that address a step of a run.
pub fn of_step(run: &Run, step: &StepState) -> Vec<VerbWord> {
    use VerbWord::{Approve, Override, Retry, Skip};
    if run.state.is_over() || run.aborting || step.in_flight() {
        return vec![];
    }
    match (step.phase, step.failure) {
        (Phase::Done | Phase::Unchanged | Phase::Skipped, _) => vec![],
        (Phase::Failed, Some(FailureCode::Require | FailureCode::Unproven)) => vec![Override, Retry, Skip],
        // The point does not come back.
        (Phase::Failed, Some(FailureCode::PastPoint)) => vec![Skip],
        (Phase::Failed, _) => vec![Retry, Skip],
        (Phase::AwaitingApproval, _) => vec![Approve, Skip],
        (Phase::Requiring, _) => vec![Override, Skip],
        _ => vec![Skip],
    }
}

/// All that has failed would fail again: `resume` tries nothing else.
pub(crate) fn is_stopped_by_the_point(run: &Run) -> bool {
    let mut broken = run.broken().peekable();
    broken.peek().is_some() && broken.all(|(_, step)| step.failure == Some(FailureCode::PastPoint))
}

/// A rollback can be undone once, until the migration is armed again, and as long as no later run has changed anything.
fn is_undoable(state: &Migration, run: &Run) -> bool {
    let undone = |later: &Run| later.undoes.as_ref() == Some(&run.id) && later.state == RunState::Undone;
    let moved_on = |later: &Run| later.undoes.as_ref() != Some(&run.id) && later.has_changed_anything();
    !armed_since(state, run)
        && state.open_run().is_none()
        && matches!(run.kind, RunKind::Real | RunKind::Drill | RunKind::Simulated)
        && run.has_changed_anything()
        && has_way_back(run)
        && !state.runs_after(run).any(|later| undone(later) || moved_on(later))
}

/// Then it has begun a new life, with a baseline and a cutover of its own.
pub(crate) fn armed_since(state: &Migration, run: &Run) -> bool {
    let later = |armed| run.ended.is_some_and(|ended| armed > ended);
    state.armed.is_some() || state.armed_last.is_some_and(later)
}
