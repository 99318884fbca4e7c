//! What a search has met: a property that was never put to the test holds for nothing.

use std::collections::BTreeSet;

use belay_core::event::{Event, GateEvent, StepEvent};
use belay_plan::model::{Name, OnFailure, Plan};
use serde::Serialize;

/// Which gates and fallbacks of the plan were met, next to the [`failures`](super::Report::failures).
#[derive(Debug, Clone, Default, Serialize)]
pub struct Coverage {
    /// In the order of the plan, those of the confirmation last.
    pub gates: Vec<GateMet>,
    pub fallbacks: Vec<FallbackMet>,
}

#[derive(Debug, Clone, Serialize)]
pub struct GateMet {
    /// None: of the confirmation.
    pub step: Option<Name>,
    /// `require`, `verify` or `confirm`.
    pub of: &'static str,
    pub signal: Name,
    /// Whether it was seen to pass, and to fail.
    pub passed: bool,
    pub failed: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct FallbackMet {
    pub step: Name,
    pub stands_in_for: Name,
    pub started: bool,
}

/// One thing that happened somewhere in the search.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Met {
    Gate { step: Option<Name>, of: &'static str, signal: Name, passed: bool },
    Fallback { step: Name },
}

pub(crate) fn met(events: &[Event]) -> impl Iterator<Item = Met> + '_ {
    let gate = |step: Option<&Name>, of, signal: &Name, what: &GateEvent| {
        let passed = match what {
            GateEvent::Passed => true,
            GateEvent::Failed { .. } => false,
            _ => return None,
        };
        Some(Met::Gate { step: step.cloned(), of, signal: signal.clone(), passed })
    };
    events.iter().filter_map(move |event| match event {
        Event::Confirm { signal, what } => gate(None, "confirm", signal, what),
        Event::Step { step, what: StepEvent::Require { signal, what } } => gate(Some(step), "require", signal, what),
        Event::Step { step, what: StepEvent::Verify { signal, what } } => gate(Some(step), "verify", signal, what),
        Event::Step { step, what: StepEvent::Started { fallback_for: Some(_) } } => {
            Some(Met::Fallback { step: step.clone() })
        }
        _ => None,
    })
}

impl Coverage {
    pub(crate) fn of(plan: &Plan, met: &BTreeSet<Met>) -> Self {
        let gate = |step: Option<&Name>, of: &'static str, signal: &Name| {
            let was = |passed| met.contains(&Met::Gate { step: step.cloned(), of, signal: signal.clone(), passed });
            GateMet { step: step.cloned(), of, signal: signal.clone(), passed: was(true), failed: was(false) }
        };
        let of_step = |(name, step): (&Name, &belay_plan::model::Step)| -> Vec<GateMet> {
            let require = step.require.iter().map(|used| gate(Some(name), "require", &used.signal));
            require.chain(step.verify.iter().map(|used| gate(Some(name), "verify", &used.signal))).collect()
        };
        let confirm = plan.confirm.iter().map(|used| gate(None, "confirm", &used.signal));
        let fallback = |(name, step): (&Name, &belay_plan::model::Step)| match &step.on_failure {
            OnFailure::Fallback(other) => Some(FallbackMet {
                step: other.clone(),
                stands_in_for: name.clone(),
                started: met.contains(&Met::Fallback { step: other.clone() }),
            }),
            _ => None,
        };
        Self {
            gates: plan.steps.iter().flat_map(of_step).chain(confirm).collect(),
            fallbacks: plan.steps.iter().filter_map(fallback).collect(),
        }
    }

    /// What was never met, in words.
    pub fn never(&self) -> Vec<String> {
        let of = |gate: &GateMet| match &gate.step {
            Some(step) => format!("{} of {step} ({})", gate.signal, gate.of),
            None => format!("{} (confirm)", gate.signal),
        };
        let passed = self.gates.iter().filter(|gate| !gate.passed).map(|gate| format!("{} never passed", of(gate)));
        let failed = self.gates.iter().filter(|gate| !gate.failed).map(|gate| format!("{} never failed", of(gate)));
        let fallbacks = self.fallbacks.iter().filter(|fallback| !fallback.started);
        passed.chain(failed).chain(fallbacks.map(|fallback| format!("{} never started", fallback.step))).collect()
    }
}
