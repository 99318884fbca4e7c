//! One step of a run: its state, and how events change it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use belay_plan::model::{self as plan, Name};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::pause::Pause;
use crate::{
    change::{Change, Doc, Effect, Receipt, Report, Sent, SentOutcome},
    event::{FailureCode, GateEvent, StepEvent},
    gate::{GateState, GateStatus},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Pending,
    Observing,
    AwaitingApproval,
    Requiring,
    Applying,
    Settling,
    Verifying,
    Done,
    Unchanged,
    Failed,
    Skipped,
    Blocked,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Observing => "observing",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Requiring => "requiring",
            Self::Applying => "applying",
            Self::Settling => "settling",
            Self::Verifying => "verifying",
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Blocked => "blocked",
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Unchanged | Self::Failed | Self::Skipped | Self::Blocked)
    }
}

/// What has become of the last send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    InFlight,
    Accepted {
        at: Timestamp,
    },
    NoEffect,
    Unknown,
    /// A look has shown it.
    Effective,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    pub attempt: u32,
    pub change: Change,
    pub send_within_ms: u64,
    pub fate: Fate,
}

/// What throttling has cost a step, over all its retries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttled {
    /// Sends that AWS, or Belay's own budget, did not let through.
    pub sends: u32,
    /// From each first throttled send to the answer of the one that got through.
    pub time: Duration,
    /// Set while none has got through.
    pub since: Option<Timestamp>,
}

impl Throttled {
    fn hit(&mut self, at: Timestamp) {
        self.sends += 1;
        self.since.get_or_insert(at);
    }

