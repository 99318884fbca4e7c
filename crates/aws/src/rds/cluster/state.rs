//! What is observed of a cluster: itself under each of its names, and its members under each of theirs.

use std::collections::BTreeMap;

use aws_sdk_rds::types::{ActivityStreamStatus, ClusterScalabilityType, DbCluster, DbClusterSnapshot};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::settings::ClusterSettings;
use crate::rds::{
    cname::Found,
    led::Led,
    links::Links,
    pending,
    proxies::Proxied,
    state::{Attached, Instance, Snapshot, automated, percent, tags, text, timestamp},
};

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterState {
    /// When the look began, by the clock of this host.
    pub looked: Timestamp,
    /// Under the plan's name. None, here and below: there is none of that name.
    pub cluster: Option<Cluster>,
    /// Under the name that this run restores to.
    pub restored: Option<Cluster>,
    /// Since when each look has shown the restored one and its members available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<Timestamp>,
    /// Under the name that this run moves the replaced one to.
    pub failed: Option<Cluster>,
    /// By their names before the run, sorted.
    pub members: Vec<Member>,
    pub snapshot: Option<Snapshot>,
    /// Only read before the restore begins.
    #[serde(default)]
    pub links: Option<Links>,
    pub cname: Option<Found>,
    /// Where the name of production leads; only in a run that changes it, before the restore and after the swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub led: Option<Led>,
    /// Where the proxies lead that led to the replaced one; only after the swap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxied: Vec<Proxied>,
}

/// One member of the cluster, and what has become of it in this run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// As clients know it.
    pub name: String,
    /// Under this name.
    pub instance: Option<Instance>,
    pub restored: Option<Instance>,
    pub failed: Option<Instance>,
}

/// One DB cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// `DBClusterIdentifier`.
    pub name: String,
    /// `DbClusterResourceId`: stays the same when the cluster is renamed.
    pub resource_id: Option<String>,
    /// `DBClusterArn`.
    #[serde(default)]
    pub arn: Option<String>,
    pub status: String,
    /// Changes that wait for the maintenance window: see [`Instance::queued`].
    #[serde(default)]
    pub queued: Vec<String>,
    /// Of Aurora Limitless Database, whose shards are no members.
    #[serde(default)]
    pub limitless: bool,
    pub renaming_to: Option<String>,
    /// What is decided and has not taken effect, each in a few words.
    pub pending: Vec<String>,
    pub percent_progress: Option<u8>,
    pub created: Option<Timestamp>,
    pub engine: String,
    pub engine_version: String,
    /// The ARN of the key that its storage is encrypted with.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// Of the writer.
    pub endpoint: Option<String>,
    /// On which it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Of the readers.
    #[serde(default)]
    pub reader_endpoint: Option<String>,
    pub latest_restorable: Option<Timestamp>,
    pub earliest_restorable: Option<Timestamp>,
    pub settings: ClusterSettings,
    pub tags: BTreeMap<String, String>,
    pub members: Vec<Listed>,
    pub attached: Attached,
    /// DNS names of its custom endpoints, which belong to it whatever its name is.
    pub custom_endpoints: Vec<String>,
    /// The Aurora global database that it is part of.
    pub global_cluster: Option<String>,
}

/// A member as its cluster lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub name: String,
    pub writer: bool,
}

impl Cluster {
    pub(in crate::rds) fn of(cluster: &DbCluster) -> Self {
        let modified = cluster.pending_modified_values();
        let members = cluster.db_cluster_members().iter();
        Self {
            name: text(&cluster.db_cluster_identifier),
            resource_id: cluster.db_cluster_resource_id.clone(),
            arn: cluster.db_cluster_arn.clone(),
            status: text(&cluster.status),
            queued: pending::queued_on_cluster(cluster),
            limitless: cluster.cluster_scalability_type() == Some(&ClusterScalabilityType::Limitless),
            renaming_to: modified.and_then(|modified| modified.db_cluster_identifier.clone()),
            pending: pending::of_cluster(cluster),
            percent_progress: percent(cluster.percent_progress.as_deref()),
            created: timestamp(cluster.cluster_create_time),
            engine: text(&cluster.engine),
            engine_version: text(&cluster.engine_version),
            kms_key: cluster.kms_key_id.clone(),
            endpoint: cluster.endpoint.clone(),
            port: cluster.port.and_then(|port| u16::try_from(port).ok()),
            reader_endpoint: cluster.reader_endpoint.clone(),
            latest_restorable: timestamp(cluster.latest_restorable_time),
            earliest_restorable: timestamp(cluster.earliest_restorable_time),
            settings: ClusterSettings::of(cluster),
            tags: tags(cluster.tag_list()),
            members: members
                .filter_map(|member| {
                    Some(Listed {
                        name: member.db_instance_identifier.clone()?,
                        writer: member.is_cluster_writer == Some(true),
                    })
                })
                .collect(),
            attached: Attached {
                read_replicas: cluster.read_replica_identifiers().to_vec(),
                replicates_from: cluster.replication_source_identifier.clone(),
                // They are settings of a cluster.
                roles: Vec::new(),
                secret: cluster.master_user_secret().and_then(|secret| secret.secret_arn.clone()),
                replicated_backups: Vec::new(),
                activity_stream: matches!(
                    cluster.activity_stream_status(),
                    Some(ActivityStreamStatus::Started | ActivityStreamStatus::Starting)
                ),
            },
            custom_endpoints: cluster.custom_endpoints().to_vec(),
            global_cluster: cluster.global_cluster_identifier.clone().filter(|name| !name.is_empty()),
        }
    }

    /// Aurora keeps its storage apart, so that its instances are made one by one; those of a Multi-AZ DB cluster come by
    /// themselves.
    pub(in crate::rds) fn is_aurora(&self) -> bool {
        self.engine.starts_with("aurora")
    }
}

pub(in crate::rds) fn snapshot(snapshot: &DbClusterSnapshot) -> Snapshot {
    Snapshot {
        name: text(&snapshot.db_cluster_snapshot_identifier),
        status: text(&snapshot.status),
        percent_progress: snapshot.percent_progress,
        taken: timestamp(snapshot.snapshot_create_time),
        instance: text(&snapshot.db_cluster_identifier),
        of: snapshot.db_cluster_resource_id.clone(),
        automated: automated(snapshot.snapshot_type.as_deref(), snapshot.db_cluster_snapshot_identifier.as_deref()),
        engine: text(&snapshot.engine),
        engine_version: text(&snapshot.engine_version),
        allocated_storage: snapshot.allocated_storage,
        encrypted: snapshot.storage_encrypted == Some(true),
        kms_key: snapshot.kms_key_id.clone(),
        arn: snapshot.db_cluster_snapshot_arn.clone(),
        tags: tags(snapshot.tag_list()),
    }
}
