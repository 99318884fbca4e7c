//! What must hold after every record and at every call (the invariants of `crates/ARCHITECTURE.md`), written down a second
//! time and in other words than in core: an independent witness.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_core::{
    change::{Change, Effect, Key, Proof, Receipt, Repeats},
    event::{Event, FailureCode, Record, RunOutcome, StepEvent},
    migration::Migration,
    proof::rises,
    run::{Fate, Phase, Run, StepState},
};
use belay_plan::model::{AwsTarget, Name, OnFailure};
use belay_ports::{
    AccountError, Actuator, Actuators, AppendError, ApplyError, Check, Corrupt, Fut, Interruption, Journal, NewRecord,
    Permission, Placed, ReadError, ReadFailure, RestorePoint, Restored, Scope,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::deciding::Decisions;

/// Sees every durable record and every call of one migration, and keeps what is wrong with them.
pub struct Witness {
    inner: Mutex<Seen>,
}

struct Seen {
    state: Migration,
    records: Vec<Record>,
    /// By step: the changes that were accepted since it last began, and those of which nobody knows.
    accepted: BTreeMap<Name, BTreeSet<String>>,
    unknown: BTreeMap<Name, BTreeSet<String>>,
    decisions: Decisions,
    violations: Vec<String>,
}

impl Witness {
    pub fn new(migration: &str) -> Arc<Self> {
        let seen = Seen {
            state: Migration::new(migration),
            records: Vec::new(),
            accepted: BTreeMap::new(),
            unknown: BTreeMap::new(),
            decisions: Decisions::default(),
            violations: Vec::new(),
        };
        Arc::new(Self { inner: Mutex::new(seen) })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was wrong so far.
    pub fn violations(&self) -> Vec<String> {
        self.seen().violations.clone()
    }

    /// What should have been decided by now, by a process that has been there all the time lately.
    pub fn undecided(&self, now: Timestamp) -> Vec<String> {
        self.seen().decisions.at_rest(now)
    }

    /// Every durable record so far.
    pub fn records(&self) -> Vec<Record> {
        self.seen().records.clone()
    }

    /// The state that the durable records come to.
    pub fn state(&self) -> Migration {
        self.seen().state.clone()
    }

    /// The journal, with this witness beside it.
    pub fn journal(self: &Arc<Self>, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        Arc::new(WitnessedJournal { journal, witness: self.clone() })
    }

    /// The actuators, with this witness beside them.
    pub fn actuators(self: &Arc<Self>, actuators: Arc<dyn Actuators>) -> Arc<dyn Actuators> {
        Arc::new(WitnessedActuators { actuators, witness: self.clone() })
    }

    fn durable(&self, records: &[Record]) {
        let mut seen = self.seen();
        for record in records {
            if record.seq > seen.state.seq {
                seen.record(record);
            }
        }
    }
}

impl Seen {
    fn record(&mut self, record: &Record) {
        let mut problems = match (&record.event, self.state.open_run()) {
            (Event::Step { step, what }, Some(run)) => self.step_problems(run, step, what),
            (Event::Step { step, .. }, None) => vec![format!("{step} moves without a run")],
            (Event::RunEnded { outcome, why }, Some(run)) => end_problems(run, *outcome, why),
            (Event::RunStarted { .. }, Some(run)) => vec![format!("a run starts while {} is open", run.id)],
            (Event::RunStarted { .. }, None) => self.pin_problems(),
            _ => Vec::new(),
        };
        if let Event::Step { step, what } = &record.event {
            self.remember(step, what);
        }
        problems.extend(self.decisions.record(record));
        problems.extend(self.state.evolve(record).err().map(|corrupt| corrupt.to_string()));
        self.violations.extend(problems.into_iter().map(|problem| format!("record {}: {problem}", record.seq)));
        self.records.push(record.clone());
    }

    /// The plan that was pinned last is the plan that runs, whole.
    fn pin_problems(&self) -> Vec<String> {
        let pinned = self.records.iter().rev().find_map(|record| match &record.event {
            Event::PlanPinned { plan, plan_sha256 } => Some((plan, plan_sha256)),
            _ => None,
        });
        let state = (self.state.plan.as_ref(), &self.state.plan_sha256);
        let same = pinned.is_some_and(|(plan, sha256)| state == (Some(plan), sha256));
        if same { Vec::new() } else { vec!["a run starts with another plan than the pinned one".to_owned()] }
    }

    fn step_problems(&self, run: &Run, name: &Name, what: &StepEvent) -> Vec<String> {
        let state = &run.steps[name];
        let problem = match what {
            StepEvent::Started { .. } if unmet_need(run, name).is_some() => {
                format!("{name} starts before its need {}", unmet_need(run, name).unwrap_or_default())
            }
            StepEvent::Started { fallback_for: None } if is_fallback(run, name) => {
                format!("the fallback {name} starts for nobody")
            }
            StepEvent::Intended { attempt, change, .. } => {
                return self.intent_problems(run, name, state, *attempt, change);
            }
            StepEvent::RequirePassed if state.require.iter().any(|gate| !gate.has_passed()) => {
                format!("{name} passes an interlock that has not passed")
            }
            StepEvent::Failed { why, .. } | StepEvent::Skipped { why } if why.is_empty() => {
                format!("{name} is over, and nobody is told why")
            }
            StepEvent::Approved if !is_agreed(run, name, state) => {
                format!("{name} counts as approved by {:?}, which is not enough", state.approvals)
            }
            StepEvent::StagePassed { .. } if state.sent_in_stage() && !all_verified(run, name, state) => {
                format!("{name} goes on to the next stage, and a gate has not passed")
            }
            StepEvent::Done | StepEvent::Unchanged if state.verify.iter().any(|gate| !gate.has_passed()) => {
                format!("{name} is done, and a gate has not passed")
            }
            _ => return Vec::new(),
        };
        vec![problem]
    }

    fn remember(&mut self, name: &Name, what: &StepEvent) {
        match what {
            StepEvent::Accepted { receipt, .. } => {
                self.accepted.entry(name.clone()).or_default().insert(receipt.change.clone());
            }
            StepEvent::OutcomeUnknown { .. } => {
                let step = self.state.open_run().and_then(|run| run.steps.get(name));
                if let Some(intent) = step.and_then(|step| step.intent.as_ref()) {
                    self.unknown.entry(name.clone()).or_default().insert(intent.change.id.clone());
                }
            }
            StepEvent::Reset => {
                self.accepted.remove(name);
                self.unknown.remove(name);
            }
            _ => {}
        }
    }

    fn intent_problems(&self, run: &Run, name: &Name, state: &StepState, attempt: u32, change: &Change) -> Vec<String> {
        let mut problems = Vec::new();
        let known = |changes: &BTreeMap<Name, BTreeSet<String>>| {
            changes.get(name).is_some_and(|changes| changes.contains(&change.id))
        };
        if state.in_flight() || attempt != state.attempt + 1 {
            problems.push(format!(
                "{name} sends number {attempt} after {}, in flight: {}",
                state.attempt,
                state.in_flight()
            ));
        }
        if known(&self.accepted) {
            problems.push(format!("{name} sends {} again, which was accepted", change.id));
        }
        if known(&self.unknown) && change.repeats == Repeats::Never {
            problems.push(format!("{name} sends {} again, whose outcome is unknown and which harms twice", change.id));
        }
        if let Some(need) = unmet_need(run, name) {
            problems.push(format!("{name} sends before its need {need}"));
        }
        let interlocked = !run.plan.steps[name].require.is_empty();
        if interlocked && !state.require_passed && state.overrides.is_empty() {
            problems.push(format!("{name} sends before its interlocks have passed"));
        }
        if let Some(problem) = self.unasked(run, name, state, change) {
            problems.push(problem);
        }
        for effect in &change.effects {
            let Effect::Traffic { shares } = effect else { continue };
            if shares.iter().all(|share| share.after == 0) {
                problems.push(format!("{name} leaves no traffic anywhere"));
            }
            for share in shares.iter().filter(|share| rises(share, shares)) {
                let proven = match share.proof {
                    Proof::Healthy { .. } => true,
                    Proof::None { .. } => interlocked,
                    Proof::Unhealthy { .. } => false,
                };
                if !proven && !state.overrides.contains(&share.destination) {
                    problems.push(format!("{name} raises {} without proof", share.destination));
                }
            }
        }
        problems
    }

    /// What a person has to agree to first, and has not: what the plan says, and losing more than its objective.
    fn unasked(&self, run: &Run, name: &Name, state: &StepState, change: &Change) -> Option<String> {
        if state.approved {
            return None;
        }
        if run.plan.steps[name].approve.is_some() {
            return Some(format!("{name} sends without the approval that the plan asks for"));
        }
        let rpo = run.plan.objectives.rpo?;
        let too_much = change.effects.iter().any(|effect| match (effect, self.state.at) {
            (Effect::LosesData { since: Some(since) }, Some(last)) => {
                Duration::try_from(last.duration_since(*since)).unwrap_or_default() > rpo
            }
            (Effect::LosesData { .. }, _) => true,
            _ => false,
        });
        too_much.then(|| format!("{name} loses more than the rpo, and nobody has approved it"))
    }

    /// A call is about to leave: its intent must be the durable one.
    fn call(&mut self, key: &Key, change: &Change) {
        let intent = self
            .state
            .open_run()
            .filter(|run| run.id == key.run)
            .and_then(|run| run.steps.get(&key.step))
            .and_then(|step| step.intent.as_ref());
        let intended = intent.is_some_and(|intent| {
            intent.attempt == key.attempt && intent.change == *change && intent.fate == Fate::InFlight
        });
        if !intended {
            let Key { run, step, attempt } = key;
            self.violations.push(format!("{run}/{step}/{attempt} was sent without a durable intent: {}", change.title));
        }
    }
}

fn all_verified(run: &Run, name: &str, state: &StepState) -> bool {
    state.verify.len() == run.plan.steps[name].verify.len() && state.verify.iter().all(|gate| gate.has_passed())
}

/// Whether as many different people have said yes as the plan asks for.
fn is_agreed(run: &Run, name: &str, state: &StepState) -> bool {
    let quorum = run.plan.steps[name].approve.as_ref().map_or(1, |asked| asked.quorum);
    let different: BTreeSet<&String> = state.approvals.iter().collect();
    different.len() >= usize::try_from(quorum).unwrap_or(usize::MAX)
}

/// A run ends when all of it is over; as rolled back only confirmed, and with what it passed over named.
fn end_problems(run: &Run, outcome: RunOutcome, why: &str) -> Vec<String> {
    let open = run.steps.iter().filter(|(_, step)| !step.phase.is_over());
    let mut problems: Vec<String> =
        open.map(|(name, step)| format!("the run ended, and {name} is {:?}", step.phase)).collect();
    if outcome == RunOutcome::RolledBack {
        if run.confirm.len() != run.plan.confirm.len() || run.confirm.iter().any(|gate| !gate.has_passed()) {
            problems.push("rolled back, and the confirmation has not held".to_owned());
        }
        let failed = run.steps.iter().filter(|(_, step)| step.phase == Phase::Failed);
        problems.extend(
            failed
                .filter(|(name, _)| !why.contains(name.as_str()))
                .map(|(name, _)| format!("rolled back, and nobody is told that {name} failed")),
        );
    }
    problems
}

fn is_fallback(run: &Run, step: &str) -> bool {
    run.plan.steps.values().any(|other| matches!(&other.on_failure, OnFailure::Fallback(name) if name == step))
}

/// A need that is not satisfied.
fn unmet_need(run: &Run, name: &str) -> Option<Name> {
    // It was satisfied when this one started, and somebody else has undone it since.
    let undone = |state: &StepState| state.failure == Some(FailureCode::Contested) && run.steps[name].started.is_some();
    let satisfied = |need: &Name| {
        let Some(state) = run.steps.get(need) else { return true };
        if undone(state) {
            return true;
        }
        let passed_over = !matches!(state.failure, Some(FailureCode::Ambiguous | FailureCode::Contested));
        match (state.phase, &run.plan.steps[need].on_failure) {
            (Phase::Done | Phase::Unchanged | Phase::Skipped, _) => true,
            (Phase::Failed, OnFailure::Continue) => passed_over,
            (Phase::Failed, OnFailure::Fallback(other)) => {
                let stands_in =
                    |state: &StepState| matches!(state.phase, Phase::Done | Phase::Unchanged) || undone(state);
                passed_over && run.steps.get(other).is_some_and(|state| stands_in(state))
            }
            _ => false,
        }
    };
    run.plan.steps[name].needs.iter().find(|need| !satisfied(need)).cloned()
}

struct WitnessedJournal {
    journal: Arc<dyn Journal>,
    witness: Arc<Witness>,
}

impl Journal for WitnessedJournal {
    fn append<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        records: Vec<NewRecord>,
    ) -> Fut<'a, Result<Vec<Record>, AppendError>> {
        Box::pin(async move {
            let appended = self.journal.append(stream, after, records).await?;
            self.witness.durable(&appended);
            Ok(appended)
        })
    }

    fn read<'a>(&'a self, stream: &'a str, after: u64) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        Box::pin(async move {
            let records = self.journal.read(stream, after).await?;
            self.witness.durable(&records);
            Ok(records)
        })
    }

    fn page<'a>(&'a self, stream: &'a str, after: u64, max: usize) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        Box::pin(async move {
            let records = self.journal.page(stream, after, max).await?;
            self.witness.durable(&records);
            Ok(records)
        })
    }

    fn snapshot<'a>(&'a self, stream: &'a str) -> Fut<'a, Result<Option<belay_ports::Snapshot>, ReadFailure>> {
        self.journal.snapshot(stream)
    }

    fn keep_snapshot<'a>(
        &'a self,
        stream: &'a str,
        snapshot: belay_ports::Snapshot,
    ) -> Fut<'a, Result<(), ReadFailure>> {
        self.journal.keep_snapshot(stream, snapshot)
    }

    fn streams<'a>(&'a self) -> Fut<'a, Result<Vec<String>, ReadFailure>> {
        self.journal.streams()
    }

    fn across<'a>(&'a self, from: u64, max: usize) -> Fut<'a, Result<Vec<Placed>, ReadFailure>> {
        self.journal.across(from, max)
    }

    fn head(&self) -> u64 {
        self.journal.head()
    }

    fn grown<'a>(&'a self, position: u64) -> Fut<'a, ()> {
        self.journal.grown(position)
    }

    fn check<'a>(&'a self) -> Fut<'a, Result<(), ReadFailure>> {
        self.journal.check()
    }

    fn advance<'a>(&'a self, from: &'a belay_ports::Head, to: u64) -> Fut<'a, Result<belay_ports::Head, ReadFailure>> {
        self.journal.advance(from, to)
    }

    fn rescue<'a>(&'a self) -> Fut<'a, Result<belay_ports::Rescued, ReadFailure>> {
        self.journal.rescue()
    }
}

