//! Ways back that need no restore: `rds.backtrack`, `rds.failover`, `rds.switch_back`.

pub mod backtrack;
pub mod failover;
pub mod switch_back;

use aws_sdk_rds::{
    Client,
    primitives::DateTime,
    types::{DbCluster, DbInstance},
};
use belay_core::{
    change::{Assessment, Progress},
    input::ErrorClass,
};
use belay_ports::{ApplyError, Permission, ReadError, Scope};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{errors, place};

const DESCRIBE_INSTANCES: &str = "rds:DescribeDBInstances";
const DESCRIBE_CLUSTERS: &str = "rds:DescribeDBClusters";

/// The most that RDS allows.
const NAME_CHARS_MAX: usize = 63;

/// None: there is no cluster of that name.
async fn describe_cluster(client: &Client, name: &str) -> Result<Option<DbCluster>, ReadError> {
    match client.describe_db_clusters().db_cluster_identifier(name).send().await {
        Ok(answer) => Ok(answer.db_clusters.unwrap_or_default().into_iter().next()),
        Err(error) if is_code(errors::code(&error), "DBClusterNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_CLUSTERS, name)),
    }
}

/// None: there is no instance of that name.
async fn describe_instance(client: &Client, name: &str) -> Result<Option<DbInstance>, ReadError> {
    match client.describe_db_instances().db_instance_identifier(name).send().await {
        Ok(answer) => Ok(answer.db_instances.unwrap_or_default().into_iter().next()),
        Err(error) if is_code(errors::code(&error), "DBInstanceNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_INSTANCES, name)),
    }
}

/// RDS ends some codes in `Fault` and some not.
fn is_code(code: Option<&str>, expected: &str) -> bool {
    code.is_some_and(|code| code.strip_suffix("Fault").unwrap_or(code) == expected)
}

fn timestamp(time: Option<DateTime>) -> Option<Timestamp> {
    let time = time?;
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// `NAME-WORD-RUN`, where it fits. Names that differ only behind a cut must not become one, so a cut name ends in a hash
/// of the whole. Without a run it is for people only.
fn derived(name: &str, word: &str, scope: &Scope) -> String {
    let run = scope.run.as_ref().map_or("<run>", |run| run.0.as_str());
    let suffix = format!("-{word}-{run}");
    let room = NAME_CHARS_MAX - suffix.len();
    if name.len() <= room {
        return format!("{name}{suffix}");
    }
    let digest = Sha256::digest(name);
    let hash = format!("-{:02x}{:02x}", digest[0], digest[1]);
    let cut: String = name.chars().take(room - hash.len()).collect();
    format!("{}{hash}{suffix}", cut.trim_end_matches('-'))
}

fn settling(note: impl Into<String>) -> Assessment {
    Assessment::Settling(Progress { fraction: None, note: note.into(), expected_left_s: None })
}

fn verdict(why: impl Into<String>) -> Assessment {
    Assessment::Failed { why: why.into() }
}

fn permission(mutates: bool, action: &str, resource: String) -> Permission {
    Permission { action: action.to_owned(), resource, mutates, conditions: Vec::new() }
}

/// `arn:aws:rds:eu-west-1:111122223333:KIND:NAME`
fn arn(scope: &Scope, kind: &str, name: &str) -> String {
    let partition = place::partition(&scope.aws);
    let region = scope.aws.region.as_deref().unwrap_or("*");
    let account = scope.aws.account.as_deref().unwrap_or("*");
    format!("arn:{partition}:rds:{region}:{account}:{kind}:{name}")
}

/// What a change carries cannot be read: nothing was sent.
fn corrupt(change: &str, error: &serde_json::Error) -> ApplyError {
    let why = format!("the change {change} cannot be understood: {error}");
    ApplyError::NoEffect { why, class: ErrorClass::Permanent }
}
