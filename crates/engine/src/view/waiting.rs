//! Whatever waits names the reason and the verbs that move it (DESIGN invariant 7).

use belay_core::{
    event::FailureCode,
    gate::{GateState, GateStatus},
    migration::Migration,
    run::{Phase, Run, RunState, StepState},
};
use belay_plan::model::{Answer, Name};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaitingFor {
    pub reason: String,
    /// What an operator can do about it. What goes on by itself can be held or aborted.
    pub verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub step: Option<Name>,
}

impl WaitingFor {
    fn new(reason: impl Into<String>, verbs: &[&'static str]) -> Self {
        Self { reason: reason.into(), verbs: verbs.to_vec(), step: None }
    }
}

pub(super) fn of_migration(state: &Migration) -> Vec<WaitingFor> {
    if let Some(run) = state.open_run() {
        return of_run(run);
    }
    let Some(incident) = &state.incident else { return Vec::new() };
    let answer = match incident.answer {
        Some(Answer::FixForward) => "the plan's answer is to fix forward",
        Some(Answer::FixFirst) => "the plan's answer is to try a fix first",
        Some(Answer::RollBack) | None => "it is not decided",
    };
    let reason = format!("an incident is open ({}): {answer}", incident.triggers.join(", "));
    vec![WaitingFor::new(reason, &["decide", "rollback", "disarm"])]
}

pub(super) fn of_run(run: &Run) -> Vec<WaitingFor> {
    let steps = || run.steps.iter().flat_map(|(name, step)| of_step(run, name, step));
    match run.state {
        _ if run.aborting => vec![WaitingFor::new("calls under way are answered before the run is aborted", &[])],
        RunState::Held => {
            let held = WaitingFor::new(format!("held: {}", run.why), &["resume", "abort"]);
            std::iter::once(held).chain(steps()).collect()
        }
        RunState::Halted => {
            let failed: Vec<WaitingFor> = steps().collect();
            let halted = WaitingFor::new(format!("halted: {}", run.why), &["resume", "abort"]);
            std::iter::once(halted).chain(failed).collect()
        }
        RunState::Confirming => of_gates(&run.confirm, "the confirmation needs", &["hold", "abort"]).collect(),
        RunState::Running => steps().collect(),
        RunState::RolledBack | RunState::Aborted | RunState::Rehearsed => Vec::new(),
    }
}

pub(super) fn of_step(run: &Run, name: &str, step: &StepState) -> Vec<WaitingFor> {
    if run.state.is_over() {
        return Vec::new();
    }
    let mut waiting: Vec<WaitingFor> = match step.phase {
        Phase::AwaitingApproval => vec![approval(run, name, step)],
        Phase::Requiring => {
            of_gates(&step.require, "the interlock needs", &["override", "skip", "hold", "abort"]).collect()
        }
        Phase::Verifying => of_gates(&step.verify, "verified when", &["hold", "abort"]).collect(),
        Phase::Failed => failure(run, step).into_iter().collect(),
        Phase::Settling => match step.wait_until {
            Some(until) => vec![WaitingFor::new(format!("waits until {until}"), &["skip", "hold", "abort"])],
            None => vec![under_way(step, "it takes effect")],
        },
        Phase::Observing | Phase::Applying if step.again_at.is_some() => {
            let reason = format!("the next try; the last one failed: {}", step.why);
            vec![WaitingFor::new(reason, &["skip", "hold", "abort"])]
        }
        Phase::Observing if !step.why.is_empty() => {
            vec![WaitingFor::new(format!("a look that succeeds: {}", step.why), &["skip", "hold", "abort"])]
        }
        Phase::Applying if step.in_flight() => vec![under_way(step, "the answer")],
        _ => Vec::new(),
    };
    waiting.iter_mut().for_each(|waiting| waiting.step = Some(name.to_owned()));
    waiting
}

fn under_way(step: &StepState, what: &str) -> WaitingFor {
    let title = step.intent.as_ref().map_or("a change", |intent| intent.change.title.as_str());
    WaitingFor::new(format!("{what}: {title}"), &["hold", "abort"])
}

fn approval(run: &Run, name: &str, step: &StepState) -> WaitingFor {
    let by_hand = run.plan.steps[name].action == "manual";
    let reason = if by_hand { format!("a person does it and approves: {}", step.why) } else { step.why.clone() };
    WaitingFor::new(reason, &["approve", "skip", "abort"])
}

/// A failed step that the run does not pass over by itself.
fn failure(run: &Run, step: &StepState) -> Option<WaitingFor> {
    if run.state != RunState::Halted {
        return None;
    }
    let verbs: &[&str] = match step.failure {
        Some(FailureCode::Require | FailureCode::Unproven) => &["override", "retry", "skip", "abort"],
        _ => &["retry", "skip", "abort"],
    };
    Some(WaitingFor::new(format!("failed: {}", step.why), verbs))
}

fn of_gates<'g>(
    gates: &'g [GateState],
    what: &'g str,
    verbs: &'static [&'static str],
) -> impl Iterator<Item = WaitingFor> + 'g {
    gates.iter().filter(|gate| gate.is_open()).map(move |gate| {
        let signal = &gate.gate.signal;
        let reason = match gate.status {
            GateStatus::Holding { since } => {
                let hold = belay_plan::duration::format(gate.gate.hold);
                format!("{what} {signal} healthy for {hold}; it has been since {since}")
            }
            GateStatus::Broken { .. } => format!("{what} {signal} healthy: {}", gate.evidence),
            _ => format!("{what} {signal} healthy; it is being read"),
        };
        WaitingFor::new(reason, verbs)
    })
}
