//! What a switch back asks of RDS, and what it sends.

use aws_sdk_rds::{Client, types::BlueGreenDeployment};
use belay_ports::{ApplyError, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{describe_cluster, describe_instance, timestamp},
    Deployment, Found, Kind, Names,
};
use crate::errors;

pub(super) const DESCRIBE_DEPLOYMENTS: &str = "rds:DescribeBlueGreenDeployments";
pub(super) const MODIFY_INSTANCE: &str = "rds:ModifyDBInstance";
pub(super) const MODIFY_CLUSTER: &str = "rds:ModifyDBCluster";

/// The deployment one side of which has the name of production, or is the old blue: the newest of them.
pub(super) async fn deployment(client: &Client, names: &Names) -> Result<Option<Deployment>, ReadError> {
    let mut pages = client.describe_blue_green_deployments().into_paginator().send();
    let mut newest: Option<BlueGreenDeployment> = None;
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| errors::read(error, DESCRIBE_DEPLOYMENTS, "*"))?;
        let ours = page.blue_green_deployments.unwrap_or_default().into_iter().filter(|one| is_of(one, names));
        let time = |one: &BlueGreenDeployment| one.create_time.map(|time| (time.secs(), time.subsec_nanos()));
        newest = newest.into_iter().chain(ours).max_by_key(time);
    }
    Ok(newest.map(|found| Deployment {
        id: found.blue_green_deployment_identifier.unwrap_or_default(),
        name: found.blue_green_deployment_name.unwrap_or_default(),
        status: found.status.unwrap_or_default(),
    }))
}

fn is_of(deployment: &BlueGreenDeployment, names: &Names) -> bool {
    let kind = if names.kind == Kind::Instance { ":db:" } else { ":cluster:" };
    let named = |arn: &Option<String>| {
        let name = arn.as_deref().and_then(|arn| arn.rsplit_once(kind)).map(|(_, name)| name.to_ascii_lowercase());
        name.is_some_and(|name| name == names.production || name == names.old)
    };
    named(&deployment.source) || named(&deployment.target)
}

pub(super) async fn database(client: &Client, kind: Kind, name: &str) -> Result<Option<Found>, ReadError> {
    Ok(match kind {
        Kind::Instance => describe_instance(client, name).await?.map(|found| Found {
            resource_id: found.dbi_resource_id,
            created: timestamp(found.instance_create_time),
            status: found.db_instance_status.unwrap_or_default(),
            renaming_to: found.pending_modified_values.and_then(|pending| pending.db_instance_identifier),
        }),
        Kind::Cluster => describe_cluster(client, name).await?.map(|found| Found {
            resource_id: found.db_cluster_resource_id,
            created: timestamp(found.cluster_create_time),
            status: found.status.unwrap_or_default(),
            renaming_to: found.pending_modified_values.and_then(|pending| pending.db_cluster_identifier),
        }),
    })
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
            (true, "RDS renames only what is available, and nothing of a blue/green deployment; tried again")
        }
        _ => return None,
    })
}
