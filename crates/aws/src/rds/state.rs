//! What is observed: the instance under each of its names, and what it is restored from.

use std::collections::BTreeMap;

use aws_sdk_rds::{
    primitives::DateTime,
    types::{ActivityStreamStatus, DbInstance, DbSnapshot, PendingModifiedValues, Tag},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{cname::Found, led::Led, links::Links, pending, proxies::Proxied, settings::Settings};

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// When the look began, by the clock of this host.
    pub looked: Timestamp,
    /// Under the plan's name. None, here and below: there is none of that name.
    pub instance: Option<Instance>,
    /// Under the name that this run restores to.
    pub restored: Option<Instance>,
    /// Since when each look has shown the restored one available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<Timestamp>,
    /// Under the name that this run moves the replaced one to.
    pub failed: Option<Instance>,
    /// Where the plan restores from a snapshot.
    pub snapshot: Option<Snapshot>,
    /// The earliest point in time that the automated backups reach; only read where the plan names a point.
    pub earliest_restorable: Option<Timestamp>,
    /// Only read before the restore begins.
    #[serde(default)]
    pub links: Option<Links>,
    /// Where the plan names a record that clients connect to.
    #[serde(default)]
    pub cname: Option<Found>,
    /// Where the name of production leads; only in a run that changes it, before the restore and after the swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub led: Option<Led>,
    /// Where the proxies lead that led to the replaced one; only after the swap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxied: Vec<Proxied>,
}

/// One DB instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// `DBInstanceIdentifier`.
    pub name: String,
    /// `DbiResourceId`: stays the same when the instance is renamed, as the time of its creation does.
    pub resource_id: Option<String>,
    pub status: String,
    /// Changes that wait for the maintenance window, each in a few words: any modification applies them.
    #[serde(default)]
    pub queued: Vec<String>,
    /// The name that a rename under way gives it.
    pub renaming_to: Option<String>,
    /// Whether settings are accepted and not yet in force.
    pub modifying: bool,
    /// What is decided and has not taken effect, each in a few words.
    #[serde(default)]
    pub pending: Vec<String>,
    /// In percent, of what it is busy with; where AWS tells.
    #[serde(default)]
    pub percent_progress: Option<u8>,
    /// Under which it answers. None: not yet.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// On which it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    pub created: Option<Timestamp>,
    pub engine: String,
    pub engine_version: String,
    /// The ARN of the key that its storage is encrypted with.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// Set for a member of an Aurora or Multi-AZ DB cluster.
    pub cluster: Option<String>,
    /// Of a member of an Aurora cluster: 0-15, the lowest is promoted first.
    #[serde(default)]
    pub promotion_tier: Option<i32>,
    /// Up to when it can be restored to a point in time. None: automated backups are off.
    pub latest_restorable: Option<Timestamp>,
    pub settings: Settings,
    pub tags: BTreeMap<String, String>,
    pub attached: Attached,
}

/// What stays with an instance when another one takes its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attached {
    pub read_replicas: Vec<String>,
    /// Of which instance or cluster it is a read replica.
    pub replicates_from: Option<String>,
    pub roles: Vec<Role>,
    /// The ARN of the secret in which RDS manages the master password.
    pub secret: Option<String>,
    /// ARNs of its automated backups in other Regions.
    pub replicated_backups: Vec<String>,
    /// Whether a database activity stream is on.
    pub activity_stream: bool,
}

/// An IAM role by which a database reaches other services.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What it is for: `s3Import`. Empty where one role is for all.
    #[serde(default)]
    pub feature: String,
}

