//! `belay check --prove-restore`: a snapshot is restored beside production, and asked what the step's `verify` asks.

use belay_tests::{Belay, Emulator, Finished, Proxy, Signal, World};
use serde_json::Value;

use crate::database::{MODIFY, RESTORE, accepted};
use crate::restore::Cluster;

/// A database in fakecloud with two rows in its snapshot, and two more since.
struct Shop {
    _aws: Emulator,
    world: World,
    proxy: Proxy,
    belay: Belay,
    plan: String,
}

impl Shop {
    /// `rows`: how many the query wants.
    fn new(rows: usize) -> Self {
        let aws = Emulator::fakecloud();
        let world = World::seed(aws.url(), &["--prefix", "proved", "--database", "--row", "one", "--row", "two"]);
        let instance = world.text("/database/instance");
        assert_eq!(world.write_rows(instance, "orders", &["bad", "worse"]).len(), 4);
        let proxy = Proxy::to(aws.url());
        let mut belay = Belay::at(proxy.url());
        let (user, name) = (world.text("/database/user"), world.text("/database/name"));
        let (host, port) = (world.text("/database/host"), &world.json["database"]["port"]);
        belay.env("SHOP_DATABASE", &format!("postgres://{user}@{host}:{port}/{name}?sslmode=disable"));
        let plan = format!(
            "belay: 1
migration: schema-change
aws: {{ account: \"123456789012\", region: us-east-1 }}
objectives: {{ rto: 4h }}
signals:
  orders_complete:
    sql: {{ url: env:SHOP_DATABASE, query: select count(*) from orders }}
    healthy: \"== {rows}\"
  database_ready: {{ rds_status: {{ instance: {instance} }} }}
steps:
  database_back:
    action: rds.restore
    with: {{ instance: {instance}, from: {{ snapshot: {} }}, without: [resource_id] }}
    loses_data: true
    retry: {{ backoff: 100ms..500ms }}
    verify: [database_ready, {{ signal: orders_complete, within: 1m }}]
",
            world.text("/database/snapshot")
        );
        let plan = belay.write("plan.yaml", &plan);
        Self { _aws: aws, world, proxy, belay, plan }
    }

    fn prove(&self, more: &[&str]) -> Finished {
        self.belay.run(&[&["check", &self.plan, "--prove-restore", "database_back"], more].concat())
    }

    /// The database that clients use has all its rows, and nothing was renamed, changed or deleted.
    #[track_caller]
    fn assert_untouched(&self) {
        let instance = self.world.text("/database/instance");
        assert_eq!(self.world.rows(instance, "orders"), ["one", "two", "bad", "worse"]);
        for call in self.proxy.mutating_calls() {
            assert!(call.action == RESTORE || call.action == MODIFY, "{call:?}");
            assert!(call.parameter("NewDBInstanceIdentifier").is_none(), "{call:?}");
            assert_ne!(call.parameter("DBInstanceIdentifier").as_deref(), Some(instance), "{call:?}");
        }
    }
}

fn query<'r>(report: &'r Value, signal: &str) -> &'r Value {
    let queries = report["queries"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    queries.iter().find(|query| query["signal"] == signal).unwrap_or_else(|| panic!("{signal} in {report:#}"))
}

#[test]
fn real_rows_of_a_snapshot_are_read_back_and_production_is_untouched() {
    let shop = Shop::new(2);
    let done = shop.prove(&["--yes", "--json"]);
    assert_eq!(done.code, 0, "{done}");
    let report = done.json();
    assert_eq!(report["verdict"], "proved", "{report:#}");
    let asked = query(&report, "orders_complete");
    assert_eq!(asked["health"], "healthy", "production has four rows: {asked:#}");
    assert!(asked["found"].as_str().unwrap().contains(" is 2, which is == 2"), "{asked:#}");
    let not_asked = query(&report, "database_ready");
    assert_eq!(not_asked["health"], Value::Null, "{not_asked:#}");
    assert!(not_asked["found"].as_str().unwrap().starts_with("rds_status: "), "{not_asked:#}");
    shop.assert_untouched();

    let [left] = report["left"].as_array().unwrap().as_slice() else { panic!("{report:#}") };
    let name = left["name"].as_str().unwrap();
    let instance = shop.world.text("/database/instance");
    assert!(name.starts_with(&format!("{instance}-restored-test-")), "{name}");
    assert_eq!(shop.world.rows(name, "orders"), ["one", "two"]);
    assert_eq!(
        left["delete"],
        format!("aws rds delete-db-instance --db-instance-identifier {name} --skip-final-snapshot --region us-east-1")
    );
    assert!(done.stderr.contains("costs money"), "{done}");

    // What it took is on record, and expected from then on.
    assert_eq!(report["on_record"], true, "{report:#}");
    let checked = shop.belay.run(&["check", &shop.plan, "--json"]).json();
    let rto = checks(&checked, "rto");
    assert!(rto["found"].as_str().unwrap().contains("(measured"), "{rto:#}");
    assert_eq!(checks(&checked, "drill")["verdict"], "warn", "a restore test is no drill");
    let proved = checks(&checked, "restore_test");
    assert_eq!(proved["verdict"], "go", "{proved:#}");
    assert!(proved["found"].as_str().unwrap().contains("orders_complete: healthy: "), "{proved:#}");
}

fn checks<'r>(report: &'r Value, id: &str) -> &'r Value {
    let found = report["checks"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    found.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("{id} in {report:#}"))
}

