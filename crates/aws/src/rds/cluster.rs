//! `rds.restore` of a cluster: itself, its members, and the names of both.
//!
//! An Aurora cluster is restored without instances, so they are created after those that are replaced. Then the names
//! change places: first the cluster's, with which its writer and reader endpoints come back, then each member's.

mod assess;
pub(super) mod autoscaled;
pub(super) mod calls;
mod changes;
mod members;
mod parameters;
mod read_back;
pub(super) mod settings;
mod state;
#[cfg(test)]
mod table;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_rds::{
    Client,
    types::{DbClusterSnapshot, Filter},
};
use belay_core::{change::Receipt, id::RunId};
use belay_ports::{Clock, Permission, ReadError, Scope};
use serde_json::Value;

pub(super) use self::{
    assess::{assess, restore_point},
    changes::CREATE,
    state::{ClusterState, snapshot as snapshot_of},
};
use self::{
    read_back::names_of,
    state::{Cluster, Member},
};
use super::{
    Observed, calls as instance_calls, cname,
    led::{self, Stage},
    led_earlier, links,
    names::{NAME_CHARS_MAX, Names},
    owner::{REPLACES_TAG, RUN_TAG},
    permissions::{self, Permissions, any_run},
    proxies, readiness,
    reads::{self, is_code},
    source::{self, Kind},
    spec::{KeepEndpoint, Newest, Source, With},
    state::{Instance, Snapshot, tags},
    status::{Phase, phase},
    steady,
};
use crate::{errors, resolver::Resolver, session::Clients};

pub(super) const DESCRIBE_CLUSTERS: &str = "rds:DescribeDBClusters";
const DESCRIBE_CLUSTER_SNAPSHOTS: &str = "rds:DescribeDBClusterSnapshots";

/// How many names one call asks for.
const NAMES_MAX: usize = 50;

pub(super) async fn look(
    clock: &dyn Clock,
    resolver: &dyn Resolver,
    clients: &Clients,
    scope: &Scope,
    with: &With,
    name: &str,
    receipts: &[Receipt],
) -> Result<ClusterState, ReadError> {
    let looked = clock.now();
    let client = &clients.rds.read;
    let names = Names::new(name, scope.run.as_ref());
    // Placeholder names cannot be asked for.
    let derived = async |name: &str| match scope.run {
        Some(_) => describe(client, name).await,
        None => Ok(None),
    };
    // In the order in which names change: so a cluster that is renamed meanwhile is found twice, never not at all.
    let dance = async {
        let restored = derived(&names.restored).await?;
        let cluster = describe(client, &names.own).await?;
        Ok((restored, cluster, derived(&names.failed).await?))
    };
    let ((restored, cluster, failed), snapshot) =
        futures::try_join!(dance, snapshot(client, scope, &names.own, &with.from))?;
    let members = members(client, scope, [&cluster, &restored, &failed]).await?;
    let of_it = restored.iter().map(|new| new.status.as_str());
    let of_members = members.iter().filter_map(|member| Some(member.restored.as_ref()?.status.as_str()));
    let available = restored.is_some() && of_it.chain(of_members).all(|status| phase(status) == Phase::Available);
    let cname = match &with.cname {
        Some(cname) => {
            let busy = restored.is_some() && !available;
            Some(cname::observe(&clients.route53.read, scope, cname, receipts, busy).await?)
        }
        None => None,
    };
    let begins = cluster.is_some() && restored.is_none() && failed.is_none();
    let links = if begins { Some(links::once(client, scope, Kind::Cluster, &names.own).await) } else { None };
    let stage = match with.keep_endpoint {
        KeepEndpoint::Rename if begins => Stage::Before(endpoints(cluster.as_ref(), &members)),
        KeepEndpoint::Rename if restored.is_none() && failed.is_some() => Stage::After,
        _ => Stage::Neither,
    };
    let led = led::look(resolver, scope, stage, led_earlier(scope)).await;
    let before = scope.before::<Observed>().ok().flatten().and_then(Observed::links);
    let asked = proxies::asked(scope, with, before, restored.is_none() && failed.is_some());
    let proxied = proxies::look(client, Kind::Cluster, &asked).await?;
    let steady = steady::since(scope, looked, available);
    Ok(ClusterState { looked, cluster, restored, steady, failed, members, snapshot, links, cname, led, proxied })
}

