//! What a restore needs beyond the database and its source: room in the account, groups that are still there, a version that
//! RDS still offers, a key that can be used. Each read that fails is an unknown check.

mod class;
mod key;
mod origin;
mod protection;
mod proxies;
mod quota;
mod snapshots;
mod status;
mod still_there;

use std::collections::BTreeSet;

use belay_ports::{Check, RestorePoint, Scope};
use jiff::Timestamp;

pub(crate) use self::key::SERVICE as KMS;
pub(super) use self::{
    proxies::checks as proxies,
    quota::{DESCRIBE as DESCRIBE_QUOTAS, checks as quotas, room},
};
use super::{
    ClusterState, Observed, Source, With,
    permissions::Permissions,
    source::Kind,
    state::{Instance, Snapshot, State},
};
use crate::session::Clients;

/// What is made anew, after what is replaced.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs<'a> {
    /// Whether it is a cluster.
    cluster: bool,
    name: &'a str,
    engine: &'a str,
    engine_version: &'a str,
    /// Of its instances, each once.
    classes: Vec<Class<'a>>,
    /// Instances that are made.
    instances: i64,
    /// In GiB, where it counts against the account's storage.
    storage_gib: Option<i64>,
    subnet_group: Option<&'a str>,
    /// Of the instance, or of the cluster.
    parameter_group: Option<&'a str>,
    option_group: Option<&'a str>,
    security_groups: &'a [String],
    /// Those that the present database has.
    attached_groups: &'a [String],
    certificate: Option<&'a str>,
    /// An ARN. None: not encrypted.
    key: Option<&'a str>,
}

/// An instance class.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class<'a> {
    wanted: &'a str,
    /// That of the present instance, which a restore takes where RDS refuses the other.
    instead: Option<&'a str>,
}

impl<'a> Class<'a> {
    fn of(like: &'a Instance, present: Option<&'a Instance>) -> Option<Self> {
        let class = |instance: &'a Instance| instance.settings.db_instance_class.as_deref();
        let wanted = class(like)?;
        Some(Self { wanted, instead: present.and_then(class).filter(|present| *present != wanted) })
    }
}

impl<'a> Needs<'a> {
    /// As a restore takes it: the settings of the baseline, else those of now. None: there is nothing to go by, which the
    /// assessment says.
    fn of(now: &'a Observed, baseline: Option<&'a Observed>) -> Option<Self> {
        match now {
            Observed::Instance(State { instance, snapshot, .. }) => {
                let earlier = baseline.and_then(|baseline| match baseline {
                    Observed::Instance(state) => state.instance.as_ref(),
                    Observed::Cluster(_) => None,
                });
                Some(Self::of_instance(earlier.or(instance.as_ref())?, instance.as_ref(), snapshot.as_ref()))
            }
            Observed::Cluster(state) => {
                let earlier = baseline.and_then(|baseline| match baseline {
                    Observed::Cluster(state) => state.cluster.is_some().then_some(state),
                    Observed::Instance(_) => None,
                });
                Self::of_cluster(earlier.unwrap_or(state), state)
            }
        }
    }

    fn of_instance(like: &'a Instance, present: Option<&'a Instance>, snapshot: Option<&'a Snapshot>) -> Self {
        let settings = &like.settings;
        let storage = snapshot.and_then(|snapshot| snapshot.allocated_storage).max(settings.allocated_storage);
        Self {
            cluster: false,
            name: &like.name,
            engine: snapshot.map_or(&like.engine, |snapshot| &snapshot.engine),
            engine_version: snapshot.map_or(&like.engine_version, |snapshot| &snapshot.engine_version),
            classes: Class::of(like, present).into_iter().collect(),
            instances: 1,
            storage_gib: storage.map(i64::from),
            subnet_group: settings.db_subnet_group.as_deref(),
            parameter_group: settings.db_parameter_group.as_deref(),
            option_group: settings.option_group.as_deref(),
            security_groups: settings.vpc_security_groups.as_deref().unwrap_or_default(),
            attached_groups: present
                .and_then(|present| present.settings.vpc_security_groups.as_deref())
                .unwrap_or_default(),
            certificate: settings.ca_certificate.as_deref(),
            key: like.kms_key.as_deref(),
        }
    }

