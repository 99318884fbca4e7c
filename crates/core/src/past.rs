//! What the state keeps of runs and incidents that are over: the last ones, those that something is still to come of, and a
//! summary. The journal has all of them.
//!
//! So the state is as large after ten thousand rollbacks as after a hundred. What is asked about an older one is answered by
//! folding the stream anew: [`Migration::evolve_and_forget`] gives out each run and incident in the moment in which the state
//! forgets it, and nothing changes it any more after that.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use belay_plan::model::{Name, Step};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    event::RunKind,
    id::{IncidentId, RunId},
    incident::Incident,
    migration::Migration,
    possible::armed_since,
    run::{Phase, Run},
};

/// Runs that are kept, dry ones aside, and incidents.
pub const KEPT: usize = 20;

/// Dry runs, each with its report, that are kept.
pub const DRY_RUNS_KEPT: usize = 20;

/// What is still needed is kept beyond [`KEPT`], up to this: thousands of rollbacks in a loop cost no more either.
const NEEDED_MAX: usize = 100;

/// So many times of each step are remembered of runs that are forgotten. Older ones show little of now.
pub const TIMES_MAX: usize = 10;

/// Steps, each with its action and kind of resource, of which something is remembered. Plans change, so without a bound it grows.
const STEPS_MAX: usize = 2_000;

/// What was forgotten with one record; empty for most.
#[derive(Debug, Default)]
pub struct Forgotten {
    pub runs: Vec<Arc<Run>>,
    pub incidents: Vec<Arc<Incident>>,
}

/// What is known of the runs and incidents that were forgotten.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub runs: u64,
    pub incidents: u64,
    /// The greatest id of them. Ids sort by time, so what has a greater one was not forgotten.
    pub last_run: Option<RunId>,
    pub last_incident: Option<IncidentId>,
    #[serde(with = "pairs")]
    steps: BTreeMap<StepKey, StepPast>,
}

/// The same step of any run: by its name, action and kind of resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct StepKey {
    step: Name,
    action: String,
    resource: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct StepPast {
    /// The latest first.
    times: VecDeque<Time>,
    /// When it was last carried out in a drill.
    drilled: Option<Timestamp>,
    /// When anything of it was added.
    at: Timestamp,
}

/// What a step took in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    pub time: Duration,
    /// The ids of the changes that took effect in it.
    pub changes: Vec<String>,
}

/// JSON has no keys that are not text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{StepKey, StepPast};

    pub(super) fn serialize<S: Serializer>(steps: &BTreeMap<StepKey, StepPast>, to: S) -> Result<S::Ok, S::Error> {
        steps.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<BTreeMap<StepKey, StepPast>, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

impl StepKey {
    fn of(name: &str, step: &Step) -> Self {
        Self { step: name.to_owned(), action: step.action.clone(), resource: kind_of(&step.resource).to_owned() }
    }
}

/// `route53` of `route53:Z0/shop.example.com/A`
fn kind_of(resource: &str) -> &str {
    resource.split(':').next().unwrap_or_default()
}

impl Run {
    /// What the same step took in this run, from its first send until its target held. Of rollbacks and drills alone.
    pub fn time_of(&self, name: &str, step: &Step) -> Option<Time> {
        let then = self.plan.steps.get(name).filter(|_| matches!(self.kind, RunKind::Real | RunKind::Drill))?;
        let same = then.action == step.action && kind_of(&then.resource) == kind_of(&step.resource);
        let state = self.steps.get(name).filter(|_| same)?;
        Some(Time { time: state.took()?, changes: state.effective.clone() })
    }

    /// When the same step was carried out in this run, where it was a drill.
    pub fn drilled(&self, name: &str, step: &Step) -> Option<Timestamp> {
        let then = self.plan.steps.get(name).filter(|_| self.kind == RunKind::Drill)?;
        let state = self.steps.get(name).filter(|_| then.action == step.action)?;
        self.ended.filter(|_| matches!(state.phase, Phase::Done | Phase::Unchanged))
    }
}

impl Summary {
    fn note_run(&mut self, run: &Run) {
        self.runs += 1;
        self.last_run = self.last_run.take().max(Some(run.id.clone()));
        for (name, step) in &run.plan.steps {
            let (time, drilled) = (run.time_of(name, step), run.drilled(name, step));
            if time.is_none() && drilled.is_none() {
                continue;
            }
            let past = self.steps.entry(StepKey::of(name, step)).or_default();
            past.at = run.ended.unwrap_or(run.started);
            past.drilled = past.drilled.max(drilled);
            if let Some(time) = time {
                past.times.push_front(time);
                past.times.truncate(TIMES_MAX);
            }
        }
        while self.steps.len() > STEPS_MAX {
            let oldest = self.steps.iter().min_by_key(|(_, past)| past.at).map(|(key, _)| key.clone());
            oldest.map(|key| self.steps.remove(&key));
        }
    }

    fn note_incident(&mut self, incident: &Incident) {
        self.incidents += 1;
        self.last_incident = self.last_incident.take().max(Some(incident.id.clone()));
    }

    /// What a step took in runs that were forgotten, the latest first.
    pub fn times<'s>(&'s self, name: &str, step: &Step) -> impl Iterator<Item = &'s Time> {
        self.steps.get(&StepKey::of(name, step)).into_iter().flat_map(|past| &past.times)
    }

    /// When a step was last carried out in a drill that was forgotten.
    pub fn drilled(&self, name: &str, step: &Step) -> Option<Timestamp> {
        let same = self.steps.iter().filter(|(key, _)| key.step == name && key.action == step.action);
        same.filter_map(|(_, past)| past.drilled).max()
    }
}

