//! The settings of a cluster, and which call sets each.

use aws_sdk_rds::{
    operation::{
        modify_db_cluster::builders::ModifyDbClusterInputBuilder,
        restore_db_cluster_from_snapshot::builders::RestoreDbClusterFromSnapshotInputBuilder,
        restore_db_cluster_to_point_in_time::builders::RestoreDbClusterToPointInTimeInputBuilder,
    },
    types::{
        CloudwatchLogsExportConfiguration, DatabaseInsightsMode, DbCluster, ScalingConfiguration,
        ServerlessV2ScalingConfiguration,
    },
};
use serde::{Deserialize, Serialize};

use crate::rds::settings::{Domain, sorted};

/// In the terms of the RDS API. None: the cluster has no such setting, and a call does not name it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_subnet_group: Option<String>,
    /// Ids, sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_security_groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_parameter_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_database_authentication: Option<bool>,
    /// Sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudwatch_logs_exports: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_tags_to_snapshot: Option<bool>,
    /// Of Aurora MySQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backtrack_window_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_retention_days: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serverless_v2_scaling: Option<ServerlessV2>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serverless_v1_scaling: Option<ServerlessV1>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<String>,
    /// Of a Multi-AZ DB cluster, as the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_cluster_instance_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publicly_accessible: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_lifecycle_support: Option<String>,
    /// Of enhanced monitoring; 0: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring_interval_s: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring_role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_insights_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_insights: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_insights_kms_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_insights_retention_days: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_minor_version_upgrade: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_endpoint: Option<bool>,
}

/// In Aurora capacity units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ServerlessV2 {
    pub min_capacity: Option<f64>,
    pub max_capacity: Option<f64>,
    pub seconds_until_auto_pause: Option<i32>,
}

/// The same of the first generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerlessV1 {
    pub min_capacity: Option<i32>,
    pub max_capacity: Option<i32>,
    pub auto_pause: Option<bool>,
    pub seconds_until_auto_pause: Option<i32>,
    pub timeout_action: Option<String>,
    pub seconds_before_timeout: Option<i32>,
}

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
    ("network_type", "NetworkType", Some("NetworkType"), Some("NetworkType"), ""),
    ("domain", "DomainMemberships", Some("Domain"), Some("Domain"), "with `DomainIAMRoleName`"),
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

