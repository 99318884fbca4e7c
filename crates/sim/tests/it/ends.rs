//! How a run that was played has ended, in the words of the search: read off the journal, and not by the code of the search.

use std::collections::BTreeMap;

use belay_core::{
    event::{FailureCode, Record},
    migration::Migration,
    run::{Phase, Run, RunState},
};
use belay_plan::{
    graph::Graph,
    model::{Name, OnFailure},
};
use belay_sim::explore::{Disposition, EndReport, Outcome};

/// The run as a whole, and each of its steps.
pub(crate) type End = (Outcome, BTreeMap<Name, Disposition>);

/// None: no run has begun, or it was still under way when the play was over.
pub(crate) fn of_play(migration: &str, records: &[Record]) -> Option<End> {
    let mut state = Migration::new(migration);
    for record in records {
        state.evolve(record).unwrap();
    }
    let run = state.run.as_ref()?;
    let steps: Option<BTreeMap<Name, Disposition>> =
        run.steps.keys().map(|name| Some((name.clone(), of_step(run, name)?))).collect();
    let steps = steps?;
    let has = |wanted: Disposition| steps.values().any(|what| *what == wanted);
    let outcome = match run.state {
        RunState::RolledBack => Outcome::RolledBack,
        RunState::Halted if has(Disposition::Failed) || has(Disposition::Blocked) => Outcome::Halted,
        RunState::Halted => Outcome::NotConfirmed,
        RunState::Running if has(Disposition::Waits) => Outcome::Waiting,
        _ => return None,
    };
    Some((outcome, steps))
}

fn of_step(run: &Run, name: &str) -> Option<Disposition> {
    let state = &run.steps[name];
    let is_fallback = Graph::new(&run.plan).is_fallback(name);
    Some(match state.phase {
        Phase::Done | Phase::Unchanged => Disposition::InPlace,
        Phase::Skipped if is_fallback && state.started.is_none() => Disposition::NotNeeded,
        Phase::Skipped => Disposition::Skipped,
        Phase::Blocked => Disposition::Blocked,
        Phase::Pending if is_fallback => Disposition::NotNeeded,
        Phase::Pending => Disposition::NotStarted,
        Phase::AwaitingApproval if state.approval_until.is_none() => Disposition::Waits,
        Phase::Failed => of_failed(run, name, state.failure),
        _ => return None,
    })
}

fn of_failed(run: &Run, name: &str, code: Option<FailureCode>) -> Disposition {
    let halts = [FailureCode::Ambiguous, FailureCode::Contested, FailureCode::Unanswered];
    match &run.plan.steps[name].on_failure {
        _ if code.is_some_and(|code| halts.contains(&code)) => Disposition::Failed,
        OnFailure::Halt => Disposition::Failed,
        OnFailure::Continue => Disposition::PassedOver,
        OnFailure::Fallback(fallback) => match run.steps[fallback].phase {
            Phase::Failed | Phase::Skipped | Phase::Blocked => Disposition::Failed,
            _ => Disposition::FellBack,
        },
    }
}

/// Whether the search has found this end.
pub(crate) fn is_among(ends: &[EndReport], (outcome, steps): &End) -> bool {
    let same = |end: &EndReport| {
        end.outcome == *outcome
            && end.steps.len() == steps.len()
            && end.steps.iter().all(|(name, what)| steps.get(name) == Some(what))
    };
    ends.iter().any(same)
}
