//! The table against the settings, the calls as they are sent, the model of the API, and the page made of it.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use aws_sdk_rds::{
    operation::{
        modify_db_instance::ModifyDbInstanceInput,
        restore_db_instance_from_db_snapshot::RestoreDbInstanceFromDbSnapshotInput,
        restore_db_instance_to_point_in_time::RestoreDbInstanceToPointInTimeInput,
    },
    types::DbInstance,
};
use belay_aws_catalogue::rds::instance_settings::{Restore, TABLE};
use belay_plan::model::AwsTarget;

use crate::{
    rds::settings::{Settings, tests::full},
    session::Access,
    testing::{self, form},
};

/// What stays as the restore makes it, and why; by the name in `DescribeDBInstances`.
const NOT_CARRIED: &[(&str, &str)] = &[
    ("Engine, EngineVersion, DBName, MasterUsername", "part of the data"),
    ("CharacterSetName, NcharCharacterSetName, Timezone, MultiTenant, DBSystemId", "part of the data"),
    (
        "StorageEncrypted, StorageEncryptionType, KmsKeyId, TdeCredentialArn",
        "the restored data keeps the key of its source",
    ),
    ("AssociatedRoles", "added by `AddRoleToDBInstance` before the names change"),
    (
        "ReadReplicaDBInstanceIdentifiers, ReadReplicaDBClusterIdentifiers",
        "stay with the replaced instance: a difference, `without: [read_replicas]` accepts it",
    ),
    (
        "ReadReplicaSourceDBInstanceIdentifier, ReadReplicaSourceDBClusterIdentifier, ReplicaMode",
        "a restored instance replicates from none: a difference, `without: [replication_source]` accepts it",
    ),
    (
        "DBInstanceAutomatedBackupsReplications",
        "backups in another Region follow the replaced instance: a difference, `without: [cross_region_backups]` accepts it",
    ),
    (
        "DbiResourceId",
        "is new, and IAM policies for database logins name it: a difference where IAM authentication is on, \
         `without: [resource_id]` accepts it",
    ),
    (
        "ActivityStreamStatus, ActivityStreamMode, ActivityStreamKmsKeyId, ActivityStreamKinesisStreamName, \
         ActivityStreamEngineNativeAuditFieldsIncluded, ActivityStreamPolicyStatus",
        "the stream stays with the replaced instance: a difference, `without: [activity_stream]` accepts it",
    ),
    ("DBCapacityReservationIdentifier", "the replaced instance still uses it"),
    ("AutomationMode, ResumeFullAutomationModeTime", "a pause of RDS Custom's automation is of the moment"),
    ("SecondaryAvailabilityZone", "AWS chooses it"),
    ("PromotionTier, DBClusterIdentifier", "of members of a cluster: restore the cluster"),
    ("UpgradeRolloutOrder", "comes from the organisation's upgrade policy"),
    ("DBSecurityGroups", "of EC2-Classic, which is gone"),
    (
        "RDS Proxy targets",
        "the step registers the restored one in place of the replaced (`rds/proxies.rs`); `without: [proxies]` leaves them alone",
    ),
    ("AwsBackupRecoveryPointArn", "of the recovery point that AWS Backup restored it from, which does not change"),
];

