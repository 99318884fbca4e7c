//! `rds_status`: whether an instance or a cluster has the status that it should, and nothing left to take effect.

use std::fmt;

use belay_plan::{
    catalogue::{SignalSpec, no_signal_findings},
    shape::{Field, field, filled_list, object, one_of, pattern, words},
};
use serde::Deserialize;

use super::{cluster_shape, instance_shape};

/// The signal's key in plans.
pub const KEY: &str = "rds_status";

/// In a plan it stands for every status in which a database serves.
pub const AVAILABLE: &str = "available";

/// What `rds_status` takes.
pub fn spec() -> SignalSpec {
    let status = || pattern("a status such as `available`", "^[a-z][a-z-]*$");
    let with = |what: Field| {
        object([
            what,
            field(
                "status",
                one_of("a status such as `available`, or a list of them", [status(), filled_list(status())]),
                "The healthy ones. `available` stands for every status in which the database serves: `backing-up`, \
                 `modifying`, `storage-optimization`, and so on.",
            )
            .or(AVAILABLE),
            field(
                "pending",
                words(["ignore", "unhealthy"]),
                "What it means when changes wait for a maintenance window or a reboot: modified values, parameter \
                 groups, option groups. They are told as evidence in any case.",
            )
            .or("ignore"),
        ])
    };
    SignalSpec {
        key: KEY,
        summary: "The status of an RDS instance, or of an Aurora or Multi-AZ cluster.",
        value: one_of(
            "{ instance, status, pending } or { cluster, status, pending }",
            [
                with(field("instance", instance_shape(), "The instance.")),
                with(field("cluster", cluster_shape(), "The cluster. One without an instance is not healthy.")),
            ],
        ),
        siblings: Vec::new(),
        check: no_signal_findings,
        remarks: no_signal_findings,
    }
}

/// The signal's entry.
#[derive(Debug, Deserialize)]
pub struct Spec {
    #[serde(flatten)]
    pub database: Database,
    pub status: Wanted,
    #[serde(default)]
    pub pending: Pending,
}

/// The statuses that are healthy.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    One(String),
    Any(Vec<String>),
}

impl Wanted {
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(status) => std::slice::from_ref(status),
            Self::Any(statuses) => statuses,
        }
    }

    pub fn has(&self, status: &str) -> bool {
        self.all().iter().any(|wanted| wanted == status)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.all().join(" or "))
    }
}

/// Identifiers know no case. RDS stores them in lower case, and a policy names them so: IAM knows case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Database {
    Instance(String),
    Cluster(String),
}

impl Database {
    pub fn id(&self) -> String {
        let (Self::Instance(id) | Self::Cluster(id)) = self;
        id.to_ascii_lowercase()
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Instance(_) => "instance",
            Self::Cluster(_) => "cluster",
        }
    }
}

/// What pending changes mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pending {
    #[default]
    Ignore,
    Unhealthy,
}
