//! Which data a restore brings back: of which database, of which time, and whether they are there. Pure.

use belay_ports::{Check, DataOf, RestorePoint, Scope};

use crate::rds::{
    Observed, With,
    source::{Kind, LOGS_SHIPPED_WITHIN},
    spec::{Source, Time},
    state::Snapshot,
};

const ID: &str = "restore_source";

/// None: there is nothing to restore from, which the assessment shows.
pub(super) fn check(
    scope: &Scope,
    with: &With,
    now: &Observed,
    snapshot: Option<&Snapshot>,
    point: RestorePoint,
) -> Option<Check> {
    // Of one that is being made, RDS may not show the time yet.
    if let Some(busy) = snapshot.filter(|snapshot| snapshot.status != "available") {
        return Some(
            Check::no_go(ID, &scope.step, format!("snapshot {} is {}", busy.name, busy.status))
                .wanted("available")
                .cure("wait until it is available before the cutover; until then a rollback waits for it"),
        );
    }
    if let Some(check) = logs(scope, with, now) {
        return Some(check);
    }
    let DataOf::Time(data) = point.data else { return None };
    if let Some(cutover) = scope.cutover.filter(|cutover| data > *cutover && !is_latest(with)) {
        let found =
            format!("{}, which is after the cutover of {cutover:.0}: the data that it is to take back", point.basis);
        return Some(
            Check::no_go(ID, &scope.step, found)
                .wanted("data from before the cutover")
                .cure("name a snapshot or a time from before it, or `from: { newest_snapshot: { before: cutover } }`"),
        );
    }
    let (kind, name, engine) = database(now)?;
    Some(match snapshot {
        Some(other) if !other.instance.eq_ignore_ascii_case(name) => {
            Check::warn(ID, &scope.step, format!("{}: of {}, not of {name}", point.basis, other.instance))
                .wanted(format!("a snapshot of {name}"))
                .cure("look whether the plan names the right one; of a database that was renamed it may be")
        }
        Some(other) if other.engine != engine => {
            let word = match kind {
                Kind::Instance => "instance",
                Kind::Cluster => "cluster",
            };
            let found = format!("{}: of {} {}", point.basis, other.engine, other.engine_version);
            Check::warn(ID, &scope.step, found)
                .wanted(format!("a snapshot of {engine}, as the {word} is"))
                .cure("look whether the plan names the right one")
        }
        _ => Check::go(ID, &scope.step, point.basis),
    })
}

/// A point in time that is still to come can be restored only if RDS goes on to ship the logs. None: it does, or nothing depends on it.
fn logs(scope: &Scope, with: &With, now: &Observed) -> Option<Check> {
    let Source::Time(time) = with.from else { return None };
    let to_come = match time {
        Time::Latest => true,
        Time::Cutover => scope.cutover.is_none(),
        Time::At(_) => false,
    };
    let (latest, looked) = match now {
        Observed::Instance(state) => (state.instance.as_ref()?.latest_restorable?, state.looked),
        Observed::Cluster(state) => (state.cluster.as_ref()?.latest_restorable?, state.looked),
    };
    let stale = looked.duration_since(latest).unsigned_abs() > LOGS_SHIPPED_WITHIN;
    (to_come && stale).then(|| {
        let found = format!("it can be restored up to {latest:.0} alone: RDS has shipped no logs since then");
        Check::no_go(ID, &scope.step, found)
            .wanted("a latest restorable time of the last 30 minutes")
            .cure("see why its automated backups have stopped (the events of the database in the RDS console), or restore from a snapshot")
    })
}

/// It is to be as late as possible, whenever that is.
fn is_latest(with: &With) -> bool {
    matches!(with.from, Source::Time(Time::Latest))
}

/// What is replaced: its name and engine.
fn database(now: &Observed) -> Option<(Kind, &str, &str)> {
    match now {
        Observed::Instance(state) => {
            let found = state.instance.as_ref()?;
            Some((Kind::Instance, &found.name, &found.engine))
        }
        Observed::Cluster(state) => {
            let found = state.cluster.as_ref()?;
            Some((Kind::Cluster, &found.name, &found.engine))
        }
    }
}
