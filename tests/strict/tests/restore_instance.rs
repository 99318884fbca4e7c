//! `rds.restore` of an instance.

use std::time::Duration;

use belay_core::{
    change::Effect,
    event::{Event, FailureCode, StepEvent},
    run::RunState,
};
use belay_strict::{
    Blow, Played, Scene, Which, World,
    rds::{BlueGreen, Full, Gone, Instance, Integration, Kind, Proxy, Snapshot},
    route53::{Record, Zone},
};
use serde_json::json;

const FROM_SNAPSHOT: &str = "  back:
    action: rds.restore
    with: { instance: shop, from: { snapshot: shop-before } }
    loses_data: true
";

fn shop() -> World {
    World::default()
        .with(Instance::postgres("shop").multi_az().monitored().tagged("team", "checkout"))
        .with(Snapshot::of("shop"))
}

#[test]
fn an_instance_comes_back_under_its_name_with_its_settings() {
    let before = shop().rds.database(Kind::Instance, "shop").unwrap().clone();
    let played = Scene::new(shop(), FROM_SNAPSHOT).roll_back().rolled_back();
    let after = played.world.rds.database(Kind::Instance, "shop").unwrap();
    assert_ne!(after.id, before.id);
    assert_eq!(after.tag("team"), Some("checkout"));
    // Of a Multi-AZ instance RDS chooses the zones.
    let ours = ["TagList", "AvailabilityZone", "SecondaryAvailabilityZone"];
    for attribute in before.attributes.as_object().unwrap().keys().filter(|name| !ours.contains(&name.as_str())) {
        assert_eq!(after.attributes[attribute], before.attributes[attribute], "{attribute}");
    }
}

