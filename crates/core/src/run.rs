//! One execution of the steps: its state, and how events change it.

mod pause;
mod step;

use std::sync::Arc;

use belay_plan::model::{Name, OnFailure, Plan, Target};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    change::{Baseline, BaselineEntry},
    drift::Expected,
    event::{FailureCode, GateEvent, RunKind, RunOutcome, StepEvent},
    gate::GateState,
    id::{IncidentId, RunId},
    phase::PhaseState,
    relations::Relations,
};

pub(crate) use pause::Pause;
use step::apply_gate;
pub use step::{Fate, Intent, Phase, StepState, Throttled};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub kind: RunKind,
    pub reason: String,
    /// Who asked: `belay`, or a person.
    pub actor: String,
    pub only: Vec<Name>,
    pub incident: Option<IncidentId>,
    pub plan: Arc<Plan>,
    pub plan_sha256: String,
    pub baseline: Option<Arc<Baseline>>,
    pub cutover: Option<Timestamp>,
    /// What was captured after the cutover. Nothing in an undo: that goes by what the rollback has left.
    pub expected: Arc<Expected>,
    /// Steps of other phases are skipped.
    pub phase: Option<Name>,
    /// The phase that an undo of this run brings back.
    pub(crate) phase_before: Option<PhaseState>,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub state: RunState,
    /// Why it is held, halted or ended.
    pub why: String,
    pub aborting: bool,
    /// Who has aborted it.
    pub aborted_by: Option<String>,
    /// The run was taken up again after so long that what is found must be explainable before anything is sent.
    pub suspicious: bool,
    /// In the order of the plan. Shared, so that a decision's scratch copy costs little.
    pub steps: IndexMap<Name, Arc<StepState>>,
    #[serde(skip)]
    pub(crate) relations: Arc<Relations>,
    pub confirm: Vec<GateState>,
    /// Of an undo: the run whose before-images it puts back, and what of it stays as it is.
    pub undoes: Option<RunId>,
    pub left: Vec<String>,
    /// A dry run's findings.
    pub report: Option<serde_json::Value>,
    /// What the drill that this run belongs to has measured.
    pub drill: Option<serde_json::Value>,
    /// The first steps that have asked for people or have failed, in that order: a channel that opens an alert for each knows by it
    /// which alerts to resolve at the end.
    pub(crate) alerted: Vec<Name>,
}

/// So many steps have alerts of their own; the others of a run share one.
const ALERTED_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Running,
    Held,
    Confirming,
    Halted,
    RolledBack,
    Aborted,
    Rehearsed,
    Undone,
}

impl RunState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Held => "held",
            Self::Confirming => "confirming",
            Self::Halted => "halted",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
            Self::Rehearsed => "rehearsed",
            Self::Undone => "undone",
        }
    }

    /// Nothing moves it any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::RolledBack | Self::Aborted | Self::Rehearsed | Self::Undone)
    }
}

impl Run {
    pub fn new(id: &RunId, kind: RunKind, at: Timestamp, plan: &Arc<Plan>, plan_sha256: &str) -> Self {
        Self {
            id: id.clone(),
            kind,
            reason: String::new(),
            actor: String::new(),
            only: Vec::new(),
            incident: None,
            plan: plan.clone(),
            plan_sha256: plan_sha256.to_owned(),
            baseline: None,
            cutover: None,
            expected: Arc::default(),
            phase: None,
            phase_before: None,
            started: at,
            ended: None,
            state: RunState::Running,
            why: String::new(),
            aborting: false,
            aborted_by: None,
            suspicious: false,
            steps: IndexMap::new(),
            relations: Arc::default(),
            confirm: Vec::new(),
            undoes: None,
            left: Vec::new(),
            report: None,
            drill: None,
            alerted: Vec::new(),
        }
    }

    pub(crate) fn apply_step(&mut self, at: Timestamp, step: &str, event: &StepEvent) -> Result<(), String> {
        let plan = self.plan.steps.get(step).ok_or_else(|| format!("the plan has no step {step}"))?;
        let state = self.steps.get_mut(step).ok_or_else(|| format!("the run has no step {step}"))?;
        Arc::make_mut(state).apply(at, plan, event);
        let alerts = matches!(
            event,
            StepEvent::ApprovalAwaited { .. }
                | StepEvent::Unproven { .. }
                | StepEvent::Overdue { .. }
                | StepEvent::Failed { .. }
        );
        if alerts && self.alerted.len() < ALERTED_MAX && !self.alerted.iter().any(|known| known == step) {
            self.alerted.push(step.to_owned());
        }
        Ok(())
    }

    /// Its plan has a confirmation, and all of it held.
    pub fn is_confirmed(&self) -> bool {
        self.state == RunState::RolledBack && !self.confirm.is_empty() && self.confirm.iter().all(GateState::has_passed)
    }

    pub(crate) fn apply_confirm(&mut self, at: Timestamp, signal: &str, event: &GateEvent) {
        apply_gate(&mut self.confirm, at, signal, event);
    }

