//! Which data a restore brings back: of which database, of which time, and whether they are there. Pure.

use belay_ports::{Check, DataOf, RestorePoint, Scope};

use crate::rds::{
    Observed, With,
    source::Kind,
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
    if let Some(busy) = snapshot.filter(|snapshot| snapshot.status != "available") {
        return Some(
            Check::no_go(ID, &scope.step, format!("snapshot {} is {}", busy.name, busy.status))
                .wanted("available")
                .cure("wait until it is available before the cutover; until then a rollback waits for it"),
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
