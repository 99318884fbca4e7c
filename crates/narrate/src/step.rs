//! The events of a step, and of gates.

use belay_core::event::{GateEvent, StepEvent};

use crate::{
    Audience::{Log, OnCall, Responsible},
    Context, Told,
    words::{self, joined},
};

pub(crate) fn told(step: &str, event: &StepEvent, context: &Context) -> Told {
    let clock = context.clock;
    let is = |what: &str| Told::of(step, what);
    match event {
        StepEvent::Started { fallback_for: None } => is("starts").quiet(),
        StepEvent::Started { fallback_for: Some(failed) } => {
            is(&format!("starts in place of {failed}, which failed")).brief("starts").warn().to(OnCall)
        }
        StepEvent::LookFailed { why } => is("cannot be observed").because(why).warn().to(OnCall),
        StepEvent::Planned { changes } if changes.is_empty() => is("nothing has to be done").quiet(),
        StepEvent::Planned { changes } => {
            let titles = joined(changes.iter().map(|change| change.title.as_str()), "; then ");
            is("to do").because(&titles).quiet()
        }
        StepEvent::ApprovalAwaited { why, .. } => {
            is(&awaited(step, context)).because(why).warn().to(OnCall).next("`belay approve` answers")
        }
        StepEvent::ApprovalGiven { by } => is(&format!("{by} approves")).good(),
        StepEvent::Approved => is("approved").good(),
        StepEvent::RequireOpened => is("waits for its interlocks").to(Log),
        StepEvent::Require { signal, what } => gate(step, "interlock", signal, what),
        StepEvent::RequirePassed => is("its interlocks have passed").to(Log),
        StepEvent::Unproven { destination, why } => {
            is(&format!("no proof that {destination} is healthy")).because(why).bad().to(Responsible)
        }
        StepEvent::Overridden { subject } => is(&format!("{subject} is overridden by a person")).warn().to(OnCall),
        StepEvent::Intended { attempt, change, .. } => {
            is(&format!("sending, attempt {attempt}: {} [{}]", change.title, change.call))
                .brief(format!("sending, attempt {attempt}"))
        }
        StepEvent::Accepted { attempt, .. } => is(&format!("attempt {attempt} is accepted")).to(Log),
        StepEvent::NoEffect { attempt, why, .. } => {
            is(&format!("attempt {attempt} had no effect")).because(why).warn().to(OnCall)
        }
        StepEvent::OutcomeUnknown { attempt, why, .. } => {
            is(&format!("the answer to attempt {attempt} is lost, its effect is observed next"))
                .because(why)
                .warn()
                .to(OnCall)
        }
        StepEvent::Effective { change } => is(&format!("the change {change} has taken effect")).to(Log),
        StepEvent::Doubted { why } => is("drift suspected, observed once more").because(why).warn().to(OnCall),
        StepEvent::Trusted => is("no drift: it is in place after all"),
        StepEvent::WaitStarted { until } => is(&format!("waits until {}", clock(*until))),
        StepEvent::Reported { report } => is("its job is over").because(&words::job(report)),
        StepEvent::DrainStarted { until } => {
            is(&format!("in place; waiting until {} for cached DNS answers to expire", clock(*until)))
        }
        StepEvent::Overdue { why } => is("overdue").because(why).bad().to(Responsible),
        StepEvent::StagePassed { stages, percent } => is(&format!("stage {stages} ({percent}%) has passed")),
        StepEvent::Settled { changed: true } => is("in place").quiet(),
        // `Unchanged` follows, for everybody.
        StepEvent::Settled { changed: false } => is("in place already").to(Log),
        StepEvent::VerifyOpened => is("waits for its gates").to(Log),
        StepEvent::Verify { signal, what } => gate(step, "gate", signal, what),
        StepEvent::Done => is("done").good(),
        StepEvent::Unchanged => is("unchanged: it was in place already").brief("unchanged").good(),
        StepEvent::Failed { why, .. } => is("FAILED").because(why).bad().to(Responsible),
        StepEvent::Skipped { why } => is("skipped").because(why).warn().to(OnCall),
        StepEvent::Arrived => is("in place now, after its time-out: retry the step to go on").good(),
        StepEvent::Blocked { by } => is("blocked").because(&format!("{by} did not succeed")).warn().to(OnCall),
        StepEvent::Reset => is("is to be done once more"),
    }
}

/// Whose word it takes, where the plan is known and says so.
fn awaited(step: &str, context: &Context) -> String {
    let asked = context.plan.and_then(|plan| plan.steps.get(step)?.approve.as_ref());
    match asked {
        None => "waits for a person".to_owned(),
        Some(asked) if asked.quorum > 1 => format!("waits for {} people with the role {}", asked.quorum, asked.role),
        Some(asked) => format!("waits for a person with the role {}", asked.role),
    }
}

/// A gate of a step, or of the confirmation: `kind` is what its signal is there.
pub(crate) fn gate(subject: &str, kind: &str, signal: &str, event: &GateEvent) -> Told {
    let is = |what: String| Told::of(subject, what);
    match event {
        GateEvent::Holding { evidence } => is(format!("{kind} {signal} is healthy")).because(evidence),
        GateEvent::Broken { health, evidence } => {
            is(format!("waits: {signal} is {}", words::name(health))).because(evidence).warn().to(OnCall)
        }
        GateEvent::Passed => is(format!("{kind} {signal} has passed")).good(),
        GateEvent::Failed { why } => is(format!("{kind} {signal} has failed")).because(why).bad().to(OnCall),
    }
}
