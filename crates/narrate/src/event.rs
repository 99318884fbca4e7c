//! The events of a migration: what is watched, its incidents, its runs, and what people are told of it.

use belay_core::{
    event::{DrillVerdict, Event, IncidentOutcome, RunKind, RunOutcome},
    notice::refused,
    readiness::CheckVerdict,
    reading::Health,
    restore_test::{RestoreOutcome, RestoreTested},
};
use belay_plan::{
    duration,
    model::{Answer, Name},
    notify::NoticeKind,
};
use jiff::Timestamp;

use crate::{
    Audience::{Machines, OnCall, Responsible},
    Context, Told, Tone, step,
    words::{self, joined, name},
};

pub(crate) fn told(event: &Event, context: &Context) -> Told {
    let actor = context.actor;
    let that = |what: &str| Told::that(what);
    match event {
        Event::Commanded { verb, reason, detail, .. } => {
            let step = detail["step"].as_str().unwrap_or_default();
            Told::of(step, format!("command {} by {actor}", words::words(verb))).because(reason)
        }
        Event::PlanPinned { plan_sha256, .. } => {
            that(&format!("plan {} is pinned", plan_sha256.get(..12).unwrap_or(plan_sha256))).quiet()
        }
        Event::BaselineCaptured { .. } => that("the baseline is captured"),
        Event::AttemptBegun => {
            that("another attempt begins: the baseline and the cutover of the one before count no more")
        }
        Event::Armed { waits_for_green } if waits_for_green.is_empty() => {
            that("armed: its triggers are watched").brief("armed").good()
        }
        Event::Armed { waits_for_green } => that("armed; these triggers count only after they have been green once")
            .because(&waits_for_green.join(", "))
            .brief("armed")
            .warn()
            .to(OnCall),
        Event::Disarmed { why } => that("disarmed").because(why),
        Event::CutoverMarked => that("the cutover is marked"),
        Event::PhaseBegun { phase } => that(&format!("phase {phase} begins")),
        Event::Muted { until, by, reason } => {
            that(&format!("muted until {until:.0} by {by}")).because(reason).warn().to(OnCall)
        }
        Event::Unmuted { why } => that("not muted any more").because(why),
        Event::PointOfNoReturnNear { at } => that(&format!("the point of no return is at {at:.0}")).warn().to(OnCall),
        Event::PointOfNoReturnPassed { .. } => {
            that("the point of no return is passed: people decide every rollback from here on").warn().to(OnCall)
        }
        Event::ExpectedCaptured { step, .. } => {
            Told::of(step, "its state after the cutover is captured: another one is drift from here on").quiet()
        }
        Event::ReadinessChanged { verdict, findings, left_out, .. } => ready(*verdict, findings, *left_out),
        Event::WatchResumed { outage_s, asleep, clock_set_s, .. } => {
            let away = words::outage(*outage_s, *asleep, *clock_set_s);
            that(&format!("{away}; every signal is read anew")).brief(away).warn()
        }

        Event::SignalTurned { signal, from, to, evidence, .. } => {
            let tone = match to {
                Health::Healthy => Tone::Good,
                Health::Unhealthy => Tone::Bad,
                Health::Unknown => Tone::Warn,
            };
            Told::of(signal, format!("{} -> {}", name(from), name(to))).because(evidence).toned(tone)
        }
        Event::DwellStarted { trigger } => {
            let dwell = context.plan.and_then(|plan| plan.triggers.get(trigger)).map(|trigger| trigger.dwell);
            let lasts = dwell.map(|dwell| format!(" for {}", duration::format(dwell))).unwrap_or_default();
            Told::of(trigger, format!("the condition holds; it fires if that lasts{lasts}")).warn()
        }
        Event::DwellPaused { trigger, .. } => Told::of(trigger, "cannot be decided: its dwell pauses").warn(),
        Event::DwellResumed { trigger } => Told::of(trigger, "the condition holds again: its dwell goes on").warn(),
        Event::DwellReset { trigger } => Told::of(trigger, "the condition does not hold any more").good(),
        Event::TriggerFired { trigger, evidence } => {
            let evidence = joined(evidence.iter().map(String::as_str), "; ");
            Told::of(trigger, "FIRED").because(&evidence).bad().to(OnCall)
        }
        Event::TriggerGreen { trigger } => Told::of(trigger, "green for the first time: it counts from now on").good(),
        Event::HealingStarted { trigger } => {
            Told::of(trigger, "the condition does not hold any more; it heals if that lasts")
        }
        Event::HealingReset { trigger } => Told::of(trigger, "the condition holds again before it has healed").warn(),
        Event::TriggerHealed { trigger } => Told::of(trigger, "healed").good(),
        Event::TriggerUnknown { trigger, why } => Told::of(trigger, "cannot be decided").because(why).warn().to(OnCall),
        Event::TriggerKnown { trigger } => Told::of(trigger, "can be decided again"),
        Event::UnknownAlerted { trigger, why } => {
            Told::of(trigger, "cannot be decided for too long, look yourself").because(why).bad().to(Responsible)
        }
        Event::Blinded { source, why } => Told::of(source, "cannot be read at all").because(why).bad().to(Responsible),
        Event::Sighted { source } => Told::of(source, "can be read again").good(),

        Event::IncidentOpened { incident, trigger } => {
            let what = format!("an incident is open: {trigger} has fired");
            that(&format!("{what} (incident {incident})")).brief(what).bad().to(OnCall)
        }
        Event::IncidentJoined { trigger } => Told::of(trigger, "joins the incident").bad().to(OnCall),
        Event::Decided { answer, why, .. } => decided(*answer, why),
        Event::WordGiven { who, roles, word, reason } => {
            let what = format!("{who} says {}", words::words(word.as_str()));
            let roles = if roles.is_empty() { String::new() } else { format!(" (as {})", roles.join(", ")) };
            that(&format!("{what}{roles}")).brief(what).because(reason).warn().to(OnCall)
        }
        Event::IncidentClosed { outcome } => {
            let tone = if *outcome == IncidentOutcome::Aborted { Tone::Bad } else { Tone::Good };
            that(&format!("incident closed: {}", name(outcome))).toned(tone)
        }

        Event::EvidenceGathered { source, findings, notes, .. } => {
            let (source, found) = (words::words(source.as_str()), words::count(findings.len(), "finding"));
            let notes = notes.iter().map(|note| format!("; {note}")).collect::<String>();
            that(&format!("evidence of {source}: {found}{notes}")).quiet()
        }
        // For the charts of a report, a few times a minute.
        Event::ReadingsKept { series, .. } => {
            that(&format!("readings of {} are kept", words::count(series.len(), "signal"))).quiet().to(Machines)
        }

        // What becomes of it is told: `NoticeSent`, `NoticeFailed`, `NoticeDropped` or `NoticeLate`.
        Event::NoticeDue { channel, facts, .. } => {
            that(&format!("{channel} is to be told: {}", name(&facts.kind))).quiet().to(Machines)
        }
        Event::NoticeSent { channel, about, answer, .. } => sent(channel, *about, answer),
        Event::NoticeFailed { channel, about, why, again_at, .. } => not_sent(channel, *about, why, *again_at),
        Event::NoticeDropped { channel, about, why, .. } => {
            that(&format!("{channel} is not told of {} any more", name(about))).because(why).quiet()
        }
        Event::NoticeLate { channel, about, .. } => {
            that(&format!("{channel} should have been told of {} by now; tell them yourself", name(about)))
                .bad()
                .to(Responsible)
        }
        Event::PostmortemDue { run } => postmortem_due(&format!("run {run}")),
        Event::PostmortemHeld { run, link } => postmortem_held(&format!("run {run}"), link),
        Event::IncidentPostmortemDue { incident } => postmortem_due(&format!("incident {incident}")),
        Event::IncidentPostmortemHeld { incident, link } => postmortem_held(&format!("incident {incident}"), link),

        Event::ItemTicked { item, reason, .. } => Told::of(item, format!("ticked by {actor}")).because(reason).quiet(),
        Event::ItemUnticked { item, reason } => {
            Told::of(item, format!("the tick is taken back by {actor}")).because(reason).quiet()
        }
        Event::RestoreTested { step, tested } => restore_tested(step, tested),

        Event::DrillStarted { trigger, reason, .. } => {
            let fires = trigger.as_ref().map(|trigger| format!("{trigger} is made to fire"));
            let parts = [reason.as_str()].into_iter().chain(fires.as_deref());
            that("a drill begins").because(&joined(parts, "; ")).warn().to(OnCall)
        }
        Event::DrillEnded { verdict, .. } => drill_ended(*verdict),
        Event::RunStarted { run, kind, reason, .. } => {
            let what = match kind {
                RunKind::Real => "rollback",
                RunKind::Dry => "dry run",
                RunKind::Drill => "drill",
                RunKind::Simulated => "simulated rollback",
                RunKind::Undo => "undo",
            };
            that(&format!("a run has begun: {what} {run}")).brief("a run has begun").because(reason).warn().to(OnCall)
        }
        Event::UndoStarted { run, undoes, reason, left, .. } => {
            let left = if left.is_empty() { String::new() } else { format!("this stays: {}", left.join("; ")) };
            that(&format!("a run has begun: {run} puts back what was there before {undoes}"))
                .because(&joined([reason.as_str(), left.as_str()], "; "))
                .brief("a run has begun")
                .warn()
                .to(OnCall)
        }
        Event::RunHeld { why } => that("held").because(why).warn().to(OnCall).next("`belay resume` goes on"),
        Event::RunResumed => that("the run goes on"),
        Event::RunAborting { why } => that("aborting, nothing new is sent").because(why).warn().to(OnCall),
        Event::RunHalted { why } => {
            that("halted").because(why).bad().to(Responsible).next("`belay status` shows what is possible")
        }
        Event::ConfirmOpened => that("every step is over; waiting for the confirmation"),
        Event::RunEnded { outcome, why } => {
            let tone = if *outcome == RunOutcome::Aborted { Tone::Bad } else { Tone::Good };
            that(&format!("the run has ended: {}", name(outcome))).because(why).toned(tone).to(OnCall)
        }
        Event::Step { step, what } => step::told(step, what, context),
        Event::Confirm { signal, what } => step::gate("confirmation", "signal", signal, what),
        Event::Rehearsed { run, .. } => that(&format!("dry run {run} is on record")),
    }
}

