//! What a notice tells, as it was when it became due: it is journaled with it, so a notice that is sent again after a crash says
//! the same.

use belay_plan::{
    model::{Answer, Name, Severity},
    notify::NoticeKind,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    event::{IncidentOutcome, RunKind},
    id::{IncidentId, RunId},
    readiness::CheckVerdict,
    run::RunState,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub kind: NoticeKind,
    /// 0 when this is told of for the first time; then counted: the channel's `every` has passed.
    pub update: u32,
    pub migration: Name,
    /// The plan's own sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// It is a rehearsal in which nothing is really wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
    /// The event's cause is over: a mute, a source that can be read again, a check that fails no more. With a `why`: the cause
    /// does not matter any more, and that all is well was not observed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// When that happened which is told.
    pub at: Timestamp,
    /// Why it happened, or what is wrong; empty where there is no more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The person who asked for it; none: Belay itself did it, as the plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Of an incident that was told before: the triggers that have joined it just now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Name>,
    /// Of `approval`: so many more steps wait, each of which would have been a notice of its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// Of `blind`: the source that cannot be read, or the trigger that cannot be decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentFacts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunFacts>,
    /// Of `approval` and `step_failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepFacts>,
    /// The phase that the migration is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Name>,
    /// Of `muted`: the end of the mute; none when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    /// Of `point_of_no_return`; past when it is not after `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_of_no_return: Option<Timestamp>,
    /// Of `readiness`: what the checks come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<CheckVerdict>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentFacts {
    pub id: IncidentId,
    pub opened: Timestamp,
    /// When the first trigger fired that customers feel: that may have joined later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub felt_since: Option<Timestamp>,
    /// The worst of its triggers'.
    pub severity: Severity,
    pub customer_facing: bool,
    /// In the order in which they fired.
    pub triggers: Vec<Name>,
    /// Those of them whose condition holds by the last readings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firing: Vec<Name>,
    /// By the last readings the condition of none of them holds; false also where that is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub healthy: bool,
    /// What the unhealthy signals of the triggers show: text from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The first things that were changed before it, as far as they were known: text from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// The first things that X-Ray and DevOps Guru have observed before it: text from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Name>,
    /// Of the rule that matched, or of the people who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// How the answer came about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// People decide until then; none: nobody is asked, or without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timebox_ends: Option<Timestamp>,
    /// What follows at the end of the timebox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Answer>,
    /// The roles that may decide; empty when nobody is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authority: Vec<Name>,
    /// Of `authority` one person each is asked, not any one of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<IncidentOutcome>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    pub id: RunId,
    pub kind: RunKind,
    pub state: RunState,
    pub started: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    pub reason: String,
    /// `belay`, or the person who asked for it.
    pub by: String,
    pub steps: usize,
    /// So many of them are over.
    pub over: usize,
    /// So many of them put their resource back, or found it in place: neither skipped nor failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<usize>,
    /// The plan has a confirmation, and all of it held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirmed: bool,
    /// What is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub now: Vec<Name>,
    /// What has failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Name>,
    /// The first steps that have asked for people or have failed so far: each may have an alert of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerted: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepFacts {
    pub name: Name,
    pub action: String,
    /// What was asked of people, or why it failed: may hold text from outside.
    pub why: String,
    /// Of `approval`: who is asked, and how many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u32>,
    /// Of `approval`: until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Of `step_failed`: it has not failed. Its time-out has passed, and it goes on, since an outage that it has begun is running.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
}

/// A problem beside incidents. A channel that gets a notice of it gets one of its end, too: some channels open an alert for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Trouble {
    Readiness,
    PointOfNoReturn,
    /// The source that cannot be read, or the trigger that cannot be decided.
    Blind(String),
}

impl Trouble {
    pub(super) fn kind(&self) -> NoticeKind {
        match self {
            Self::Readiness => NoticeKind::Readiness,
            Self::PointOfNoReturn => NoticeKind::PointOfNoReturn,
            Self::Blind(_) => NoticeKind::Blind,
        }
    }
}

impl Facts {
    /// The problem that the notice is about, also when it is over.
    pub fn trouble(&self) -> Option<Trouble> {
        match self.kind {
            NoticeKind::Readiness => Some(Trouble::Readiness),
            NoticeKind::PointOfNoReturn => Some(Trouble::PointOfNoReturn),
            NoticeKind::Blind => Some(Trouble::Blind(self.source.clone().unwrap_or_default())),
            _ => None,
        }
    }

    /// Nothing is left to be done about it. A point of no return that has passed cannot be missed any more.
    pub fn is_over(&self) -> bool {
        self.over || self.point_of_no_return.is_some_and(|point| point <= self.at)
    }

    /// Belay has observed that the system is well: the plan's confirmation held, or no trigger of the incident fires any more.
    /// A confirmation says nothing of a trigger that still fires at the last reading.
    pub fn is_well(&self) -> bool {
        let incident = self.incident.as_ref();
        let firing = incident.is_some_and(|incident| !incident.firing.is_empty());
        let recovered = incident.is_some_and(|incident| {
            incident.outcome == Some(IncidentOutcome::Recovered)
                || (incident.outcome == Some(IncidentOutcome::RolledBack) && incident.healthy)
        });
        let confirmed = self.run.as_ref().is_some_and(|run| run.state == RunState::RolledBack && run.confirmed);
        recovered || confirmed && !firing
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}
