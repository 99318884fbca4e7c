//! The ways back that need no restore: each once from its beginning to its end.

use std::time::Duration;

use belay_core::run::RunState;
use belay_strict::{
    Blow, Played, Refusal, Scene, Which, World,
    rds::{BlueGreen, Cluster, Instance, Kind, Proxy, Snapshot},
    route53::{Record, Zone},
};

fn writer(world: &World, cluster: &str) -> String {
    let cluster = world.rds.database(Kind::Cluster, cluster).expect("the cluster");
    world.rds.members(&cluster.id).next().and_then(|member| member.name.clone()).unwrap_or_default()
}

#[test]
fn the_former_writer_writes_again() {
    let world = World::default().with(Cluster::aurora_mysql("stock").writer("stock-1").reader("stock-2"));
    let steps = "  back:
    action: rds.failover
    with: { cluster: stock }
    to: { writer: stock-2 }
";
    let played = Scene::new(world, steps).roll_back().rolled_back();
    assert_eq!(writer(&played.world, "stock"), "stock-2");
    assert_eq!(played.sends().count(), 1);
}

#[test]
fn the_former_zone_has_the_primary_again() {
    let world = World::default().with(Instance::postgres("shop").multi_az());
    let steps = "  back:
    action: rds.failover
    with: { instance: shop }
    to: { zone: eu-west-1b }
";
    let played = Scene::new(world, steps).roll_back().rolled_back();
    assert_eq!(played.world.rds.database(Kind::Instance, "shop").unwrap().text("AvailabilityZone"), "eu-west-1b");
    assert_eq!(played.sends().count(), 1);
}

const SWITCH_BACK: &str = "  back:
    action: rds.switch_back
    with: { instance: shop }
    loses_data: true
";

/// Armed before the switchover; after it, somebody has deleted the record of the deployment.
fn switched_over(world: World) -> Scene {
    Scene::new(world, SWITCH_BACK).after_cutover(|world| {
        world.rds.switch_over("shop");
        world.rds.forget_deployment("shop");
    })
}

fn id_of(world: &World, name: &str) -> String {
    world.rds.database(Kind::Instance, name).unwrap_or_else(|| panic!("there is no {name}")).id.clone()
}

#[test]
fn the_old_blue_is_production_again() {
    let world = World::default().with(BlueGreen::of(Instance::mysql("shop")));
    let blue = id_of(&world, "shop");
    let played = switched_over(world).roll_back().rolled_back();
    assert_eq!(id_of(&played.world, "shop"), blue);
}

#[test]
fn before_the_switchover_nothing_is_renamed() {
    let world = World::default().with(BlueGreen::of(Instance::mysql("shop"))).with(Instance::mysql("shop-old1"));
    let played = Scene::new(world, SWITCH_BACK).roll_back().rolled_back();
    assert_eq!(played.sends().count(), 0);
}

/// Once a rollback went to `shop-old1` of an earlier upgrade, of 400 days ago.
#[test]
fn the_old_blue_is_known_by_its_resource_and_not_by_its_name() {
    let world = World::default().with(Instance::mysql("shop-old1")).with(BlueGreen::of(Instance::mysql("shop")));
    let blue = id_of(&world, "shop");
    let played = switched_over(world.clone()).roll_back().rolled_back();
    assert_eq!(id_of(&played.world, "shop"), blue);
    // Armed after the switchover, nothing shows which it is.
    let late = BlueGreen::of(Instance::mysql("shop")).old_called("shop-old2").switched_over().without_record();
    let world = World::default().with(Instance::mysql("shop-old1")).with(late);
    let played = Scene::new(world, SWITCH_BACK).roll_back();
    let why = &played.step("back").why;
    assert!(why.contains("shop-old1") && why.contains("shop-old2") && why.contains("`old`"), "{why}");
    assert_eq!(played.sends().count(), 0);
}

/// It once ended "rolled back" without a call, and production stayed green.
#[test]
fn the_next_deployment_is_not_taken_for_the_last() {
    let scene = Scene::new(World::default().with(BlueGreen::of(Instance::mysql("shop"))), SWITCH_BACK);
    let played = scene
        .after_cutover(|world| {
            world.rds.switch_over("shop");
            world.rds.forget_deployment("shop");
            world.rds.prepare_next("shop");
        })
        .roll_back();
    let why = &played.step("back").why;
    assert!(why.contains("shop is not the old blue") && why.contains("delete-blue-green-deployment"), "{why}");
}

