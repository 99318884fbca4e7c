//! The databases of an account and their backups, for a plan that is yet to be written.

use aws_sdk_rds::{
    Client,
    types::{DbCluster, DbInstance},
};
use belay_aws_catalogue::rds::engines;
use belay_draft::inventory::{Backups, Database};
use belay_ports::ReadError;
use jiff::Timestamp;

use super::{
    cluster::{self, DESCRIBE_CLUSTERS},
    links,
    reads::{self, DESCRIBE_INSTANCES},
    source::{self, Kind},
    state::{Snapshot, text, timestamp},
};
use crate::errors;

/// Databases of one kind, and whether these are all.
pub(crate) struct Surveyed {
    pub(crate) databases: Vec<Database>,
    pub(crate) whole: bool,
}

/// Instances that are no member of a cluster.
pub(crate) async fn instances(client: &Client, calls: usize) -> Result<Surveyed, ReadError> {
    let mut pages = client.describe_db_instances().into_paginator().send();
    let mut databases = Vec::new();
    for _ in 0..calls {
        let Some(page) = pages.next().await else { return Ok(Surveyed { databases, whole: true }) };
        let page = page.map_err(|error| errors::read(error, DESCRIBE_INSTANCES, "*"))?;
        let alone = page.db_instances().iter().filter(|instance| instance.db_cluster_identifier.is_none());
        databases.extend(alone.map(of_instance));
    }
    Ok(Surveyed { databases, whole: false })
}

pub(crate) async fn clusters(client: &Client, calls: usize) -> Result<Surveyed, ReadError> {
    let mut pages = client.describe_db_clusters().into_paginator().send();
    let mut databases = Vec::new();
    for _ in 0..calls {
        let Some(page) = pages.next().await else { return Ok(Surveyed { databases, whole: true }) };
        let page = page.map_err(|error| errors::read(error, DESCRIBE_CLUSTERS, "*"))?;
        databases.extend(page.db_clusters().iter().map(of_cluster));
    }
    Ok(Surveyed { databases, whole: false })
}

fn of_instance(instance: &DbInstance) -> Database {
    let (name, engine) = (text(&instance.db_instance_identifier), text(&instance.engine));
    let latest = timestamp(instance.latest_restorable_time);
    Database {
        cluster: false,
        unfit: engines::unfit(false, &name, &engine),
        name,
        engine,
        status: instance.db_instance_status.clone(),
        members: Vec::new(),
        backups: Backups { point_in_time: Some(latest.is_some()), latest_restorable: latest, ..Backups::default() },
    }
}

fn of_cluster(cluster: &DbCluster) -> Database {
    let (name, engine) = (text(&cluster.db_cluster_identifier), text(&cluster.engine));
    let latest = timestamp(cluster.latest_restorable_time);
    let members = cluster.db_cluster_members().iter().filter_map(|member| member.db_instance_identifier.clone());
    Database {
        cluster: true,
        unfit: engines::unfit(true, &name, &engine),
        name,
        engine,
        status: cluster.status.clone(),
        members: members.collect(),
        backups: Backups {
            point_in_time: Some(latest.is_some()),
            earliest_restorable: timestamp(cluster.earliest_restorable_time),
            latest_restorable: latest,
            backtrack_window_s: cluster.backtrack_window.filter(|window| *window > 0),
            ..Backups::default()
        },
    }
}

/// Of an instance; a cluster shows it itself.
pub(crate) async fn earliest_restorable(client: &Client, database: &Database) -> Result<Option<Timestamp>, ReadError> {
    match database.cluster || database.backups.point_in_time == Some(false) {
        true => Ok(None),
        false => reads::earliest_restorable(client, &database.name).await,
    }
}

/// The newest one that is available.
pub(crate) async fn newest_snapshot(client: &Client, database: &Database) -> Result<Option<Snapshot>, ReadError> {
    let name = &database.name;
    let all: Vec<Snapshot> = match database.cluster {
        true => cluster::snapshots(client, name).await?.iter().map(cluster::snapshot_of).collect(),
        false => reads::snapshots(client, name).await?.iter().map(Snapshot::of).collect(),
    };
    Ok(source::newest(all.into_iter().map(|snapshot| (snapshot, Vec::new())), None, &[]))
}

/// The blue/green deployment that it is production in, and those that it is the other side of, by name.
pub(crate) async fn deployments(
    client: &Client,
    database: &Database,
) -> Result<(Option<String>, Vec<String>), ReadError> {
    let kind = if database.cluster { Kind::Cluster } else { Kind::Instance };
    let found = links::deployments(client, kind, &database.name).await;
    let found = found.map_err(|why| ReadError { why, permanent: false })?;
    let (production, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|deployment| deployment.production);
    Ok((production.into_iter().next().map(|one| one.name), other.into_iter().map(|one| one.name).collect()))
}
