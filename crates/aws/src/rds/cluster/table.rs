//! The table against the settings, the calls as they are sent, and the page made of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use aws_sdk_rds::operation::{
    modify_db_cluster::ModifyDbClusterInput, restore_db_cluster_from_snapshot::RestoreDbClusterFromSnapshotInput,
    restore_db_cluster_to_point_in_time::RestoreDbClusterToPointInTimeInput,
};
use aws_sdk_rds::types::DbCluster;
use belay_aws_catalogue::rds::cluster_settings::TABLE;
use belay_plan::model::AwsTarget;

use crate::{
    rds::{
        cluster::{
            calls::ClusterCall,
            settings::{ClusterSettings, ServerlessV1, ServerlessV2},
        },
        fields,
        settings::{Domain, ManagedPassword, tests::full as full_of_an_instance},
        state::Role,
    },
    session::Access,
    testing::{self, form},
};

/// What stays as the restore makes it, and why.
const NOT_CARRIED: &[(&str, &str)] = &[
    ("GlobalClusterIdentifier", "a member of a global database is not replaced: remove it from there first"),
    (
        "GlobalWriteForwardingStatus, GlobalWriteForwardingRequested",
        "of members of a global database, which are not replaced",
    ),
    ("ClusterScalabilityType, LimitlessDatabase", "Aurora Limitless Database is not replaced"),
    (
        "CustomEndpoints",
        "their names belong to the replaced cluster as long as it is there: a difference, `without: [custom_endpoints]` accepts it",
    ),
    (
        "ReadReplicaIdentifiers",
        "go on to replicate from the replaced cluster: a difference, `without: [read_replicas]` accepts it",
    ),
    (
        "ActivityStreamStatus, ActivityStreamMode, ActivityStreamKmsKeyId, ActivityStreamKinesisStreamName",
        "the stream stays with the replaced cluster: a difference, `without: [activity_stream]` accepts it",
    ),
    (
        "ReplicationSourceIdentifier",
        "a restored cluster replicates from none: a difference, `without: [replication_source]` accepts it",
    ),
    (
        "DbClusterResourceId",
        "is new, and IAM policies for database logins name it: a difference where IAM authentication is on, \
         `without: [resource_id]` accepts it",
    ),
    ("AvailabilityZones, MultiAZ", "the subnet group decides; each member keeps its own"),
    ("AllocatedStorage, StorageThroughput", "of a Multi-AZ DB cluster as in the snapshot; Aurora's grows by itself"),
    ("Engine, EngineVersion, DatabaseName, MasterUsername, CharacterSetName, DBSystemId", "part of the data"),
    ("StorageEncrypted, StorageEncryptionType, KmsKeyId", "the restored data keeps the key of its source"),
    ("DBClusterOptionGroupMemberships", "of engines that are no more"),
    ("RdsCustomClusterConfiguration", "RDS Custom is not replaced"),
    ("ServerlessV2PlatformVersion", "AWS chooses it"),
    ("UpgradeRolloutOrder", "comes from the organisation's upgrade policy"),
    ("CloneGroupId, CrossAccountClone", "of the volume and those who share it"),
    ("AwsBackupRecoveryPointArn", "of the recovery point that AWS Backup restored it from, which does not change"),
];

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn full() -> ClusterSettings {
    ClusterSettings {
        db_subnet_group: text("private"),
        vpc_security_groups: Some(vec!["sg-1".to_owned()]),
        cluster_parameter_group: text("shop-cluster"),
        port: Some(6432),
        iam_database_authentication: Some(true),
        cloudwatch_logs_exports: Some(vec!["postgresql".to_owned()]),
        deletion_protection: Some(true),
        copy_tags_to_snapshot: Some(true),
        backtrack_window_s: Some(3600),
        backup_retention_days: Some(14),
        backup_window: text("03:00-04:00"),
        maintenance_window: text("sun:05:00-sun:06:00"),
        engine_mode: text("provisioned"),
        serverless_v2_scaling: Some(ServerlessV2 {
            min_capacity: Some(0.5),
            max_capacity: Some(16.0),
            seconds_until_auto_pause: None,
        }),
        serverless_v1_scaling: Some(ServerlessV1 {
            min_capacity: Some(2),
            max_capacity: Some(8),
            auto_pause: Some(true),
            seconds_until_auto_pause: Some(300),
            timeout_action: text("RollbackCapacityChange"),
            seconds_before_timeout: Some(300),
        }),
        storage_type: text("aurora-iopt1"),
        iops: Some(3000),
        db_cluster_instance_class: text("db.r6gd.large"),
        publicly_accessible: Some(true),
        network_type: text("DUAL"),
        domain: Some(Domain::Managed { directory: "d-1".to_owned(), iam_role_name: None }),
        engine_lifecycle_support: text("open-source-rds-extended-support"),
        monitoring_interval_s: Some(30),
        monitoring_role: text("arn:aws:iam::111122223333:role/monitoring"),
        database_insights_mode: text("advanced"),
        performance_insights: Some(true),
        performance_insights_kms_key: text("key"),
        performance_insights_retention_days: Some(465),
        auto_minor_version_upgrade: Some(false),
        ca_certificate: text("rds-ca-rsa2048-g1"),
        http_endpoint: Some(true),
        associated_roles: Some(vec![Role {
            arn: "arn:aws:iam::111122223333:role/s3".to_owned(),
            feature: "s3Import".to_owned(),
        }]),
        managed_password: Some(ManagedPassword { kms_key: text("key") }),
        local_write_forwarding: Some(true),
        vpc_networking: Some(true),
        internet_access_gateway: Some(true),
    }
}

