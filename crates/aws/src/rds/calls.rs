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
use belay_core::input::ErrorClass;
use belay_ports::{ApplyError, Scope};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    cluster::calls::ClusterCall,
    cname, fields,
    proxies::{self, Target},
    refine::refine,
    refused,
    settings::Settings,
};
use crate::{errors, session::Clients};

pub(super) const RESTORE_FROM_SNAPSHOT: &str = "rds:RestoreDBInstanceFromDBSnapshot";
pub(super) const RESTORE_TO_POINT_IN_TIME: &str = "rds:RestoreDBInstanceToPointInTime";
pub(super) const MODIFY: &str = "rds:ModifyDBInstance";
pub(super) const ADD_ROLE: &str = "rds:AddRoleToDBInstance";

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
    AddRole {
        name: String,
        role: String,
        feature: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// Takes the replaced database out of a proxy's group.
    DeregisterProxy(Target),
    RegisterProxy(Target),
    /// Of a whole cluster.
    Cluster(ClusterCall),
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
            Self::AddRole { .. } => ADD_ROLE,
            Self::DeregisterProxy(_) => proxies::DEREGISTER,
            Self::RegisterProxy(_) => proxies::REGISTER,
            Self::Cluster(call) => call.action(),
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
                let about = format!("{name}, from snapshot {snapshot}");
                sent.map_err(|error| declined(error, self.action(), &about, settings))?.db_instance
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
                let about = format!("{name}, from {source}");
                sent.map_err(|error| declined(error, self.action(), &about, settings))?.db_instance
            }
            Self::Carry { name, settings, logs_before } => {
                let sent = settings.on_modify(modify(name), logs_before).send_with(client).await;
                sent.map_err(|error| set_refused(error, MODIFY, name, settings))?.db_instance
            }
            Self::AddRole { name, role, feature } => {
                let input = client.add_role_to_db_instance().db_instance_identifier(name).role_arn(role);
                let sent = input.feature_name(feature).send().await;
                let about = format!("{name}, role {role}");
                sent.map_err(|error| set_refused(error, ADD_ROLE, &about, &json!({ "role": role })))?;
                return Ok(Value::Null);
            }
            Self::Rename { from, to } => {
                let input = modify(from).new_db_instance_identifier(to);
                let sent = input.send_with(client).await;
                sent.map_err(|error| self.failure(error, &format!("{from}, to {to}")))?.db_instance
            }
            Self::DeregisterProxy(target) => return target.deregister(client).await,
            Self::RegisterProxy(target) => return target.register(client).await,
            Self::Cluster(call) => return call.send(client).await,
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
        failure(error, self.action(), about)
    }
}

pub(super) fn failure<E>(error: SdkError<E>, action: &str, about: &str) -> ApplyError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let code = errors::code(&error).unwrap_or_default().to_owned();
    refine(errors::apply(error, action, about), &code)
}

/// The refusal of a restore, or of a new member, that the step may get round by leaving out what it is about.
pub(super) fn declined<E, T>(error: SdkError<E>, action: &str, about: &str, settings: &T) -> ApplyError
where
    E: Error + ProvideErrorMetadata + 'static,
    T: Serialize,
{
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let (code, message) =
        (text(errors::code(&error)), text(error.as_service_error().and_then(ProvideErrorMetadata::message)));
    refused::decline(failure(error, action, about), &code, &message, settings)
}

/// A setting that RDS will not take holds up nothing: the data matters more, and the gate that reads the restored database
/// back names it. So any refusal for good leaves another way; not so a permission that is missing, which would be missing for
/// the rename too.
pub(super) fn set_refused<E, T>(error: SdkError<E>, action: &str, about: &str, settings: &T) -> ApplyError
where
    E: Error + ProvideErrorMetadata + 'static,
    T: Serialize,
{
    let denied = errors::code(&error).is_some_and(|code| code.contains("Denied") || code.contains("Unauthorized"));
    match declined(error, action, about, settings) {
        ApplyError::NoEffect { why, class: ErrorClass::Permanent } if !denied => {
            let names: Vec<String> = fields::fields(settings).keys().cloned().collect();
            ApplyError::Declined { why, body: json!({ "settings": names, "named": [] }) }
        }
        error => error,
    }
}

/// Everything at once, instead of in the next maintenance window.
fn modify(name: &str) -> ModifyDbInstanceInputBuilder {
    ModifyDbInstanceInput::builder().db_instance_identifier(name).apply_immediately(true)
}

pub(super) fn sdk_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

pub(super) fn sdk_time(time: Timestamp) -> DateTime {
    DateTime::from_nanos(time.as_nanosecond()).unwrap_or(DateTime::from_secs(time.as_second()))
}

fn receipt(instance: Option<&DbInstance>) -> Value {
    json!({ "resource_id": instance.and_then(|instance| instance.dbi_resource_id.as_deref()) })
}

#[cfg(test)]
mod tests {
    use belay_plan::model::AwsTarget;

    use super::*;
    use crate::{session::Access, testing};

    #[tokio::test]
    async fn a_refused_setting_leaves_another_way_and_a_missing_permission_none() {
        let carried = async |status: &str, code: &str| {
            let body = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
            );
            let endpoint = testing::recording(testing::http(status, &body)).await;
            let aws = testing::aws_at(Access::ReadWrite, endpoint.url()).await;
            let scope = testing::scope(Value::Null, None, None);
            let clients = aws.clients(&AwsTarget { account: None, ..testing::target() }).await.unwrap();
            let settings = Settings { multi_az: Some(true), ..Settings::default() };
            let call = Call::Carry { name: "checkout".to_owned(), settings, logs_before: Vec::new() };
            call.send(&scope, &clients).await
        };
        for code in ["InvalidParameterCombination", "SomethingElse"] {
            match carried("400 Bad Request", code).await {
                Err(ApplyError::Declined { why, body }) => {
                    assert!(why.contains(&format!("{code}: no")), "{why}");
                    assert_eq!(body["settings"], json!(["multi_az"]));
                }
                other => panic!("{other:?}"),
            }
        }
        for (status, code) in [("403 Forbidden", "AccessDenied"), ("400 Bad Request", "InvalidDBInstanceState")] {
            assert!(matches!(carried(status, code).await, Err(ApplyError::NoEffect { .. })), "{code}");
        }
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
