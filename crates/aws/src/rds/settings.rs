//! The settings of an instance that a restore does not bring back by itself, and how they are carried over.
//!
//! A restored instance has the default security group, the default parameter group, is Single-AZ, and so on, unless the
//! call says otherwise. So everything here is read from the instance that is replaced, and given on the restore; what a
//! restore cannot take is carried over by one `ModifyDBInstance` once the new instance is available.

use aws_sdk_rds::{
    operation::{
        modify_db_instance::builders::ModifyDbInstanceInputBuilder,
        restore_db_instance_from_db_snapshot::builders::RestoreDbInstanceFromDbSnapshotInputBuilder,
        restore_db_instance_to_point_in_time::builders::RestoreDbInstanceToPointInTimeInputBuilder,
    },
    types::{CloudwatchLogsExportConfiguration, DatabaseInsightsMode, DbInstance},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// In the terms of the RDS API. None: the instance has no such setting, and a call does not name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_instance_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_subnet_group: Option<String>,
    /// Ids, sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_security_groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_parameter_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_az: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<String>,
    /// Only where it is provisioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<i32>,
    /// In MiB/s, only where it is provisioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_throughput: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publicly_accessible: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_database_authentication: Option<bool>,
    /// Sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudwatch_logs_exports: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_minor_version_upgrade: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_tags_to_snapshot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_retention_days: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_window: Option<String>,
    /// In GiB: up to where the storage grows by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_allocated_storage: Option<i32>,
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
}

/// The IOPS that every gp3 volume has. Below a size that depends on the engine RDS refuses to be told them.
const GP3_BASELINE_IOPS: i32 = 3000;

impl Settings {
    pub fn of(instance: &DbInstance) -> Self {
        let security_groups = instance.vpc_security_groups().iter().filter_map(|group| group.vpc_security_group_id());
        let storage_type = instance.storage_type.clone();
        let provisioned = match storage_type.as_deref() {
            Some("io1" | "io2") => true,
            Some("gp3") => instance.iops != Some(GP3_BASELINE_IOPS),
            _ => false,
        };
        let gp3 = storage_type.as_deref() == Some("gp3");
        Self {
            db_instance_class: instance.db_instance_class.clone(),
            db_subnet_group: instance.db_subnet_group().and_then(|group| group.db_subnet_group_name.clone()),
            vpc_security_groups: sorted(security_groups),
            db_parameter_group: instance.db_parameter_groups().first().and_then(|g| g.db_parameter_group_name.clone()),
            option_group: instance.option_group_memberships().first().and_then(|g| g.option_group_name.clone()),
            multi_az: instance.multi_az,
            storage_type,
            iops: instance.iops.filter(|_| provisioned),
            storage_throughput: instance.storage_throughput.filter(|_| provisioned && gp3),
            // `DbInstancePort` is 0 outside of clusters.
            port: instance.endpoint().and_then(|endpoint| endpoint.port).filter(|port| *port > 0),
            publicly_accessible: instance.publicly_accessible,
            iam_database_authentication: instance.iam_database_authentication_enabled,
            cloudwatch_logs_exports: sorted(instance.enabled_cloudwatch_logs_exports().iter().map(String::as_str)),
            ca_certificate: instance.ca_certificate_identifier.clone(),
            auto_minor_version_upgrade: instance.auto_minor_version_upgrade,
            deletion_protection: instance.deletion_protection,
            copy_tags_to_snapshot: instance.copy_tags_to_snapshot,
            network_type: instance.network_type.clone(),
            backup_retention_days: instance.backup_retention_period,
            backup_window: instance.preferred_backup_window.clone(),
            maintenance_window: instance.preferred_maintenance_window.clone(),
            max_allocated_storage: instance.max_allocated_storage,
            monitoring_interval_s: instance.monitoring_interval,
            monitoring_role: instance.monitoring_role_arn.clone(),
            database_insights_mode: instance.database_insights_mode().map(|mode| mode.as_str().to_owned()),
            performance_insights: instance.performance_insights_enabled,
            performance_insights_kms_key: instance.performance_insights_kms_key_id.clone(),
            performance_insights_retention_days: instance.performance_insights_retention_period,
        }
    }