#[test]
fn the_point_in_time_before_the_cutover_comes_back() {
    let steps = FROM_SNAPSHOT.replace("{ snapshot: shop-before }", "{ time: latest }");
    let played = Scene::new(shop(), &steps).roll_back().rolled_back();
    let restore = played.calls("RestoreDBInstanceToPointInTime").next().unwrap();
    assert_eq!(restore.text("SourceDBInstanceIdentifier"), "shop");
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn without(words: &str) -> String {
    FROM_SNAPSHOT.replace("} }", &format!("}}, without: [{words}] }}"))
}

/// It has its data back under its name, and the step waits for a person about what differs.
#[track_caller]
fn differs(played: &Played, expected: &str) {
    let why = &played.step("back").why;
    assert!(why.contains("has its data back") && why.contains(expected), "{expected}: {}", played.told());
    assert_eq!(played.step("back").failure, Some(FailureCode::Verify));
}

/// After settings such as monitoring RDS refuses every modification for minutes, though the instance is `available`.
#[test]
fn nobody_is_without_the_name_for_longer_than_two_renames_take() {
    let played = Scene::new(shop(), FROM_SNAPSHOT).roll_back().rolled_back();
    let (_, longest) = played.world.rds.without_name(Kind::Instance, "shop", played.world.began() + minutes(24 * 60));
    assert!(longest <= minutes(3), "{longest:?}\n{}", played.told());
    let renames: Vec<_> =
        played.calls("ModifyDBInstance").filter(|call| call.input.get("NewDBInstanceIdentifier").is_some()).collect();
    let monitoring =
        played.calls("ModifyDBInstance").find(|call| call.input.get("MonitoringInterval").is_some()).unwrap();
    assert!(monitoring.at > renames.last().unwrap().at, "{}", played.told());
}

#[test]
fn whatever_answer_is_lost_it_comes_back() {
    let mut world = shop();
    world.rds.pace.restore = minutes(1);
    let scene = Scene::new(world, FROM_SNAPSHOT);
    for nth in 1..=scene.sends().len() {
        for blow in [Blow::LoseAnswer, Blow::KillAfter] {
            let played = scene.roll_back_in(scene.world().when(Which::Send(nth), blow.clone()));
            is_back_soon(&played);
        }
    }
}

/// So long nobody may be without the name: two renames.
#[track_caller]
fn is_back_soon(played: &Played) {
    assert_eq!(played.run.state, RunState::RolledBack, "{}", played.told());
    let (_, longest) = played.world.rds.without_name(Kind::Instance, "shop", played.world.began() + minutes(24 * 60));
    assert!(longest <= minutes(3), "{longest:?}\n{}", played.told());
}

/// Minutes of 5xx, cut connections and throttling, from the second rename on.
#[test]
fn a_row_of_failures_between_the_renames_ends_nothing() {
    let mut world = shop();
    world.rds.pace.restore = minutes(1);
    let scene = Scene::new(world, FROM_SNAPSHOT);
    for blow in [Blow::Fail, Blow::Lose, Blow::Throttle, Blow::FailAfter, Blow::LoseAnswer] {
        let mut world = scene.world();
        for nth in 2..=10 {
            world.befall(Which::Nth("ModifyDBInstance".to_owned(), nth), blow.clone());
        }
        let played = scene.roll_back_in(world);
        assert_eq!(played.run.state, RunState::RolledBack, "{blow:?}: {}", played.told());
    }
}

/// The default is two hours.
#[test]
fn a_timeout_between_the_renames_is_told_and_ends_nothing() {
    let mut overdue = 0;
    for seconds in [6900, 6930, 6960, 7000] {
        let mut world = shop();
        world.rds.pace.restore = Duration::from_secs(seconds);
        let played = Scene::new(world, FROM_SNAPSHOT).roll_back();
        is_back_soon(&played);
        overdue += played
            .records
            .iter()
            .filter(|record| matches!(&record.event, Event::Step { what: StepEvent::Overdue { why }, .. } if why.contains("abort")))
            .count();
    }
    assert!(overdue > 0, "none of them timed out between the renames");
}

/// RDS shows some settings before the status changes, and others after.
#[test]
fn the_names_wait_until_a_modification_has_come_and_gone() {
    let secret = json!({ "SecretArn": "arn:old", "SecretStatus": "active", "KmsKeyId": "own" });
    for shows_first in [true, false] {
        let old = Instance::postgres("shop").having("MasterUserSecret", secret.clone());
        let mut world = World::default().with(old).with(Snapshot::of("shop"));
        (world.rds.pace.restore, world.rds.pace.shows_first) = (minutes(1), shows_first);
        let scene = Scene::new(world, FROM_SNAPSHOT).closely();
        is_back_soon(&scene.roll_back());
        for blow in [Blow::LoseAnswer, Blow::FailAfter, Blow::KillAfter, Blow::KillBefore] {
            is_back_soon(&scene.roll_back_in(scene.world().when(Which::Nth("ModifyDBInstance".to_owned(), 1), blow)));
        }
    }
}

#[test]
fn a_certificate_that_is_gone_takes_nothing_with_it() {
    let world = || {
        let old = Instance::postgres("shop").monitored().having("CACertificateIdentifier", "rds-ca-2019");
        World::default().with(old).with(Snapshot::of("shop"))
    };
    let played = Scene::new(world(), FROM_SNAPSHOT).roll_back();
    differs(&played, "ca_certificate: wanted rds-ca-2019, found rds-ca-rsa2048-g1");
    let after = played.world.rds.database(Kind::Instance, "shop").unwrap();
    assert_eq!((after.text("MonitoringInterval"), after.text("DBInstanceClass")), ("60", "db.r6g.large"));
    let _accepted = Scene::new(world(), &without("ca_certificate")).roll_back().rolled_back();
}

#[test]
fn an_autoscaling_maximum_that_rds_refuses_is_all_that_is_lost() {
    let old = Instance::postgres("shop").monitored().having("MaxAllocatedStorage", "105");
    let world = World::default().with(old).with(Snapshot::of("shop"));
    for from in ["{ snapshot: shop-before }", "{ time: latest }"] {
        let steps = FROM_SNAPSHOT.replace("{ snapshot: shop-before }", from);
        let played = Scene::new(world.clone(), &steps).roll_back();
        differs(&played, "max_allocated_storage: wanted 105");
        let after = played.world.rds.database(Kind::Instance, "shop").unwrap();
        assert_eq!(after.text("MonitoringInterval"), "60", "{}", played.told());
        assert_eq!(after.text("PreferredMaintenanceWindow"), "sun:04:00-sun:04:30");
    }
}

#[test]
fn growth_of_less_than_a_tenth_is_not_asked_for() {
    let snapshot = Snapshot::of("shop").having("AllocatedStorage", "95");
    let world = World::default().with(Instance::postgres("shop")).with(snapshot);
    let _back = Scene::new(world, FROM_SNAPSHOT).roll_back().rolled_back();
}

#[test]
fn an_instance_that_rds_would_not_rename_is_found_before_it_is_restored() {
    for (status, cure) in [("stopped", "Start it"), ("storage-full", "more storage")] {
        let world = || World::default().with(Instance::postgres("shop").being(status)).with(Snapshot::of("shop"));
        let dry = Scene::new(world(), FROM_SNAPSHOT).dry_run();
        assert!(dry.stopped_by[0].why.contains(cure), "{:?}", dry.stopped_by);
        let refused = Scene::new(world(), FROM_SNAPSHOT).arm().unwrap_err().to_string();
        assert!(refused.contains(cure), "{refused}");
        let scene = Scene::new(shop(), FROM_SNAPSHOT);
        let played = scene.after_cutover(move |world| world.rds.stays(Kind::Instance, "shop", status)).roll_back();
        assert!(played.step("back").why.contains(cure), "{}", played.told());
        assert_eq!(played.sends().count(), 0);
    }
}

#[test]
fn a_stopped_instance_is_replaced_behind_a_record() {
    let zone = "Z0123456789ABC";
    let world = World::default()
        .with(Instance::postgres("shop").being("stopped"))
        .with(Snapshot::of("shop"))
        .with(Zone::of("example.com", zone).with(Record::simple("db.example.com", "CNAME", "shop.old")));
    for named in [zone, "example.com"] {
        let cname = format!("}}, keep_endpoint: cname, cname: {{ zone: {named}, record: db.example.com }} }}");
        let played = Scene::new(world.clone(), &FROM_SNAPSHOT.replace("} }", &cname)).roll_back().rolled_back();
        assert_eq!(played.calls("ChangeResourceRecordSets").count(), 1);
        // The budget of Route 53 is the whole account's, and a restore takes hours.
        let (zones, records) =
            (played.calls("ListHostedZonesByName").count(), played.calls("ListResourceRecordSets").count());
        assert!(zones <= 3 && records < 150, "{zones} {records}");
    }
}

/// A restore without a class takes that of the snapshot's instance.
#[test]
fn a_class_that_is_refused_is_left_to_rds() {
    let played = Scene::new(shop().with(Gone("db.r6g.large")), FROM_SNAPSHOT).roll_back();
    let classes: Vec<_> = played
        .calls("RestoreDBInstanceFromDBSnapshot")
        .map(|call| call.input.get("DBInstanceClass").is_some())
        .collect();
    assert_eq!(classes, [true, false], "{}", played.told());
}

#[test]
fn tags_for_which_there_is_no_room_are_told_before() {
    let old = (0..49).fold(Instance::postgres("shop"), |old, number| old.tagged(&format!("key-{number:02}"), "x"));
    let played =
        Scene::new(World::default().with(old).with(Snapshot::of("shop")), FROM_SNAPSHOT).roll_back().rolled_back();
    let after = played.world.rds.database(Kind::Instance, "shop").unwrap();
    assert_eq!((after.tag("key-46"), after.tag("key-47")), (Some("x"), None));
    assert!(played.step("back").planned[0].title.contains("without the tags key-47, key-48"));
}

#[test]
fn a_zone_without_capacity_is_not_insisted_on() {
    let world = shop_single_az().with(Full("eu-west-1a"));
    let played = Scene::new(world, FROM_SNAPSHOT).roll_back();
    differs(&played, "availability_zone: wanted eu-west-1a, found eu-west-1c");
    let world = shop_single_az().with(Full("eu-west-1a"));
    let _accepted = Scene::new(world, &without("availability_zone")).roll_back().rolled_back();
}

fn shop_single_az() -> World {
    World::default().with(Instance::postgres("shop")).with(Snapshot::of("shop"))
}

/// A rename applies whatever else is pending.
#[test]
fn what_is_queued_for_the_maintenance_window_is_asked_about() {
    let old = Instance::postgres("shop").pending("EngineVersion", "16.9");
    let world = World::default().with(old).with(Snapshot::of("shop"));
    let armed = Scene::new(world.clone(), FROM_SNAPSHOT).arm().unwrap();
    assert!(armed.warnings.iter().any(|warning| warning.contains("engine version to 16.9")), "{armed:?}");
    let played = Scene::new(world, FROM_SNAPSHOT).roll_back().rolled_back();
    let asked = format!("{:?}", played.records);
    assert!(asked.contains("would also apply what is queued: engine version to 16.9"), "nobody was asked");
}

#[test]
fn sql_server_gets_its_storage_and_its_mirror_after_the_restore() {
    let old = Instance::sql_server("shop").multi_az().having("Iops", "4000").having("StorageThroughput", "250");
    let played =
        Scene::new(World::default().with(old).with(Snapshot::of("shop")), FROM_SNAPSHOT).roll_back().rolled_back();
    assert_eq!(played.world.rds.database(Kind::Instance, "shop").unwrap().text("MultiAZ"), "true");
    assert_eq!(played.calls("RestoreDBInstanceFromDBSnapshot").count(), 1);
}

#[test]
fn what_cannot_be_replaced_is_refused_at_arming() {
    let refused = |world: World| Scene::new(world, FROM_SNAPSHOT).arm().unwrap_err().to_string();
    let custom = Instance::of_engine("shop", "custom-oracle-ee", "19.custom");
    let why = refused(World::default().with(custom).with(Snapshot::of("shop")));
    assert!(why.contains("RDS Custom renames no instance"), "{why}");
    let green = BlueGreen::of(Instance::postgres("shop"));
    let why = refused(World::default().with(green).with(Snapshot::of("shop")));
    assert!(why.contains("is part of the blue/green deployment"), "{why}");
    let why = refused(shop().with(Integration::from("shop")));
    assert!(why.contains("shop is the source of the zero-ETL integration shop-to-warehouse"), "{why}");
    Scene::new(shop().with(Integration::from("stock")), FROM_SNAPSHOT).arm().unwrap();
}

#[test]
fn what_is_lost_counts_from_the_data_of_a_snapshot_and_not_from_its_copy() {
    let copy = Snapshot::of("shop").taken(minutes(10)).of_data(minutes(90));
    let world = World::default().with(Instance::postgres("shop")).with(copy);
    let since = world.began() - minutes(90);
    let played = Scene::new(world, FROM_SNAPSHOT).roll_back().rolled_back();
    let effects = &played.step("back").planned[0].effects;
    assert_eq!(*effects, [Effect::LosesData { since: Some(since) }]);
}

#[test]
fn the_managed_password_and_roles_are_carried_and_the_new_secret_is_told() {
    let old = Instance::postgres("shop")
        .having("MasterUserSecret", json!({ "SecretArn": "arn:old", "SecretStatus": "active", "KmsKeyId": "own" }))
        .having(
            "AssociatedRoles",
            json!({ "DBInstanceRole": [
            { "RoleArn": "arn:aws:iam::111122223333:role/s3", "FeatureName": "s3Import", "Status": "ACTIVE" },
        ] }),
        );
    let played =
        Scene::new(World::default().with(old).with(Snapshot::of("shop")), FROM_SNAPSHOT).roll_back().rolled_back();
    let after = played.world.rds.database(Kind::Instance, "shop").unwrap();
    assert_eq!(after.attributes["MasterUserSecret"]["KmsKeyId"], "own");
    assert_eq!(played.calls("AddRoleToDBInstance").next().unwrap().text("FeatureName"), "s3Import");
    let secret = after.attributes["MasterUserSecret"]["SecretArn"].as_str().unwrap();
    let report = format!("{:?}", played.step("back").report);
    assert!(report.contains(secret), "{report}");
}

#[test]
fn what_no_call_carries_waits_for_a_person_unless_the_plan_accepts_it() {
    let world = || {
        let old = Instance::postgres("shop")
            .having("IAMDatabaseAuthenticationEnabled", "true")
            .having("ReadReplicaDBInstanceIdentifiers", json!({ "ReadReplicaDBInstanceIdentifier": ["shop-replica"] }));
        World::default().with(old).with(Snapshot::of("shop"))
    };
    let armed = Scene::new(world(), FROM_SNAPSHOT).arm().unwrap();
    for id in ["resource_id: was db-", "read_replicas: shop-replica"] {
        assert!(armed.warnings.iter().any(|warning| warning.contains(id)), "{id}: {:?}", armed.warnings);
    }
    let played = Scene::new(world(), FROM_SNAPSHOT).roll_back();
    for id in ["resource_id: was db-", "read_replicas: shop-replica"] {
        differs(&played, id);
    }
    let _accepted = Scene::new(world(), &without("resource_id, read_replicas")).roll_back().rolled_back();
}

/// Whether a proxy knows its target by its resource or by its name is not documented: either way it leads to the restored one.
#[test]
fn a_proxy_leads_to_the_restored_instance() {
    let world = |proxy: Proxy| shop().with(proxy);
    let sends = |played: &Played| -> Vec<String> {
        let sends = played.sends().filter(|call| call.operation.contains("ProxyTargets"));
        sends.map(|call| call.operation.clone()).collect()
    };
    let scene = Scene::new(world(Proxy::before("shop")), FROM_SNAPSHOT);
    let armed = scene.arm().unwrap();
    assert!(!armed.warnings.iter().any(|warning| warning.contains("proxies")), "{:?}", armed.warnings);
    let dry = scene.dry_run();
    let titles: Vec<&str> = dry.steps["back"].changes.iter().map(|change| change.title.as_str()).collect();
    assert!(titles.contains(&"register shop with the proxy shop-proxy"), "{titles:?}");
    let played = scene.roll_back().rolled_back();
    assert_eq!(played.world.rds.proxy_leads_to("shop-proxy"), Some("shop"));
    assert_eq!(sends(&played), ["DeregisterDBProxyTargets", "RegisterDBProxyTargets"]);
    let taken = played.calls("DeregisterDBProxyTargets").next().unwrap();
    assert!(taken.input.to_string().contains("shop-failed-"), "{}", taken.input);

    let by_name = Scene::new(world(Proxy::before("shop").by_name()), FROM_SNAPSHOT).roll_back().rolled_back();
    assert_eq!(by_name.world.rds.proxy_leads_to("shop-proxy"), Some("shop"));
    assert_eq!(sends(&by_name), Vec::<String>::new(), "it leads to the restored one already");

    let accepted = Scene::new(world(Proxy::before("shop")), &without("proxies")).roll_back().rolled_back();
    assert_eq!(sends(&accepted), Vec::<String>::new(), "the plan does without");
    assert!(accepted.world.rds.proxy_leads_to("shop-proxy").unwrap().starts_with("shop-failed-"));
}

#[test]
fn a_proxy_is_moved_whatever_answer_is_lost() {
    let mut world = shop().with(Proxy::before("shop"));
    (world.rds.pace.restore, world.rds.pace.resolvable) = (minutes(1), minutes(0));
    let scene = Scene::new(world, FROM_SNAPSHOT);
    for operation in ["DeregisterDBProxyTargets", "RegisterDBProxyTargets"] {
        for blow in [Blow::LoseAnswer, Blow::KillAfter, Blow::KillBefore, Blow::Lose, Blow::FailAfter] {
            let world = scene.world().when(Which::Nth(operation.to_owned(), 1), blow.clone());
            let played = scene.roll_back_in(world);
            assert_eq!(played.run.state, RunState::RolledBack, "{operation} {blow:?}: {}", played.told());
            assert_eq!(played.world.rds.proxy_leads_to("shop-proxy"), Some("shop"), "{operation} {blow:?}");
        }
    }
}

#[test]
fn the_newest_snapshot_may_be_of_aws_backup() {
    let world = World::default()
        .with(Instance::postgres("shop"))
        .with(Snapshot::of("shop").named("older").taken(minutes(300)))
        .with(Snapshot::of("shop").named("nightly").taken(minutes(60)).of_aws_backup());
    let steps = FROM_SNAPSHOT.replace("{ snapshot: shop-before }", "{ newest_snapshot: { before: cutover } }");
    let played = Scene::new(world, &steps).roll_back().rolled_back();
    let restore = played.calls("RestoreDBInstanceFromDBSnapshot").next().unwrap();
    assert_eq!(restore.text("DBSnapshotIdentifier"), "awsbackup:nightly");
}

/// User guide, "Renaming a DB instance": the new name's DNS takes up to ten minutes.
#[test]
fn the_step_is_over_when_the_name_leads_to_the_restored_instance() {
    let played = |resolvable: Duration| {
        let mut world = shop();
        (world.rds.pace.resolvable, world.rds.pace.restore) = (resolvable, minutes(1));
        Scene::new(world, FROM_SNAPSHOT).roll_back().rolled_back()
    };
    let renamed = |played: &Played| {
        played
            .calls("ModifyDBInstance")
            .filter(|call| call.text("NewDBInstanceIdentifier") == "shop")
            .last()
            .unwrap()
            .at
    };
    let report = |played: &Played| format!("{:?}", played.step("back").report);

    let late = played(minutes(6));
    assert!(report(&late).contains("clients that resolve it anew get the restored one"), "{}", report(&late));
    let over = late.world.began() + late.took;
    assert!(over.duration_since(renamed(&late)).unsigned_abs() > minutes(6), "{}", late.told());
    let never = played(minutes(600));
    assert!(report(&never).contains("not seen within 10m: that shop."), "{}", report(&never));
}

/// A trigger rolls back, and nobody has marked the cutover: what the halted step names brings the data back.
#[test]
fn a_restore_to_a_cutover_without_a_mark_is_cured_by_naming_the_time() {
    let named = shop().began() - minutes(60);
    let of = |from: &str| Scene::new(shop(), &FROM_SNAPSHOT.replace("{ snapshot: shop-before }", from));
    let (halted, cured) = of("{ time: cutover }").roll_back_unmarked(&of(&format!("{{ time: \"{named}\" }}")));
    assert_eq!(halted.run.state, RunState::Halted, "{}", halted.told());
    let why = &halted.step("back").why;
    for part in ["`belay abort` the run", "name the time in `from`", "`belay arm` and `belay rollback`"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!(halted.sends().count(), 0, "{}", halted.told());
    let cured = cured.rolled_back();
    let restores: Vec<_> = cured.calls("RestoreDBInstanceToPointInTime").collect();
    let [restore] = restores.as_slice() else { panic!("{}", cured.told()) };
    assert_eq!(restore.text("RestoreTime"), named.to_string());
    assert!(cured.world.rds.database(Kind::Instance, "shop").is_some());
}
