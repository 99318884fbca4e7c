//! The one table of what is carried over of a cluster: which setting, where it is read, and which calls set it.

/// Setting, what `DescribeDBClusters` calls it, the parameter of both restores, that of `ModifyDBCluster`, a note.
pub(super) type Row = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, &'static str);

/// The one table of what is carried over of a cluster: `SETTINGS.md` is made of it, and the tests hold both against the
/// calls as they go over the wire.
pub(super) const TABLE: &[Row] = &[
    ("db_subnet_group", "DBSubnetGroup", Some("DBSubnetGroupName"), None, ""),
    ("vpc_security_groups", "VpcSecurityGroups", Some("VpcSecurityGroupIds"), Some("VpcSecurityGroupIds"), ""),
    (
        "cluster_parameter_group",
        "DBClusterParameterGroup",
        Some("DBClusterParameterGroupName"),
        Some("DBClusterParameterGroupName"),
        "default groups come by themselves; left out for another major version",
    ),
    ("port", "Port", Some("Port"), Some("Port"), ""),
    (
        "iam_database_authentication",
        "IAMDatabaseAuthenticationEnabled",
        Some("EnableIAMDatabaseAuthentication"),
        Some("EnableIAMDatabaseAuthentication"),
        "",
    ),
    (
        "cloudwatch_logs_exports",
        "EnabledCloudwatchLogsExports",
        Some("EnableCloudwatchLogsExports"),
        Some("CloudwatchLogsExportConfiguration"),
        "",
    ),
    ("deletion_protection", "DeletionProtection", Some("DeletionProtection"), Some("DeletionProtection"), "where on"),
    ("copy_tags_to_snapshot", "CopyTagsToSnapshot", Some("CopyTagsToSnapshot"), Some("CopyTagsToSnapshot"), ""),
    ("backtrack_window_s", "BacktrackWindow", Some("BacktrackWindow"), Some("BacktrackWindow"), "where on"),
    (
        "backup_retention_days",
        "BackupRetentionPeriod",
        Some("BackupRetentionPeriod"),
        Some("BackupRetentionPeriod"),
        "",
    ),
    ("backup_window", "PreferredBackupWindow", Some("PreferredBackupWindow"), Some("PreferredBackupWindow"), ""),
    ("maintenance_window", "PreferredMaintenanceWindow", None, Some("PreferredMaintenanceWindow"), ""),
    ("engine_mode", "EngineMode", Some("EngineMode"), None, "of Aurora"),
    (
        "serverless_v2_scaling",
        "ServerlessV2ScalingConfiguration",
        Some("ServerlessV2ScalingConfiguration"),
        Some("ServerlessV2ScalingConfiguration"),
        "",
    ),
    (
        "serverless_v1_scaling",
        "ScalingConfigurationInfo",
        Some("ScalingConfiguration"),
        Some("ScalingConfiguration"),
        "of the engine mode `serverless`",
    ),
    ("storage_type", "StorageType", Some("StorageType"), Some("StorageType"), ""),
    ("iops", "Iops", Some("Iops"), Some("Iops"), "of a Multi-AZ DB cluster"),
    (
        "db_cluster_instance_class",
        "DBClusterInstanceClass",
        Some("DBClusterInstanceClass"),
        Some("DBClusterInstanceClass"),
        "of a Multi-AZ DB cluster",
    ),
    ("publicly_accessible", "PubliclyAccessible", Some("PubliclyAccessible"), None, "of a Multi-AZ DB cluster"),
    ("network_type", "NetworkType", Some("NetworkType"), Some("NetworkType"), "of Aurora"),
    ("domain", "DomainMemberships", Some("Domain"), Some("Domain"), "of Aurora, with `DomainIAMRoleName`"),
    (
        "engine_lifecycle_support",
        "EngineLifecycleSupport",
        Some("EngineLifecycleSupport"),
        Some("EngineLifecycleSupport"),
        "",
    ),
    ("monitoring_interval_s", "MonitoringInterval", Some("MonitoringInterval"), Some("MonitoringInterval"), "where on"),
    ("monitoring_role", "MonitoringRoleArn", Some("MonitoringRoleArn"), Some("MonitoringRoleArn"), "where on"),
    (
        "database_insights_mode",
        "DatabaseInsightsMode",
        None,
        Some("DatabaseInsightsMode"),
        "where Performance Insights is on",
    ),
    (
        "performance_insights",
        "PerformanceInsightsEnabled",
        Some("EnablePerformanceInsights"),
        Some("EnablePerformanceInsights"),
        "where on",
    ),
    (
        "performance_insights_kms_key",
        "PerformanceInsightsKMSKeyId",
        Some("PerformanceInsightsKMSKeyId"),
        Some("PerformanceInsightsKMSKeyId"),
        "where on",
    ),
    (
        "performance_insights_retention_days",
        "PerformanceInsightsRetentionPeriod",
        Some("PerformanceInsightsRetentionPeriod"),
        Some("PerformanceInsightsRetentionPeriod"),
        "where on",
    ),
    (
        "auto_minor_version_upgrade",
        "AutoMinorVersionUpgrade",
        None,
        Some("AutoMinorVersionUpgrade"),
        "of a Multi-AZ DB cluster; of Aurora its members have it",
    ),
    (
        "ca_certificate",
        "CertificateDetails",
        None,
        Some("CACertificateIdentifier"),
        "of a Multi-AZ DB cluster; of Aurora its members have it",
    ),
    (
        "http_endpoint",
        "HttpEndpointEnabled",
        None,
        None,
        "compared afterwards: switch it on again by `EnableHttpEndpoint`",
    ),
];

/// What stays as the restore makes it, and why.
#[cfg(test)]
pub(super) const NOT_CARRIED: &[(&str, &str)] = &[
    ("GlobalClusterIdentifier", "a member of a global database is not replaced: remove it from there first"),
    ("CustomEndpoints", "their names belong to the replaced cluster as long as it is there; the step names them"),
    (
        "AssociatedRoles, ReadReplicaIdentifiers, ActivityStreamStatus",
        "stay with the replaced cluster; the step names them",
    ),
    ("ReplicationSourceIdentifier", "a restored cluster replicates from none; the step says so"),
    ("MasterUserSecret", "the password of the data holds; have it managed again afterwards"),
    ("AvailabilityZones", "the subnet group decides; each member keeps its own"),
    ("AllocatedStorage", "of a Multi-AZ DB cluster as in the snapshot; Aurora's grows by itself"),
    ("Engine, EngineVersion, DatabaseName, MasterUsername, CharacterSetName, KmsKeyId", "part of the data"),
];

fn parameters(name: &str) -> (Option<&'static str>, Option<&'static str>) {
    let row = TABLE.iter().find(|row| row.0 == name).expect("every setting is in the table");
    (row.2, row.3)
}

/// What the restore takes.
pub(super) fn on_restore(name: &str) -> bool {
    parameters(name).0.is_some()
}

/// What `ModifyDBCluster` takes.
pub(super) fn modifiable(name: &str) -> bool {
    parameters(name).1.is_some()
}

#[cfg(test)]
mod tests;
