//! `rds.restore`: a DB instance as it was, under its own name; and `rds_status`, the status of one.
//!
//! A restore always makes a new instance. To keep the endpoint, the names change places afterwards: the failed instance
//! moves to `INSTANCE-failed-RUN`, and the restored one from `INSTANCE-restored-RUN` to `INSTANCE`. Nothing is ever
//! deleted. Every name derives from the run, so where the dance stands is read off AWS at each look, whatever was
//! journaled before a crash.

mod assess;
mod calls;
pub mod moves;
mod pending;
mod sensor;
mod settings;
mod state;
mod status;

use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_rds::{Client, types::Filter};
use belay_core::change::{Assessment, Change, Key, Receipt};
use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    shape::{Shape, field, object, one_of, pattern, words},
};
use belay_ports::{ApplyError, Clock, Condition, Corrupt, Fut, Permission, ReadError, Scope, System};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use self::{calls::Call, state::Names};
pub use self::{
    sensor::{KEY as STATUS, RdsStatus, signal_spec},
    settings::Settings,
    state::{Attached, Instance, Snapshot, State},
};
use crate::{errors, place, session::Aws};

/// The action's name in plans.
pub const ACTION: &str = "rds.restore";

const DESCRIBE_INSTANCES: &str = "rds:DescribeDBInstances";
const DESCRIBE_SNAPSHOTS: &str = "rds:DescribeDBSnapshots";
const DESCRIBE_BACKUPS: &str = "rds:DescribeDBInstanceAutomatedBackups";

fn instance_shape() -> Shape {
    pattern("the identifier of a DB instance", "^[A-Za-z](-?[A-Za-z0-9]){0,62}$")
}

/// What `rds.restore` takes.
pub fn spec() -> ActionSpec {
    let snapshot = pattern(
        "the identifier or the ARN of a DB snapshot",
        "^((rds:)?[A-Za-z][A-Za-z0-9-]{0,254}|arn:aws[a-z-]*:rds:[a-z0-9-]+:[0-9]{12}:snapshot:.+)$",
    );
    let timestamp = pattern(
        "a timestamp such as `2026-01-31T12:00:00Z`",
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
    );
    let time = one_of(
        "`cutover`, `latest` or a timestamp such as `2026-01-31T12:00:00Z`",
        [words(["cutover", "latest"]), timestamp],
    );
    let from = one_of(
        "an object with exactly one of `snapshot`, `time`",
        [
            object([field("snapshot", snapshot, "The snapshot to restore.")]),
            object([field("time", time, "The point in time to restore.")]),
        ],
    );
    ActionSpec {
        name: ACTION,
        summary: "Restores an RDS instance under its own name; the replaced one is kept under another.",
        with: object([
            field("instance", instance_shape(), "The instance to replace."),
            field("from", from, "What it is restored from."),
        ]),
        to: None,
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(2 * 60 * 60),
        loses_data: true,
        // RDS identifiers know no case.
        resource: |with: &Value| format!("rds:{}", with["instance"].as_str().unwrap_or_default().to_ascii_lowercase()),
        check: no_action_findings,
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct With {
    instance: String,
    from: Source,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// An identifier or an ARN.
    Snapshot(String),
    Time(Time),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Time {
    Cutover,
    Latest,
    At(Timestamp),
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            "cutover" => Ok(Self::Cutover),
            "latest" => Ok(Self::Latest),
            time => time.parse().map(Self::At).map_err(D::Error::custom),
        }
    }
}

/// The action behind [`ACTION`].
#[derive(Clone)]
pub struct RdsRestore {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for RdsRestore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdsRestore").field("aws", &self.aws).finish_non_exhaustive()
    }
}

impl RdsRestore {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn look(&self, scope: &Scope, with: With) -> Result<State, ReadError> {
        let looked = self.clock.now();
        let clients = self.aws.clients(&scope.aws).await?;
        let client = &clients.rds.read;
        let names = Names::new(&with.instance, scope.run.as_ref());
        // Placeholder names cannot be asked for.
        let derived = async |name: &str| match scope.run {
            Some(_) => describe_instance(client, name).await,
            None => Ok(None),
        };
        // In the order in which names change: so an instance that is renamed meanwhile is found twice, never not at all.
        let dance = async {
            let restored = derived(&names.restored).await?;
            let instance = describe_instance(client, &names.instance).await?;
            Ok((restored, instance, derived(&names.failed).await?))
        };
        let snapshot = async {
            match &with.from {
                Source::Snapshot(name) => describe_snapshot(client, name).await,
                Source::Time(_) => Ok(None),
            }
        };
        let earliest_restorable = async {
            match with.from {
                Source::Time(Time::Cutover | Time::At(_)) => describe_backups(client, &names.instance).await,
                Source::Time(Time::Latest) | Source::Snapshot(_) => Ok(None),
            }
        };
        let ((restored, instance, failed), snapshot, earliest_restorable) =
            futures::try_join!(dance, snapshot, earliest_restorable)?;
        Ok(State { looked, instance, restored, failed, snapshot, earliest_restorable })
    }
}

