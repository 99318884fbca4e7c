//! `rds.backtrack`: an Aurora MySQL cluster as it was at a point in time, in place.
//!
//! Aurora winds the cluster back; everything written since is gone from it. So a snapshot comes first, and stays. A
//! backtrack has no token, but AWS answers with an identifier and lists all of them. One that this run has asked for is known by
//! that; where the answer was lost, by not being listed before the run, with the time that was asked for.

mod calls;

use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_rds::types::{DbCluster, DbClusterBacktrack};
use belay_aws_catalogue::rds::backtrack::With;
use belay_core::change::{Assessment, Change, Effect, Key, Progress, Receipt, Repeats, SentOutcome};
use belay_ports::{ApplyError, Check, Clock, Corrupt, Fut, Permission, ReadError, RestorePoint, Scope, System};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::calls::{Call, describe_backtracks, describe_snapshot};
use super::{
    super::{
        readiness,
        sent::Sent,
        source::{AGAIN, UNMARKED},
        status::{Phase, phase},
    },
    DESCRIBE_CLUSTERS, arn, corrupt, derived, describe_cluster, permission, settling, timestamp, verdict,
};
use crate::session::Aws;

const SNAPSHOT: &str = "snapshot";
const BACKTRACK: &str = "backtrack";

const CREATE_SNAPSHOT: &str = "rds:CreateDBClusterSnapshot";
const DESCRIBE_SNAPSHOTS: &str = "rds:DescribeDBClusterSnapshots";
const BACKTRACK_CLUSTER: &str = "rds:BacktrackDBCluster";
const DESCRIBE_BACKTRACKS: &str = "rds:DescribeDBClusterBacktracks";

/// The copy is incremental; AWS gives no figure.
const SNAPSHOT_EXPECTED: Duration = Duration::from_secs(5 * 60);
/// "Minutes", says the Aurora User Guide; the cluster does not answer meanwhile.
const BACKTRACK_EXPECTED: Duration = Duration::from_secs(3 * 60);
/// An accepted call is listed within this time; usually within seconds.
const LISTED_WITHIN: Duration = Duration::from_secs(5 * 60);
/// A call whose answer was lost is taken for not carried out when it is not listed by then: to go back a second time would lose
/// what was written in between.
const LISTED_PERHAPS: Duration = Duration::from_secs(2 * 60);
/// A window that leaves less than this may be over by the time that a rollback is decided.
const WINDOW_LEFT_MIN: SignedDuration = SignedDuration::from_hours(1);
/// Aurora goes to the nearest consistent time.
const NEAREST: SignedDuration = SignedDuration::from_mins(2);
/// So far the clock of AWS and ours may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    looked: Timestamp,
    cluster: Option<Cluster>,
    /// Of this run.
    snapshot: Option<Snapshot>,
    backtracks: Vec<Backtrack>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cluster {
    status: String,
    engine: String,
    /// In seconds; 0 where backtracking is off.
    window_s: i64,
    earliest: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Snapshot {
    status: String,
    percent: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Backtrack {
    id: String,
    to: Option<Timestamp>,
    requested: Option<Timestamp>,
    status: String,
}

impl Cluster {
    fn of(cluster: &DbCluster) -> Self {
        Self {
            status: cluster.status.clone().unwrap_or_default(),
            engine: cluster.engine.clone().unwrap_or_default(),
            window_s: cluster.backtrack_window.unwrap_or_default(),
            earliest: timestamp(cluster.earliest_backtrack_time),
        }
    }
}

impl Backtrack {
    fn of(backtrack: &DbClusterBacktrack) -> Self {
        Self {
            id: backtrack.backtrack_identifier.clone().unwrap_or_default(),
            to: timestamp(backtrack.backtrack_to),
            requested: timestamp(backtrack.backtrack_request_creation_time),
            status: backtrack.status.clone().unwrap_or_default().to_ascii_lowercase(),
        }
    }
}

/// The action `rds.backtrack`.
#[derive(Clone)]
pub struct RdsBacktrack {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for RdsBacktrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdsBacktrack").field("aws", &self.aws).finish_non_exhaustive()
    }
}

impl RdsBacktrack {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn look(&self, scope: &Scope, with: With) -> Result<State, ReadError> {
        let looked = self.clock.now();
        let clients = self.aws.clients(&scope.aws).await?;
        let client = &clients.rds.read;
        let cluster = describe_cluster(client, &with.cluster).await?.as_ref().map(Cluster::of);
        let (mut snapshot, mut backtracks) = (None, Vec::new());
        if scope.run.is_some() && cluster.is_some() {
            let name = derived(&with.cluster.to_ascii_lowercase(), "before", scope);
            snapshot = if with.snapshot { describe_snapshot(client, &name).await? } else { None };
            backtracks = describe_backtracks(client, &with.cluster).await?;
        }
        Ok(State { looked, cluster, snapshot, backtracks })
    }
}

/// The point in time, where it is known.
fn target(scope: &Scope, with: &With) -> Result<Option<Timestamp>, Assessment> {
    match (with.time.as_str(), scope.cutover) {
        ("cutover", Some(cutover)) => Ok(Some(cutover)),
        // Armed, or looked at, before the cutover: the mark comes later.
        ("cutover", None) if scope.run.is_none() => Ok(None),
        ("cutover", None) => Err(verdict(format!("{UNMARKED} `time`, {AGAIN}"))),
        (time, _) => time.parse().map(Some).map_err(|error| verdict(format!("{time} is no timestamp: {error}"))),
    }
}

/// The backtracks that this run has asked for, the oldest first: those whose identifiers AWS has answered, and where an answer was
/// lost, those to the same time that were not there before. One that somebody else has asked for is none of them.
fn ours<'s>(
    scope: &Scope,
    to: Timestamp,
    now: &'s State,
    before: Option<&State>,
    receipts: &[Receipt],
) -> Vec<&'s Backtrack> {
    let answered = |id: &str| {
        receipts.iter().any(|receipt| receipt.change == BACKTRACK && receipt.body["backtrack_identifier"] == id)
    };
    let is_lost = scope.sent.iter().any(|sent| sent.change == BACKTRACK && sent.outcome == SentOutcome::Unknown);
    let may_be_ours = |one: &Backtrack| {
        let is_new = before.is_some_and(|before| {
            let since = before.looked - SKEW;
            before.backtracks.iter().all(|known| known.id != one.id) && one.requested.is_some_and(|at| at >= since)
        });
        is_lost && is_new && one.to.is_some_and(|at| at.duration_since(to).abs() <= NEAREST)
    };
    let mut found: Vec<&Backtrack> =
        now.backtracks.iter().filter(|one| answered(&one.id) || may_be_ours(one)).collect();
    found.sort_by_key(|backtrack| backtrack.requested);
    found
}

