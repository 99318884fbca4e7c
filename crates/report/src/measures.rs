//! Times against the plan's objectives and the goal of the severity, and data that is lost.

use std::time::Duration;

use belay_core::{
    event::IncidentOutcome,
    incident::Incident,
    measure::{self, Loss},
};
use belay_plan::model::Severity;
use jiff::Timestamp;

use crate::{
    course::Course,
    model::{DataLoss, Goal, GoalName, Measure, MeasureName, Verdict},
    shown,
};

/// So soon an incident of this severity is to be over, unless the plan has an objective of its own (`recovery`).
pub(crate) fn goal_of(severity: Severity) -> Duration {
    let minutes = match severity {
        Severity::Critical => 15,
        Severity::Major => 60,
        Severity::Minor => 240,
    };
    Duration::from_secs(minutes * 60)
}

pub(crate) fn measures(course: &Course) -> Vec<Measure> {
    let opened = course.incident.as_ref().map(|incident| incident.opened);
    let since = Some(course.since());
    let beginning = if course.breach.is_some() { "the breach" } else { "the start of the run" };
    let (recovered, confirmed) = (course.recovered(), course.confirmed());
    let measure = |name, counts: String, from: Option<Timestamp>, to: Option<Timestamp>| {
        let seconds = from.zip(to).filter(|_| !course.clock_set).map(|(from, to)| seconds(from, to));
        Measure { name, counts: shown(counts), from, to, seconds }
    };
    let mut measures = Vec::new();
    if let Some(opened) = opened {
        let counts = "from the breach to the incident".to_owned();
        measures.push(measure(MeasureName::Detect, counts, course.breach, Some(opened)));
        let decision = if course.has_run { "the decision that started the run" } else { "the last decision" };
        measures.push(measure(
            MeasureName::Decide,
            format!("from the incident to {decision}"),
            Some(opened),
            course.decided,
        ));
    }
    // Nothing was put back: the end of an incident is when its triggers have healed, or when it was disarmed.
    if !course.has_run {
        let counts = "from the breach to the end of the incident".to_owned();
        measures.push(measure(MeasureName::Total, counts, since, course.ended()));
        return measures;
    }
    let counts = format!("from {beginning} to the end of the last step");
    measures.push(measure(MeasureName::Recover, counts, since, recovered));
    let counts = "from the end of the last step to the end of the confirmation".to_owned();
    measures.push(measure(MeasureName::Confidence, counts, recovered, confirmed));
    let counts = format!("from {beginning} to the confirmed end");
    measures.push(measure(MeasureName::Total, counts, since, course.well()));
    measures
}

/// Of an incident without a run: how soon it is to be over. The other objectives are about rollbacks.
pub(crate) fn goals(course: &Course, measures: &[Measure], losses: &[DataLoss]) -> Vec<Goal> {
    let recovered = |incident: &Incident| incident.outcome == Some(IncidentOutcome::Recovered);
    let by_itself = !course.has_run && course.incident.as_ref().is_some_and(recovered);
    let measured = |name| measures.iter().find(|measure| measure.name == name).and_then(|measure| measure.seconds);
    let total = measured(MeasureName::Total);
    let passed = seconds(course.since(), course.ended().unwrap_or(course.as_of));
    let over = course.run.state.is_over();
    let unconfirmed = course.succeeded() && course.well().is_none();
    let time = |name, about: &str, limit: Option<Duration>, measured_s: Option<f64>, so_far: f64| {
        let limit_s = limit?.as_secs_f64();
        let verdict = match measured_s {
            _ if course.clock_set => Verdict::Unknown,
            Some(measured_s) if measured_s <= limit_s && !course.firing.is_empty() => Verdict::Unknown,
            // It was closed, and nobody has observed that all is well.
            Some(measured_s) if measured_s <= limit_s && !course.has_run && !by_itself => Verdict::Unknown,
            Some(measured_s) if measured_s <= limit_s => Verdict::Met,
            None if !over && so_far <= limit_s => Verdict::Open,
            // The steps are over in time, and it was not observed that all is well.
            None if unconfirmed && so_far <= limit_s => Verdict::Unknown,
            _ => Verdict::Missed,
        };
        Some(Goal { name, about: shown(about), limit_s, measured_s, verdict })
    };
    let objectives = &course.plan().objectives;
    let confirming =
        course.run.steps.values().filter_map(|step| step.ended).max().filter(|_| course.run.ended.is_none());
    let confirming = confirming.map_or(0.0, |from| seconds(from, course.as_of));
    let (name, about, goal) = match (objectives.recovery, severity(course)) {
        (Some(limit), _) => (GoalName::Recovery, "objective recovery".to_owned(), Some(limit)),
        (None, severity) => {
            let of = severity.map(|severity| crate::words::name(&severity)).unwrap_or_default();
            (GoalName::Severity, format!("goal of the severity {of}"), severity.map(goal_of))
        }
    };
    let end = if course.has_run { "the confirmed end" } else { "the end of the incident" };
    let about = format!("{about}: from the breach to {end}");
    if !course.has_run {
        return time(name, &about, goal, total, passed).into_iter().collect();
    }
    let rpo = objectives.rpo.map(|limit| {
        let limit_s = limit.as_secs_f64();
        let most = losses.iter().try_fold(0.0_f64, |most, loss| Some(most.max(loss.seconds?)));
        let verdict = match most {
            None => Verdict::Unknown,
            Some(most) if most > limit_s => Verdict::Missed,
            Some(_) if over => Verdict::Met,
            Some(_) => Verdict::Open,
        };
        let about = shown("objective rpo: the time whose written data is lost");
        Goal { name: GoalName::Rpo, about, limit_s, measured_s: most, verdict }
    });
    let rto = "objective rto: from the breach to the confirmed end";
    let confidence = "objective confidence: the confirmation";
    [
        time(GoalName::Rto, rto, objectives.rto, total, passed),
        rpo,
        time(GoalName::Confidence, confidence, objectives.confidence, measured(MeasureName::Confidence), confirming),
        time(name, &about, goal, total, passed),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The worst severity of the triggers of the incident.
pub(crate) fn severity(course: &Course) -> Option<Severity> {
    let triggers = course.incident.as_ref()?.triggers.iter();
    let severities = triggers.filter_map(|name| Some(course.plan().triggers.get(name)?.severity));
    severities.min_by_key(|severity| goal_of(*severity))
}

/// What steps have lost that took effect, or may have.
pub(crate) fn losses(course: &Course) -> Vec<DataLoss> {
    let losses = measure::losses(course.records, &course.run).into_iter().map(|Loss { step, from, to }| {
        let seconds = from.zip(to).filter(|_| !course.clock_set).map(|(from, to)| seconds(from, to));
        DataLoss { step: shown(step), from, to, seconds }
    });
    losses.collect()
}

/// To the millisecond.
pub(crate) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to.duration_since(from).as_secs_f64() * 1000.0).round().max(0.0) / 1000.0
}