/// None: there is no instance of that name.
async fn describe_instance(client: &Client, name: &str) -> Result<Option<Instance>, ReadError> {
    match client.describe_db_instances().db_instance_identifier(name).send().await {
        Ok(answer) => Ok(answer.db_instances().first().map(Instance::of)),
        Err(error) if is_code(errors::code(&error), "DBInstanceNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_INSTANCES, name)),
    }
}

/// None: there is no snapshot of that name.
async fn describe_snapshot(client: &Client, name: &str) -> Result<Option<Snapshot>, ReadError> {
    // A snapshot of another account goes by its ARN, and is listed only when asked for.
    let shared = name.starts_with("arn:").then_some(true);
    match client.describe_db_snapshots().db_snapshot_identifier(name).set_include_shared(shared).send().await {
        Ok(answer) => Ok(answer.db_snapshots().first().map(Snapshot::of)),
        Err(error) if is_code(errors::code(&error), "DBSnapshotNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_SNAPSHOTS, name)),
    }
}

/// The earliest restorable time of the automated backups that go on. None: it is not known.
async fn describe_backups(client: &Client, instance: &str) -> Result<Option<Timestamp>, ReadError> {
    let active = Filter::builder().name("status").values("active").build();
    let backups = client.describe_db_instance_automated_backups().db_instance_identifier(instance).filters(active);
    match backups.send().await {
        Ok(answer) => {
            let window = answer.db_instance_automated_backups().first().and_then(|backup| backup.restore_window());
            Ok(state::timestamp(window.and_then(|window| window.earliest_time)))
        }
        Err(error) if is_code(errors::code(&error), "DBInstanceAutomatedBackupNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_BACKUPS, instance)),
    }
}

/// RDS ends some codes in `Fault` and some not.
fn is_code(code: Option<&str>, expected: &str) -> bool {
    code.is_some_and(|code| code.strip_suffix("Fault").unwrap_or(code) == expected)
}

impl System for RdsRestore {
    type With = With;
    type State = State;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        _receipts: &'a [Receipt],
    ) -> Fut<'a, Result<State, ReadError>> {
        Box::pin(self.look(scope, with))
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &State,
        baseline: Option<&State>,
        receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        Ok(assess::assess(scope, with, now, baseline, receipts))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            let call = Call::deserialize(&change.args).map_err(|error| ApplyError::NoEffect {
                why: format!("the change {} cannot be understood: {error}", change.id),
                retry: false,
                throttled: false,
            })?;
            call.send(&self.aws.clients(&scope.aws).await?.rds.write).await
        })
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        permissions(scope, with)
    }
}

fn permissions(scope: &Scope, with: &With) -> Vec<Permission> {
    let partition = place::partition(&scope.aws);
    let region = scope.aws.region.as_deref().unwrap_or("*");
    let account = scope.aws.account.as_deref().unwrap_or("*");
    let arn = |resource: &str| format!("arn:{partition}:rds:{region}:{account}:{resource}");
    let permission = |mutates: bool, action: &str, resource: String| Permission {
        action: action.to_owned(),
        resource,
        mutates,
        conditions: Vec::new(),
    };

    let names = Names::new(&with.instance, None);
    // The run is not known when the policy is written.
    let databases =
        [names.instance, names.restored, names.failed].map(|name| arn(&format!("db:{}", name.replace("<run>", "*"))));
    // IAM looks at everything that such a call names: groups as well.
    let groups = ["pg:*", "og:*", "subgrp:*"].map(arn);

    let mut permissions = Vec::new();
    for database in &databases {
        permissions.push(permission(false, DESCRIBE_INSTANCES, database.clone()));
        for action in [calls::MODIFY, "rds:AddTagsToResource"] {
            permissions.push(permission(true, action, database.clone()));
        }
    }
    let restore = match &with.from {
        Source::Snapshot(snapshot) => {
            let snapshot =
                if snapshot.starts_with("arn:") { snapshot.clone() } else { arn(&format!("snapshot:{snapshot}")) };
            permissions.push(permission(false, DESCRIBE_SNAPSHOTS, snapshot.clone()));
            permissions.push(permission(true, calls::RESTORE_FROM_SNAPSHOT, snapshot));
            calls::RESTORE_FROM_SNAPSHOT
        }
        Source::Time(_) => {
            permissions.push(permission(false, DESCRIBE_BACKUPS, arn("auto-backup:*")));
            // The source.
            permissions.push(permission(true, calls::RESTORE_TO_POINT_IN_TIME, databases[0].clone()));
            calls::RESTORE_TO_POINT_IN_TIME
        }
    };
    permissions.push(permission(true, restore, databases[1].clone()));
    for group in groups {
        permissions.push(permission(true, restore, group.clone()));
        permissions.push(permission(true, calls::MODIFY, group));
    }
    // Enhanced monitoring hands its role on. The baseline knows which; else it is the one that the console makes.
    let role = scope
        .baseline
        .as_ref()
        .and_then(|entry| entry.doc["instance"]["settings"]["monitoring_role"].as_str())
        .map_or_else(|| format!("arn:{partition}:iam::{account}:role/rds-monitoring-role"), ToOwned::to_owned);
    // Only to the service that this role is made for.
    let to_monitoring = Condition {
        operator: "StringEquals".to_owned(),
        key: "iam:PassedToService".to_owned(),
        value: "monitoring.rds.amazonaws.com".to_owned(),
    };
    permissions.push(Permission { conditions: vec![to_monitoring], ..permission(true, "iam:PassRole", role) });
    permissions
}