struct WitnessedActuators {
    actuators: Arc<dyn Actuators>,
    witness: Arc<Witness>,
}

impl Actuators for WitnessedActuators {
    fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>> {
        let actuator = self.actuators.actuator(action)?;
        Some(Arc::new(WitnessedActuator { actuator, witness: self.witness.clone() }))
    }

    fn verify_account<'a>(&'a self, aws: &'a AwsTarget) -> Fut<'a, Result<String, AccountError>> {
        self.actuators.verify_account(aws)
    }

    fn readiness<'a>(
        &'a self,
        aws: &'a AwsTarget,
        permissions: &'a [Permission],
        until: Timestamp,
    ) -> Fut<'a, Vec<Check>> {
        self.actuators.readiness(aws, permissions, until)
    }

    fn permissions(&self, aws: &AwsTarget) -> Vec<Permission> {
        self.actuators.permissions(aws)
    }

    fn detours(&self) -> Vec<String> {
        self.actuators.detours()
    }
}

struct WitnessedActuator {
    actuator: Arc<dyn Actuator>,
    witness: Arc<Witness>,
}

impl Actuator for WitnessedActuator {
    fn observe<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Value, ReadError>> {
        self.actuator.observe(scope, receipts)
    }

    fn look<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Arc<Value>, ReadError>> {
        self.actuator.look(scope, receipts)
    }

