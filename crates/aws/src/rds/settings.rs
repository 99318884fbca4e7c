//! The settings of an instance that a restore does not bring back by itself, and how they are carried over.
//!
//! A restored instance has the default security group, the default parameter group, is Single-AZ, and so on, unless the
//! call says otherwise. So everything here is read from the instance that is replaced, and given on the restore; what a
//! restore cannot take is carried over by one `ModifyDBInstance` once the new instance is available. Which setting goes
//! where stands in one table: [`instance_settings`].

mod parameters;
#[cfg(test)]
mod table;

use std::{collections::BTreeMap, net::IpAddr};

use aws_sdk_rds::types::{AdditionalStorageVolumeOutput, DbInstance, DomainMembership, Endpoint, MasterUserSecret};
use belay_aws_catalogue::rds::instance_settings::{self, Restore};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields;

/// In the terms of the RDS API. None: the instance has no such setting, and a call does not name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_instance_class: Option<String>,
    /// Only of a Single-AZ instance: of a Multi-AZ one AWS chooses both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
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
    /// In GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated_storage: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedicated_log_volume: Option<bool>,
    /// By name; Oracle and SQL Server have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_storage_volumes: Option<BTreeMap<String, Volume>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publicly_accessible: Option<bool>,
    /// On Outposts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_owned_ip: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_database_authentication: Option<bool>,
    /// Sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudwatch_logs_exports: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
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
    pub license_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_lifecycle_support: Option<String>,
    /// By name: `coreCount`, `threadsPerCore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor_features: Option<BTreeMap<String, String>>,
    /// Of RDS Custom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_iam_instance_profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_retention_days: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_target: Option<String>,
    /// RDS manages the master password in Secrets Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_password: Option<ManagedPassword>,
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

/// The Active Directory that an instance has joined: one that AWS manages, or the customer's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    Managed { directory: String, iam_role_name: Option<String> },
    Own { fqdn: String, ou: Option<String>, auth_secret: String, dns_ips: Vec<String> },
}

/// The secret that holds the master password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPassword {
    /// None: the default key of Secrets Manager.
    pub kms_key: Option<String>,
}

impl ManagedPassword {
    pub(super) fn of(secret: &MasterUserSecret) -> Self {
        Self { kms_key: secret.kms_key_id.clone() }
    }
}

/// A storage volume beside the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub storage_type: Option<String>,
    /// In GiB.
    pub allocated_storage: Option<i32>,
    pub iops: Option<i32>,
    /// In MiB/s.
    pub storage_throughput: Option<i32>,
    /// In GiB.
    pub max_allocated_storage: Option<i32>,
}

/// Which call restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreKind {
    Snapshot,
    PointInTime,
}

/// What every gp3 volume has. Below a size that depends on the engine RDS refuses to be told them.
const GP3_BASELINE_IOPS: i32 = 3000;
const GP3_BASELINE_THROUGHPUT: i32 = 125;

