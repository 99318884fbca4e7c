//! `rds.backtrack`: an Aurora MySQL cluster as it was at a point in time, in place.

use std::time::Duration;

use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    model::{Nature, Usual},
    shape::{boolean, field, object, one_of, pattern, words},
};
use serde::Deserialize;
use serde_json::Value;

use super::cluster_shape;

/// The action's name in plans.
pub const ACTION: &str = "rds.backtrack";

/// What `rds.backtrack` takes.
pub fn spec() -> ActionSpec {
    let timestamp = pattern(
        "a timestamp such as `2026-01-31T12:00:00Z`",
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
    );
    ActionSpec {
        name: ACTION,
        summary: "Winds an Aurora MySQL cluster back to a point in time, in place, after a snapshot.",
        with: object([
            field("cluster", cluster_shape(), "The cluster."),
            field(
                "time",
                one_of("`cutover` or a timestamp such as `2026-01-31T12:00:00Z`", [words(["cutover"]), timestamp]),
                "Where to; within the cluster's backtrack window, which is 72 h at most.",
            ),
            field("snapshot", boolean(), "Whether a snapshot is taken first, so that nothing is lost for good.")
                .or(true),
            field(
                "force",
                boolean(),
                "Whether to go back although the binary log is on: its replicas must be made anew.",
            )
            .or(false),
        ]),
        to: None,
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(60 * 60),
        nature: Nature::Data,
        // The snapshot, which is incremental, then minutes: Aurora User Guide, "Backtracking an Aurora DB cluster".
        usual: Some(Usual::seconds(4 * 60, 8 * 60, 20 * 60)),
        resource: |with: &Value| format!("rds:{}", with["cluster"].as_str().unwrap_or_default().to_ascii_lowercase()),
        check: no_action_findings,
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct With {
    pub cluster: String,
    /// `cutover` or a timestamp.
    pub time: String,
    #[serde(default = "yes")]
    pub snapshot: bool,
    #[serde(default)]
    pub force: bool,
}

fn yes() -> bool {
    true
}
