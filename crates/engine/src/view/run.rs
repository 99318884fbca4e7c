//! A run as the outside sees it.

use std::{sync::Arc, time::Duration};

use belay_core::{
    OPERATOR,
    change::{Change, Effect, Progress, Report},
    event::RunKind,
    gate::{GateState, GateStatus},
    migration::Migration,
    possible::{self, VerbWord},
    reading::Health,
    run::{Phase, Run, RunState, StepState},
    unproven_by_undo,
};
use belay_plan::{
    graph::Graph,
    model::{Name, Otherwise, Step},
};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    rehearsal,
    waiting::{self, WaitingFor},
};
use crate::{
    drill::DrillReport,
    dry_run::DryRun,
    expected::{self, Measured, longest_hold},
    handle::Snapshot,
};

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RunView {
    pub id: String,
    #[schema(value_type = String)]
    pub migration: Name,
    pub kind: RunKind,
    pub state: RunState,
    pub reason: String,
    /// Who asked: `belay`, or a person.
    pub actor: String,
    #[schema(value_type = Vec<String>)]
    pub only: Vec<Name>,
    pub incident: Option<String>,
    pub plan_sha256: String,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    /// Why it is held, halted or ended.
    pub why: String,
    /// `abort` was asked for, and calls under way are waited for.
    pub aborting: bool,
    /// What is left of the critical path as far as it is known; none when the run is over or waits for a person.
    pub expected_left_s: Option<u64>,
    #[schema(value_type = IndexMap<String, StepView>)]
    pub steps: IndexMap<Name, StepView>,
    pub confirm: Vec<GateView>,
    pub waiting_for: Vec<WaitingFor>,
    /// The verbs that move the run as a whole now; those of its steps stand with each step. People read the same words.
    pub possible: Vec<VerbWord>,
    /// Of an undo: the run that it undoes, and what of it stays as it is, each with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// Whether its before-images can be put back now.
    pub undoable: bool,
    /// Of a run that can be undone: where the undo will halt until a person takes responsibility, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undo_unproven: Vec<String>,
    /// Of a dry run: its findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DryRun>)]
    pub report: Option<Value>,
    /// The overlay of the plan file that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub overlay: Option<Name>,
    /// Of a drill that is over: what it measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DrillReport>)]
    pub drill: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StepView {
    pub phase: Phase,
    pub action: String,
    #[schema(value_type = Vec<String>)]
    pub needs: Vec<Name>,
    /// Sends so far.
    pub attempt: u32,
    /// Of a step that moves traffic in parts: the one that it is in, or has ended in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageView>,
    /// What throttling has cost it, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<ThrottledView>,
    pub waiting_for: Vec<WaitingFor>,
    /// The verbs that move it now.
    pub possible: Vec<VerbWord>,
    pub why: String,
    pub changes: Vec<ChangeView>,
    /// Of a step that starts a job: what the job leaves to read, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    pub require: Vec<GateView>,
    pub verify: Vec<GateView>,
    /// Live only.
    pub progress: Option<Progress>,
    pub overrides: Vec<String>,
    /// Set while a person is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalView>,
    #[schema(value_type = Option<String>)]
    pub fallback_for: Option<Name>,
    pub since: Timestamp,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    /// When it times out.
    pub deadline: Option<Timestamp>,
}

/// One part of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StageView {
    /// Counted from 1.
    pub number: usize,
    pub of: usize,
    /// How far of the way it goes.
    pub percent: u32,
}

/// What throttling has cost a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ThrottledView {
    /// Sends that were not let through.
    pub sends: u32,
    /// Seconds from each first of them to the answer of the one that got through.
    pub seconds: u64,
    /// Set while none has got through.
    pub since: Option<Timestamp>,
}

