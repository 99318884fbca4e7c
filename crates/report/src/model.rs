//! What a report contains. All three renderings are made of this one value.

use belay_core::{
    event::{IncidentOutcome, RunKind},
    evidence::EvidenceSource,
    reading::Health,
    run::{Phase, RunState},
};
use belay_narrate::Tone;
use belay_plan::model::Severity;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shown;

/// The report of one run, or of an incident in which nothing was rolled back: all of it is on record in the journal of its migration.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RunReport {
    pub migration: Shown,
    /// None, as `kind` and `state`: nothing was rolled back, and the report is of the incident.
    pub run: Option<Shown>,
    pub kind: Option<RunKind>,
    pub state: Option<RunState>,
    /// False: the run can still be moved, or the incident is open, and this is what is known so far.
    pub over: bool,
    /// The time of the last record that the report knows.
    pub as_of: Timestamp,
    /// The time zone that the plan names; all times here are in UTC.
    pub timezone: Option<Shown>,
    pub plan_summary: Option<Shown>,
    pub plan_sha256: Shown,
    pub phase: Option<Shown>,
    pub cutover: Option<Timestamp>,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    /// Who asked: `belay`, or a person.
    pub actor: Shown,
    pub reason: Shown,
    /// Why it is held, halted or ended.
    pub why: Shown,
    pub summary: Vec<Shown>,
    pub incident: Option<ReportIncident>,
    pub measures: Vec<Measure>,
    pub goals: Vec<Goal>,
    pub data_loss: Vec<DataLoss>,
    pub signals: SignalStrip,
    pub decisions: Listing<ReportDecision>,
    pub steps: Vec<ReportStep>,
    pub confirm: Vec<ReportGate>,
    /// What was unknown or could not be read meanwhile.
    pub unknown: Listing<Unknown>,
    pub notices: Listing<ReportNotice>,
    pub checklist: Vec<CheckItem>,
    pub postmortem: Postmortem,
    pub timeline: Listing<TimelineEntry>,
}

/// A list of bounded length. `left_out` items are missing before the item with the index `gap`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Listing<T> {
    pub items: Vec<T>,
    pub left_out: usize,
    pub gap: usize,
}

impl<T> Listing<T> {
    /// The first and the last items, `most` in all.
    pub(crate) fn of(mut items: Vec<T>, most: usize) -> Self {
        let left_out = items.len().saturating_sub(most);
        let gap = if left_out > 0 { most / 2 } else { items.len() };
        items.drain(gap..gap + left_out);
        Self { items, left_out, gap }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportIncident {
    pub id: Shown,
    pub opened: Timestamp,
    pub closed: Option<Timestamp>,
    pub outcome: Option<IncidentOutcome>,
    /// The worst of its triggers.
    pub severity: Severity,
    pub customer_facing: bool,
    /// In the order in which they fired.
    pub triggers: Vec<Shown>,
    /// Since when the condition of the trigger that opened it held without a break: for one signal, its first unhealthy
    /// reading. In a drill: its start.
    pub breach: Timestamp,
    /// What the signals showed when the triggers fired.
    pub evidence: Vec<Shown>,
    /// What was changed and observed before it, from the sources that the plan asks.
    pub sources: Vec<ReportSource>,
}

/// What one source has answered about an incident.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportSource {
    pub source: EvidenceSource,
    /// The latest first; of X-Ray, the worst first.
    pub findings: Vec<ReportFinding>,
    /// What was left out or could not be read, and why.
    pub notes: Vec<Shown>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportFinding {
    pub at: Timestamp,
    pub what: Shown,
    pub resource: Shown,
    pub who: Option<Shown>,
}

/// A time that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Measure {
    pub name: MeasureName,
    /// From what to what it counts.
    pub counts: Shown,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// None: it did not come to that, or the wall clock was set meanwhile.
    pub seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MeasureName {
    Detect,
    Decide,
    Recover,
    Confidence,
    Total,
}

/// An objective of the plan, or the goal of the severity, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Goal {
    pub name: GoalName,
    pub about: Shown,
    pub limit_s: f64,
    pub measured_s: Option<f64>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoalName {
    Rto,
    Rpo,
    Confidence,
    /// The objective `recovery`, in the place of the severity's goal.
    Recovery,
    Severity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GoalVerdict)]
pub enum Verdict {
    Met,
    Missed,
    /// The run is not over, and the limit is not reached.
    Open,
    /// It cannot be told from the record.
    Unknown,
}

/// Data that a step has lost: what was written between two moments.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DataLoss {
    pub step: Shown,
    /// None: the record does not show it.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub seconds: Option<f64>,
}

