use belay_core::input::ErrorClass;

use super::*;
use crate::{
    jobs::wire::{self, Wire},
    testing::{self, Still},
};

const NOW: &str = "2026-03-01T02:30:00Z";

fn time(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

fn with() -> With {
    With { cluster: "Shop".to_owned(), time: "cutover".to_owned(), snapshot: true, force: false }
}

/// A run that began at 02:20, after the cutover at 02:00.
fn scope(tries: u32) -> Scope {
    Scope {
        run: Some(RunId(belay_core::id::id_text(time("02:20:00"), 7))),
        tries,
        cutover: Some(time("02:00:00")),
        to: belay_plan::model::Target::Own,
        ..testing::scope(Value::Null, None, None)
    }
}

fn cluster() -> Cluster {
    Cluster {
        status: "available".to_owned(),
        engine: "aurora-mysql".to_owned(),
        window_s: 72 * 3600,
        earliest: Some(time("00:00:00")),
    }
}

fn state() -> State {
    State { looked: NOW.parse().unwrap(), cluster: Some(cluster()), snapshot: None, backtracks: Vec::new() }
}

fn snapshot(status: &str) -> Option<Snapshot> {
    Some(Snapshot { status: status.to_owned(), percent: 40 })
}

fn backtrack_at(requested: &str, to: &str, status: &str) -> Backtrack {
    let (to, requested) = (Some(time(to)), Some(time(requested)));
    Backtrack { id: format!("bt-{status}"), to, requested, status: status.to_owned() }
}

fn ids(assessment: &Assessment) -> Vec<&str> {
    let Assessment::Remaining(changes) = assessment else { panic!("{assessment:?}") };
    changes.iter().map(|change| change.id.as_str()).collect()
}

fn receipt(change: &str, at: Timestamp) -> Receipt {
    Receipt { change: change.to_owned(), at, body: Value::Null }
}

#[test]
fn a_snapshot_comes_first_and_has_to_be_whole() {
    let found = assess(&scope(1), &with(), &state(), &[]);
    assert_eq!(ids(&found), [SNAPSHOT, BACKTRACK]);
    let Assessment::Remaining(changes) = &found else { panic!() };
    let since = Effect::LosesData { since: Some(time("02:00:00")) };
    assert!(changes[1].effects.contains(&since), "{:?}", changes[1].effects);
    let name = changes[0].after["db_cluster_snapshot_identifier"].as_str().unwrap();
    assert_eq!(name, format!("shop-before-{}", scope(1).run.unwrap()));

    let creating = State { snapshot: snapshot("creating"), ..state() };
    let Assessment::Settling(progress) = assess(&scope(1), &with(), &creating, &[]) else { panic!() };
    assert_eq!(progress.fraction, Some(0.4));
    let available = State { snapshot: snapshot("available"), ..state() };
    assert_eq!(ids(&assess(&scope(1), &with(), &available, &[])), [BACKTRACK]);
    let failed = State { snapshot: snapshot("failed"), ..state() };
    assert!(testing::failed(assess(&scope(1), &with(), &failed, &[])).contains("lost for good"));
    let accepted = receipt(SNAPSHOT, NOW.parse().unwrap());
    assert!(matches!(assess(&scope(1), &with(), &state(), &[accepted]), Assessment::Settling(_)));
    let without = With { snapshot: false, ..with() };
    assert_eq!(ids(&assess(&scope(1), &without, &state(), &[])), [BACKTRACK]);
}

#[test]
fn a_backtrack_of_this_run_is_known_again() {
    let found = |backtracks: Vec<Backtrack>, tries| {
        assess(&scope(tries), &with(), &State { backtracks, snapshot: snapshot("available"), ..state() }, &[])
    };
    let completed = backtrack_at("02:25:00", "02:00:03", "completed");
    assert_eq!(found(vec![completed.clone()], 1), Assessment::InPlace);
    for status in ["pending", "applying"] {
        assert!(matches!(found(vec![backtrack_at("02:25:00", "02:00:00", status)], 1), Assessment::Settling(_)));
    }
    // Of another run, and to another time.
    assert_eq!(ids(&found(vec![backtrack_at("01:00:00", "02:00:00", "completed")], 1)), [BACKTRACK]);
    assert_eq!(ids(&found(vec![backtrack_at("02:25:00", "01:00:00", "completed")], 1)), [BACKTRACK]);
    // A failed one is a verdict, until a person says once more.
    let failed = backtrack_at("02:25:00", "02:00:00", "failed");
    assert!(testing::failed(found(vec![failed.clone()], 1)).contains("bt-failed"));
    assert_eq!(ids(&found(vec![failed.clone()], 2)), [BACKTRACK]);
    let later = Backtrack { requested: Some(time("02:27:00")), ..completed };
    assert_eq!(found(vec![later, failed], 2), Assessment::InPlace);
    let accepted = receipt(BACKTRACK, NOW.parse().unwrap());
    assert!(matches!(assess(&scope(1), &with(), &state(), &[accepted]), Assessment::Settling(_)));
}

#[test]
fn the_cluster_has_to_answer_again() {
    let backtracks = vec![backtrack_at("02:25:00", "02:00:00", "completed")];
    let busy = Cluster { status: "backtracking".to_owned(), ..cluster() };
    let state = State { cluster: Some(busy.clone()), backtracks, ..state() };
    assert!(matches!(assess(&scope(1), &with(), &state, &[]), Assessment::Settling(_)));
    let state = State { backtracks: Vec::new(), ..state };
    assert!(matches!(assess(&scope(1), &with(), &state, &[]), Assessment::Settling(_)));
    let stopped = State { cluster: Some(Cluster { status: "stopped".to_owned(), ..busy }), ..state };
    assert!(testing::failed(assess(&scope(1), &with(), &stopped, &[])).contains("start it"));
}

#[test]
fn what_cannot_be_wound_back_is_said_before_it_is_needed() {
    let arming = Scope { run: None, tries: 0, cutover: None, ..scope(0) };
    let found = |cluster: Option<Cluster>| assess(&arming, &with(), &State { cluster, ..state() }, &[]);
    assert_eq!(ids(&found(Some(cluster()))), [SNAPSHOT, BACKTRACK]);
    assert!(testing::failed(found(None)).contains("there is no DB cluster"));
    let postgres = Cluster { engine: "aurora-postgresql".to_owned(), ..cluster() };
    assert!(testing::failed(found(Some(postgres))).contains("only Aurora MySQL"));
    let without = Cluster { window_s: 0, ..cluster() };
    assert!(testing::failed(found(Some(without))).contains("no backtrack window"));
}

#[test]
fn the_time_has_to_be_within_the_window() {
    let to = |text: &str, earliest: Option<Timestamp>| {
        let with = With { time: text.to_owned(), ..with() };
        assess(&scope(1), &with, &State { cluster: Some(Cluster { earliest, ..cluster() }), ..state() }, &[])
    };
    let earliest = Some(time("00:00:00"));
    assert!(testing::failed(to("2026-02-28T23:59:59Z", earliest)).contains("at the earliest"));
    assert!(testing::failed(to("2026-03-01T03:00:00Z", earliest)).contains("in the future"));
    assert!(testing::failed(to("2026-02-26T02:29:00Z", None)).contains("at the earliest"));
    assert_eq!(ids(&to("2026-03-01T00:00:00Z", earliest)), [SNAPSHOT, BACKTRACK]);
    let unmarked = Scope { cutover: None, ..scope(1) };
    assert!(testing::failed(assess(&unmarked, &with(), &state(), &[])).contains("belay cutover"));
}

#[tokio::test]
async fn the_calls_name_what_they_are_to_do() {
    let answer = testing::http(
        "200 OK",
        "<BacktrackDBClusterResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><BacktrackDBClusterResult>\
         <BacktrackIdentifier>bt-1</BacktrackIdentifier><Status>pending</Status>\
         </BacktrackDBClusterResult></BacktrackDBClusterResponse>",
    );
    let wire = Wire::new([answer]).await;
    let system = RdsBacktrack::new(wire.aws().await, Arc::new(Still { wakes: false }));
    let scope = Scope { aws: belay_plan::model::AwsTarget::default(), ..scope(1) };
    let available = State { snapshot: snapshot("available"), ..state() };
    let change = testing::remaining(assess(&scope, &with(), &available, &[]));
    let key = Key { run: scope.run.clone().unwrap(), step: "back".to_owned(), attempt: 1 };
    let receipt = system.apply(&scope, &key, &change).await.unwrap();
    assert_eq!(receipt["backtrack_identifier"], "bt-1");
    let request = wire.requests().remove(0);
    for expected in [
        "Action=BacktrackDBCluster",
        "DBClusterIdentifier=shop",
        "BacktrackTo=2026-03-01T02%3A00%3A00Z",
        "UseEarliestTimeOnPointInTimeUnavailable=false",
    ] {
        assert!(request.contains(expected), "{expected} in {request}");
    }
}

#[tokio::test]
async fn a_binary_log_is_told_with_its_cure() {
    let refusal = testing::http(
        "400 Bad Request",
        "<ErrorResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><Error><Type>Sender</Type>\
         <Code>InvalidParameterCombination</Code><Message>Binary logging is enabled</Message></Error></ErrorResponse>",
    );
    let wire = Wire::new([refusal]).await;
    let system = RdsBacktrack::new(wire.aws().await, Arc::new(Still { wakes: false }));
    let scope = Scope { aws: belay_plan::model::AwsTarget::default(), ..wire::scope(Value::Null, 1) };
    let change = backtrack(&with(), Some(time("02:00:00")));
    let key = Key { run: scope.run.clone().unwrap(), step: "back".to_owned(), attempt: 1 };
    let error = system.apply(&scope, &key, &change).await.unwrap_err();
    let ApplyError::NoEffect { why, class: ErrorClass::Permanent } = error else { panic!("{error}") };
    assert!(why.contains("Binary logging is enabled") && why.contains("`force: true`"), "{why}");
}

#[test]
fn permissions_are_of_the_cluster_and_its_snapshot() {
    let system = RdsBacktrack::new(
        Aws::new(crate::session::Access::ReadOnly, Arc::new(Still { wakes: false }), Arc::new(())),
        Arc::new(Still { wakes: false }),
    );
    let arming = Scope { run: None, ..scope(0) };
    let found: Vec<String> =
        system.permissions(&arming, &with()).iter().map(|one| format!("{} {}", one.action, one.resource)).collect();
    for expected in [
        "rds:BacktrackDBCluster arn:aws:rds:eu-west-1:111122223333:cluster:shop",
        "rds:CreateDBClusterSnapshot arn:aws:rds:eu-west-1:111122223333:cluster-snapshot:shop-before-*",
    ] {
        assert!(found.iter().any(|one| one == expected), "{expected}: {found:#?}");
    }
}
