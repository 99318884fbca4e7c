//! What happened, a line each: a journal record as people read it.

use belay_core::{
    event::{DrillVerdict, Event, GateEvent, IncidentOutcome, Record, RunOutcome, StepEvent},
    notice::refused,
    readiness::CheckVerdict,
    reading::Health,
    restore_test::RestoreOutcome,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::words;

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    Plain,
    Quiet,
    Good,
    Warn,
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: Timestamp,
    /// The step, signal or trigger; empty for the migration itself.
    pub subject: String,
    pub text: String,
    pub tone: Tone,
}

/// How a moment of the same day is written: `14:03:07`, in the time zone of whoever reads it.
pub type Clock<'c> = &'c dyn Fn(Timestamp) -> String;

/// The line of a record. None for what only machines need.
pub fn line(record: &Record, clock: Clock) -> Option<Line> {
    line_of(record.at, &record.actor, &record.event, clock)
}

fn line_of(at: Timestamp, actor: &str, event: &Event, clock: Clock) -> Option<Line> {
    let (subject, tone, text) = told(actor, event, clock)?;
    Some(Line { at, subject, text, tone })
}

/// The line of an event as the daemon's followers get it: with its documents (a plan, a baseline, a report) left out, and
/// perhaps of a newer version.
pub fn line_of_event(at: Timestamp, actor: &str, event: &Value, clock: Clock) -> Option<Line> {
    if let Ok(event) = Event::deserialize(event) {
        return line_of(at, actor, &event, clock);
    }
    let part = |key: &str| event[key].as_str().unwrap_or_default();
    let (tone, text) = match part("type") {
        "plan_pinned" => pinned(part("plan_sha256")),
        "baseline_captured" => (Tone::Plain, "baseline captured".to_owned()),
        "undo_started" => {
            let left = event["left"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
            undoes(part("run"), part("undoes"), part("reason"), &left)
        }
        "rehearsed" => (Tone::Plain, format!("dry run {} is on record", part("run"))),
        kind => (Tone::Quiet, words::words(kind)),
    };
    Some(Line { at, subject: String::new(), text, tone })
}

fn pinned(sha256: &str) -> (Tone, String) {
    (Tone::Quiet, format!("plan {} is pinned", sha256.get(..12).unwrap_or(sha256)))
}

fn undoes(run: &str, undone: &str, reason: &str, left: &[impl AsRef<str>]) -> (Tone, String) {
    let left: Vec<&str> = left.iter().map(AsRef::as_ref).collect();
    let left = if left.is_empty() { String::new() } else { format!("; this stays: {}", left.join("; ")) };
    (Tone::Warn, format!("run {run} puts back what was there before {undone}: {reason}{left}"))
}

type Told = Option<(String, Tone, String)>;

#[allow(clippy::unnecessary_wraps)] // the form that the callers hand on
fn tell(subject: &str, tone: Tone, text: impl Into<String>) -> Told {
    Some((subject.to_owned(), tone, text.into()))
}

fn told(actor: &str, event: &Event, clock: Clock) -> Told {
    match event {
        Event::Commanded { verb, reason, detail, .. } => {
            let subject = detail["step"].as_str().unwrap_or_default();
            let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            tell(subject, Tone::Plain, format!("{actor} says {}{because}", words::words(verb)))
        }
        Event::PlanPinned { plan_sha256, .. } => {
            let (tone, text) = pinned(plan_sha256);
            tell("", tone, text)
        }
        Event::BaselineCaptured { baseline } => {
            tell("", Tone::Plain, format!("baseline of {} captured", words::count(baseline.steps.len(), "step")))
        }
        Event::AttemptBegun => tell(
            "",
            Tone::Plain,
            "another attempt begins: the baseline and the cutover of the one before count no more",
        ),
        Event::Armed { waits_for_green } if waits_for_green.is_empty() => tell("", Tone::Good, "armed"),
        Event::Armed { waits_for_green } => {
            tell("", Tone::Warn, format!("armed; these wait until they are green: {}", waits_for_green.join(", ")))
        }
        Event::Disarmed { .. } => tell("", Tone::Plain, "disarmed"),
        Event::CutoverMarked => tell("", Tone::Plain, "the cutover begins"),
        Event::PhaseBegun { phase } => tell("", Tone::Plain, format!("phase {phase} begins")),
        Event::Muted { until, by, reason } => tell("", Tone::Warn, format!("muted until {until:.0} by {by}: {reason}")),
        Event::Unmuted { why } => tell("", Tone::Plain, format!("not muted any more: {why}")),
        Event::PointOfNoReturnNear { at } => tell("", Tone::Warn, format!("the point of no return is at {at:.0}")),
        Event::PointOfNoReturnPassed { .. } => {
            tell("", Tone::Warn, "the point of no return is passed: people decide every rollback from here on")
        }
        Event::ExpectedCaptured { step, .. } => {
            tell(step, Tone::Quiet, "its state after the cutover is captured: another one is drift from here on")
        }
        Event::ReadinessChanged { verdict, findings, left_out, .. } => {
            let tone = if *verdict == CheckVerdict::Go { Tone::Good } else { Tone::Warn };
            tell("", tone, readiness(*verdict, findings, *left_out))
        }
        Event::WatchResumed { outage_s, clock_set_s, .. } => {
            let clock = words::clock_set(*clock_set_s).map(|set| format!("{set}; ")).unwrap_or_default();
            tell("", Tone::Warn, format!("Belay is back after {outage_s}s; {clock}everything is looked at anew"))
        }
        Event::EvidenceGathered { source, findings, notes, .. } => {
            let found = words::count(findings.len(), "finding");
            let notes = if notes.is_empty() { String::new() } else { format!("; {}", notes.join("; ")) };
            tell("", Tone::Quiet, format!("evidence of {}: {found}{notes}", source.as_str().replace('_', " ")))
        }
        Event::ReadingsKept { .. } | Event::NoticeDue { .. } => None,
        Event::NoticeSent { channel, about, answer, .. } => match refused(answer) {
            None => tell("", Tone::Quiet, format!("{channel} is told: {about}")),
            Some(who) => {
                tell("", Tone::Warn, format!("{channel} is told: {about}; not told: {who}; tell them yourself"))
            }
        },
        Event::NoticeFailed { channel, about, why, again_at: Some(at), .. } => {
            tell("", Tone::Warn, format!("{channel} is not told of {about} yet: {why}; tried again at {at:.0}"))
        }
        Event::NoticeFailed { channel, about, why, again_at: None, .. } => {
            tell("", Tone::Bad, format!("{channel} is not told of {about}: {why}; tell them yourself"))
        }
        Event::NoticeDropped { channel, about, why, .. } => {
            tell("", Tone::Quiet, format!("{channel} is not told of {about} any more: {why}"))
        }
        Event::NoticeLate { channel, about, .. } => {
            tell("", Tone::Bad, format!("{channel} should have been told of {about} by now; tell them yourself"))
        }
        Event::PostmortemDue { run } => {
            tell("", Tone::Warn, format!("two days since run {run}, and nobody has talked it over"))
        }
        Event::IncidentPostmortemDue { incident } => {
            tell("", Tone::Warn, format!("two days since incident {incident}, and nobody has talked it over"))
        }
        Event::IncidentPostmortemHeld { incident, link } => {
            tell("", Tone::Quiet, format!("incident {incident} was talked over: {link}"))
        }
        Event::PostmortemHeld { run, link } => tell("", Tone::Quiet, format!("run {run} was talked over: {link}")),
        Event::ItemTicked { item, reason, .. } => tell(item, Tone::Quiet, format!("ticked by {actor}: {reason}")),
        Event::ItemUnticked { item, reason } => tell(item, Tone::Quiet, format!("the tick is taken back: {reason}")),
        Event::RestoreTested { step, tested } => {
            let (tone, what) = match tested.outcome {
                RestoreOutcome::Proved => (Tone::Good, "the restore test proves the restore"),
                RestoreOutcome::Restored => (Tone::Warn, "the restore test restored it"),
                RestoreOutcome::Failed => (Tone::Bad, "the restore test failed"),
            };
            tell(step, tone, format!("{what}: {}", tested.found))
        }
        Event::RunStarted { run, reason, .. } => tell("", Tone::Warn, format!("rollback {run} begins: {reason}")),
        Event::UndoStarted { run, undoes: undone, reason, left, .. } => {
            let (tone, text) = undoes(&run.0, &undone.0, reason, left);
            tell("", tone, text)
        }
        Event::RunHeld { why } => tell("", Tone::Warn, format!("held: {why}")),
        Event::RunResumed => tell("", Tone::Plain, "the rollback goes on"),
        Event::RunAborting { .. } => tell("", Tone::Warn, "aborting: nothing new is sent"),
        Event::RunHalted { why } => tell("", Tone::Bad, format!("halted: {why}")),
        Event::ConfirmOpened => tell("", Tone::Plain, "every step is over; waiting for the confirmation"),
        Event::RunEnded { outcome, why } => {
            let tone = if *outcome == RunOutcome::Aborted { Tone::Bad } else { Tone::Good };
            tell("", tone, with_why(&words::name(outcome), why))
        }
        Event::Step { step, what } => step_told(step, what, clock),
        Event::Confirm { signal, what } => gate_told("confirm", signal, what),
        Event::Rehearsed { run, .. } => tell("", Tone::Plain, format!("dry run {run} is on record")),
        Event::DrillStarted { trigger: Some(trigger), reason, .. } => {
            tell("", Tone::Warn, format!("the drill begins, {trigger} is made to fire: {reason}"))
        }
        Event::DrillStarted { trigger: None, reason, .. } => {
            tell("", Tone::Warn, format!("the drill begins: {reason}"))
        }
        Event::DrillEnded { verdict: DrillVerdict::Within, .. } => {
            tell("", Tone::Good, "the drill is over, within the objectives; it is on record")
        }
        Event::DrillEnded { verdict, .. } => {
            tell("", Tone::Bad, format!("the drill is over: {}; it is on record", words::name(verdict)))
        }
        _ => watch_told(event),
    }
}

fn watch_told(event: &Event) -> Told {
    match event {
        Event::SignalTurned { signal, from, to, evidence, .. } => {
            let tone = match to {
                Health::Healthy => Tone::Good,
                Health::Unhealthy => Tone::Bad,
                Health::Unknown => Tone::Warn,
            };
            tell(signal, tone, format!("{} -> {}: {evidence}", words::name(from), words::name(to)))
        }
        Event::DwellStarted { trigger } => tell(trigger, Tone::Warn, "the condition holds; it fires if that lasts"),
        Event::DwellPaused { trigger, .. } => tell(trigger, Tone::Warn, "cannot be decided: its time stands still"),
        Event::DwellResumed { trigger } => tell(trigger, Tone::Warn, "the condition holds again"),
        Event::DwellReset { trigger } => tell(trigger, Tone::Good, "the condition does not hold any more"),
        Event::TriggerFired { trigger, evidence } => tell(trigger, Tone::Bad, with_why("FIRED", &evidence.join("; "))),
        Event::TriggerGreen { trigger } => tell(trigger, Tone::Good, "green for the first time: it is awake"),
        Event::HealingStarted { trigger } => tell(trigger, Tone::Plain, "healing"),
        Event::HealingReset { trigger } => tell(trigger, Tone::Warn, "red again"),
        Event::TriggerHealed { trigger } => tell(trigger, Tone::Good, "healed"),
        Event::TriggerUnknown { trigger, why } => tell(trigger, Tone::Warn, with_why("cannot be decided", why)),
        Event::TriggerKnown { trigger } => tell(trigger, Tone::Plain, "can be decided again"),
        Event::UnknownAlerted { trigger, why } => tell(trigger, Tone::Bad, with_why("still cannot be decided", why)),
        Event::Blinded { source, why } => tell(source, Tone::Bad, with_why("cannot be read at all", why)),
        Event::Sighted { source } => tell(source, Tone::Good, "can be read again"),
        Event::IncidentOpened { incident, trigger } => {
            tell("", Tone::Bad, format!("incident {incident} opened by {trigger}"))
        }
        Event::IncidentJoined { trigger } => tell("", Tone::Bad, format!("{trigger} joins the incident")),
        Event::WordGiven { who, word, reason, .. } => {
            tell("", Tone::Warn, format!("{who}: {}: {reason}", words::name(word)))
        }
        Event::Decided { answer, why, .. } => {
            let decision = words::name(answer);
            let why = if why.ends_with(&format!(": {decision}")) { why.clone() } else { with_why(&decision, why) };
            tell("", Tone::Warn, format!("decision: {why}"))
        }
        Event::IncidentClosed { outcome } => {
            let tone = if *outcome == IncidentOutcome::Aborted { Tone::Bad } else { Tone::Good };
            tell("", tone, format!("incident closed: {}", words::name(outcome)))
        }
        _ => None,
    }
}

fn step_told(step: &str, event: &StepEvent, clock: Clock) -> Told {
    match event {
        StepEvent::Started { fallback_for: Some(failed) } => {
            tell(step, Tone::Warn, format!("stands in for {failed}, which failed"))
        }
        StepEvent::Started { fallback_for: None } => tell(step, Tone::Quiet, "looking"),
        StepEvent::LookFailed { why } => tell(step, Tone::Warn, with_why("cannot be looked at", why)),
        StepEvent::Planned { changes } => {
            let titles: Vec<&str> = changes.iter().map(|change| change.title.as_str()).collect();
            tell(step, Tone::Quiet, format!("to do: {}", titles.join("; then ")))
        }
        StepEvent::ApprovalAwaited { why, .. } => tell(step, Tone::Warn, format!("waits for a person: {why}")),
        StepEvent::ApprovalGiven { by } => tell(step, Tone::Good, format!("{by} says yes")),
        StepEvent::Approved => tell(step, Tone::Good, "approved"),
        StepEvent::Require { signal, what } => gate_told(step, signal, what),
        StepEvent::Verify { signal, what } => gate_told(step, signal, what),
        StepEvent::Unproven { destination, why } => {
            tell(step, Tone::Bad, format!("{destination} is not proven: {why}"))
        }
        StepEvent::Overridden { subject } => tell(step, Tone::Warn, format!("{subject} is overridden by a person")),
        StepEvent::Intended { change, .. } => tell(step, Tone::Plain, format!("{}  [{}]", change.title, change.call)),
        StepEvent::NoEffect { why, .. } => tell(step, Tone::Warn, with_why("the call had no effect", why)),
        StepEvent::OutcomeUnknown { why, .. } => {
            tell(step, Tone::Warn, with_why("the answer was lost, looking what came of it", why))
        }
        StepEvent::Overdue { why } => tell(step, Tone::Bad, format!("overdue: {why}")),
        StepEvent::Doubted { why } => tell(step, Tone::Warn, format!("looking once more: {why}")),
        StepEvent::Trusted => tell(step, Tone::Plain, "in place after all"),
        StepEvent::WaitStarted { until } => tell(step, Tone::Plain, format!("waits until {}", clock(*until))),
        StepEvent::Reported { report } => tell(step, Tone::Plain, words::job(report)),
        StepEvent::DrainStarted { until } => {
            let until = clock(*until);
            tell(step, Tone::Plain, format!("in place; waiting until {until} for cached DNS answers to expire"))
        }
        StepEvent::StagePassed { stages, percent } => {
            tell(step, Tone::Plain, format!("stage {stages} ({percent}%) has passed"))
        }
        StepEvent::Settled { changed: true } => tell(step, Tone::Quiet, "in place"),
        StepEvent::Done => tell(step, Tone::Good, "done"),
        StepEvent::Unchanged => tell(step, Tone::Good, "unchanged: it was there already"),
        StepEvent::Failed { why, .. } => tell(step, Tone::Bad, format!("FAILED: {why}")),
        StepEvent::Arrived => tell(step, Tone::Good, "in place now, after its time-out: retry the step to go on"),
        StepEvent::Skipped { why } => tell(step, Tone::Warn, why.as_str()),
        StepEvent::Blocked { by } => tell(step, Tone::Warn, format!("blocked: {by} did not succeed")),
        StepEvent::Reset => tell(step, Tone::Plain, "once more"),
        StepEvent::RequireOpened
        | StepEvent::RequirePassed
        | StepEvent::Accepted { .. }
        | StepEvent::Effective { .. }
        | StepEvent::Settled { changed: false }
        | StepEvent::VerifyOpened => None,
    }
}

fn gate_told(step: &str, signal: &str, event: &GateEvent) -> Told {
    match event {
        GateEvent::Holding { evidence } => tell(step, Tone::Plain, with_why(&format!("{signal} is healthy"), evidence)),
        GateEvent::Broken { health, evidence } => {
            tell(step, Tone::Warn, with_why(&format!("waits: {signal} is {}", words::name(health)), evidence))
        }
        GateEvent::Passed => tell(step, Tone::Good, format!("{signal} passed")),
        GateEvent::Failed { why } => tell(step, Tone::Bad, why.as_str()),
    }
}

fn with_why(what: &str, why: &str) -> String {
    if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") }
}

/// `readiness: no-go: step db_back: checkout: is stopped; and 2 more`
fn readiness(verdict: CheckVerdict, findings: &[String], left_out: usize) -> String {
    match findings {
        [] => format!("readiness: {}", verdict.word()),
        [first, rest @ ..] => match rest.len() + left_out {
            0 => format!("readiness: {first}"),
            more => format!("readiness: {first}; and {more} more"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_without_their_documents_are_told_as_the_records_are() {
        let told =
            |event: Value| line_of_event(Timestamp::UNIX_EPOCH, "ada", &event, &|at| at.to_string()).unwrap().text;
        let document = json!({ "sha256": "00", "bytes": 2 });
        let undo = json!({
            "type": "undo_started", "run": "r2", "undoes": "r1", "reason": "a false alarm", "plan": document, "baseline": document,
            "left": ["db_back lost data"],
        });
        assert_eq!(
            told(undo),
            "run r2 puts back what was there before r1: a false alarm; this stays: db_back lost data"
        );
        let pinned = json!({ "type": "plan_pinned", "plan": document, "plan_sha256": "3f1c9a2b7d10e5f6" });
        assert_eq!(told(pinned), "plan 3f1c9a2b7d10 is pinned");
        assert_eq!(told(json!({ "type": "cutover_marked" })), "the cutover begins");
        assert_eq!(told(json!({ "type": "of_a_newer_daemon" })), "of a newer daemon");
    }
}
