//! RDS: instances and clusters with their state machines, what they are restored from, and what hangs on them.
//!
//! Each kind of thing has a file: what it refuses, how long it takes, and (beside the code) where AWS says so.

mod attached;
mod backtrack;
mod blue_green;
mod build;
mod database;
mod describe;
mod known;
mod modify;
mod pace;
mod parameters;
mod reboot;
mod restore;
mod snapshot;

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;

use self::{
    attached::{CustomEndpoint, Proxied},
    backtrack::Backtrack,
    blue_green::Deployment,
    database::Due,
    known::Known,
    snapshot::Stored,
};
pub use self::{
    attached::{Endpoint, Integration, Proxy},
    blue_green::BlueGreen,
    build::{Cluster, Full, Gone, Instance, Snapshot},
    database::{Database, Kind},
    pace::Pace,
};
use crate::{
    agenda::Agenda,
    answer::{Answered, Refusal},
    input::Input,
    world::Place,
};

#[derive(Debug, Clone, Default)]
pub struct Rds {
    /// How long everything takes.
    pub pace: Pace,
    pub(crate) databases: Vec<Database>,
    pub(crate) snapshots: Vec<Stored>,
    pub(crate) backtracks: Vec<Backtrack>,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) proxies: Vec<Proxied>,
    pub(crate) integrations: Vec<Integration>,
    pub(crate) endpoints: Vec<CustomEndpoint>,
    pub(crate) known: Known,
    /// Of instances and clusters together: how many more there may be.
    pub(crate) room: Option<usize>,
    agenda: Agenda<Due>,
    made: usize,
    /// When a name began to stand for a database, and when it ceased to.
    names: Vec<(Timestamp, Kind, String, bool)>,
}

impl Rds {
    pub(crate) fn advance(&mut self, now: Timestamp, place: &Place) {
        while let Some((at, due)) = self.agenda.next(now) {
            self.happen(at, due, place);
        }
    }

    pub(crate) fn answer(&mut self, place: &Place, now: Timestamp, operation: &str, input: &Value) -> Answered {
        let input = Input(input);
        match operation {
            "DescribeDBInstances" => self.describe_instances(place, now, input),
            "DescribeDBClusters" => self.describe_clusters(place, now, input),
            "DescribeDBSnapshots" => self.describe_snapshots(place, input),
            "DescribeDBClusterSnapshots" => self.describe_cluster_snapshots(place, input),
            "DescribeDBInstanceAutomatedBackups" => self.describe_automated_backups(place, now, input),
            "RestoreDBInstanceFromDBSnapshot" => self.restore_instance_from_snapshot(place, now, input),
            "RestoreDBInstanceToPointInTime" => self.restore_instance_to_point_in_time(place, now, input),
            "RestoreDBClusterFromSnapshot" => self.restore_cluster_from_snapshot(place, now, input),
            "RestoreDBClusterToPointInTime" => self.restore_cluster_to_point_in_time(place, now, input),
            "CreateDBInstance" => self.create_member(place, now, input),
            "ModifyDBInstance" => self.modify(place, now, Kind::Instance, input),
            "ModifyDBCluster" => self.modify(place, now, Kind::Cluster, input),
            "CreateDBClusterSnapshot" => self.take_cluster_snapshot(place, now, input),
            "FailoverDBCluster" => self.fail_over(place, now, input),
            "RebootDBInstance" => self.reboot(place, now, input),
            "StartDBInstance" => self.start_or_stop(place, now, Kind::Instance, true, input),
            "StopDBInstance" => self.start_or_stop(place, now, Kind::Instance, false, input),
            "StartDBCluster" => self.start_or_stop(place, now, Kind::Cluster, true, input),
            "StopDBCluster" => self.start_or_stop(place, now, Kind::Cluster, false, input),
            "BacktrackDBCluster" => self.backtrack(now, input),
            "DescribeDBClusterBacktracks" => self.describe_backtracks(place, now, input),
            "DescribeBlueGreenDeployments" => self.describe_deployments(place, input),
            "DescribeIntegrations" => self.describe_integrations(place, input),
            "DescribeDBProxies" => self.describe_proxies(place, input),
            "DescribeDBProxyTargets" => self.describe_proxy_targets(place, input),
            "DescribeDBProxyTargetGroups" => self.describe_proxy_target_groups(place, input),
            "RegisterDBProxyTargets" => self.register_proxy_target(place, now, input),
            "DeregisterDBProxyTargets" => self.deregister_proxy_target(input),
            "DescribeDBClusterEndpoints" => self.describe_endpoints(place, input),
            "CreateDBClusterEndpoint" => self.create_endpoint(place, now, input),
            "ModifyDBClusterEndpoint" => self.modify_endpoint(place, input),
            "AddRoleToDBInstance" => self.add_role(now, Kind::Instance, input),
            "AddRoleToDBCluster" => self.add_role(now, Kind::Cluster, input),
            "EnableHttpEndpoint" => self.enable_http_endpoint(input),
            _ => Err(Refusal::bad("InvalidAction", format!("the stand-in has no rds:{operation}"))),
        }
    }

    /// The instance or cluster that is listed under a name.
    pub fn database(&self, kind: Kind, name: &str) -> Option<&Database> {
        self.databases.iter().find(|found| found.kind == kind && found.is_called(name))
    }

    /// The names of all instances, or of all clusters, sorted.
    pub fn names(&self, kind: Kind) -> Vec<&str> {
        let of_kind = self.databases.iter().filter(|found| found.kind == kind);
        let mut names: Vec<&str> = of_kind.filter_map(|found| found.name.as_deref()).collect();
        names.sort_unstable();
        names
    }

    /// The time in which nothing of this name was listed, from the first time that something was until `now`: in all, and
    /// the longest.
    pub fn without_name(&self, kind: Kind, name: &str, now: Timestamp) -> (Duration, Duration) {
        let (mut whole, mut longest) = (Duration::ZERO, Duration::ZERO);
        let mut gone: Option<Timestamp> = None;
        let changes = self.names.iter().filter(|(_, of, found, _)| *of == kind && found == name);
        for (at, _, _, listed) in changes {
            match (gone, listed) {
                (None, false) => gone = Some(*at),
                (Some(since), true) => {
                    let gap = at.duration_since(since).unsigned_abs();
                    (whole, longest, gone) = (whole + gap, longest.max(gap), None);
                }
                _ => {}
            }
        }
        let open = gone.map_or(Duration::ZERO, |since| now.duration_since(since).unsigned_abs());
        (whole + open, longest.max(open))
    }

    /// Where an endpoint leads (user guide, "Renaming a DB instance"). None: nowhere.
    pub fn leads_to(&self, endpoint: &str, now: Timestamp) -> Option<IpAddr> {
        let (name, zone) = endpoint.split_once('.')?;
        let kind = if zone.starts_with("cluster-") { Kind::Cluster } else { Kind::Instance };
        let found = self.database(kind, name)?;
        let mut named =
            self.names.iter().rev().filter(|(_, of, known, listed)| *of == kind && known == name && *listed);
        let (since, ..) = named.next()?;
        let number: u32 = found.id.rsplit_once("STRICT")?.1.parse().ok()?;
        (now >= *since + self.pace.resolvable).then(|| Ipv4Addr::from_bits(0x0a00_0000 + number).into())
    }

    /// A resource id that nothing had before.
    fn new_id(&mut self, kind: Kind) -> String {
        self.made += 1;
        let letter = if kind == Kind::Cluster { "cluster" } else { "db" };
        format!("{letter}-STRICT{:018}", self.made)
    }
}
