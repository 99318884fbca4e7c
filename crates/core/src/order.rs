//! The order of events: which of them can follow in which state of a step, a run or an incident. `evolve` asks before it changes
//! anything, so an event that does not fit is an error, live (before it is journaled) and on replay.
//!
//! Every event is listed: the compiler asks where a new one belongs. Older versions wrote journals that this one has to fold, so
//! where it is not certain that an order never occurred, it is allowed.

use crate::{
    event::{Event, FailureCode, StepEvent},
    gate::GateState,
    incident::Incident,
    migration::Migration,
    run::{Fate, Phase, Run, RunState, StepState},
};

type Fits = Result<(), String>;

/// Whether an event can follow in this state.
pub(crate) fn fits(state: &Migration, event: &Event) -> Fits {
    match event {
        Event::IncidentOpened { .. } => no_open(state.incident.as_ref()),
        Event::IncidentJoined { .. }
        | Event::Decided { .. }
        | Event::WordGiven { .. }
        | Event::IncidentClosed { .. } => {
            state.incident.as_ref().map(|_| ()).ok_or("there is no open incident".to_owned())
        }
        Event::RunStarted { .. } | Event::UndoStarted { .. } => match state.open_run() {
            Some(run) => Err(format!("run {} is {}: another one cannot start", run.id, run.state.as_str())),
            None => Ok(()),
        },
        Event::RunHeld { .. }
        | Event::RunResumed
        | Event::RunAborting { .. }
        | Event::RunHalted { .. }
        | Event::ConfirmOpened
        | Event::RunEnded { .. }
        | Event::Confirm { .. } => fits_run(open_run(state)?, event),
        Event::Step { step, what } => {
            let run = open_run(state)?;
            let found = run.steps.get(step).ok_or_else(|| format!("the run has no step {step}"))?;
            fits_step(run, found, what).map_err(|why| format!("step {step} {why}"))
        }
        // What is not part of an incident or a run can come at any time.
        Event::Commanded { .. }
        | Event::PlanPinned { .. }
        | Event::BaselineCaptured { .. }
        | Event::AttemptBegun
        | Event::Armed { .. }
        | Event::Disarmed { .. }
        | Event::CutoverMarked
        | Event::PhaseBegun { .. }
        | Event::Muted { .. }
        | Event::Unmuted { .. }
        | Event::PointOfNoReturnNear { .. }
        | Event::PointOfNoReturnPassed { .. }
        | Event::ExpectedCaptured { .. }
        | Event::ReadinessChanged { .. }
        | Event::WatchResumed { .. }
        | Event::SignalTurned { .. }
        | Event::DwellStarted { .. }
        | Event::DwellPaused { .. }
        | Event::DwellResumed { .. }
        | Event::DwellReset { .. }
        | Event::TriggerFired { .. }
        | Event::TriggerGreen { .. }
        | Event::HealingStarted { .. }
        | Event::HealingReset { .. }
        | Event::TriggerHealed { .. }
        | Event::TriggerUnknown { .. }
        | Event::TriggerKnown { .. }
        | Event::UnknownAlerted { .. }
        | Event::Blinded { .. }
        | Event::Sighted { .. }
        | Event::EvidenceGathered { .. }
        | Event::ReadingsKept { .. }
        | Event::NoticeDue { .. }
        | Event::NoticeSent { .. }
        | Event::NoticeFailed { .. }
        | Event::NoticeDropped { .. }
        | Event::NoticeLate { .. }
        | Event::PostmortemDue { .. }
        | Event::PostmortemHeld { .. }
        | Event::IncidentPostmortemDue { .. }
        | Event::IncidentPostmortemHeld { .. }
        | Event::ItemTicked { .. }
        | Event::ItemUnticked { .. }
        | Event::DrillStarted { .. }
        | Event::DrillEnded { .. }
        | Event::RestoreTested { .. }
        | Event::Rehearsed { .. } => Ok(()),
    }
}

fn no_open(incident: Option<&Incident>) -> Fits {
    match incident {
        Some(open) => Err(format!("incident {} is open: another one cannot open", open.id)),
        None => Ok(()),
    }
}

fn open_run(state: &Migration) -> Result<&Run, String> {
    let run = state.run.as_ref().ok_or("there is no run")?;
    if run.state.is_over() {
        return Err(format!("run {} is over: it is {}", run.id, run.state.as_str()));
    }
    Ok(run)
}

/// Of a run that is not over.
fn fits_run(run: &Run, event: &Event) -> Fits {
    use RunState::{Confirming, Halted, Held, Running};
    let states: &[RunState] = match event {
        // From held: what else is found of other steps adds to the reason.
        Event::RunHeld { .. } => &[Running, Confirming, Held],
        // From confirming: a person moves a step.
        Event::RunResumed => &[Held, Halted, Confirming],
        Event::RunHalted { .. } => &[Running, Confirming],
        Event::ConfirmOpened => &[Running],
        Event::Confirm { .. } => &[Confirming],
        Event::RunAborting { .. } if run.aborting => return Err(format!("run {} is being aborted already", run.id)),
        _ => &[Running, Held, Confirming, Halted],
    };
    if states.contains(&run.state) {
        return Ok(());
    }
    Err(format!("run {} is {}", run.id, run.state.as_str()))
}

