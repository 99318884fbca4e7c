//! `rds.restore` of a cluster.

use belay_strict::{
    Scene, World,
    rds::{Cluster, Kind, Snapshot},
};

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
}
