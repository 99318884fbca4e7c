//! The mutating calls of a restore as data, and how they are sent. None of them deletes anything.

use std::{collections::BTreeMap, error::Error};

use aws_sdk_rds::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        modify_db_instance::{ModifyDbInstanceInput, builders::ModifyDbInstanceInputBuilder},
        restore_db_instance_from_db_snapshot::RestoreDbInstanceFromDbSnapshotInput,
        restore_db_instance_to_point_in_time::RestoreDbInstanceToPointInTimeInput,
    },
    primitives::DateTime,
    types::{DbInstance, Tag},
};
use belay_ports::{ApplyError, Scope};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{cname, settings::Settings};
use crate::{errors, session::Clients};

pub(super) const RESTORE_FROM_SNAPSHOT: &str = "rds:RestoreDBInstanceFromDBSnapshot";
pub(super) const RESTORE_TO_POINT_IN_TIME: &str = "rds:RestoreDBInstanceToPointInTime";
pub(super) const MODIFY: &str = "rds:ModifyDBInstance";

/// One send. No RDS call takes an idempotency token, so each names what it makes after the run: sent twice, the second
/// is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Call {
    RestoreFromSnapshot {
        snapshot: String,
        name: String,
        settings: Settings,
        tags: BTreeMap<String, String>,
    },
    RestoreToPointInTime {
        source: String,
        /// None: the latest restorable time.
        time: Option<Timestamp>,
        name: String,
        settings: Settings,
        tags: BTreeMap<String, String>,
    },
    Carry {
        name: String,
        settings: Settings,
        /// The log exports that are on.
        logs_before: Vec<String>,
    },
    Rename {
        from: String,
        to: String,
    },
    PointCname {
        zone: String,
        record: String,
        ttl_s: i64,
        endpoint: String,
    },
}

impl Call {
    /// As IAM names it.
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::RestoreFromSnapshot { .. } => RESTORE_FROM_SNAPSHOT,
            Self::RestoreToPointInTime { .. } => RESTORE_TO_POINT_IN_TIME,
            Self::Carry { .. } | Self::Rename { .. } => MODIFY,
            Self::PointCname { .. } => cname::CHANGE_RECORDS,
        }
    }

    /// Sends it, once. Answers which instance it is about, or which change of a record it began.
    pub(super) async fn send(&self, scope: &Scope, clients: &Clients) -> Result<Value, ApplyError> {
        let client = &clients.rds.write;
        let instance = match self {
            Self::RestoreFromSnapshot { snapshot, name, settings, tags } => {
                let input = settings
                    .on_snapshot_restore(RestoreDbInstanceFromDbSnapshotInput::builder())
                    .db_snapshot_identifier(snapshot)
                    .db_instance_identifier(name)
                    .set_tags(Some(sdk_tags(tags)));
                let sent = input.send_with(client).await;
                sent.map_err(|error| self.failure(error, &format!("{name}, from snapshot {snapshot}")))?.db_instance
            }
            Self::RestoreToPointInTime { source, time, name, settings, tags } => {
                let input = settings
                    .on_point_in_time_restore(RestoreDbInstanceToPointInTimeInput::builder())
                    .source_db_instance_identifier(source)
                    .target_db_instance_identifier(name)
                    .set_restore_time(time.map(sdk_time))
                    .set_use_latest_restorable_time(time.is_none().then_some(true))
                    .set_tags(Some(sdk_tags(tags)));
                let sent = input.send_with(client).await;
                sent.map_err(|error| self.failure(error, &format!("{name}, from {source}")))?.db_instance
            }
            Self::Carry { name, settings, logs_before } => {
                let input = settings.on_modify(modify(name), logs_before);
                input.send_with(client).await.map_err(|error| self.failure(error, name))?.db_instance
            }
            Self::Rename { from, to } => {
                let input = modify(from).new_db_instance_identifier(to);
                let sent = input.send_with(client).await;
                sent.map_err(|error| self.failure(error, &format!("{from}, to {to}")))?.db_instance
            }
            Self::PointCname { zone, record, ttl_s, endpoint } => {
                return cname::point(&clients.route53.write, scope, zone, record, *ttl_s, endpoint).await;
            }
        };
        Ok(receipt(instance.as_ref()))
    }

    fn failure<E>(&self, error: SdkError<E>, about: &str) -> ApplyError
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let code = errors::code(&error).unwrap_or_default().to_owned();
        refine(errors::apply(error, self.action(), about), &code)
    }
}

/// Everything at once, instead of in the next maintenance window.
fn modify(name: &str) -> ModifyDbInstanceInputBuilder {
    ModifyDbInstanceInput::builder().db_instance_identifier(name).apply_immediately(true)
}

fn sdk_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn sdk_time(time: Timestamp) -> DateTime {
    DateTime::from_nanos(time.as_nanosecond()).unwrap_or(DateTime::from_secs(time.as_second()))
}

