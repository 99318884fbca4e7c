//! `rds.switch_back`: production is back on the old blue of an RDS blue/green deployment.

use std::time::Duration;

use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    model::{Nature, Usual},
    shape::{field, object, one_of},
};
use serde::Deserialize;
use serde_json::Value;

use super::{cluster_shape, instance_shape};

/// The action's name in plans.
pub const ACTION: &str = "rds.switch_back";

/// What `rds.switch_back` takes.
pub fn spec() -> ActionSpec {
    const OLD: &str =
        "What the old blue is called since the switchover, where arming and the deployment do not show it.";
    ActionSpec {
        name: ACTION,
        summary: "Returns to the old blue of an RDS blue/green deployment, as far as AWS allows it.",
        with: one_of(
            "an object with exactly one of `instance`, `cluster`, and optionally `old`",
            [
                object([
                    field("instance", instance_shape(), "The DB instance, by the name of production."),
                    field("old", instance_shape(), OLD).optional(),
                ]),
                object([
                    field("cluster", cluster_shape(), "The DB cluster, by the name of production."),
                    field("old", cluster_shape(), OLD).optional(),
                ]),
            ],
        ),
        to: None,
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(60 * 60),
        nature: Nature::Data,
        // Two renames, each with a reboot.
        usual: Some(Usual::seconds(4 * 60, 6 * 60, 15 * 60)),
        resource: |with: &Value| {
            let name = with["instance"].as_str().or(with["cluster"].as_str()).unwrap_or_default();
            format!("rds:{}", name.to_ascii_lowercase())
        },
        check: no_action_findings,
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct With {
    #[serde(flatten)]
    pub database: Database,
    pub old: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    Instance(String),
    Cluster(String),
}
