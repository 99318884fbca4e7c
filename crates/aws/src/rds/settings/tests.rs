use aws_sdk_rds::{
    operation::{
        modify_db_instance::ModifyDbInstanceInput,
        restore_db_instance_from_db_snapshot::RestoreDbInstanceFromDbSnapshotInput,
        restore_db_instance_to_point_in_time::RestoreDbInstanceToPointInTimeInput,
    },
    types::{
        CloudwatchLogsExportConfiguration, DatabaseInsightsMode, DbParameterGroupStatus, DbSubnetGroup, Endpoint,
        OptionGroupMembership, ProcessorFeature, VpcSecurityGroupMembership,
    },
};

use super::*;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Every setting has a value of its own, so that a mix-up shows.
pub(in crate::rds) fn full() -> Settings {
    Settings {
        db_instance_class: text("db.r6g.large"),
        availability_zone: text("eu-west-1b"),
        db_subnet_group: text("private"),
        vpc_security_groups: Some(vec!["sg-1".to_owned(), "sg-2".to_owned()]),
        db_parameter_group: text("parameters"),
        option_group: text("options"),
        multi_az: Some(false),
        storage_type: text("gp3"),
        iops: Some(4000),
        storage_throughput: Some(250),
        allocated_storage: Some(200),
        dedicated_log_volume: Some(true),
        additional_storage_volumes: Some([("rdsdbdata2".to_owned(), volume())].into()),
        port: Some(6432),
        publicly_accessible: Some(false),
        customer_owned_ip: Some(true),
        iam_database_authentication: Some(true),
        cloudwatch_logs_exports: Some(vec!["postgresql".to_owned(), "upgrade".to_owned()]),
        domain: Some(Domain::Own {
            fqdn: "corp.example.com".to_owned(),
            ou: text("OU=db,DC=corp"),
            auth_secret: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:join".to_owned(),
            dns_ips: vec!["10.0.0.2".to_owned(), "10.0.0.3".to_owned()],
        }),
        ca_certificate: text("rds-ca-rsa2048-g1"),
        auto_minor_version_upgrade: Some(false),
        deletion_protection: Some(true),
        copy_tags_to_snapshot: Some(true),
        network_type: text("DUAL"),
        license_model: text("postgresql-license"),
        engine_lifecycle_support: text("open-source-rds-extended-support-disabled"),
        processor_features: Some([("coreCount".to_owned(), "2".to_owned())].into()),
        custom_iam_instance_profile: text("AWSRDSCustomProfile"),
        backup_retention_days: Some(14),
        backup_window: text("03:00-04:00"),
        backup_target: text("outposts"),
        managed_password: Some(ManagedPassword { kms_key: text("arn:aws:kms:eu-west-1:111122223333:key/s") }),
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

fn volume() -> Volume {
    Volume {
        storage_type: text("io2"),
        allocated_storage: Some(300),
        iops: Some(5000),
        storage_throughput: None,
        max_allocated_storage: Some(900),
    }
}

fn described() -> DbInstance {
    let group = |id: &str| VpcSecurityGroupMembership::builder().vpc_security_group_id(id).build();
    DbInstance::builder()
        .db_instance_class("db.r6g.large")
        .availability_zone("eu-west-1b")
        .allocated_storage(200)
        .dedicated_log_volume(true)
        .additional_storage_volumes(
            AdditionalStorageVolumeOutput::builder()
                .volume_name("rdsdbdata2")
                .storage_type("io2")
                .allocated_storage(300)
                .iops(5000)
                .max_allocated_storage(900)
                .build(),
        )
        .customer_owned_ip_enabled(true)
        .domain_memberships(
            DomainMembership::builder()
                .domain("d-1")
                .status("joined")
                .fqdn("corp.example.com")
                .ou("OU=db,DC=corp")
                .auth_secret_arn("arn:aws:secretsmanager:eu-west-1:111122223333:secret:join")
                .dns_ips("10.0.0.2")
                .dns_ips("10.0.0.3")
                .build(),
        )
        .license_model("postgresql-license")
        .engine_lifecycle_support("open-source-rds-extended-support-disabled")
        .processor_features(ProcessorFeature::builder().name("coreCount").value("2").build())
        .custom_iam_instance_profile("AWSRDSCustomProfile")
        .backup_target("outposts")
        .db_subnet_group(DbSubnetGroup::builder().db_subnet_group_name("private").build())
        .vpc_security_groups(group("sg-2"))
        .vpc_security_groups(group("sg-1"))
        .db_parameter_groups(DbParameterGroupStatus::builder().db_parameter_group_name("parameters").build())
        .option_group_memberships(OptionGroupMembership::builder().option_group_name("options").build())
        .multi_az(false)
        .storage_type("gp3")
        .iops(4000)
        .storage_throughput(250)
        .db_instance_port(0)
        .endpoint(Endpoint::builder().address("checkout.abc.eu-west-1.rds.amazonaws.com").port(6432).build())
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
        .master_user_secret(MasterUserSecret::builder().kms_key_id("arn:aws:kms:eu-west-1:111122223333:key/s").build())
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
    let carried = |kind, engine| {
        let (on_restore, later) = full().split(kind, engine);
        let (given, carried) = (on_restore.fields(), later.fields());
        assert!(given.keys().all(|name| !carried.contains_key(name)));
        // The volumes come with the data.
        assert_eq!(given.len() + carried.len() + 1, full().fields().len());
        carried.keys().cloned().collect::<Vec<_>>()
    };
    let later = [
        "managed_password",
        "maintenance_window",
        "max_allocated_storage",
        "monitoring_interval_s",
        "monitoring_role",
        "database_insights_mode",
        "performance_insights",
        "performance_insights_kms_key",
        "performance_insights_retention_days",
    ];
    assert_eq!(carried(RestoreKind::Snapshot, "postgres"), later);
    let without_autoscaling: Vec<&str> = later.into_iter().filter(|name| *name != "max_allocated_storage").collect();
    assert_eq!(carried(RestoreKind::PointInTime, "postgres"), without_autoscaling);
    // The one engine whose restore takes nothing of the storage, and no mirror.
    let of_sql_server = carried(RestoreKind::Snapshot, "sqlserver-se");
    for name in ["allocated_storage", "storage_type", "iops", "storage_throughput", "multi_az"] {
        assert!(of_sql_server.iter().any(|carried| carried == name), "{name}: {of_sql_server:?}");
    }
}

#[test]
fn a_restore_from_a_snapshot_gives_them() {
    let input = full().on_snapshot_restore(RestoreDbInstanceFromDbSnapshotInput::builder()).build().unwrap();
    let expected = RestoreDbInstanceFromDbSnapshotInput::builder()
        .db_instance_class("db.r6g.large")
        .availability_zone("eu-west-1b")
        .allocated_storage(200)
        .dedicated_log_volume(true)
        .enable_customer_owned_ip(true)
        .backup_target("outposts")
        .license_model("postgresql-license")
        .engine_lifecycle_support("open-source-rds-extended-support-disabled")
        .processor_features(ProcessorFeature::builder().name("coreCount").value("2").build())
        .custom_iam_instance_profile("AWSRDSCustomProfile")
        .domain_fqdn("corp.example.com")
        .domain_ou("OU=db,DC=corp")
        .domain_auth_secret_arn("arn:aws:secretsmanager:eu-west-1:111122223333:secret:join")
        .domain_dns_ips("10.0.0.2")
        .domain_dns_ips("10.0.0.3")
        .db_subnet_group_name("private")
        .vpc_security_group_ids("sg-1")
        .vpc_security_group_ids("sg-2")
        .db_parameter_group_name("parameters")
        .option_group_name("options")
        .multi_az(false)
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
        .availability_zone("eu-west-1b")
        .allocated_storage(200)
        .dedicated_log_volume(true)
        .enable_customer_owned_ip(true)
        .backup_target("outposts")
        .license_model("postgresql-license")
        .engine_lifecycle_support("open-source-rds-extended-support-disabled")
        .processor_features(ProcessorFeature::builder().name("coreCount").value("2").build())
        .custom_iam_instance_profile("AWSRDSCustomProfile")
        .domain_fqdn("corp.example.com")
        .domain_ou("OU=db,DC=corp")
        .domain_auth_secret_arn("arn:aws:secretsmanager:eu-west-1:111122223333:secret:join")
        .domain_dns_ips("10.0.0.2")
        .domain_dns_ips("10.0.0.3")
        .max_allocated_storage(500)
        .db_subnet_group_name("private")
        .vpc_security_group_ids("sg-1")
        .vpc_security_group_ids("sg-2")
        .db_parameter_group_name("parameters")
        .option_group_name("options")
        .multi_az(false)
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
        .allocated_storage(200)
        .dedicated_log_volume(true)
        .enable_customer_owned_ip(true)
        .license_model("postgresql-license")
        .engine_lifecycle_support("open-source-rds-extended-support-disabled")
        .processor_features(ProcessorFeature::builder().name("coreCount").value("2").build())
        .domain_fqdn("corp.example.com")
        .domain_ou("OU=db,DC=corp")
        .domain_auth_secret_arn("arn:aws:secretsmanager:eu-west-1:111122223333:secret:join")
        .domain_dns_ips("10.0.0.2")
        .domain_dns_ips("10.0.0.3")
        .db_subnet_group_name("private")
        .vpc_security_group_ids("sg-1")
        .vpc_security_group_ids("sg-2")
        .db_parameter_group_name("parameters")
        .option_group_name("options")
        .multi_az(false)
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
        .manage_master_user_password(true)
        .master_user_secret_kms_key_id("arn:aws:kms:eu-west-1:111122223333:key/s")
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
    assert_eq!(missing.keys().collect::<Vec<_>>(), ["storage_type", "iops", "storage_throughput", "allocated_storage"]);
    // Where a volume has IOPS of its own, size and IOPS are told together; and storage never shrinks.
    let grown = Settings { storage_type: text("io1"), allocated_storage: Some(300), ..full() };
    let only_iops = Settings { storage_type: text("io1"), iops: Some(4000), ..Settings::default() };
    assert_eq!(only_iops.with_whole_storage(&grown).allocated_storage, Some(300));
    let smaller = Settings { storage_type: text("io1"), allocated_storage: Some(200), ..Settings::default() };
    assert_eq!(smaller.with_whole_storage(&grown).allocated_storage, Some(300));
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
        dedicated_log_volume: Some(false),
        customer_owned_ip: Some(false),
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
    // SQL Server may have more throughput with the usual IOPS.
    let fast = DbInstance::builder().storage_type("gp3").iops(3000).storage_throughput(500).build();
    assert_eq!((Settings::of(&fast).iops, Settings::of(&fast).storage_throughput), (Some(3000), Some(500)));
    assert_eq!(storage("io1", 3000), (Some(3000), None));
}

#[test]
fn storage_grows_and_never_shrinks() {
    assert_eq!(full().growing_from(Some(100)).allocated_storage, Some(200));
    assert_eq!(full().growing_from(Some(200)).allocated_storage, None);
    assert_eq!(full().growing_from(None).allocated_storage, Some(200));
    let grown = Settings { allocated_storage: Some(300), max_allocated_storage: Some(1000), ..full() };
    assert!(full().differing_from(&grown).is_empty());
    assert_eq!(
        grown.differing_from(&full()).fields().keys().collect::<Vec<_>>(),
        ["allocated_storage", "max_allocated_storage"]
    );
}

#[test]
fn what_aws_chooses_is_not_carried() {
    let multi_az = DbInstance::builder().availability_zone("eu-west-1a").multi_az(true).build();
    assert_eq!(Settings::of(&multi_az).availability_zone, None);
    // What stands in for RDS lends a port of its host.
    let lent = DbInstance::builder().endpoint(Endpoint::builder().address("127.0.0.1").port(40123).build()).build();
    assert_eq!(Settings::of(&lent).port, None);
    let in_region = Settings { backup_target: text("region"), ..Settings::default() };
    assert!(in_region.to_carry().is_empty());
}

#[test]
fn a_managed_directory_is_joined_by_its_id() {
    let member = DomainMembership::builder().domain("d-1").fqdn("corp.example.com").iam_role_name("join").build();
    let instance = DbInstance::builder().domain_memberships(member).build();
    let input = Settings::of(&instance).on_modify(ModifyDbInstanceInput::builder(), &[]).build().unwrap();
    assert_eq!((input.domain(), input.domain_iam_role_name(), input.domain_fqdn()), (Some("d-1"), Some("join"), None));
}

#[test]
fn another_engine_takes_nothing_that_is_named_in_terms_of_this_one() {
    let left = full().for_another_engine().fields();
    for name in ["db_parameter_group", "option_group", "license_model", "cloudwatch_logs_exports", "processor_features"]
    {
        assert!(!left.contains_key(name), "{name}");
    }
    assert!(left.contains_key("db_instance_class") && left.contains_key("vpc_security_groups"));
}
