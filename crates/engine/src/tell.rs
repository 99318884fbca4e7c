//! Says in the log what has just become durable: every edge that a person would want to read at night, with its ids.

use belay_core::{
    event::{Event, GateEvent, Record, StepEvent},
    migration::Migration,
    notice::refused,
    readiness::CheckVerdict,
    restore_test::{RestoreOutcome, RestoreTested},
};
use belay_plan::duration;

/// What the log calls the source of these lines: a filter can name it.
const TARGET: &str = "belay::edges";

enum Tone {
    /// It goes its way.
    Info,
    /// Somebody will want to know.
    Warn,
    /// A person has to act.
    Error,
}

use Tone::{Error, Info, Warn};

pub(crate) fn tell(record: &Record, state: &Migration) {
    if !tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
        return; // nobody reads it: no need to put it into words
    }
    let Some((tone, message)) = says(&record.event, state) else { return };
    let step = if let Event::Step { step, .. } = &record.event { Some(step.as_str()) } else { None };
    let run = state.open_run().map(|run| run.id.0.as_str());
    let incident = state.incident.as_ref().map(|incident| incident.id.0.as_str());
    let (migration, seq, actor) = (record.stream.as_str(), record.seq, record.actor.as_str());
    match tone {
        Info => tracing::info!(target: TARGET, migration, incident, run, step, seq, actor, "{message}"),
        Warn => tracing::warn!(target: TARGET, migration, incident, run, step, seq, actor, "{message}"),
        Error => tracing::error!(target: TARGET, migration, incident, run, step, seq, actor, "{message}"),
    }
}