#[test]
fn a_query_that_is_not_healthy_is_a_no() {
    let shop = Shop::new(4);
    let done = shop.prove(&["--yes"]);
    assert_eq!(done.code, 3, "{done}");
    for part in ["orders_complete: unhealthy", " is 2, which is not == 4", "not proved", "aws rds delete-db-instance"] {
        assert!(done.stdout.contains(part), "{part}: {done}");
    }
    shop.assert_untouched();
}

#[test]
fn nothing_is_restored_that_nobody_has_agreed_to() {
    let shop = Shop::new(2);
    let done = shop.prove(&[]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("costs money") && done.stderr.contains("--yes"), "{done}");
    let done = shop.belay.run(&["check", &shop.plan, "--prove-restore", "databse_back", "--yes"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("the steps that restore a database: database_back"), "{done}");
    assert!(shop.proxy.mutating_calls().is_empty());
}

#[test]
fn an_interrupted_test_shows_what_it_left() {
    let shop = Shop::new(2);
    let mut test = shop.belay.spawn(&["check", &shop.plan, "--prove-restore", "database_back", "--yes", "--json"]);
    // fakecloud takes two seconds for a restore.
    test.wait_for_stderr("is creating");
    test.signal(Signal::INT);
    let done = test.wait();
    assert_eq!(done.code, 3, "{done}");
    let report = done.json();
    assert_eq!(report["verdict"], "interrupted", "{report:#}");
    let [left] = report["left"].as_array().unwrap().as_slice() else { panic!("{report:#}") };
    assert!(left["delete"].as_str().unwrap().contains("--skip-final-snapshot"), "{left:#}");
    assert_eq!(accepted(&shop.proxy.mutating_calls()).len(), 1);
    // The next one begins anew.
    let again = shop.prove(&["--yes", "--json"]);
    assert_eq!((again.code, &again.json()["verdict"]), (0, &Value::from("proved")), "{again}");
}

/// The journal is the daemon's then: it puts the outcome on record, and its readiness and checklist go by it.
#[test]
fn beside_a_daemon_the_outcome_is_on_record_with_the_migration() {
    let mut shop = Shop::new(2);
    shop.belay.env("BELAY_LISTEN", "127.0.0.1:0");
    let mut daemon = shop.belay.spawn(&["serve", "--plan", &shop.plan]);
    let line = daemon.wait_for_stderr("listening on http://");
    let url = line.split_once("listening on ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    // Nobody has said where the daemon is.
    shop.belay.env("BELAY_URL", "http://127.0.0.1:9");
    let done = shop.prove(&["--yes", "--json"]);
    let report = done.json();
    assert_eq!((&report["verdict"], &report["on_record"]), (&Value::from("proved"), &Value::from(false)), "{report:#}");
    assert!(done.stderr.contains("name the daemon with --url"), "{done}");

    shop.belay.env("BELAY_URL", &url);
    let done = shop.prove(&["--yes", "--json"]);
    assert_eq!(done.code, 0, "{done}");
    let report = done.json();
    assert_eq!((&report["verdict"], &report["on_record"]), (&Value::from("proved"), &Value::from(true)), "{report:#}");
    shop.assert_untouched();
    let list = shop.belay.run(&["checklist", "--json"]).json();
    let items = list["items"].as_array().unwrap_or_else(|| panic!("{list:#}"));
    let item = items.iter().find(|item| item["id"] == "backup_verified").unwrap_or_else(|| panic!("{list:#}"));
    assert_eq!(item["done"], true, "{item:#}");
    assert!(item["note"].as_str().unwrap().contains("orders_complete: healthy"), "{item:#}");
}

#[test]
fn a_cluster_gets_one_member_to_answer() {
    let aws = Emulator::moto();
    let _cluster = Cluster::create(aws.url(), "proved");
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let plan = "belay: 1
migration: schema-change
aws: { account: \"123456789012\", region: us-east-1 }
steps:
  back:
    action: rds.restore
    with: { cluster: proved, from: { snapshot: proved-before } }
    loses_data: true
";
    let done = belay.run(&["check", &belay.write("plan.yaml", plan), "--prove-restore", "back", "--yes", "--json"]);
    assert_eq!(done.code, 0, "{done}");
    let report = done.json();
    assert_eq!(report["verdict"], "restored", "nothing was asked: {report:#}");
    let left: Vec<&str> = report["left"].as_array().unwrap().iter().filter_map(|made| made["name"].as_str()).collect();
    assert_eq!(left.len(), 2, "{report:#}");
    assert!(left[0].starts_with("proved-2-restored-test-") && left[1].starts_with("proved-restored-test-"), "{left:?}");
}