impl ClusterSettings {
    pub(super) fn of(cluster: &DbCluster) -> Self {
        let aurora = cluster.engine().is_some_and(|engine| engine.starts_with("aurora"));
        let v1 = cluster.engine_mode() == Some("serverless");
        let groups = cluster.vpc_security_groups().iter().filter_map(|group| group.vpc_security_group_id());
        Self {
            db_subnet_group: cluster.db_subnet_group.clone(),
            vpc_security_groups: sorted(groups),
            cluster_parameter_group: cluster.db_cluster_parameter_group.clone(),
            port: cluster.port,
            iam_database_authentication: cluster.iam_database_authentication_enabled,
            cloudwatch_logs_exports: sorted(cluster.enabled_cloudwatch_logs_exports().iter().map(String::as_str)),
            deletion_protection: cluster.deletion_protection,
            copy_tags_to_snapshot: cluster.copy_tags_to_snapshot,
            backtrack_window_s: cluster.backtrack_window,
            backup_retention_days: cluster.backup_retention_period,
            backup_window: cluster.preferred_backup_window.clone(),
            maintenance_window: cluster.preferred_maintenance_window.clone(),
            engine_mode: cluster.engine_mode.clone().filter(|_| aurora),
            serverless_v2_scaling: cluster.serverless_v2_scaling_configuration().map(|scaling| ServerlessV2 {
                min_capacity: scaling.min_capacity,
                max_capacity: scaling.max_capacity,
                seconds_until_auto_pause: scaling.seconds_until_auto_pause,
            }),
            serverless_v1_scaling: cluster.scaling_configuration_info().filter(|_| v1).map(|scaling| ServerlessV1 {
                min_capacity: scaling.min_capacity,
                max_capacity: scaling.max_capacity,
                auto_pause: scaling.auto_pause,
                seconds_until_auto_pause: scaling.seconds_until_auto_pause,
                timeout_action: scaling.timeout_action.clone(),
                seconds_before_timeout: scaling.seconds_before_timeout,
            }),
            storage_type: cluster.storage_type.clone(),
            iops: cluster.iops.filter(|_| !aurora),
            db_cluster_instance_class: cluster.db_cluster_instance_class.clone().filter(|_| !aurora),
            publicly_accessible: cluster.publicly_accessible.filter(|_| !aurora),
            network_type: cluster.network_type.clone(),
            domain: cluster.domain_memberships().iter().find_map(Domain::of),
            engine_lifecycle_support: cluster.engine_lifecycle_support.clone(),
            monitoring_interval_s: cluster.monitoring_interval,
            monitoring_role: cluster.monitoring_role_arn.clone(),
            database_insights_mode: cluster.database_insights_mode().map(|mode| mode.as_str().to_owned()),
            performance_insights: cluster.performance_insights_enabled,
            performance_insights_kms_key: cluster.performance_insights_kms_key_id.clone(),
            performance_insights_retention_days: cluster.performance_insights_retention_period,
            auto_minor_version_upgrade: cluster.auto_minor_version_upgrade.filter(|_| !aurora),
            ca_certificate: cluster
                .certificate_details()
                .filter(|_| !aurora)
                .and_then(|details| details.ca_identifier.clone()),
            http_endpoint: cluster.http_endpoint_enabled,
        }
    }

    /// What is worth a call: see [`Settings::to_carry`](crate::rds::Settings::to_carry).
    #[must_use]
    pub(super) fn worth_carrying(self) -> Self {
        let monitored = self.monitoring_interval_s.is_some_and(|interval_s| interval_s > 0);
        let insights = self.performance_insights == Some(true);
        let on = |setting: Option<bool>| setting.filter(|on| *on);
        Self {
            vpc_security_groups: self.vpc_security_groups.filter(|groups| !groups.is_empty()),
            cluster_parameter_group: self.cluster_parameter_group.filter(|name| !name.starts_with("default.")),
            deletion_protection: on(self.deletion_protection),
            http_endpoint: on(self.http_endpoint),
            backtrack_window_s: self.backtrack_window_s.filter(|window_s| *window_s > 0),
            monitoring_interval_s: self.monitoring_interval_s.filter(|_| monitored),
            monitoring_role: self.monitoring_role.filter(|_| monitored),
            database_insights_mode: self.database_insights_mode.filter(|_| insights),
            performance_insights: on(self.performance_insights),
            performance_insights_kms_key: self.performance_insights_kms_key.filter(|_| insights),
            performance_insights_retention_days: self.performance_insights_retention_days.filter(|_| insights),
            ..self
        }
    }
}

impl ServerlessV2 {
    fn to_sdk(self) -> ServerlessV2ScalingConfiguration {
        ServerlessV2ScalingConfiguration::builder()
            .set_min_capacity(self.min_capacity)
            .set_max_capacity(self.max_capacity)
            .set_seconds_until_auto_pause(self.seconds_until_auto_pause)
            .build()
    }
}

impl ServerlessV1 {
    fn to_sdk(&self) -> ScalingConfiguration {
        ScalingConfiguration::builder()
            .set_min_capacity(self.min_capacity)
            .set_max_capacity(self.max_capacity)
            .set_auto_pause(self.auto_pause)
            .set_seconds_until_auto_pause(self.seconds_until_auto_pause)
            .set_timeout_action(self.timeout_action.clone())
            .set_seconds_before_timeout(self.seconds_before_timeout)
            .build()
    }
}