/// Whose word a step waits for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ApprovalView {
    /// The role that it takes.
    pub role: Name,
    /// How many different people.
    pub quorum: u32,
    /// Who has said yes.
    pub given: Vec<String>,
    pub deadline: Option<Timestamp>,
    /// What happens at the deadline.
    pub otherwise: Otherwise,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChangeView {
    pub id: String,
    pub title: String,
    pub before: Value,
    pub after: Value,
    /// What of the state before is not deleted but kept beside the new one, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeps: Option<String>,
    pub call: String,
    pub effects: Vec<Effect>,
    pub expected_s: u64,
    /// A look has shown its effect.
    pub effective: bool,
    /// False as well where its effect came without it: a restored database had the setting already.
    pub sent: bool,
    /// What its last send was answered with, if it was: a resource's id, or the outcome of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GateView {
    #[schema(value_type = String)]
    pub signal: Name,
    pub within_s: u64,
    pub for_s: u64,
    pub state: GateWord,
    /// Healthy without a break since then.
    pub holding_since: Option<Timestamp>,
    /// What broke it.
    pub health: Option<Health>,
    pub evidence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateWord {
    Waiting,
    Holding,
    Broken,
    Passed,
    Failed,
}

impl RunView {
    /// When people may be told that a run is expected to end, in seconds from now: only where each step that is left was
    /// measured in a run or a drill. How long a person takes who was never timed is not known.
    pub(crate) fn measured_left(state: &Migration, run: &Run, live: &Snapshot, now: Timestamp) -> Option<u64> {
        let measured = expected::measured(&run.plan, state, live.relatives.iter().map(AsRef::as_ref));
        let is_known = |name: &Name| measured.contains_key(name) || run.plan.steps[name].action == "wait";
        let all_known = run.steps.iter().all(|(name, step)| step.phase.is_over() || is_known(name));
        if all_known { Self::new(state, run, Some(live), now).expected_left_s } else { None }
    }

    /// A run of `state`. `live`: for a run under way, the snapshot that it is from.
    pub fn new(state: &Migration, run: &Run, live: Option<&Snapshot>, now: Timestamp) -> Self {
        let progress = |step: &str| live.and_then(|live| live.progress.get(step));
        let measured = || {
            let relatives = live.into_iter().flat_map(|live| live.relatives.iter().map(AsRef::as_ref));
            expected::measured(&run.plan, state, relatives)
        };
        let view =
            |(name, step): (&Name, &Arc<StepState>)| (name.clone(), step_view(state, run, name, step, progress(name)));
        let possible = possible::of_run(state, run);
        let undoable = possible.contains(&VerbWord::Undo);
        Self {
            id: run.id.to_string(),
            migration: state.name.clone(),
            kind: run.kind,
            state: run.state,
            reason: run.reason.clone(),
            actor: run.actor.clone(),
            only: run.only.clone(),
            incident: run.incident.as_ref().map(ToString::to_string),
            plan_sha256: run.plan_sha256.clone(),
            started: run.started,
            ended: run.ended,
            why: run.why.clone(),
            aborting: run.aborting,
            expected_left_s: expected_left(run, &progress, &measured, now),
            steps: if run.report.is_some() { rehearsal::steps(run) } else { run.steps.iter().map(view).collect() },
            confirm: run.confirm.iter().map(gate_view).collect(),
            waiting_for: waiting::of_run(state, run),
            possible,
            undoes: run.undoes.as_ref().map(ToString::to_string),
            left: run.left.clone(),
            undoable,
            undo_unproven: if undoable { unproven_by_undo(run) } else { Vec::new() },
            report: run.report.clone(),
            overlay: run.plan.overlaid.as_ref().and_then(|overlaid| overlaid.overlay.clone()),
            drill: run.drill.clone(),
        }
    }
}

fn step_view(state: &Migration, run: &Run, name: &str, step: &StepState, progress: Option<&Progress>) -> StepView {
    let plan = &run.plan.steps[name];
    StepView {
        phase: step.phase,
        action: plan.action.clone(),
        needs: plan.needs.clone(),
        attempt: step.attempt,
        stage: stage_view(plan, step),
        throttled: (step.throttled.sends > 0).then_some(ThrottledView {
            sends: step.throttled.sends,
            seconds: step.throttled.time.as_secs(),
            since: step.throttled.since,
        }),
        waiting_for: waiting::of_step(state, run, name, step),
        possible: possible::of_step(run, step),
        why: step.why.clone(),
        changes: changes(step).map(|change| change_view(step, change)).collect(),
        report: step.report.clone(),
        require: step.require.iter().map(gate_view).collect(),
        verify: step.verify.iter().map(gate_view).collect(),
        progress: progress.cloned(),
        overrides: step.overrides.iter().cloned().collect(),
        approval: approval_view(plan, step),
        fallback_for: step.fallback_for.clone(),
        since: step.since,
        started: step.started,
        ended: step.ended,
        deadline: step.deadline,
    }
}

fn stage_view(plan: &Step, step: &StepState) -> Option<StageView> {
    let percent = *plan.stages.get(step.stage)?;
    Some(StageView { number: step.stage + 1, of: plan.stages.len(), percent })
}

fn approval_view(plan: &Step, step: &StepState) -> Option<ApprovalView> {
    let asked = plan.approve.as_ref();
    (step.phase == Phase::AwaitingApproval).then(|| ApprovalView {
        role: asked.map_or_else(|| OPERATOR.to_owned(), |asked| asked.role.clone()),
        quorum: asked.map_or(1, |asked| asked.quorum),
        given: step.approvals.clone(),
        deadline: step.approval_until,
        otherwise: asked.map_or(Otherwise::Halt, |asked| asked.otherwise),
    })
}

/// What was sent, in that order; and what was planned at the first look beside it.
fn changes<'s>(step: &'s StepState) -> impl Iterator<Item = &'s Change> {
    let present = move |sent: &'s Change| step.planned.iter().find(|planned| planned.id == sent.id).unwrap_or(sent);
    step.sent.iter().map(present).chain(step.planned.iter().filter(|planned| !is_sent(step, planned)))
}

