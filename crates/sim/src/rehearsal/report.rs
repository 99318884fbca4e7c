//! What came of a rehearsal: its end, its times, and how they compare with the plan's objectives.

use std::time::Duration;

use belay_core::{
    event::{Event, Record, StepEvent},
    measure::{Loss, Measured, measure},
    migration::Migration,
    run::Run,
};
use belay_plan::model::{Name, Plan};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::steps;

/// How a rehearsal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    RolledBack,
    /// A step or the confirmation failed; a person must act.
    Halted,
    /// A person who does not answer is waited for.
    WaitsForPerson,
    Aborted,
    /// The trigger healed before a run began.
    Recovered,
    /// People fix what is wrong, or the plan leaves it to them: nothing is rolled back.
    FixForward,
    /// No trigger fired, and nobody noticed.
    Unnoticed,
    NotOver,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled_back",
            Self::Halted => "halted",
            Self::WaitsForPerson => "waits_for_person",
            Self::Aborted => "aborted",
            Self::Recovered => "recovered",
            Self::FixForward => "fix_forward",
            Self::Unnoticed => "unnoticed",
            Self::NotOver => "not_over",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub outcome: Outcome,
    pub why: String,
}

impl Ended {
    pub(crate) fn new(outcome: Outcome, why: &str) -> Self {
        Self { outcome, why: why.to_owned() }
    }
}

/// In seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub seed: u64,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    pub times: Times,
    pub verdict: Verdict,
    pub steps: IndexMap<Name, StepReport>,
    /// Events and people of the scenario that nothing met: it played as if they were not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
}

/// From what to what, as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Times {
    /// When it went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breach: Option<Timestamp>,
    /// From the breach until an incident opened, or a person noticed.
    #[serde(rename = "detection_s", serialize_with = "seconds")]
    pub detection: Option<Duration>,
    /// From there to the decision that started the rollback.
    #[serde(rename = "decision_s", serialize_with = "seconds")]
    pub decision: Option<Duration>,
    /// From the breach to the end of the last step.
    #[serde(rename = "recovery_s", serialize_with = "seconds")]
    pub recovery: Option<Duration>,
    /// From there to the confirmation: what `confidence` is about.
    #[serde(rename = "confidence_s", serialize_with = "seconds")]
    pub confidence: Option<Duration>,
    /// From the breach to the confirmed rollback: what the plan's `rto` is about, in a drill for real as well.
    #[serde(rename = "total_s", serialize_with = "seconds")]
    pub total: Option<Duration>,
    /// What was written in this time before a step that loses data is lost: what `rpo` is about.
    #[serde(rename = "data_lost_s", serialize_with = "seconds")]
    pub data_lost: Option<Duration>,
}

/// Against the plan's objectives; none where there is no objective, or nothing to compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub within_objectives: bool,
    pub within_rto: Option<bool>,
    pub within_rpo: Option<bool>,
    pub within_confidence: Option<bool>,
    /// More was lost than `rpo` allows, and the people whom the plan names (`approve`) agreed to each such loss before it: that
    /// is what the plan wants then, so it counts as within the objectives.
    pub loss_approved: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    pub phase: &'static str,
    /// It failed, and its fallback was put in its place.
    pub fell_back: bool,
    /// It lies on the way that took longest: nothing that it waited for ended later.
    pub critical: bool,
    /// From the breach to its start, and to its end.
    #[serde(rename = "began_s", serialize_with = "seconds")]
    pub began: Option<Duration>,
    #[serde(rename = "ended_s", serialize_with = "seconds")]
    pub ended: Option<Duration>,
    /// From its start to its end.
    #[serde(rename = "took_s", serialize_with = "seconds")]
    pub took: Option<Duration>,
    /// Of that, before its first call: for the look, for people and for interlocks.
    #[serde(rename = "waited_s", serialize_with = "seconds")]
    pub waited: Option<Duration>,
    /// Whose answer it waited for, and how long; and how long for its interlocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    #[serde(rename = "people_s", serialize_with = "seconds")]
    pub people: Option<Duration>,
    #[serde(rename = "interlocks_s", serialize_with = "seconds")]
    pub interlocks: Option<Duration>,
    /// Of that, from its first call until it has settled.
    #[serde(rename = "changed_s", serialize_with = "seconds")]
    pub changed: Option<Duration>,
    /// Of that, for its gates.
    #[serde(rename = "verified_s", serialize_with = "seconds")]
    pub verified: Option<Duration>,
    /// Calls that were sent for it.
    pub sends: u32,
}

