use belay_core::{
    change::{Effect, Sent, SentOutcome},
    id::RunId,
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    assess::{RENAME_BLUE, RENAME_GREEN, rename},
    state::Found,
    *,
};
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

fn found(name: &str, id: &str) -> Found {
    let (name, status) = (name.to_owned(), "available".to_owned());
    let id = Id::new(Some(id.to_owned()), None);
    Found {
        name,
        id,
        status,
        renaming_to: None,
        queued: Vec::new(),
        members: Vec::new(),
        replicas: Vec::new(),
        cluster_replicas: Vec::new(),
        deletion_protection: None,
        endpoints: Vec::new(),
    }
}

/// Names and resources.
fn state(databases: &[(&str, &str)]) -> State {
    State {
        looked: NOW.parse().unwrap(),
        deployments: Vec::new(),
        databases: databases.iter().map(|(name, id)| found(name, id)).collect(),
        led: None,
        proxies: Vec::new(),
        proxies_unread: None,
        proxied: Vec::new(),
    }
}

fn deployed(status: &str, source: &str, target: &str, now: State) -> State {
    let (source, target) = (Some(source.to_owned()), Some(target.to_owned()));
    State { deployments: vec![Deployment { id: "bgd-1".to_owned(), status: status.to_owned(), source, target }], ..now }
}

const FAILED: &str = "shop-failed-01k8abcd2345";

/// What arming saw: blue was production.
fn armed() -> State {
    state(&[("shop", "blue")])
}

fn switched() -> State {
    state(&[("shop", "green"), ("shop-old1", "blue")])
}

struct Look<'a> {
    now: &'a State,
    armed: Option<&'a State>,
    /// Before the first send of the run.
    before: Option<&'a State>,
    sent: &'a [(&'a str, SentOutcome)],
}

impl Look<'_> {
    fn assessed(self) -> Assessment {
        let at: Timestamp = NOW.parse().unwrap();
        let sent = self.sent.iter().map(|(change, outcome)| Sent {
            change: (*change).to_owned(),
            at,
            outcome: outcome.clone(),
        });
        let scope = Scope { sent: sent.collect(), ..scope() };
        let accepted = self.sent.iter().filter(|(_, outcome)| *outcome == SentOutcome::Accepted);
        let receipt = |change: &str| Receipt { change: change.to_owned(), at, body: Value::Null };
        let receipts: Vec<Receipt> = accepted.map(|(change, _)| receipt(change)).collect();
        View::new(&scope, &with(), self.now, self.armed, self.before, &receipts).assess()
    }
}

fn assessed(now: &State, armed: Option<&State>) -> Assessment {
    Look { now, armed, before: None, sent: &[] }.assessed()
}

fn titles(assessment: Assessment) -> Vec<String> {
    let Assessment::Remaining(changes) = assessment else { panic!("{assessment:?}") };
    changes.into_iter().map(|change| change.title).collect()
}

fn asked(assessment: Assessment) -> String {
    let Assessment::Ambiguous { why } = assessment else { panic!("{assessment:?}") };
    why
}

#[test]
fn before_the_switchover_there_is_nothing_to_do() {
    let now = || state(&[("shop", "blue")]);
    for status in ["PROVISIONING", "AVAILABLE", "INVALID_CONFIGURATION", "SWITCHOVER_FAILED"] {
        let now = deployed(status, "shop", "shop-green-abc123", now());
        assert_eq!(assessed(&now, None), Assessment::InPlace, "{status}");
        assert_eq!(assessed(&now, Some(&armed())), Assessment::InPlace, "{status}");
    }
    let switching = deployed("SWITCHOVER_IN_PROGRESS", "shop", "shop-green-abc123", now());
    assert!(matches!(assessed(&switching, None), Assessment::Settling(_)));
    assert_eq!(assessed(&now(), Some(&armed())), Assessment::InPlace);
}

#[test]
fn a_person_deletes_the_deployment() {
    let why = testing::failed(assessed(&deployed("SWITCHOVER_COMPLETED", "shop-old1", "shop", switched()), None));
    for expected in ["shop-old1 takes no writes", "--blue-green-deployment-identifier bgd-1", "belay retry"] {
        assert!(why.contains(expected), "{why}");
    }
    let deleting = deployed("DELETING", "shop-old1", "shop", switched());
    assert!(matches!(assessed(&deleting, None), Assessment::Settling(_)));
    // The record is deleted, and the next deployment is being prepared.
    let next = deployed("AVAILABLE", "shop", "shop-green-def456", switched());
    let why = testing::failed(assessed(&next, Some(&armed())));
    assert!(why.contains("bgd-1 (status AVAILABLE)") && why.contains("delete-blue-green-deployment"), "{why}");
    assert!(asked(assessed(&next, None)).contains("shop is the blue side of the deployment bgd-1, which is AVAILABLE"));
}

