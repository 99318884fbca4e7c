//! `rds.restore` of a cluster.

use std::time::Duration;

use belay_core::run::RunState;
use belay_strict::{
    Blow, Played, Scene, Which, World,
    rds::{Cluster, Endpoint, Gone, Kind, Proxy, Snapshot},
    route53::Zone,
};
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const FROM_SNAPSHOT: &str = "  back:
    action: rds.restore
    with: { cluster: stock, from: { snapshot: stock-before } }
    loses_data: true
";

fn stock() -> World {
    World::default()
        .with(Cluster::aurora_postgres("stock").writer("stock-1").reader("stock-2").tagged("team", "stock"))
        .with(Snapshot::of_cluster("stock"))
}

#[test]
fn a_cluster_comes_back_under_its_name_with_its_members() {
    let played = Scene::new(stock(), FROM_SNAPSHOT).roll_back().rolled_back();
    let after = played.world.rds.database(Kind::Cluster, "stock").unwrap();
    assert_ne!(after.id, stock().rds.database(Kind::Cluster, "stock").unwrap().id);
    let members: Vec<_> = played.world.rds.members(&after.id).filter_map(|member| member.name.clone()).collect();
    assert_eq!(members, ["stock-1", "stock-2"]);
    let report = format!("{:?}", played.step("back").report);
    assert!(report.contains("stock.cluster-") && report.contains("only after a stop and start"), "{report}");
}

/// The readers' endpoint and those of the members change as late as the writer's.
#[test]
fn every_endpoint_of_the_cluster_is_waited_for() {
    let report = |resolvable: Duration| {
        let mut world = stock();
        world.rds.pace.resolvable = resolvable;
        let played = Scene::new(world, FROM_SNAPSHOT).roll_back().rolled_back();
        played.step("back").report.as_ref().map(|report| report.output.clone()).unwrap_or_default()
    };
    let late = report(MINUTE * 8);
    for name in ["stock.cluster-", "stock.cluster-ro-", "stock-1.", "stock-2."] {
        let told = late.split("; ").any(|part| part.contains(name) && part.contains(" for this host, and led to "));
        assert!(told, "{name}: {late}");
    }
    let never = report(DAY);
    for name in ["stock.cluster-ro-", "stock-2."] {
        assert!(never.contains(&format!("not seen within 10m: that {name}")), "{never}");
    }
}

#[test]
fn a_proxy_leads_to_the_restored_cluster() {
    let played = Scene::new(stock().with(Proxy::before_cluster("stock")), FROM_SNAPSHOT).roll_back().rolled_back();
    assert_eq!(played.world.rds.proxy_leads_to("stock-proxy"), Some("stock"));
    let registered = played.calls("RegisterDBProxyTargets").next().unwrap();
    assert!(registered.input.to_string().contains("DBClusterIdentifiers"), "{}", registered.input);
}

#[track_caller]
fn differs(played: &Played, expected: &str) {
    let why = &played.step("back").why;
    assert!(why.contains("has its data back") && why.contains(expected), "{expected}: {}", played.told());
}

fn played(cluster: Cluster) -> Played {
    let world = World::default().with(cluster.writer("stock-1").reader("stock-2")).with(Snapshot::of_cluster("stock"));
    Scene::new(world, FROM_SNAPSHOT).roll_back()
}

/// In the gap of each rename of the cluster, and of a member.
#[test]
fn a_rename_whose_answer_is_lost_comes_back() {
    let mut world = stock();
    (world.rds.pace.restore_cluster, world.rds.pace.create_member) = (MINUTE, MINUTE);
    let scene = Scene::new(world, FROM_SNAPSHOT);
    for (operation, nth) in [("ModifyDBCluster", 1), ("ModifyDBCluster", 2), ("ModifyDBInstance", 2)] {
        let lost = Which::Nth(operation.to_owned(), nth);
        let played = scene.roll_back_in(scene.world().when(lost, Blow::LoseAnswer));
        assert_eq!(played.run.state, RunState::RolledBack, "{operation} {nth}: {}", played.told());
    }
}

