//! Whether there is more than one snapshot to go back to, and whether the one can be told from others.

use std::collections::BTreeMap;

use aws_sdk_rds::Client;
use belay_ports::{Check, ReadError, Scope};
use jiff::{SignedDuration, Timestamp};

use super::unread;
use crate::{
    errors,
    rds::{
        source::MIGRATION_TAG,
        state::{Snapshot, tags, timestamp},
    },
};

pub(super) const OF_INSTANCE: &str = "rds:DescribeDBSnapshots";
pub(super) const OF_CLUSTER: &str = "rds:DescribeDBClusterSnapshots";

/// One snapshot alone may be damaged, deleted, or of the wrong moment.
const KEPT_MIN: usize = 2;
const RECENT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// As far as the checks look at it.
pub(super) struct Listed {
    name: String,
    arn: String,
    available: bool,
    created: Option<Timestamp>,
    tags: BTreeMap<String, String>,
    key: Option<String>,
}

/// All of one database. None: it is not restored from a snapshot.
pub(super) async fn list(
    client: &Client,
    cluster: bool,
    name: &str,
    source: Option<&Snapshot>,
) -> Option<Result<Vec<Listed>, ReadError>> {
    source?;
    Some(match cluster {
        false => {
            let pages = client.describe_db_snapshots().db_instance_identifier(name).into_paginator().items().send();
            let all = pages.collect::<Result<Vec<_>, _>>().await;
            all.map_err(|error| errors::read(error, OF_INSTANCE, name)).map(|all| {
                let listed = all.into_iter().map(|one| Listed {
                    available: one.status.as_deref() == Some("available"),
                    created: timestamp(one.snapshot_create_time),
                    tags: tags(one.tag_list()),
                    name: one.db_snapshot_identifier.unwrap_or_default(),
                    arn: one.db_snapshot_arn.unwrap_or_default(),
                    key: one.kms_key_id,
                });
                listed.collect()
            })
        }
        true => {
            let asked = client.describe_db_cluster_snapshots().db_cluster_identifier(name);
            let all = asked.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
            all.map_err(|error| errors::read(error, OF_CLUSTER, name)).map(|all| {
                let listed = all.into_iter().map(|one| Listed {
                    available: one.status.as_deref() == Some("available"),
                    created: timestamp(one.snapshot_create_time),
                    tags: tags(one.tag_list()),
                    name: one.db_cluster_snapshot_identifier.unwrap_or_default(),
                    arn: one.db_cluster_snapshot_arn.unwrap_or_default(),
                    key: one.kms_key_id,
                });
                listed.collect()
            })
        }
    })
}

/// The checks, and the key of the snapshot that is restored, where it is listed. Pure.
pub(super) fn checks(
    scope: &Scope,
    source: Option<&Snapshot>,
    listed: Option<Result<Vec<Listed>, ReadError>>,
    database: &str,
    at: Timestamp,
) -> (Vec<Check>, Option<String>) {
    let (Some(source), Some(listed)) = (source, listed) else { return (Vec::new(), None) };
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            return (vec![unread("snapshots_kept", database, error.why)], source.kms_key.clone());
        }
    };
    let mut checks = vec![kept(&listed, database, at)];
    // Of another database, or of another account, it is not in the list.
    let own = listed.into_iter().find(|one| one.name.eq_ignore_ascii_case(&source.name));
    let own = own.unwrap_or_else(|| Listed {
        name: source.name.clone(),
        arn: source.arn.clone().unwrap_or_default(),
        available: source.status == "available",
        created: source.taken,
        tags: source.tags.clone(),
        key: source.kms_key.clone(),
    });
    checks.push(labelled(scope, &own));
    (checks, own.key)
}

fn kept(listed: &[Listed], database: &str, at: Timestamp) -> Check {
    const ID: &str = "snapshots_kept";
    let recent =
        |one: &&Listed| one.available && one.created.is_some_and(|created| at.duration_since(created) <= RECENT);
    let count = listed.iter().filter(recent).count();
    let found = format!("{count} available of the last 7 days");
    match count >= KEPT_MIN {
        true => Check::go(ID, database, found),
        false => Check::warn(ID, database, found)
            .wanted(format!("at least {KEPT_MIN}: one alone may be of the wrong moment"))
            .cure("take another snapshot before the cutover"),
    }
}

fn labelled(scope: &Scope, own: &Listed) -> Check {
    const ID: &str = "snapshot_label";
    let taken = own.created.map(|at| format!(", of {at:.0}")).unwrap_or_default();
    let migration = &scope.migration;
    match own.tags.get(MIGRATION_TAG) {
        Some(found) if found == migration => {
            Check::go(ID, &own.name, format!("tagged {MIGRATION_TAG}={migration}{taken}"))
        }
        found => {
            let found = found.map_or("no tag".to_owned(), |found| format!("the tag {MIGRATION_TAG}={found}"));
            Check::warn(ID, &own.name, format!("{found} shows which migration it belongs to{taken}"))
                .wanted(format!("{MIGRATION_TAG}={migration}"))
                .cure(format!(
                    "aws rds add-tags-to-resource --resource-name {} --tags Key={MIGRATION_TAG},Value={migration}",
                    own.arn
                ))
        }
    }
}
