use belay_core::id::RunId;

use super::*;
use crate::{
    jobs::wire::{self, Wire},
    testing::{self, Still},
};

const NOW: &str = "2026-03-01T02:30:00Z";

fn with() -> With {
    With::deserialize(json!({ "instance": "Shop" })).unwrap()
}

fn scope() -> Scope {
    Scope {
        run: Some(RunId("01k8abcd2345".to_owned())),
        tries: 1,
        cutover: Some("2026-03-01T02:00:00Z".parse().unwrap()),
        ..testing::scope(Value::Null, None, None)
    }
}

fn found(id: &str) -> Option<Found> {
    let (resource_id, status) = (Some(id.to_owned()), "available".to_owned());
    Some(Found { resource_id, created: None, status, renaming_to: None })
}

/// Production, the old blue, and what was moved away, as their resources.
fn state(production: Option<&str>, old: Option<&str>, failed: Option<&str>) -> State {
    let at = |id: Option<&str>| id.and_then(found);
    State {
        looked: NOW.parse().unwrap(),
        deployment: None,
        production: at(production),
        old: at(old),
        failed: at(failed),
    }
}

fn deployed(status: &str) -> State {
    let deployment = Deployment { id: "bgd-1".to_owned(), name: "upgrade".to_owned(), status: status.to_owned() };
    State { deployment: Some(deployment), ..state(Some("green"), Some("blue"), None) }
}

fn assessed(now: &State, receipts: &[Receipt]) -> Assessment {
    assess(&scope(), &with(), now, receipts)
}

fn accepted(change: &str) -> [Receipt; 1] {
    [Receipt { change: change.to_owned(), at: NOW.parse().unwrap(), body: Value::Null }]
}

#[test]
fn before_the_switchover_there_is_nothing_to_do() {
    for status in ["PROVISIONING", "AVAILABLE", "INVALID_CONFIGURATION", "SWITCHOVER_FAILED"] {
        assert_eq!(assessed(&deployed(status), &[]), Assessment::InPlace, "{status}");
    }
    assert!(matches!(assessed(&deployed("SWITCHOVER_IN_PROGRESS"), &[]), Assessment::Settling(_)));
}

#[test]
fn a_person_deletes_the_deployment() {
    let why = testing::failed(assessed(&deployed("SWITCHOVER_COMPLETED"), &[]));
    for expected in ["shop-old1 takes no writes", "--blue-green-deployment-identifier bgd-1", "belay retry"] {
        assert!(why.contains(expected), "{why}");
    }
    assert!(matches!(assessed(&deployed("DELETING"), &[]), Assessment::Settling(_)));
}

#[test]
fn the_names_change_places_and_the_dance_is_resumable_at_each_point() {
    let Assessment::Remaining(changes) = assessed(&state(Some("green"), Some("blue"), None), &[]) else { panic!() };
    let titles: Vec<&str> = changes.iter().map(|change| change.title.as_str()).collect();
    assert_eq!(titles, ["rename shop to shop-failed-01k8abcd2345", "rename shop-old1 to shop"]);
    let since = Some("2026-03-01T02:00:00Z".parse().unwrap());
    assert_eq!(changes[0].effects[0], Effect::LosesData { since });

    let between = testing::remaining(assessed(&state(None, Some("blue"), Some("green")), &[]));
    assert_eq!(between.id, RENAME_BLUE);
    assert_eq!(assessed(&state(Some("blue"), None, Some("green")), &[]), Assessment::InPlace);

    let settling = |now: &State, receipts: &[Receipt]| matches!(assessed(now, receipts), Assessment::Settling(_));
    assert!(settling(&state(Some("green"), Some("blue"), None), &accepted(RENAME_GREEN)));
    assert!(settling(&state(None, Some("blue"), None), &accepted(RENAME_GREEN)));
    assert!(settling(&state(None, Some("blue"), Some("green")), &accepted(RENAME_BLUE)));
    assert!(settling(&state(None, None, Some("green")), &accepted(RENAME_BLUE)));
    assert!(settling(&state(Some("blue"), Some("blue"), Some("green")), &[]));
    assert!(settling(&state(Some("green"), Some("blue"), Some("green")), &[]));
}

