//! `rds.failover`: the writer of a cluster is the instance that it was; the primary of a Multi-AZ instance is in the zone that it
//! was in.

use std::time::Duration;

use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    model::{Nature, Usual},
    shape::{field, object, one_of, pattern},
};
use serde::Deserialize;
use serde_json::Value;

use super::{cluster_shape, instance_shape};

/// The action's name in plans.
pub const ACTION: &str = "rds.failover";

/// An Availability Zone or a Local Zone: `eu-west-1a`, `eusc-de-east-1a`, `us-west-2-lax-1a`.
const ZONE: &str = "^[a-z]{2,4}(-[a-z]+)+-[0-9]+(-[a-z0-9]+)*[a-z]$";

/// What `rds.failover` takes.
pub fn spec() -> ActionSpec {
    let zone = pattern("an Availability Zone such as `eu-west-1a`", ZONE);
    ActionSpec {
        name: ACTION,
        summary: "Makes the former writer of a DB cluster the writer again, or moves a Multi-AZ instance back to its zone.",
        with: one_of(
            "an object with exactly one of `cluster`, `instance`",
            [
                object([field("cluster", cluster_shape(), "An Aurora or Multi-AZ DB cluster.")]),
                object([field("instance", instance_shape(), "A Multi-AZ DB instance.")]),
            ],
        ),
        to: Some(one_of(
            "an object with exactly one of `writer` (of a cluster), `zone` (of an instance)",
            [
                object([field("writer", instance_shape(), "The instance that is to be the writer.")]),
                object([field("zone", zone, "The Availability Zone that the primary is to be in.")]),
            ],
        )),
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(15 * 60),
        nature: Nature::State,
        // "Typically 60 to 120 seconds" for an instance, less for Aurora: RDS User Guide, "Failing over a Multi-AZ DB instance".
        usual: Some(Usual::seconds(30, 60, 120)),
        // Who writes, not what is written: a restore or a backtrack of the same database is another thing.
        resource: |with: &Value| {
            let name = with["cluster"].as_str().or(with["instance"].as_str()).unwrap_or_default();
            format!("rds:{}/writer", name.to_ascii_lowercase())
        },
        check: no_action_findings,
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum With {
    Cluster(String),
    Instance(String),
}

impl With {
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(name) | Self::Instance(name) => name,
        }
    }
}
