//! `rds.restore`: a database as it was, under its own name; and `rds_status`, the status of one.
//!
//! A restore always makes a new instance. To keep the endpoint, the names change places afterwards: the failed instance
//! moves to `INSTANCE-failed-RUN`, and the restored one from `INSTANCE-restored-RUN` to `INSTANCE`. Nothing is ever
//! deleted. Every name derives from the run, so where the dance stands is read off AWS at each look, whatever was
//! journaled before a crash.

mod assess;
mod behind;
mod calls;
mod carry;
mod checks;
mod cluster;
mod cname;
mod eligible;
mod fields;
mod led;
mod links;
pub mod moves;
mod names;
mod owner;
mod pending;
mod permissions;
mod proxies;
mod readiness;
mod reads;
mod refine;
mod refused;
mod restore_test;
mod sensor;
mod sent;
mod settings;
mod source;
mod state;
mod status;
mod steady;
pub(crate) mod survey;

use std::{fmt, sync::Arc};

use belay_aws_catalogue::rds::restore::{self as spec, KeepEndpoint, Source, Subject, Time, With};
use belay_core::{
    change::{Assessment, Change, Key, Receipt},
    input::ErrorClass,
};
use belay_ports::{
    ApplyError, Check, Clock, Corrupt, Fut, Permission, ReadError, RestorePoint, Restored, Scope, System,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::readiness::KMS;
use self::{
    calls::Call,
    cluster::ClusterState,
    led::{Earlier, Stage},
    names::Names,
    reads::DESCRIBE_INSTANCES,
    source::Kind,
};
pub use self::{
    led::Led,
    links::Links,
    sensor::RdsStatus,
    settings::Settings,
    state::{Attached, Instance, Role, Snapshot, State},
};
use crate::{
    services::{Actions, Granted, Service},
    session::Aws,
};

pub(crate) const SERVICE: Service = Service {
    // AWS publishes none; this is below what is known to be throttled.
    quotas: &[Granted::all(20.0, 40.0)],
    reads: &[
        "DescribeAccountAttributes",
        "DescribeBlueGreenDeployments",
        "DescribeCertificates",
        "DescribeDBClusterBacktracks",
        "DescribeDBClusterParameterGroups",
        "DescribeDBClusterSnapshots",
        "DescribeDBClusters",
        "DescribeDBEngineVersions",
        "DescribeDBInstanceAutomatedBackups",
        "DescribeDBInstances",
        "DescribeDBParameterGroups",
        "DescribeDBProxies",
        "DescribeDBProxyTargets",
        "DescribeDBSnapshots",
        "DescribeDBSubnetGroups",
        "DescribeIntegrations",
        "DescribeOptionGroups",
        "DescribeOrderableDBInstanceOptions",
    ],
    writes: &[
        "AddRoleToDBInstance",
        "BacktrackDBCluster",
        "CreateDBClusterSnapshot",
        "CreateDBInstance",
        "DeregisterDBProxyTargets",
        "EnableHttpEndpoint",
        "FailoverDBCluster",
        "ModifyDBCluster",
        "ModifyDBInstance",
        "RebootDBInstance",
        "RegisterDBProxyTargets",
        "RestoreDBClusterFromSnapshot",
        "RestoreDBClusterToPointInTime",
        "RestoreDBInstanceFromDBSnapshot",
        "RestoreDBInstanceToPointInTime",
    ],
    // A database leaves its present state.
    passing: &[
        "InsufficientDBInstanceCapacity",
        "InvalidDBClusterStateFault",
        "InvalidDBInstanceState",
        "InvalidDBSnapshotState",
    ],
    actions: Some(Actions {
        prefix: "rds",
        keys: &["instance", "cluster", "database", "deployment", "snapshot", "old", "writer"],
    }),
    ..Service::new("RDS", "rds")
};

/// What a look finds: of an instance, or of a cluster. What an older journal holds is of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Observed {
    Cluster(ClusterState),
    Instance(State),
}

impl Observed {
    fn links(self) -> Option<Links> {
        match self {
            Self::Instance(state) => state.links,
            Self::Cluster(state) => state.links,
        }
    }

    fn led(self) -> Option<Led> {
        match self {
            Self::Instance(state) => state.led,
            Self::Cluster(state) => state.led,
        }
    }
}

/// Where the names of production led before.
fn led_earlier(scope: &Scope) -> Earlier {
    Earlier::of(scope, Observed::led)
}