    fn assess(
        &self,
        scope: &Scope,
        now: &Value,
        receipts: &[Receipt],
    ) -> Result<belay_core::change::Assessment, Corrupt> {
        self.actuator.assess(scope, now, receipts)
    }

    fn checks(&self, scope: &Scope, now: &Value) -> Result<Vec<Check>, Corrupt> {
        self.actuator.checks(scope, now)
    }

    fn altered(&self, scope: &Scope, now: &Value) -> Result<Vec<String>, Corrupt> {
        self.actuator.altered(scope, now)
    }

    fn readiness<'a>(&'a self, scope: &'a Scope, now: &'a Value) -> Fut<'a, Vec<Check>> {
        self.actuator.readiness(scope, now)
    }

    fn restore_point(&self, scope: &Scope, now: &Value) -> Result<Option<RestorePoint>, Corrupt> {
        self.actuator.restore_point(scope, now)
    }

    fn restore_test(&self, scope: &Scope, began: Timestamp) -> Result<Option<Value>, Corrupt> {
        self.actuator.restore_test(scope, began)
    }

    fn restored(&self, scope: &Scope, now: &Value) -> Result<Option<Restored>, Corrupt> {
        self.actuator.restored(scope, now)
    }

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        self.witness.seen().call(key, change);
        self.actuator.apply(scope, key, change)
    }

    fn pace(&self) -> Duration {
        self.actuator.pace()
    }

    fn stirs<'a>(&'a self, scope: &'a Scope) -> Fut<'a, ()> {
        self.actuator.stirs(scope)
    }

    fn permissions(&self, scope: &Scope) -> Vec<Permission> {
        self.actuator.permissions(scope)
    }

    fn interrupt(&self, scope: &Scope, why: Interruption) {
        self.actuator.interrupt(scope, why);
    }
}
