//! Changes of a database that are decided and have not taken effect: they come with the next maintenance window or reboot.

use std::fmt::Display;

use aws_sdk_rds::types::{
    ClusterPendingModifiedValues, DbCluster, DbInstance, PendingCloudwatchLogsExports, PendingModifiedValues,
};

use super::status::{Phase, phase};

/// What a parameter or option group says when nothing is pending.
const IN_SYNC: &str = "in-sync";

/// Each in a few words: `engine version to 16.4`.
pub(super) fn of_instance(instance: &DbInstance) -> Vec<String> {
    let modified = instance.pending_modified_values.as_ref().map(of_instance_values).unwrap_or_default();
    let parameters = instance.db_parameter_groups().iter();
    let parameters = parameters.filter_map(|group| {
        out_of_sync("parameter group", &group.db_parameter_group_name, &group.parameter_apply_status)
    });
    let options = instance.option_group_memberships().iter();
    let options = options.filter_map(|group| out_of_sync("option group", &group.option_group_name, &group.status));
    modified.into_iter().chain(parameters).chain(options).collect()
}

/// The same for a cluster, each instance of which applies the cluster's parameters by itself.
pub(super) fn of_cluster(cluster: &DbCluster) -> Vec<String> {
    let modified = cluster.pending_modified_values.as_ref().map(of_cluster_values).unwrap_or_default();
    let parameters = cluster.db_cluster_members().iter().filter_map(|member| {
        out_of_sync(
            "cluster parameter group on",
            &member.db_instance_identifier,
            &member.db_cluster_parameter_group_status,
        )
    });
    let options = cluster.db_cluster_option_group_memberships().iter();
    let options =
        options.filter_map(|group| out_of_sync("option group", &group.db_cluster_option_group_name, &group.status));
    modified.into_iter().chain(parameters).chain(options).collect()
}

/// What RDS applies together with a rename, because a modification that is applied immediately applies everything else, too.
fn applied_by_renaming_instance(instance: &DbInstance) -> Vec<String> {
    without_name(instance.pending_modified_values.as_ref().map(of_instance_values).unwrap_or_default())
}

/// The same of a cluster.
fn applied_by_renaming_cluster(cluster: &DbCluster) -> Vec<String> {
    without_name(cluster.pending_modified_values.as_ref().map(of_cluster_values).unwrap_or_default())
}

fn without_name(mut changes: Vec<String>) -> Vec<String> {
    changes.retain(|change| !change.starts_with("identifier to "));
    changes
}

/// What a rename would apply of an instance that is not changing: while it is, this comes anyway.
pub(super) fn queued_on_instance(instance: &DbInstance) -> Vec<String> {
    let changing = instance.db_instance_status.as_deref().is_none_or(|status| phase(status) == Phase::Changing);
    if changing { Vec::new() } else { applied_by_renaming_instance(instance) }
}

/// The same of a cluster.
pub(super) fn queued_on_cluster(cluster: &DbCluster) -> Vec<String> {
    let changing = cluster.status.as_deref().is_none_or(|status| phase(status) == Phase::Changing);
    if changing { Vec::new() } else { applied_by_renaming_cluster(cluster) }
}

fn of_instance_values(values: &PendingModifiedValues) -> Vec<String> {
    let changes = [
        to("class", &values.db_instance_class),
        to("engine", &values.engine),
        to("engine version", &values.engine_version),
        to("identifier", &values.db_instance_identifier),
        to("storage (GiB)", &values.allocated_storage),
        to("storage type", &values.storage_type),
        to("IOPS", &values.iops),
        to("storage throughput", &values.storage_throughput),
        to("port", &values.port),
        to("Multi-AZ", &values.multi_az),
        to("subnet group", &values.db_subnet_group_name),
        to("backup retention (days)", &values.backup_retention_period),
        to("CA certificate", &values.ca_certificate_identifier),
        to("licence model", &values.license_model),
        to("IAM authentication", &values.iam_database_authentication_enabled),
        to("dedicated log volume", &values.dedicated_log_volume),
        to("multi-tenant", &values.multi_tenant),
        to("automation mode", &values.automation_mode),
        to("capacity reservation", &values.db_capacity_reservation_identifier),
        values.master_user_password.as_ref().map(|_| "master password".to_owned()),
        values.pending_cloudwatch_logs_exports.as_ref().and_then(log_exports),
        any("processor features", values.processor_features().is_empty()),
        any("additional storage volumes", values.additional_storage_volumes().is_empty()),
    ];
    changes.into_iter().flatten().collect()
}

fn of_cluster_values(values: &ClusterPendingModifiedValues) -> Vec<String> {
    let certificate = values.certificate_details.as_ref();
    let changes = [
        to("engine version", &values.engine_version),
        to("identifier", &values.db_cluster_identifier),
        to("storage (GiB)", &values.allocated_storage),
        to("storage type", &values.storage_type),
        to("IOPS", &values.iops),
        to("backup retention (days)", &values.backup_retention_period),
        to("IAM authentication", &values.iam_database_authentication_enabled),
        certificate.and_then(|certificate| to("CA certificate", &certificate.ca_identifier)),
        values.master_user_password.as_ref().map(|_| "master password".to_owned()),
        values.pending_cloudwatch_logs_exports.as_ref().and_then(log_exports),
        values.rds_custom_cluster_configuration.as_ref().map(|_| "RDS Custom configuration".to_owned()),
    ];
    changes.into_iter().flatten().collect()
}

fn to<T: Display>(what: &str, value: &Option<T>) -> Option<String> {
    value.as_ref().map(|value| format!("{what} to {value}"))
}

fn any(what: &str, is_none: bool) -> Option<String> {
    (!is_none).then(|| what.to_owned())
}

fn log_exports(logs: &PendingCloudwatchLogsExports) -> Option<String> {
    any("log exports", logs.log_types_to_enable().is_empty() && logs.log_types_to_disable().is_empty())
}

fn out_of_sync(what: &str, name: &Option<String>, status: &Option<String>) -> Option<String> {
    let status = status.as_deref().filter(|status| *status != IN_SYNC)?;
    Some(format!("{what} {} is {status}", name.as_deref().unwrap_or("without a name")))
}
