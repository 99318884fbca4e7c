//! What happened, in a few sentences, and what a post-mortem begins with.

use std::time::Duration;

use belay_core::{
    event::{Event, IncidentOutcome, RunKind},
    run::{Phase, RunState},
};
use jiff::Timestamp;

use crate::{
    Shown,
    course::Course,
    model::{ActionAim, ActionItem, GoalName, NoticeState, Postmortem, RunReport, Verdict},
    people, shown, words,
};

pub(crate) fn summary(course: &Course, report: &RunReport) -> Vec<Shown> {
    let sentences =
        [drill(course), opened(report), decided(course), started(course, report), Some(ended(course)), steps(course)];
    sentences.into_iter().flatten().map(shown).collect()
}

fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn took(seconds: f64) -> String {
    words::duration(Duration::from_secs_f64(seconds.max(0.0)))
}

fn drill(course: &Course) -> Option<String> {
    match course.run.kind {
        RunKind::Drill => Some("This was a drill: its breach was made up.".to_owned()),
        RunKind::Dry => Some(format!(
            "This was a dry run: it changed nothing. `belay status {}` shows its findings.",
            course.run.id
        )),
        RunKind::Simulated => Some("This run was simulated.".to_owned()),
        RunKind::Undo => course.run.undoes.as_ref().map(|undone| format!("This run took the rollback {undone} back.")),
        RunKind::Real => None,
    }
}

fn opened(report: &RunReport) -> Option<String> {
    let incident = report.incident.as_ref()?;
    let felt = if incident.customer_facing { "customers are affected" } else { "customers are not affected" };
    let triggers: Vec<&str> = incident.triggers.iter().map(Shown::as_str).collect();
    Some(format!(
        "Incident {} opened at {}: the trigger {} fired ({}, {felt}).",
        incident.id,
        utc(incident.opened),
        triggers.join(" and the trigger "),
        words::name(&incident.severity),
    ))
}

fn decided(course: &Course) -> Option<String> {
    let decided = course.told().iter().filter(|record| !course.has_run || record.at <= course.run.started);
    let (record, answer, why, settled) = decided
        .filter_map(|record| match &record.event {
            Event::Decided { answer, why, settled, .. } => Some((record, answer, why, *settled)),
            _ => None,
        })
        .next_back()?;
    let by = match (record.actor.as_str(), settled) {
        ("belay", false) => "by a rule of the plan".to_owned(),
        ("belay", true) => "at the end of the time that people had".to_owned(),
        (person, _) => format!("by {person}"),
    };
    // How a rule came to its answer ends with the answer.
    let why = why.strip_suffix(&format!(": {}", words::words(answer.as_str()))).unwrap_or(why);
    let answer = belay_narrate::words::answer(*answer);
    Some(format!("Decision at {} {by}: {answer} ({why}).", utc(record.at)))
}

fn started(course: &Course, report: &RunReport) -> Option<String> {
    let run = &course.run;
    (course.has_run && run.kind != RunKind::Dry).then(|| {
        let (steps, at) = (words::count(report.steps.len(), "step"), utc(run.started));
        format!("Run {} with {steps} was started at {at} by {}: {}.", run.id, run.actor, run.reason)
    })
}

fn ended(course: &Course) -> String {
    let run = &course.run;
    let from = if course.breach.is_some() { "the breach" } else { "its start" };
    let after = |at: Timestamp| match course.clock_set {
        true => format!("how long after {from} is not known, since the wall clock was set meanwhile"),
        false => format!("{} after {from}", words::duration(words::between(course.since(), at))),
    };
    if !course.has_run {
        return closed(course);
    }
    let because = if run.why.is_empty() { String::new() } else { format!(": {}", run.why) };
    match (run.state, run.ended, course.still_fired()) {
        (RunState::RolledBack, Some(at), Some(still_fired)) => {
            let held = match course.confirmed().is_some() {
                true => "The confirmation held, but by",
                false => "Nothing was confirmed, since the plan has no confirmation, and by",
            };
            let (at, after) = (utc(at), after(at));
            format!(
                "Rolled back at {at}, {after}. {held} the last readings {still_fired}: a recovery was not observed."
            )
        }
        (RunState::RolledBack, Some(at), None) if course.confirmed().is_some() => {
            format!("Rolled back and confirmed at {}, {}.", utc(at), after(at))
        }
        (RunState::RolledBack, Some(at), None) => format!(
            "Rolled back at {}, {}. Nothing was confirmed, since the plan has no confirmation: whether the system was well \
             is not on record.",
            utc(at),
            after(at)
        ),
        (RunState::Undone, Some(at), _) => format!("Undone at {}, {}.", utc(at), after(at)),
        (RunState::Rehearsed, Some(at), _) => format!("Finished at {}.", utc(at)),
        (RunState::Aborted, Some(at), _) => format!("Aborted at {}, {}{because}.", utc(at), after(at)),
        (state, at, _) => {
            let since = at.map_or(String::new(), |at| format!(" since {}", utc(at)));
            let state = words::words(state.as_str());
            format!(
                "The run is not over: it is {state}{since}{because}. This is what is known up to {}.",
                utc(course.as_of)
            )
        }
    }
}

