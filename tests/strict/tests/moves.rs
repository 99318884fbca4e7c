//! The ways back that need no restore: each once from its beginning to its end.

use std::time::Duration;

use belay_strict::{
    Scene, World,
    rds::{BlueGreen, Cluster, Instance, Kind},
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

#[test]
fn the_old_blue_is_production_again() {
    let world = World::default().with(BlueGreen::of(Instance::mysql("shop")).switched_over().without_record());
    let blue = world.rds.database(Kind::Instance, "shop-old1").unwrap().id.clone();
    let steps = "  back:
    action: rds.switch_back
    with: { instance: shop }
    loses_data: true
";
    let played = Scene::new(world, steps).roll_back().rolled_back();
    assert_eq!(played.world.rds.database(Kind::Instance, "shop").unwrap().id, blue);
}

#[test]
fn a_cluster_is_wound_back_once() {
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
    let played = Scene::new(world, &steps).roll_back().rolled_back();
    let backtracks = played.world.rds.backtracks_of("stock");
    assert_eq!(backtracks.len(), 1);
    assert!(to.duration_since(backtracks[0]).as_secs() < 10, "{backtracks:?}");
}
