//! The mutating calls of a cluster's restore as data, and how they are sent.

use std::collections::BTreeMap;

use aws_sdk_rds::{
    Client,
    operation::{
        create_db_instance::CreateDbInstanceInput, modify_db_cluster::ModifyDbClusterInput,
        restore_db_cluster_from_snapshot::RestoreDbClusterFromSnapshotInput,
        restore_db_cluster_to_point_in_time::RestoreDbClusterToPointInTimeInput,
    },
};
use belay_ports::ApplyError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::settings::ClusterSettings;
use crate::rds::{
    Settings,
    calls::{declined, failure, sdk_tags, sdk_time, set_refused},
};

pub(in crate::rds) const RESTORE_FROM_SNAPSHOT: &str = "rds:RestoreDBClusterFromSnapshot";
pub(in crate::rds) const RESTORE_TO_POINT_IN_TIME: &str = "rds:RestoreDBClusterToPointInTime";
pub(in crate::rds) const MODIFY: &str = "rds:ModifyDBCluster";
pub(in crate::rds) const ENABLE_HTTP_ENDPOINT: &str = "rds:EnableHttpEndpoint";
pub(in crate::rds) const CREATE_INSTANCE: &str = "rds:CreateDBInstance";

/// One send; each names what it makes after the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::rds) enum ClusterCall {
    RestoreFromSnapshot {
        snapshot: String,
        engine: String,
        /// Unless it is named, the Region's default version would be taken.
        engine_version: String,
        name: String,
        settings: ClusterSettings,
        tags: BTreeMap<String, String>,
    },
    RestoreToPointInTime {
        source: String,
        /// None: the latest restorable time.
        time: Option<Timestamp>,
        name: String,
        settings: ClusterSettings,
        tags: BTreeMap<String, String>,
    },
    Carry {
        name: String,
        settings: ClusterSettings,
        logs_before: Vec<String>,
    },
    /// The Data API.
    EnableHttpEndpoint {
        arn: String,
    },
    Rename {
        from: String,
        to: String,
    },
    CreateMember {
        cluster: String,
        name: String,
        engine: String,
        settings: Settings,
        promotion_tier: Option<i32>,
        tags: BTreeMap<String, String>,
    },
}

impl ClusterCall {
    /// As IAM names it.
    pub(in crate::rds) fn action(&self) -> &'static str {
        match self {
            Self::RestoreFromSnapshot { .. } => RESTORE_FROM_SNAPSHOT,
            Self::RestoreToPointInTime { .. } => RESTORE_TO_POINT_IN_TIME,
            Self::Carry { .. } | Self::Rename { .. } => MODIFY,
            Self::EnableHttpEndpoint { .. } => ENABLE_HTTP_ENDPOINT,
            Self::CreateMember { .. } => CREATE_INSTANCE,
        }
    }

    /// Sends it, once. Answers which cluster or instance it is about.
    pub(in crate::rds) async fn send(&self, client: &Client) -> Result<Value, ApplyError> {
        let action = self.action();
        let cluster = match self {
            Self::RestoreFromSnapshot { snapshot, engine, engine_version, name, settings, tags } => {
                let input = settings
                    .on_snapshot_restore(RestoreDbClusterFromSnapshotInput::builder())
                    .snapshot_identifier(snapshot)
                    .engine(engine)
                    .engine_version(engine_version)
                    .db_cluster_identifier(name)
                    .set_tags(Some(sdk_tags(tags)));
                let sent = input.send_with(client).await;
                let about = format!("{name}, from snapshot {snapshot}");
                sent.map_err(|error| declined(error, action, &about, settings))?.db_cluster
            }
            Self::RestoreToPointInTime { source, time, name, settings, tags } => {
                let input = settings
                    .on_point_in_time_restore(RestoreDbClusterToPointInTimeInput::builder())
                    .source_db_cluster_identifier(source)
                    .db_cluster_identifier(name)
                    .set_restore_to_time(time.map(sdk_time))
                    .set_use_latest_restorable_time(time.is_none().then_some(true))
                    .set_tags(Some(sdk_tags(tags)));
                let sent = input.send_with(client).await;
                let about = format!("{name}, from {source}");
                sent.map_err(|error| declined(error, action, &about, settings))?.db_cluster
            }
            Self::Carry { name, settings, logs_before } => {
                let input = settings
                    .on_modify(ModifyDbClusterInput::builder(), logs_before)
                    .db_cluster_identifier(name)
                    .apply_immediately(true);
                let sent = input.send_with(client).await;
                sent.map_err(|error| set_refused(error, action, name, settings))?.db_cluster
            }
            Self::EnableHttpEndpoint { arn } => {
                let sent = client.enable_http_endpoint().resource_arn(arn).send().await;
                sent.map_err(|error| set_refused(error, action, arn, &json!({ "http_endpoint": true })))?;
                return Ok(Value::Null);
            }
            Self::Rename { from, to } => {
                let input = ModifyDbClusterInput::builder()
                    .db_cluster_identifier(from)
                    .new_db_cluster_identifier(to)
                    .apply_immediately(true);
                let sent = input.send_with(client).await;
                sent.map_err(|error| failure(error, action, &format!("{from}, to {to}")))?.db_cluster
            }
            Self::CreateMember { cluster, name, engine, settings, promotion_tier, tags } => {
                let input = settings
                    .on_create_member(CreateDbInstanceInput::builder())
                    .db_cluster_identifier(cluster)
                    .db_instance_identifier(name)
                    .engine(engine)
                    .set_promotion_tier(*promotion_tier)
                    .set_tags(Some(sdk_tags(tags)));
                let sent = input.send_with(client).await;
                let about = format!("{name}, in {cluster}");
                let made = sent.map_err(|error| declined(error, action, &about, settings))?.db_instance;
                return Ok(json!({ "resource_id": made.and_then(|made| made.dbi_resource_id) }));
            }
        };
        Ok(json!({ "resource_id": cluster.and_then(|cluster| cluster.db_cluster_resource_id) }))
    }
}