/// From the second rename of the cluster, and of its first member, on.
#[test]
fn a_row_of_failures_between_the_renames_ends_nothing() {
    let mut world = stock();
    (world.rds.pace.restore_cluster, world.rds.pace.create_member) = (MINUTE, MINUTE);
    let scene = Scene::new(world, FROM_SNAPSHOT);
    for operation in ["ModifyDBCluster", "ModifyDBInstance"] {
        for blow in [Blow::Fail, Blow::Lose] {
            let mut world = scene.world();
            for nth in 2..=10 {
                world.befall(Which::Nth(operation.to_owned(), nth), blow.clone());
            }
            let _ = scene.roll_back_in(world).rolled_back();
        }
    }
}

/// RDS shows some settings before the status changes, and others after.
#[test]
fn the_names_wait_until_a_modification_has_come_and_gone() {
    for shows_first in [true, false] {
        let cluster = Cluster::aurora_mysql("stock").having("LocalWriteForwardingStatus", "enabled");
        let world = World::default().with(cluster.writer("stock-1")).with(Snapshot::of_cluster("stock"));
        let mut world = world;
        (world.rds.pace.restore_cluster, world.rds.pace.create_member) = (MINUTE, Duration::from_secs(1));
        world.rds.pace.shows_first = shows_first;
        let scene = Scene::new(world, FROM_SNAPSHOT).closely();
        for blow in [None, Some(Blow::LoseAnswer), Some(Blow::KillAfter)] {
            let world = match blow.clone() {
                Some(blow) => scene.world().when(Which::Nth("ModifyDBCluster".to_owned(), 1), blow),
                None => scene.world(),
            };
            let played = scene.roll_back_in(world).rolled_back();
            let (_, longest) = played.world.rds.without_name(Kind::Cluster, "stock", played.world.began() + DAY);
            assert!(longest < MINUTE * 3, "{shows_first} {blow:?} {longest:?}\n{}", played.told());
        }
    }
}

/// `CreateDBInstance` wants a class: none is made without.
#[test]
fn a_member_whose_class_is_refused_waits_for_a_person() {
    let mut world = stock().with(Gone("db.r6g.large"));
    world.rds.pace.restore_cluster = MINUTE;
    let played = Scene::new(world, FROM_SNAPSHOT).roll_back();
    assert_eq!(played.run.state, RunState::Halted, "{}", played.told());
    assert!(played.calls("CreateDBInstance").all(|call| call.input.get("DBInstanceClass").is_some()));
    let why = &played.step("back").why;
    assert!(why.contains("modify-db-instance") && why.contains("then retry"), "{why}");
    assert_eq!(played.calls("ModifyDBCluster").count(), 0, "nothing was renamed");
    // What the plan does without is not left out of a call that needs it.
    let without = FROM_SNAPSHOT.replace("} }", "}, without: [db_instance_class] }");
    let _ = Scene::new(stock(), &without).roll_back().rolled_back();
}

/// A restored cluster of DocumentDB has no instances.
#[test]
fn only_engines_that_are_known_are_replaced() {
    for (engine, why) in [("docdb", "DocumentDB"), ("neptune", "Neptune"), ("aurora-limitless", "does not know")] {
        let cluster = Cluster::of_engine("stock", engine, "5.0.0").writer("stock-1");
        let world = World::default().with(cluster).with(Snapshot::of_cluster("stock"));
        let refused = Scene::new(world, FROM_SNAPSHOT).arm().unwrap_err().to_string();
        assert!(refused.contains(engine) && refused.contains(why), "{refused}");
    }
    let limitless = Cluster::aurora_postgres("stock").having("ClusterScalabilityType", "limitless");
    let world = World::default().with(limitless).with(Snapshot::of_cluster("stock"));
    assert!(Scene::new(world, FROM_SNAPSHOT).arm().unwrap_err().to_string().contains("Limitless"));
}

