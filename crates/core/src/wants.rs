//! What the state wants of the outside: standing wishes under stable ids. The engine starts what is newly wanted, keeps
//! what is still wanted, and cancels the rest; asking twice changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use belay_plan::model::Name;
use jiff::Timestamp;

use crate::{
    change::{Change, Key, Receipt},
    decide::Deciding,
    elapsed::is_own,
    evidence::EvidenceSource,
    gate::GateState,
    id::{IncidentId, NoticeId, RunId},
    look::wants_look,
    migration::Migration,
    run::{Fate, Phase, Run, RunState},
    watch::watched,
};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wants {
    /// The run that the tasks are of.
    pub run: Option<RunId>,
    /// [`Run::task`] says what they are.
    pub tasks: BTreeSet<TaskId>,
    /// Signals to read, and how fresh.
    pub watch: BTreeMap<Name, Watch>,
    /// Notices to send: the next ones of each channel, in their order. [`Outbox`](crate::notice::Outbox) says what they are, and when
    /// they are not to be sent before.
    pub notices: Vec<NoticeId>,
    /// The open incident, and the sources that are to be asked about it.
    pub evidence: Option<(IncidentId, Vec<EvidenceSource>)>,
    /// The incidents about which CloudTrail is to be asked once more, and not before when.
    pub later_evidence: Vec<(IncidentId, Timestamp)>,
    /// When the next tick is due.
    pub deadline: Option<Timestamp>,
}

/// Within one run the same id always means the same task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId {
    /// The step's place in the run.
    pub step: usize,
    pub what: What,
    /// Counts the reasons to look at this step, or the sends of it.
    pub number: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Look,
    Apply,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Look at the step's resource, and again for as long as this is wanted: the answer may change nothing.
    /// The next look comes after 250 ms, then after 1% of the time since `since`, at most [`LookTask::pause_max`].
    Look(LookTask),
    /// Send one change, once.
    Apply(ApplyTask),
}

#[derive(Debug, Clone, PartialEq)]
pub struct LookTask {
    pub step: Name,
    pub not_before: Option<Timestamp>,
    pub since: Timestamp,
    /// What earlier applies of this step handed back.
    pub receipts: Vec<Receipt>,
    /// What the step's resource is held against, counted from 0.
    pub stage: usize,
    /// The longest pause between two looks.
    pub pause_max: Duration,
}

/// While a step is under way, the next look comes soon.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A step that has timed out may stay so for days.
const LATE_PAUSE_MAX: Duration = Duration::from_secs(15 * 60);

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
            for name in watched(plan).into_iter().filter(|name| !plan.signals.get(*name).is_some_and(is_own)) {
                let signal = self.signals.get(name);
                let unread = signal.filter(|signal| !signal.read).map(|signal| signal.since);
                // A clock that was set back is behind the moment of arming, and every signal was read anew since.
                let armed = self.armed.map(|armed| signal.map_or(armed, |signal| armed.min(signal.since)));
                let fresh_after = unread.or(armed).unwrap_or(Timestamp::MIN);
                wants.watch.insert(name.clone(), Watch { gated: false, fresh_after, usable_after: fresh_after });
            }
        }
        if let Some(run) = self.open_run() {
            run_wants(run, &mut wants);
        }
        wants.notices = self.outbox.next().map(|(id, _)| id.clone()).collect();
        wants.evidence = self.wanted_evidence();
        wants.later_evidence = self.later_evidence();
        let deadlines = [
            Deciding::trigger_deadline(self),
            Deciding::timebox_deadline(self),
            Deciding::elapsed_deadline(self),
            Deciding::window_deadline(self),
            self.muted.as_ref().map(|mute| mute.until),
            Deciding::run_deadline(self),
            Deciding::notice_deadline(self),
        ];
        wants.deadline = deadlines.into_iter().flatten().min();
        wants
    }
}

impl Run {
    /// What a task of the present state is. None when it is not wanted any more.
    pub fn task(&self, id: TaskId) -> Option<Task> {
        let (name, step) = self.steps.get_index(id.step)?;
        match id.what {
            What::Look => (step.look == id.number).then(|| {
                Task::Look(LookTask {
                    step: name.clone(),
                    not_before: step.again_at,
                    since: step.since,
                    receipts: step.receipts.clone(),
                    stage: step.stage,
                    pause_max: if step.may_arrive() { LATE_PAUSE_MAX } else { PAUSE_MAX },
                })
            }),
            What::Apply => step.intent.as_ref().filter(|intent| intent.attempt == id.number).map(|intent| {
                let key = Key { run: self.id.clone(), step: name.clone(), attempt: intent.attempt };
                Task::Apply(ApplyTask { key, change: intent.change.clone(), send_within_ms: intent.send_within_ms })
            }),
        }
    }
}

fn run_wants(run: &Run, wants: &mut Wants) {
    wants.run = Some(run.id.clone());
    for (place, (name, step)) in run.steps.iter().enumerate() {
        if let Some(intent) = step.intent.as_ref().filter(|intent| intent.fate == Fate::InFlight) {
            wants.tasks.insert(TaskId { step: place, what: What::Apply, number: intent.attempt });
        } else if wants_look(run, name, step) {
            wants.tasks.insert(TaskId { step: place, what: What::Look, number: step.look });
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
