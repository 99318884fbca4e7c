use belay_core::change::{Sent as SentTo, SentOutcome};
use belay_plan::model::AwsTarget;

use super::*;
use crate::{
    jobs::wire::{self, Wire},
    testing::{self, Still},
};

const NOW: &str = "2026-03-01T02:30:00Z";

fn member(name: &str, writer: bool, status: &str) -> Member {
    Member { name: name.to_owned(), writer, status: status.to_owned() }
}

fn cluster(status: &str, engine: &str, members: Vec<Member>) -> State {
    let found = Found::Cluster { status: status.to_owned(), engine: engine.to_owned(), members };
    State { looked: NOW.parse().unwrap(), found }
}

/// `shop-2` writes, and `shop-1` should.
fn moved(status: &str, engine: &str, first: &str) -> State {
    cluster(status, engine, vec![member("shop-1", false, first), member("shop-2", true, "available")])
}

fn instance(status: &str, zone: &str, standby: Option<&str>) -> State {
    let (status, zone, standby_zone) = (status.to_owned(), zone.to_owned(), standby.map(ToOwned::to_owned));
    State {
        looked: NOW.parse().unwrap(),
        found: Found::Instance { status, multi_az: standby_zone.is_some(), zone, standby_zone },
    }
}

fn to_writer(now: &State, receipts: &[Receipt]) -> Assessment {
    after(now, None, receipts, &[])
}

/// `before`: as it was before the first send.
fn after(now: &State, before: Option<&State>, receipts: &[Receipt], sends: &[SentTo]) -> Assessment {
    let sent = Sent { sends, receipts, looked: now.looked };
    assess(&With::Cluster("Shop".to_owned()), now, &Goal::Writer("Shop-1".to_owned()), before, sent)
}

fn sent(outcome: SentOutcome) -> [SentTo; 1] {
    [SentTo { change: CHANGE.to_owned(), at: NOW.parse().unwrap(), outcome }]
}

fn to_zone(now: &State, receipts: &[Receipt]) -> Assessment {
    let sent = Sent { sends: &[], receipts, looked: now.looked };
    assess(&With::Instance("shop".to_owned()), now, &Goal::Zone("eu-west-1a".to_owned()), None, sent)
}

fn accepted() -> Receipt {
    Receipt { change: CHANGE.to_owned(), at: NOW.parse().unwrap(), body: Value::Null }
}

#[test]
fn the_former_writer_becomes_the_writer() {
    let change = testing::remaining(to_writer(&moved("available", "aurora-postgresql", "available"), &[]));
    assert_eq!(change.title, "fail shop over from shop-2 to shop-1");
    assert_eq!((change.repeats, &change.args["to"]), (Repeats::Converges, &json!("shop-1")));
    assert!(matches!(change.effects[..], [Effect::Outage { .. }]));
    let back = cluster("available", "aurora-postgresql", vec![member("shop-1", true, "available")]);
    assert_eq!(to_writer(&back, &[]), Assessment::InPlace);
    for state in [
        moved("failing-over", "aurora-mysql", "available"),
        cluster("failing-over", "aurora-mysql", vec![member("shop-1", true, "available")]),
        cluster("available", "aurora-mysql", vec![member("shop-1", false, "available")]),
        moved("available", "aurora-mysql", "rebooting"),
    ] {
        assert!(matches!(to_writer(&state, &[]), Assessment::Settling(_)), "{state:?}");
    }
    let shown_late = to_writer(&moved("available", "aurora-mysql", "available"), &[accepted()]);
    assert!(matches!(shown_late, Assessment::Settling(_)), "{shown_late:?}");
}

#[test]
fn an_unfit_writer_is_refused() {
    let unfit = testing::failed(to_writer(&moved("available", "aurora-mysql", "storage-full"), &[]));
    assert!(unfit.contains("no fit writer: give it more storage"), "{unfit}");
    let gone = cluster("available", "aurora-mysql", vec![member("shop-2", true, "available")]);
    assert_eq!(testing::failed(to_writer(&gone, &[])), "shop-1 is no member of Shop; its members are: shop-2");
    let missing = State { found: Found::Missing, ..gone };
    assert!(testing::failed(to_writer(&missing, &[])).contains("there is no DB cluster Shop"));
}

#[test]
fn a_cluster_that_chooses_for_itself_is_asked_once() {
    let state = moved("available", "mysql", "available");
    let change = testing::remaining(to_writer(&state, &[]));
    assert_eq!((change.repeats, &change.args["to"]), (Repeats::Never, &Value::Null));
    // It shows some seconds late.
    for outcome in [SentOutcome::Accepted, SentOutcome::Unknown] {
        let receipts: &[Receipt] = if outcome == SentOutcome::Accepted { &[accepted()] } else { &[] };
        let still = after(&state, Some(&state), receipts, &sent(outcome.clone()));
        assert!(matches!(still, Assessment::Settling(_)), "{still:?}");
        let members = vec![
            member("shop-1", false, "available"),
            member("shop-2", false, "available"),
            member("shop-3", true, "available"),
        ];
        let elsewhere = after(&cluster("available", "mysql", members), Some(&state), receipts, &sent(outcome));
        assert!(testing::failed(elsewhere).contains("AWS chose shop-3"));
    }
}