#[test]
fn the_old_blue_is_known_by_its_resource() {
    let now = state(&[("shop", "green"), ("shop-old1", "ancient"), ("shop-old2", "blue")]);
    let back = ["rename shop to shop-failed-01k8abcd2345", "rename shop-old2 to shop"];
    assert_eq!(titles(assessed(&now, Some(&armed()))), back);
    let Assessment::Remaining(changes) = assessed(&now, Some(&armed())) else { panic!("nothing remains") };
    assert_eq!(changes[0].keeps.as_deref(), Some(FAILED));
    assert_eq!(changes[1].keeps, None);
    // The deployment's record of arming shows it, too.
    let seen = deployed("SWITCHOVER_COMPLETED", "shop-old2", "shop", now.clone());
    assert_eq!(titles(assessed(&now, Some(&seen))), back);
    assert!(asked(assessed(&now, None)).contains("which of shop-old1 (ancient), shop-old2 (blue) is the old blue"));
    // Nothing was switched over since arming.
    let unswitched = assessed(&now, Some(&now));
    assert!(asked(unswitched).contains("name it in the plan's `old`"));
    let one = asked(assessed(&switched(), Some(&switched())));
    assert!(
        one.contains("shop (green) has been shop since the plan was armed") && one.contains("belay retry"),
        "{one}"
    );
    let (scope, with) = (Scope { tries: 2, ..scope() }, with());
    let confirmed = View::new(&scope, &with, &switched(), Some(&switched()), None, &[]).assess();
    assert_eq!(titles(confirmed)[1], "rename shop-old1 to shop");
    // Production was renamed to something that no switchover makes.
    let by_hand = state(&[("shop", "other"), ("shop-kept", "blue")]);
    assert!(asked(assessed(&by_hand, Some(&armed()))).contains("is called shop-kept now"));
}

#[test]
fn the_plan_may_name_the_old_blue() {
    let named = With::deserialize(json!({ "cluster": "shop", "old": "Shop-Before" })).unwrap();
    let names = Names::new(&scope(), &named);
    assert_eq!((names.kind, names.old.as_deref()), (Kind::Cluster, Some("shop-before")));
    let now = state(&[("shop", "green"), ("shop-before", "blue")]);
    let of = |now: &State, armed: Option<&State>| View::new(&scope(), &named, now, armed, None, &[]).assess();
    assert_eq!(titles(of(&now, None))[1], "rename shop-before to shop");
    assert_eq!(titles(of(&now, Some(&armed())))[1], "rename shop-before to shop");
    let other = state(&[("shop", "green"), ("shop-before", "other"), ("shop-old1", "blue")]);
    assert!(matches!(of(&other, Some(&armed())), Assessment::Ambiguous { .. }));
    let long = With::deserialize(json!({ "instance": "s".repeat(60) })).unwrap();
    assert!(Names::new(&scope(), &long).failed.len() <= 63);
}

#[test]
fn the_swap_can_be_resumed_at_each_point() {
    let (armed, before) = (armed(), switched());
    let at = |databases: &[(&str, &str)], sent: &[(&str, SentOutcome)]| {
        Look { now: &state(databases), armed: Some(&armed), before: Some(&before), sent }.assessed()
    };
    let Assessment::Remaining(changes) = assessed(&before, Some(&armed)) else { panic!() };
    let since = Some("2026-03-01T02:00:00Z".parse().unwrap());
    assert_eq!(changes[0].effects[0], Effect::LosesData { since });
    assert_eq!(testing::remaining(at(&[("shop-old1", "blue"), (FAILED, "green")], &[])).id, RENAME_BLUE);
    let Assessment::Over(outcome) = at(&[("shop", "blue"), (FAILED, "green")], &[]) else { panic!() };
    assert_eq!((outcome.failure, outcome.report.output.as_str()), (None, "shop (blue) is production again."));

    let settling = |databases: &[(&str, &str)], sent: &[(&str, SentOutcome)]| {
        let found = at(databases, sent);
        assert!(matches!(found, Assessment::Settling(_)), "{databases:?} {sent:?}: {found:?}");
    };
    settling(&[("shop", "green"), ("shop-old1", "blue")], &[(RENAME_GREEN, SentOutcome::Accepted)]);
    settling(&[("shop-old1", "blue"), (FAILED, "green")], &[(RENAME_BLUE, SentOutcome::Accepted)]);
    // Whether the answer came or was lost: in the middle of a rename a database is listed nowhere.
    for outcome in [SentOutcome::Accepted, SentOutcome::Unknown] {
        settling(&[("shop-old1", "blue")], &[(RENAME_GREEN, outcome.clone())]);
        settling(&[(FAILED, "green")], &[(RENAME_GREEN, SentOutcome::Accepted), (RENAME_BLUE, outcome)]);
    }
    settling(&[("shop", "blue"), ("shop-old1", "blue"), (FAILED, "green")], &[]);
    settling(&[("shop", "green"), ("shop-old1", "blue"), (FAILED, "green")], &[]);
    // A run that was given up in the middle has moved green away.
    let between = state(&[("shop-old1", "blue"), ("shop-failed-01k8earlier", "green")]);
    for armed in [None, Some(&armed), Some(&before)] {
        assert_eq!(testing::remaining(assessed(&between, armed)).title, "rename shop-old1 to shop");
    }
}

