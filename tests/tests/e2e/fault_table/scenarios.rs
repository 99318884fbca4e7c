//! What is rolled back, one action each.

use std::sync::OnceLock;

use belay_tests::{Emulator, World};
use serde_json::json;

use super::moves;
use crate::stage;

/// One action of which every call is tried.
pub(super) struct Scenario {
    pub(super) action: &'static str,
    /// Begins the names of its worlds.
    pub(super) short: &'static str,
    /// For the reader of the table.
    pub(super) about: &'static str,
    pub(super) emulator: fn() -> &'static Emulator,
    /// Brings the world into the state after a cutover, and gives the plan that rolls it back: one step, `back`.
    pub(super) cut_over: fn(&World, &str) -> String,
    pub(super) is_back: fn(&World, &str) -> bool,
    /// One of these is named when a call is refused.
    pub(super) resources: fn(&World, &str) -> Vec<String>,
}

/// Broad, and at once: what counts here are the calls, not how long AWS takes.
fn moto() -> &'static Emulator {
    static MOTO: OnceLock<Emulator> = OnceLock::new();
    MOTO.get_or_init(Emulator::moto)
}

/// A plan of one step. `step`: its lines, indented by four.
fn plan(step: &str) -> String {
    format!(
        "belay: 1
migration: shop
aws: {{ account: \"$account\", region: $region }}
signals:
  page: {{ http: {{ url: \"$page\", status: 200 }} }}
steps:
  back:
{step}
    retry: {{ backoff: 100ms..500ms }}
confirm: [page]
"
    )
}

fn weights(world: &World, zone: &str, stages: &str) -> String {
    world.set_some_weights(0, 100, &["dns"]);
    let text = |pointer| world.text(pointer);
    plan(&format!(
        "    action: route53.weights
    with: {{ zone: {zone}, record: {}, type: A }}
    to: {{ {}: 100, {}: 0 }}
    require: [page]{stages}",
        text("/dns/record").trim_end_matches('.'),
        text("/dns/sets/blue/id"),
        text("/dns/sets/green/id"),
    ))
}

fn forward(world: &World, what: &str, arn: &str) -> String {
    let name = |side: &str| world.text(&format!("/alb/target_groups/{side}/name")).to_owned();
    plan(&format!(
        "    action: alb.forward
    with: {{ {what}: \"{arn}\" }}
    to: {{ {}: 100, {}: 0 }}",
        name("blue"),
        name("green")
    ))
}

/// Blue's target gave way to another.
fn moved_targets(world: &World) -> String {
    let arn = world.text("/alb/target_groups/blue/arn");
    let target = |id: &str| json!({ "TargetGroupArn": arn, "Targets": [{ "Id": id, "Port": 80 }] });
    world.call("elbv2", "register_targets", &target("10.0.0.9"));
    world.call("elbv2", "deregister_targets", &target("10.0.0.1"));
    plan(&format!(
        "    action: alb.targets
    with: {{ target_group: {} }}
    to: {{ 10.0.0.1: 80 }}
    others: zero",
        world.text("/alb/target_groups/blue/name")
    ))
}

fn targets_are_back(world: &World) -> bool {
    let arn = json!({ "TargetGroupArn": world.text("/alb/target_groups/blue/arn") });
    let found = world.call("elbv2", "describe_target_health", &arn);
    let found = found["TargetHealthDescriptions"].as_array().into_iter().flatten();
    found.map(|one| one["Target"]["Id"].as_str().unwrap_or_default().to_owned()).eq(["10.0.0.1"])
}

/// The instance of a case.
fn database(case: &str) -> (String, String) {
    (format!("{case}-db"), format!("{case}-snapshot"))
}

/// An instance, and a snapshot of it.
fn make_database(world: &World, case: &str) {
    let (instance, snapshot) = database(case);
    let made = json!({
        "DBInstanceIdentifier": instance, "DBInstanceClass": "db.t3.micro", "Engine": "postgres", "AllocatedStorage": 20,
        "MasterUsername": "belay", "MasterUserPassword": "a-password", "BackupRetentionPeriod": 7,
        "PreferredMaintenanceWindow": "sun:05:00-sun:06:00", "Tags": [{ "Key": "team", "Value": "shop" }],
    });
    world.call("rds", "create_db_instance", &made);
    let made = json!({ "DBInstanceIdentifier": instance, "DBSnapshotIdentifier": snapshot });
    world.call("rds", "create_db_snapshot", &made);
}

fn database_is_back(world: &World, case: &str) -> bool {
    let (instance, _) = database(case);
    let databases = world.databases();
    let names: Vec<&str> =
        databases.as_array().into_iter().flatten().filter_map(|found| found["DBInstanceIdentifier"].as_str()).collect();
    let beside = |word: &str| names.iter().any(|name| name.starts_with(&format!("{instance}-{word}-")));
    names.contains(&instance.as_str()) && beside("failed") && !beside("restored")
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        action: "route53.weights",
        short: "dns",
        about: "A weighted record.",
        emulator: moto,
        cut_over: |world, _| weights(world, world.text("/dns/zone"), ""),
        is_back: |world, _| world.dns_weights()["blue"] == 100 && world.dns_weights()["green"] == 0,
        resources: |world, _| vec![format!("hostedzone/{}", world.text("/dns/zone")), ":change/".to_owned()],
    },
    Scenario {
        action: "route53.weights",
        short: "stages",
        about: "The same in two stages, its zone known by its name.",
        emulator: moto,
        cut_over: |world, _| weights(world, world.text("/dns/zone_name"), "\n    stages: [50, 100]"),
        is_back: |world, _| world.dns_weights()["blue"] == 100 && world.dns_weights()["green"] == 0,
        resources: |world, _| vec![format!("hostedzone/{}", world.text("/dns/zone")), ":change/".to_owned()],
    },
    Scenario {
        action: "alb.forward",
        short: "listener",
        about: "The default action of a listener.",
        emulator: moto,
        cut_over: |world, _| {
            world.set_some_weights(0, 100, &["listener"]);
            forward(world, "listener", world.text("/alb/listener"))
        },
        is_back: |world, _| world.listener_weights()["blue"] == 100 && world.listener_weights()["green"] == 0,
        resources: |world, _| vec![world.text("/alb/listener").to_owned()],
    },
    Scenario {
        action: "alb.forward",
        short: "rule",
        about: "A rule.",
        emulator: moto,
        cut_over: |world, _| {
            world.set_some_weights(0, 100, &["rule"]);
            forward(world, "rule", world.text("/alb/rule"))
        },
        is_back: |world, _| world.rule_weights()["blue"] == 100 && world.rule_weights()["green"] == 0,
        resources: |world, _| vec![world.text("/alb/rule").to_owned()],
    },
    Scenario {
        action: "alb.targets",
        short: "targets",
        about: "A target is registered again, and another one deregistered.",
        emulator: moto,
        cut_over: |world, _| moved_targets(world),
        is_back: |world, _| targets_are_back(world),
        resources: |world, _| vec![world.text("/alb/target_groups/blue/arn").to_owned()],
    },
    Scenario {
        action: "rds.restore",
        short: "restore",
        about: "An instance, from a snapshot.",
        emulator: moto,
        cut_over: |world, case| {
            make_database(world, case);
            let (instance, snapshot) = database(case);
            plan(&format!(
                "    action: rds.restore
    with: {{ instance: {instance}, from: {{ snapshot: {snapshot} }}, without: [resource_id] }}
    loses_data: true"
            ))
        },
        is_back: database_is_back,
        resources: |_, case| vec![case.to_owned()],
    },
    Scenario {
        action: "rds.restore",
        short: "cluster",
        about: "A cluster with two members, from a snapshot.",
        emulator: moto,
        cut_over: |world, case| {
            moves::make_cluster(world, case);
            moves::take_snapshot(world, case);
            plan(&format!(
                "    action: rds.restore
    with: {{ cluster: {case}, from: {{ snapshot: {case}-snapshot }}, without: [resource_id] }}
    loses_data: true"
            ))
        },
        is_back: moves::is_restored,
        resources: |_, case| vec![case.to_owned()],
    },
    Scenario {
        action: "rds.failover",
        short: "failover",
        about: "A cluster, to its former writer.",
        emulator: moto,
        cut_over: |world, case| {
            moves::make_cluster(world, case);
            plan(&format!(
                "    action: rds.failover
    with: {{ cluster: {case} }}
    to: {{ writer: {case}-1 }}"
            ))
        },
        is_back: |world, case| moves::writer(world, case) == format!("{case}-1"),
        resources: |_, case| vec![case.to_owned()],
    },
    Scenario {
        action: "rds.switch_back",
        short: "blue",
        about: "An instance, after the switchover of a blue/green deployment whose record was deleted.",
        emulator: moto,
        cut_over: |world, case| {
            moves::switch_over(world, case);
            plan(&format!(
                "    action: rds.switch_back
    with: {{ instance: {case} }}
    loses_data: true"
            ))
        },
        is_back: moves::is_blue,
        resources: |_, case| vec![case.to_owned()],
    },
    Scenario {
        action: "rds.backtrack",
        short: "wind",
        about: "A cluster, after a snapshot.",
        emulator: stage::aws,
        cut_over: |world, case| {
            let to = moves::make_backtrackable(world, case);
            plan(&format!(
                "    action: rds.backtrack
    with: {{ cluster: {case}, time: \"{to}\" }}
    loses_data: true"
            ))
        },
        is_back: moves::is_wound_back,
        resources: |_, case| vec![case.to_owned()],
    },
    Scenario {
        action: "stepfunctions.execution",
        short: "job",
        about: "A Standard state machine.",
        emulator: stage::aws,
        cut_over: |world, case| {
            let machine = moves::make_machine(world, case);
            plan(&format!(
                "    action: stepfunctions.execution
    with: {{ state_machine: \"{machine}\" }}"
            ))
        },
        is_back: moves::has_run_once,
        resources: |_, case| vec![case.to_owned()],
    },
];