#[allow(clippy::ref_option)] // serde hands on a reference to the field
fn seconds<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.serialize_f64((time.as_secs_f64() * 1000.0).round() / 1000.0),
        None => to.serialize_none(),
    }
}

pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

impl Report {
    pub(crate) fn new(
        plan: &Plan,
        seed: u64,
        ended: Ended,
        breach: Option<Timestamp>,
        records: &[Record],
        state: &Migration,
    ) -> Self {
        let Ended { outcome, why } = ended;
        let measured = state.run.as_ref().map(|run| measured(records, run)).unwrap_or_default();
        let times = Times::of(outcome, breach, records, &measured);
        let verdict = Verdict::of(plan, outcome, &times, records, &measured.losses);
        let steps = state.run.as_ref().map(|run| steps::of_run(run, breach, records)).unwrap_or_default();
        Self { seed, outcome, why, times, verdict, steps, unmet: Vec::new() }
    }
}

impl Times {
    /// As they are measured everywhere, but from the breach of the scenario, which no journal shows. Without an incident it is noticed by
    /// the person who asks for the rollback.
    fn of(outcome: Outcome, breach: Option<Timestamp>, records: &[Record], measured: &Measured) -> Self {
        let opened = records.iter().find(|record| matches!(record.event, Event::IncidentOpened { .. }));
        let begun =
            records.iter().find(|record| matches!(record.event, Event::RunStarted { .. })).map(|record| record.at);
        let opened = opened.map(|record| record.at).or(begun);
        let measured = Measured { breach, opened, decided: measured.decided.or(begun), ..measured.clone() };
        let rolled_back = outcome == Outcome::RolledBack;
        Self {
            breach,
            detection: measured.detection(),
            decision: measured.decision(),
            recovery: measured.recovery().filter(|_| rolled_back),
            confidence: measured.confidence().filter(|_| rolled_back),
            total: measured.total().filter(|_| rolled_back),
            data_lost: measured.data_lost().filter(|_| !measured.losses.is_empty()),
        }
    }
}

/// Where nobody can tell since when a step loses data, it is since the cutover.
fn measured(records: &[Record], run: &Run) -> Measured {
    let mut measured = measure(records, run);
    measured.losses.iter_mut().for_each(|loss| loss.from = loss.from.or(run.cutover));
    measured
}

impl Verdict {
    fn of(plan: &Plan, outcome: Outcome, times: &Times, records: &[Record], losses: &[Loss]) -> Self {
        let objectives = &plan.objectives;
        let within = |time: Option<Duration>, most: Option<Duration>| Some(time? <= most?);
        let nothing_lost = objectives.rpo.map(|_| true).filter(|_| times.data_lost.is_none());
        let within_rto = within(times.total, objectives.rto);
        let within_rpo = within(times.data_lost, objectives.rpo).or(nothing_lost);
        let within_confidence = within(times.confidence, objectives.confidence);
        let loss_approved =
            within_rpo == Some(false) && objectives.rpo.is_some_and(|rpo| is_approved(plan, records, losses, rpo));
        let kept = [within_rto, within_rpo.map(|within| within || loss_approved), within_confidence]
            .iter()
            .all(|within| *within != Some(false));
        let within_objectives = outcome == Outcome::RolledBack && kept;
        Self { within_objectives, within_rto, within_rpo, within_confidence, loss_approved }
    }
}

/// Whether the people whom the plan names have agreed to each loss that is more than `rpo`.
fn is_approved(plan: &Plan, records: &[Record], losses: &[Loss], rpo: Duration) -> bool {
    let approved = |name: &Name| {
        let is_it = |event: &Event| matches!(event, Event::Step { step, what: StepEvent::Approved } if step == name);
        let asked = plan.steps.get(name).is_some_and(|step| step.approve.is_some());
        asked && records.iter().any(|record| is_it(&record.event))
    };
    losses.iter().filter(|loss| loss.time().is_some_and(|time| time > rpo)).all(|loss| approved(&loss.step))
}