#[cfg(test)]
mod tests {
    use belay_core::change::BaselineEntry;
    use serde_json::json;

    use super::*;
    use crate::testing;

    fn with(from: &Value) -> With {
        With::deserialize(json!({ "instance": "Checkout", "from": from })).unwrap()
    }

    fn statements(scope: &Scope, from: &Value, mutates: bool) -> Vec<String> {
        let all = permissions(scope, &with(from)).into_iter().filter(|permission| permission.mutates == mutates);
        all.map(|permission| format!("{} {}", permission.action, permission.resource)).collect()
    }

    #[test]
    fn sources_are_read_as_plans_write_them() {
        assert_eq!(with(&json!({ "snapshot": "pre" })).from, Source::Snapshot("pre".to_owned()));
        assert_eq!(with(&json!({ "time": "cutover" })).from, Source::Time(Time::Cutover));
        assert_eq!(with(&json!({ "time": "latest" })).from, Source::Time(Time::Latest));
        let at = "2026-03-01T02:11:07Z".parse().unwrap();
        assert_eq!(with(&json!({ "time": "2026-03-01T04:11:07+02:00" })).from, Source::Time(Time::At(at)));
        assert!(With::deserialize(json!({ "instance": "c", "from": { "time": "yesterday" } })).is_err());
    }

    #[test]
    fn permissions_are_scoped_to_the_names_of_the_dance() {
        let mut scope = testing::scope(Value::Null, None, None);
        let snapshot = json!({ "snapshot": "pre" });
        assert_eq!(
            statements(&scope, &snapshot, false),
            [
                "rds:DescribeDBInstances arn:aws:rds:eu-west-1:111122223333:db:checkout",
                "rds:DescribeDBInstances arn:aws:rds:eu-west-1:111122223333:db:checkout-restored-*",
                "rds:DescribeDBInstances arn:aws:rds:eu-west-1:111122223333:db:checkout-failed-*",
                "rds:DescribeDBSnapshots arn:aws:rds:eu-west-1:111122223333:snapshot:pre",
            ]
        );
        let sends = statements(&scope, &snapshot, true);
        for expected in [
            "rds:RestoreDBInstanceFromDBSnapshot arn:aws:rds:eu-west-1:111122223333:snapshot:pre",
            "rds:RestoreDBInstanceFromDBSnapshot arn:aws:rds:eu-west-1:111122223333:db:checkout-restored-*",
            "rds:ModifyDBInstance arn:aws:rds:eu-west-1:111122223333:db:checkout",
            "rds:AddTagsToResource arn:aws:rds:eu-west-1:111122223333:db:checkout-restored-*",
            "iam:PassRole arn:aws:iam::111122223333:role/rds-monitoring-role",
        ] {
            assert!(sends.iter().any(|statement| statement == expected), "{expected}: {sends:#?}");
        }
        assert!(sends.iter().all(|statement| !statement.contains("Delete")));

        scope.baseline = Some(BaselineEntry {
            action: ACTION.to_owned(),
            resource: "rds:checkout".to_owned(),
            doc: json!({ "instance": { "settings": { "monitoring_role": "arn:aws:iam::111122223333:role/watch" } } }),
        });
        let sends = statements(&scope, &json!({ "time": "latest" }), true);
        assert!(sends.contains(&"iam:PassRole arn:aws:iam::111122223333:role/watch".to_owned()));
        let source = "rds:RestoreDBInstanceToPointInTime arn:aws:rds:eu-west-1:111122223333:db:checkout";
        assert!(sends.contains(&source.to_owned()));
    }
}
