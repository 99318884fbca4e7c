use belay_core::{change::Sent as SentTo, input::ErrorClass};
use belay_ports::CheckVerdict;

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
        run: Some(belay_core::id::RunId(belay_core::id::id_text(time("02:20:00"), 7))),
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
    let found = assess(&scope(1), &with(), &state(), None, &[]);
    assert_eq!(ids(&found), [SNAPSHOT, BACKTRACK]);
    let Assessment::Remaining(changes) = &found else { panic!() };
    let since = Effect::LosesData { since: Some(time("02:00:00")) };
    assert!(changes[1].effects.contains(&since), "{:?}", changes[1].effects);
    let name = changes[0].after["db_cluster_snapshot_identifier"].as_str().unwrap();
    assert_eq!(name, format!("shop-before-{}", scope(1).run.unwrap()));

    let creating = State { snapshot: snapshot("creating"), ..state() };
    let Assessment::Settling(progress) = assess(&scope(1), &with(), &creating, None, &[]) else { panic!() };
    assert_eq!(progress.fraction, Some(0.4));
    let available = State { snapshot: snapshot("available"), ..state() };
    assert_eq!(ids(&assess(&scope(1), &with(), &available, None, &[])), [BACKTRACK]);
    let failed = State { snapshot: snapshot("failed"), ..state() };
    assert!(testing::failed(assess(&scope(1), &with(), &failed, None, &[])).contains("lost for good"));
    let accepted = receipt(SNAPSHOT, NOW.parse().unwrap());
    assert!(matches!(assess(&scope(1), &with(), &state(), None, &[accepted]), Assessment::Settling(_)));
    let without = With { snapshot: false, ..with() };
    assert_eq!(ids(&assess(&scope(1), &without, &state(), None, &[])), [BACKTRACK]);
}

/// What was found before the first send, at 02:21.
fn before(backtracks: Vec<Backtrack>) -> State {
    State { looked: time("02:21:00"), backtracks, ..state() }
}

fn answered(id: &str) -> Receipt {
    Receipt { body: json!({ "backtrack_identifier": id }), ..receipt(BACKTRACK, time("02:25:00")) }
}

fn lost(at: &str) -> Vec<SentTo> {
    vec![SentTo { change: BACKTRACK.to_owned(), at: time(at), outcome: SentOutcome::Unknown }]
}

fn found(backtracks: Vec<Backtrack>, tries: u32, receipts: &[Receipt]) -> Assessment {
    let now = State { backtracks, snapshot: snapshot("available"), ..state() };
    assess(&scope(tries), &with(), &now, Some(&before(Vec::new())), receipts)
}

#[test]
fn a_backtrack_of_this_run_is_known_by_its_identifier() {
    let of = |status: &str, tries| {
        found(vec![backtrack_at("02:25:00", "02:00:03", status)], tries, &[answered(&format!("bt-{status}"))])
    };
    assert_eq!(of("completed", 1), Assessment::InPlace);
    for status in ["pending", "applying"] {
        assert!(matches!(of(status, 1), Assessment::Settling(_)));
    }
    // A failed one is a verdict, until a person says once more.
    assert!(testing::failed(of("failed", 1)).contains("bt-failed"));
    assert_eq!(ids(&of("failed", 2)), [BACKTRACK]);
    let (failed, later) =
        (backtrack_at("02:25:00", "02:00:00", "failed"), backtrack_at("02:27:00", "02:00:00", "completed"));
    assert_eq!(found(vec![later, failed], 2, &[answered("bt-failed"), answered("bt-completed")]), Assessment::InPlace);
    let unlisted = answered("bt-unlisted");
    assert!(matches!(
        found(Vec::new(), 1, &[Receipt { at: NOW.parse().unwrap(), ..unlisted }]),
        Assessment::Settling(_)
    ));
}

/// One that a person asked for ten minutes before the run, to the same time, was once taken for the run's own.
#[test]
fn a_backtrack_of_somebody_else_is_none_of_this_run() {
    let theirs = backtrack_at("02:15:00", "02:00:00", "completed");
    assert_eq!(ids(&found(vec![theirs.clone()], 1, &[])), [BACKTRACK]);
    let during = backtrack_at("02:25:00", "02:00:00", "completed");
    assert_eq!(ids(&found(vec![during], 1, &[])), [BACKTRACK]);
    let scope = Scope { sent: lost("02:26:00"), ..scope(1) };
    let now = State { backtracks: vec![theirs.clone()], snapshot: snapshot("available"), ..state() };
    let known = before(vec![theirs]);
    assert_eq!(ids(&assess(&scope, &with(), &now, Some(&known), &[])), [BACKTRACK]);
}

#[test]
fn a_backtrack_whose_answer_was_lost_is_waited_for() {
    let of = |sent: &str, backtracks: Vec<Backtrack>| {
        let now = State { backtracks, snapshot: snapshot("available"), ..state() };
        let scope = Scope { sent: lost(sent), ..scope(1) };
        assess(&scope, &with(), &now, Some(&before(Vec::new())), &[])
    };
    assert!(matches!(of("02:29:00", Vec::new()), Assessment::Settling(_)));
    assert_eq!(ids(&of("02:27:00", Vec::new())), [BACKTRACK]);
    let ours = || backtrack_at("02:25:00", "01:59:58", "completed");
    assert_eq!(of("02:25:30", vec![ours()]), Assessment::InPlace);
    let elsewhere = Backtrack { to: Some(time("01:00:00")), ..ours() };
    assert_eq!(ids(&of("02:25:30", vec![elsewhere])), [BACKTRACK]);
}