/// `readiness: no-go: step db_back: checkout: is stopped; and 2 more`
fn ready(verdict: CheckVerdict, findings: &[String], left_out: usize) -> Told {
    let told = Told::that("readiness").because(&verdict.with_findings(findings, left_out));
    match verdict {
        CheckVerdict::Go => told.good(),
        _ => told.warn().to(OnCall),
    }
}

/// A rule's reason ends with its answer, and a person's does not.
fn decided(answer: Answer, why: &str) -> Told {
    let said = why.ends_with(&format!(": {}", words::words(answer.as_str())));
    let (answer, decided) = (words::answer(answer), Told::that("decided"));
    let decided = if said { decided } else { decided.because(&answer) };
    decided.because(why).brief(format!("decided: {answer}")).warn().to(OnCall)
}

fn sent(channel: &Name, about: NoticeKind, answer: &str) -> Told {
    let told = Told::that(format!("{channel} is told: {}", name(&about)));
    match refused(answer) {
        None => told.quiet(),
        Some(who) => {
            let text = format!("{}; not told: {who}; tell them yourself", told.text);
            Told { text, ..told }.warn().to(OnCall)
        }
    }
}

fn not_sent(channel: &Name, about: NoticeKind, why: &str, again_at: Option<Timestamp>) -> Told {
    let about = name(&about);
    match again_at {
        Some(at) => Told::that(format!("{channel} is not told of {about} yet, tried again at {at:.0}"))
            .because(why)
            .warn()
            .to(OnCall),
        None => Told::that(format!("{channel} is not told of {about}, tell them yourself"))
            .because(why)
            .bad()
            .to(Responsible),
    }
}