/// The names of the parameters that a call sends beside its own action and version.
fn sent(request: &str) -> BTreeSet<String> {
    let of_the_protocol = ["Action", "Version"];
    let names = form(request).into_keys().filter(|name| !of_the_protocol.contains(&name.as_str()));
    names.map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn each_setting_is_sent_as_the_table_says() {
    let endpoint = testing::recording(testing::http("400 Bad Request", "")).await;
    let aws = testing::aws_at(Access::ReadWrite, endpoint.url()).await;
    let clients = aws.clients(&AwsTarget { account: None, ..testing::target() }).await.unwrap();
    let client = &clients.rds.write;
    for setting in TABLE {
        let only = full().only(|name| name == setting.name);
        let expected = |parameter: Option<&str>| -> BTreeSet<String> {
            parameter.map(|name| if name == "Domain" { "DomainFqdn" } else { name }.to_owned()).into_iter().collect()
        };
        let own = |sent: BTreeSet<String>| -> BTreeSet<String> {
            // The rest of the customer's own directory, and the key of the secret.
            let rest = ["DomainOu", "DomainAuthSecretArn", "DomainDnsIps", "MasterUserSecretKmsKeyId"];
            sent.into_iter().filter(|name| !rest.contains(&name.as_str())).collect()
        };
        let (snapshot, point_in_time) = match setting.restore {
            Restore::Both(parameter) => (Some(parameter), Some(parameter)),
            Restore::PointInTime(parameter) => (None, Some(parameter)),
            Restore::No => (None, None),
        };
        let _refused =
            only.on_snapshot_restore(RestoreDbInstanceFromDbSnapshotInput::builder()).send_with(client).await;
        assert_eq!(own(sent(&endpoint.last())), expected(snapshot), "{} of a snapshot restore", setting.name);
        let _refused =
            only.on_point_in_time_restore(RestoreDbInstanceToPointInTimeInput::builder()).send_with(client).await;
        assert_eq!(own(sent(&endpoint.last())), expected(point_in_time), "{} of a point-in-time restore", setting.name);
        let _refused = only.on_modify(ModifyDbInstanceInput::builder(), &[]).send_with(client).await;
        assert_eq!(own(sent(&endpoint.last())), expected(setting.modify), "{} of a modification", setting.name);
    }
}

#[test]
fn the_table_names_every_setting_once() {
    let names: Vec<&str> = TABLE.iter().map(|setting| setting.name).collect();
    let fields = full().fields();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert_eq!(names.iter().copied().collect::<BTreeSet<_>>(), fields.keys().map(String::as_str).collect());
}

/// The fields of `DbInstance` that tell what it is or does, not how it is set.
const NO_SETTINGS: &[&str] = &[
    "db_instance_identifier",
    "db_instance_arn",
    "db_instance_status",
    "instance_create_time",
    "latest_restorable_time",
    "pending_modified_values",
    "status_infos",
    "db_instance_port",
    "listener_endpoint",
    "certificate_details",
    "enhanced_monitoring_resource_arn",
    "automatic_restart_time",
    "percent_progress",
    "is_storage_config_upgrade_available",
    "storage_volume_status",
    "storage_operation_status",
    "storage_operation_percent_progress",
    "tag_list",
];

/// A new field of the API is a setting, is not carried for a reason, or is none: somebody has to say which.
#[test]
fn every_field_of_an_instance_has_its_place() {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let read = TABLE.iter().map(|setting| setting.read.split('.').next().unwrap_or_default());
    let not_carried = NOT_CARRIED.iter().flat_map(|(names, _)| names.split(", "));
    let placed: BTreeSet<String> = read.chain(not_carried).chain(NO_SETTINGS.iter().copied()).map(plain).collect();
    let shown = format!("{:?}", DbInstance::builder().build());
    let fields = shown.trim_start_matches("DbInstance { ").trim_end_matches(" }").split(", ");
    let missing: Vec<&str> = fields
        .filter_map(|field| field.split_once(':'))
        .map(|(name, _)| name)
        .filter(|name| !placed.contains(&plain(name)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn page() -> String {
    let code = |parameter: &str| format!("`{parameter}`");
    let mut page = String::from(
        "| setting | comes from | restore | modify | |\n|---|---|---|---|---|\n| tags | `TagList` | `Tags` | | those of AWS \
         (`aws:`) cannot be given; Belay's own tell the run |\n",
    );
    for setting in TABLE {
        let restore = match setting.restore {
            Restore::Both(parameter) => code(parameter),
            Restore::PointInTime(parameter) => format!("{}, to a point in time", code(parameter)),
            Restore::No => String::new(),
        };
        let modify = setting.modify.map(code).unwrap_or_default();
        let row = format!("| {} | {} | {restore} | {modify} | {} |", setting.name, code(setting.read), setting.note);
        let _ = writeln!(page, "{}", row.replace("|  |", "| |").replace("|  |", "| |"));
    }
    page.push_str("\n| not carried | why |\n|---|---|\n");
    for (what, why) in NOT_CARRIED {
        let _ = writeln!(page, "| {what} | {why} |");
    }
    page
}

#[test]
fn the_page_is_made_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rds/SETTINGS.md");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(&page()), "{} should hold:\n{}", path.display(), page());
}

#[test]
fn settings_of_an_older_journal_are_read() {
    let old: Settings = serde_json::from_str(r#"{"db_instance_class":"db.t3.micro","multi_az":false}"#).unwrap();
    assert_eq!(old.db_instance_class.as_deref(), Some("db.t3.micro"));
}