/// How an incident ended in which nothing was rolled back.
fn closed(course: &Course) -> String {
    let incident = course.incident.as_ref();
    let Some((outcome, at)) = incident.and_then(|incident| incident.outcome.zip(incident.closed)) else {
        return format!("The incident is open. This is what is known up to {}.", utc(course.as_of));
    };
    let how = match outcome {
        IncidentOutcome::Recovered => "its triggers stopped firing",
        IncidentOutcome::Disarmed => "the migration was disarmed, and whether the system was well is not on record",
        IncidentOutcome::RolledBack | IncidentOutcome::Aborted => "its rollback ended",
    };
    let after = words::duration(words::between(course.since(), at));
    format!("Closed at {}, {after} after the breach: {how}. Nothing was rolled back.", utc(at))
}

fn steps(course: &Course) -> Option<String> {
    let phases = [Phase::Done, Phase::Unchanged, Phase::Failed, Phase::Blocked, Phase::Skipped];
    let over = phases
        .into_iter()
        .map(|phase| (phase.as_str(), course.run.steps.values().filter(|step| step.phase == phase).count()));
    let open = course.run.steps.values().filter(|step| !step.phase.is_over()).count();
    let counts = over.chain([("not over", open)]).filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(phase, count)| format!("{count} {phase}")).collect();
    (!counts.is_empty()).then(|| format!("Steps: {}.", counts.join(", ")))
}

pub(crate) fn postmortem(course: &Course, report: &RunReport) -> Postmortem {
    let action = |aim| ActionItem { aim, action: None, owner: None, deadline: None, success_criterion: None };
    let (went_well, went_badly) = went(course, report);
    Postmortem {
        held: people::postmortem_held(course),
        impact: impact(course, report),
        went_well,
        went_badly,
        actions: [ActionAim::Prevent, ActionAim::Detect, ActionAim::Mitigate].map(action).into(),
    }
}

fn impact(course: &Course, report: &RunReport) -> Vec<Shown> {
    let mut impact = Vec::new();
    if let (Some(incident), Some(breach)) = (&report.incident, course.breach) {
        let felt = if incident.customer_facing { "Customers were affected" } else { "Customers were not affected" };
        let recovered = incident.closed.filter(|_| incident.outcome == Some(IncidentOutcome::Recovered));
        let until = course.well().or(recovered.filter(|_| !course.has_run)).map_or_else(
            || match (course.still_fired(), course.succeeded()) {
                (Some(still_fired), true) => format!(" on; the end is not on record, since {still_fired}"),
                (None, true) => " on; the end is not on record, since nothing was confirmed".to_owned(),
                (_, false) => "; the end is not on record".to_owned(),
            },
            |ended| match course.clock_set {
                true => format!(" to {}; the wall clock was set meanwhile", utc(ended)),
                false => format!(" to {} ({})", utc(ended), words::duration(words::between(breach, ended))),
            },
        );
        impact.push(shown(format!("{felt}, as the plan has it: from {}{until}", utc(breach))));
    }
    for loss in &report.data_loss {
        let time = loss.seconds.map_or_else(|| "an unknown time".to_owned(), took);
        impact.push(shown(format!("{}: what was written in {time} is lost to the application", loss.step)));
    }
    impact
}

/// What the record shows of either kind; people add the rest.
fn went(course: &Course, report: &RunReport) -> (Vec<Shown>, Vec<Shown>) {
    let (mut well, mut badly) = (Vec::new(), Vec::new());
    badly.extend(course.still_fired().map(|still_fired| shown(format!("{still_fired} when the run ended"))));
    for goal in &report.goals {
        let name = match goal.name {
            GoalName::Severity => "goal of the severity".to_owned(),
            name => words::name(&name),
        };
        let measured = goal.measured_s.map_or_else(|| "not reached".to_owned(), took);
        let line = format!("{name}: {measured}, limit {}", took(goal.limit_s));
        match goal.verdict {
            Verdict::Met => well.push(shown(line)),
            Verdict::Missed => badly.push(shown(line)),
            Verdict::Open | Verdict::Unknown => {}
        }
    }
    for step in &report.steps {
        if let Some(first) = step.failures.items.first() {
            badly.push(shown(format!("step {} failed: {}", step.name, first.why)));
        }
    }
    let refused = report.notices.items.iter().filter_map(|notice| Some((notice, notice.refused.as_ref()?)));
    badly.extend(refused.map(|(notice, refused)| {
        shown(format!(
            "{} was not told of {} for everybody: the receiver refused {refused}",
            notice.channel, notice.about
        ))
    }));
    let unsent = report.notices.items.iter().filter(|notice| match notice.state {
        NoticeState::Sent => notice.late,
        NoticeState::Waiting | NoticeState::GivenUp => true,
        NoticeState::Dropped => false,
    });
    badly.extend(unsent.map(|notice| {
        let state = if notice.state == NoticeState::Sent { "was told late" } else { "was not told" };
        shown(format!("{} {state} of {}", notice.channel, notice.about))
    }));
    (well, badly)
}
