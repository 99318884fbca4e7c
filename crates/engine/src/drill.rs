//! A drill: what it measures, and what it waits for beforehand.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use belay_core::{
    change::{Assessment, Baseline, Doc},
    event::{DrillVerdict, Event, RunKind},
    left_by_undo,
    measure::{Measured as Times, measure},
    migration::Migration,
    run::{Phase, Run, RunState, StepState, baseline_entry},
};
use belay_plan::model::{Name, Overlaid, Plan, Target};
use belay_ports::{Journal, Ports, ReadError, each_record};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    capture::{Looking, observe_all},
    expected::{ExpectedFrom, Measured, expected},
    history::OpenError,
};

/// What a drill has measured. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrillReport {
    #[schema(value_type = String)]
    pub migration: Name,
    pub plan_sha256: String,
    /// What was laid over the plan file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlaid: Option<Overlaid>,
    pub run: String,
    /// Who asked, and why.
    pub actor: String,
    pub reason: String,
    /// The trigger that was fired; none where the rollback was asked for.
    #[schema(value_type = Option<String>)]
    pub trigger: Option<Name>,
    /// The breach.
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub verdict: DrillVerdict,
    /// From the breach to the incident.
    pub detection_s: Option<f64>,
    /// From the incident to the decision that started the run.
    pub decision_s: Option<f64>,
    /// From the breach to the end of the last step.
    pub recovery_s: Option<f64>,
    /// From the end of the last step to the end of the confirmation.
    pub confidence_s: Option<f64>,
    /// From the breach to the end of the confirmation.
    pub total_s: Option<f64>,
    /// Those that the plan has.
    pub objectives: Vec<Objective>,
    #[schema(value_type = IndexMap<String, DrillStep>)]
    pub steps: IndexMap<Name, DrillStep>,
    /// What cannot be put back as it was before the drill, each with the reason.
    pub stays: Vec<String>,
}

/// An objective of the plan, and what the drill has come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Objective {
    /// `rto`: from the breach to the confirmed rollback. `rpo`: data written and lost. `confidence`: the confirmation.
    pub name: String,
    pub limit_s: f64,
    /// None where it did not come to that, or nobody can tell.
    pub measured_s: Option<f64>,
    pub within: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrillStep {
    pub phase: String,
    /// From its start to its end.
    pub took_s: Option<f64>,
    /// The time in each phase.
    pub phases: BTreeMap<String, f64>,
    /// What was expected before: see [`ExpectedFrom`].
    pub expected_s: f64,
    pub expected_from: ExpectedFrom,
    pub measured_runs: usize,
}

/// Measures the last drill of a migration. `measured`: what was on record before it. None when there is none, or its run has not
/// come to an end.
///
/// # Errors
/// [`OpenError`] when the journal cannot be read or understood.
pub async fn drill_report(
    journal: &dyn Journal,
    migration: &str,
    measured: &Measured,
) -> Result<Option<DrillReport>, OpenError> {
    let mut state = Migration::new(migration);
    let mut drill: Option<Course> = None;
    // Those of the last drill: what it is measured by begins with it.
    let mut records = Vec::new();
    each_record(journal, migration, 0, |record| {
        state.evolve(&record)?;
        match (&record.event, &mut drill) {
            (Event::DrillStarted { trigger, reason, plan_sha256, overlaid }, _) => {
                drill = Some(Course {
                    trigger: trigger.clone(),
                    reason: reason.clone(),
                    plan_sha256: plan_sha256.clone(),
                    overlaid: overlaid.clone(),
                    actor: record.actor.clone(),
                    started: record.at,
                    phases: BTreeMap::new(),
                });
                records.clear();
            }
            (Event::Step { step, .. }, Some(course)) => course.note(step, &state, record.at),
            _ => {}
        }
        if drill.is_some() {
            records.push(record);
        }
        Ok::<_, OpenError>(ControlFlow::Continue(()))
    })
    .await?;
    let run = state.run.iter().chain(state.past_runs.iter().rev().map(AsRef::as_ref));
    let run = run.into_iter().find(|run| run.kind == RunKind::Drill);
    let course = drill.zip(run).filter(|(course, run)| run.started >= course.started && run.ended.is_some());
    Ok(course.map(|(course, run)| course.report(&measure(&records, run), run, measured)))
}

/// What happened in a drill, and when.
struct Course {
    trigger: Option<Name>,
    reason: String,
    plan_sha256: String,
    overlaid: Option<Overlaid>,
    actor: String,
    started: Timestamp,
    /// The phase of each step and since when, with the time in those before.
    phases: BTreeMap<Name, (Phase, Timestamp, BTreeMap<String, f64>)>,
}

