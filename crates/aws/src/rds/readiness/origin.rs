//! Which data a restore brings back: of which database, of which time, and whether they are there. Pure.

use belay_ports::{Check, DataOf, RestorePoint, Scope};

use crate::rds::{
    Observed, With,
    source::LOGS_SHIPPED_WITHIN,
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
        let cure = match busy.status.as_str() {
            "creating" | "copying" | "modifying" => {
                "wait until it is available before the cutover; until then a rollback waits for it"
            }
            _ => {
                "it will not be available again: take another snapshot before the cutover, and name that one in the plan"
            }
        };
        let check = Check::no_go(ID, &scope.step, format!("snapshot {} is {}", busy.name, busy.status));
        return Some(check.wanted("available").cure(cure));
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
    let replaced = Replaced::of(now)?;
    Some(match snapshot {
        Some(snapshot) => replaced.held_against(scope, snapshot, &point.basis),
        None => Check::go(ID, &scope.step, point.basis),
    })
}

/// The database that is replaced.
struct Replaced<'a> {
    word: &'static str,
    name: &'a str,
    /// It stays the same when the database is renamed.
    id: Option<&'a str>,
    engine: &'a str,
}

impl<'a> Replaced<'a> {
    fn of(now: &'a Observed) -> Option<Self> {
        Some(match now {
            Observed::Instance(state) => {
                let found = state.instance.as_ref()?;
                Self { word: "instance", name: &found.name, id: found.resource_id.as_deref(), engine: &found.engine }
            }
            Observed::Cluster(state) => {
                let found = state.cluster.as_ref()?;
                Self { word: "cluster", name: &found.name, id: found.resource_id.as_deref(), engine: &found.engine }
            }
        })
    }

    /// A name may be given to another database, so where RDS shows ids, these count.
    fn held_against(&self, scope: &Scope, snapshot: &Snapshot, basis: &str) -> Check {
        let Self { word, name, id, engine } = *self;
        let wanted = format!("a snapshot of the {word} {name}");
        if family(&snapshot.engine) != family(engine) {
            let found = format!("{basis}: of {} {}", snapshot.engine, snapshot.engine_version);
            return Check::no_go(ID, &scope.step, found)
                .wanted(format!("a snapshot of {engine}, as the {word} is"))
                .cure("name a snapshot of the same engine in the plan");
        }
        if snapshot.engine != engine {
            let found = format!("{basis}: of {} {}", snapshot.engine, snapshot.engine_version);
            return Check::warn(ID, &scope.step, found)
                .wanted(format!("a snapshot of {engine}, as the {word} is"))
                .cure("look whether the plan names the right one");
        }
        let (same_name, same_id) =
            (snapshot.instance.eq_ignore_ascii_case(name), snapshot.of.as_deref().zip(id).map(|(of, id)| of == id));
        match (same_name, same_id) {
            (_, Some(true)) | (true, None) => Check::go(ID, &scope.step, basis),
            (true, Some(false)) => {
                let of = snapshot.of.as_deref().unwrap_or_default();
                let found = format!(
                    "{basis}: of an earlier {word} that was called {name} ({of}); the present one is {}",
                    id.unwrap_or_default()
                );
                Check::warn(ID, &scope.step, found)
                    .wanted(wanted)
                    .cure("take a snapshot of the present one; keep this one only if its data is what a rollback should bring back")
            }
            (false, _) => Check::warn(ID, &scope.step, format!("{basis}: of {}, not of {name}", snapshot.instance))
                .wanted(wanted)
                .cure("look whether the plan names the right one; of a database that was renamed it may be"),
        }
    }
}

/// Engines whose data is the same: the editions of Oracle and SQL Server, and Aurora beside its open engine.
fn family(engine: &str) -> &str {
    match engine {
        "aurora" | "aurora-mysql" | "mysql" => "mysql",
        "aurora-postgresql" | "postgres" => "postgres",
        other => other.split('-').next().unwrap_or(other),
    }
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