/// Only Aurora Limitless takes them in the restore.
#[test]
fn an_aurora_cluster_is_monitored_again() {
    let cluster = Cluster::aurora_postgres("stock")
        .having("MonitoringInterval", "30")
        .having("MonitoringRoleArn", "arn:aws:iam::111122223333:role/rds-monitoring-role")
        .having("PerformanceInsightsEnabled", "true")
        .having("PerformanceInsightsRetentionPeriod", "465")
        .having("DatabaseInsightsMode", "advanced");
    let played = played(cluster).rolled_back();
    assert_eq!(played.calls("RestoreDBClusterFromSnapshot").count(), 1, "nothing of it was refused");
    let after = played.world.rds.database(Kind::Cluster, "stock").unwrap();
    for (attribute, value) in [
        ("MonitoringInterval", "30"),
        ("PerformanceInsightsEnabled", "true"),
        ("PerformanceInsightsRetentionPeriod", "465"),
        ("DatabaseInsightsMode", "advanced"),
        ("PreferredMaintenanceWindow", "sun:04:00-sun:04:30"),
    ] {
        assert_eq!(after.text(attribute), value, "{attribute}");
    }
    let (_, longest) = played.world.rds.without_name(Kind::Cluster, "stock", played.world.began() + DAY);
    assert!(longest < Duration::from_secs(180), "{longest:?}");
}

#[test]
fn roles_data_api_write_forwarding_and_the_managed_password_are_carried() {
    let role = json!({ "RoleArn": "arn:aws:iam::111122223333:role/s3", "FeatureName": "s3Import", "Status": "ACTIVE" });
    let cluster = Cluster::aurora_postgres("stock")
        .having("HttpEndpointEnabled", "true")
        .having("LocalWriteForwardingStatus", "enabled")
        .having("AssociatedRoles", json!({ "DBClusterRole": [role] }))
        .having("MasterUserSecret", json!({ "SecretArn": "arn:old", "SecretStatus": "active", "KmsKeyId": "own" }));
    let played = played(cluster).rolled_back();
    let after = played.world.rds.database(Kind::Cluster, "stock").unwrap();
    assert_eq!(after.text("HttpEndpointEnabled"), "true");
    assert_eq!(after.text("LocalWriteForwardingStatus"), "enabled");
    assert_eq!(after.attributes["AssociatedRoles"]["DBClusterRole"][0]["FeatureName"], "s3Import");
    assert_eq!(after.attributes["MasterUserSecret"]["KmsKeyId"], "own");
}

/// RDS makes the members of a Multi-AZ DB cluster, and names them itself.
#[test]
fn a_multi_az_cluster_gets_its_name_when_its_members_answer() {
    let cluster = Cluster::of_engine("stock", "postgres", "16.4").having("DBClusterInstanceClass", "db.m6gd.large");
    let cluster = cluster.writer("stock-instance-1").reader("stock-instance-2").reader("stock-instance-3");
    let world = World::default().with(cluster).with(Snapshot::of_cluster("stock"));
    let played = Scene::new(world, FROM_SNAPSHOT).roll_back().rolled_back();
    let after = played.world.rds.database(Kind::Cluster, "stock").unwrap();
    assert_eq!(played.world.rds.members(&after.id).count(), 3);
}

#[test]
fn members_reboot_one_after_the_other() {
    let played = Scene::new(stock(), FROM_SNAPSHOT).roll_back().rolled_back();
    let back = |name: &str| {
        let call = played.calls("ModifyDBInstance").find(|call| call.text("NewDBInstanceIdentifier") == name);
        call.unwrap_or_else(|| panic!("{name} was renamed")).at
    };
    let pace = &played.world.rds.pace;
    let apart = back("stock-1").duration_since(back("stock-2")).unsigned_abs();
    assert!(apart >= pace.renaming + pace.rename_gap + pace.reboot, "{apart:?}");
}

#[test]
fn a_stopped_cluster_or_member_is_found_before_the_restore() {
    for cluster in [Cluster::aurora_postgres("stock").being("stopped").writer("stock-1"), {
        let cluster = Cluster::aurora_postgres("stock");
        let stopped = cluster.member("stock-1").being("stopped");
        cluster.with(stopped, true)
    }] {
        let world = World::default().with(cluster).with(Snapshot::of_cluster("stock"));
        let refused = Scene::new(world, FROM_SNAPSHOT).arm().unwrap_err().to_string();
        assert!(refused.contains("is stopped") && refused.contains("Start it"), "{refused}");
    }
}

