//! The one table of what is carried over: which setting, where it is read, and by which parameter each call sets it.
//! `SETTINGS.md` is made of it, and the tests hold both against the calls as they go over the wire.

/// By which parameter a restore sets a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// `RestoreDBInstanceFromDBSnapshot` and `RestoreDBInstanceToPointInTime`.
    Both(&'static str),
    /// `RestoreDBInstanceToPointInTime` only.
    PointInTime(&'static str),
    /// No restore takes it.
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The field of the settings of `belay-aws`.
    pub name: &'static str,
    /// What `DescribeDBInstances` calls it.
    pub read: &'static str,
    pub restore: Restore,
    /// The parameter of `ModifyDBInstance`, if it takes one.
    pub modify: Option<&'static str>,
    /// For people; empty where there is nothing to say.
    pub note: &'static str,
}

/// Set by both restores, and by a modification under the same name.
const fn everywhere(name: &'static str, read: &'static str, parameter: &'static str) -> Setting {
    Setting { name, read, restore: Restore::Both(parameter), modify: Some(parameter), note: "" }
}

/// Set by a modification only, under the name by which it is read.
const fn later(name: &'static str, read: &'static str, modify: &'static str) -> Setting {
    Setting { name, read, restore: Restore::No, modify: Some(modify), note: "" }
}

/// Set by both restores, and never afterwards.
const fn at_birth(name: &'static str, parameter: &'static str) -> Setting {
    Setting { name, read: parameter, restore: Restore::Both(parameter), modify: None, note: "" }
}

impl Setting {
    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// As the settings of `belay-aws` has them, in its order.
pub const TABLE: &[Setting] = &[
    everywhere("db_instance_class", "DBInstanceClass", "DBInstanceClass"),
    at_birth("availability_zone", "AvailabilityZone").note("of a Single-AZ instance; else AWS chooses"),
    everywhere("db_subnet_group", "DBSubnetGroup", "DBSubnetGroupName"),
    everywhere("vpc_security_groups", "VpcSecurityGroups", "VpcSecurityGroupIds"),
    everywhere("db_parameter_group", "DBParameterGroups", "DBParameterGroupName")
        .note("default groups come by themselves; left out for another major version"),
    everywhere("option_group", "OptionGroupMemberships", "OptionGroupName")
        .note("default groups come by themselves; left out for another major version"),
    everywhere("multi_az", "MultiAZ", "MultiAZ"),
    everywhere("storage_type", "StorageType", "StorageType"),
    everywhere("iops", "Iops", "Iops").note("where provisioned: not the 3,000 of every gp3 volume"),
    everywhere("storage_throughput", "StorageThroughput", "StorageThroughput").note("of gp3, where provisioned"),
    everywhere("allocated_storage", "AllocatedStorage", "AllocatedStorage")
        .note("where it is more than the snapshot's: storage never shrinks; of SQL Server only by the modification"),
    everywhere("dedicated_log_volume", "DedicatedLogVolume", "DedicatedLogVolume").note("where on"),
    Setting {
        name: "additional_storage_volumes",
        read: "AdditionalStorageVolumes",
        restore: Restore::No,
        modify: None,
        note: "they come with the data; compared afterwards",
    },
    Setting {
        name: "port",
        read: "Endpoint.Port",
        restore: Restore::Both("Port"),
        modify: Some("DBPortNumber"),
        note: "not where the endpoint is an IP address, which RDS never gives",
    },
    everywhere("publicly_accessible", "PubliclyAccessible", "PubliclyAccessible"),
    everywhere("customer_owned_ip", "CustomerOwnedIpEnabled", "EnableCustomerOwnedIp").note("where on"),
    everywhere("iam_database_authentication", "IAMDatabaseAuthenticationEnabled", "EnableIAMDatabaseAuthentication"),
    Setting {
        name: "cloudwatch_logs_exports",
        read: "EnabledCloudwatchLogsExports",
        restore: Restore::Both("EnableCloudwatchLogsExports"),
        modify: Some("CloudwatchLogsExportConfiguration"),
        note: "",
    },
    everywhere("domain", "DomainMemberships", "Domain").note(
        "`Domain`, `DomainIAMRoleName`; of one's own `DomainFqdn`, `DomainOu`, `DomainAuthSecretArn`, `DomainDnsIps`",
    ),
    everywhere("ca_certificate", "CACertificateIdentifier", "CACertificateIdentifier"),
    everywhere("auto_minor_version_upgrade", "AutoMinorVersionUpgrade", "AutoMinorVersionUpgrade"),
    everywhere("deletion_protection", "DeletionProtection", "DeletionProtection").note("where on"),
    everywhere("copy_tags_to_snapshot", "CopyTagsToSnapshot", "CopyTagsToSnapshot"),
    everywhere("network_type", "NetworkType", "NetworkType"),
    everywhere("license_model", "LicenseModel", "LicenseModel"),
    everywhere("engine_lifecycle_support", "EngineLifecycleSupport", "EngineLifecycleSupport"),
    everywhere("processor_features", "ProcessorFeatures", "ProcessorFeatures"),
    at_birth("custom_iam_instance_profile", "CustomIamInstanceProfile").note("of RDS Custom"),
    everywhere("backup_retention_days", "BackupRetentionPeriod", "BackupRetentionPeriod")
        .note("where backups are on: none is ever switched off"),
    everywhere("backup_window", "PreferredBackupWindow", "PreferredBackupWindow").note("where backups are on"),
    at_birth("backup_target", "BackupTarget").note("where it is not the Region"),
    later("managed_password", "MasterUserSecret", "ManageMasterUserPassword")
        .note("with `MasterUserSecretKmsKeyId`; it makes a new secret, whose ARN the step tells"),
    later("maintenance_window", "PreferredMaintenanceWindow", "PreferredMaintenanceWindow"),
    Setting {
        name: "max_allocated_storage",
        read: "MaxAllocatedStorage",
        restore: Restore::PointInTime("MaxAllocatedStorage"),
        modify: Some("MaxAllocatedStorage"),
        note: "storage autoscaling",
    },
    later("monitoring_interval_s", "MonitoringInterval", "MonitoringInterval").note("enhanced monitoring, where on"),
    later("monitoring_role", "MonitoringRoleArn", "MonitoringRoleArn").note("enhanced monitoring, where on"),
    later("database_insights_mode", "DatabaseInsightsMode", "DatabaseInsightsMode")
        .note("where Performance Insights is on"),
    later("performance_insights", "PerformanceInsightsEnabled", "EnablePerformanceInsights").note("where on"),
    later("performance_insights_kms_key", "PerformanceInsightsKMSKeyId", "PerformanceInsightsKMSKeyId")
        .note("where Performance Insights is on"),
    later(
        "performance_insights_retention_days",
        "PerformanceInsightsRetentionPeriod",
        "PerformanceInsightsRetentionPeriod",
    )
    .note("where Performance Insights is on"),
];

/// # Panics
/// If there is no such setting: the tests hold the table and the fields of the settings together.
pub fn of(name: &str) -> &'static Setting {
    TABLE.iter().find(|setting| setting.name == name).expect("every setting is in the table")
}

/// By which parameter a call sets a setting, by whichever call.
pub fn parameter(name: &str) -> Option<&'static str> {
    let setting = TABLE.iter().find(|setting| setting.name == name)?;
    match setting.restore {
        Restore::Both(parameter) | Restore::PointInTime(parameter) => Some(parameter),
        Restore::No => setting.modify,
    }
}
