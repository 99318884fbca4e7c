//! Whatever waits names the reason and the verbs that move it: no state is stuck.

use belay_core::{
    decision::{authority, authority_text, follows},
    gate::{GateState, GateStatus},
    incident::Incident,
    migration::Migration,
    possible::{self, VerbWord},
    run::{Phase, Run, RunState, StepState},
};
use belay_plan::model::{Answer, Name};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaitingFor {
    pub reason: String,
    /// What an operator can do about it. What goes on by itself can be held or aborted.
    pub verbs: Vec<VerbWord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub step: Option<Name>,
}

impl WaitingFor {
    fn new(reason: impl Into<String>, verbs: Vec<VerbWord>) -> Self {
        Self { reason: reason.into(), verbs, step: None }
    }
}

pub(super) fn of_migration(state: &Migration) -> Vec<WaitingFor> {
    if let Some(run) = state.open_run() {
        return of_run(state, run);
    }
    let Some(incident) = &state.incident else { return Vec::new() };
    let reason = format!("an incident is open ({}): {}", incident.triggers.join(", "), question(state, incident));
    vec![WaitingFor::new(reason, possible::of_migration(state))]
}

/// What is asked, of whom, until when, and what happens otherwise.
fn question(state: &Migration, incident: &Incident) -> String {
    let why = &incident.why;
    let end = || {
        let ends = incident.asks.as_ref()?.timebox_ends?;
        let opens = state.plan.as_ref().and_then(|plan| plan.window.as_ref()?.opens).filter(|opens| *opens > ends);
        let then = match (follows(state, incident)?, opens) {
            (Answer::FixForward, _) => "then it is fixed forward".to_owned(),
            (Answer::RollBack, None) => "then it is rolled back if it still holds".to_owned(),
            (Answer::RollBack, Some(opens)) => {
                format!("then it is rolled back if it still holds when the window opens, at {opens:.0}")
            }
            _ => "and are waited for after that, since nothing starts by itself then".to_owned(),
        };
        Some(format!("until {ends:.0}, {then}"))
    };
    let end = end().unwrap_or_else(|| "without end".to_owned());
    let who = authority_text(&authority(state, incident));
    match incident.answer {
        Some(Answer::FixForward) => format!("the answer is to fix forward ({why}); to decide otherwise takes {who}"),
        Some(Answer::FixFirst) => format!("people fix it {end} ({why}); to decide takes {who}"),
        Some(Answer::Decide) => format!("people decide {end} ({why}); it takes {who}"),
        Some(Answer::RollBack) | None => "it is not decided".to_owned(),
    }
}

pub(super) fn of_run(state: &Migration, run: &Run) -> Vec<WaitingFor> {
    let verbs = possible::of_run(state, run);
    let steps = || run.steps.iter().flat_map(|(name, step)| of_step(state, run, name, step));
    match run.state {
        _ if run.state.is_over() => Vec::new(),
        _ if run.aborting => vec![WaitingFor::new("calls under way are answered before the run is aborted", verbs)],
        RunState::Held => {
            let held = WaitingFor::new(format!("held: {}", run.why), verbs);
            std::iter::once(held).chain(steps()).collect()
        }
        RunState::Halted => {
            let failed: Vec<WaitingFor> = steps().collect();
            let halted = WaitingFor::new(format!("halted: {}", run.why), verbs);
            std::iter::once(halted).chain(failed).collect()
        }
        RunState::Confirming => {
            let gates = run.confirm.iter().filter_map(|gate| of_gate(gate, "the confirmation needs"));
            gates.map(|reason| WaitingFor::new(reason, verbs.clone())).chain(steps()).collect()
        }
        _ => steps().collect(),
    }
}

pub(super) fn of_step(state: &Migration, run: &Run, name: &str, step: &StepState) -> Vec<WaitingFor> {
    if run.state.is_over() || run.aborting {
        return Vec::new();
    }
    let verbs: Vec<VerbWord> = possible::of_step(run, step).into_iter().chain(possible::of_run(state, run)).collect();
    let waiting = |reason| WaitingFor { reason, verbs: verbs.clone(), step: Some(name.to_owned()) };
    reasons(run, name, step).into_iter().map(waiting).collect()
}

/// What a step waits for; nothing when it is over.
fn reasons(run: &Run, name: &str, step: &StepState) -> Vec<String> {
    if step.doubted.is_some() {
        return vec!["another look: what was in place does not show any more".to_owned()];
    }
    match step.phase {
        Phase::AwaitingApproval => vec![approval(run, name, step)],
        Phase::Requiring => step.require.iter().filter_map(|gate| of_gate(gate, "the interlock needs")).collect(),
        Phase::Verifying => step.verify.iter().filter_map(|gate| of_gate(gate, "verified when")).collect(),
        Phase::Failed if run.state == RunState::Halted || needs_a_person(run, name) => {
            vec![format!("failed: {}", step.why)]
        }
        Phase::Settling => match step.wait_until {
            Some(until) if step.intent.is_some() => {
                vec![format!("in place; waiting until {until:.0} for cached DNS answers to expire")]
            }
            Some(until) => vec![format!("waits until {until:.0}")],
            None => vec![under_way(step, "it takes effect")],
        },
        Phase::Observing | Phase::Applying if step.again_at.is_some() => {
            vec![format!("the next try; the last one failed: {}", step.why)]
        }
        Phase::Observing if !step.why.is_empty() => vec![format!("a look that succeeds: {}", step.why)],
        Phase::Applying if step.in_flight() => vec![under_way(step, "the answer")],
        Phase::Observing | Phase::Applying => vec!["a look at how it is now".to_owned()],
        _ => Vec::new(),
    }
}

/// A failed step that the run does not pass over by itself, also while other branches still go on.
fn needs_a_person(run: &Run, name: &str) -> bool {
    run.broken().any(|(broken, _)| broken == name)
}

fn under_way(step: &StepState, what: &str) -> String {
    let title = step.intent.as_ref().map_or("a change", |intent| intent.change.title.as_str());
    format!("{what}: {title}")
}

fn approval(run: &Run, name: &str, step: &StepState) -> String {
    let plan = &run.plan.steps[name];
    let what = if plan.action == "manual" { "a person does it and says so" } else { "a person's word" };
    let who = plan.approve.as_ref().map(|asked| {
        let given = if step.approvals.is_empty() { "nobody".to_owned() } else { step.approvals.join(", ") };
        match asked.quorum {
            0 | 1 => format!("one with the role {}", asked.role),
            quorum => format!("{quorum} people with the role {}, so far {given}", asked.role),
        }
    });
    let until = step.approval_until.map(|until| format!("until {until:.0}"));
    let terms = who.into_iter().chain(until).collect::<Vec<_>>().join(", ");
    let terms = if terms.is_empty() { terms } else { format!(" ({terms})") };
    format!("{what}{terms}: {}", step.why)
}

fn of_gate(gate: &GateState, what: &str) -> Option<String> {
    let signal = &gate.gate.signal;
    match gate.status {
        _ if !gate.is_open() => None,
        GateStatus::Holding { since } => {
            let hold = belay_plan::duration::format(gate.gate.hold);
            Some(format!("{what} {signal} healthy for {hold}; it has been since {since:.0}"))
        }
        GateStatus::Broken { .. } => Some(format!("{what} {signal} healthy: {}", gate.evidence)),
        _ => Some(format!("{what} {signal} healthy; it is being read")),
    }
}
