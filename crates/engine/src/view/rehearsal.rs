//! The steps of a dry run, as far as they would come: its report in the form that every run has.

use belay_core::{
    reading::Health,
    run::{Phase, Run},
};
use belay_plan::model::Name;
use indexmap::IndexMap;
use serde::Deserialize;

use super::run::{ChangeView, GateView, GateWord, StepView};
use crate::dry_run::{DryChange, DryGate, DryRun, DryStep, Found};

/// Nothing for a run that is no dry run.
pub(super) fn steps(run: &Run) -> IndexMap<Name, StepView> {
    let report = run.report.as_ref().and_then(|report| DryRun::deserialize(report).ok());
    let steps = report.into_iter().flat_map(|report| report.steps);
    steps.map(|(name, step)| (name, step_view(run, step))).collect()
}

fn step_view(run: &Run, step: DryStep) -> StepView {
    StepView {
        phase: phase(step.found),
        action: step.action,
        needs: step.needs,
        attempt: 0,
        stage: None,
        throttled: None,
        waiting_for: Vec::new(),
        possible: Vec::new(),
        why: step.why,
        changes: step.changes.into_iter().map(change_view).collect(),
        report: None,
        require: step.require.into_iter().map(gate_view).collect(),
        verify: step.verify.into_iter().map(gate_view).collect(),
        progress: None,
        overrides: Vec::new(),
        approval: None,
        fallback_for: None,
        since: run.started,
        started: None,
        ended: None,
        deadline: None,
    }
}

/// How far the step would get without sending anything.
fn phase(found: Found) -> Phase {
    match found {
        Found::InPlace => Phase::Unchanged,
        Found::Failed | Found::Ambiguous | Found::Unreadable => Phase::Failed,
        Found::Settling | Found::ToChange | Found::Uncaptured | Found::ByHand | Found::Wait => Phase::Pending,
    }
}

fn change_view(change: DryChange) -> ChangeView {
    ChangeView {
        id: change.id,
        title: change.title,
        before: change.before,
        after: change.after,
        keeps: change.keeps,
        call: change.call,
        effects: change.effects,
        expected_s: change.expected_s,
        effective: false,
        sent: false,
        receipt: None,
    }
}

/// What the gate's signal reads now.
fn gate_view(gate: DryGate) -> GateView {
    let healthy = gate.health == Health::Healthy;
    GateView {
        signal: gate.gate.signal,
        within_s: gate.gate.within.as_secs(),
        for_s: gate.gate.hold.as_secs(),
        state: if healthy { GateWord::Passed } else { GateWord::Broken },
        holding_since: None,
        health: Some(gate.health),
        evidence: gate.evidence,
    }
}