/// The action `rds.restore`.
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

    async fn look(&self, scope: &Scope, with: &With, instance: &str, receipts: &[Receipt]) -> Result<State, ReadError> {
        let looked = self.clock.now();
        let clients = self.aws.clients(&scope.aws).await?;
        let client = &clients.rds.read;
        let names = Names::new(instance, scope.run.as_ref());
        // Placeholder names cannot be asked for.
        let derived = async |name: &str| match scope.run {
            Some(_) => reads::instance(client, name).await,
            None => Ok(None),
        };
        // In the order in which names change: so an instance that is renamed meanwhile is found twice, never not at all.
        let dance = async {
            let restored = derived(&names.restored).await?;
            let instance = reads::instance(client, &names.own).await?;
            Ok((restored, instance, derived(&names.failed).await?))
        };
        let earliest_restorable = async {
            match with.from {
                Source::Time(Time::Cutover | Time::At(_)) => reads::earliest_restorable(client, &names.own).await,
                _ => Ok(None),
            }
        };
        let snapshot = reads::snapshot_of(client, scope, &names.own, &with.from);
        let ((restored, instance, failed), snapshot, earliest_restorable) =
            futures::try_join!(dance, snapshot, earliest_restorable)?;
        let available = restored.as_ref().is_some_and(|new| status::phase(&new.status) == status::Phase::Available);
        let cname = match &with.cname {
            Some(cname) => {
                let busy = restored.is_some() && !available;
                Some(cname::observe(&clients.route53.read, scope, cname, receipts, busy).await?)
            }
            None => None,
        };
        let begins = instance.is_some() && restored.is_none() && failed.is_none();
        let links = if begins { Some(links::once(client, scope, Kind::Instance, &names.own).await) } else { None };
        let endpoint = instance.as_ref().and_then(|found| found.endpoint.clone());
        let stage = match with.keep_endpoint {
            KeepEndpoint::Rename if begins => Stage::Before(endpoint.into_iter().collect()),
            KeepEndpoint::Rename if restored.is_none() && failed.is_some() => Stage::After,
            _ => Stage::Neither,
        };
        let led = led::look(self.aws.resolver(), scope, stage, led_earlier(scope)).await;
        let before = scope.before::<Observed>().ok().flatten().and_then(Observed::links);
        let asked = proxies::asked(scope, with, before, restored.is_none() && failed.is_some());
        let proxied = proxies::look(client, Kind::Instance, &asked).await?;
        let steady = steady::since(scope, looked, available);
        Ok(State {
            looked,
            instance,
            restored,
            steady,
            failed,
            snapshot,
            earliest_restorable,
            links,
            cname,
            led,
            proxied,
        })
    }
}

fn another_kind() -> Corrupt {
    Corrupt("an instance was observed where a cluster is restored, or the other way round".to_owned())
}

impl System for RdsRestore {
    type With = With;
    type State = Observed;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        receipts: &'a [Receipt],
    ) -> Fut<'a, Result<Observed, ReadError>> {
        Box::pin(async move {
            let scope = &*restore_test::own(scope, &with);
            match &with.subject {
                Subject::Instance(name) => self.look(scope, &with, name, receipts).await.map(Observed::Instance),
                Subject::Cluster(name) => {
                    let clients = self.aws.clients(&scope.aws).await?;
                    let resolver = self.aws.resolver();
                    let look = cluster::look(&*self.clock, resolver, &clients, scope, &with, name, receipts);
                    look.await.map(Observed::Cluster)
                }
            }
        })
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &Observed,
        baseline: Option<&Observed>,
        receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        let scope = &*restore_test::own(scope, with);
        match (&with.subject, now, baseline) {
            (Subject::Instance(name), Observed::Instance(now), None) => {
                Ok(assess::assess(scope, with, name, now, None, receipts))
            }
            (Subject::Instance(name), Observed::Instance(now), Some(Observed::Instance(baseline))) => {
                Ok(assess::assess(scope, with, name, now, Some(baseline), receipts))
            }
            (Subject::Cluster(name), Observed::Cluster(now), None) => {
                Ok(cluster::assess(scope, with, name, now, None, receipts))
            }
            (Subject::Cluster(name), Observed::Cluster(now), Some(Observed::Cluster(baseline))) => {
                Ok(cluster::assess(scope, with, name, now, Some(baseline), receipts))
            }
            _ => Err(another_kind()),
        }
    }

    fn checks(
        &self,
        scope: &Scope,
        with: &With,
        now: &Observed,
        _baseline: Option<&Observed>,
    ) -> Result<Vec<Check>, Corrupt> {
        Ok(checks::of(scope, with, now))
    }

    fn readiness<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        now: Observed,
        baseline: Option<Observed>,
    ) -> Fut<'a, Vec<Check>> {
        Box::pin(async move {
            let clients = match self.aws.clients(&scope.aws).await {
                Ok(clients) => clients,
                Err(error) => return vec![readiness::unasked(&scope.step, error.to_string())],
            };
            let point = match self.restore_point(scope, &with, &now, baseline.as_ref()) {
                Ok(Some(point)) => point,
                Ok(None) => RestorePoint::unknown("it goes back to no other data"),
                Err(Corrupt(why)) => return vec![readiness::unasked(&scope.step, why)],
            };
            let of_restore =
                readiness::of(&clients, (scope, &with), (&now, baseline.as_ref()), point, self.clock.now());
            let (mut checks, of_proxies) =
                futures::join!(of_restore, readiness::proxies(&self.aws, scope, &with, &now));
            checks.extend(of_proxies);
            checks
        })
    }

    fn restore_point(
        &self,
        scope: &Scope,
        with: &With,
        now: &Observed,
        _baseline: Option<&Observed>,
    ) -> Result<Option<RestorePoint>, Corrupt> {
        Ok(Some(match (&with.subject, now) {
            (Subject::Instance(name), Observed::Instance(now)) => assess::restore_point(scope, with, name, now),
            (Subject::Cluster(name), Observed::Cluster(now)) => cluster::restore_point(scope, with, name, now),
            _ => return Err(another_kind()),
        }))
    }

    fn restore_test(&self, scope: &Scope, _with: &With, began: Timestamp) -> Option<Value> {
        Some(restore_test::with(scope, began))
    }

    fn restored(&self, scope: &Scope, with: &With, now: &Observed) -> Option<Restored> {
        restore_test::restored(scope, with, now)
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            let call = Call::deserialize(&change.args).map_err(|error| ApplyError::NoEffect {
                why: format!("the change {} cannot be understood: {error}", change.id),
                class: ErrorClass::Permanent,
            })?;
            let clients = self.aws.clients(&scope.aws).await?;
            call.send(scope, &clients).await
        })
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        match &with.subject {
            Subject::Instance(name) => permissions::instance(scope, with, name),
            Subject::Cluster(name) => cluster::permissions(scope, with, name),
        }
    }
}