    /// What is worth a call. Default groups come by themselves, in the version of the restored engine; and what a
    /// restored instance does not have anyway is not switched off: above all no backup and no protection.
    #[must_use]
    pub fn to_carry(self) -> Self {
        let keeps_backups = self.backup_retention_days.is_some_and(|days| days > 0);
        let monitored = self.monitoring_interval_s.is_some_and(|interval_s| interval_s > 0);
        let insights = self.performance_insights == Some(true);
        Self {
            vpc_security_groups: self.vpc_security_groups.filter(|groups| !groups.is_empty()),
            db_parameter_group: self.db_parameter_group.filter(|name| !name.starts_with("default.")),
            option_group: self.option_group.filter(|name| !name.starts_with("default:")),
            deletion_protection: self.deletion_protection.filter(|on| *on),
            backup_retention_days: self.backup_retention_days.filter(|_| keeps_backups),
            backup_window: self.backup_window.filter(|_| keeps_backups),
            monitoring_interval_s: self.monitoring_interval_s.filter(|_| monitored),
            monitoring_role: self.monitoring_role.filter(|_| monitored),
            database_insights_mode: self.database_insights_mode.filter(|_| insights),
            performance_insights: self.performance_insights.filter(|on| *on),
            performance_insights_kms_key: self.performance_insights_kms_key.filter(|_| insights),
            performance_insights_retention_days: self.performance_insights_retention_days.filter(|_| insights),
            ..self
        }
    }

    /// For another engine version, which does not take the groups of this one.
    #[must_use]
    pub fn without_groups(self) -> Self {
        Self { db_parameter_group: None, option_group: None, ..self }
    }

    /// What a restore takes, and what it does not.
    #[must_use]
    pub fn split(self) -> (Self, Self) {
        let later = Self {
            maintenance_window: self.maintenance_window.clone(),
            max_allocated_storage: self.max_allocated_storage,
            monitoring_interval_s: self.monitoring_interval_s,
            monitoring_role: self.monitoring_role.clone(),
            database_insights_mode: self.database_insights_mode.clone(),
            performance_insights: self.performance_insights,
            performance_insights_kms_key: self.performance_insights_kms_key.clone(),
            performance_insights_retention_days: self.performance_insights_retention_days,
            ..Self::default()
        };
        let on_restore = Self {
            maintenance_window: None,
            max_allocated_storage: None,
            monitoring_interval_s: None,
            monitoring_role: None,
            database_insights_mode: None,
            performance_insights: None,
            performance_insights_kms_key: None,
            performance_insights_retention_days: None,
            ..self
        };
        (on_restore, later)
    }

