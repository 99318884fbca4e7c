//! One state of the search: the real core's state, and the explored world beside it.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Duration};

use belay_core::{
    change::{Baseline, BaselineEntry},
    event::{EVENT_VERSION, Event, Record, RunKind},
    gate::{GateState, GateStatus},
    input::{Asked, Input, Pin, Refusal, Verb},
    migration::Migration,
    run::{Fate, Phase, Run, RunState, StepState},
};
use belay_plan::model::Plan;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{model::Model, world::World};

/// A send that failed is tried once more, whatever the plan says: each further try is like the one before.
const ATTEMPTS_MAX: u32 = 2;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) state: Migration,
    pub(crate) world: World,
    pub(crate) now: Timestamp,
    /// Steps whose person never answers.
    pub(crate) silent: BTreeSet<usize>,
}

impl Node {
    /// A run of the plan has begun, as `belay run` would start it.
    pub(crate) fn start(plan: &Plan, model: &Model) -> Result<(Self, Vec<Event>), Refusal> {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365);
        let state = Migration::new(plan.migration.clone());
        let mut node = Self { state, world: World::new(model), now, silent: BTreeSet::new() };
        let mut plan = plan.clone();
        for step in plan.steps.values_mut() {
            step.retry.attempts = step.retry.attempts.min(ATTEMPTS_MAX);
        }
        let entry = |resource: &str, action: &str| BaselineEntry {
            action: action.to_owned(),
            resource: resource.to_owned(),
            doc: Value::Null,
        };
        let steps = plan.steps.iter().map(|(name, step)| (name.clone(), entry(&step.resource, &step.action)));
        let baseline = Baseline {
            migration: plan.migration.clone(),
            captured: now,
            plan_sha256: String::new(),
            steps: steps.collect(),
        };
        let pin =
            Pin { plan: Arc::new(plan), plan_sha256: String::new(), baseline: Some(Arc::new(baseline)), phase: None };
        let verb = Verb::Rollback { kind: RunKind::Simulated, only: Vec::new(), pin: Some(pin) };
        let events = node.feed(&Input::Command(Asked::new("operator", "what could happen?").command(verb)))?;
        Ok((node, events))
    }

    /// One input: decided, and at once durable.
    pub(crate) fn feed(&mut self, input: &Input) -> Result<Vec<Event>, Refusal> {
        let events = self.state.decide(self.now, 0, input)?;
        for event in &events {
            self.record(event.clone());
        }
        Ok(events)
    }

    /// The chain of hashes is the journal's business; here it only has to hold together.
    fn record(&mut self, event: Event) {
        let record = Record {
            stream: String::new(),
            seq: self.state.seq + 1,
            version: EVENT_VERSION,
            at: self.now,
            actor: "belay".to_owned(),
            event,
            prev: self.state.head.clone(),
            hash: String::new(),
        };
        let folded = self.state.evolve(&record);
        debug_assert!(folded.is_ok(), "core decided what it cannot fold: {folded:?}");
    }

    /// The run, which is there from the start.
    pub(crate) fn run(&self) -> &Run {
        self.state.run.as_ref().expect("a node has a run")
    }

    pub(crate) fn step(&self, step: usize) -> &StepState {
        &self.run().steps[step]
    }

    pub(crate) fn name(&self, step: usize) -> &str {
        self.run().steps.get_index(step).map_or("", |(name, _)| name)
    }

    /// Something is still to happen to a step, and not only by a person who does not answer.
    pub(crate) fn is_active(&self, step: usize) -> bool {
        let phase = self.step(step).phase;
        !phase.is_over() && phase != Phase::Pending && !self.silent.contains(&step)
    }

    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.run().state, RunState::Running | RunState::Confirming)
    }

    /// Moves the clocks of some steps: by how much they are ahead of the others is nobody's business.
    pub(crate) fn shift(&mut self, by: SignedDuration, which: impl Fn(usize, &StepState) -> bool) {
        let Some(run) = &mut self.state.run else { return };
        for (index, step) in run.steps.values_mut().enumerate() {
            if !step.phase.is_over() && which(index, step) {
                shift_step(Arc::make_mut(step), by);
            }
        }
    }

    pub(crate) fn shift_confirmation(&mut self, by: SignedDuration) {
        let Some(run) = &mut self.state.run else { return };
        run.confirm.iter_mut().for_each(|gate| shift_gate(gate, by));
    }

    /// Fills up a step's time-out: how much of it an earlier part took says nothing of how long the next one takes.
    pub(crate) fn refill_timeout(&mut self, step: usize) {
        let now = self.now;
        let Some(run) = &mut self.state.run else { return };
        let plan = run.plan.clone();
        let Some((name, state)) = run.steps.get_index_mut(step) else { return };
        let whole = plan.steps[name].timeout;
        let state = Arc::make_mut(state);
        state.deadline = state.deadline.map(|deadline| if deadline > now { now + whole } else { deadline });
        state.time_left = state.time_left.map(|_| whole);
    }

    /// Everything of a step that bears on what can still happen to it, with times counted from now.
    pub(crate) fn step_key(&self, step: usize) -> String {
        let state = self.step(step);
        let left = |at: Option<Timestamp>| at.map(|at| at.duration_since(self.now).as_millis());
        let intent = state.intent.as_ref().map(|intent| {
            let fate = match intent.fate {
                Fate::InFlight => 'f',
                Fate::Accepted { .. } => 'a',
                Fate::NoEffect => 'n',
                Fate::Unknown => 'u',
                Fate::Effective => 'e',
            };
            (&intent.change.id, fate)
        });
        let receipts: BTreeSet<&String> = state.receipts.iter().map(|receipt| &receipt.change).collect();
        let mut key = format!(
            "{:?} {:?} {intent:?} {receipts:?} {:?} {:?} {} {} {} {} {} {} {} {:?}",
            state.phase,
            (state.stage, state.sent_in_stage(), state.drained),
            state.effective,
            (left(state.deadline), left(state.approval_until), left(state.wait_until), left(state.doubted)),
            state.failures,
            state.interruptions,
            state.planned.is_empty(),
            state.require_passed,
            state.approved,
            state.approvals.len(),
            state.touched,
            (state.again_at.is_some(), state.time_left.is_some(), &state.overrides, &state.failure),
        );
        for gate in state.require.iter().chain(&state.verify) {
            self.gate_key(gate, &mut key);
        }
        let _ = write!(key, "{:?} {:?}", self.world.steps[step], self.silent.contains(&step));
        key
    }

    fn gate_key(&self, gate: &GateState, key: &mut String) {
        let since_opened = gate.opened.duration_since(self.now).as_millis();
        let _ = match gate.status {
            GateStatus::Holding { since } => {
                write!(key, "|{since_opened} held {}", since.duration_since(self.now).as_millis())
            }
            GateStatus::Passed => write!(key, "|passed"),
            status => write!(key, "|{since_opened} {status:?}"),
        };
    }

    /// The same for the confirmation.
    pub(crate) fn confirm_key(&self) -> String {
        let mut key = format!("{:?}", self.run().state);
        self.run().confirm.iter().for_each(|gate| self.gate_key(gate, &mut key));
        key
    }

    /// Everything, as it is: for searching without any abstraction.
    #[cfg(test)]
    pub(crate) fn exact_key(&self) -> String {
        let run = self.run();
        let steps: Vec<StepState> = run.steps.values().map(|step| without_words(step)).collect();
        let confirm: Vec<_> = run.confirm.iter().map(|gate| (gate.opened, gate.status)).collect();
        format!("{:?} {:?} {steps:?} {confirm:?} {:?} {:?}", run.state, self.now, self.world, self.silent)
    }
}

