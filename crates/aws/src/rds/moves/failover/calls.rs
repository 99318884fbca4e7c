//! What a failover asks of RDS, and what it sends.

use aws_sdk_rds::{Client, types::Filter};
use belay_ports::{ApplyError, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{DESCRIBE_INSTANCES, describe_cluster, describe_instance},
    Found, Member,
};
use crate::errors;

pub(super) const FAILOVER: &str = "rds:FailoverDBCluster";
pub(super) const REBOOT: &str = "rds:RebootDBInstance";

pub(super) async fn cluster(client: &Client, name: &str) -> Result<Found, ReadError> {
    let Some(found) = describe_cluster(client, name).await? else { return Ok(Found::Missing) };
    let of_cluster = Filter::builder().name("db-cluster-id").values(name).build();
    let mut pages = client.describe_db_instances().filters(of_cluster).into_paginator().send();
    let mut statuses = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| errors::read(error, DESCRIBE_INSTANCES, name))?;
        let instances = page.db_instances.unwrap_or_default().into_iter();
        statuses.extend(instances.filter_map(|one| Some((one.db_instance_identifier?, one.db_instance_status?))));
    }
    let status = |member: &str| {
        let found = statuses.iter().find(|(name, _)| name.eq_ignore_ascii_case(member));
        found.map_or_else(|| "not listed".to_owned(), |(_, status)| status.clone())
    };
    let members = found.db_cluster_members().iter().filter_map(|member| {
        let name = member.db_instance_identifier.clone()?;
        Some(Member { status: status(&name), writer: member.is_cluster_writer.unwrap_or_default(), name })
    });
    Ok(Found::Cluster {
        members: members.collect(),
        status: found.status.clone().unwrap_or_default(),
        engine: found.engine.clone().unwrap_or_default(),
    })
}

pub(super) async fn instance(client: &Client, name: &str) -> Result<Found, ReadError> {
    Ok(describe_instance(client, name).await?.map_or(Found::Missing, |found| Found::Instance {
        status: found.db_instance_status.unwrap_or_default(),
        multi_az: found.multi_az.unwrap_or_default(),
        zone: found.availability_zone.unwrap_or_default(),
        standby_zone: found.secondary_availability_zone,
    }))
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "send", rename_all = "snake_case")]
pub(super) enum Call {
    Cluster {
        cluster: String,
        /// None: AWS chooses.
        to: Option<String>,
    },
    Instance {
        instance: String,
    },
}

impl Call {
    pub(super) async fn send(&self, client: &Client) -> Result<Value, ApplyError> {
        match self {
            Self::Cluster { cluster, to } => {
                let sent = client
                    .failover_db_cluster()
                    .db_cluster_identifier(cluster)
                    .set_target_db_instance_identifier(to.clone());
                sent.send().await.map_err(|error| {
                    let code = errors::code(&error).unwrap_or_default().to_owned();
                    errors::refine(errors::apply(error, FAILOVER, cluster), known(&code))
                })?;
                Ok(json!({ "writer": to }))
            }
            Self::Instance { instance } => {
                let sent = client.reboot_db_instance().db_instance_identifier(instance).force_failover(true);
                sent.send().await.map_err(|error| {
                    let code = errors::code(&error).unwrap_or_default().to_owned();
                    errors::refine(errors::apply(error, REBOOT, instance), known(&code))
                })?;
                Ok(json!({ "rebooted": instance }))
            }
        }
    }
}

fn known(code: &str) -> Option<(bool, &'static str)> {
    Some(match code.strip_suffix("Fault").unwrap_or(code) {
        "InvalidDBClusterState" => (
            true,
            "RDS does this only with an available cluster of two members or more, and not again right after a failover",
        ),
        "InvalidDBInstanceState" => (true, "RDS does this only with an available instance"),
        _ => return None,
    })
}