    /// What of these settings `has` has otherwise. Settings that RDS takes only together come together.
    #[must_use]
    pub fn missing_from(&self, has: &Self) -> Self {
        let (wanted, has) = (self.fields(), has.fields());
        // What RDS does not list is off.
        let off = Value::Bool(false);
        let differs = |name: &str| {
            wanted.get(name).is_some_and(|value| {
                value != has.get(name).unwrap_or(if value.is_boolean() { &off } else { &Value::Null })
            })
        };
        let together = |name: &str| TOGETHER.iter().find(|names| names.contains(&name));
        let missing: Map<_, _> = wanted
            .iter()
            .filter(|(name, _)| {
                differs(name) || together(name).is_some_and(|names| names.iter().any(|other| differs(other)))
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self::deserialize(Value::Object(missing)).expect("fields of settings are settings")
    }

    /// By name, without those that are not set.
    pub fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            other => unreachable!("settings are an object of plain values, not {other:?}"),
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

const TOGETHER: [&[&str]; 3] = [
    &["storage_type", "iops", "storage_throughput"],
    &["monitoring_interval_s", "monitoring_role"],
    &[
        "database_insights_mode",
        "performance_insights",
        "performance_insights_kms_key",
        "performance_insights_retention_days",
    ],
];

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
    let mut names: Vec<String> = names.map(ToOwned::to_owned).collect();
    names.sort_unstable();
    Some(names)
}

/// Sets on a restore's input what a restore takes. The two calls have these parameters in common, but no type.
macro_rules! on_restore {
    ($input:expr, $settings:expr) => {{
        let settings = $settings;
        $input
            .set_db_instance_class(settings.db_instance_class.clone())
            .set_db_subnet_group_name(settings.db_subnet_group.clone())
            .set_vpc_security_group_ids(settings.vpc_security_groups.clone())
            .set_db_parameter_group_name(settings.db_parameter_group.clone())
            .set_option_group_name(settings.option_group.clone())
            .set_multi_az(settings.multi_az)
            .set_storage_type(settings.storage_type.clone())
            .set_iops(settings.iops)
            .set_storage_throughput(settings.storage_throughput)
            .set_port(settings.port)
            .set_publicly_accessible(settings.publicly_accessible)
            .set_enable_iam_database_authentication(settings.iam_database_authentication)
            .set_enable_cloudwatch_logs_exports(settings.cloudwatch_logs_exports.clone())
            .set_ca_certificate_identifier(settings.ca_certificate.clone())
            .set_auto_minor_version_upgrade(settings.auto_minor_version_upgrade)
            .set_deletion_protection(settings.deletion_protection)
            .set_copy_tags_to_snapshot(settings.copy_tags_to_snapshot)
            .set_network_type(settings.network_type.clone())
            .set_backup_retention_period(settings.backup_retention_days)
            .set_preferred_backup_window(settings.backup_window.clone())
    }};
}

impl Settings {
    pub(super) fn on_snapshot_restore(
        &self,
        input: RestoreDbInstanceFromDbSnapshotInputBuilder,
    ) -> RestoreDbInstanceFromDbSnapshotInputBuilder {
        on_restore!(input, self)
    }

    pub(super) fn on_point_in_time_restore(
        &self,
        input: RestoreDbInstanceToPointInTimeInputBuilder,
    ) -> RestoreDbInstanceToPointInTimeInputBuilder {
        on_restore!(input, self)
    }

    /// `logs_before`: the log exports that are on now; the call names only those to switch.
    pub(super) fn on_modify(
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
        input
            .set_db_instance_class(self.db_instance_class.clone())
            .set_db_subnet_group_name(self.db_subnet_group.clone())
            .set_vpc_security_group_ids(self.vpc_security_groups.clone())
            .set_db_parameter_group_name(self.db_parameter_group.clone())
            .set_option_group_name(self.option_group.clone())
            .set_multi_az(self.multi_az)
            .set_storage_type(self.storage_type.clone())
            .set_iops(self.iops)
            .set_storage_throughput(self.storage_throughput)
            .set_db_port_number(self.port)
            .set_publicly_accessible(self.publicly_accessible)
            .set_enable_iam_database_authentication(self.iam_database_authentication)
            .set_cloudwatch_logs_export_configuration(logs)
            .set_ca_certificate_identifier(self.ca_certificate.clone())
            .set_auto_minor_version_upgrade(self.auto_minor_version_upgrade)
            .set_deletion_protection(self.deletion_protection)
            .set_copy_tags_to_snapshot(self.copy_tags_to_snapshot)
            .set_network_type(self.network_type.clone())
            .set_backup_retention_period(self.backup_retention_days)
            .set_preferred_backup_window(self.backup_window.clone())
            .set_preferred_maintenance_window(self.maintenance_window.clone())
            .set_max_allocated_storage(self.max_allocated_storage)
            .set_monitoring_interval(self.monitoring_interval_s)
            .set_monitoring_role_arn(self.monitoring_role.clone())
            .set_database_insights_mode(self.database_insights_mode.as_deref().map(DatabaseInsightsMode::from))
            .set_enable_performance_insights(self.performance_insights)
            .set_performance_insights_kms_key_id(self.performance_insights_kms_key.clone())
            .set_performance_insights_retention_period(self.performance_insights_retention_days)
    }
}

#[cfg(test)]
mod tests;
