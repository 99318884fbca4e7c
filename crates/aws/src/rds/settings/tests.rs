use aws_sdk_rds::{
    operation::{
        modify_db_instance::ModifyDbInstanceInput,
        restore_db_instance_from_db_snapshot::RestoreDbInstanceFromDbSnapshotInput,
        restore_db_instance_to_point_in_time::RestoreDbInstanceToPointInTimeInput,
    },
    types::{DbParameterGroupStatus, DbSubnetGroup, Endpoint, OptionGroupMembership, VpcSecurityGroupMembership},
};

use super::*;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Every setting has a value of its own, so that a mix-up shows.
fn full() -> Settings {
    Settings {
        db_instance_class: text("db.r6g.large"),
        db_subnet_group: text("private"),
        vpc_security_groups: Some(vec!["sg-1".to_owned(), "sg-2".to_owned()]),
        db_parameter_group: text("parameters"),
        option_group: text("options"),
        multi_az: Some(true),
        storage_type: text("gp3"),
        iops: Some(4000),
        storage_throughput: Some(250),
        port: Some(6432),
        publicly_accessible: Some(false),
        iam_database_authentication: Some(true),
        cloudwatch_logs_exports: Some(vec!["postgresql".to_owned(), "upgrade".to_owned()]),
        ca_certificate: text("rds-ca-rsa2048-g1"),
        auto_minor_version_upgrade: Some(false),
        deletion_protection: Some(true),
        copy_tags_to_snapshot: Some(true),
        network_type: text("DUAL"),
        backup_retention_days: Some(14),
        backup_window: text("03:00-04:00"),
        maintenance_window: text("sun:05:00-sun:06:00"),
        max_allocated_storage: Some(500),
        monitoring_interval_s: Some(60),
        monitoring_role: text("arn:aws:iam::111122223333:role/monitoring"),
        database_insights_mode: text("advanced"),
        performance_insights: Some(true),
        performance_insights_kms_key: text("arn:aws:kms:eu-west-1:111122223333:key/k"),
        performance_insights_retention_days: Some(465),
    }
}

fn described() -> DbInstance {
    let group = |id: &str| VpcSecurityGroupMembership::builder().vpc_security_group_id(id).build();
    DbInstance::builder()
        .db_instance_class("db.r6g.large")
        .db_subnet_group(DbSubnetGroup::builder().db_subnet_group_name("private").build())
        .vpc_security_groups(group("sg-2"))
        .vpc_security_groups(group("sg-1"))
        .db_parameter_groups(DbParameterGroupStatus::builder().db_parameter_group_name("parameters").build())
        .option_group_memberships(OptionGroupMembership::builder().option_group_name("options").build())
        .multi_az(true)
        .storage_type("gp3")
        .iops(4000)
        .storage_throughput(250)
        .db_instance_port(0)
        .endpoint(Endpoint::builder().port(6432).build())
        .publicly_accessible(false)
        .iam_database_authentication_enabled(true)
        .enabled_cloudwatch_logs_exports("upgrade")
        .enabled_cloudwatch_logs_exports("postgresql")
        .ca_certificate_identifier("rds-ca-rsa2048-g1")
        .auto_minor_version_upgrade(false)
        .deletion_protection(true)
        .copy_tags_to_snapshot(true)
        .network_type("DUAL")
        .backup_retention_period(14)
        .preferred_backup_window("03:00-04:00")
        .preferred_maintenance_window("sun:05:00-sun:06:00")
        .max_allocated_storage(500)
        .monitoring_interval(60)
        .monitoring_role_arn("arn:aws:iam::111122223333:role/monitoring")
        .database_insights_mode(DatabaseInsightsMode::Advanced)
        .performance_insights_enabled(true)
        .performance_insights_kms_key_id("arn:aws:kms:eu-west-1:111122223333:key/k")
        .performance_insights_retention_period(465)
        .build()
}

#[test]
fn every_setting_is_read() {
    assert_eq!(Settings::of(&described()), full());
    assert_eq!(full().to_carry(), full());
}

#[test]
fn every_setting_is_given_on_the_restore_or_carried_later() {
    let (on_restore, later) = full().split();
    let (given, carried) = (on_restore.fields(), later.fields());
    assert!(given.keys().all(|name| !carried.contains_key(name)));
    assert_eq!(given.len() + carried.len(), full().fields().len());
    let carried: Vec<&String> = carried.keys().collect();
    assert_eq!(
        carried,
        [
            "maintenance_window",
            "max_allocated_storage",
            "monitoring_interval_s",
            "monitoring_role",
            "database_insights_mode",
            "performance_insights",
            "performance_insights_kms_key",
            "performance_insights_retention_days",
        ]
    );
}

#[test]
fn a_restore_from_a_snapshot_gives_them() {
    let input = full().on_snapshot_restore(RestoreDbInstanceFromDbSnapshotInput::builder()).build().unwrap();
    let expected = RestoreDbInstanceFromDbSnapshotInput::builder()
        .db_instance_class("db.r6g.large")
        .db_subnet_group_name("private")
        .vpc_security_group_ids("sg-1")
        .vpc_security_group_ids("sg-2")
        .db_parameter_group_name("parameters")
        .option_group_name("options")
        .multi_az(true)
        .storage_type("gp3")
        .iops(4000)
        .storage_throughput(250)
        .port(6432)
        .publicly_accessible(false)
        .enable_iam_database_authentication(true)
        .enable_cloudwatch_logs_exports("postgresql")
        .enable_cloudwatch_logs_exports("upgrade")
        .ca_certificate_identifier("rds-ca-rsa2048-g1")
        .auto_minor_version_upgrade(false)
        .deletion_protection(true)
        .copy_tags_to_snapshot(true)
        .network_type("DUAL")
        .backup_retention_period(14)
        .preferred_backup_window("03:00-04:00")
        .build()
        .unwrap();
    assert_eq!(input, expected);
}

