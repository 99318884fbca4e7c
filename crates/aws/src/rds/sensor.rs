//! `rds_status`: whether an instance or a cluster has the status that it should, and nothing left to take effect.

use std::{fmt, sync::Arc};

use aws_sdk_rds::{
    Client,
    types::{DbCluster, DbInstance},
};
use belay_aws_catalogue::rds::status::{AVAILABLE, Database, KEY, Pending, Spec, Wanted};
use belay_core::reading::{Health, Reading};
use belay_ports::{Clock, Fut, Permission, ReadError, Sensor, sensor::Query};
use futures::future::join_all;
use serde::Deserialize;

use super::{
    DESCRIBE_INSTANCES, pending,
    status::{Service, service},
};
use crate::{
    errors, place,
    sensing::{Deadline, Finding},
    session::Aws,
};

const DESCRIBE_CLUSTERS: &str = "rds:DescribeDBClusters";

/// How many pending changes evidence names.
const NAMED_MAX: usize = 5;

/// The signal `rds_status`.
#[derive(Clone)]
pub struct RdsStatus {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for RdsStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdsStatus").field("aws", &self.aws).finish_non_exhaustive()
    }
}

/// What matters of an instance or a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    status: String,
    /// Changes that have not taken effect, each in a few words.
    pending: Vec<String>,
    /// Whether there is nobody to answer queries: a restored cluster comes without instances.
    empty: bool,
}

impl Found {
    fn instance(instance: &DbInstance) -> Self {
        let status = instance.db_instance_status.clone().unwrap_or_default();
        Self { status, pending: pending::of_instance(instance), empty: false }
    }

    fn cluster(cluster: &DbCluster) -> Self {
        // Aurora Serverless v1 has capacity and no instances.
        let is_serverless = cluster.engine_mode() == Some("serverless");
        Self {
            status: cluster.status.clone().unwrap_or_default(),
            pending: pending::of_cluster(cluster),
            empty: cluster.db_cluster_members().is_empty() && !is_serverless,
        }
    }
}

impl RdsStatus {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn read_one(&self, query: &Query) -> Reading {
        let taken = self.clock.now();
        let found = match Deadline::start(&*self.clock).bound(self.status(query)).await {
            Ok(found) => found,
            Err(error) => Finding::Unreadable(error),
        };
        found.reading(query, taken, "rds")
    }

    async fn status(&self, query: &Query) -> Result<Finding, ReadError> {
        let spec = match Spec::deserialize(&query.spec[KEY]) {
            Ok(spec) => spec,
            Err(error) => return Ok(Finding::not_understood(&error)),
        };
        let clients = self.aws.clients(&query.aws).await?;
        let (client, id) = (&clients.rds.read, spec.database.id());
        let found = match &spec.database {
            Database::Instance(_) => instance(client, &id).await?,
            Database::Cluster(_) => cluster(client, &id).await?,
        };
        Ok(decide(&spec, found.as_ref(), &clients.region))
    }
}

/// What a status is to a plan that wants these.
fn health(wanted: &Wanted, status: &str) -> Health {
    match service(status) {
        _ if wanted.has(status) => Health::Healthy,
        Service::Serves if wanted.has(AVAILABLE) => Health::Healthy,
        // On its way there.
        Service::Down if status == "stopping" && wanted.has("stopped") => Health::Unknown,
        Service::Serves | Service::Down => Health::Unhealthy,
        Service::Untold => Health::Unknown,
    }
}

/// `found`: None when there is no such database.
fn decide(spec: &Spec, found: Option<&Found>, region: &str) -> Finding {
    let (id, kind, wanted) = (spec.database.id(), spec.database.kind(), &spec.status);
    let Some(found) = found else {
        return Finding::new(Health::Unhealthy, format!("there is no {kind} {id} in {region}")).for_good();
    };
    let status = &found.status;
    let pending = match found.pending.len() {
        0 => String::new(),
        number => {
            let named = found.pending.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
            let more = number.checked_sub(NAMED_MAX).filter(|more| *more > 0);
            format!("; pending: {named}{}", more.map(|more| format!(" and {more} more")).unwrap_or_default())
        }
    };
    let (health, told) = match health(wanted, status) {
        Health::Healthy if found.empty => {
            (Health::Unhealthy, format!("{id} is {status}, but the cluster has no instance"))
        }
        Health::Healthy if spec.pending == Pending::Unhealthy && !found.pending.is_empty() => {
            (Health::Unhealthy, format!("{id} is {status}, but has changes that did not take effect"))
        }
        Health::Healthy => (Health::Healthy, format!("{id} is {status}")),
        health => (health, format!("{id} is {status}, wanted {wanted}")),
    };
    Finding::new(health, format!("{told}{pending}"))
}

async fn instance(client: &Client, id: &str) -> Result<Option<Found>, ReadError> {
    match client.describe_db_instances().db_instance_identifier(id).send().await {
        Ok(answer) => Ok(answer.db_instances().first().map(Found::instance)),
        Err(error) if errors::code(&error).is_some_and(|code| code.starts_with("DBInstanceNotFound")) => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_INSTANCES, id)),
    }
}

async fn cluster(client: &Client, id: &str) -> Result<Option<Found>, ReadError> {
    match client.describe_db_clusters().db_cluster_identifier(id).send().await {
        Ok(answer) => Ok(answer.db_clusters().first().map(Found::cluster)),
        Err(error) if errors::code(&error).is_some_and(|code| code.starts_with("DBClusterNotFound")) => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_CLUSTERS, id)),
    }
}

impl Sensor for RdsStatus {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async { join_all(queries.iter().map(|query| self.read_one(query))).await })
    }

    fn permissions(&self, query: &Query) -> Vec<Permission> {
        let partition = place::partition(&query.aws);
        let region = query.aws.region.as_deref().unwrap_or("*");
        let account = query.aws.account.as_deref().unwrap_or("*");
        let (action, resource) = match Spec::deserialize(&query.spec[KEY]).map(|spec| spec.database) {
            Ok(cluster @ Database::Cluster(_)) => (DESCRIBE_CLUSTERS, format!("cluster:{}", cluster.id())),
            Ok(instance @ Database::Instance(_)) => (DESCRIBE_INSTANCES, format!("db:{}", instance.id())),
            Err(_) => (DESCRIBE_INSTANCES, "db:*".to_owned()),
        };
        vec![Permission {
            action: action.to_owned(),
            resource: format!("arn:{partition}:rds:{region}:{account}:{resource}"),
            mutates: false,
            conditions: Vec::new(),
        }]
    }
}

#[cfg(test)]
mod tests;
