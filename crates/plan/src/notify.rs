//! Who is told what, and how soon.

use std::{fmt, time::Duration};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    duration::text as duration_text,
    model::{AwsTarget, Name},
};

/// The key of `notify` that is no channel.
pub const TEXTS: &str = "texts";

/// The section `notify` of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Notify {
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub channels: IndexMap<Name, Channel>,
    /// Texts of the plan's own, by what is told and by the kind of channel: minijinja templates, whole.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub texts: IndexMap<NoticeKind, IndexMap<String, String>>,
    /// As the IANA database names it: `Europe/Berlin`. Times are told in UTC, and in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

impl Notify {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One way to reach people. `kind` is the key in the plan (`slack`); `spec` is the entry in normal form with the channel's own
/// keys: `{"slack": "env:SLACK_WEBHOOK"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    pub kind: String,
    pub spec: Value,
    /// Of the plan: for channels that are AWS services.
    #[serde(default)]
    pub aws: AwsTarget,
    pub events: Vec<NoticeKind>,
    /// Only for incidents that customers feel.
    #[serde(default)]
    pub customer_facing: bool,
    /// A notice is late when it is not sent so long after what it tells of.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// An incident is told of when it is this old, and not at all when it has ended by then.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// While it lasts, it is told of again this often.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
}

impl Channel {
    /// Both lead to the same receiver by what the plan says.
    pub fn leads_where(&self, other: &Self) -> bool {
        (&self.kind, &self.spec, &self.aws) == (&other.kind, &other.spec, &other.aws)
    }
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    Armed,
    Readiness,
    Incident,
    Decision,
    Approval,
    Phase,
    PointOfNoReturn,
    Muted,
    Blind,
    StepFailed,
    Halted,
    Finished,
    Recovered,
    PostmortemDue,
}

impl NoticeKind {
    pub const ALL: [Self; 14] = [
        Self::Armed,
        Self::Readiness,
        Self::Incident,
        Self::Decision,
        Self::Approval,
        Self::Phase,
        Self::PointOfNoReturn,
        Self::Muted,
        Self::Blind,
        Self::StepFailed,
        Self::Halted,
        Self::Finished,
        Self::Recovered,
        Self::PostmortemDue,
    ];

    /// It can be of an incident: then `when` lets it through or holds it back.
    pub fn is_of_incident(self) -> bool {
        match self {
            Self::Incident
            | Self::Decision
            | Self::Approval
            | Self::StepFailed
            | Self::Halted
            | Self::Finished
            | Self::Recovered
            | Self::PostmortemDue => true,
            Self::Armed | Self::Readiness | Self::Phase | Self::PointOfNoReturn | Self::Muted | Self::Blind => false,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Readiness => "readiness",
            Self::Incident => "incident",
            Self::Decision => "decision",
            Self::Approval => "approval",
            Self::Phase => "phase",
            Self::PointOfNoReturn => "point_of_no_return",
            Self::Muted => "muted",
            Self::Blind => "blind",
            Self::StepFailed => "step_failed",
            Self::Halted => "halted",
            Self::Finished => "finished",
            Self::Recovered => "recovered",
            Self::PostmortemDue => "postmortem_due",
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
