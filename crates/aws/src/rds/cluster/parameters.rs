//! The settings of a cluster as parameters of the calls.

use aws_sdk_rds::{
    operation::{
        modify_db_cluster::builders::ModifyDbClusterInputBuilder,
        restore_db_cluster_from_snapshot::builders::RestoreDbClusterFromSnapshotInputBuilder,
        restore_db_cluster_to_point_in_time::builders::RestoreDbClusterToPointInTimeInputBuilder,
    },
    types::{
        CloudwatchLogsExportConfiguration, DatabaseInsightsMode, DbClusterAssociatedRole, ScalingConfiguration,
        ServerlessV2ScalingConfiguration,
    },
};

use super::settings::{ClusterSettings, ServerlessV1, ServerlessV2};
use crate::rds::{settings::Domain, state::Role};

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

/// None where one has no ARN, which RDS does not answer.
fn roles(roles: &[Role]) -> Option<Vec<DbClusterAssociatedRole>> {
    let role = |role: &Role| {
        let feature = Some(role.feature.clone()).filter(|feature| !feature.is_empty());
        DbClusterAssociatedRole::builder().role_arn(&role.arn).set_feature_name(feature).build().ok()
    };
    roles.iter().map(role).collect()
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
            .set_associated_roles(settings.associated_roles.as_deref().and_then(roles))
            .set_enable_vpc_networking(settings.vpc_networking)
            .set_enable_internet_access_gateway(settings.internet_access_gateway)
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
            .set_manage_master_user_password(self.managed_password.as_ref().map(|_| true))
            .set_master_user_secret_kms_key_id(
                self.managed_password.as_ref().and_then(|managed| managed.kms_key.clone()),
            )
            .set_enable_local_write_forwarding(self.local_write_forwarding)
    }
}