fn assess(scope: &Scope, with: &With, now: &State, before: Option<&State>, receipts: &[Receipt]) -> Assessment {
    let name = &with.cluster;
    let Some(cluster) = &now.cluster else { return verdict(format!("there is no DB cluster {name}")) };
    let to = match target(scope, with) {
        Ok(to) => to,
        Err(verdict) => return verdict,
    };
    let sent = Sent { sends: &scope.sent, receipts, looked: now.looked };
    if let (Some(_), Some(to)) = (&scope.run, to) {
        let ours = ours(scope, to, now, before, receipts);
        let failed = ours.iter().filter(|one| one.status == "failed").count();
        match ours.last().map(|newest| (newest.id.as_str(), newest.status.as_str())) {
            Some((_, "completed")) => return backtracked(name, cluster),
            // A person has said `retry` since.
            Some((_, "failed")) if failed < scope.tries as usize => {}
            Some((id, "failed")) => {
                return verdict(format!("the backtrack {id} of {name} has failed: see the cluster's events"));
            }
            Some((id, status)) => return settling(format!("the backtrack {id} of {name} is {status}")),
            None if sent.recently(BACKTRACK, LISTED_WITHIN).is_some() => {
                return settling(format!("AWS accepted the backtrack of {name}; it is not listed yet"));
            }
            None if sent.perhaps(BACKTRACK, LISTED_PERHAPS) => {
                return settling(format!("the answer to the backtrack of {name} was lost; it may still be listed"));
            }
            None => {}
        }
    }
    if let Err(why) = possible(with, cluster, to, now.looked) {
        return verdict(why);
    }
    if scope.run.is_some() {
        match phase(&cluster.status) {
            Phase::Available => {}
            Phase::Changing => {
                return settling(format!("{name} is {}, and can be backtracked after that", cluster.status));
            }
            Phase::Stuck { cure } => return verdict(format!("{name} is {}: {cure}", cluster.status)),
        }
    }
    let backtrack = backtrack(with, to);
    match now.snapshot.as_ref().map(|snapshot| (snapshot.status.as_str(), snapshot.percent)) {
        _ if !with.snapshot => Assessment::Remaining(vec![backtrack]),
        Some(("available", _)) => Assessment::Remaining(vec![backtrack]),
        Some(("creating" | "copying", percent)) => Assessment::Settling(Progress {
            fraction: Some(f64::from(percent) / 100.0),
            note: format!("the snapshot before the backtrack is being taken: {percent}%"),
            expected_left_s: None,
        }),
        Some((status, _)) => verdict(format!(
            "the snapshot {} is {status}: without it what was written since would be lost for good",
            derived(&name.to_ascii_lowercase(), "before", scope)
        )),
        None if sent.recently(SNAPSHOT, LISTED_WITHIN).is_some() => {
            settling("AWS accepted the snapshot; it is not listed yet")
        }
        None => Assessment::Remaining(vec![snapshot(scope, with), backtrack]),
    }
}

