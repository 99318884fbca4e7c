//! The one table of what is carried over of a cluster: which setting, where it is read, and which calls set it.

/// Setting, what `DescribeDBClusters` calls it, the parameter of both restores, that of `ModifyDBCluster`, a note.
pub(in crate::rds) type Row = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, &'static str);

/// API reference, RestoreDBClusterFromSnapshot: "Valid for Cluster Type: Multi-AZ DB clusters", and Aurora Limitless.
const OF_MULTI_AZ: &str = "where on; of Aurora by the modification alone";

/// The one table of what is carried over of a cluster: `SETTINGS.md` is made of it, and the tests hold both against the
/// calls as they go over the wire.
pub(in crate::rds) const TABLE: &[Row] = &[
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
    (
        "monitoring_interval_s",
        "MonitoringInterval",
        Some("MonitoringInterval"),
        Some("MonitoringInterval"),
        OF_MULTI_AZ,
    ),
    ("monitoring_role", "MonitoringRoleArn", Some("MonitoringRoleArn"), Some("MonitoringRoleArn"), OF_MULTI_AZ),
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
        OF_MULTI_AZ,
    ),
    (
        "performance_insights_kms_key",
        "PerformanceInsightsKMSKeyId",
        Some("PerformanceInsightsKMSKeyId"),
        Some("PerformanceInsightsKMSKeyId"),
        OF_MULTI_AZ,
    ),
    (
        "performance_insights_retention_days",
        "PerformanceInsightsRetentionPeriod",
        Some("PerformanceInsightsRetentionPeriod"),
        Some("PerformanceInsightsRetentionPeriod"),
        OF_MULTI_AZ,
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
    ("http_endpoint", "HttpEndpointEnabled", None, None, "switched on by `EnableHttpEndpoint`"),
    ("associated_roles", "AssociatedRoles", Some("AssociatedRoles"), None, ""),
    (
        "managed_password",
        "MasterUserSecret",
        None,
        Some("ManageMasterUserPassword"),
        "with `MasterUserSecretKmsKeyId`; it makes a new secret, whose ARN the step tells",
    ),
    ("local_write_forwarding", "LocalWriteForwardingStatus", None, Some("EnableLocalWriteForwarding"), "where on"),
    (
        "vpc_networking",
        "VPCNetworkingEnabled",
        Some("EnableVPCNetworking"),
        None,
        "with the internet access gateway of Aurora PostgreSQL",
    ),
    ("internet_access_gateway", "InternetAccessGatewayEnabled", Some("EnableInternetAccessGateway"), None, "where on"),
];

/// What stays as the restore makes it, and why.
#[cfg(test)]
pub(super) const NOT_CARRIED: &[(&str, &str)] = &[
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

fn parameters(name: &str) -> Option<(Option<&'static str>, Option<&'static str>)> {
    TABLE.iter().find(|row| row.0 == name).map(|row| (row.2, row.3))
}

/// By which parameter a call sets a setting, by whichever call.
pub(in crate::rds) fn parameter(name: &str) -> Option<&'static str> {
    let (restore, modify) = parameters(name)?;
    restore.or(modify)
}

/// What the restore takes.
pub(super) fn on_restore(name: &str, is_aurora: bool) -> bool {
    let multi_az_only =
        ["monitoring_interval_s", "monitoring_role"].contains(&name) || name.starts_with("performance_");
    parameters(name).is_some_and(|(restore, _)| restore.is_some()) && !(is_aurora && multi_az_only)
}

/// What `ModifyDBCluster` takes.
pub(super) fn modifiable(name: &str) -> bool {
    parameters(name).is_some_and(|(_, modify)| modify.is_some())
}

#[cfg(test)]
mod tests;