fn is_sent(step: &StepState, change: &Change) -> bool {
    step.sent.iter().any(|sent| sent.id == change.id)
}

fn is_planned(step: &StepState, change: &Change) -> bool {
    step.planned.iter().any(|planned| planned.id == change.id)
}

/// A retry forgets what looks have shown. What was sent before it, and does not remain to be done, has taken effect.
fn is_effective(step: &StepState, change: &Change) -> bool {
    let present = step.intent.as_ref().is_some_and(|intent| intent.change.id == change.id);
    step.effective.contains(&change.id) || step.touched && !present && !is_planned(step, change)
}

fn change_view(step: &StepState, change: &Change) -> ChangeView {
    let mut receipts = step.receipts.iter().rev();
    ChangeView {
        id: change.id.clone(),
        title: change.title.clone(),
        before: change.before.clone(),
        after: change.after.clone(),
        keeps: change.keeps.clone(),
        call: change.call.clone(),
        effects: change.effects.clone(),
        expected_s: change.expected.as_secs(),
        effective: is_effective(step, change),
        sent: is_sent(step, change),
        receipt: receipts.find(|receipt| receipt.change == change.id).map(|receipt| receipt.body.clone()),
    }
}

fn gate_view(gate: &GateState) -> GateView {
    let (state, holding_since, health) = match gate.status {
        GateStatus::Waiting => (GateWord::Waiting, None, None),
        GateStatus::Holding { since } => (GateWord::Holding, Some(since), None),
        GateStatus::Broken { health } => (GateWord::Broken, None, Some(health)),
        GateStatus::Passed => (GateWord::Passed, None, None),
        GateStatus::Failed => (GateWord::Failed, None, None),
    };
    GateView {
        signal: gate.gate.signal.clone(),
        within_s: gate.gate.within.as_secs(),
        for_s: gate.gate.hold.as_secs(),
        state,
        holding_since,
        health,
        evidence: gate.evidence.clone(),
    }
}