fn backtracked(name: &str, cluster: &Cluster) -> Assessment {
    match phase(&cluster.status) {
        Phase::Available => Assessment::InPlace,
        Phase::Changing => settling(format!("{name} was backtracked, and is {}", cluster.status)),
        Phase::Stuck { cure } => verdict(format!("{name} was backtracked, and is {}: {cure}", cluster.status)),
    }
}

/// Why the cluster cannot be wound back so far.
fn possible(with: &With, cluster: &Cluster, to: Option<Timestamp>, now: Timestamp) -> Result<(), String> {
    let name = &with.cluster;
    if !matches!(cluster.engine.as_str(), "aurora-mysql" | "aurora") {
        return Err(format!("{name} is {}: only Aurora MySQL can be backtracked; use rds.restore", cluster.engine));
    }
    if cluster.window_s == 0 {
        return Err(format!(
            "{name} has no backtrack window, which can be given only when a cluster is made or restored; use rds.restore"
        ));
    }
    let Some(to) = to else { return Ok(()) };
    if to > now {
        return Err(format!("{to} lies in the future"));
    }
    // Not known yet, it is bounded by the window at least.
    let earliest = cluster.earliest.unwrap_or(now - SignedDuration::from_secs(cluster.window_s));
    if to < earliest {
        return Err(format!(
            "{name} can be backtracked to {earliest:.0} at the earliest, not to {to:.0}; use rds.restore"
        ));
    }
    Ok(())
}

/// How long the time to go back to stays in the window, which moves on. None: it cannot be wound back at all, which the
/// assessment shows.
fn window(scope: &Scope, with: &With, now: &State) -> Option<Check> {
    const ID: &str = "backtrack_window";
    let cluster = now.cluster.as_ref()?;
    let to = target(scope, with).ok()?;
    possible(with, cluster, to, now.looked).ok()?;
    let width = SignedDuration::from_secs(cluster.window_s);
    let Some(to) = to else {
        return Some(Check::go(ID, &with.cluster, format!("it reaches back {} h", width.as_hours())));
    };
    let earliest = cluster.earliest.unwrap_or(now.looked - width);
    let left = to.duration_since(earliest);
    let found = format!("it reaches back to {earliest:.0}; {to:.0} leaves it in {} min", left.as_mins());
    Some(match left >= WINDOW_LEFT_MIN {
        true => Check::go(ID, &with.cluster, found),
        false => Check::warn(ID, &with.cluster, found)
            .wanted("a window that is longer than a rollback could still be decided")
            .cure("decide now, or plan to go back with `rds.restore`"),
    })
}

/// To which state of the data a backtrack would go back.
fn restore_point(scope: &Scope, with: &With, now: &State) -> RestorePoint {
    let Some(cluster) = &now.cluster else {
        return RestorePoint::unknown(format!("there is no DB cluster {}", with.cluster));
    };
    let to = match target(scope, with) {
        Ok(Some(to)) => to,
        Ok(None) => return RestorePoint::unknown("the cutover, from which this counts, is not marked"),
        Err(Assessment::Failed { why }) => return RestorePoint::unknown(why),
        Err(_) => return RestorePoint::unknown("the time to go back to is not known"),
    };
    match possible(with, cluster, Some(to), now.looked) {
        Ok(()) => {
            let window = cluster.earliest.map(|earliest| format!("; the window reaches back to {earliest:.0}"));
            let what = if with.time == "cutover" { "the cutover at " } else { "" };
            let until = to.checked_add(SignedDuration::from_secs(cluster.window_s)).ok();
            RestorePoint::time(to, format!("a backtrack to {what}{to:.0}{}", window.unwrap_or_default())).until(until)
        }
        Err(why) => RestorePoint::unknown(why),
    }
}

