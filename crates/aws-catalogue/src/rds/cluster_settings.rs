//! The one table of what is carried over of a cluster: which setting, where it is read, and which calls set it.

/// Setting, what `DescribeDBClusters` calls it, the parameter of both restores, that of `ModifyDBCluster`, a note.
pub type Row = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, &'static str);

/// API reference, RestoreDBClusterFromSnapshot: "Valid for Cluster Type: Multi-AZ DB clusters", and Aurora Limitless.
const OF_MULTI_AZ: &str = "where on; of Aurora by the modification alone";

/// The one table of what is carried over of a cluster: `SETTINGS.md` is made of it, and the tests hold both against the
/// calls as they go over the wire.
pub const TABLE: &[Row] = &[
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

/// What a member of an Aurora cluster has of its own.
pub const OF_MEMBERS: [&str; 12] = [
    "db_instance_class",
    "availability_zone",
    "db_parameter_group",
    "publicly_accessible",
    "ca_certificate",
    "auto_minor_version_upgrade",
    "maintenance_window",
    "monitoring_interval_s",
    "monitoring_role",
    "performance_insights",
    "performance_insights_kms_key",
    "performance_insights_retention_days",
];

fn parameters(name: &str) -> Option<(Option<&'static str>, Option<&'static str>)> {
    TABLE.iter().find(|row| row.0 == name).map(|row| (row.2, row.3))
}

/// By which parameter a call sets a setting, by whichever call.
pub fn parameter(name: &str) -> Option<&'static str> {
    let (restore, modify) = parameters(name)?;
    restore.or(modify)
}

/// What the restore takes.
pub fn on_restore(name: &str, is_aurora: bool) -> bool {
    let multi_az_only =
        ["monitoring_interval_s", "monitoring_role"].contains(&name) || name.starts_with("performance_");
    parameters(name).is_some_and(|(restore, _)| restore.is_some()) && !(is_aurora && multi_az_only)
}

/// What `ModifyDBCluster` takes.
pub fn modifiable(name: &str) -> bool {
    parameters(name).is_some_and(|(_, modify)| modify.is_some())
}