impl Course {
    fn note(&mut self, step: &str, state: &Migration, at: Timestamp) {
        let drilling = state.run.as_ref().filter(|run| run.kind == RunKind::Drill);
        let Some(now) = drilling.and_then(|run| run.steps.get(step)) else { return };
        let (phase, since, times) =
            self.phases.entry(step.to_owned()).or_insert_with(|| (now.phase, at, BTreeMap::new()));
        if *phase != now.phase {
            if *phase != Phase::Pending && !phase.is_over() {
                *times.entry(phase.as_str().to_owned()).or_default() += seconds(*since, at);
            }
            (*phase, *since) = (now.phase, at);
        }
    }

    fn report(self, times: &Times, run: &Run, measured: &Measured) -> DrillReport {
        let in_seconds = |time: Option<Duration>| time.map(to_the_millisecond);
        let (total_s, confidence_s) = (in_seconds(times.total()), in_seconds(times.confidence()));
        let objectives = objectives(run, total_s, confidence_s, in_seconds(times.data_lost()));
        let verdict = match run.state {
            RunState::RolledBack if objectives.iter().all(|objective| objective.within) => DrillVerdict::Within,
            RunState::RolledBack => DrillVerdict::Outside,
            RunState::Aborted => DrillVerdict::Aborted,
            _ => DrillVerdict::Halted,
        };
        let mut phases = self.phases;
        let steps = run.steps.iter().map(|(name, step)| {
            let phases = phases.remove(name).map(|(_, _, times)| times).unwrap_or_default();
            (name.clone(), drill_step(run, name, step, phases, measured))
        });
        DrillReport {
            migration: run.plan.migration.clone(),
            plan_sha256: self.plan_sha256,
            overlaid: self.overlaid,
            run: run.id.to_string(),
            actor: self.actor,
            reason: self.reason,
            trigger: self.trigger,
            started: self.started,
            ended: run.ended,
            verdict,
            detection_s: in_seconds(times.detection()),
            decision_s: in_seconds(times.decision()),
            recovery_s: in_seconds(times.recovery()),
            confidence_s,
            total_s,
            objectives,
            steps: steps.collect(),
            stays: left_by_undo(run),
        }
    }
}

fn drill_step(
    run: &Run,
    name: &str,
    step: &StepState,
    phases: BTreeMap<String, f64>,
    measured: &Measured,
) -> DrillStep {
    let expected = expected(name, &run.plan.steps[name], &step.planned, measured);
    DrillStep {
        phase: step.phase.as_str().to_owned(),
        took_s: step.started.zip(step.ended).map(|(started, ended)| seconds(started, ended)),
        phases,
        expected_s: expected.time.as_secs_f64(),
        expected_from: expected.from,
        measured_runs: expected.runs,
    }
}

fn objectives(run: &Run, total_s: Option<f64>, confidence_s: Option<f64>, lost_s: Option<f64>) -> Vec<Objective> {
    let plan = &run.plan.objectives;
    let objective = |name: &str, limit: Option<Duration>, measured_s: Option<f64>| {
        let limit_s = limit?.as_secs_f64();
        let within = measured_s.is_some_and(|measured_s| measured_s <= limit_s);
        Some(Objective { name: name.to_owned(), limit_s, measured_s, within })
    };
    let all = [
        objective("rto", plan.rto, total_s),
        objective("rpo", plan.rpo, lost_s),
        objective("confidence", plan.confidence, confidence_s),
    ];
    all.into_iter().flatten().collect()
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to_the_millisecond(Duration::try_from(to.duration_since(from)).unwrap_or_default())
}

fn to_the_millisecond(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// How the world stands to what a rollback returns to.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The steps that would have something to do. Those that name no state of the world (jobs, restores, manual steps) say
    /// nothing of whether the cutover was made.
    pub away: Vec<Name>,
    /// Whether any step says something of it.
    pub tells: bool,
    /// What was seen: two looks that see the same show that nobody is in the middle of it.
    pub seen: Vec<Doc>,
}

/// Looks whether the cutover was made. Reads only.
///
/// # Errors
/// The step that cannot be observed, and why.
pub async fn standing(ports: &Ports, plan: &Plan, baseline: Option<&Baseline>) -> Result<Standing, (Name, ReadError)> {
    let telling = plan.steps.iter().filter(|(_, step)| step.to != Target::Own);
    let looks = telling.filter_map(|(name, _)| {
        let entry = baseline_entry(baseline, plan, name).cloned();
        Looking::new(ports, plan, name.clone(), entry, None)
    });
    let mut standing = Standing { away: Vec::new(), tells: false, seen: Vec::new() };
    for (looking, observed) in observe_all(looks.collect()).await {
        let step = looking.scope.step.clone();
        let doc = observed.map_err(|error| (step.clone(), error))?;
        standing.tells = true;
        if !matches!(looking.actuator.assess(&looking.scope, &doc, &[]), Ok(Assessment::InPlace)) {
            standing.away.push(step);
        }
        standing.seen.push(doc);
    }
    Ok(standing)
}
