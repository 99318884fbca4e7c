//! What the state wants of the outside: standing wishes under stable ids. The engine starts what is newly wanted, keeps
//! what is still wanted, and cancels the rest; asking twice changes nothing.

use std::collections::BTreeMap;

use belay_plan::model::Name;
use jiff::Timestamp;

use crate::{
    change::{BaselineEntry, Change, Key, Receipt},
    decide::Deciding,
    gate::GateState,
    id::RunId,
    look::wants_look,
    migration::Migration,
    run::{Fate, Phase, Run, RunState},
    watch::watched,
};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wants {
    /// By id. The same id always means the same task.
    pub tasks: BTreeMap<String, Task>,
    /// Signals to read, and how fresh.
    pub watch: BTreeMap<Name, Watch>,
    /// When the next tick is due.
    pub deadline: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Look at the step's resource, and again for as long as this is wanted: the answer may change nothing.
    /// The next look comes after 250 ms, then after 1% of the time since `since`, at most 10 s.
    Look(LookTask),
    /// Send one change, once.
    Apply(ApplyTask),
}

#[derive(Debug, Clone, PartialEq)]
pub struct LookTask {
    pub run: RunId,
    pub step: Name,
    pub not_before: Option<Timestamp>,
    pub since: Timestamp,
    /// What earlier applies of this step handed back.
    pub receipts: Vec<Receipt>,
    pub baseline: Option<BaselineEntry>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ApplyTask {
    pub key: Key,
    pub change: Change,
    /// From the moment that the intent became wanted, on the monotonic clock; later it is not sent any more.
    pub send_within_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// A gate waits for it: it is read at every poll, whatever that costs.
    pub gated: bool,
    /// Only a reading taken at or after this helps everybody who waits; if the last one is older, read at once.
    pub fresh_after: Timestamp,
    /// A reading taken at or after this helps somebody already.
    pub usable_after: Timestamp,
}

impl Migration {
    /// What the present state wants.
    pub fn wants(&self) -> Wants {
        let mut wants = Wants::default();
        if let Some(plan) = self.plan.as_ref().filter(|_| self.armed.is_some()) {
            for name in watched(plan) {
                let unread = self.signals.get(name).filter(|signal| !signal.read).map(|signal| signal.since);
                let fresh_after = unread.or(self.armed).unwrap_or(Timestamp::MIN);
                wants.watch.insert(name.clone(), Watch { gated: false, fresh_after, usable_after: fresh_after });
            }
        }
        if let Some(run) = self.open_run() {
            run_wants(run, &mut wants);
        }
        wants.deadline = Deciding::trigger_deadline(self).into_iter().chain(Deciding::run_deadline(self)).min();
        wants
    }
}

fn run_wants(run: &Run, wants: &mut Wants) {
    for (name, step) in &run.steps {
        if let Some(intent) = step.intent.as_ref().filter(|intent| intent.fate == Fate::InFlight) {
            let key = Key { run: run.id.clone(), step: name.clone(), attempt: intent.attempt };
            wants.tasks.insert(
                format!("apply/{}/{name}/{}", run.id, intent.attempt),
                Task::Apply(ApplyTask { key, change: intent.change.clone(), send_within_ms: intent.send_within_ms }),
            );
        } else if wants_look(run, name, step) {
            wants.tasks.insert(
                format!("look/{}/{name}/{}", run.id, step.look),
                Task::Look(LookTask {
                    run: run.id.clone(),
                    step: name.clone(),
                    not_before: step.again_at,
                    since: step.since,
                    receipts: step.receipts.clone(),
                    baseline: run.baseline_of(name).cloned(),
                }),
            );
        }
        let gates = match step.phase {
            Phase::Requiring => &step.require,
            Phase::Verifying => &step.verify,
            _ => continue,
        };
        if run.state != RunState::Halted {
            // An interlock that has passed has to hold until all have.
            let wanted = |gate: &&GateState| gate.is_open() || step.phase == Phase::Requiring;
            gates.iter().filter(wanted).for_each(|gate| watch_gate(gate, wants));
        }
    }
    if run.state == RunState::Confirming {
        run.confirm.iter().filter(|gate| gate.is_open()).for_each(|gate| watch_gate(gate, wants));
    }
}

fn watch_gate(gate: &GateState, wants: &mut Wants) {
    let fresh = Watch { gated: true, fresh_after: gate.opened, usable_after: gate.opened };
    let watch = wants.watch.entry(gate.gate.signal.clone()).or_insert(fresh);
    watch.gated = true;
    watch.fresh_after = watch.fresh_after.max(gate.opened);
    watch.usable_after = watch.usable_after.min(gate.opened);
}