#[test]
fn an_instance_goes_back_to_its_zone() {
    let change = testing::remaining(to_zone(&instance("available", "eu-west-1b", Some("eu-west-1a")), &[]));
    assert_eq!(change.title, "reboot shop with a failover from eu-west-1b to eu-west-1a");
    // A second one would lead back.
    assert_eq!(change.repeats, Repeats::Never);
    assert_eq!(to_zone(&instance("available", "eu-west-1a", Some("eu-west-1b")), &[]), Assessment::InPlace);
    for (state, receipts) in [
        (instance("rebooting", "eu-west-1b", Some("eu-west-1a")), vec![]),
        (instance("available", "eu-west-1b", Some("eu-west-1a")), vec![accepted()]),
    ] {
        assert!(matches!(to_zone(&state, &receipts), Assessment::Settling(_)), "{state:?}");
    }
    let moving = instance("available", "eu-west-1b", Some("eu-west-1a"));
    let lost = Sent { sends: &sent(SentOutcome::Unknown), receipts: &[], looked: moving.looked };
    let found = assess(&With::Instance("shop".to_owned()), &moving, &Goal::Zone("eu-west-1a".to_owned()), None, lost);
    assert!(matches!(found, Assessment::Settling(_)), "{found:?}");
    assert!(testing::failed(to_zone(&instance("available", "eu-west-1b", None), &[])).contains("no Multi-AZ instance"));
    let elsewhere = instance("available", "eu-west-1b", Some("eu-west-1c"));
    assert!(testing::failed(to_zone(&elsewhere, &[])).contains("cannot fail over to eu-west-1a"));
}

#[test]
fn the_goal_is_the_plan_s_or_the_baseline_s() {
    let baseline = moved("available", "aurora-mysql", "available");
    let scope = |to: Option<Value>| testing::scope(Value::Null, to, None);
    assert_eq!(Goal::of(&scope(None), Some(&baseline)).unwrap(), Goal::Writer("shop-2".to_owned()));
    let zoned = instance("available", "eu-west-1c", None);
    assert_eq!(Goal::of(&scope(None), Some(&zoned)).unwrap(), Goal::Zone("eu-west-1c".to_owned()));
    let named = Goal::of(&scope(Some(json!({ "writer": "shop-1" }))), Some(&baseline)).unwrap();
    assert_eq!(named, Goal::Writer("shop-1".to_owned()));
    assert!(Goal::of(&scope(None), None).is_err());
    let nothing = Sent { sends: &[], receipts: &[], looked: zoned.looked };
    let mixed = assess(&With::Instance("shop".to_owned()), &zoned, &Goal::Writer("shop-1".to_owned()), None, nothing);
    assert!(testing::failed(mixed).contains("has to name the `zone`"));
}

#[tokio::test]
async fn members_are_read_with_their_statuses() {
    let clusters = testing::http(
        "200 OK",
        "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters><DBCluster><Status>available</Status>\
         <Engine>aurora-mysql</Engine><DBClusterMembers>\
         <DBClusterMember><DBInstanceIdentifier>shop-1</DBInstanceIdentifier><IsClusterWriter>false</IsClusterWriter></DBClusterMember>\
         <DBClusterMember><DBInstanceIdentifier>shop-2</DBInstanceIdentifier><IsClusterWriter>true</IsClusterWriter></DBClusterMember>\
         </DBClusterMembers></DBCluster></DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>",
    );
    let instances = testing::http(
        "200 OK",
        "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances>\
         <DBInstance><DBInstanceIdentifier>shop-1</DBInstanceIdentifier><DBInstanceStatus>rebooting</DBInstanceStatus></DBInstance>\
         </DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>",
    );
    let wire = Wire::new([clusters, instances]).await;
    let system = RdsFailover::new(wire.aws().await, Arc::new(Still { wakes: false }));
    let scope = Scope { aws: AwsTarget::default(), ..wire::scope(Value::Null, 1) };
    let found = system.observe(&scope, With::Cluster("shop".to_owned()), &[]).await.unwrap().found;
    let members = vec![member("shop-1", false, "rebooting"), member("shop-2", true, "not listed")];
    assert_eq!(found, Found::Cluster { status: "available".to_owned(), engine: "aurora-mysql".to_owned(), members });
}

/// Nothing could go back to such a baseline.
#[tokio::test]
async fn a_cluster_without_a_writer_is_not_captured() {
    let clusters = "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters><DBCluster><Status>failing-over</Status>\
                    <Engine>aurora-mysql</Engine><DBClusterMembers><DBClusterMember><DBInstanceIdentifier>shop-1</DBInstanceIdentifier>\
                    <IsClusterWriter>false</IsClusterWriter></DBClusterMember></DBClusterMembers></DBCluster></DBClusters>\
                    </DescribeDBClustersResult></DescribeDBClustersResponse>";
    let instances = "<DescribeDBInstancesResponse><DescribeDBInstancesResult/></DescribeDBInstancesResponse>";
    let capture = testing::scope(Value::Null, None, None);
    let capture = Scope { aws: AwsTarget::default(), run: None, baseline: None, to: Target::Baseline, ..capture };
    let named = Scope { to: Target::Explicit(json!({ "writer": "shop-1" })), ..capture.clone() };
    for (scope, is_refused) in [(&capture, true), (&named, false)] {
        let wire = Wire::new([clusters, instances].map(|answer| testing::http("200 OK", answer))).await;
        let system = RdsFailover::new(wire.aws().await, Arc::new(Still { wakes: false }));
        let found = system.observe(scope, With::Cluster("shop".to_owned()), &[]).await;
        assert_eq!(found.is_err(), is_refused, "{found:?}");
        if let Err(ReadError { why, permanent }) = found {
            assert!(
                permanent && why.contains("shop is failing-over and has no writer now: take the baseline"),
                "{why}"
            );
        }
    }
}