#[test]
fn what_nobody_can_explain_is_not_touched() {
    let both = assessed(&state(Some("new"), Some("blue"), Some("green")), &[]);
    assert!(matches!(both, Assessment::Ambiguous { .. }), "{both:?}");
    assert!(testing::failed(assessed(&state(Some("only"), None, None), &[])).contains("say it in `old`"));
    assert!(testing::failed(assessed(&state(None, None, None), &[])).contains("there is no database shop"));
    let mut stuck = state(Some("green"), Some("blue"), None);
    stuck.old.as_mut().unwrap().status = "stopped".to_owned();
    assert!(testing::failed(assessed(&stuck, &[])).contains("shop-old1 is stopped: start it"));
    stuck.old.as_mut().unwrap().status = "rebooting".to_owned();
    assert!(matches!(assessed(&stuck, &[]), Assessment::Settling(_)));
}

#[test]
fn the_old_blue_may_have_another_name() {
    let with = With::deserialize(json!({ "cluster": "shop", "old": "Shop-Old2" })).unwrap();
    let names = Names::new(&scope(), &with);
    assert_eq!((names.kind, names.old.as_str()), (Kind::Cluster, "shop-old2"));
    let long = With::deserialize(json!({ "instance": "s".repeat(60) })).unwrap();
    assert!(Names::new(&scope(), &long).failed.len() <= 63);
}

fn deployments(target: &str) -> String {
    testing::http(
        "200 OK",
        &format!(
            "<DescribeBlueGreenDeploymentsResponse><DescribeBlueGreenDeploymentsResult><BlueGreenDeployments><member>\
             <BlueGreenDeploymentIdentifier>bgd-1</BlueGreenDeploymentIdentifier>\
             <Source>arn:aws:rds:eu-west-1:111122223333:db:{target}-old1</Source>\
             <Target>arn:aws:rds:eu-west-1:111122223333:db:{target}</Target><Status>SWITCHOVER_COMPLETED</Status>\
             </member></BlueGreenDeployments></DescribeBlueGreenDeploymentsResult></DescribeBlueGreenDeploymentsResponse>"
        ),
    )
}

fn no_instance() -> String {
    testing::http(
        "404 Not Found",
        "<ErrorResponse><Error><Type>Sender</Type><Code>DBInstanceNotFound</Code><Message>none</Message></Error></ErrorResponse>",
    )
}

#[tokio::test]
async fn only_the_deployment_of_this_database_counts() {
    for (of, expected) in [("shop", Some("SWITCHOVER_COMPLETED")), ("shop2", None)] {
        let wire = Wire::new([deployments(of), no_instance(), no_instance(), no_instance()]).await;
        let system = RdsSwitchBack::new(wire.aws().await, Arc::new(Still { wakes: false }));
        let state = system.observe(&wire::scope(Value::Null, 1), with(), &[]).await.unwrap();
        assert_eq!(state.deployment.map(|found| found.status).as_deref(), expected);
        assert!(wire.requests()[1].contains("DBInstanceIdentifier=shop-old1"));
    }
}

#[tokio::test]
async fn a_cluster_is_renamed_at_once() {
    let answer = testing::http("200 OK", "<ModifyDBClusterResponse><ModifyDBClusterResult/></ModifyDBClusterResponse>");
    let wire = Wire::new([answer]).await;
    let system = RdsSwitchBack::new(wire.aws().await, Arc::new(Still { wakes: false }));
    let change = rename(RENAME_BLUE, Kind::Cluster, "shop-old1", "shop", Vec::new());
    let scope = wire::scope(Value::Null, 1);
    let key = Key { run: scope.run.clone().unwrap(), step: "back".to_owned(), attempt: 1 };
    system.apply(&scope, &key, &change).await.unwrap();
    let request = wire.requests().remove(0);
    for expected in ["Action=ModifyDBCluster&", "NewDBClusterIdentifier=shop&", "ApplyImmediately=true"] {
        assert!(request.contains(expected), "{expected} in {request}");
    }
}