    fn over(&mut self, at: Timestamp) {
        if let Some(since) = self.since.take() {
            self.time += at.duration_since(since).unsigned_abs();
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    pub phase: Phase,
    /// When the phase began.
    pub since: Timestamp,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    /// What is left of the time-out while an interlock or a person is waited for: that time does not count.
    pub time_left: Option<Duration>,
    /// When its time-out passed while an outage that it has begun was running: it has none until that is over.
    pub overdue: Option<Timestamp>,
    /// Since when looks contradict what Belay had put back: one of them alone may be stale.
    pub doubted: Option<Timestamp>,
    /// How often it was begun: anew with each `retry` of a person. Executions of jobs are named by it.
    pub tries: u32,
    /// Sends so far; numbers the intents of this step.
    pub attempt: u32,
    /// Sends of the present change whose outcome is unknown or that were refused for good; `retry.attempts` bounds them.
    pub failures: u32,
    /// Sends of the present change in a row that a restart interrupted. They use up no attempts: a crash changes no
    /// outcome. But a process that dies of sending must not send for ever.
    pub interruptions: u32,
    /// Sends in a row that did not get through, whatever the reason: the back-off grows with them.
    pub setbacks: u32,
    pub throttled: Throttled,
    /// Found at the first look.
    pub planned: Vec<Change>,
    pub intent: Option<Intent>,
    /// Every change that was sent, each as it was sent last; kept over retries, as an undo measures drift by it.
    pub sent: Vec<Change>,
    pub receipts: Vec<Receipt>,
    /// What is known of the sends of each change: the last that was accepted or may have been, and all that were declined
    /// since the step was begun.
    pub sends: Vec<Sent>,
    /// What the job of this step leaves to read, once it is over.
    pub report: Option<Report>,
    /// Changes of which a look has shown the effect.
    pub effective: Vec<String>,
    pub again_at: Option<Timestamp>,
    pub wait_until: Option<Timestamp>,
    pub require: Vec<GateState>,
    pub require_passed: bool,
    pub verify: Vec<GateState>,
    pub approved: bool,
    /// Who has said yes so far, each once.
    pub approvals: Vec<String>,
    pub approval_until: Option<Timestamp>,
    /// Something of it took effect, or may have; said for good, retries or not.
    pub touched: bool,
    /// The resource as it was before the step's first send; kept over retries, so that an undo can go back to it.
    pub before: Option<Arc<Doc>>,
    pub overrides: BTreeSet<String>,
    pub failure: Option<FailureCode>,
    /// After its time-out, the target was seen to hold.
    pub arrived: bool,
    pub blocked_by: Option<Name>,
    pub fallback_for: Option<Name>,
    /// Why it is in this phase, where there is something to say.
    pub why: String,
    /// The first send, with the time that nobody was there to look taken off, and when the target then held.
    pub first_sent: Option<Timestamp>,
    pub settled: Option<Timestamp>,
    /// The stage that it is in, counted from 0: those before are in place, and their gates have passed.
    pub stage: usize,
    /// [`attempt`](Self::attempt) when the stage began.
    pub attempt_before_stage: u32,
    /// What clients had kept of the state before has been waited for since the last send.
    pub drained: bool,
    /// Counts the reasons to look anew; part of the look's id.
    pub look: u32,
}

impl StepState {
    pub(crate) fn new(at: Timestamp) -> Self {
        Self {
            phase: Phase::Pending,
            since: at,
            started: None,
            ended: None,
            deadline: None,
            time_left: None,
            overdue: None,
            doubted: None,
            tries: 0,
            attempt: 0,
            failures: 0,
            interruptions: 0,
            setbacks: 0,
            throttled: Throttled::default(),
            planned: Vec::new(),
            intent: None,
            sent: Vec::new(),
            receipts: Vec::new(),
            sends: Vec::new(),
            report: None,
            effective: Vec::new(),
            again_at: None,
            wait_until: None,
            require: Vec::new(),
            require_passed: false,
            verify: Vec::new(),
            approved: false,
            approvals: Vec::new(),
            approval_until: None,
            touched: false,
            before: None,
            overrides: BTreeSet::new(),
            failure: None,
            arrived: false,
            blocked_by: None,
            fallback_for: None,
            why: String::new(),
            first_sent: None,
            settled: None,
            stage: 0,
            attempt_before_stage: 0,
            drained: false,
            look: 0,
        }
    }

    pub fn in_flight(&self) -> bool {
        self.intent.as_ref().is_some_and(|intent| intent.fate == Fate::InFlight)
    }

    /// Belay has sent something for this step that took effect, or may have.
    pub fn has_begun(&self) -> bool {
        !self.effective.is_empty()
            || self.intent.as_ref().is_some_and(|intent| intent.fate != Fate::NoEffect)
            || !self.receipts.is_empty()
    }

    /// It timed out while something that it had sent was under way, so its target may still be reached.
    pub(crate) fn may_arrive(&self) -> bool {
        let timed_out = self.phase == Phase::Failed && self.failure == Some(FailureCode::TimedOut);
        timed_out && !self.arrived && self.has_begun()
    }

    /// An outage that this step has begun is running: of its changes with one, the first has taken effect, or may have, and
    /// the last has not. To stop here is worse than anything: nobody has what clients look for.
    pub fn outage_runs(&self) -> bool {
        self.outage_runs_beside(None)
    }

    /// The same when a look shows that `next` has not taken effect.
    pub(crate) fn outage_runs_beside(&self, next: Option<&Change>) -> bool {
        let is_outage = |change: &&Change| change.effects.iter().any(|effect| matches!(effect, Effect::Outage { .. }));
        let is_effective = |id: &String| self.effective.contains(id);
        let of_intent = self.intent.as_ref().filter(|intent| intent.fate != Fate::NoEffect);
        let begun = |id: &String| {
            let planned = self.planned.iter().any(|change| change.id == *id);
            is_effective(id)
                || of_intent.is_some_and(|intent| intent.change.id == *id)
                // It had taken effect when a person had the step begin once more.
                || (!planned && self.sends.iter().any(|sent| sent.change == *id))
        };
        let left: Vec<&String> =
            self.planned.iter().filter(is_outage).map(|change| &change.id).filter(|id| !is_effective(id)).collect();
        let mut sent = self.sent.iter().filter(is_outage).filter(|change| next.is_none_or(|next| next.id != change.id));
        sent.any(|change| begun(&change.id) && left.iter().any(|id| **id != change.id))
    }

    /// Something was sent for the present stage.
    pub fn sent_in_stage(&self) -> bool {
        self.attempt > self.attempt_before_stage
    }

    /// Whether this very call was the last one sent, and refused for good.
    pub(crate) fn is_declined(&self, next: &Change) -> bool {
        let last = self
            .sends
            .last()
            .is_some_and(|sent| sent.change == next.id && matches!(sent.outcome, SentOutcome::Declined { .. }));
        last && self.intent.as_ref().is_some_and(|intent| intent.change.args == next.args)
    }

    /// How long the last change is waited for once it holds. Where its answer was lost, its progress is not known:
    /// then as long as it takes from sending to settled.
    pub(crate) fn drain(&self) -> Option<Duration> {
        let last = self.sent.last().filter(|_| self.sent_in_stage() && !self.drained)?;
        let times = last.effects.iter().filter_map(|effect| match effect {
            Effect::Drains { time } => Some(*time),
            _ => None,
        });
        let answered = self.receipts.iter().any(|receipt| receipt.change == last.id);
        times.max().map(|time| if answered { time } else { time.max(last.expected) })
    }

    fn enter(&mut self, at: Timestamp, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.since = at;
            self.look += 1;
        }
        if phase.is_over() {
            self.throttled.over(at);
            self.ended = Some(at);
            self.deadline = None;
            self.overdue = None;
            self.again_at = None;
            self.approval_until = None;
        }
        if matches!(phase, Phase::Failed | Phase::Skipped | Phase::Blocked) {
            self.doubted = None; // nobody looks any more
        }
    }

    pub(super) fn apply(&mut self, at: Timestamp, plan: &plan::Step, event: &StepEvent) {
        match event {
            StepEvent::Started { fallback_for } => {
                self.enter(at, Phase::Observing);
                self.tries += 1;
                self.started.get_or_insert(at);
                self.deadline = Some(at + plan.timeout);
                self.fallback_for.clone_from(fallback_for);
            }
            StepEvent::LookFailed { why } => self.why.clone_from(why),
            StepEvent::Planned { changes } => {
                self.planned.clone_from(changes);
                self.why.clear();
                self.enter(at, Phase::Applying);
            }
            StepEvent::ApprovalAwaited { why, .. } => {
                self.enter(at, Phase::AwaitingApproval);
                self.why.clone_from(why);
                self.approvals.clear();
                self.approval_until = approval_until(plan, at);
                self.pause_timeout(at);
            }
            StepEvent::ApprovalGiven { by } => self.approvals.push(by.clone()),
            StepEvent::Approved => {
                self.approved = true;
                self.approval_until = None;
                self.why.clear();
                self.enter(at, Phase::Applying);
                self.resume_timeout(at);
            }
            StepEvent::RequireOpened => {
                self.enter(at, Phase::Requiring);
                self.require = plan.require.iter().map(|gate| GateState::open(gate, at)).collect();
                for gate in self.require.iter_mut().filter(|gate| self.overrides.contains(&gate.gate.signal)) {
                    gate.apply(at, &GateEvent::Passed);
                }
                self.pause_timeout(at);
            }
            StepEvent::Require { signal, what } => apply_gate(&mut self.require, at, signal, what),
            StepEvent::RequirePassed => {
                self.require_passed = true;
                self.enter(at, Phase::Applying);
                self.resume_timeout(at);
            }
            StepEvent::Unproven { why, .. } => self.why.clone_from(why),
            StepEvent::Overridden { subject } => {
                self.overrides.insert(subject.clone());
                apply_gate(&mut self.require, at, subject, &GateEvent::Passed);
            }
            StepEvent::Intended { attempt, change, send_within_ms, found } => {
                if self.before.is_none() {
                    self.before.clone_from(found);
                }
                if self.intent.as_ref().is_some_and(|last| last.change.id != change.id) {
                    self.forget_failures();
                }
                self.sent.retain(|sent| sent.id != change.id);
                self.sent.push(change.clone());
                self.attempt = *attempt;
                self.drained = false;
                self.first_sent.get_or_insert(at);
                self.again_at = None;
                self.why.clear();
                self.enter(at, Phase::Applying);
                self.intent = Some(Intent {
                    attempt: *attempt,
                    change: change.clone(),
                    send_within_ms: *send_within_ms,
                    fate: Fate::InFlight,
                });
            }
            StepEvent::Accepted { receipt, .. } => {
                self.receipts.push(receipt.clone());
                self.note_send(at, SentOutcome::Accepted);
                self.setbacks = 0;
                self.throttled.over(at);
                self.settle_intent(Fate::Accepted { at });
                self.enter(at, Phase::Settling);
            }
            StepEvent::NoEffect { why, throttled, transient, declined, again_at, .. } => {
                if *throttled {
                    self.throttled.hit(at)
                } else {
                    self.throttled.over(at)
                }
                if let Some(body) = declined {
                    self.note_send(at, SentOutcome::Declined { why: why.clone(), body: body.clone() });
                }
                let counts = !throttled && !transient && declined.is_none();
                self.setback(at, why, counts, *again_at, Fate::NoEffect);
                self.require_anew(at);
            }
            StepEvent::OutcomeUnknown { why, again_at, .. } => {
                self.throttled.over(at);
                self.note_send(at, SentOutcome::Unknown);
                self.setback(at, why, true, Some(*again_at), Fate::Unknown);
                self.require_anew(at);
            }
            StepEvent::Effective { change } => {
                if !self.effective.contains(change) {
                    self.effective.push(change.clone());
                }
                self.forget_failures();
                self.settle_intent(Fate::Effective);
                if self.overdue.is_some() && !self.outage_runs() {
                    self.overdue = None;
                    self.deadline = Some(at + plan.timeout);
                }
            }
            StepEvent::Overdue { why } => {
                self.overdue = Some(at);
                self.deadline = None;
                self.why.clone_from(why);
            }
            StepEvent::Doubted { .. } => self.doubted = Some(at),
            StepEvent::Trusted => self.doubted = None,
            StepEvent::WaitStarted { until } => {
                self.wait_until = Some(*until);
                self.enter(at, Phase::Settling);
                self.deadline = None;
            }
            StepEvent::Reported { report } => self.report = Some(report.clone()),
            StepEvent::DrainStarted { until } => {
                self.wait_until = Some(*until);
                self.enter(at, Phase::Settling);
                self.deadline = None;
            }
            StepEvent::StagePassed { stages, .. } => self.next_stage(at, plan, *stages),
            StepEvent::Settled { changed } => {
                self.settled(at, *changed && plan.is_last_stage(self.stage));
                self.why.clear();
            }
            StepEvent::VerifyOpened => {
                self.enter(at, Phase::Verifying);
                self.verify = plan.verify.iter().map(|gate| GateState::open(gate, at)).collect();
            }
            StepEvent::Verify { signal, what } => apply_gate(&mut self.verify, at, signal, what),
            StepEvent::Done => self.enter(at, Phase::Done),
            StepEvent::Unchanged => self.enter(at, Phase::Unchanged),
            StepEvent::Failed { code, why } => {
                self.failure = Some(*code);
                self.why.clone_from(why);
                self.enter(at, Phase::Failed);
            }
            StepEvent::Arrived => {
                self.arrived = true;
                self.why = format!("{}; since {at:.0} it is in place", self.why);
            }
            StepEvent::Skipped { why } => {
                self.failure = None;
                self.why.clone_from(why);
                self.enter(at, Phase::Skipped);
            }
            StepEvent::Blocked { by } => {
                self.why = format!("{by} did not succeed");
                self.blocked_by = Some(by.clone());
                self.enter(at, Phase::Blocked);
            }
            StepEvent::Reset => self.reset(at),
        }
    }

    fn settle_intent(&mut self, fate: Fate) {
        self.touched |= fate != Fate::NoEffect;
        if let Some(intent) = &mut self.intent {
            intent.fate = fate;
        }
    }

    /// One entry a change, besides those of what was declined.
    fn note_send(&mut self, at: Timestamp, outcome: SentOutcome) {
        let Some(change) = self.intent.as_ref().map(|intent| intent.change.id.clone()) else { return };
        if !matches!(outcome, SentOutcome::Declined { .. }) {
            self.sends.retain(|sent| sent.change != change || matches!(sent.outcome, SentOutcome::Declined { .. }));
        }
        self.sends.push(Sent { change, at, outcome });
    }

    /// Interlocks that passed some time ago say nothing of now; only a step that has taken effect goes through.
    fn require_anew(&mut self, at: Timestamp) {
        let last = self.intent.as_ref().filter(|_| self.sent_in_stage());
        let on_the_way = match self.stage {
            0 => !self.effective.is_empty() || !self.receipts.is_empty(),
            _ => last.is_some_and(|intent| matches!(intent.fate, Fate::Accepted { .. } | Fate::Effective)),
        };
        if !on_the_way {
            self.require_passed = false;
            for gate in &mut self.require {
                gate.reopen(at);
            }
        }
    }

    fn pause_timeout(&mut self, at: Timestamp) {
        let left = self.deadline.take().map(|deadline| deadline.duration_since(at));
        self.time_left = left.and_then(|left| Duration::try_from(left).ok()).or(self.time_left);
    }

    fn resume_timeout(&mut self, at: Timestamp) {
        self.deadline = self.time_left.take().map(|left| at + left).or(self.deadline);
    }

    fn forget_failures(&mut self) {
        self.failures = 0;
        self.interruptions = 0;
        self.setbacks = 0;
    }

    fn setback(&mut self, at: Timestamp, why: &str, counts: bool, again_at: Option<Timestamp>, fate: Fate) {
        self.settle_intent(fate);
        self.setbacks += 1;
        self.failures += u32::from(counts);
        self.why = why.to_owned();
        self.again_at = again_at;
        self.enter(at, Phase::Observing);
    }

    /// The target holds: verifying comes next, and the time-out is over.
    fn settled(&mut self, at: Timestamp, changed: bool) {
        self.deadline = None;
        self.again_at = None;
        self.drained |= self.wait_until.take().is_some();
        self.enter(at, Phase::Verifying);
        self.verify.clear();
        if changed {
            self.why.clear();
            self.settled = Some(at);
        }
    }

    /// The next part of the traffic: looked at, interlocked and timed like the first.
    fn next_stage(&mut self, at: Timestamp, plan: &plan::Step, stages: usize) {
        self.stage = stages;
        self.attempt_before_stage = self.attempt;
        self.look += 1;
        self.enter(at, Phase::Observing);
        self.since = at;
        self.deadline = Some(at + plan.timeout);
        self.time_left = None;
        self.forget_failures();
        self.again_at = None;
        self.require.clear();
        self.require_passed = false;
        self.verify.clear();
        self.drained = false;
    }

    /// A held or halted run goes on: what was waited for is waited for anew.
    pub(super) fn restart_clocks(&mut self, at: Timestamp, plan: Option<&plan::Step>) {
        if let (Some(_), Some(plan)) = (self.deadline, plan) {
            self.deadline = Some(at + plan.timeout);
        }
        if let (Some(_), Some(plan)) = (self.approval_until, plan) {
            self.approval_until = approval_until(plan, at);
        }
        self.gates_anew(at);
    }

    pub(super) fn resume_watch(&mut self, at: Timestamp, pause: &Pause) {
        self.shift_clocks(pause.unwatched(), pause.clock_set());
        self.look += 1;
        self.gates_anew(at);
        // After a restart the call has lost its caller: the next observation finds out. After a suspend the call is awaited on.
        if self.in_flight() && !pause.asleep {
            self.interruptions += 1;
            self.note_send(at, SentOutcome::Unknown);
            self.setback(at, "Belay was restarted before the call was answered", false, None, Fate::Unknown);
        }
    }

    fn gates_anew(&mut self, at: Timestamp) {
        self.require_anew(at);
        for gate in self.verify.iter_mut().filter(|gate| gate.is_open()) {
            gate.reopen(at);
        }
    }

    /// `unwatched`: how long the process did not watch. `clock_set`: how far the clock was set meanwhile.
    fn shift_clocks(&mut self, unwatched: SignedDuration, clock_set: SignedDuration) {
        let shift = |by: SignedDuration| move |at: &mut Timestamp| *at = at.checked_add(by).unwrap_or(*at);
        let sent = self.first_sent.as_mut().filter(|_| self.settled.is_none());
        // Nobody could act or answer meanwhile.
        let watched = [self.deadline.as_mut(), self.approval_until.as_mut(), sent];
        watched.into_iter().flatten().for_each(shift(unwatched));
        // These wait for the world, which went on: only the clock that they are counted by has moved.
        let waits = [&mut self.wait_until, &mut self.again_at, &mut self.doubted];
        waits.into_iter().flatten().for_each(shift(clock_set));
        if let Some(Intent { fate: Fate::Accepted { at }, .. }) = &mut self.intent {
            shift(clock_set)(at);
        }
    }

    /// How long it took from the first send until the target held: none where nothing was sent.
    pub fn took(&self) -> Option<Duration> {
        Duration::try_from(self.settled?.duration_since(self.first_sent?)).ok()
    }

    /// A person says: once more. What was sent stays known, so that the next look can recognise it.
    fn reset(&mut self, at: Timestamp) {
        self.enter(at, Phase::Pending);
        self.ended = None;
        self.forget_failures();
        self.again_at = None;
        self.wait_until = None;
        self.failure = None;
        self.arrived = false;
        self.blocked_by = None;
        self.require.clear();
        self.require_passed = false;
        self.verify.clear();
        self.planned.clear();
        self.report = None;
        self.time_left = None;
        self.doubted = None;
        self.effective.clear();
        // A person may have repaired what was refused.
        self.sends.retain(|sent| !matches!(sent.outcome, SentOutcome::Declined { .. }));
        self.first_sent = None;
        self.settled = None;
        self.why.clear();
        if self.intent.as_ref().is_some_and(|intent| intent.fate != Fate::InFlight) {
            self.intent = None;
        }
    }
}

fn approval_until(plan: &plan::Step, at: Timestamp) -> Option<Timestamp> {
    Some(at + plan.approve.as_ref()?.within?)
}

pub(super) fn apply_gate(gates: &mut [GateState], at: Timestamp, signal: &str, event: &GateEvent) {
    for gate in gates.iter_mut().filter(|gate| gate.gate.signal == signal && gate.status != GateStatus::Failed) {
        gate.apply(at, event);
    }
}
