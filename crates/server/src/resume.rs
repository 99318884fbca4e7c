//! What a start finds, for the log: one line for each migration, run, and step under way.

use belay_core::{
    migration::{Migration, MigrationState},
    run::{Phase, Run},
};
use belay_engine::{OpenError, folded};
use belay_ports::{Journal, ReadFailure};
use jiff::{SignedDuration, Timestamp};

use crate::plan_files::PlanFile;

/// The last record may lie this far ahead before it is worth a warning.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(2);

/// Whether any stream holds something that watches, runs, or is still to be told. Nothing is begun.
pub(crate) async fn any_is_live(journal: &dyn Journal, streams: &[String]) -> Result<bool, ReadFailure> {
    for stream in streams {
        match folded(journal, stream).await {
            Ok(state) if !state.is_pending() => {}
            // What cannot be folded has an error of its own, when it is taken up.
            Ok(_) | Err(OpenError::Corrupt(_)) => return Ok(true),
            Err(OpenError::Unreadable(failure)) => return Err(failure),
        }
    }
    Ok(false)
}

/// Says what is taken up, and what is not armed and why not.
pub(crate) fn tell(state: &Migration, file: Option<&PlanFile>, now: Timestamp) {
    let migration = state.name.as_str();
    let word = serde_json::json!(state.state());
    let plan_file = file.map_or_else(|| "none".to_owned(), |file| file.path.display().to_string());
    let why = not_armed(state);
    tracing::info!(migration, state = word.as_str(), plan_file, records = state.seq, why, "guarding");
    if file.is_none() {
        tracing::warn!(migration, "it has no plan file that can be used; it goes on with the plan that was armed");
    }
    if let Some(since) = state.armed {
        let pending = file.is_some_and(|file| file.loaded.sha256 != state.plan_sha256);
        tracing::info!(migration, %since, plan_sha256 = state.plan_sha256, pending_plan = pending, "armed");
    }
    if let Some(run) = state.open_run() {
        tell_run(migration, run);
    }
    if let Some(last) = state.at.filter(|last| last.duration_since(now) > AHEAD_MAX) {
        tracing::warn!(migration, %last, %now, "the clock was set back: the last record lies ahead of it");
    }
}

fn not_armed(state: &Migration) -> Option<&'static str> {
    match state.state() {
        MigrationState::Disarmed if state.plan.is_none() => Some("it was never armed: `belay arm` arms it"),
        MigrationState::Disarmed => Some("a person disarmed it: `belay arm` arms it again"),
        MigrationState::RolledBack | MigrationState::Aborted => Some("after a run a person arms it again: `belay arm`"),
        _ => None,
    }
}

fn tell_run(migration: &str, run: &Run) {
    let word = serde_json::json!(run.state);
    tracing::info!(migration, run = %run.id, state = word.as_str(), started = %run.started, "a run goes on");
    for (step, state) in &run.steps {
        if !matches!(state.phase, Phase::Pending) && !state.phase.is_over() {
            let phase = serde_json::json!(state.phase);
            tracing::info!(migration, run = %run.id, step, phase = phase.as_str(), attempt = state.attempt, "a step under way");
        }
    }
}
