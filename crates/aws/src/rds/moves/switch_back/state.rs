//! What a look finds: the databases that have to do with a switch back, each known by its resource.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rds::{led::Led, proxies::Proxied};

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(super) looked: Timestamp,
    /// The deployments of which one side is among the databases. AWS may keep the record of the last one while the next is prepared.
    #[serde(default)]
    pub(super) deployments: Vec<Deployment>,
    /// What has a name that matters here, or was seen before under whatever name.
    #[serde(default)]
    pub(super) databases: Vec<Found>,
    /// Where the names of production lead; only in a run that changes them, before the first rename and after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) led: Option<Led>,
    /// The proxies that lead to production; read until the first rename.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) proxies: Vec<String>,
    /// Why they could not be read. A switch back does not depend on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proxies_unread: Option<String>,
    /// Where they lead; only after the last rename.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) proxied: Vec<Proxied>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Deployment {
    pub(super) id: String,
    pub(super) status: String,
    /// What blue is called now.
    pub(super) source: Option<String>,
    /// What green is called now.
    pub(super) target: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) id: Id,
    pub(super) status: String,
    pub(super) renaming_to: Option<String>,
    /// What RDS would apply together with a rename: `engine version to 8.4.5`.
    #[serde(default)]
    pub(super) queued: Vec<String>,
    /// The members of a cluster, which have names, and so endpoints, of their own.
    #[serde(default)]
    pub(super) members: Vec<String>,
    /// Instances that replicate from it.
    #[serde(default)]
    pub(super) replicas: Vec<String>,
    /// The same of clusters.
    #[serde(default)]
    pub(super) cluster_replicas: Vec<String>,
    /// None where RDS does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deletion_protection: Option<bool>,
    /// Under which it answers; of a cluster the writer's, then the readers' and the custom ones.
    #[serde(default)]
    pub(super) endpoints: Vec<String>,
}

/// Stays the same when a database is renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Id {
    resource_id: Option<String>,
    created: Option<Timestamp>,
}

impl Id {
    pub(super) fn new(resource_id: Option<String>, created: Option<Timestamp>) -> Self {
        Self { resource_id, created }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource_id.as_deref().unwrap_or("without a resource id"))?;
        self.created.map_or(Ok(()), |created| write!(f, ", made {created:.0}"))
    }
}

impl Found {
    /// What has endpoints of its own.
    pub(super) fn attached(&self) -> impl Iterator<Item = &String> {
        self.members.iter().chain(&self.replicas).chain(&self.cluster_replicas)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}

impl State {
    pub(super) fn ids(&self) -> impl Iterator<Item = &Id> {
        self.databases.iter().map(|found| &found.id)
    }

    pub(super) fn called(&self, name: &str) -> Option<&Found> {
        self.databases.iter().find(|found| found.name == name)
    }

    pub(super) fn of(&self, id: &Id) -> Option<&Found> {
        self.databases.iter().find(|found| found.id == *id)
    }

    /// A database that is listed under two names: it is being renamed.
    pub(super) fn listed_twice(&self) -> Option<&Found> {
        let again = |at: &usize| self.databases[..*at].iter().any(|other| other.id == self.databases[*at].id);
        (0..self.databases.len()).find(again).map(|at| &self.databases[at])
    }

    /// The deployments that one of these databases belongs to.
    pub(super) fn deployments_of(&self, sides: &[&Found]) -> impl Iterator<Item = &Deployment> {
        self.deployments.iter().filter(move |deployment| {
            let names = [deployment.source.as_deref(), deployment.target.as_deref()];
            sides.iter().any(|side| names.contains(&Some(side.name.as_str())))
        })
    }
}
