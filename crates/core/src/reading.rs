//! What a sensor says of a signal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Healthy,
    Unhealthy,
    /// Never taken for healthy. The evidence says why.
    Unknown,
}

/// One reading of one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub signal: String,
    /// When the read began: evidence is never younger than this.
    pub taken: Timestamp,
    pub health: Health,
    /// For a person: "ALARM since 02:11:07: Threshold Crossed ...", "2 of 3 targets healthy", "timed out after 5 s".
    pub evidence: String,
    /// Where it came from, for telling blindness from an outage: "cloudwatch 111122223333/eu-west-1".
    pub source: String,
    /// The source itself could not be read (as against: it answered, and its answer decides nothing).
    pub unreadable: bool,
    /// Reading again will not help until somebody changes something: the alarm does not exist, access is denied.
    #[serde(default)]
    pub permanent: bool,
    /// The number that it rests on, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// A number, and what it is held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub value: f64,
    /// For when it holds: the end of a metric's period, or when it was read.
    pub at: Timestamp,
    /// `< 0.5`: what a healthy value is.
    pub healthy: String,
    /// The number in it.
    pub threshold: f64,
    /// Of the value and of the threshold, where the signal tells it: `ms`, `%`, `/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}