fn expected_left<'p>(
    run: &Run,
    progress: &impl Fn(&str) -> Option<&'p Progress>,
    measured: &impl Fn() -> Measured,
    now: Timestamp,
) -> Option<u64> {
    let confirm = longest_hold(&run.plan.confirm);
    match run.state {
        RunState::Running if run.steps.values().any(|step| waits_without_end(step, now)) => None,
        RunState::Running => {
            let measured = measured();
            let left = |name: &str| {
                let Some(step) = run.steps.get(name) else { return Duration::ZERO };
                step_left(run, name, step, progress(name), &measured, now)
            };
            Some((Graph::new(&run.plan).critical_path(left).duration + confirm).as_secs())
        }
        RunState::Confirming => held_in(&run.confirm, now).map(|left| left.as_secs()),
        _ => None,
    }
}

/// Whether it waits for a person, or for a signal that is not healthy: nothing shows how long that takes.
fn waits_without_end(step: &StepState, now: Timestamp) -> bool {
    let gates = if step.phase == Phase::Verifying { &step.verify } else { &step.require };
    step.phase == Phase::AwaitingApproval || (!step.phase.is_over() && held_in(gates, now).is_none())
}

/// When the last of these gates has held for its time. None: one of them is not healthy.
fn held_in(gates: &[GateState], now: Timestamp) -> Option<Duration> {
    let left = |gate: &GateState| match gate.status {
        GateStatus::Passed => Some(Duration::ZERO),
        GateStatus::Holding { since } => Some(gate.gate.hold.saturating_sub(gone(since, now))),
        GateStatus::Waiting => Some(gate.gate.hold),
        GateStatus::Broken { .. } | GateStatus::Failed => None,
    };
    gates.iter().map(left).try_fold(Duration::ZERO, |longest, left| Some(longest.max(left?)))
}

/// What is left of a step, as far as it is known: before the first look only its gates are, and what it took before.
fn step_left(
    run: &Run,
    name: &str,
    step: &StepState,
    progress: Option<&Progress>,
    measured: &Measured,
    now: Timestamp,
) -> Duration {
    let plan = &run.plan.steps[name];
    if step.phase.is_over() {
        return Duration::ZERO;
    }
    let verify = longest_hold(&plan.verify);
    let later = later_stages(plan, step);
    if step.phase == Phase::Verifying {
        return held_in(&step.verify, now).unwrap_or(verify) + later;
    }
    if let Some(left_s) = progress.and_then(|progress| progress.expected_left_s) {
        return Duration::from_secs(left_s) + verify + later;
    }
    if let Some(until) = step.wait_until {
        return gone(now, until) + verify + later;
    }
    let spent = if step.phase == Phase::Settling { gone(step.since, now) } else { Duration::ZERO };
    expected::expected_left(name, plan, step, spent, measured)
}

/// What the stages after the present one take.
fn later_stages(plan: &Step, step: &StepState) -> Duration {
    let gates = longest_hold(&plan.require) + longest_hold(&plan.verify);
    let later = step.planned.iter().filter(|change| !step.sent.iter().any(|sent| sent.id == change.id));
    if plan.stages.is_empty() { Duration::ZERO } else { later.map(|change| change.expected + gates).sum() }
}

fn gone(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use belay_plan::model::Gate;

    use super::*;

    #[test]
    fn what_is_not_healthy_has_no_time_that_is_left() {
        let now = Timestamp::constant(1_767_225_600, 0);
        let hold = Duration::from_secs(60);
        let gate = |status: GateStatus| {
            let gate = Gate { signal: "page".to_owned(), within: Duration::from_secs(300), hold };
            GateState { gate, opened: now, status, evidence: String::new() }
        };
        let since = now - jiff::SignedDuration::from_secs(45);
        assert_eq!(held_in(&[], now), Some(Duration::ZERO));
        assert_eq!(held_in(&[gate(GateStatus::Waiting), gate(GateStatus::Passed)], now), Some(hold));
        assert_eq!(held_in(&[gate(GateStatus::Holding { since })], now), Some(Duration::from_secs(15)));
        let broken = gate(GateStatus::Broken { health: Health::Unhealthy });
        assert_eq!(held_in(&[gate(GateStatus::Holding { since }), broken], now), None);
    }
}