#[test]
fn an_unmarked_cutover_is_told_before_it_is_needed() {
    let system = RdsBacktrack::new(
        Aws::new(crate::session::Access::ReadOnly, Arc::new(Still { wakes: false }), Arc::new(()), Vec::new()),
        Arc::new(Still { wakes: false }),
    );
    let unmarked = Scope { run: None, cutover: None, ..scope(0) };
    let check = &system.checks(&unmarked, &with(), &state(), None).unwrap()[0];
    assert!(check.id == belay_ports::CUTOVER_UNMARKED && check.line().contains("belay cutover"), "{check:?}");
    assert!(system.checks(&scope(0), &with(), &state(), None).unwrap().is_empty());
}

#[test]
fn the_cluster_has_to_answer_again() {
    let backtracks = vec![backtrack_at("02:25:00", "02:00:00", "completed")];
    let busy = Cluster { status: "backtracking".to_owned(), ..cluster() };
    let state = State { cluster: Some(busy.clone()), backtracks, ..state() };
    let ours = [answered("bt-completed")];
    assert!(matches!(assess(&scope(1), &with(), &state, None, &ours), Assessment::Settling(_)));
    let state = State { backtracks: Vec::new(), ..state };
    assert!(matches!(assess(&scope(1), &with(), &state, None, &[]), Assessment::Settling(_)));
    let stopped = State { cluster: Some(Cluster { status: "stopped".to_owned(), ..busy }), ..state };
    assert!(testing::failed(assess(&scope(1), &with(), &stopped, None, &[])).contains("start it"));
}

#[test]
fn what_cannot_be_wound_back_is_said_before_it_is_needed() {
    let arming = Scope { run: None, tries: 0, cutover: None, ..scope(0) };
    let found = |cluster: Option<Cluster>| assess(&arming, &with(), &State { cluster, ..state() }, None, &[]);
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
        assess(&scope(1), &with, &State { cluster: Some(Cluster { earliest, ..cluster() }), ..state() }, None, &[])
    };
    let earliest = Some(time("00:00:00"));
    assert!(testing::failed(to("2026-02-28T23:59:59Z", earliest)).contains("at the earliest"));
    assert!(testing::failed(to("2026-03-01T03:00:00Z", earliest)).contains("in the future"));
    assert!(testing::failed(to("2026-02-26T02:29:00Z", None)).contains("at the earliest"));
    assert_eq!(ids(&to("2026-03-01T00:00:00Z", earliest)), [SNAPSHOT, BACKTRACK]);
    let unmarked = Scope { cutover: None, ..scope(1) };
    assert!(testing::failed(assess(&unmarked, &with(), &state(), None, &[])).contains("name the time in `time`"));
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
    let change = testing::remaining(assess(&scope, &with(), &available, None, &[]));
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
        Aws::new(crate::session::Access::ReadOnly, Arc::new(Still { wakes: false }), Arc::new(()), Vec::new()),
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

#[test]
fn a_window_that_is_soon_too_short_is_warned_of() {
    let seen = |earliest: Option<&str>, cutover: Option<&str>| {
        let scope = Scope { cutover: cutover.map(time), run: None, ..scope(0) };
        let cluster = Cluster { earliest: earliest.map(time), ..cluster() };
        window(&scope, &with(), &State { cluster: Some(cluster), ..state() })
    };
    let enough = seen(Some("01:00:00"), Some("02:00:00")).unwrap();
    assert_eq!(enough.verdict, CheckVerdict::Go);
    assert_eq!(enough.found, "it reaches back to 2026-03-01T01:00:00Z; 2026-03-01T02:00:00Z leaves it in 60 min");
    let short = seen(Some("01:00:01"), Some("02:00:00")).unwrap();
    assert_eq!(short.verdict, CheckVerdict::Warn);
    assert!(short.found.ends_with("leaves it in 59 min") && short.cure.contains("rds.restore"), "{short:#?}");
    // Before the mark, the window itself is shown; and what is impossible, the assessment shows.
    assert_eq!(seen(None, None).unwrap().found, "it reaches back 72 h");
    assert_eq!(seen(Some("02:00:01"), Some("02:00:00")), None);
}

#[tokio::test]
async fn the_snapshot_before_it_needs_room() {
    let world = async |used: u32| {
        testing::Wire::answering(move |_| {
            testing::http(
                "200 OK",
                &format!(
                    "<DescribeAccountAttributesResponse><DescribeAccountAttributesResult><AccountQuotas><AccountQuota>\
                     <AccountQuotaName>ManualClusterSnapshots</AccountQuotaName><Used>{used}</Used><Max>100</Max></AccountQuota>\
                     </AccountQuotas></DescribeAccountAttributesResult></DescribeAccountAttributesResponse>"
                ),
            )
        })
        .await
    };
    let scope =
        Scope { run: None, aws: belay_plan::model::AwsTarget { account: None, ..testing::target() }, ..scope(0) };
    for (used, verdict) in [(99, CheckVerdict::Go), (100, CheckVerdict::NoGo)] {
        let wire = world(used).await;
        let system =
            RdsBacktrack::new(wire.aws(crate::session::Access::ReadOnly).await, Arc::new(Still { wakes: false }));
        let checks = system.readiness(&scope, with(), state(), None).await;
        let found: Vec<_> = checks.iter().map(|check| (check.id.as_str(), check.verdict)).collect();
        assert_eq!(found, [("backtrack_window", CheckVerdict::Go), ("quota", verdict)]);
        let without = With { snapshot: false, ..with() };
        assert_eq!(system.readiness(&scope, without, state(), None).await.len(), 1);
        assert_eq!(wire.requests().len(), 1);
    }
}