#[test]
fn what_nobody_can_explain_is_not_touched() {
    let (armed, before) = (armed(), switched());
    let both = state(&[("shop", "new"), ("shop-old1", "blue"), (FAILED, "green")]);
    let both = Look { now: &both, armed: Some(&armed), before: Some(&before), sent: &[] }.assessed();
    assert!(
        asked(both).contains("shop (green) was moved to shop-failed-01k8abcd2345, and now shop (new) has its name")
    );
    assert!(asked(assessed(&state(&[("shop", "only")]), None)).contains("nothing shows what was blue"));
    assert!(testing::failed(assessed(&state(&[("shop", "new")]), Some(&armed))).contains("it was deleted"));
    assert!(asked(assessed(&state(&[]), None)).contains("there is no database shop"));
    let being = |status: &str| {
        let mut now = switched();
        now.databases[1].status = status.to_owned();
        assessed(&now, Some(&armed))
    };
    assert!(testing::failed(being("stopped")).contains("shop-old1 is stopped: start it"));
    assert!(matches!(being("rebooting"), Assessment::Settling(_)));
}

#[test]
fn what_a_rename_would_apply_is_told() {
    let mut now = switched();
    now.databases[1].queued = vec!["engine version to 8.4.5".to_owned()];
    let Assessment::Remaining(changes) = assessed(&now, Some(&armed())) else { panic!() };
    let applies = Effect::Applies { queued: vec!["engine version to 8.4.5".to_owned()] };
    let told: Vec<bool> = changes.iter().map(|change| change.effects.contains(&applies)).collect();
    assert_eq!(told, [false, true]);
}

#[test]
fn what_is_not_moved_is_named() {
    let (armed, before) = (armed(), switched());
    let blue = Found {
        members: vec!["shop-1-old1".to_owned(), "shop-2-old1".to_owned()],
        replicas: vec!["shop-reader-old1".to_owned()],
        ..found("shop", "blue")
    };
    let done = |green: Found| {
        let now = State { databases: vec![blue.clone(), green], ..state(&[]) };
        Look { now: &now, armed: Some(&armed), before: Some(&before), sent: &[] }.assessed()
    };
    let members = Found { members: vec!["shop-1".to_owned()], ..found(FAILED, "green") };
    let Assessment::Over(outcome) = done(members.clone()) else { panic!() };
    let output = outcome.report.output;
    assert!(output.contains("Not moved: shop-1"), "{output}");
    let rename = |from: &str, to: &str| {
        format!(
            "`aws rds modify-db-instance --db-instance-identifier {from} --new-db-instance-identifier {to} --apply-immediately`"
        )
    };
    let away = FAILED.replace("shop-", "shop-1-");
    let renames =
        format!("{}, and when that name is free {}", rename("shop-1", &away), rename("shop-1-old1", "shop-1"));
    assert!(output.contains(&renames), "{output}");
    // Readers would go on with the data of the other side.
    let abroad = "arn:aws:rds:eu-central-1:111122223333:db:shop".to_owned();
    let replicas = vec!["shop-reader".to_owned(), "shop-other".to_owned(), abroad.clone()];
    let replicas = Found { replicas, ..found(FAILED, "green") };
    let Assessment::Differs { why } = done(replicas) else { panic!() };
    assert!(why.contains("shop-reader") && why.contains("belay skip"), "{why}");
    assert!(why.contains(&rename("shop-reader-old1", "shop-reader")), "{why}");
    assert!(why.contains("and nothing of blue takes its name") && why.contains(&abroad), "{why}");
    assert!(!why.contains(&format!("identifier {abroad}")), "{why}");
    // RDS has another call for the clusters among them.
    let arn = |region: &str, name: &str| format!("arn:aws:rds:{region}:111122223333:cluster:{name}");
    let cluster_replicas = vec!["orders".to_owned(), arn("eu-west-1", "stock"), arn("eu-central-1", "abroad")];
    let Assessment::Differs { why } = done(Found { cluster_replicas, ..found(FAILED, "green") }) else { panic!() };
    for name in ["orders", "stock"] {
        let away = FAILED.replace("shop-", &format!("{name}-"));
        let command = format!(
            "`aws rds modify-db-cluster --db-cluster-identifier {name} --new-db-cluster-identifier {away} --apply-immediately`"
        );
        assert!(why.contains(&command), "{why}");
    }
    assert!(why.contains(":cluster:abroad replicate") && !why.contains("identifier abroad"), "{why}");
    assert!(!why.contains("modify-db-instance"), "{why}");
    let production = Found { name: "shop".to_owned(), ..members };
    let now = State { databases: vec![production], ..state(&[]) };
    let checks = View::new(&scope(), &with(), &now, Some(&now), None, &[]).checks();
    assert_eq!(checks.iter().map(|check| check.id.as_str()).collect::<Vec<_>>(), ["endpoints_left_behind"]);
}