/// The names of the parameters that a call sends beside its own action and version.
fn sent(request: &str) -> BTreeSet<String> {
    let of_the_protocol = ["Action", "Version"];
    let of_the_protocol = [&of_the_protocol[..], &["MasterUserSecretKmsKeyId"]].concat();
    let names = form(request).into_keys().filter(|name| !of_the_protocol.contains(&name.as_str()));
    names.map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn each_setting_is_sent_as_the_table_says() {
    let endpoint = testing::recording(testing::http("400 Bad Request", "")).await;
    let aws = testing::aws_at(Access::ReadWrite, endpoint.url()).await;
    let clients = aws.clients(&AwsTarget { account: None, ..testing::target() }).await.unwrap();
    let client = &clients.rds.write;
    for (name, _, restore, modify, _) in TABLE {
        let only = fields::only(&full(), |other| other == *name);
        let expected =
            |parameter: &Option<&str>| parameter.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let _refused = only.on_snapshot_restore(RestoreDbClusterFromSnapshotInput::builder()).send_with(client).await;
        assert_eq!(sent(&endpoint.last()), expected(restore), "{name} of a snapshot restore");
        let _refused =
            only.on_point_in_time_restore(RestoreDbClusterToPointInTimeInput::builder()).send_with(client).await;
        assert_eq!(sent(&endpoint.last()), expected(restore), "{name} of a point-in-time restore");
        let _refused = only.on_modify(ModifyDbClusterInput::builder(), &[]).send_with(client).await;
        assert_eq!(sent(&endpoint.last()), expected(modify), "{name} of a modification");
    }
}

#[tokio::test]
async fn a_member_is_made_by_its_own_parameters() {
    let endpoint = testing::recording(testing::http("400 Bad Request", "")).await;
    let aws = testing::aws_at(Access::ReadWrite, endpoint.url()).await;
    let clients = aws.clients(&AwsTarget { account: None, ..testing::target() }).await.unwrap();
    let call = ClusterCall::CreateMember {
        cluster: "shop-restored-r".to_owned(),
        name: "shop-1-restored-r".to_owned(),
        engine: "aurora-mysql".to_owned(),
        settings: full_of_an_instance(),
        promotion_tier: Some(1),
        tags: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
    };
    let _refused = call.send(&clients.rds.write).await;
    let told = form(&endpoint.last());
    let expected = [
        ("Action", "CreateDBInstance"),
        ("DBClusterIdentifier", "shop-restored-r"),
        ("DBInstanceIdentifier", "shop-1-restored-r"),
        ("Engine", "aurora-mysql"),
        ("DBInstanceClass", "db.r6g.large"),
        ("AvailabilityZone", "eu-west-1b"),
        ("DBParameterGroupName", "parameters"),
        ("PromotionTier", "1"),
        ("PubliclyAccessible", "false"),
        ("CACertificateIdentifier", "rds-ca-rsa2048-g1"),
        ("AutoMinorVersionUpgrade", "false"),
        ("PreferredMaintenanceWindow", "sun:05:00-sun:06:00"),
        ("MonitoringInterval", "60"),
        ("MonitoringRoleArn", "arn:aws:iam::111122223333:role/monitoring"),
        ("EnablePerformanceInsights", "true"),
        ("PerformanceInsightsKMSKeyId", "arn:aws:kms:eu-west-1:111122223333:key/k"),
        ("PerformanceInsightsRetentionPeriod", "465"),
        ("Tags.Tag.1.Key", "team"),
        ("Tags.Tag.1.Value", "shop"),
        ("Version", "2014-10-31"),
    ];
    let expected: BTreeMap<String, String> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(told, expected);
}

/// The fields of `DbCluster` that tell what it is or does, not how it is set.
const NO_SETTINGS: &[&str] = &[
    "db_cluster_identifier",
    "db_cluster_arn",
    "status",
    "percent_progress",
    "earliest_restorable_time",
    "latest_restorable_time",
    "endpoint",
    "reader_endpoint",
    "status_infos",
    "db_cluster_members",
    "hosted_zone_id",
    "cluster_create_time",
    "earliest_backtrack_time",
    "backtrack_consumed_change_records",
    "capacity",
    "pending_modified_values",
    "io_optimized_next_allowed_modification_time",
    "automatic_restart_time",
    "tag_list",
];

/// A new field of the API is a setting, is not carried for a reason, or is none: somebody has to say which.
#[test]
fn every_field_of_a_cluster_has_its_place() {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let read = TABLE.iter().map(|row| row.1);
    let not_carried = NOT_CARRIED.iter().flat_map(|(names, _)| names.split(", "));
    let placed: BTreeSet<String> = read.chain(not_carried).chain(NO_SETTINGS.iter().copied()).map(plain).collect();
    let shown = format!("{:?}", DbCluster::builder().build());
    let fields = shown.trim_start_matches("DbCluster { ").trim_end_matches(" }").split(", ");
    let names = fields.filter_map(|field| field.split_once(':')).map(|(name, _)| name);
    let missing: Vec<&str> = names.filter(|name| !placed.contains(&plain(name))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_page_is_made_of_the_table() {
    let names: BTreeSet<&str> = TABLE.iter().map(|row| row.0).collect();
    assert_eq!(names, fields::fields(&full()).keys().map(String::as_str).collect());
    let code = |parameter: &Option<&str>| parameter.map(|name| format!("`{name}`")).unwrap_or_default();
    let mut page = String::from("| setting of a cluster | comes from | restore | modify | |\n|---|---|---|---|---|\n");
    for (name, read, restore, modify, note) in TABLE {
        let row = format!("| {name} | `{read}` | {} | {} | {note} |", code(restore), code(modify));
        let _ = writeln!(page, "{}", row.replace("|  |", "| |").replace("|  |", "| |"));
    }
    page.push_str("\n| not carried | why |\n|---|---|\n");
    for (what, why) in NOT_CARRIED {
        let _ = writeln!(page, "| {what} | {why} |");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rds/SETTINGS.md");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(&page), "{} should hold:\n{page}", path.display());
}