fn snapshot(scope: &Scope, with: &With) -> Change {
    let (cluster, name) =
        (with.cluster.to_ascii_lowercase(), derived(&with.cluster.to_ascii_lowercase(), "before", scope));
    Change {
        id: SNAPSHOT.to_owned(),
        keeps: Some(format!("snapshot {name}")),
        title: format!("take the snapshot {name} of {cluster}, as it is before the backtrack"),
        before: Value::Null,
        after: json!({ "db_cluster_snapshot_identifier": name }),
        call: CREATE_SNAPSHOT.to_owned(),
        args: json!(Call::Snapshot { cluster, name }),
        effects: Vec::new(),
        repeats: Repeats::Converges,
        expected: SNAPSHOT_EXPECTED,
    }
}

fn backtrack(with: &With, to: Option<Timestamp>) -> Change {
    let cluster = with.cluster.to_ascii_lowercase();
    let when = to.map_or_else(|| "the cutover".to_owned(), |to| format!("{to:.0}"));
    Change {
        id: BACKTRACK.to_owned(),
        title: format!("wind {cluster} back to {when}"),
        before: json!({ "time": "now" }),
        after: json!({ "time": when }),
        call: BACKTRACK_CLUSTER.to_owned(),
        args: to.map_or(Value::Null, |to| json!(Call::Backtrack { cluster, to, force: with.force })),
        effects: vec![Effect::LosesData { since: to }, Effect::Outage { expected: BACKTRACK_EXPECTED }],
        keeps: None,
        repeats: Repeats::Converges,
        expected: BACKTRACK_EXPECTED,
    }
}

impl System for RdsBacktrack {
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
        _baseline: Option<&State>,
        receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        Ok(assess(scope, with, now, scope.before::<State>()?.as_ref(), receipts))
    }

    fn checks(
        &self,
        scope: &Scope,
        with: &With,
        _now: &State,
        _baseline: Option<&State>,
    ) -> Result<Vec<Check>, Corrupt> {
        let unmarked = with.time == "cutover" && scope.cutover.is_none();
        Ok(unmarked.then(|| Check::cutover_unmarked(&with.cluster, "`time`")).into_iter().collect())
    }

    fn readiness<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        now: State,
        _baseline: Option<State>,
    ) -> Fut<'a, Vec<Check>> {
        Box::pin(async move {
            let mut checks: Vec<Check> = window(scope, &with, &now).into_iter().collect();
            if with.snapshot {
                let rooms = [readiness::room("ManualClusterSnapshots", 1, "the snapshot before the backtrack")];
                match self.aws.clients(&scope.aws).await {
                    Ok(clients) => checks.extend(readiness::quotas(&clients.rds.read, scope, &rooms).await),
                    Err(error) => checks.push(readiness::unasked(&scope.step, error.to_string())),
                }
            }
            checks
        })
    }

    fn restore_point(
        &self,
        scope: &Scope,
        with: &With,
        now: &State,
        _baseline: Option<&State>,
    ) -> Result<Option<RestorePoint>, Corrupt> {
        Ok(Some(restore_point(scope, with, now)))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            let call = Call::deserialize(&change.args).map_err(|error| corrupt(&change.id, &error))?;
            let clients = self.aws.clients(&scope.aws).await?;
            call.send(&clients.rds.write, scope).await
        })
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        let cluster = arn(scope, "cluster", &with.cluster.to_ascii_lowercase());
        let mut found = vec![
            permission(false, DESCRIBE_CLUSTERS, cluster.clone()),
            permission(false, DESCRIBE_BACKTRACKS, cluster.clone()),
            permission(true, BACKTRACK_CLUSTER, cluster.clone()),
        ];
        if with.snapshot {
            let snapshot = derived(&with.cluster.to_ascii_lowercase(), "before", scope).replace("<run>", "*");
            let snapshot = arn(scope, "cluster-snapshot", &snapshot);
            found.push(permission(false, readiness::DESCRIBE_QUOTAS, "*".to_owned()));
            found.push(permission(false, DESCRIBE_SNAPSHOTS, snapshot.clone()));
            for resource in [cluster, snapshot.clone()] {
                found.push(permission(true, CREATE_SNAPSHOT, resource));
            }
            found.push(permission(true, "rds:AddTagsToResource", snapshot));
        }
        found
    }
}

#[cfg(test)]
mod tests;