impl Settings {
    pub fn of(instance: &DbInstance) -> Self {
        let security_groups = instance.vpc_security_groups().iter().filter_map(|group| group.vpc_security_group_id());
        let storage_type = instance.storage_type.clone();
        let gp3 = storage_type.as_deref() == Some("gp3");
        let above = |value: Option<i32>, baseline: i32| value.is_some_and(|value| value > baseline);
        let provisioned = match storage_type.as_deref() {
            Some("io1" | "io2") => true,
            Some("gp3") => {
                above(instance.iops, GP3_BASELINE_IOPS) || above(instance.storage_throughput, GP3_BASELINE_THROUGHPUT)
            }
            _ => false,
        };
        let features = instance.processor_features().iter();
        let volumes = instance.additional_storage_volumes().iter();
        Self {
            db_instance_class: instance.db_instance_class.clone(),
            availability_zone: instance.availability_zone.clone().filter(|_| instance.multi_az != Some(true)),
            db_subnet_group: instance.db_subnet_group().and_then(|group| group.db_subnet_group_name.clone()),
            vpc_security_groups: sorted(security_groups),
            db_parameter_group: instance.db_parameter_groups().first().and_then(|g| g.db_parameter_group_name.clone()),
            option_group: instance.option_group_memberships().first().and_then(|g| g.option_group_name.clone()),
            multi_az: instance.multi_az,
            storage_type,
            iops: instance.iops.filter(|_| provisioned),
            storage_throughput: instance.storage_throughput.filter(|_| provisioned && gp3),
            allocated_storage: instance.allocated_storage,
            dedicated_log_volume: instance.dedicated_log_volume,
            additional_storage_volumes: filled(volumes.filter_map(Volume::of).collect()),
            // `DbInstancePort` is 0 outside of clusters.
            port: instance.endpoint().and_then(port),
            publicly_accessible: instance.publicly_accessible,
            customer_owned_ip: instance.customer_owned_ip_enabled,
            iam_database_authentication: instance.iam_database_authentication_enabled,
            cloudwatch_logs_exports: sorted(instance.enabled_cloudwatch_logs_exports().iter().map(String::as_str)),
            domain: instance.domain_memberships().iter().find_map(Domain::of),
            ca_certificate: instance.ca_certificate_identifier.clone(),
            auto_minor_version_upgrade: instance.auto_minor_version_upgrade,
            deletion_protection: instance.deletion_protection,
            copy_tags_to_snapshot: instance.copy_tags_to_snapshot,
            network_type: instance.network_type.clone(),
            license_model: instance.license_model.clone(),
            engine_lifecycle_support: instance.engine_lifecycle_support.clone(),
            processor_features: filled(
                features.filter_map(|feature| Some((feature.name.clone()?, feature.value.clone()?))).collect(),
            ),
            custom_iam_instance_profile: instance.custom_iam_instance_profile.clone(),
            backup_retention_days: instance.backup_retention_period,
            backup_window: instance.preferred_backup_window.clone(),
            backup_target: instance.backup_target.clone(),
            managed_password: instance.master_user_secret().map(ManagedPassword::of),
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
        let on = |setting: Option<bool>| setting.filter(|on| *on);
        Self {
            vpc_security_groups: self.vpc_security_groups.filter(|groups| !groups.is_empty()),
            db_parameter_group: self.db_parameter_group.filter(|name| !name.starts_with("default.")),
            option_group: self.option_group.filter(|name| !name.starts_with("default:")),
            deletion_protection: on(self.deletion_protection),
            dedicated_log_volume: on(self.dedicated_log_volume),
            customer_owned_ip: on(self.customer_owned_ip),
            backup_retention_days: self.backup_retention_days.filter(|_| keeps_backups),
            backup_window: self.backup_window.filter(|_| keeps_backups),
            backup_target: self.backup_target.filter(|target| target != "region"),
            monitoring_interval_s: self.monitoring_interval_s.filter(|_| monitored),
            monitoring_role: self.monitoring_role.filter(|_| monitored),
            database_insights_mode: self.database_insights_mode.filter(|_| insights),
            performance_insights: on(self.performance_insights),
            performance_insights_kms_key: self.performance_insights_kms_key.filter(|_| insights),
            performance_insights_retention_days: self.performance_insights_retention_days.filter(|_| insights),
            ..self
        }
    }

    /// For another version of the engine, which does not take the groups of this one.
    #[must_use]
    pub fn without_groups(self) -> Self {
        Self { db_parameter_group: None, option_group: None, ..self }
    }

    /// For another engine: without all that an engine has in terms of its own.
    #[must_use]
    pub fn for_another_engine(self) -> Self {
        Self {
            cloudwatch_logs_exports: None,
            license_model: None,
            engine_lifecycle_support: None,
            processor_features: None,
            domain: None,
            additional_storage_volumes: None,
            iam_database_authentication: None,
            ..self.without_groups()
        }
    }

    /// `source_gib`: what the restored data is allocated by itself. Storage never shrinks, and it grows by a tenth at least
    /// (API reference, `AllocatedStorage`).
    #[must_use]
    pub fn growing_from(self, source_gib: Option<i32>) -> Self {
        let grows = |gib: &i32| source_gib.is_none_or(|has| i64::from(*gib) * 10 >= i64::from(has) * 11);
        Self { allocated_storage: self.allocated_storage.filter(grows), ..self }
    }

    /// Size and IOPS are told together where either is (API reference, ModifyDBInstance): what is not to change, as it is.
    #[must_use]
    pub fn with_whole_storage(self, has: &Self) -> Self {
        let storage = self.storage_type.is_some() || self.iops.is_some() || self.allocated_storage.is_some();
        let kind = self.storage_type.as_deref().or(has.storage_type.as_deref());
        if !storage || !matches!(kind, Some("io1" | "io2")) {
            return self;
        }
        Self {
            allocated_storage: self.allocated_storage.max(has.allocated_storage),
            iops: self.iops.or(has.iops),
            ..self
        }
    }

    /// What a restore takes, and what it does not.
    #[must_use]
    pub fn split(self, kind: RestoreKind, engine: &str) -> (Self, Self) {
        // "This setting doesn't apply to RDS for SQL Server" (API reference, both restores); nor can it be mirrored at once.
        const NOT_OF_SQL_SERVER: [&str; 5] =
            ["allocated_storage", "storage_type", "iops", "storage_throughput", "multi_az"];
        let on_restore = |name: &str| match instance_settings::of(name).restore {
            Restore::Both(_) if NOT_OF_SQL_SERVER.contains(&name) => !engine.starts_with("sqlserver"),
            Restore::Both(_) => true,
            Restore::PointInTime(_) => kind == RestoreKind::PointInTime,
            Restore::No => false,
        };
        (self.only(on_restore), self.only(|name| !on_restore(name)).modifiable())
    }

    /// What `ModifyDBInstance` takes of it.
    #[must_use]
    pub fn modifiable(&self) -> Self {
        self.only(|name| instance_settings::of(name).modify.is_some())
    }

    /// What of these settings `has` has otherwise.
    #[must_use]
    pub fn differing_from(&self, has: &Self) -> Self {
        fields::differing(self, has)
    }

    /// The same, and with it the settings that RDS takes only together.
    #[must_use]
    pub fn missing_from(&self, has: &Self) -> Self {
        fields::missing(self, has)
    }

    /// The settings whose name is picked.
    pub(super) fn only(&self, pick: impl Fn(&str) -> bool) -> Self {
        fields::only(self, pick)
    }

    /// By name, without those that are not set.
    pub fn fields(&self) -> Map<String, Value> {
        fields::fields(self)
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// RDS endpoints have names. Where one is an address, something stands in for RDS and lends each database a port of its
/// host, which is nothing to carry over.
fn port(endpoint: &Endpoint) -> Option<i32> {
    let of_a_host = |address: &str| address == "localhost" || address.parse::<IpAddr>().is_ok();
    endpoint.port.filter(|port| *port > 0 && !endpoint.address().is_some_and(of_a_host))
}

impl Domain {
    pub(super) fn of(membership: &DomainMembership) -> Option<Self> {
        match membership.auth_secret_arn.clone() {
            Some(auth_secret) => Some(Self::Own {
                fqdn: membership.fqdn.clone()?,
                ou: membership.ou.clone(),
                auth_secret,
                dns_ips: membership.dns_ips().to_vec(),
            }),
            None => Some(Self::Managed {
                directory: membership.domain.clone()?,
                iam_role_name: membership.iam_role_name.clone(),
            }),
        }
    }
}

impl Volume {
    fn of(volume: &AdditionalStorageVolumeOutput) -> Option<(String, Self)> {
        let settings = Self {
            storage_type: volume.storage_type.clone(),
            allocated_storage: volume.allocated_storage,
            iops: volume.iops,
            storage_throughput: volume.storage_throughput,
            max_allocated_storage: volume.max_allocated_storage,
        };
        Some((volume.volume_name.clone()?, settings))
    }
}

pub(super) fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
    let mut names: Vec<String> = names.map(ToOwned::to_owned).collect();
    names.sort_unstable();
    Some(names)
}

fn filled<T>(map: BTreeMap<String, T>) -> Option<BTreeMap<String, T>> {
    Some(map).filter(|map| !map.is_empty())
}

#[cfg(test)]
pub(super) mod tests;