/// What people read, and numbers that only count.
#[cfg(test)]
fn without_words(step: &StepState) -> StepState {
    let mut step = step.clone();
    step.why.clear();
    step.look = 0;
    step.tries = 0;
    step
}

fn shift_step(step: &mut StepState, by: SignedDuration) {
    let shift = |at: &mut Timestamp| *at += by;
    shift(&mut step.since);
    let times = [&mut step.deadline, &mut step.doubted, &mut step.again_at, &mut step.wait_until];
    times.into_iter().chain([&mut step.approval_until, &mut step.started, &mut step.ended]).flatten().for_each(shift);
    if let Some(intent) = &mut step.intent
        && let Fate::Accepted { at } = &mut intent.fate
    {
        shift(at);
    }
    step.require.iter_mut().chain(&mut step.verify).for_each(|gate| shift_gate(gate, by));
}

fn shift_gate(gate: &mut GateState, by: SignedDuration) {
    gate.opened += by;
    if let GateStatus::Holding { since } = &mut gate.status {
        *since += by;
    }
}

/// When the next gate that holds has held long enough.
pub(crate) fn held_at(gates: &[GateState]) -> Option<Timestamp> {
    let held = gates.iter().filter_map(|gate| match gate.status {
        GateStatus::Holding { since } => Some(since + gate.gate.hold),
        _ => None,
    });
    held.min()
}

/// Longer than anything in a plan takes.
pub(crate) const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