fn says(event: &Event, state: &Migration) -> Option<(Tone, String)> {
    Some(match event {
        Event::AttemptBegun => {
            (Info, "another attempt begins: the baseline and the cutover of the one before count no more".to_owned())
        }
        Event::Armed { waits_for_green } if waits_for_green.is_empty() => {
            (Info, "armed: its triggers are watched".to_owned())
        }
        Event::Armed { waits_for_green } => {
            (Warn, format!("armed; asleep until they have been green once: {}", waits_for_green.join(", ")))
        }
        Event::Disarmed { why } => (Info, format!("disarmed: {why}")),
        Event::CutoverMarked => (Info, "the cutover is marked".to_owned()),
        Event::PhaseBegun { phase } => (Info, format!("phase {phase} begins")),
        Event::Muted { until, by, reason } => (Warn, format!("muted until {until:.0} by {by}: {reason}")),
        Event::Unmuted { why } => (Info, format!("not muted any more: {why}")),
        Event::PointOfNoReturnNear { at } => (Warn, format!("the point of no return is at {at:.0}")),
        Event::PointOfNoReturnPassed { .. } => {
            (Warn, "the point of no return is passed: people decide every rollback from here on".to_owned())
        }
        Event::ExpectedCaptured { step, .. } => {
            (Info, format!("the state of {step} after the cutover is captured: another one is drift from here on"))
        }
        Event::ReadinessChanged { verdict: CheckVerdict::Go, .. } => {
            (Info, "ready: every check is as it should be".to_owned())
        }
        Event::ReadinessChanged { verdict, findings, left_out, .. } => {
            let count = findings.len() + left_out;
            (Warn, format!("readiness: {}, {count} findings: {}", verdict.word(), findings.join("; ")))
        }
        Event::WordGiven { who, word, reason, .. } => (Warn, format!("{who} says {}: {reason}", word.as_str())),
        Event::WatchResumed { outage_s, .. } => (Info, format!("taken up again; nobody looked for {outage_s} s")),
        Event::SignalTurned { signal, to, evidence, .. } => {
            (Info, format!("signal {signal} is {}: {evidence}", word(to)))
        }
        Event::DwellStarted { trigger } => {
            let dwell = state.plan.as_ref().and_then(|plan| plan.triggers.get(trigger)).map(|trigger| trigger.dwell);
            let lasts = dwell.map(duration::format).unwrap_or_default();
            (Info, format!("trigger {trigger} is true; it fires if that lasts for {lasts}"))
        }
        Event::DwellPaused { trigger, .. } => (Info, format!("trigger {trigger} cannot be decided; its dwell pauses")),
        Event::DwellReset { trigger } => (Info, format!("trigger {trigger} is not true any more")),
        Event::TriggerFired { trigger, evidence } => {
            (Warn, format!("trigger {trigger} has fired: {}", evidence.join("; ")))
        }
        Event::TriggerHealed { trigger } => (Info, format!("trigger {trigger} has healed")),
        Event::TriggerUnknown { trigger, why } => (Warn, format!("trigger {trigger} cannot be decided: {why}")),
        Event::UnknownAlerted { trigger, why } => {
            (Error, format!("trigger {trigger} has been undecided for too long: {why}; look yourself"))
        }
        Event::Blinded { source, why } => (Error, format!("blind: nothing can be read from {source}: {why}")),
        Event::Sighted { source } => (Info, format!("{source} can be read again")),
        Event::IncidentOpened { trigger, .. } => (Warn, format!("an incident is open: {trigger}")),
        Event::Decided { why, .. } => (Warn, format!("decided: {why}")),
        Event::IncidentClosed { outcome } => (Info, format!("the incident is closed: {}", word(outcome))),
        Event::EvidenceGathered { source, findings, notes, .. } => {
            let source = source.as_str().replace('_', " ");
            (Info, format!("evidence of {source}: {} findings; {}", findings.len(), notes.join("; ")))
        }
        Event::ReadingsKept { .. } | Event::NoticeDue { .. } => return None,
        Event::NoticeSent { channel, about, answer, .. } => match refused(answer) {
            None => (Info, format!("{channel} is told: {about}")),
            Some(who) => (Warn, format!("{channel} is told: {about}; not told: {who}; tell them yourself")),
        },
        Event::NoticeFailed { channel, about, why, again_at: Some(at), .. } => {
            (Warn, format!("{channel} is not told of {about} yet: {why}; tried again at {at:.0}"))
        }
        Event::NoticeFailed { channel, about, why, again_at: None, .. } => {
            (Error, format!("{channel} is not told of {about}: {why}; tell them yourself"))
        }
        Event::NoticeDropped { channel, about, why, .. } => {
            (Info, format!("{channel} is not told of {about} any more: {why}"))
        }
        Event::NoticeLate { channel, about, .. } => {
            (Error, format!("{channel} should have been told of {about} by now; tell them yourself"))
        }
        Event::PostmortemDue { run } => (Warn, format!("two days since run {run}, and nobody has talked it over")),
        Event::IncidentPostmortemDue { incident } => {
            (Warn, format!("two days since incident {incident}, and nobody has talked it over"))
        }
        Event::IncidentPostmortemHeld { incident, link } => {
            (Info, format!("incident {incident} was talked over: {link}"))
        }
        Event::PostmortemHeld { run, link } => (Info, format!("run {run} was talked over: {link}")),
        Event::ItemTicked { item, reason, .. } => (Info, format!("{item} of the checklist is ticked: {reason}")),
        Event::ItemUnticked { item, reason } => (Info, format!("the tick of {item} is taken back: {reason}")),
        Event::RestoreTested { step, tested } => {
            let RestoreTested { outcome, found, .. } = tested;
            match outcome {
                RestoreOutcome::Proved => {
                    (Info, format!("the restore test of step {step} proves the restore: {found}"))
                }
                RestoreOutcome::Restored => (Warn, format!("the restore test of step {step} restored it: {found}")),
                RestoreOutcome::Failed => (Error, format!("the restore test of step {step} failed: {found}")),
            }
        }
        Event::DrillStarted { trigger, reason, .. } => {
            let fired = trigger.as_ref().map(|name| format!("; trigger {name} is made to fire")).unwrap_or_default();
            (Warn, format!("a drill begins: {reason}{fired}"))
        }
        Event::DrillEnded { verdict, .. } => (Warn, format!("the drill is over: {}", word(verdict))),
        Event::RunStarted { reason, kind, .. } => (Warn, format!("a run has begun ({}): {reason}", word(kind))),
        Event::UndoStarted { undoes, reason, .. } => (Warn, format!("undoing the run {undoes}: {reason}")),
        Event::RunHeld { why } => (Warn, format!("held: {why}; `belay resume` goes on")),
        Event::RunResumed => (Info, "going on".to_owned()),
        Event::RunAborting { why } => (Warn, format!("aborting: {why}")),
        Event::RunHalted { why } => {
            (Error, format!("halted: {why}; a person must act: `belay status` says what is possible"))
        }
        Event::ConfirmOpened => (Info, "every step is over; waiting for the confirmation".to_owned()),
        Event::RunEnded { outcome, why } => {
            (Warn, format!("the run has ended: {} {why}", word(outcome)).trim_end().to_owned())
        }
        Event::Confirm { signal, what } => gate("confirmation", signal, what)?,
        Event::Step { step, what } => return step_says(step, what),
        _ => return None,
    })
}