#[test]
fn the_old_blue_is_to_be_kept_until_nobody_would_go_back_to_it() {
    use belay_ports::CheckVerdict::{Go, NoGo, Warn};
    let of = |now: &State| {
        let checks = View::new(&scope(), &with(), now, Some(&armed()), None, &[]).checks();
        checks.into_iter().map(|check| (check.id, check.subject, check.verdict, check.cure)).collect::<Vec<_>>()
    };
    let found =
        |id: &str, subject: &str, verdict, cure: &str| (id.to_owned(), subject.to_owned(), verdict, cure.to_owned());
    let protected = |protection, status: &str| {
        let mut now = switched();
        now.databases[1].deletion_protection = protection;
        now.databases[1].status = status.to_owned();
        now
    };
    let there = found("old_blue", "shop-old1", Go, "");
    assert_eq!(of(&protected(None, "available")), std::slice::from_ref(&there));
    let on = found("deletion_protection", "shop-old1", Go, "");
    assert_eq!(of(&protected(Some(true), "available")), [there.clone(), on]);
    let cure = "aws rds modify-db-instance --db-instance-identifier shop-old1 --deletion-protection";
    assert_eq!(
        of(&protected(Some(false), "available")),
        [there, found("deletion_protection", "shop-old1", Warn, cure)]
    );
    assert_eq!(of(&protected(None, "stopped")), [found("old_blue", "shop-old1", NoGo, "start it")]);
    let gone = of(&state(&[("shop", "green")]));
    assert_eq!((gone.len(), gone[0].0.as_str(), gone[0].2), (1, "old_blue", NoGo));
    assert!(gone[0].3.contains("`rds.restore`"), "{gone:?}");
    // Before the switchover it is production, and protected as such.
    let mut before = armed();
    before.databases[0].deletion_protection = Some(false);
    let cure = cure.replace("shop-old1", "shop");
    assert_eq!(of(&before), [found("deletion_protection", "shop", Warn, &cure)]);
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

fn instances(names: &[&str]) -> String {
    let each = names.iter().map(|name| {
        format!(
            "<DBInstance><DBInstanceIdentifier>{name}</DBInstanceIdentifier><DbiResourceId>db-{name}</DbiResourceId>\
             <DBInstanceStatus>available</DBInstanceStatus></DBInstance>"
        )
    });
    let each: String = each.collect();
    testing::http(
        "200 OK",
        &format!(
            "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances>{each}</DBInstances>\
             </DescribeDBInstancesResult></DescribeDBInstancesResponse>"
        ),
    )
}

#[tokio::test]
async fn only_what_concerns_this_database_is_kept() {
    for (of, expected) in [("shop", 1), ("shop2", 0)] {
        let listed = instances(&["shop", "shop-old1", "shop-old1-copy", "shop2", "shop2-old1"]);
        let wire = Wire::new([deployments(of), listed]).await;
        let system = RdsSwitchBack::new(wire.aws().await, Arc::new(Still { wakes: false }));
        let state = system.observe(&wire::scope(Value::Null, 1), with(), &[]).await.unwrap();
        assert_eq!(state.deployments.len(), expected, "{of}");
        assert_eq!(state.databases.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["shop", "shop-old1"]);
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
