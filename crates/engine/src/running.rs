//! Rolling back: by a daemon's word for an armed migration, or in the foreground without a daemon.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::Baseline,
    event::{Event, Record, RunKind},
    id::RunId,
    input::{Asked, Command, Pin, Verb},
    run::RunState,
    scope::included,
};
use belay_plan::model::{Name, Plan};
use belay_ports::{AccountError, CUTOVER_UNMARKED, Ports};

use crate::{
    capture::{Looking, observe_all},
    handle::{CommandError, Handle},
    loss::losing,
    scope::{self, Unknown},
};

/// So long a rollback waits for what shows whether a step would fail without the mark of the cutover: slow answers hold it up no longer.
const UNMARKED_TIME_MAX: Duration = Duration::from_secs(5);

/// Rolls back what is armed. `only`: those steps and the ones that they need; empty for all.
///
/// # Errors
/// [`RunError`] when nothing is armed, a run is under way, the engine does not act, or a step goes back to a cutover that is not marked.
pub async fn rollback(handle: &Handle, ports: &Ports, only: Vec<Name>, asked: &Asked) -> Result<RunId, RunError> {
    let state = handle.snapshot().state.clone();
    let may_begin = state.armed.is_some() && state.cutover.is_none() && state.open_run().is_none();
    if let Some(plan) = state.plan.as_ref().filter(|_| may_begin) {
        tokio::select! {
            biased;
            marked = refuse_unmarked(ports, plan, &only, state.phase_name()) => marked?,
            () = ports.clock.sleep(UNMARKED_TIME_MAX) => {}
        }
    }
    Ok(start(handle, asked.command(Verb::Rollback { kind: RunKind::Real, only, pin: None })).await?)
}

/// Puts back what was there before a run that is over.
///
/// # Errors
/// [`RunError`] when the run cannot be undone (any more), another one is open, or the credentials are of another account.
pub async fn undo(handle: &Handle, ports: &Ports, run: RunId, asked: &Asked) -> Result<RunId, RunError> {
    // Since the rollback, Belay may have been started with other credentials.
    if let Some(undone) = handle.snapshot().state.find_run(&run) {
        scope::verify_accounts(ports, &undone.plan).await?;
    }
    Ok(start(handle, asked.command(Verb::Undo { run })).await?)
}

async fn start(handle: &Handle, command: Command) -> Result<RunId, CommandError> {
    let records = handle.command(command).await?;
    let started = records.into_iter().find_map(|record| match record {
        Record { event: Event::RunStarted { run, .. } | Event::UndoStarted { run, .. }, .. } => Some(run),
        _ => None,
    });
    started.ok_or_else(|| CommandError::Stopped { why: "the command was taken, but no run came of it".to_owned() })
}

/// A run without a daemon.
#[derive(Debug, Clone)]
pub struct Request {
    pub plan: Arc<Plan>,
    pub plan_sha256: String,
    pub kind: RunKind,
    /// None: what the journal keeps.
    pub baseline: Option<Baseline>,
    pub only: Vec<Name>,
    /// In which phase of the plan; none: in that of the journal.
    pub phase: Option<Name>,
    pub asked: Asked,
}

/// The run that has come of a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreground {
    pub run: RunId,
    /// The journal showed an unfinished run of this migration: it goes on, with the plan that it has pinned.
    pub continued: bool,
}

/// Why no run was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("the baseline is of the migration {found}, not of {expected}")]
    OtherBaseline { expected: Name, found: Name },
    /// The run would fail in the middle, with the writers stopped.
    #[error("step {step} would fail: {why}")]
    CutoverUnmarked { step: Name, why: String },
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Starts a run of a plan that nobody has armed, or goes on with the one that the journal shows unfinished. It answers
/// when the run has begun; its end shows in the snapshots.
///
/// # Errors
/// [`RunError`]. Nothing was sent then.
pub async fn run_foreground(handle: &Handle, ports: &Ports, request: Request) -> Result<Foreground, RunError> {
    let snapshot = handle.snapshot();
    let unfinished = snapshot.state.open_run();
    let plan = unfinished.map_or(&request.plan, |run| &run.plan);
    scope::refuse_unknown(ports, plan)?;
    scope::verify_accounts(ports, plan).await?;
    let command = |verb| request.asked.command(verb);
    if let Some(run) = unfinished {
        if matches!(run.state, RunState::Held | RunState::Halted) {
            handle.command(command(Verb::Resume { run: run.id.clone() })).await?;
        }
        return Ok(Foreground { run: run.id.clone(), continued: true });
    }
    let expected = &request.plan.migration;
    if let Some(other) = request.baseline.as_ref().filter(|baseline| baseline.migration != *expected) {
        return Err(RunError::OtherBaseline { expected: expected.clone(), found: other.migration.clone() });
    }
    if snapshot.state.cutover.is_none() {
        let phase = request.phase.as_deref().or(snapshot.state.phase_name());
        refuse_unmarked(ports, &request.plan, &request.only, phase).await?;
    }
    let pin = Pin {
        plan: request.plan.clone(),
        plan_sha256: request.plan_sha256.clone(),
        baseline: request.baseline.clone().map(Arc::new),
        phase: request.phase.clone(),
    };
    let verb = Verb::Rollback { kind: request.kind, only: request.only.clone(), pin: Some(pin) };
    let run = start(handle, command(verb)).await?;
    Ok(Foreground { run, continued: false })
}

/// Once the run waits, nobody can mark the cutover any more. A step that cannot be observed now is none of this: the run finds out.
async fn refuse_unmarked(ports: &Ports, plan: &Plan, only: &[Name], phase: Option<&str>) -> Result<(), RunError> {
    let included = included(plan, only);
    let steps = losing(plan).filter(|name| included.contains(name) && plan.takes_part(name, phase));
    let looks = steps.filter_map(|name| Looking::new(ports, plan, name.clone(), None, None)).collect();
    for (looking, observed) in observe_all(looks).await {
        let Ok(doc) = observed else { continue };
        let checks = looking.actuator.checks(&looking.scope, &doc).unwrap_or_default();
        if let Some(check) = checks.iter().find(|check| check.id == CUTOVER_UNMARKED) {
            return Err(RunError::CutoverUnmarked { step: looking.scope.step.clone(), why: check.line() });
        }
    }
    Ok(())
}
