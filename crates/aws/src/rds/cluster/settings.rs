//! The settings of a cluster, and which call sets each.

use aws_sdk_rds::types::{DbCluster, LocalWriteForwardingStatus};
use serde::{Deserialize, Serialize};

use crate::rds::{
    settings::{Domain, ManagedPassword, sorted},
    state::{Role, text},
};

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
    /// Sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub associated_roles: Option<Vec<Role>>,
    /// RDS manages the master password in Secrets Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_password: Option<ManagedPassword>,
    /// Readers forward writes to the writer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_write_forwarding: Option<bool>,
    /// Of the express configuration of Aurora PostgreSQL, as the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_networking: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internet_access_gateway: Option<bool>,
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
                // Only where it may pause: it is refused where the minimum is above 0 (API reference,
                // `SecondsUntilAutoPause`).
                seconds_until_auto_pause: scaling
                    .seconds_until_auto_pause
                    .filter(|_| scaling.min_capacity.is_some_and(|capacity| capacity <= 0.0)),
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
            network_type: cluster.network_type.clone().filter(|_| aurora),
            domain: cluster.domain_memberships().iter().filter(|_| aurora).find_map(Domain::of),
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
            associated_roles: roles(cluster),
            managed_password: cluster.master_user_secret().map(ManagedPassword::of),
            local_write_forwarding: cluster.local_write_forwarding_status().map(|status| {
                use LocalWriteForwardingStatus::{Enabled, Enabling, Requested};
                matches!(status, Enabled | Enabling | Requested)
            }),
            vpc_networking: cluster.vpc_networking_enabled,
            internet_access_gateway: cluster.internet_access_gateway_enabled,
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
            local_write_forwarding: on(self.local_write_forwarding),
            // They go together, and only where there is a gateway.
            vpc_networking: self.vpc_networking.filter(|_| self.internet_access_gateway == Some(true)),
            internet_access_gateway: on(self.internet_access_gateway),
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

/// None: it has none.
fn roles(cluster: &DbCluster) -> Option<Vec<Role>> {
    let roles = cluster.associated_roles().iter();
    let roles = roles.filter_map(|role| Some(Role { arn: role.role_arn.clone()?, feature: text(&role.feature_name) }));
    let mut roles: Vec<Role> = roles.collect();
    roles.sort_unstable();
    Some(roles).filter(|roles| !roles.is_empty())
}