    fn of_cluster(like: &'a ClusterState, present: &'a ClusterState) -> Option<Self> {
        let cluster = like.cluster.as_ref()?;
        let settings = &cluster.settings;
        let snapshot = present.snapshot.as_ref();
        let classes: BTreeSet<Class<'a>> = like
            .members
            .iter()
            .filter_map(|member| {
                let now =
                    present.members.iter().find(|now| now.name == member.name).and_then(|now| now.instance.as_ref());
                Class::of(member.instance.as_ref()?, now)
            })
            .collect();
        let attached = present.cluster.as_ref().and_then(|present| present.settings.vpc_security_groups.as_deref());
        Some(Self {
            cluster: true,
            name: &cluster.name,
            engine: snapshot.map_or(&cluster.engine, |snapshot| &snapshot.engine),
            engine_version: snapshot.map_or(&cluster.engine_version, |snapshot| &snapshot.engine_version),
            classes: classes.into_iter().collect(),
            instances: i64::try_from(cluster.members.len()).unwrap_or(i64::MAX),
            storage_gib: None,
            subnet_group: settings.db_subnet_group.as_deref(),
            parameter_group: settings.cluster_parameter_group.as_deref(),
            option_group: None,
            security_groups: settings.vpc_security_groups.as_deref().unwrap_or_default(),
            attached_groups: attached.unwrap_or_default(),
            certificate: None,
            key: cluster.kms_key.as_deref(),
        })
    }
}

/// Nothing of what a step needs could be read.
pub(super) fn unasked(step: &str, why: String) -> Check {
    Check::unknown("readiness", step, why)
        .wanted("answers of RDS to what the step needs")
        .cure("correct the credentials or the network, then check again")
}

/// A read that failed.
fn unread(id: &str, subject: impl Into<String>, why: String) -> Check {
    Check::unknown(id, subject, why)
        .wanted("an answer of RDS")
        .cure("allow the call (`belay iam PLAN` prints the statement); where it is allowed, check again")
}

/// `point`: to which state of the data it would go back. `at`: now.
pub(super) async fn of(
    clients: &Clients,
    (scope, with): (&Scope, &With),
    (now, baseline): (&Observed, Option<&Observed>),
    point: RestorePoint,
    at: Timestamp,
) -> Vec<Check> {
    let snapshot = match now {
        Observed::Instance(state) => state.snapshot.as_ref(),
        Observed::Cluster(state) => state.snapshot.as_ref(),
    };
    // What keeps it from being restored, the assessment shows.
    let mut checks: Vec<Check> = origin::check(scope, with, now, snapshot, point).into_iter().collect();
    checks.extend(status::check(with, now));
    checks.extend(protection::check(now));
    let Some(mut needs) = Needs::of(now, baseline) else { return checks };
    if with.without.contains("db_instance_class") {
        needs.classes.clear();
    }
    let client = &clients.rds.read;
    let clusters = i64::from(needs.cluster);
    let rooms = [
        room("DBInstances", needs.instances, "a restore beside the database"),
        room("DBClusters", clusters, "a restore beside the cluster"),
        room("AllocatedStorage", needs.storage_gib.unwrap_or(0), "a restore beside the database, in GiB"),
    ];
    let (quotas, listed, there, classes) = futures::join!(
        quotas(client, scope, &rooms),
        snapshots::list(client, needs.cluster, needs.name, snapshot),
        still_there::checks(client, &needs, at),
        class::checks(client, &needs),
    );
    checks.extend(quotas);
    checks.extend(there);
    checks.extend(classes);
    let (of_snapshots, key) = snapshots::checks(scope, snapshot, listed, needs.name, at);
    checks.extend(of_snapshots);
    let own = snapshot.and_then(|snapshot| snapshot.kms_key.as_deref());
    if let Some(key) = own.or(key.as_deref()).or(needs.key) {
        checks.push(key::check(&clients.kms, key).await);
    }
    checks
}

/// What these reads need.
pub(super) fn permissions(made: &mut Permissions, kind: Kind, name: &str, from: &Source) {
    for action in [DESCRIBE_QUOTAS, still_there::ENGINE_VERSIONS, class::ORDERABLE] {
        made.read(action, "*".to_owned());
    }
    made.read(still_there::SUBNET_GROUPS, made.arn("subgrp:*"));
    let of_snapshots = match kind {
        Kind::Instance => {
            made.read(still_there::CERTIFICATES, "*".to_owned());
            made.read(still_there::PARAMETER_GROUPS, made.arn("pg:*"));
            made.read(still_there::OPTION_GROUPS, made.arn("og:*"));
            [("db", snapshots::OF_INSTANCE), ("snapshot", snapshots::OF_INSTANCE)]
        }
        Kind::Cluster => {
            made.read(still_there::CLUSTER_PARAMETER_GROUPS, made.arn("cluster-pg:*"));
            [("cluster", snapshots::OF_CLUSTER), ("cluster-snapshot", snapshots::OF_CLUSTER)]
        }
    };
    if !matches!(from, Source::Time(_)) {
        let [(database, list), (snapshot, _)] = of_snapshots;
        made.read(list, made.arn(&format!("{database}:{}", name.to_ascii_lowercase())));
        made.read(list, made.arn(&format!("{snapshot}:*")));
    }
}

#[cfg(test)]
mod tests;
