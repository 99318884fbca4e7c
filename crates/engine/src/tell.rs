//! Writes into the log what has just become durable, in the words that everybody reads ([`belay_narrate`]), with its ids.

use belay_core::{
    event::{Event, Record},
    migration::Migration,
};
use belay_narrate::{Audience, Context, narrate};
use jiff::Timestamp;

/// What the log calls the source of these lines: a filter can name it.
const TARGET: &str = "belay::edges";

pub(crate) fn tell(record: &Record, state: &Migration) {
    if !tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
        return; // nobody reads it: no need to put it into words
    }
    let plan = state.open_run().map(|run| &run.plan).or(state.plan.as_ref());
    let clock = |at: Timestamp| format!("{at:.0}");
    let told = narrate(&record.event, &Context { actor: &record.actor, plan: plan.map(AsRef::as_ref), clock: &clock });
    let message = told.in_log();
    let step = if let Event::Step { step, .. } = &record.event { Some(step.as_str()) } else { None };
    let run = state.open_run().map(|run| run.id.0.as_str());
    let incident = state.incident.as_ref().map(|incident| incident.id.0.as_str());
    let (migration, seq, actor) = (record.stream.as_str(), record.seq, record.actor.as_str());
    match told.audience {
        Audience::Machines => {}
        Audience::Log | Audience::Followers => {
            tracing::info!(target: TARGET, migration, incident, run, step, seq, actor, "{message}");
        }
        Audience::OnCall => tracing::warn!(target: TARGET, migration, incident, run, step, seq, actor, "{message}"),
        Audience::Responsible => {
            tracing::error!(target: TARGET, migration, incident, run, step, seq, actor, "{message}");
        }
    }
}
