//! What actuators and sensors declare that they need is what the binary calls: nothing more, or the policy made of it
//! would not be enough; nothing less, or it would give away what nobody needs.

use std::collections::{BTreeMap, BTreeSet};

use belay_ports::Permission;
use belay_tests::{Belay, Call, Emulator, Proxy, Target, World, wait_until};
use serde_json::{Value, json};

use crate::database::{Instance, parameters};
use crate::declared::declared;
use crate::restore::Cluster;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";

/// Calls of RDS that have no resource-level permissions.
const NOT_OF_ONE: [&str; 4] = [
    "DescribeAccountAttributes",
    "DescribeCertificates",
    "DescribeDBEngineVersions",
    "DescribeOrderableDBInstanceOptions",
];

/// What IAM asks for a call: actions, each with a resource. Calls that carry tags or hand on a role need more than
/// their own name.
fn asked(call: &Call) -> Vec<(String, String)> {
    let service = if call.service == "monitoring" { "cloudwatch" } else { call.service.as_str() };
    let action = format!("{service}:{}", call.action);
    let told = parameters(call);
    let rds = |kind: &str, name: &str| format!("arn:aws:rds:{REGION}:{ACCOUNT}:{kind}:{name}");
    let mut resources = Vec::new();
    for (parameter, kind) in [
        ("DBInstanceIdentifier", "db"),
        ("NewDBInstanceIdentifier", "db"),
        ("SourceDBInstanceIdentifier", "db"),
        ("TargetDBInstanceIdentifier", "db"),
        ("DBSnapshotIdentifier", "snapshot"),
        ("DBClusterIdentifier", "cluster"),
        ("NewDBClusterIdentifier", "cluster"),
        ("SourceDBClusterIdentifier", "cluster"),
        ("SnapshotIdentifier", "cluster-snapshot"),
        ("DBClusterSnapshotIdentifier", "cluster-snapshot"),
        ("DBClusterParameterGroupName", "cluster-pg"),
        ("DBParameterGroupName", "pg"),
        ("OptionGroupName", "og"),
        ("DBSubnetGroupName", "subgrp"),
    ] {
        resources.extend(told.get(parameter).map(|name| rds(kind, name)));
    }
    let path: Vec<&str> = call.path.split(['/', '?']).collect();
    match (service, path.as_slice()) {
        ("rds", _) if call.action == "DescribeDBInstanceAutomatedBackups" => {
            resources = vec![rds("auto-backup", "ab-1")]
        }
        ("rds", _) if call.action == "DescribeBlueGreenDeployments" => resources.push(rds("deployment", "*")),
        ("rds", _) if call.action == "DescribeIntegrations" => resources.push(rds("integration", "*")),
        ("rds", _) if call.action == "DescribeDBProxies" => resources.push(rds("db-proxy", "*")),
        ("rds", _) if told.keys().any(|name| name.starts_with("Filters.")) => resources.push(rds("db", "*")),
        ("route53", [_, _, "hostedzonesbyname", ..]) => resources.push("*".to_owned()),
        ("route53", [_, _, kind, id, ..]) => resources.push(format!("arn:aws:route53:::{kind}/{id}")),
        ("elasticloadbalancing", _) if call.is_mutating() => {
            let names = ["ListenerArn", "RuleArn", "TargetGroupArn"];
            resources.extend(names.iter().filter_map(|name| told.get(*name).cloned()));
        }
        ("rds", _) if NOT_OF_ONE.contains(&call.action.as_str()) => resources.push("*".to_owned()),
        ("rds", _) => {}
        // These have no resource-level permissions.
        _ => resources.push("*".to_owned()),
    }
    let mut asked: Vec<(String, String)> = resources.into_iter().map(|resource| (action.clone(), resource)).collect();
    if told.keys().any(|name| name.starts_with("Tags.")) {
        let made = told.get("DBInstanceIdentifier").or_else(|| told.get("TargetDBInstanceIdentifier"));
        let made = made.map(|name| rds("db", name));
        let made = made.or_else(|| told.get("DBClusterIdentifier").map(|name| rds("cluster", name)));
        asked.extend(made.map(|made| ("rds:AddTagsToResource".to_owned(), made)));
    }
    asked.extend(told.get("MonitoringRoleArn").map(|role| ("iam:PassRole".to_owned(), role.clone())));
    asked
}