#[test]
fn a_restore_to_a_point_in_time_gives_them() {
    let input = full().on_point_in_time_restore(RestoreDbInstanceToPointInTimeInput::builder()).build().unwrap();
    let expected = RestoreDbInstanceToPointInTimeInput::builder()
        .db_instance_class("db.r6g.large")
        .db_subnet_group_name("private")
        .vpc_security_group_ids("sg-1")
        .vpc_security_group_ids("sg-2")
        .db_parameter_group_name("parameters")
        .option_group_name("options")
        .multi_az(true)
        .storage_type("gp3")
        .iops(4000)
        .storage_throughput(250)
        .port(6432)
        .publicly_accessible(false)
        .enable_iam_database_authentication(true)
        .enable_cloudwatch_logs_exports("postgresql")
        .enable_cloudwatch_logs_exports("upgrade")
        .ca_certificate_identifier("rds-ca-rsa2048-g1")
        .auto_minor_version_upgrade(false)
        .deletion_protection(true)
        .copy_tags_to_snapshot(true)
        .network_type("DUAL")
        .backup_retention_period(14)
        .preferred_backup_window("03:00-04:00")
        .build()
        .unwrap();
    assert_eq!(input, expected);
}

#[test]
fn a_modification_can_set_every_one_of_them() {
    let input = full().on_modify(ModifyDbInstanceInput::builder(), &["postgresql".to_owned(), "slow".to_owned()]);
    let logs =
        CloudwatchLogsExportConfiguration::builder().enable_log_types("upgrade").disable_log_types("slow").build();
    let expected = ModifyDbInstanceInput::builder()
        .db_instance_class("db.r6g.large")
        .db_subnet_group_name("private")
        .vpc_security_group_ids("sg-1")
        .vpc_security_group_ids("sg-2")
        .db_parameter_group_name("parameters")
        .option_group_name("options")
        .multi_az(true)
        .storage_type("gp3")
        .iops(4000)
        .storage_throughput(250)
        .db_port_number(6432)
        .publicly_accessible(false)
        .enable_iam_database_authentication(true)
        .cloudwatch_logs_export_configuration(logs)
        .ca_certificate_identifier("rds-ca-rsa2048-g1")
        .auto_minor_version_upgrade(false)
        .deletion_protection(true)
        .copy_tags_to_snapshot(true)
        .network_type("DUAL")
        .backup_retention_period(14)
        .preferred_backup_window("03:00-04:00")
        .preferred_maintenance_window("sun:05:00-sun:06:00")
        .max_allocated_storage(500)
        .monitoring_interval(60)
        .monitoring_role_arn("arn:aws:iam::111122223333:role/monitoring")
        .database_insights_mode(DatabaseInsightsMode::Advanced)
        .enable_performance_insights(true)
        .performance_insights_kms_key_id("arn:aws:kms:eu-west-1:111122223333:key/k")
        .performance_insights_retention_period(465);
    assert_eq!(input.build().unwrap(), expected.build().unwrap());
}

#[test]
fn each_setting_that_differs_is_missing() {
    assert!(full().missing_from(&full()).is_empty());
    for name in full().fields().keys() {
        let mut fields = full().fields();
        fields.remove(name);
        let without = Settings::deserialize(Value::Object(fields)).unwrap();
        let missing = full().missing_from(&without).fields();
        match full().fields()[name] == Value::Bool(false) {
            true => assert!(missing.is_empty(), "{name}: what is not listed is off"),
            false => assert!(missing.contains_key(name), "{name}"),
        }
    }
}

#[test]
fn what_rds_takes_only_together_comes_together() {
    let fewer_iops = Settings { iops: Some(3500), ..full() };
    let missing = full().missing_from(&fewer_iops).fields();
    assert_eq!(missing.keys().collect::<Vec<_>>(), ["storage_type", "iops", "storage_throughput"]);
    let rarer = Settings { monitoring_interval_s: Some(15), ..full() };
    let missing = full().missing_from(&rarer).fields();
    assert_eq!(missing.keys().collect::<Vec<_>>(), ["monitoring_interval_s", "monitoring_role"]);
}

#[test]
fn nothing_that_protects_is_switched_off() {
    let bare = Settings {
        backup_retention_days: Some(0),
        backup_window: text("03:00-04:00"),
        deletion_protection: Some(false),
        monitoring_interval_s: Some(0),
        performance_insights: Some(false),
        performance_insights_retention_days: Some(7),
        database_insights_mode: text("standard"),
        db_parameter_group: text("default.postgres15"),
        option_group: text("default:postgres-15"),
        vpc_security_groups: Some(Vec::new()),
        ..Settings::default()
    };
    assert!(bare.to_carry().is_empty());
}

#[test]
fn storage_that_is_not_provisioned_names_no_iops() {
    let storage = |kind: &str, iops: i32| {
        let instance = DbInstance::builder().storage_type(kind).iops(iops).storage_throughput(125).build();
        let settings = Settings::of(&instance);
        (settings.iops, settings.storage_throughput)
    };
    assert_eq!(storage("gp2", 100), (None, None));
    // RDS refuses to be told what every small gp3 volume has.
    assert_eq!(storage("gp3", 3000), (None, None));
    assert_eq!(storage("gp3", 12000), (Some(12000), Some(125)));
    assert_eq!(storage("io1", 3000), (Some(3000), None));
}
