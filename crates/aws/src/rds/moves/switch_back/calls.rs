//! What a switch back asks of RDS, and what it sends.

use aws_sdk_rds::{
    Client,
    types::{DbCluster, DbInstance},
};
use belay_ports::{ApplyError, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{super::pending, DESCRIBE_CLUSTERS, DESCRIBE_INSTANCES, timestamp},
    Kind,
    state::{Deployment, Found, Id},
};
use crate::errors;

pub(super) const DESCRIBE_DEPLOYMENTS: &str = "rds:DescribeBlueGreenDeployments";
pub(super) const MODIFY_INSTANCE: &str = "rds:ModifyDBInstance";
pub(super) const MODIFY_CLUSTER: &str = "rds:ModifyDBCluster";

/// All of the account's deployments of a kind of database.
pub(super) async fn deployments(client: &Client, kind: Kind) -> Result<Vec<Deployment>, ReadError> {
    let mut pages = client.describe_blue_green_deployments().into_paginator().send();
    let word = if kind == Kind::Instance { ":db:" } else { ":cluster:" };
    let name = |arn: Option<String>| Some(arn?.rsplit_once(word)?.1.to_ascii_lowercase());
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| errors::read(error, DESCRIBE_DEPLOYMENTS, "*"))?;
        found.extend(page.blue_green_deployments.unwrap_or_default().into_iter().map(|one| Deployment {
            id: one.blue_green_deployment_identifier.unwrap_or_default(),
            status: one.status.unwrap_or_default(),
            source: name(one.source),
            target: name(one.target),
        }));
    }
    Ok(found)
}

/// All of the account's databases of a kind.
pub(super) async fn databases(client: &Client, kind: Kind) -> Result<Vec<Found>, ReadError> {
    let mut found = Vec::new();
    match kind {
        Kind::Instance => {
            let mut pages = client.describe_db_instances().into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| errors::read(error, DESCRIBE_INSTANCES, "*"))?;
                found.extend(page.db_instances.unwrap_or_default().into_iter().map(Found::of_instance));
            }
        }
        Kind::Cluster => {
            let mut pages = client.describe_db_clusters().into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| errors::read(error, DESCRIBE_CLUSTERS, "*"))?;
                found.extend(page.db_clusters.unwrap_or_default().into_iter().map(Found::of_cluster));
            }
        }
    }
    Ok(found)
}

impl Found {
    fn of_instance(found: DbInstance) -> Self {
        let endpoint = found.endpoint().and_then(|endpoint| endpoint.address.clone());
        Self {
            deletion_protection: found.deletion_protection,
            members: Vec::new(),
            replicas: found.read_replica_db_instance_identifiers().to_vec(),
            cluster_replicas: found.read_replica_db_cluster_identifiers().to_vec(),
            endpoints: endpoint.into_iter().collect(),
            queued: pending::queued_on_instance(&found),
            name: found.db_instance_identifier.unwrap_or_default().to_ascii_lowercase(),
            id: Id::new(found.dbi_resource_id, timestamp(found.instance_create_time)),
            status: found.db_instance_status.unwrap_or_default(),
            renaming_to: found.pending_modified_values.and_then(|pending| pending.db_instance_identifier),
        }
    }

    fn of_cluster(found: DbCluster) -> Self {
        let members = found.db_cluster_members().iter().filter_map(|member| member.db_instance_identifier.clone());
        // Those of a Multi-AZ DB cluster are instances, those of an Aurora cluster are clusters and listed by their ARNs.
        let is_cluster = |name: &String| name.contains(":cluster:");
        let (cluster_replicas, replicas) = found.read_replica_identifiers().iter().cloned().partition(is_cluster);
        let endpoints = [&found.endpoint, &found.reader_endpoint].into_iter().flatten().chain(found.custom_endpoints());
        Self {
            deletion_protection: found.deletion_protection,
            members: members.collect(),
            replicas,
            cluster_replicas,
            endpoints: endpoints.cloned().collect(),
            queued: pending::queued_on_cluster(&found),
            name: found.db_cluster_identifier.unwrap_or_default().to_ascii_lowercase(),
            id: Id::new(found.db_cluster_resource_id, timestamp(found.cluster_create_time)),
            status: found.status.unwrap_or_default(),
            renaming_to: found.pending_modified_values.and_then(|pending| pending.db_cluster_identifier),
        }
    }
}

/// A rename, at once and not in the next maintenance window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) from: String,
    pub(super) to: String,
}

impl Call {
    pub(super) async fn send(&self, client: &Client) -> Result<Value, ApplyError> {
        let Self { kind, from, to } = self;
        let about = format!("{from}, to {to}");
        match kind {
            Kind::Instance => {
                let sent = client.modify_db_instance().db_instance_identifier(from).new_db_instance_identifier(to);
                sent.apply_immediately(true).send().await.map_err(|error| {
                    let code = errors::code(&error).unwrap_or_default().to_owned();
                    errors::refine(errors::apply(error, MODIFY_INSTANCE, &about), known(&code))
                })?;
            }
            Kind::Cluster => {
                let sent = client.modify_db_cluster().db_cluster_identifier(from).new_db_cluster_identifier(to);
                sent.apply_immediately(true).send().await.map_err(|error| {
                    let code = errors::code(&error).unwrap_or_default().to_owned();
                    errors::refine(errors::apply(error, MODIFY_CLUSTER, &about), known(&code))
                })?;
            }
        }
        Ok(json!({ "renamed": from, "to": to }))
    }
}

fn known(code: &str) -> Option<(bool, &'static str)> {
    Some(match code.strip_suffix("Fault").unwrap_or(code) {
        // An earlier send, of which the answer was lost, has renamed it.
        "DBInstanceNotFound" | "DBClusterNotFound" => (true, "the next look tells where it is"),
        "DBInstanceAlreadyExists" | "DBClusterAlreadyExists" => (true, "the next look tells whose it is"),
        "InvalidDBInstanceState" | "InvalidDBClusterState" => {
            (true, "RDS renames only what is available, and nothing of a blue/green deployment")
        }
        _ => return None,
    })
}
