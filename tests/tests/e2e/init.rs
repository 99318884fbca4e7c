//! `belay init` in an account: what it finds, what it calls, and what becomes of its plan.

use std::collections::BTreeSet;

use belay_tests::{Belay, Call, Emulator, Finished, Proxy, Target, World, wait_until};
use serde_json::json;

/// A world of its own, so that nobody else's records are found in it, seen through a proxy.
struct Account {
    world: World,
    proxy: Proxy,
    belay: Belay,
    _blue: Target,
    _aws: Emulator,
}

impl Account {
    /// A record that leads to a load balancer, whose listener and rule forward by weight; alarms on it and on the database.
    fn new(options: &[&str]) -> Self {
        let aws = Emulator::fakecloud();
        let blue = Target::start("blue");
        let target = blue.address();
        let own = ["--prefix", "init", "--alias", "--blue-target", &target];
        let world = World::seed(aws.url(), &[&own, options].concat());
        let proxy = Proxy::to(aws.url());
        let belay = Belay::at(proxy.url());
        Self { world, proxy, belay, _blue: blue, _aws: aws }
    }

    /// An alarm on a dimension.
    fn alarm(&self, name: &str, dimension: &str, value: &str) {
        let alarm = json!({
            "AlarmName": name, "Namespace": "AWS/ApplicationELB", "MetricName": "HTTPCode_Target_5XX_Count", "Statistic": "Sum",
            "Period": 60, "EvaluationPeriods": 3, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "ignore", "Dimensions": [{ "Name": dimension, "Value": value }],
        });
        let made = self.world.call("cloudwatch", "put_metric_alarm", &alarm);
        assert!(made["error"].is_null(), "{made}");
        self.world.ask("alarm", &[name, "OK"]);
    }

    fn init(&self, arguments: &[&str]) -> Finished {
        self.proxy.clear();
        self.belay.run(&[&["init"], arguments].concat())
    }

    /// As flags name the rule.
    fn rule(&self) -> String {
        let rule = self.world.rule();
        format!("{}:80/{}", self.world.text("/name"), rule["Priority"].as_str().expect("it has one"))
    }

    fn wait_for_blue(&self) {
        wait_until("blue to be healthy", || (self.world.target_states("blue") == ["healthy"]).then_some(()));
    }
}

/// As IAM names it.
fn action(call: &Call) -> String {
    let service = if call.service == "monitoring" { "cloudwatch" } else { call.service.as_str() };
    format!("{service}:{}", call.action)
}

#[test]
fn the_account_becomes_a_plan_that_is_valid_and_can_be_captured() {
    let account = Account::new(&["--database"]);
    let (world, name) = (&account.world, account.world.text("/name").to_owned());
    let database = world.text("/database/instance").to_owned();
    account.alarm("front-5xx", "LoadBalancer", world.text("/alb/dimension"));
    account.alarm("elsewhere-5xx", "LoadBalancer", "app/elsewhere/50dc6c495c0c9188");
    account.wait_for_blue();
    let listener = format!("{name}:80");
    let done =
        account.init(&["--listener", &listener, "--listener", &account.rule(), "--db", &database, "-o", "plan.yaml"]);
    assert_eq!(done.code, 0, "{done}");
    let mutating = account.proxy.mutating_calls();
    assert!(mutating.is_empty(), "{mutating:?}");
    let plan = std::fs::read_to_string(account.belay.folder().join("plan.yaml")).expect("it was written");
    // Comments are wrapped.
    let plain = plan.split_whitespace().filter(|word| *word != "#").collect::<Vec<_>>().join(" ");
    for part in [
        format!("account: \"{}\", region: {}", world.text("/account"), world.text("/region")),
        format!(
            "zone: {}, record: {}, type: A",
            world.text("/dns/zone"),
            world.text("/dns/record").trim_end_matches('.')
        ),
        format!("listener: \"{}\"", world.text("/alb/listener")),
        format!("rule: \"{}\"", world.text("/alb/rule")),
        format!("target_group: {}", world.text("/alb/target_groups/blue/name")),
        format!("instance: {database}"),
        "alarm: front-5xx".to_owned(),
        "Healthy targets then: 1 of 1".to_owned(),
        world.text("/database/snapshot").to_owned(),
    ] {
        assert!(plain.contains(&part), "{part}\n{plan}");
    }
    // What it saw and nothing else: the alarms of others, and the side without traffic.
    for absent in ["elsewhere", &format!("{name}-errors"), &format!("target_group: {name}-green")] {
        assert!(!plan.contains(absent), "{absent}\n{plan}");
    }
    for arguments in [&["validate", "plan.yaml"][..], &["capture", "plan.yaml", "-o", "baseline.json"]] {
        let done = account.belay.run(arguments);
        assert_eq!(done.code, 0, "{done}\n{plan}");
    }
    world.set_weights(0, 100);
    let dry = account.belay.run(&["dry-run", "plan.yaml", "--baseline", "baseline.json", "--json"]);
    // Until the cutover is marked, it is not known to which time the database goes back.
    assert_eq!(dry.code, 3, "{dry}\n{plan}");
    assert!(dry.stdout.contains("mark the cutover"), "{dry}");
    let report = dry.json();
    assert_eq!(report["verdict"], "would_stop", "{report:#}");
    for step in report["steps"].as_object().expect("steps by name").values() {
        assert_ne!(step["found"], "in_place", "{report:#}");
    }
}

