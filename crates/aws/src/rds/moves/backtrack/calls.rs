//! What a backtrack asks of RDS, and what it sends.

use aws_sdk_rds::{Client, primitives::DateTime, types::Tag};
use belay_ports::{ApplyError, ReadError, Scope};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{is_code, timestamp},
    BACKTRACK_CLUSTER, Backtrack, CREATE_SNAPSHOT, DESCRIBE_BACKTRACKS, DESCRIBE_SNAPSHOTS, Snapshot,
};
use crate::errors;

pub(super) async fn describe_snapshot(client: &Client, name: &str) -> Result<Option<Snapshot>, ReadError> {
    match client.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name).send().await {
        Ok(answer) => Ok(answer.db_cluster_snapshots().first().map(|found| Snapshot {
            status: found.status.clone().unwrap_or_default(),
            percent: found.percent_progress.unwrap_or_default(),
        })),
        Err(error) if is_code(errors::code(&error), "DBClusterSnapshotNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_SNAPSHOTS, name)),
    }
}

pub(super) async fn describe_backtracks(client: &Client, cluster: &str) -> Result<Vec<Backtrack>, ReadError> {
    let mut pages = client.describe_db_cluster_backtracks().db_cluster_identifier(cluster).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            Err(error) if is_code(errors::code(&error), "DBClusterBacktrackNotFound") => break,
            Err(error) => return Err(errors::read(error, DESCRIBE_BACKTRACKS, cluster)),
        };
        found.extend(page.db_cluster_backtracks().iter().map(Backtrack::of));
    }
    Ok(found)
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "send", rename_all = "snake_case")]
pub(super) enum Call {
    Snapshot { cluster: String, name: String },
    Backtrack { cluster: String, to: Timestamp, force: bool },
}

impl Call {
    pub(super) async fn send(&self, client: &Client, scope: &Scope) -> Result<Value, ApplyError> {
        match self {
            Self::Snapshot { cluster, name } => {
                let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
                let run = scope.run.as_ref().map(ToString::to_string).unwrap_or_default();
                let tags =
                    [tag("belay:migration", &scope.migration), tag("belay:run", &run), tag("belay:step", &scope.step)];
                let sent = client
                    .create_db_cluster_snapshot()
                    .db_cluster_identifier(cluster)
                    .db_cluster_snapshot_identifier(name)
                    .set_tags(Some(tags.into()));
                sent.send().await.map_err(|error| {
                    let code = errors::code(&error).unwrap_or_default().to_owned();
                    errors::refine(errors::apply(error, CREATE_SNAPSHOT, cluster), known(&code))
                })?;
                Ok(json!({ "db_cluster_snapshot_identifier": name }))
            }
            Self::Backtrack { cluster, to, force } => {
                let sent = client
                    .backtrack_db_cluster()
                    .db_cluster_identifier(cluster)
                    .backtrack_to(
                        DateTime::from_nanos(to.as_nanosecond()).unwrap_or(DateTime::from_secs(to.as_second())),
                    )
                    .force(*force)
                    .use_earliest_time_on_point_in_time_unavailable(false);
                let answer = sent.send().await.map_err(|error| {
                    let code = errors::code(&error).unwrap_or_default().to_owned();
                    errors::refine(errors::apply(error, BACKTRACK_CLUSTER, cluster), known(&code))
                })?;
                Ok(json!({
                    "backtrack_identifier": answer.backtrack_identifier,
                    "backtrack_to": timestamp(answer.backtrack_to),
                    "backtracked_from": timestamp(answer.backtracked_from),
                }))
            }
        }
    }
}

fn known(code: &str) -> Option<(bool, &'static str)> {
    Some(match code.strip_suffix("Fault").unwrap_or(code) {
        "DBClusterSnapshotAlreadyExists" => (true, "an earlier send has made it; the next look finds it"),
        "InvalidDBClusterState" => (true, "RDS does this only with an available cluster"),
        "SnapshotQuotaExceeded" => {
            (false, "delete manual snapshots that are not needed, or ask Service Quotas for more")
        }
        "InvalidParameterCombination" | "InvalidParameterValue" => (
            false,
            "the time must be within the backtrack window; where the binary log is on, `force: true` goes back all the \
             same, and its replicas have to be made anew",
        ),
        _ => return None,
    })
}