/// RDS lists a database under neither name in the middle of a rename.
#[test]
fn a_switch_back_goes_on_wherever_its_answers_are_lost() {
    let world = World::default().with(BlueGreen::of(Instance::mysql("shop")));
    let blue = id_of(&world, "shop");
    let scene = switched_over(world.clone());
    for nth in 1..=scene.sends().len() {
        for blow in [Blow::LoseAnswer, Blow::KillAfter, Blow::KillBefore, Blow::Lose, Blow::FailAfter] {
            let played = scene.roll_back_in(world.clone().when(Which::Send(nth), blow.clone()));
            assert_eq!(played.run.state, RunState::RolledBack, "{nth} {blow:?}: {}", played.told());
            assert_eq!(id_of(&played.world, "shop"), blue);
        }
    }
}

/// A switchover takes proxies along to green, and a rename of green does so as well.
#[test]
fn a_proxy_leads_to_the_old_blue_again() {
    let world = |proxy: Proxy| World::default().with(BlueGreen::of(Instance::mysql("shop"))).with(proxy);
    // A rename is refused as long as the name is not free.
    let sends = |played: &Played| {
        let mut sends: Vec<String> = played.sends().map(|call| call.operation.clone()).collect();
        sends.dedup();
        sends
    };
    let scene = switched_over(world(Proxy::before("shop")));
    let dry = scene.dry_run_to_baseline();
    let titles: Vec<&str> = dry.steps["back"].changes.iter().map(|change| change.title.as_str()).collect();
    assert_eq!(titles.last(), Some(&"register shop with the proxy shop-proxy"), "{titles:?}");
    let played = scene.roll_back().rolled_back();
    assert_eq!(played.world.rds.proxy_leads_to("shop-proxy"), Some("shop"));
    let moved = ["ModifyDBInstance", "DeregisterDBProxyTargets", "RegisterDBProxyTargets"];
    assert_eq!(sends(&played), moved);
    for (operation, blow) in
        [("DeregisterDBProxyTargets", Blow::LoseAnswer), ("RegisterDBProxyTargets", Blow::KillAfter)]
    {
        let world = scene.world().when(Which::Nth(operation.to_owned(), 1), blow);
        let played = scene.roll_back_in(world).rolled_back();
        assert_eq!(played.world.rds.proxy_leads_to("shop-proxy"), Some("shop"), "{operation}");
    }
    // By its name it leads to whatever is production.
    let played = switched_over(world(Proxy::before("shop").by_name())).roll_back().rolled_back();
    assert_eq!(sends(&played), moved[..1]);
}

/// User guide, "Renaming a DB instance": the new name's DNS takes up to ten minutes.
#[test]
fn the_switch_back_is_over_when_the_name_leads_to_the_old_blue() {
    let played = |resolvable: Duration| {
        let mut world = World::default().with(BlueGreen::of(Instance::mysql("shop")));
        world.rds.pace.resolvable = resolvable;
        switched_over(world).roll_back().rolled_back()
    };
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let report = |played: &Played| format!("{:?}", played.step("back").report);
    let late = played(minutes(6));
    assert!(report(&late).contains("clients that resolve it anew get the old blue"), "{}", report(&late));
    let renamed = late.calls("ModifyDBInstance").find(|call| call.text("NewDBInstanceIdentifier") == "shop");
    let over = late.world.began() + late.took;
    assert!(over.duration_since(renamed.expect("the rename").at).unsigned_abs() > minutes(6), "{}", late.told());
    let never = played(minutes(600));
    assert!(report(&never).contains("not seen within 10m: that shop."), "{}", report(&never));
}

/// As RDS refuses a rename while it configures monitoring, for longer than five attempts take.
#[test]
fn a_rename_that_is_refused_for_a_while_is_waited_for() {
    let mut world = World::default().with(BlueGreen::of(Instance::mysql("shop")));
    let busy =
        Refusal::bad("InvalidDBInstanceState", "RDS is configuring Performance Insights. Try your request later.");
    for nth in 2..=12 {
        world.befall(Which::Nth("ModifyDBInstance".to_owned(), nth), Blow::Refuse(busy.clone()));
    }
    let _ = switched_over(world).roll_back().rolled_back();
}

/// Nobody has production's name meanwhile.
#[test]
fn a_row_of_failures_between_the_renames_ends_nothing() {
    for blow in [Blow::Fail, Blow::Lose, Blow::Throttle] {
        let mut world = World::default().with(BlueGreen::of(Instance::mysql("shop")));
        for nth in 2..=12 {
            world.befall(Which::Nth("ModifyDBInstance".to_owned(), nth), blow.clone());
        }
        let _ = switched_over(world).roll_back().rolled_back();
    }
}