    pub(crate) fn end(&mut self, at: Timestamp, outcome: RunOutcome, why: &str) {
        self.ended = Some(at);
        why.clone_into(&mut self.why);
        self.state = match outcome {
            RunOutcome::RolledBack => RunState::RolledBack,
            RunOutcome::Aborted => RunState::Aborted,
            RunOutcome::Rehearsed => RunState::Rehearsed,
            RunOutcome::Undone => RunState::Undone,
        };
    }

    /// Held or halted time counts for no time-out and no gate.
    pub(crate) fn restart_clocks(&mut self, at: Timestamp) {
        for (name, step) in &mut self.steps {
            Arc::make_mut(step).restart_clocks(at, self.plan.steps.get(name));
        }
    }

    /// The process was away or asleep: nobody looked meanwhile, so gates open anew and time-outs move on.
    pub(crate) fn resume_watch(&mut self, at: Timestamp, pause: &Pause, long_outage_s: u64) {
        self.suspicious |= pause.outage_s > long_outage_s && self.state == RunState::Running;
        for gate in self.confirm.iter_mut().filter(|gate| gate.is_open()) {
            gate.reopen(at);
        }
        for step in self.steps.values_mut() {
            Arc::make_mut(step).resume_watch(at, pause);
        }
    }

    /// Whether some step of it took effect, or may have.
    pub fn has_changed_anything(&self) -> bool {
        self.steps.values().any(|step| step.touched)
    }

    /// The steps that stand in for another when it fails.
    pub(crate) fn is_fallback(&self, step: &str) -> bool {
        self.steps.get_index_of(step).is_some_and(|index| self.relations.fallback[index])
    }

    /// What Belay has put back is watched to the end of the run, unless another step of the run moves it on.
    pub(crate) fn is_guarded(&self, step: &str) -> bool {
        self.steps.get_index_of(step).is_some_and(|index| self.relations.alone[index])
    }

    /// What a need on this step looks like to those that need it.
    pub(crate) fn standing(&self, step: &str) -> Standing {
        let (Some(state), Some(plan)) = (self.steps.get(step), self.plan.steps.get(step)) else {
            return Standing::Satisfied; // left out by --only, which keeps everything that is needed
        };
        match state.phase {
            Phase::Done | Phase::Unchanged | Phase::Skipped => Standing::Satisfied,
            Phase::Blocked => Standing::Broken,
            Phase::Failed if state.failure.is_some_and(always_halts) => Standing::Broken,
            Phase::Failed => match &plan.on_failure {
                OnFailure::Continue => Standing::Satisfied,
                OnFailure::Halt => Standing::Broken,
                OnFailure::Fallback(name) => match self.steps.get(name).map(|fallback| fallback.phase) {
                    Some(Phase::Done | Phase::Unchanged) => Standing::Satisfied,
                    Some(Phase::Failed | Phase::Skipped | Phase::Blocked) | None => Standing::Broken,
                    Some(_) => Standing::Open,
                },
            },
            _ => Standing::Open,
        }
    }

    /// The failed steps that keep the run from its end.
    pub fn broken(&self) -> impl Iterator<Item = (&Name, &StepState)> {
        let steps = self.steps.iter().map(|(name, step)| (name, step.as_ref()));
        steps.filter(|(name, step)| step.phase == Phase::Failed && self.standing(name) == Standing::Broken)
    }

    /// The baseline entry of a step, if it is of the same resource.
    pub fn baseline_of(&self, step: &str) -> Option<&BaselineEntry> {
        baseline_entry(self.baseline.as_deref(), &self.plan, step)
    }
}

/// Whether those that need a step may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    Satisfied,
    Broken,
}

/// Failures that always want a person, whatever `on_failure` says: going on would fight another controller, do twice what
/// harms twice, or do without the person whom the plan asks for (`otherwise: halt`).
pub(crate) fn always_halts(code: FailureCode) -> bool {
    matches!(code, FailureCode::Ambiguous | FailureCode::Contested | FailureCode::Unanswered)
}

/// A step's entry in a baseline, if it is of the same resource and action.
pub fn baseline_entry<'a>(baseline: Option<&'a Baseline>, plan: &Plan, step: &str) -> Option<&'a BaselineEntry> {
    let entry = baseline?.steps.get(step)?;
    let plan = plan.steps.get(step)?;
    (entry.resource == plan.resource && entry.action == plan.action).then_some(entry)
}

/// Steps of the plan that go back to a baseline which is not there.
pub fn missing_baseline(plan: &Plan, baseline: Option<&Baseline>, included: &dyn Fn(&str) -> bool) -> Vec<Name> {
    plan.steps
        .iter()
        .filter(|(name, step)| {
            included(name) && step.to == Target::Baseline && baseline_entry(baseline, plan, name).is_none()
        })
        .map(|(name, _)| name.clone())
        .collect()
}