/// A DB snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(default)]
    pub name: String,
    pub status: String,
    pub percent_progress: Option<i32>,
    /// The time of the data that it holds, where RDS tells; else that of the snapshot, of a copied one that of the original.
    pub taken: Option<Timestamp>,
    /// Of which instance it was taken, by the name at that time.
    pub instance: String,
    /// Of which instance or cluster, by the id that stays when it is renamed. None: RDS does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// RDS has taken it by itself, and deletes it when the retention is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automated: bool,
    pub engine: String,
    pub engine_version: String,
    /// In GiB.
    #[serde(default)]
    pub allocated_storage: Option<i32>,
    #[serde(default)]
    pub encrypted: bool,
    /// The ARN of the key that it is encrypted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Instance {
    pub(super) fn of(instance: &DbInstance) -> Self {
        let replicas = instance.read_replica_db_instance_identifiers().iter();
        let modified = instance.pending_modified_values();
        let roles = instance.associated_roles().iter();
        let roles =
            roles.filter_map(|role| Some(Role { arn: role.role_arn.clone()?, feature: text(&role.feature_name) }));
        let cluster_replicas = instance.read_replica_db_cluster_identifiers();
        Self {
            name: text(&instance.db_instance_identifier),
            resource_id: instance.dbi_resource_id.clone(),
            status: text(&instance.db_instance_status),
            renaming_to: modified.and_then(|modified| modified.db_instance_identifier.clone()),
            modifying: modified.is_some_and(|modified| *modified != PendingModifiedValues::builder().build()),
            pending: pending::of_instance(instance),
            queued: pending::queued_on_instance(instance),
            percent_progress: percent(instance.percent_progress.as_deref()),
            endpoint: instance.endpoint().and_then(|endpoint| endpoint.address.clone()),
            port: instance.endpoint().and_then(|endpoint| u16::try_from(endpoint.port?).ok()),
            created: timestamp(instance.instance_create_time),
            engine: text(&instance.engine),
            engine_version: text(&instance.engine_version),
            kms_key: instance.kms_key_id.clone(),
            cluster: instance.db_cluster_identifier.clone(),
            promotion_tier: instance.promotion_tier,
            latest_restorable: timestamp(instance.latest_restorable_time),
            settings: Settings::of(instance),
            tags: tags(instance.tag_list()),
            attached: Attached {
                read_replicas: replicas.chain(cluster_replicas).cloned().collect(),
                roles: roles.collect(),
                secret: instance.master_user_secret().and_then(|secret| secret.secret_arn.clone()),
                replicates_from: instance
                    .read_replica_source_db_instance_identifier
                    .clone()
                    .or_else(|| instance.read_replica_source_db_cluster_identifier.clone()),
                replicated_backups: instance
                    .db_instance_automated_backups_replications()
                    .iter()
                    .filter_map(|backup| backup.db_instance_automated_backups_arn.clone())
                    .collect(),
                activity_stream: matches!(
                    instance.activity_stream_status(),
                    Some(ActivityStreamStatus::Started | ActivityStreamStatus::Starting)
                ),
            },
        }
    }
}

impl Snapshot {
    pub(super) fn of(snapshot: &DbSnapshot) -> Self {
        Self {
            name: text(&snapshot.db_snapshot_identifier),
            status: text(&snapshot.status),
            percent_progress: snapshot.percent_progress,
            taken: timestamp(
                snapshot
                    .snapshot_database_time
                    .or(snapshot.original_snapshot_create_time)
                    .or(snapshot.snapshot_create_time),
            ),
            instance: text(&snapshot.db_instance_identifier),
            of: snapshot.dbi_resource_id.clone(),
            automated: automated(snapshot.snapshot_type.as_deref(), snapshot.db_snapshot_identifier.as_deref()),
            engine: text(&snapshot.engine),
            engine_version: text(&snapshot.engine_version),
            allocated_storage: snapshot.allocated_storage,
            encrypted: snapshot.encrypted == Some(true),
            kms_key: snapshot.kms_key_id.clone(),
            arn: snapshot.db_snapshot_arn.clone(),
            tags: tags(snapshot.tag_list()),
        }
    }
}

/// Its name alone is one that people cannot give.
pub(super) fn automated(kind: Option<&str>, name: Option<&str>) -> bool {
    kind == Some("automated") || name.is_some_and(|name| name.starts_with("rds:"))
}

pub(super) fn percent(text: Option<&str>) -> Option<u8> {
    text?.trim_end_matches('%').parse().ok().filter(|percent| *percent <= 100)
}

pub(super) fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().filter_map(|tag| Some((tag.key.clone()?, text(&tag.value)))).collect()
}

pub(super) fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

pub(super) fn timestamp(time: Option<DateTime>) -> Option<Timestamp> {
    let time = time?;
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