impl Migration {
    /// Something may be over now that was not before: what is too old is forgotten.
    pub(crate) fn forget_past(&mut self) -> Forgotten {
        let mut forgotten = Forgotten::default();
        while let Some(place) = self.run_to_forget() {
            forgotten.runs.push(self.past_runs.remove(place));
        }
        while let Some(place) = self.incident_to_forget() {
            forgotten.incidents.push(self.past_incidents.remove(place));
        }
        if !forgotten.runs.is_empty() || !forgotten.incidents.is_empty() {
            let summary = Arc::make_mut(&mut self.forgotten);
            forgotten.runs.iter().for_each(|run| summary.note_run(run));
            forgotten.incidents.iter().for_each(|incident| summary.note_incident(incident));
        }
        forgotten
    }

    fn run_to_forget(&self) -> Option<usize> {
        let is_dry = |run: &Arc<Run>| run.kind == RunKind::Dry;
        let dry = self.past_runs.iter().filter(|run| is_dry(run)).count();
        if dry > DRY_RUNS_KEPT {
            return self.past_runs.iter().position(is_dry);
        }
        let others = self.past_runs.len() - dry;
        if others <= KEPT {
            return None;
        }
        let unneeded = self.past_runs.iter().position(|run| !is_dry(run) && !self.needs_run(run));
        unneeded.or_else(|| self.past_runs.iter().position(|run| !is_dry(run)).filter(|_| others > NEEDED_MAX))
    }

    fn incident_to_forget(&self) -> Option<usize> {
        let count = self.past_incidents.len();
        if count <= KEPT {
            return None;
        }
        // The last ones are kept whatever they are.
        let unneeded = self.past_incidents[..count - 1].iter().position(|incident| !self.needs_incident(incident));
        unneeded.or_else(|| (count > NEEDED_MAX).then_some(0))
    }

    /// Whether a run is more than history: it can be undone or is being undone, its drill is not over, or people are to be told of it.
    fn needs_run(&self, run: &Run) -> bool {
        self.is_of_last_run(|last| last.undoes.as_ref() == Some(&run.id))
            || self.drill.as_ref().is_some_and(|drill| drill.run.as_ref() == Some(&run.id))
            || self.can_yet_be_undone(run)
            || self.outbox.postmortems.contains_key(&run.id)
            || self.outbox.waiting.values().any(|waiting| waiting.run() == Some(&run.id))
    }

    /// At once, or after its undo was aborted.
    fn can_yet_be_undone(&self, run: &Run) -> bool {
        let moved_on = |later: &Run| later.undoes.as_ref() != Some(&run.id) && later.has_changed_anything();
        run.undoes.is_none()
            && run.has_changed_anything()
            && !armed_since(self, run)
            && !self.runs_after(run).any(moved_on)
    }

    fn needs_incident(&self, incident: &Incident) -> bool {
        self.is_of_last_run(|last| last.incident.as_ref() == Some(&incident.id))
            || self.outbox.incident_postmortems.contains_key(&incident.id)
            || incident.run.as_ref().is_some_and(|run| self.outbox.postmortems.contains_key(run))
            || self.outbox.waiting.values().any(|waiting| waiting.incident() == Some(&incident.id))
    }

    fn is_of_last_run(&self, is: impl FnOnce(&Run) -> bool) -> bool {
        self.run.as_ref().is_some_and(is)
    }
}