/// As IAM matches resources: `*` stands for anything.
fn matches(pattern: &str, resource: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == resource,
        Some((head, rest)) => resource.strip_prefix(head).is_some_and(|left| {
            (0..=left.len()).any(|skip| left.is_char_boundary(skip) && matches(rest, &left[skip..]))
        }),
    }
}

/// What was declared and what was used, by what declares it.
#[derive(Default)]
struct Ledger {
    unused: BTreeMap<&'static str, BTreeSet<String>>,
    used: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Ledger {
    /// Holds the calls of one scenario against what its plan declares.
    #[track_caller]
    fn enter(&mut self, subject: &'static str, plan: &str, reads_only: bool, calls: &[Call]) {
        let declared = declared(plan);
        assert!(!calls.is_empty(), "{subject}: nothing was called");
        // Which key a database has, a baseline tells, and these plans have none: `key_of_data` has tests of its own.
        let by_plan = |call: &&Call| call.action != "GetCallerIdentity" && call.service != "kms";
        for call in calls.iter().filter(by_plan) {
            assert!(!(reads_only && call.is_mutating()), "{subject}: {call:#?}");
            for (action, resource) in asked(call) {
                let allows =
                    |permission: &&Permission| permission.action == action && matches(&permission.resource, &resource);
                let Some(permission) = declared.iter().find(allows) else {
                    panic!("{subject}: {action} on {resource} is not declared:\n{declared:#?}\n{call:#?}");
                };
                assert!(permission.mutates || !call.is_mutating(), "{subject}: {action} is declared as a read");
                self.used.entry(subject).or_default().insert(action);
            }
        }
        self.unused.entry(subject).or_default().extend(declared.into_iter().map(|permission| permission.action));
    }

    /// Everything that was declared was used in one scenario or another, but for what only some databases and load balancers have.
    #[track_caller]
    fn close(mut self) {
        const OF_SOME: [&str; 8] = [
            "rds:DescribeDBSubnetGroups",
            "rds:AddRoleToDBInstance",
            "rds:EnableHttpEndpoint",
            "rds:DescribeDBProxyTargets",
            "rds:DeregisterDBProxyTargets",
            "rds:RegisterDBProxyTargets",
            "elasticloadbalancing:DescribeTargetGroupAttributes",
            // Of records that are aliases.
            "elasticloadbalancing:DescribeLoadBalancers",
        ];
        // The keys of the emulators are the root user's, of whom nothing is simulated: the test `readiness_calls_what_it_declares` of
        // `crates/aws/src/iam` holds these against the calls.
        const OF_ROLES: [&str; 2] = ["iam:GetRole", "iam:SimulatePrincipalPolicy"];
        for (subject, used) in &self.used {
            let unused = self.unused.remove(subject).into_iter().flatten().filter(|one| !used.contains(one));
            let elsewhere = |one: &String| OF_SOME.contains(&one.as_str()) || OF_ROLES.contains(&one.as_str());
            let unused: Vec<_> = unused.filter(|one| !elsewhere(one)).collect();
            assert!(unused.is_empty(), "{subject} declares what it does not need: {unused:?}");
        }
    }
}

/// Runs one command of the binary on a plan, and gives back the calls.
fn calls_of(proxy: &Proxy, plan: &str, command: &str, expected: i32) -> Vec<Call> {
    let belay = Belay::at(proxy.url());
    let file = belay.write("plan.yaml", plan);
    proxy.clear();
    let done = match command {
        "run" => belay.run(&["run", &file, "--reason", "test"]),
        command => belay.run(&[command, &file]),
    };
    // What the emulator does not answer is unknown to a check: the calls are made all the same.
    let expected = if command == "check" && done.code == 3 { 3 } else { expected };
    assert_eq!(done.code, expected, "{command}: {done}\n{plan}");
    // The proxy may have the port that a target of another test had: an emulator goes on checking the health of that one.
    let is_of_belay = |call: &Call| (call.service.as_str(), call.action.as_str()) != ("unknown", "GET /health");
    proxy.calls().into_iter().filter(is_of_belay).collect()
}

fn head() -> String {
    format!("belay: 1\nmigration: policy\naws: {{ account: \"{ACCOUNT}\", region: {REGION} }}\n")
}

/// A plan with this signal alone.
fn watching(signal: &str) -> String {
    format!("{}signals:\n  seen: {{ {signal} }}\nsteps:\n  pause:\n    action: wait\n    with: {{ for: 1s }}\n", head())
}

/// A plan with this step alone.
fn doing(step: &str) -> String {
    format!("{}steps:\n  back:\n{step}", head())
}

#[test]
fn sensors_call_what_they_declare() {
    let aws = Emulator::fakecloud();
    let world = World::seed(aws.url(), &["--database"]);
    let proxy = Proxy::to(aws.url());
    let mut ledger = Ledger::default();
    let name = world.text("/name");
    for (subject, signal) in [
        ("alarm", format!("alarm: {}", world.text("/alarms/errors"))),
        ("alarm", format!("alarm: {}", world.text("/alarms/composite"))),
        ("alarm", "alarm: no-such-alarm".to_owned()),
        ("metric", format!("metric: {{ namespace: Belay/{name}, name: errors, stat: Sum }}, healthy: \"< 5\"")),
        (
            "metric",
            format!(
                "metric: {{ expression: \"a + b\", metrics: {{ a: {{ namespace: Belay/{name}, name: errors, stat: Sum }}, \
                 b: {{ namespace: Belay/{name}, name: latency, stat: Sum }} }} }}, healthy: \"< 5\""
            ),
        ),
        (
            "target_health",
            format!("target_health: {{ target_group: {}, at_least: 1 }}", world.text("/alb/target_groups/blue/name")),
        ),
        (
            "target_health",
            format!(
                "target_health: {{ target_group: \"{}\", at_least: 1 }}",
                world.text("/alb/target_groups/blue/arn")
            ),
        ),
        ("rds_status", format!("rds_status: {{ instance: {} }}", world.text("/database/instance"))),
        ("rds_status", "rds_status: { instance: No-Such-Database }".to_owned()),
    ] {
        let plan = watching(&signal);
        for command in ["dry-run", "check"] {
            let calls = calls_of(&proxy, &plan, command, 0);
            ledger.enter(subject, &plan, true, &calls);
        }
    }
    ledger.close();
}

#[test]
fn traffic_is_shifted_with_what_is_declared() {
    let aws = Emulator::fakecloud();
    let blue = Target::start("blue");
    let world = World::seed(aws.url(), &["--blue-target", &blue.address(), "--health-check"]);
    wait_until("blue to be healthy", || (world.target_states("blue") == ["healthy"]).then_some(()));
    let proxy = Proxy::to(aws.url());
    let mut ledger = Ledger::default();

    // A group that is not attached has to be found by its name.
    let spare = json!({ "Name": "spare", "Protocol": "HTTP", "Port": 80, "VpcId": "vpc-0", "TargetType": "ip" });
    let created = world.call("elbv2", "create_target_group", &spare);
    assert_eq!(created["error"], Value::Null, "{created}");
    let (blue, green) = (world.text("/alb/target_groups/blue/name"), world.text("/alb/target_groups/green/name"));
    let forward = |with: &str| {
        doing(&format!(
            "    action: alb.forward\n    with: {{ {with} }}\n    to: {{ {blue}: 100, {green}: 0, spare: 0 }}\n"
        ))
    };
    let weights = |zone: &str| {
        let record = world.text("/dns/record");
        let (blue, green) = (world.text("/dns/sets/blue/id"), world.text("/dns/sets/green/id"));
        doing(&format!(
            "    action: route53.weights\n    with: {{ zone: {zone}, record: {record}, type: A }}\n    \
             to: {{ {blue}: 100, {green}: 0 }}\n"
        ))
    };
    let named = format!("load_balancer: {}, port: 80", world.text("/name"));
    let priority = world.rule()["Priority"].as_str().expect("a rule has a priority").to_owned();
    // Blue's target gives way to another.
    let other = Target::start("blue");
    let (address, port) = other.address().split_once(':').map(|(a, p)| (a.to_owned(), p.to_owned())).unwrap();
    let targets = doing(&format!(
        "    action: alb.targets\n    with: {{ target_group: {blue} }}\n    to: {{ \"{address}\": {port} }}\n    \
         others: zero\n"
    ));
    for (subject, plan) in [
        ("alb.forward listener", forward(&format!("listener: \"{}\"", world.text("/alb/listener")))),
        ("alb.forward rule", forward(&format!("rule: \"{}\"", world.text("/alb/rule")))),
        ("alb.forward named listener", forward(&format!("listener: {{ {named} }}"))),
        ("alb.forward named rule", forward(&format!("rule: {{ {named}, priority: {priority} }}"))),
        ("alb.targets", targets),
        ("route53.weights", weights(world.text("/dns/zone"))),
        ("route53.weights by name", weights(world.text("/dns/zone_name"))),
    ] {
        world.set_weights(0, 100);
        for command in ["capture", "dry-run", "run"] {
            let calls = calls_of(&proxy, &plan, command, 0);
            ledger.enter(subject, &plan, command != "run", &calls);
        }
    }
    ledger.close();
}

#[test]
fn databases_are_restored_with_what_is_declared() {
    // moto keeps every setting that a restore carries over, so that every call is needed.
    let aws = Emulator::moto();
    let proxy = Proxy::to(aws.url());
    let mut ledger = Ledger::default();
    for (name, from) in [("orders", "snapshot: orders-before"), ("ledger", "time: latest"), ("carts", "time: EARLIER")]
    {
        let instance = Instance::create(aws.url(), name);
        let latest = instance.find(name).expect("it was just created")["LatestRestorableTime"].clone();
        let latest = latest.as_str().expect("backups are on").replace(' ', "T");
        let from = from.replace("EARLIER", &format!("\"{latest}\""));
        let plan = doing(&format!(
            "    action: rds.restore\n    with: {{ instance: {name}, from: {{ {from} }}, without: [resource_id] }}\n    loses_data: true\n"
        ));
        for command in ["capture", "dry-run", "check", "run"] {
            let calls = calls_of(&proxy, &plan, command, 0);
            ledger.enter("rds.restore", &plan, command != "run", &calls);
        }
    }
    ledger.close();
}

#[test]
fn clusters_are_restored_with_what_is_declared() {
    let aws = Emulator::moto();
    let proxy = Proxy::to(aws.url());
    for (subject, name, from) in [
        ("rds.restore of a snapshot", "orders", "snapshot: orders-before"),
        ("rds.restore to a time", "ledger", "time: latest"),
    ] {
        let mut ledger = Ledger::default();
        Cluster::create(aws.url(), name);
        let plan = doing(&format!(
            "    action: rds.restore\n    with: {{ cluster: {name}, from: {{ {from} }}, without: [resource_id] }}\n    loses_data: true\n"
        ));
        for command in ["capture", "dry-run", "check", "run"] {
            let calls = calls_of(&proxy, &plan, command, 0);
            ledger.enter(subject, &plan, command != "run", &calls);
        }
        ledger.close();
    }
}

#[test]
fn the_ledger_sees_what_is_missing_and_what_is_too_much() {
    assert!(matches("arn:aws:rds:*:1:db:a-failed-*", "arn:aws:rds:us-east-1:1:db:a-failed-01k8"));
    assert!(!matches("arn:aws:rds:*:1:db:a-failed-*", "arn:aws:rds:us-east-1:1:db:a"));
    assert!(matches("*", "*"));
    let plan = watching("rds_status: { instance: orders }");
    let refused = std::panic::catch_unwind(|| {
        let aws = Emulator::moto();
        let proxy = Proxy::to(aws.url());
        let calls = calls_of(&proxy, &plan, "dry-run", 0);
        Ledger::default().enter("rds_status", &watching("alarm: other"), true, &calls);
    });
    assert!(refused.is_err());
    let mut ledger = Ledger::default();
    ledger.unused.insert("rds_status", BTreeSet::from(["rds:DescribeEvents".to_owned()]));
    ledger.used.insert("rds_status", BTreeSet::new());
    assert!(std::panic::catch_unwind(|| ledger.close()).is_err());
}