#[test]
fn init_calls_what_its_policy_allows_and_needs_all_of_it() {
    let account = Account::new(&["--database"]);
    let database = account.world.text("/database/instance").to_owned();
    let cluster = json!({
        "DBClusterIdentifier": "stock", "Engine": "aurora-mysql", "MasterUsername": "belay", "MasterUserPassword": "not-a-secret",
    });
    let made = account.world.call("rds", "create_db_cluster", &cluster);
    assert!(made["error"].is_null(), "{made}");
    let done = account.init(&["--listener", &account.rule(), "--db", &database, "--db", "stock", "--alarm", "none"]);
    assert_eq!(done.code, 0, "{done}");
    let mut called: BTreeSet<String> = account.proxy.calls().iter().map(action).collect();
    let done = account.init(&["--listener", &account.rule()]);
    assert_eq!(done.code, 0, "{done}");
    called.extend(account.proxy.calls().iter().map(action));
    called.remove("sts:GetCallerIdentity");
    let mut allowed: BTreeSet<String> = belay_aws::discover::CALLS.iter().map(|call| (*call).to_owned()).collect();
    // Only where a load balancer does not say why a target is unused.
    allowed.remove("elasticloadbalancing:DescribeTargetGroups");
    called.remove("elasticloadbalancing:DescribeTargetGroups");
    assert_eq!(called, allowed);
}

#[test]
fn in_a_strangers_account_what_is_open_is_asked_for_and_nothing_is_written() {
    let account = Account::new(&[]);
    let done = account.init(&["-o", "plan.yaml"]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{done}");
    let name = account.world.text("/name");
    for listener in [format!("{name}:80"), account.rule()] {
        assert!(done.stderr.contains(&format!("belay init -o plan.yaml --listener {listener}")), "{done}");
    }
    assert!(!account.belay.folder().join("plan.yaml").exists());
    // No alarm has a dimension of these resources: that is for a person, too.
    let done = account.init(&["--listener", &account.rule()]);
    assert_eq!(done.code, 0, "{done}");
    assert!(done.stdout.contains("# TODO: decide which signal shows that customers are hurt."), "{done}");
    assert!(done.stderr.contains("no alarm has a dimension of these resources"), "{done}");
}

#[test]
fn an_empty_account_and_one_that_cannot_be_told_are_no_plans() {
    let aws = Emulator::fakecloud();
    let belay = Belay::at(aws.url());
    let done = belay.run(&["init"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("nothing was found that a plan could put back"), "{done}");
    let gone = Belay::at("http://127.0.0.1:9");
    let done = gone.run(&["init"]);
    assert_eq!(done.code, 5, "{done}");
    assert!(done.stderr.contains("check the credentials"), "{done}");
}