fn step_says(step: &str, what: &StepEvent) -> Option<(Tone, String)> {
    Some(match what {
        StepEvent::Started { fallback_for: None } => (Info, format!("{step}: looking")),
        StepEvent::Started { fallback_for: Some(failed) } => (Warn, format!("{step}: looking, in place of {failed}")),
        StepEvent::LookFailed { why } => (Warn, format!("{step}: cannot be looked at: {why}")),
        StepEvent::Planned { changes } if changes.is_empty() => (Info, format!("{step}: all is in place")),
        StepEvent::Planned { changes } => {
            let titles: Vec<&str> = changes.iter().map(|change| change.title.as_str()).collect();
            (Info, format!("{step}: to do: {}", titles.join("; ")))
        }
        StepEvent::ApprovalAwaited { why, .. } => (Warn, format!("{step}: waits for a person: {why}; `belay approve`")),
        StepEvent::Approved => (Info, format!("{step}: approved")),
        StepEvent::RequireOpened => (Info, format!("{step}: waiting for its interlocks")),
        StepEvent::Require { signal, what } => gate(&format!("{step}: interlock"), signal, what)?,
        StepEvent::Unproven { destination, why } => {
            (Error, format!("{step}: no proof that {destination} is healthy: {why}"))
        }
        StepEvent::Overridden { subject } => (Warn, format!("{step}: {subject} is overridden")),
        StepEvent::Intended { attempt, change, .. } => {
            (Info, format!("{step}: sending, attempt {attempt}: {}", change.title))
        }
        StepEvent::Accepted { attempt, .. } => (Info, format!("{step}: AWS has accepted attempt {attempt}")),
        StepEvent::NoEffect { attempt, why, .. } => (Warn, format!("{step}: attempt {attempt} had no effect: {why}")),
        StepEvent::OutcomeUnknown { attempt, why, .. } => {
            (Warn, format!("{step}: it is not known what attempt {attempt} has done, looking: {why}"))
        }
        StepEvent::Overdue { why } => (Error, format!("{step}: overdue: {why}")),
        StepEvent::Doubted { why } => (Warn, format!("{step}: in doubt: {why}")),
        StepEvent::Reported { report } if !report.logs.is_empty() => {
            (Info, format!("{step}: its logs: {}", report.logs))
        }
        StepEvent::Settled { changed: true } => (Info, format!("{step}: settled")),
        StepEvent::DrainStarted { until } => {
            (Info, format!("{step}: in place; waiting until {until:.0} for cached DNS answers to expire"))
        }
        StepEvent::StagePassed { stages, percent } => (Info, format!("{step}: stage {stages} ({percent}%) has passed")),
        StepEvent::VerifyOpened => (Info, format!("{step}: verifying")),
        StepEvent::Verify { signal, what } => gate(&format!("{step}: gate"), signal, what)?,
        StepEvent::Done => (Info, format!("{step}: done")),
        StepEvent::Unchanged => (Info, format!("{step}: done, nothing had to change")),
        StepEvent::Failed { why, .. } => (Error, format!("{step}: failed: {why}")),
        StepEvent::Arrived => (Info, format!("{step}: it is in place now, after its time-out")),
        StepEvent::Skipped { why } => (Warn, format!("{step}: skipped: {why}")),
        StepEvent::Blocked { by } => (Warn, format!("{step}: cannot begin, because {by} has failed")),
        StepEvent::Reset => (Info, format!("{step}: once more")),
        _ => return None,
    })
}

fn gate(what: &str, signal: &str, event: &GateEvent) -> Option<(Tone, String)> {
    Some(match event {
        GateEvent::Holding { .. } => return None,
        GateEvent::Broken { health, evidence } => (Warn, format!("{what} {signal} is {}: {evidence}", word(health))),
        GateEvent::Passed => (Info, format!("{what} {signal} has passed")),
        GateEvent::Failed { why } => (Warn, format!("{what} {signal} has failed: {why}")),
    })
}

fn word(value: impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}
