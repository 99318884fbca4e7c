//! What is observed: the instance under each of its names, and what it is restored from.

use std::collections::BTreeMap;

use aws_sdk_rds::{
    primitives::DateTime,
    types::{DbInstance, DbSnapshot, PendingModifiedValues},
};
use belay_core::id::RunId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::settings::Settings;

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// When the look began, by the clock of this host.
    pub looked: Timestamp,
    /// Under the plan's name. None, here and below: there is none of that name.
    pub instance: Option<Instance>,
    /// Under the name that this run restores to.
    pub restored: Option<Instance>,
    /// Under the name that this run moves the replaced one to.
    pub failed: Option<Instance>,
    /// Where the plan restores from a snapshot.
    pub snapshot: Option<Snapshot>,
    /// The earliest point in time that the automated backups reach; only read where the plan names a point.
    pub earliest_restorable: Option<Timestamp>,
}

/// One DB instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// `DBInstanceIdentifier`.
    pub name: String,
    /// `DbiResourceId`: stays the same when the instance is renamed, as the time of its creation does.
    pub resource_id: Option<String>,
    pub status: String,
    /// The name that a rename under way gives it.
    pub renaming_to: Option<String>,
    /// Whether settings are accepted and not yet in force.
    pub modifying: bool,
    pub created: Option<Timestamp>,
    pub engine: String,
    pub engine_version: String,
    /// Set for a member of an Aurora or Multi-AZ DB cluster.
    pub cluster: Option<String>,
    /// Up to when it can be restored to a point in time. None: automated backups are off.
    pub latest_restorable: Option<Timestamp>,
    pub settings: Settings,
    pub tags: BTreeMap<String, String>,
    pub attached: Attached,
}

/// What stays with an instance when another one takes its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    pub read_replicas: Vec<String>,
    /// ARNs.
    pub iam_roles: Vec<String>,
    /// Whether RDS manages the master password in Secrets Manager.
    pub managed_password: bool,
}

/// A DB snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub status: String,
    pub percent_progress: Option<i32>,
    /// The state of the data that it holds: of a copied snapshot that of the original.
    pub taken: Option<Timestamp>,
    /// Of which instance it was taken, by the name at that time.
    pub instance: String,
    pub engine: String,
    pub engine_version: String,
}

impl Instance {
    pub(super) fn of(instance: &DbInstance) -> Self {
        let tags = instance.tag_list().iter();
        let replicas = instance.read_replica_db_instance_identifiers().iter();
        let pending = instance.pending_modified_values();
        let cluster_replicas = instance.read_replica_db_cluster_identifiers();
        Self {
            name: text(&instance.db_instance_identifier),
            resource_id: instance.dbi_resource_id.clone(),
            status: text(&instance.db_instance_status),
            renaming_to: pending.and_then(|pending| pending.db_instance_identifier.clone()),
            modifying: pending.is_some_and(|pending| *pending != PendingModifiedValues::builder().build()),
            created: timestamp(instance.instance_create_time),
            engine: text(&instance.engine),
            engine_version: text(&instance.engine_version),
            cluster: instance.db_cluster_identifier.clone(),
            latest_restorable: timestamp(instance.latest_restorable_time),
            settings: Settings::of(instance),
            tags: tags.filter_map(|tag| Some((tag.key.clone()?, text(&tag.value)))).collect(),
            attached: Attached {
                read_replicas: replicas.chain(cluster_replicas).cloned().collect(),
                iam_roles: instance.associated_roles().iter().filter_map(|role| role.role_arn.clone()).collect(),
                managed_password: instance.master_user_secret.is_some(),
            },
        }
    }
}

impl Snapshot {
    pub(super) fn of(snapshot: &DbSnapshot) -> Self {
        Self {
            status: text(&snapshot.status),
            percent_progress: snapshot.percent_progress,
            taken: timestamp(snapshot.original_snapshot_create_time.or(snapshot.snapshot_create_time)),
            instance: text(&snapshot.db_instance_identifier),
            engine: text(&snapshot.engine),
            engine_version: text(&snapshot.engine_version),
        }
    }
}

fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

pub(super) fn timestamp(time: Option<DateTime>) -> Option<Timestamp> {
    let time = time?;
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// The most that RDS allows.
const NAME_CHARS_MAX: usize = 63;

/// The names that a restore gives. They derive from the run: so a lost answer is found again by looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// The plan's, in the lower case that RDS stores.
    pub(super) instance: String,
    pub(super) restored: String,
    pub(super) failed: String,
}

impl Names {
    /// Without a run the names are placeholders, for people only.
    pub(super) fn new(instance: &str, run: Option<&RunId>) -> Self {
        let instance = instance.to_ascii_lowercase();
        let run = run.map_or("<run>", |run| run.0.as_str());
        let derived = |word: &str| {
            let suffix = format!("-{word}-{run}");
            format!("{}{suffix}", stem(&instance, NAME_CHARS_MAX - suffix.len()))
        };
        Self { restored: derived("restored"), failed: derived("failed"), instance }
    }
}

/// As much of a name as fits. Names that differ only behind the cut (the shards of one database) must not become
/// one, so a cut name ends in a hash of the whole.
fn stem(name: &str, chars_max: usize) -> String {
    if name.len() <= chars_max {
        return name.to_owned();
    }
    let digest = Sha256::digest(name);
    let hash = format!("-{:02x}{:02x}", digest[0], digest[1]);
    let cut: String = name.chars().take(chars_max - hash.len()).collect();
    format!("{}{hash}", cut.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(instance: &str) -> Names {
        Names::new(instance, Some(&RunId("01k8abcd2345".to_owned())))
    }

    #[test]
    fn names_derive_from_the_run() {
        let names = names("Checkout");
        assert_eq!(names.instance, "checkout");
        assert_eq!(names.restored, "checkout-restored-01k8abcd2345");
        assert_eq!(names.failed, "checkout-failed-01k8abcd2345");
        assert_eq!(Names::new("checkout", None).restored, "checkout-restored-<run>");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        for length in 30..=63 {
            let base = "a".repeat(length - 2);
            let (one, two) = (names(&format!("{base}-1")), names(&format!("{base}-2")));
            for name in [&one.restored, &one.failed] {
                assert!(name.len() <= NAME_CHARS_MAX && !name.contains("--"), "{name}");
            }
            assert_ne!(one.restored, two.restored);
            assert_ne!(one.failed, two.failed);
        }
        let hyphens = names(&"a-".repeat(31));
        assert!(!hyphens.restored.contains("--") && !hyphens.failed.contains("--"), "{hyphens:?}");
    }
}
