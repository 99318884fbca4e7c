//! What AWS is asked about databases, their snapshots and backups.

use aws_sdk_rds::{
    Client,
    types::{DbSnapshot, Filter},
};
use belay_ports::{ReadError, Scope};
use jiff::Timestamp;

use super::{
    source,
    spec::{Newest, Source},
    state::{self, Instance, Snapshot},
};
use crate::errors;

pub(super) const DESCRIBE_INSTANCES: &str = "rds:DescribeDBInstances";
pub(super) const DESCRIBE_SNAPSHOTS: &str = "rds:DescribeDBSnapshots";
pub(super) const DESCRIBE_BACKUPS: &str = "rds:DescribeDBInstanceAutomatedBackups";

/// None: there is no instance of that name.
pub(super) async fn instance(client: &Client, name: &str) -> Result<Option<Instance>, ReadError> {
    match client.describe_db_instances().db_instance_identifier(name).send().await {
        Ok(answer) => Ok(answer.db_instances().first().map(Instance::of)),
        Err(error) if is_code(errors::code(&error), "DBInstanceNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_INSTANCES, name)),
    }
}

/// The snapshot that an instance is to be restored from, if it is one and exists.
pub(super) async fn snapshot_of(
    client: &Client,
    scope: &Scope,
    instance: &str,
    from: &Source,
) -> Result<Option<Snapshot>, ReadError> {
    match from {
        Source::Snapshot(name) => snapshot(client, name).await,
        Source::NewestSnapshot(newest) => newest_snapshot(client, scope, instance, newest).await,
        Source::Time(_) => Ok(None),
    }
}

async fn snapshot(client: &Client, name: &str) -> Result<Option<Snapshot>, ReadError> {
    // A snapshot of another account goes by its ARN, and is listed only when asked for.
    let shared = name.starts_with("arn:").then_some(true);
    match client.describe_db_snapshots().db_snapshot_identifier(name).set_include_shared(shared).send().await {
        Ok(answer) => Ok(answer.db_snapshots().first().map(Snapshot::of)),
        Err(error) if is_code(errors::code(&error), "DBSnapshotNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_SNAPSHOTS, name)),
    }
}

async fn newest_snapshot(
    client: &Client,
    scope: &Scope,
    instance: &str,
    newest: &Newest,
) -> Result<Option<Snapshot>, ReadError> {
    // The assessment says what is missing.
    let Ok(before) = source::bound(scope, newest.before) else { return Ok(None) };
    let all = snapshots(client, instance).await?;
    let tagged = all.iter().map(|found| (Snapshot::of(found), state::tags(found.tag_list()).into_iter().collect()));
    Ok(source::newest(tagged, before, &source::tags_of(scope, newest)))
}

/// All snapshots of an instance. Those of AWS Backup are listed only when they are asked for.
pub(super) async fn snapshots(client: &Client, instance: &str) -> Result<Vec<DbSnapshot>, ReadError> {
    let mut all = Vec::new();
    for kind in [None, Some("awsbackup".to_owned())] {
        let asked = client.describe_db_snapshots().db_instance_identifier(instance).set_snapshot_type(kind);
        let listed = asked.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        all.extend(listed.map_err(|error| errors::read(error, DESCRIBE_SNAPSHOTS, instance))?);
    }
    Ok(all)
}

/// The earliest restorable time of the automated backups that go on. None: it is not known.
pub(super) async fn earliest_restorable(client: &Client, instance: &str) -> Result<Option<Timestamp>, ReadError> {
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
pub(super) fn is_code(code: Option<&str>, expected: &str) -> bool {
    code.is_some_and(|code| code.strip_suffix("Fault").unwrap_or(code) == expected)
}