fn postmortem_due(of: &str) -> Told {
    Told::that(format!("the post-mortem of {of} is due: two days have passed")).warn().to(OnCall)
}

fn postmortem_held(of: &str, link: &str) -> Told {
    Told::that(format!("the post-mortem of {of} was held")).because(link).quiet()
}

fn restore_tested(step: &Name, RestoreTested { outcome, found, .. }: &RestoreTested) -> Told {
    match outcome {
        RestoreOutcome::Proved => Told::of(step, "the restore test proves the restore").because(found).good(),
        RestoreOutcome::Restored => {
            Told::of(step, "the restore test restored it, and proves nothing").because(found).warn().to(OnCall)
        }
        RestoreOutcome::Failed => Told::of(step, "the restore test failed").because(found).bad().to(Responsible),
    }
}

fn drill_ended(verdict: DrillVerdict) -> Told {
    let (tone, verdict) = match verdict {
        DrillVerdict::Within => (Tone::Good, "within the objectives"),
        DrillVerdict::Outside => (Tone::Bad, "outside the objectives"),
        DrillVerdict::Halted => (Tone::Bad, "halted"),
        DrillVerdict::Aborted => (Tone::Bad, "aborted"),
    };
    Told::that(format!("the drill is over: {verdict}")).toned(tone).to(OnCall)
}
