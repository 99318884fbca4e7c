//! The settings as parameters of the calls.

use std::collections::BTreeMap;

use aws_sdk_rds::{
    operation::{
        create_db_instance::builders::CreateDbInstanceInputBuilder,
        modify_db_instance::builders::ModifyDbInstanceInputBuilder,
        restore_db_instance_from_db_snapshot::builders::RestoreDbInstanceFromDbSnapshotInputBuilder,
        restore_db_instance_to_point_in_time::builders::RestoreDbInstanceToPointInTimeInputBuilder,
    },
    types::{CloudwatchLogsExportConfiguration, DatabaseInsightsMode, ProcessorFeature},
};

use super::{Domain, Settings};

fn features(features: &BTreeMap<String, String>) -> Vec<ProcessorFeature> {
    features.iter().map(|(name, value)| ProcessorFeature::builder().name(name).value(value).build()).collect()
}

/// Names a directory on a call's input: RDS takes one form or the other.
macro_rules! join {
    ($input:expr, $domain:expr) => {
        match $domain.clone() {
            None => $input,
            Some(Domain::Managed { directory, iam_role_name }) => {
                $input.domain(directory).set_domain_iam_role_name(iam_role_name)
            }
            Some(Domain::Own { fqdn, ou, auth_secret, dns_ips }) => $input
                .domain_fqdn(fqdn)
                .set_domain_ou(ou)
                .domain_auth_secret_arn(auth_secret)
                .set_domain_dns_ips(Some(dns_ips)),
        }
    };
}

/// Sets on a restore's input what a restore takes. The two calls have these parameters in common, but no type.
macro_rules! on_restore {
    ($input:expr, $settings:expr) => {{
        let settings = $settings;
        let input = $input
            .set_db_instance_class(settings.db_instance_class.clone())
            .set_availability_zone(settings.availability_zone.clone())
            .set_db_subnet_group_name(settings.db_subnet_group.clone())
            .set_vpc_security_group_ids(settings.vpc_security_groups.clone())
            .set_db_parameter_group_name(settings.db_parameter_group.clone())
            .set_option_group_name(settings.option_group.clone())
            .set_multi_az(settings.multi_az)
            .set_storage_type(settings.storage_type.clone())
            .set_iops(settings.iops)
            .set_storage_throughput(settings.storage_throughput)
            .set_allocated_storage(settings.allocated_storage)
            .set_dedicated_log_volume(settings.dedicated_log_volume)
            .set_port(settings.port)
            .set_publicly_accessible(settings.publicly_accessible)
            .set_enable_customer_owned_ip(settings.customer_owned_ip)
            .set_enable_iam_database_authentication(settings.iam_database_authentication)
            .set_enable_cloudwatch_logs_exports(settings.cloudwatch_logs_exports.clone())
            .set_ca_certificate_identifier(settings.ca_certificate.clone())
            .set_auto_minor_version_upgrade(settings.auto_minor_version_upgrade)
            .set_deletion_protection(settings.deletion_protection)
            .set_copy_tags_to_snapshot(settings.copy_tags_to_snapshot)
            .set_network_type(settings.network_type.clone())
            .set_backup_retention_period(settings.backup_retention_days)
            .set_preferred_backup_window(settings.backup_window.clone())
            .set_backup_target(settings.backup_target.clone())
            .set_license_model(settings.license_model.clone())
            .set_engine_lifecycle_support(settings.engine_lifecycle_support.clone())
            .set_processor_features(settings.processor_features.as_ref().map(features))
            .set_custom_iam_instance_profile(settings.custom_iam_instance_profile.clone());
        join!(input, settings.domain)
    }};
}

impl Settings {
    pub(in crate::rds) fn on_snapshot_restore(
        &self,
        input: RestoreDbInstanceFromDbSnapshotInputBuilder,
    ) -> RestoreDbInstanceFromDbSnapshotInputBuilder {
        on_restore!(input, self)
    }

    pub(in crate::rds) fn on_point_in_time_restore(
        &self,
        input: RestoreDbInstanceToPointInTimeInputBuilder,
    ) -> RestoreDbInstanceToPointInTimeInputBuilder {
        on_restore!(input, self).set_max_allocated_storage(self.max_allocated_storage)
    }

