//! What a dry run finds, as a document: for the command line, for HTTP and for the journal.

use std::fmt;

use belay_core::{
    change::{Change, Effect, Repeats},
    reading::Health,
};
use belay_plan::model::{Gate, Name};
use belay_ports::Check;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{expected::ExpectedFrom, loss::LossView};

/// What a dry run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    #[schema(value_type = String)]
    pub migration: Name,
    pub plan_sha256: String,
    pub at: Timestamp,
    pub verdict: Verdict,
    /// What would stop the rollback if it began now. Empty when nothing would.
    pub stopped_by: Vec<Stop>,
    /// What a person should know, and what would not stop it.
    pub warnings: Vec<String>,
    /// What the plan does beyond AWS, by name: which secret it sends where, which hosts it asks, which programs it runs.
    #[serde(default)]
    pub reaches: Vec<String>,
    /// Where calls to AWS go, if not straight to AWS.
    #[serde(default)]
    pub detours: Vec<String>,
    /// The phase that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub phase: Option<Name>,
    /// Steps of other phases, each with the reason.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schema(value_type = IndexMap<String, String>)]
    pub skipped: IndexMap<Name, String>,
    /// In an order in which they can run; independent steps run at the same time.
    #[schema(value_type = IndexMap<String, DryStep>)]
    pub steps: IndexMap<Name, DryStep>,
    pub confirm: Vec<DryGate>,
    /// What the plan's triggers go by, as it reads now.
    #[serde(default)]
    #[schema(value_type = IndexMap<String, DryTrigger>)]
    pub triggers: IndexMap<Name, DryTrigger>,
    /// What each step that loses data would lose if it ran now.
    #[serde(default)]
    #[schema(value_type = IndexMap<String, LossView>)]
    pub loss: IndexMap<Name, LossView>,
    /// Every signal of the plan, as it reads now.
    #[schema(value_type = IndexMap<String, DrySignal>)]
    pub signals: IndexMap<Name, DrySignal>,
    #[schema(value_type = Vec<String>)]
    pub critical_path: Vec<Name>,
    /// The steps on the critical path and the confirmation.
    pub expected_s: u64,
    /// The plan's objective.
    pub rto_s: Option<u64>,
    pub within_rto: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    WouldRollBack,
    WouldStop,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldRollBack => "would_roll_back",
            Self::WouldStop => "would_stop",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stop {
    /// The step, or the part of the plan, as `window`.
    #[schema(value_type = String)]
    pub step: Name,
    pub why: String,
}

/// One step as it would go now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryStep {
    pub action: String,
    #[schema(value_type = Vec<String>)]
    pub needs: Vec<Name>,
    /// Runs only when another step has failed.
    pub fallback: bool,
    pub found: Found,
    /// What there is to say about what was found.
    pub why: String,
    /// In the order in which they would be sent.
    pub changes: Vec<DryChange>,
    /// What a person should know beforehand of the step's resource.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The present state, which arming would capture as the baseline. Only where the step returns to a baseline and there
    /// is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captures: Option<Value>,
    /// The parts in which the traffic moves, in percent: the gates are held against after each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<u32>,
    pub require: Vec<DryGate>,
    pub verify: Vec<DryGate>,
    pub expected_s: u64,
    /// What the expected time goes by.
    #[serde(default)]
    pub expected_from: ExpectedFrom,
    /// How many runs were measured, where it goes by that.
    #[serde(default)]
    pub measured_runs: usize,
}

/// How far a step is from its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    InPlace,
    Settling,
    ToChange,
    Failed,
    Ambiguous,
    Unreadable,
    /// The step returns to the baseline, and there is none yet.
    Uncaptured,
    /// A person does it.
    ByHand,
    /// It only waits.
    Wait,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryChange {
    pub id: String,
    pub title: String,
    pub before: Value,
    pub after: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<String>,
    pub call: String,
    pub effects: Vec<Effect>,
    pub repeats: Repeats,
    pub expected_s: u64,
}

/// A gate, and what its signal reads now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryGate {
    #[serde(flatten)]
    pub gate: Gate,
    pub health: Health,
    pub evidence: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrySignal {
    pub kind: String,
    pub health: Health,
    pub evidence: String,
    pub source: String,
    /// Reading it again will not help: the alarm does not exist, access is denied.
    #[serde(default)]
    pub permanent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryTrigger {
    #[schema(value_type = Vec<String>)]
    pub signals: Vec<Name>,
}

impl From<&Change> for DryChange {
    fn from(change: &Change) -> Self {
        Self {
            id: change.id.clone(),
            title: change.title.clone(),
            before: change.before.clone(),
            after: change.after.clone(),
            keeps: change.keeps.clone(),
            call: change.call.clone(),
            effects: change.effects.clone(),
            repeats: change.repeats,
            expected_s: change.expected.as_secs(),
        }
    }
}
