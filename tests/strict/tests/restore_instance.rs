//! `rds.restore` of an instance.

use belay_strict::{
    Scene, World,
    rds::{Instance, Kind, Snapshot},
};

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