    /// What a member of an Aurora cluster has of its own; the rest is the cluster's.
    pub(in crate::rds) fn on_create_member(&self, input: CreateDbInstanceInputBuilder) -> CreateDbInstanceInputBuilder {
        input
            .set_db_instance_class(self.db_instance_class.clone())
            .set_availability_zone(self.availability_zone.clone())
            .set_db_parameter_group_name(self.db_parameter_group.clone())
            .set_publicly_accessible(self.publicly_accessible)
            .set_ca_certificate_identifier(self.ca_certificate.clone())
            .set_auto_minor_version_upgrade(self.auto_minor_version_upgrade)
            .set_preferred_maintenance_window(self.maintenance_window.clone())
            .set_monitoring_interval(self.monitoring_interval_s)
            .set_monitoring_role_arn(self.monitoring_role.clone())
            .set_enable_performance_insights(self.performance_insights)
            .set_performance_insights_kms_key_id(self.performance_insights_kms_key.clone())
            .set_performance_insights_retention_period(self.performance_insights_retention_days)
    }

    /// `logs_before`: the log exports that are on now; the call names only those to switch.
    pub(in crate::rds) fn on_modify(
        &self,
        input: ModifyDbInstanceInputBuilder,
        logs_before: &[String],
    ) -> ModifyDbInstanceInputBuilder {
        let logs = self.cloudwatch_logs_exports.as_ref().map(|wanted| {
            let without = |names: &[String], others: &[String]| {
                names.iter().filter(|name| !others.contains(name)).cloned().collect::<Vec<_>>()
            };
            CloudwatchLogsExportConfiguration::builder()
                .set_enable_log_types(Some(without(wanted, logs_before)))
                .set_disable_log_types(Some(without(logs_before, wanted)))
                .build()
        });
        let input = input
            .set_db_instance_class(self.db_instance_class.clone())
            .set_db_subnet_group_name(self.db_subnet_group.clone())
            .set_vpc_security_group_ids(self.vpc_security_groups.clone())
            .set_db_parameter_group_name(self.db_parameter_group.clone())
            .set_option_group_name(self.option_group.clone())
            .set_multi_az(self.multi_az)
            .set_storage_type(self.storage_type.clone())
            .set_iops(self.iops)
            .set_storage_throughput(self.storage_throughput)
            .set_allocated_storage(self.allocated_storage)
            .set_dedicated_log_volume(self.dedicated_log_volume)
            .set_db_port_number(self.port)
            .set_publicly_accessible(self.publicly_accessible)
            .set_enable_customer_owned_ip(self.customer_owned_ip)
            .set_enable_iam_database_authentication(self.iam_database_authentication)
            .set_cloudwatch_logs_export_configuration(logs)
            .set_ca_certificate_identifier(self.ca_certificate.clone())
            .set_auto_minor_version_upgrade(self.auto_minor_version_upgrade)
            .set_deletion_protection(self.deletion_protection)
            .set_copy_tags_to_snapshot(self.copy_tags_to_snapshot)
            .set_network_type(self.network_type.clone())
            .set_backup_retention_period(self.backup_retention_days)
            .set_preferred_backup_window(self.backup_window.clone())
            .set_manage_master_user_password(self.managed_password.as_ref().map(|_| true))
            .set_master_user_secret_kms_key_id(
                self.managed_password.as_ref().and_then(|managed| managed.kms_key.clone()),
            )
            .set_preferred_maintenance_window(self.maintenance_window.clone())
            .set_max_allocated_storage(self.max_allocated_storage)
            .set_monitoring_interval(self.monitoring_interval_s)
            .set_monitoring_role_arn(self.monitoring_role.clone())
            .set_database_insights_mode(self.database_insights_mode.as_deref().map(DatabaseInsightsMode::from))
            .set_enable_performance_insights(self.performance_insights)
            .set_performance_insights_kms_key_id(self.performance_insights_kms_key.clone())
            .set_performance_insights_retention_period(self.performance_insights_retention_days)
            .set_license_model(self.license_model.clone())
            .set_engine_lifecycle_support(self.engine_lifecycle_support.clone())
            .set_processor_features(self.processor_features.as_ref().map(features));
        join!(input, self.domain)
    }
}