/// `SecondsUntilAutoPause` is refused where the minimum is above 0.
#[test]
fn a_serverless_cluster_pauses_only_where_it_may() {
    let scaling = json!({ "MinCapacity": "0.5", "MaxCapacity": "16", "SecondsUntilAutoPause": "300" });
    let played = played(Cluster::aurora_postgres("stock").having("ServerlessV2ScalingConfiguration", scaling));
    let restore = played.calls("RestoreDBClusterFromSnapshot").next().unwrap();
    assert!(restore.input["ServerlessV2ScalingConfiguration"].get("SecondsUntilAutoPause").is_none());
}

#[test]
fn custom_endpoints_stay_behind_and_wait_for_a_person() {
    let world = || stock().with(Endpoint::of("stock", "reports").with(&["stock-2"]));
    let played = Scene::new(world(), FROM_SNAPSHOT).roll_back();
    differs(&played, "custom_endpoints: reports.cluster-custom-");
    let accepting = FROM_SNAPSHOT.replace("} }", "}, without: [custom_endpoints] }");
    let _accepted = Scene::new(world(), &accepting).roll_back().rolled_back();
}

#[test]
fn a_certificate_of_a_member_that_is_gone_takes_nothing_with_it() {
    let cluster = Cluster::aurora_postgres("stock");
    let member = cluster.member("stock-1").having("CACertificateIdentifier", "rds-ca-2019");
    let world = World::default().with(cluster.with(member, true)).with(Snapshot::of_cluster("stock"));
    let played = Scene::new(world, FROM_SNAPSHOT).roll_back();
    differs(&played, "member stock-1: ca_certificate: wanted rds-ca-2019");
}

const AUTOSCALED: &str = "application-autoscaling-61aabbcc-4e2f-4c65-b620-ab7421abc123";

/// Aurora User Guide, "Aurora Auto Scaling": the scalable target goes by the cluster's name.
#[test]
fn readers_of_application_auto_scaling_are_left_to_it() {
    let cluster = Cluster::aurora_postgres("stock");
    // Somebody has renamed the second; its tag still shows who made it.
    let renamed = cluster.member("stock-3").tagged("application-autoscaling:resourceId", "cluster:stock");
    let cluster = cluster.writer("stock-1").reader("stock-2").reader(AUTOSCALED).with(renamed, false);
    let world = World::default()
        .with(cluster)
        .with(Zone::of("example.com", "Z0123456789ABC"))
        .with(Snapshot::of_cluster("stock"));
    let told = "2 readers that Application Auto Scaling made will be missing";
    let dry = Scene::new(world.clone(), FROM_SNAPSHOT).dry_run();
    assert!(dry.steps["back"].changes[0].title.contains(told), "{:#?}", dry.steps["back"].changes[0]);
    assert!(dry.warnings.iter().any(|warning| warning.contains(told)), "{:?}", dry.warnings);

    let played = Scene::new(world.clone(), FROM_SNAPSHOT).roll_back().rolled_back();
    let names = |cluster: &str| {
        let cluster = played.world.rds.database(Kind::Cluster, cluster).expect("the cluster");
        let names: Vec<_> = played.world.rds.members(&cluster.id).filter_map(|member| member.name.clone()).collect();
        names
    };
    assert_eq!(names("stock"), ["stock-1", "stock-2"]);
    let run = &played.run.id.0;
    assert!(names(&format!("stock-failed-{run}")).contains(&AUTOSCALED.to_owned()), "{}", played.told());
    let output = format!("{:?}", played.records);
    assert!(output.contains("--resource-ids cluster:stock"), "{}", played.told());

    // Behind a record of one's own, nothing makes them again.
    let cname = FROM_SNAPSHOT.replace(
        "} }",
        "}, keep_endpoint: cname, cname: { zone: Z0123456789ABC, record: db.example.com, wait_ttl: false } }",
    );
    let played = Scene::new(world.clone(), &cname).roll_back();
    differs(&played, "autoscaled_readers: 2 readers");
    let accepting = cname.replace("wait_ttl: false } }", "wait_ttl: false }, without: [autoscaled_readers] }");
    let _accepted = Scene::new(world, &accepting).roll_back().rolled_back();
}
