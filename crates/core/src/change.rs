//! What core knows of the outside world: opaque documents, and changes that a person can read.

use std::time::Duration;

use belay_plan::duration::text as duration_text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::id::RunId;

/// The present state of one step's resource, as its actuator wrote it down. Core never looks inside.
pub type Doc = Value;

/// What an apply handed back (a change id, an ARN). Given to later looks of the same step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The [`Change::id`] that it answers.
    pub change: String,
    /// When the answer was journaled.
    pub at: Timestamp,
    pub body: Value,
}

/// What has become of the sends of one change, as far as that matters for what is found later: a look that finds a resource
/// under neither its old nor its new name has to know that a rename may be under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// The [`Change::id`].
    pub change: String,
    /// When the answer was journaled, or that there is none.
    pub at: Timestamp,
    pub outcome: SentOutcome,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SentOutcome {
    Accepted,
    /// The answer was lost: it may have taken effect.
    Unknown,
    /// It was refused for good, and the step may have another way. `body`: what the actuator has made of the refusal.
    Declined {
        why: String,
        body: Value,
    },
}

/// How far a resource is from its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assessment {
    /// The target state holds, and nothing is under way.
    InPlace,
    /// The target state holds, but read back it differs in what was to come with it (settings of a restored database).
    /// Shows as a gate of the step that did not hold: a person decides, and nothing is undone.
    Differs { why: String },
    /// A change that was accepted is taking its time.
    Settling(Progress),
    /// These changes are still to be sent; the first goes next.
    Remaining(Vec<Change>),
    /// A verdict: the target cannot be reached (a snapshot that is gone). Not an error of reading.
    Failed { why: String },
    /// What was found cannot be told apart from somebody else's work; a person decides.
    Ambiguous { why: String },
    /// The job that was to succeed is over; or the target holds, with something to be read in the record.
    Over(Outcome),
}

/// How a job has ended, for the record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Why it has failed. None: it has succeeded, and that is the target.
    pub failure: Option<String>,
    pub report: Report,
}

/// What a job leaves to read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// What it has answered or written, bounded by whoever started it.
    pub output: String,
    /// Where there is more: a console's address, a log group.
    pub logs: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// From 0.0 to 1.0, where the system tells.
    pub fraction: Option<f64>,
    /// For a person: "creating (3 min of about 12)".
    pub note: String,
    /// What is expected to be left of it, where the system or experience tells.
    pub expected_left_s: Option<u64>,
}

/// One mutating call, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Names the change within its step, the same at every look: `weights`, `restore`, `rename_failed`.
    pub id: String,
    /// One line for a person: "www.example.com A: blue 0 -> 100, green 100 -> 0".
    pub title: String,
    /// The before-image, small and readable: what `after` replaces.
    pub before: Value,
    pub after: Value,
    /// What of the state before is not deleted but kept beside the new one, by its name: a database that was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<String>,
    /// The AWS call: `route53:ChangeResourceRecordSets`.
    pub call: String,
    /// Everything that `apply` needs to send it.
    pub args: Value,
    pub effects: Vec<Effect>,
    pub repeats: Repeats,
    /// How long it usually takes from sending to settled.
    #[serde(with = "duration_text")]
    pub expected: Duration,
}

/// What a change does to the world beyond its own resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Traffic moves. Every destination is listed, also the ones that keep their share.
    Traffic { shares: Vec<Share> },
    /// What was written since is lost to the application (the data itself is kept under another name).
    LosesData { since: Option<Timestamp> },
    /// The resource does not answer for about this long.
    Outage {
        #[serde(with = "duration_text")]
        #[schema(value_type = String)]
        expected: Duration,
    },
    /// What clients have kept of the state before lives on for this long once the change holds, and the step waits for it.
    Drains {
        #[serde(with = "duration_text")]
        #[schema(value_type = String)]
        time: Duration,
    },
    /// A job starts elsewhere.
    StartsJob { name: String },
    /// Changes that were queued on the resource, for its maintenance window, take effect with this one.
    Applies { queued: Vec<String> },
    /// Somebody has changed the resource since the cutover, and that would be overwritten.
    Overwrites { found: Vec<String> },
}

/// One destination's part of the traffic, in the weights of its own system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    pub destination: String,
    pub before: u32,
    pub after: u32,
    pub proof: Proof,
}

/// Whether the actuator itself saw that a destination can take traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    Healthy {
        evidence: String,
    },
    Unhealthy {
        evidence: String,
    },
    /// It cannot tell (a target group in state `unused`, a record without a health check).
    None {
        why: String,
    },
}

/// What sending the same change twice does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// Twice is the same as once: absolute weights, a restore to a name derived from the run.
    Converges,
    /// The call carries an idempotency token derived from the key.
    Token,
    /// Twice harms, and the outcome cannot be looked up.
    Never,
}

/// Names one send. Resource names and idempotency tokens derive from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub run: RunId,
    pub step: String,
    /// Counts the sends of this step from 1.
    pub attempt: u32,
}

/// The known-good state of one step's resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BaselineEntry {
    pub action: String,
    /// The plan's resource key; a baseline of another resource is never used.
    pub resource: String,
    #[schema(value_type = Value)]
    pub doc: Doc,
}

/// What the actuators observed before the cutover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Baseline {
    pub migration: String,
    pub captured: Timestamp,
    pub plan_sha256: String,
    /// By step. Every step whose action can be observed is in it, also those with a target of their own: a restore
    /// takes its settings from here.
    #[schema(value_type = IndexMap<String, BaselineEntry>)]
    pub steps: indexmap::IndexMap<String, BaselineEntry>,
}