/// The signals of the triggers and gates around the incident.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SignalStrip {
    pub from: Timestamp,
    pub to: Timestamp,
    pub rows: Vec<SignalRow>,
    /// Signals that are not shown.
    pub left_out: usize,
    pub marks: Listing<StripMark>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SignalRow {
    pub signal: Shown,
    /// What the signal is for: `trigger`, `gate`, or both.
    pub used_by: Shown,
    pub bands: Listing<SignalBand>,
    /// What was read of it, if it shows a number and readings around the run are on record.
    pub readings: Option<SignalReadings>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SignalReadings {
    /// `< 0.5`: what a healthy value is.
    pub healthy: Shown,
    /// What the signal asks for beside the number: `status 200`.
    pub besides: Option<Shown>,
    /// Where none are on record, since Belay was stopped or killed before it had kept them.
    pub gaps: Vec<ReadingGap>,
    /// The number in it.
    pub threshold: f64,
    /// Of the threshold and of what was read, where it is known: `ms`.
    pub unit: Option<Shown>,
    pub least: f64,
    pub greatest: f64,
    /// In the order of time. Of many, the least and the greatest of each stretch.
    pub points: Vec<ReadingPoint>,
    /// Points that are on record and not here.
    pub left_out: usize,
}

/// Between two readings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ReadingGap {
    pub from: Timestamp,
    pub to: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ReadingPoint {
    pub at: Timestamp,
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SignalBand {
    pub from: Timestamp,
    pub to: Timestamp,
    pub health: Health,
    pub evidence: Shown,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StripMark {
    pub at: Timestamp,
    pub text: Shown,
}

/// What the plan's rules or people decided, and what people said.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportDecision {
    pub at: Timestamp,
    /// `belay`, or a person.
    pub who: Shown,
    pub what: Shown,
    pub why: Shown,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportStep {
    pub name: Shown,
    pub action: Shown,
    pub resource: Shown,
    pub phase: Phase,
    /// Why it is in this phase.
    pub why: Shown,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub took_s: Option<f64>,
    /// How often it was begun: anew with each retry of a person.
    pub tries: u32,
    pub fallback_for: Option<Shown>,
    pub changes: Vec<ReportChange>,
    pub sends: Listing<ReportSend>,
    pub failures: Listing<StepFailure>,
    pub approvals: Listing<ReportApproval>,
    pub overrides: Vec<Shown>,
    pub require: Vec<ReportGate>,
    pub verify: Vec<ReportGate>,
    /// What its job has left to read.
    pub job: Shown,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportChange {
    pub title: Shown,
    pub before: Shown,
    pub after: Shown,
    /// It was sent at least once.
    pub sent: bool,
}

/// One mutating call.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportSend {
    pub at: Timestamp,
    pub attempt: u32,
    pub title: Shown,
    pub call: Shown,
    pub outcome: SendOutcome,
    pub answered: Option<Timestamp>,
    pub why: Shown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendOutcome {
    /// There is no answer on record.
    Unanswered,
    Accepted,
    NoEffect,
    /// The answer was lost.
    Unknown,
    /// An observation has shown its effect.
    Effective,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StepFailure {
    pub at: Timestamp,
    pub code: Shown,
    pub why: Shown,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportApproval {
    pub at: Timestamp,
    /// `awaited`, `given`, `approved`.
    pub what: Shown,
    /// What was asked, or who said yes.
    pub text: Shown,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportGate {
    pub signal: Shown,
    pub within_s: u64,
    pub for_s: u64,
    pub state: GateState,
    pub evidence: Shown,
    /// So often it was not healthy while it was waited for.
    pub broken: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReportGateState)]
pub enum GateState {
    Waiting,
    Holding,
    Broken,
    Passed,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Unknown {
    pub what: Shown,
    pub from: Timestamp,
    /// None: up to the end of what is known.
    pub to: Option<Timestamp>,
    pub why: Shown,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReportNotice {
    pub channel: Shown,
    /// The kind of notice: `incident`, `finished` ...
    pub about: Shown,
    /// Of updates on an incident: counted from 0.
    pub update: u32,
    pub due: Timestamp,
    pub state: NoticeState,
    /// When it was sent or given up.
    pub at: Option<Timestamp>,
    /// It was not sent within the time that the plan gives.
    pub late: bool,
    /// Sends that failed.
    pub failed: u32,
    /// The receiver's answer, or why the last send failed.
    pub text: Shown,
    /// The recipients whom the receiver refused, though it took the notice for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Shown>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    Waiting,
    Sent,
    GivenUp,
    /// Nobody needs it any more: what it asked for is over, or a newer one was due.
    Dropped,
}

/// One line of the checklist.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckItem {
    /// By which it is ticked: `belay checklist --tick ID`.
    pub id: Shown,
    pub what: Shown,
    /// Belay knows that it is done, or somebody has ticked it. False: a person has to look.
    pub done: bool,
    /// What Belay knows of it, who has ticked it and why, or what to look at.
    pub note: Shown,
    /// None where Belay knows it, or where nobody has ticked it.
    pub ticked: Option<Ticked>,
}

/// Somebody's word on an item of the checklist.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Ticked {
    pub by: Shown,
    pub at: Timestamp,
    pub reason: Shown,
}

/// A skeleton to fill in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Postmortem {
    pub held: Option<PostmortemHeld>,
    /// What the record shows of the impact.
    pub impact: Vec<Shown>,
    /// What the record shows of what went well, and what did not.
    pub went_well: Vec<Shown>,
    pub went_badly: Vec<Shown>,
    /// `prevent`, `detect`, `mitigate`: each with what people fill in.
    pub actions: Vec<ActionItem>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PostmortemHeld {
    pub at: Timestamp,
    pub by: Shown,
    pub link: Shown,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActionItem {
    pub aim: ActionAim,
    pub action: Option<Shown>,
    pub owner: Option<Shown>,
    pub deadline: Option<Timestamp>,
    pub success_criterion: Option<Shown>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionAim {
    Prevent,
    Detect,
    Mitigate,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TimelineEntry {
    pub at: Timestamp,
    /// The step, signal or trigger; empty for the migration itself.
    pub subject: Shown,
    pub text: Shown,
    pub tone: Tone,
}
