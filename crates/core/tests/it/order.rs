//! Events that do not fit the state are refused, and change nothing.

use crate::{
    common::*,
    properties::{Dice, happen, random_plan},
};
use belay_core::{
    change::Receipt,
    event::{Event, FailureCode, GateEvent, IncidentOutcome, RunKind, RunOutcome, StepEvent},
    id::{IncidentId, RunId},
    migration::Migration,
    run::{Phase, RunState},
};
use belay_plan::model::Answer;
use proptest::prelude::*;
use serde_json::json;

fn random_step_event(dice: &mut Dice, stage: &Stage) -> StepEvent {
    let (why, signal, at) = (|| "why".to_owned(), || "errors".to_owned(), stage.now);
    let attempt = u32::try_from(dice.roll(4)).unwrap();
    let id = (*dice.pick(&["first", "second"])).to_owned();
    let gate = if dice.one_in(2) { GateEvent::Passed } else { GateEvent::Failed { why: why() } };
    let code = *dice.pick(&[FailureCode::Contested, FailureCode::TimedOut, FailureCode::Verify]);
    let receipt = Receipt { change: id.clone(), at, body: json!({}) };
    let (throttled, transient, declined) = (dice.one_in(2), false, None);
    let events = [
        StepEvent::Started { fallback_for: None },
        StepEvent::LookFailed { why: why() },
        StepEvent::Planned { changes: vec![change(&id)] },
        StepEvent::ApprovalAwaited { why: why(), by_hand: false },
        StepEvent::ApprovalGiven { by: "ada".to_owned() },
        StepEvent::Approved,
        StepEvent::RequireOpened,
        StepEvent::Require { signal: signal(), what: gate.clone() },
        StepEvent::RequirePassed,
        StepEvent::Unproven { destination: "blue".to_owned(), why: why() },
        StepEvent::Overridden { subject: "blue".to_owned() },
        StepEvent::Intended { attempt, change: change(&id), send_within_ms: 1, found: None },
        StepEvent::Accepted { attempt, receipt },
        StepEvent::NoEffect { attempt, why: why(), throttled, transient, declined, again_at: None },
        StepEvent::OutcomeUnknown { attempt, why: why(), again_at: at },
        StepEvent::Effective { change: id },
        StepEvent::Doubted { why: why() },
        StepEvent::Trusted,
        StepEvent::WaitStarted { until: at },
        StepEvent::DrainStarted { until: at },
        StepEvent::StagePassed { stages: usize::try_from(dice.roll(3)).unwrap(), percent: 50 },
        StepEvent::Settled { changed: true },
        StepEvent::VerifyOpened,
        StepEvent::Verify { signal: signal(), what: gate },
        StepEvent::Done,
        StepEvent::Unchanged,
        StepEvent::Failed { code, why: why() },
        StepEvent::Skipped { why: why() },
        StepEvent::Arrived,
        StepEvent::Blocked { by: "a".to_owned() },
        StepEvent::Reset,
    ];
    dice.pick(&events).clone()
}

fn random_event(dice: &mut Dice, stage: &Stage) -> Event {
    let (why, trigger) = (|| "why".to_owned(), || "hurt".to_owned());
    let steps: Vec<_> = stage.state.run.iter().flat_map(|run| run.steps.keys().cloned()).collect();
    if !steps.is_empty() && !dice.one_in(4) {
        return Event::Step { step: dice.pick(&steps).clone(), what: random_step_event(dice, stage) };
    }
    let (run, incident) = (RunId("another".to_owned()), IncidentId("another".to_owned()));
    let events = [
        Event::RunStarted { run, kind: RunKind::Real, reason: why(), only: vec![], incident: None, phase: None },
        Event::RunHeld { why: why() },
        Event::RunResumed,
        Event::RunAborting { why: why() },
        Event::RunHalted { why: why() },
        Event::ConfirmOpened,
        Event::Confirm { signal: "errors".to_owned(), what: GateEvent::Passed },
        Event::RunEnded { outcome: *dice.pick(&[RunOutcome::RolledBack, RunOutcome::Aborted]), why: why() },
        Event::IncidentOpened { incident, trigger: trigger() },
        Event::IncidentJoined { trigger: trigger() },
        Event::Decided { trigger: trigger(), answer: Answer::RollBack, why: why(), asks: None, settled: false },
        Event::WordGiven { who: "ada".to_owned(), roles: vec![], word: Answer::RollBack, reason: why() },
        Event::IncidentClosed { outcome: IncidentOutcome::Recovered },
    ];
    dice.pick(&events).clone()
}

/// What must be refused in any case: told by itself, and not by the table.
fn is_wrong(state: &Migration, event: &Event) -> bool {
    let open = state.open_run();
    match event {
        Event::RunStarted { .. } => open.is_some(),
        Event::RunResumed => open.is_none_or(|run| run.state == RunState::Running),
        Event::RunHeld { .. } | Event::RunAborting { .. } | Event::RunHalted { .. } | Event::RunEnded { .. } => {
            open.is_none()
        }
        Event::ConfirmOpened => open.is_none_or(|run| run.state != RunState::Running),
        Event::Confirm { .. } => open.is_none_or(|run| run.state != RunState::Confirming),
        Event::IncidentOpened { .. } => state.incident.is_some(),
        Event::IncidentJoined { .. }
        | Event::Decided { .. }
        | Event::WordGiven { .. }
        | Event::IncidentClosed { .. } => state.incident.is_none(),
        Event::Step { step, what } => {
            let Some(run) = open else { return true };
            let step = &run.steps[step];
            match what {
                StepEvent::Intended { attempt, .. } => {
                    step.in_flight() || *attempt != step.attempt + 1 || run.state != RunState::Running
                }
                StepEvent::Accepted { attempt, .. }
                | StepEvent::NoEffect { attempt, .. }
                | StepEvent::OutcomeUnknown { attempt, .. } => !step.in_flight() || *attempt != step.attempt,
                StepEvent::Done | StepEvent::Unchanged => step.phase != Phase::Verifying,
                StepEvent::RequirePassed => step.phase != Phase::Requiring,
                StepEvent::Approved => step.phase != Phase::AwaitingApproval,
                StepEvent::Started { .. } => step.phase != Phase::Pending,
                StepEvent::Effective { change } => step.intent.as_ref().is_none_or(|sent| sent.change.id != *change),
                StepEvent::Reset => !matches!(step.phase, Phase::Failed | Phase::Blocked),
                StepEvent::Failed { .. } | StepEvent::Skipped { .. } => step.in_flight(),
                _ => false,
            }
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing(seed in 1..u64::MAX) {
        let mut dice = Dice(seed);
        let plan = random_plan(&mut dice);
        let mut stage = Stage::new();
        stage.arm(&plan);
        let mut refused = 0;
        for _ in 0..120 {
            happen(&mut stage, &mut dice);
            for _ in 0..8 {
                let event = random_event(&mut dice, &stage);
                let record = stage.record("mallory", event.clone());
                let mut state = stage.state.clone();
                let folded = state.evolve(&record);
                prop_assert!(folded.is_err() || !is_wrong(&stage.state, &event), "folded {event:?}");
                if folded.is_err() {
                    refused += 1;
                    prop_assert!(state == stage.state, "refused, and yet it changed something: {event:?}");
                }
            }
        }
        prop_assert!(refused > 300, "only {refused} refused");
    }
}