/// All that clients may connect to: of the writer, of the readers, of each member that gets its name back, and the custom ones.
fn endpoints(cluster: Option<&Cluster>, members: &[Member]) -> Vec<String> {
    let Some(cluster) = cluster else { return Vec::new() };
    let own = [&cluster.endpoint, &cluster.reader_endpoint].into_iter().flatten();
    let kept = members.iter().filter(|member| !autoscaled::is_one(member));
    let kept = kept.filter_map(|member| member.instance.as_ref()?.endpoint.as_ref());
    own.chain(kept).chain(&cluster.custom_endpoints).cloned().collect()
}

/// None: there is no cluster of that name.
async fn describe(client: &Client, name: &str) -> Result<Option<Cluster>, ReadError> {
    match client.describe_db_clusters().db_cluster_identifier(name).send().await {
        Ok(answer) => Ok(answer.db_clusters().first().map(Cluster::of)),
        Err(error) if is_code(errors::code(&error), "DBClusterNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_CLUSTERS, name)),
    }
}

async fn snapshot(client: &Client, scope: &Scope, cluster: &str, from: &Source) -> Result<Option<Snapshot>, ReadError> {
    let name = match from {
        Source::Snapshot(name) => name,
        Source::NewestSnapshot(newest) => return newest_snapshot(client, scope, cluster, newest).await,
        Source::Time(_) => return Ok(None),
    };
    // A snapshot of another account goes by its ARN, and is listed only when asked for.
    let shared = name.starts_with("arn:").then_some(true);
    let asked = client.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name).set_include_shared(shared);
    match asked.send().await {
        Ok(answer) => Ok(answer.db_cluster_snapshots().first().map(state::snapshot)),
        Err(error) if is_code(errors::code(&error), "DBClusterSnapshotNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE_CLUSTER_SNAPSHOTS, name)),
    }
}

async fn newest_snapshot(
    client: &Client,
    scope: &Scope,
    cluster: &str,
    newest: &Newest,
) -> Result<Option<Snapshot>, ReadError> {
    // The assessment says what is missing.
    let Ok(before) = source::bound(scope, newest.before) else { return Ok(None) };
    let all = snapshots(client, cluster).await?;
    let tagged = all.iter().map(|found| (state::snapshot(found), tags(found.tag_list()).into_iter().collect()));
    Ok(source::newest(tagged, before, &source::tags_of(scope, newest)))
}

/// All snapshots of a cluster. Those of AWS Backup are listed only when they are asked for.
pub(super) async fn snapshots(client: &Client, cluster: &str) -> Result<Vec<DbClusterSnapshot>, ReadError> {
    let mut all = Vec::new();
    for kind in [None, Some("awsbackup".to_owned())] {
        let asked = client.describe_db_cluster_snapshots().db_cluster_identifier(cluster).set_snapshot_type(kind);
        let listed = asked.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        all.extend(listed.map_err(|error| errors::read(error, DESCRIBE_CLUSTER_SNAPSHOTS, cluster))?);
    }
    Ok(all)
}

/// The members of all these clusters, and those of the baseline, each under all of its names.
async fn members(client: &Client, scope: &Scope, clusters: [&Option<Cluster>; 3]) -> Result<Vec<Member>, ReadError> {
    let run = scope.run.as_ref();
    let clusters: Vec<&Cluster> = clusters.into_iter().flatten().collect();
    // A cluster lists its members, and an instance names its cluster: while either changes its name, one may lag behind.
    let names = clusters.iter().map(|cluster| cluster.name.clone()).collect();
    let mut found = instances(client, "db-cluster-id", &names).await?;
    let listed = clusters.iter().flat_map(|cluster| cluster.members.iter().map(|listed| listed.name.clone()));
    let listed: BTreeSet<String> = listed.filter(|name| !found.contains_key(name)).collect();
    found.extend(instances(client, "db-instance-id", &listed).await?);
    let listed: BTreeSet<String> = found.keys().cloned().collect();
    let mut own = known_members(scope);
    own.extend(listed.iter().map(|name| name_of(name, found.get(name), run)));
    // A name that was cut, of a member that was moved away, tells nothing; its own name is known by the restored one.
    let moved: BTreeSet<String> = own.iter().map(|name| Names::new(name, run).failed).collect();
    own.retain(|name| !moved.contains(name));

    let all: BTreeSet<String> = own.iter().flat_map(|name| names_of(name, run)).collect();
    let more = all.into_iter().filter(|name| !found.contains_key(name)).collect();
    found.extend(instances(client, "db-instance-id", &more).await?);
    let members = own.into_iter().map(|name| {
        let names = Names::new(&name, run);
        Member {
            instance: found.remove(&names.own),
            restored: found.remove(&names.restored),
            failed: found.remove(&names.failed),
            name,
        }
    });
    Ok(members.collect())
}

/// The members that the baseline knows, or that were there before the first send: one that is being renamed is listed under
/// none of its names for a while.
fn known_members(scope: &Scope) -> BTreeSet<String> {
    let docs = scope.baseline.as_ref().map(|entry| &entry.doc).into_iter().chain(scope.before.as_deref());
    let members = docs.filter_map(|doc| doc["members"].as_array()).flatten();
    members.filter_map(|member| member["name"].as_str().map(ToOwned::to_owned)).collect()
}

/// The name by which clients know a member, whatever it is called at the moment.
fn name_of(listed: &str, found: Option<&Instance>, run: Option<&RunId>) -> String {
    let Some(run) = run else { return listed.to_owned() };
    // An earlier run's tag says nothing of this one.
    let ours = found.filter(|found| found.tags.get(RUN_TAG) == Some(&run.0));
    if let Some(name) = ours.and_then(|found| found.tags.get(REPLACES_TAG)) {
        return name.clone();
    }
    let base = ["restored", "failed"].iter().find_map(|word| listed.strip_suffix(&format!("-{word}-{}", run.0)));
    // A name that may have been cut does not give itself back.
    base.filter(|_| listed.len() < NAME_CHARS_MAX - 1).unwrap_or(listed).to_owned()
}

/// The instances that there are, by a filter.
async fn instances(
    client: &Client,
    filter: &str,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, Instance>, ReadError> {
    let names: Vec<String> = names.iter().cloned().collect();
    let mut found = BTreeMap::new();
    for some in names.chunks(NAMES_MAX) {
        let named = Filter::builder().name(filter).set_values(Some(some.to_vec())).build();
        let pages = client.describe_db_instances().filters(named).into_paginator().items().send();
        let listed = pages.collect::<Result<Vec<_>, _>>().await;
        let listed = listed.map_err(|error| errors::read(error, reads::DESCRIBE_INSTANCES, &some.join(", ")))?;
        found.extend(listed.iter().map(Instance::of).map(|instance| (instance.name.clone(), instance)));
    }
    Ok(found)
}

/// What the restore of a cluster needs to be allowed.
pub(super) fn permissions(scope: &Scope, with: &With, cluster: &str) -> Vec<Permission> {
    let mut made = Permissions::new(scope);
    let names = Names::new(cluster, None);
    let clusters =
        [names.own, names.restored, names.failed].map(|name| made.arn(&format!("cluster:{}", any_run(&name))));
    let members: Vec<String> = match known_members(scope) {
        known if known.is_empty() => vec![made.arn("db:*")],
        known => {
            let names = known.iter().map(|name| Names::new(name, None));
            let names = names.flat_map(|names| [names.own, names.restored, names.failed]);
            names.map(|name| made.arn(&format!("db:{}", any_run(&name)))).collect()
        }
    };

    for cluster in &clusters {
        made.read(DESCRIBE_CLUSTERS, cluster.clone());
        made.send(calls::MODIFY, cluster.clone());
    }
    // Listed by a filter, which has no resource of its own.
    made.read(reads::DESCRIBE_INSTANCES, made.arn("db:*"));
    let restore = match made.snapshot("cluster-snapshot", &with.from) {
        Some(snapshot) => {
            if matches!(with.from, Source::NewestSnapshot(_)) {
                made.read(DESCRIBE_CLUSTER_SNAPSHOTS, clusters[0].clone());
            }
            made.read(DESCRIBE_CLUSTER_SNAPSHOTS, snapshot.clone());
            made.send(calls::RESTORE_FROM_SNAPSHOT, snapshot);
            calls::RESTORE_FROM_SNAPSHOT
        }
        None => {
            // The source.
            made.send(calls::RESTORE_TO_POINT_IN_TIME, clusters[0].clone());
            calls::RESTORE_TO_POINT_IN_TIME
        }
    };
    made.send(restore, clusters[1].clone());
    made.send(calls::CREATE_INSTANCE, clusters[1].clone());
    made.send("rds:AddTagsToResource", clusters[1].clone());
    // Those of a Multi-AZ DB cluster are made and set along with it, under names that RDS gives: `NAME-instance-1`.
    let of_rds = made.arn(&format!("db:{}-instance-*", any_run(&Names::new(cluster, None).restored)));
    for member in members.into_iter().chain([of_rds]) {
        for action in [calls::CREATE_INSTANCE, instance_calls::MODIFY, "rds:AddTagsToResource"] {
            made.send(action, member.clone());
        }
    }
    // IAM looks at everything that such a call names: groups as well.
    for (action, groups) in [
        (restore, &["cluster-pg:*", "subgrp:*", "og:*"][..]),
        (calls::MODIFY, &["cluster-pg:*"]),
        (calls::CREATE_INSTANCE, &["pg:*", "og:*", "subgrp:*"]),
        (instance_calls::MODIFY, &["og:*", "pg:*"]),
    ] {
        for group in groups {
            made.send(action, made.arn(group));
        }
    }
    let doc = scope.baseline.as_ref().map(|entry| &entry.doc);
    let of_cluster = doc.map(|doc| &doc["cluster"]["settings"]);
    let members = doc.and_then(|doc| doc["members"].as_array()).into_iter().flatten();
    let of_members: Vec<&Value> = members.map(|member| &member["instance"]["settings"]).collect();
    // Aurora's roles are its members'.
    let roles = of_cluster.into_iter().chain(of_members.iter().copied());
    let roles: BTreeSet<&str> = roles.filter_map(|settings| settings["monitoring_role"].as_str()).collect();
    if roles.is_empty() {
        made.pass_monitoring(None);
    }
    for role in roles {
        made.pass_monitoring(Some(role));
    }
    if let (Some(settings), Some(doc)) = (of_cluster, doc) {
        made.pass_domain(settings);
        made.manage_password(with, settings);
        made.pass_roles(&settings["associated_roles"]);
        let own = permissions::key_of_data(doc, &doc["cluster"]);
        made.use_keys(own.into_iter().chain([settings].into_iter().chain(of_members).flat_map(permissions::keys)));
    }
    made.send(calls::ENABLE_HTTP_ENDPOINT, clusters[1].clone());
    made.links();
    readiness::permissions(&mut made, Kind::Cluster, cluster, &with.from);
    made.proxies(scope, with, "cluster", &Names::new(cluster, None));
    made.cname(with);
    made.list
}

#[cfg(test)]
mod tests;