/// With the step that winds it back by an hour.
fn wound_back() -> (World, String) {
    let cluster = Cluster::aurora_mysql("stock").backtrackable(24).writer("stock-1");
    let world = World::default().with(cluster);
    let to = world.began() - Duration::from_secs(3600);
    let steps = format!(
        "  back:
    action: rds.backtrack
    with: {{ cluster: stock, time: \"{to}\" }}
    loses_data: true
"
    );
    (world, steps)
}

#[test]
fn a_cluster_is_wound_back_once() {
    let (world, steps) = wound_back();
    let to = world.began() - Duration::from_secs(3600);
    let played = Scene::new(world, &steps).roll_back().rolled_back();
    let backtracks = played.world.rds.backtracks_of("stock");
    assert_eq!(backtracks.len(), 1);
    assert!(to.duration_since(backtracks[0]).as_secs() < 10, "{backtracks:?}");
}

/// It is listed some seconds late.
#[test]
fn a_backtrack_whose_answer_was_lost_is_carried_out_once() {
    let (world, steps) = wound_back();
    for blow in [Blow::LoseAnswer, Blow::KillAfter, Blow::FailAfter] {
        let world = world.clone().when(Which::Nth("BacktrackDBCluster".to_owned(), 1), blow);
        let played = Scene::new(world, &steps).closely().roll_back().rolled_back();
        assert_eq!(played.world.rds.backtracks_of("stock").len(), 1);
    }
    let world = world.when(Which::Nth("BacktrackDBCluster".to_owned(), 1), Blow::Lose);
    let _ = Scene::new(world, &steps).roll_back().rolled_back();
}

/// A second one would lead back, and the zones show a minute and a half late.
#[test]
fn a_failover_whose_answer_was_lost_is_waited_for() {
    let world = World::default().with(Instance::postgres("shop").multi_az());
    let world = world.when(Which::Nth("RebootDBInstance".to_owned(), 1), Blow::LoseAnswer);
    let steps = "  back:
    action: rds.failover
    with: { instance: shop }
    to: { zone: eu-west-1b }
";
    let played = Scene::new(world, steps).roll_back().rolled_back();
    assert_eq!(played.sends().count(), 1);
}

/// RDS for MySQL takes no target, and shows the new writer some seconds late.
#[test]
fn a_cluster_that_chooses_for_itself_is_given_time() {
    let cluster = Cluster::of_engine("stock", "mysql", "8.0.39").writer("stock-1").reader("stock-2").reader("stock-3");
    let steps = |writer: &str| {
        format!("  back:\n    action: rds.failover\n    with: {{ cluster: stock }}\n    to: {{ writer: {writer} }}\n")
    };
    for blow in [None, Some(Blow::LoseAnswer)] {
        let world = World::default().with(cluster.clone());
        let world = match blow {
            Some(blow) => world.when(Which::Nth("FailoverDBCluster".to_owned(), 1), blow),
            None => world,
        };
        let played = Scene::new(world.clone(), &steps("stock-2")).closely().roll_back().rolled_back();
        assert_eq!((writer(&played.world, "stock").as_str(), played.sends().count()), ("stock-2", 1));
        let played = Scene::new(world, &steps("stock-3")).closely().roll_back();
        assert!(played.step("back").why.contains("AWS chose stock-2"), "{}", played.told());
    }
}

/// Until they have forgotten the old answer, clients may write to the database that is replaced.
#[test]
fn a_restore_behind_a_record_waits_for_old_answers() {
    let record = Record::simple("db.example.com", "CNAME", "shop.c9strict0rds.eu-west-1.rds.amazonaws.com");
    let world = World::default()
        .with(Instance::postgres("shop").without("PreferredMaintenanceWindow"))
        .with(Snapshot::of("shop").taken(Duration::from_secs(3600)))
        .with(Zone::of("example.com", "Z0123456789ABC").with(record));
    let took = |wait: &str| {
        let steps = format!(
            "  back:
    action: rds.restore
    with:
      instance: shop
      from: {{ snapshot: shop-before }}
      keep_endpoint: cname
      cname: {{ zone: Z0123456789ABC, record: db.example.com{wait} }}
      without: [resource_id]
    loses_data: true
"
        );
        Scene::new(world.clone(), &steps).roll_back().rolled_back().took
    };
    let (waited, at_once) = (took(""), took(", wait_ttl: false"));
    assert!(waited >= at_once + Duration::from_secs(55), "{waited:?} {at_once:?}");
}