/// Of a step of a run that is not over.
fn fits_step(run: &Run, step: &StepState, event: &StepEvent) -> Fits {
    if !phases(event).contains(&step.phase) {
        return Err(format!("is {}", step.phase.as_str()));
    }
    let is_the_send = |attempt: u32| step.intent.as_ref().is_some_and(|intent| intent.attempt == attempt);
    let all_passed = |gates: &[GateState]| gates.iter().all(GateState::has_passed);
    let (holds, why) = match event {
        StepEvent::Intended { .. } if step.in_flight() => (false, "has a call under way"),
        StepEvent::Intended { .. } if run.state != RunState::Running || run.aborting => {
            (false, "sends nothing: its run does not go on")
        }
        StepEvent::Intended { attempt, .. } => (*attempt == step.attempt + 1, "has made another number of attempts"),
        StepEvent::Accepted { attempt, .. }
        | StepEvent::NoEffect { attempt, .. }
        | StepEvent::OutcomeUnknown { attempt, .. } => {
            (step.in_flight() && is_the_send(*attempt), "has no such call under way")
        }
        StepEvent::Effective { change } => {
            let sent = step.intent.as_ref().filter(|intent| intent.change.id == *change);
            let may_have = sent.is_some_and(|sent| matches!(sent.fate, Fate::Accepted { .. } | Fate::Unknown));
            (may_have, "has sent no such change that may have taken effect")
        }
        StepEvent::RequirePassed => (all_passed(&step.require), "has an interlock that has not passed"),
        StepEvent::Done | StepEvent::Unchanged => (all_passed(&step.verify), "has a gate that has not passed"),
        StepEvent::StagePassed { stages, .. } => (*stages == step.stage + 1, "is in another stage"),
        StepEvent::Doubted { .. } => (step.doubted.is_none(), "is doubted already"),
        StepEvent::Trusted => (step.doubted.is_some(), "is not doubted"),
        StepEvent::Failed { code, .. } if matches!(step.phase, Phase::Done | Phase::Unchanged) => {
            (*code == FailureCode::Contested, "is over, and nobody contests it")
        }
        StepEvent::Failed { .. } | StepEvent::Skipped { .. } => (!step.in_flight(), "has a call under way"),
        StepEvent::Arrived => (step.may_arrive(), "has nothing under way that could arrive"),
        _ => (true, ""),
    };
    if holds { Ok(()) } else { Err(why.to_owned()) }
}

/// The phases in which an event can happen to a step.
fn phases(event: &StepEvent) -> &'static [Phase] {
    use Phase::{
        Applying, AwaitingApproval, Blocked, Done, Failed, Observing, Pending, Requiring, Settling, Unchanged,
        Verifying,
    };
    match event {
        StepEvent::Started { .. } | StepEvent::Blocked { .. } => &[Pending],
        StepEvent::LookFailed { .. }
        | StepEvent::Planned { .. }
        | StepEvent::ApprovalAwaited { .. }
        | StepEvent::RequireOpened
        | StepEvent::Unproven { .. }
        | StepEvent::Intended { .. }
        | StepEvent::Effective { .. }
        | StepEvent::WaitStarted { .. }
        | StepEvent::Reported { .. }
        | StepEvent::DrainStarted { .. }
        | StepEvent::Settled { .. } => &[Observing, Applying, Settling],
        StepEvent::StagePassed { .. } => &[Observing, Applying, Settling, Verifying],
        StepEvent::ApprovalGiven { .. } | StepEvent::Approved => &[AwaitingApproval],
        StepEvent::Require { .. } | StepEvent::RequirePassed => &[Requiring],
        // From pending: a person has a failed step tried again, on their own word.
        StepEvent::Overridden { .. } => &[Requiring, Pending],
        StepEvent::Accepted { .. } | StepEvent::NoEffect { .. } | StepEvent::OutcomeUnknown { .. } => &[Applying],
        StepEvent::VerifyOpened | StepEvent::Verify { .. } | StepEvent::Done | StepEvent::Unchanged => &[Verifying],
        StepEvent::Doubted { .. } | StepEvent::Trusted => &[Observing, Applying, Settling, Verifying, Done, Unchanged],
        StepEvent::Failed { .. } => {
            &[Observing, AwaitingApproval, Requiring, Applying, Settling, Verifying, Done, Unchanged]
        }
        StepEvent::Overdue { .. } => &[Observing, AwaitingApproval, Requiring, Applying, Settling],
        StepEvent::Skipped { .. } => {
            &[Pending, Observing, AwaitingApproval, Requiring, Applying, Settling, Verifying, Failed, Blocked]
        }
        StepEvent::Arrived => &[Failed],
        StepEvent::Reset => &[Failed, Blocked],
    }
}