fn receipt(instance: Option<&DbInstance>) -> Value {
    json!({ "resource_id": instance.and_then(|instance| instance.dbi_resource_id.as_deref()) })
}

/// What RDS means by a refusal beyond what holds for all of AWS: whether it passes, and what to do about it.
fn refine(error: ApplyError, code: &str) -> ApplyError {
    let ApplyError::NoEffect { why, retry, throttled } = error else { return error };
    let (passes, cure) = match code.strip_suffix("Fault").unwrap_or(code) {
        // An earlier send, of which the answer was lost, has made it: the next look shows whose it is.
        "DBInstanceAlreadyExists" => (true, "the next look tells whose it is"),
        // Or has renamed it.
        "DBInstanceNotFound" => (true, "the next look tells where it is"),
        "InvalidDBInstanceState" => (true, "RDS does this only with an available instance; tried again"),
        "InsufficientDBInstanceCapacity" => {
            (true, "AWS has no such instance free now; tried again, or change the class")
        }
        "InvalidDBSnapshotState" => (true, "a snapshot can be restored once it is available; tried again"),
        "DBSnapshotNotFound" => (false, "name a snapshot of this account and region, or one shared with it by its ARN"),
        "InstanceQuotaExceeded" => {
            (false, "delete instances that are not needed, or ask Service Quotas for more, then retry")
        }
        "StorageQuotaExceeded" => (false, "free storage, or ask Service Quotas for more, then retry"),
        "KMSKeyNotAccessible" => {
            (false, "the key must be enabled, and allow kms:CreateGrant and kms:DescribeKey to this role")
        }
        "InvalidRestore" | "PointInTimeRestoreNotEnabled" => (false, "restore from a snapshot instead"),
        "DBParameterGroupNotFound" | "OptionGroupNotFound" | "DBSubnetGroupNotFound" => {
            (false, "the replaced instance had it; create it again")
        }
        "DBSubnetGroupDoesNotCoverEnoughAZs" => {
            (false, "add subnets in more Availability Zones to the subnet group of the replaced instance")
        }
        "InvalidSubnet" | "InvalidVPCNetworkState" => {
            (false, "the subnet group names subnets that are gone, or of several VPCs; repair it, then retry")
        }
        "NetworkTypeNotSupported" => (false, "the subnet group does not take this network type: give it IPv6 subnets"),
        "StorageTypeNotSupported" | "StorageTypeNotAvailable" => {
            (false, "the class or the zone has no such storage; change the replaced instance's, then retry")
        }
        "ProvisionedIopsNotAvailableInAZ" => (false, "choose another Availability Zone or storage type, then retry"),
        "DBSecurityGroupNotFound" | "AuthorizationNotFound" => {
            (false, "a security group of the replaced instance is gone; create it again, then retry")
        }
        "DomainNotFound" => {
            (false, "the Active Directory of the replaced instance is gone; join it to another, then retry")
        }
        "CertificateNotFound" => {
            (false, "the CA certificate of the replaced instance is gone; give it another, then retry")
        }
        "BackupPolicyNotFound" => (false, "the backup plan of the replaced instance is gone; repair it, then retry"),
        "TenantDatabaseQuotaExceeded" => (false, "ask Service Quotas for more tenant databases, then retry"),
        _ => return ApplyError::NoEffect { why, retry, throttled },
    };
    ApplyError::NoEffect { why: format!("{why} ({cure})"), retry: retry || passes, throttled }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refined(code: &str) -> (bool, String) {
        let error = ApplyError::NoEffect { why: "RDS said no".to_owned(), retry: false, throttled: false };
        match refine(error, code) {
            ApplyError::NoEffect { why, retry, throttled: false } => (retry, why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_that_pass_are_tried_again() {
        for code in
            ["DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault", "DBInstanceNotFound", "InvalidDBInstanceState"]
        {
            assert!(refined(code).0, "{code}");
        }
        for code in ["DBSnapshotNotFound", "InstanceQuotaExceeded", "StorageQuotaExceeded", "KMSKeyNotAccessibleFault"]
        {
            let (retry, why) = refined(code);
            assert!(!retry && why.starts_with("RDS said no ("), "{code}: {why}");
        }
        assert_eq!(refined("InvalidParameterValue"), (false, "RDS said no".to_owned()));
    }

    #[test]
    fn a_lost_answer_stays_lost() {
        let lost = ApplyError::OutcomeUnknown { why: "cut".to_owned() };
        assert_eq!(refine(lost.clone(), ""), lost);
    }

    #[test]
    fn calls_survive_being_journaled() {
        let call = Call::RestoreToPointInTime {
            source: "checkout".to_owned(),
            time: Some("2026-03-01T02:11:07.5Z".parse().unwrap()),
            name: "checkout-restored-r".to_owned(),
            settings: Settings { multi_az: Some(true), ..Settings::default() },
            tags: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
        };
        let journaled = serde_json::to_string(&call).unwrap();
        assert_eq!(serde_json::from_str::<Call>(&journaled).unwrap(), call);
    }
}