/// What all three calls take, under the same names but no common type.
macro_rules! shared {
    ($input:expr, $settings:expr) => {{
        let settings = $settings;
        let (directory, role) = match settings.domain.clone() {
            Some(Domain::Managed { directory, iam_role_name }) => (Some(directory), iam_role_name),
            // Clusters join only those that AWS manages.
            Some(Domain::Own { .. }) | None => (None, None),
        };
        $input
            .set_vpc_security_group_ids(settings.vpc_security_groups.clone())
            .set_db_cluster_parameter_group_name(settings.cluster_parameter_group.clone())
            .set_port(settings.port)
            .set_enable_iam_database_authentication(settings.iam_database_authentication)
            .set_deletion_protection(settings.deletion_protection)
            .set_copy_tags_to_snapshot(settings.copy_tags_to_snapshot)
            .set_backtrack_window(settings.backtrack_window_s)
            .set_backup_retention_period(settings.backup_retention_days)
            .set_preferred_backup_window(settings.backup_window.clone())
            .set_serverless_v2_scaling_configuration(settings.serverless_v2_scaling.map(ServerlessV2::to_sdk))
            .set_scaling_configuration(settings.serverless_v1_scaling.as_ref().map(ServerlessV1::to_sdk))
            .set_storage_type(settings.storage_type.clone())
            .set_iops(settings.iops)
            .set_db_cluster_instance_class(settings.db_cluster_instance_class.clone())
            .set_network_type(settings.network_type.clone())
            .set_domain(directory)
            .set_domain_iam_role_name(role)
            .set_engine_lifecycle_support(settings.engine_lifecycle_support.clone())
            .set_monitoring_interval(settings.monitoring_interval_s)
            .set_monitoring_role_arn(settings.monitoring_role.clone())
            .set_enable_performance_insights(settings.performance_insights)
            .set_performance_insights_kms_key_id(settings.performance_insights_kms_key.clone())
            .set_performance_insights_retention_period(settings.performance_insights_retention_days)
    }};
}

macro_rules! on_restore {
    ($input:expr, $settings:expr) => {{
        let settings = $settings;
        shared!($input, settings)
            .set_db_subnet_group_name(settings.db_subnet_group.clone())
            .set_enable_cloudwatch_logs_exports(settings.cloudwatch_logs_exports.clone())
            .set_engine_mode(settings.engine_mode.clone())
            .set_publicly_accessible(settings.publicly_accessible)
    }};
}

impl ClusterSettings {
    pub(super) fn on_snapshot_restore(
        &self,
        input: RestoreDbClusterFromSnapshotInputBuilder,
    ) -> RestoreDbClusterFromSnapshotInputBuilder {
        on_restore!(input, self)
    }

    pub(super) fn on_point_in_time_restore(
        &self,
        input: RestoreDbClusterToPointInTimeInputBuilder,
    ) -> RestoreDbClusterToPointInTimeInputBuilder {
        on_restore!(input, self)
    }

    /// `logs_before`: the log exports that are on now; the call names only those to switch.
    pub(super) fn on_modify(
        &self,
        input: ModifyDbClusterInputBuilder,
        logs_before: &[String],
    ) -> ModifyDbClusterInputBuilder {
        let logs = self.cloudwatch_logs_exports.as_ref().map(|wanted| {
            let without = |names: &[String], others: &[String]| {
                names.iter().filter(|name| !others.contains(name)).cloned().collect::<Vec<_>>()
            };
            CloudwatchLogsExportConfiguration::builder()
                .set_enable_log_types(Some(without(wanted, logs_before)))
                .set_disable_log_types(Some(without(logs_before, wanted)))
                .build()
        });
        shared!(input, self)
            .set_cloudwatch_logs_export_configuration(logs)
            .set_preferred_maintenance_window(self.maintenance_window.clone())
            .set_database_insights_mode(self.database_insights_mode.as_deref().map(DatabaseInsightsMode::from))
            .set_auto_minor_version_upgrade(self.auto_minor_version_upgrade)
            .set_ca_certificate_identifier(self.ca_certificate.clone())
    }
}
