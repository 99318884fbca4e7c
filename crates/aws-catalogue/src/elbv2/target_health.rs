//! The `target_health` signal: how many targets of a group are healthy.

use belay_plan::{
    catalogue::{SignalSpec, no_signal_findings},
    shape::{Shape, field, integer, object, one_of, words},
};
use serde::Deserialize;

use super::TARGET_GROUP;

/// The signal's key in plans.
pub const KEY: &str = "target_health";

/// What `target_health` takes.
pub fn spec() -> SignalSpec {
    let at_least = one_of("a number, or `baseline`", [integer(1, 10_000), words(["baseline"])]);
    SignalSpec {
        key: KEY,
        summary: "How many targets of a group are healthy.",
        value: object([
            field("target_group", Shape::Text(TARGET_GROUP), "The target group."),
            field("at_least", at_least, "How many have to be healthy; `baseline`: as many as before the cutover."),
        ]),
        siblings: Vec::new(),
        check: no_signal_findings,
        remarks: no_signal_findings,
    }
}

/// The signal's entry.
#[derive(Debug, Deserialize)]
pub struct Spec {
    pub target_health: Settings,
}

#[derive(Debug, Deserialize)]
pub struct Settings {
    pub target_group: String,
    pub at_least: AtLeast,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum AtLeast {
    Number(usize),
    Word(Baseline),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    Baseline,
}
