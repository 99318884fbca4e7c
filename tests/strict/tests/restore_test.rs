//! Restore tests: what a step would restore, restored beside it.

use std::time::Duration;

use belay_core::{event::FailureCode, readiness::CheckVerdict, run::RunState};
use belay_strict::{
    Blow, Played, Refusal, Scene, Which, World,
    rds::{Cluster, Instance, Kind, Snapshot},
};

const MINUTE: Duration = Duration::from_secs(60);

const OF_INSTANCE: &str = "  back:
    action: rds.restore
    with: { instance: shop, from: { snapshot: shop-before } }
    loses_data: true
";

fn shop() -> World {
    let old = Instance::postgres("shop").multi_az().monitored().tagged("team", "checkout");
    World::default().with(old.having("DeletionProtection", "true")).with(Snapshot::of("shop"))
}

/// Nothing of what was there has changed, and nothing is renamed or deleted.
#[track_caller]
fn leaves_production_alone(played: &Played, before: &World, kind: Kind, name: &str) {
    let production =
        |world: &World| world.rds.database(kind, name).map(|found| (found.id.clone(), found.attributes.clone()));
    assert_eq!(production(&played.world), production(before), "{}", played.told());
    for call in played.sends() {
        assert!(!call.operation.starts_with("Delete"), "{}", played.told());
        assert!(!call.input.to_string().contains("\"NewDB"), "{}", played.told());
    }
}

#[test]
fn an_instance_is_restored_beside_the_other_and_says_what_it_is() {
    let scene = Scene::new(shop(), OF_INSTANCE);
    let (played, restored) = scene.restore_test("back");
    assert_eq!(played.run.state, RunState::RolledBack, "{}", played.told());
    leaves_production_alone(&played, &scene.world(), Kind::Instance, "shop");
    let [made] = restored.made.as_slice() else { panic!("{restored:?}") };
    let began = made.name.strip_prefix("shop-restored-test-").expect("it says what it is");
    assert_eq!(
        made.delete,
        format!(
            "aws rds delete-db-instance --db-instance-identifier {} --skip-final-snapshot --region eu-west-1",
            made.name
        )
    );
    let found = played.world.rds.database(Kind::Instance, &made.name).expect("it is there");
    assert_eq!(found.tag("belay:restore-test"), Some(began));
    assert_eq!((found.tag("belay:migration"), found.tag("belay:step")), (Some("shop"), Some("back")));
    assert_eq!(found.tag("team"), Some("checkout"));
    // As the step restores it; but a person can delete it.
    assert_eq!((found.text("MultiAZ"), found.text("MonitoringInterval")), ("true", "60"));
    assert_eq!(found.text("DeletionProtection"), "false");
    let endpoint = restored.endpoint.expect("it answers");
    assert!(endpoint.host.starts_with(&made.name) && endpoint.port == Some(5432), "{endpoint:?}");
}

#[test]
fn whatever_answer_is_lost_one_is_restored() {
    let mut world = shop();
    world.rds.pace.restore = MINUTE;
    let scene = Scene::new(world, OF_INSTANCE);
    let (undisturbed, _) = scene.restore_test("back");
    for nth in 1..=undisturbed.sends().count() {
        for blow in [Blow::LoseAnswer, Blow::KillAfter, Blow::KillBefore] {
            let world = scene.world().when(Which::Send(nth), blow.clone());
            let (played, restored) = scene.restore_test_in("back", world);
            assert_eq!(played.run.state, RunState::RolledBack, "{nth} {blow:?}: {}", played.told());
            assert_eq!(restored.made.len(), 1, "{nth} {blow:?}");
            let names = played.world.rds.names(Kind::Instance);
            assert_eq!(names, ["shop", restored.made[0].name.as_str()], "{nth} {blow:?}: {}", played.told());
        }
    }
}

#[test]
fn what_counts_from_a_cutover_that_is_not_marked_counts_from_now() {
    for from in ["{ time: cutover }", "{ newest_snapshot: { before: cutover } }"] {
        let steps = OF_INSTANCE.replace("{ snapshot: shop-before }", from);
        let (played, restored) = Scene::new(shop(), &steps).restore_test("back");
        assert_eq!(played.run.state, RunState::RolledBack, "{}", played.told());
        assert_eq!(restored.made.len(), 1);
    }
}

#[test]
fn a_restore_that_is_refused_shows_the_reason_and_leaves_nothing() {
    let refused = Refusal::bad("DBSubnetGroupNotFoundFault", "DB subnet group main does not exist");
    let world = shop().when(Which::Nth("RestoreDBInstanceFromDBSnapshot".to_owned(), 1), Blow::Refuse(refused));
    let (played, restored) = Scene::new(shop(), OF_INSTANCE).restore_test_in("back", world);
    assert_eq!(played.run.state, RunState::Halted);
    let step = played.step("back");
    assert!(step.why.contains("DBSubnetGroupNotFoundFault: DB subnet group main does not exist"), "{}", step.why);
    assert_eq!(restored.made, []);
}

#[test]
fn a_setting_that_rds_refuses_is_found_before_the_night() {
    let old = Instance::postgres("shop").having("CACertificateIdentifier", "rds-ca-2019");
    let world = World::default().with(old).with(Snapshot::of("shop"));
    let (played, restored) = Scene::new(world, OF_INSTANCE).restore_test("back");
    assert_eq!(played.step("back").failure, Some(FailureCode::Verify), "{}", played.told());
    assert!(played.step("back").why.contains("ca_certificate: wanted rds-ca-2019"), "{}", played.told());
    assert!(restored.endpoint.is_some() && restored.made[0].listed, "{restored:?}");
}

const OF_CLUSTER: &str = "  back:
    action: rds.restore
    with: { cluster: stock, from: { snapshot: stock-before } }
    loses_data: true
";

fn stock() -> World {
    let old =
        Cluster::aurora_postgres("stock").writer("stock-1").reader("stock-2").having("DeletionProtection", "true");
    World::default().with(old).with(Snapshot::of_cluster("stock"))
}

#[test]
fn of_a_cluster_one_member_is_made_and_both_are_to_be_deleted_in_order() {
    let scene = Scene::new(stock(), OF_CLUSTER);
    let (played, restored) = scene.restore_test("back");
    assert_eq!(played.run.state, RunState::RolledBack, "{}", played.told());
    leaves_production_alone(&played, &scene.world(), Kind::Cluster, "stock");
    let [member, cluster] = restored.made.as_slice() else { panic!("{restored:?}") };
    let began = cluster.name.strip_prefix("stock-restored-").expect("it says what it is");
    assert_eq!(member.name, format!("stock-1-restored-{began}"), "the writer alone is paid for");
    assert_eq!(
        member.delete,
        format!("aws rds delete-db-instance --db-instance-identifier {} --region eu-west-1", member.name)
    );
    let skip = "--skip-final-snapshot --region eu-west-1";
    assert_eq!(cluster.delete, format!("aws rds delete-db-cluster --db-cluster-identifier {} {skip}", cluster.name));
    for (kind, name) in [(Kind::Cluster, &cluster.name), (Kind::Instance, &member.name)] {
        let found = played.world.rds.database(kind, name).expect("it is there");
        assert_eq!(found.tag("belay:restore-test"), began.strip_prefix("test-"));
    }
    assert_ne!(played.world.rds.database(Kind::Cluster, &cluster.name).unwrap().text("DeletionProtection"), "true");
    assert!(restored.endpoint.is_some_and(|endpoint| endpoint.host.starts_with(&cluster.name)));
}

#[test]
fn whatever_answer_is_lost_one_cluster_is_restored() {
    let mut world = stock();
    world.rds.pace.restore = MINUTE;
    let scene = Scene::new(world, OF_CLUSTER);
    let (undisturbed, _) = scene.restore_test("back");
    for nth in 1..=undisturbed.sends().count() {
        let (played, restored) = scene.restore_test_in("back", scene.world().when(Which::Send(nth), Blow::LoseAnswer));
        assert_eq!(played.run.state, RunState::RolledBack, "{nth}: {}", played.told());
        let count = |kind| played.world.rds.names(kind).len();
        assert_eq!((count(Kind::Cluster), count(Kind::Instance)), (2, 3), "{nth}: {}", played.told());
        assert_eq!(restored.made.len(), 2, "{nth}");
    }
}

/// A backup that was never restored is a hope.
#[test]
fn readiness_asks_for_a_restore_test_of_each_step_that_restores() {
    let found = Scene::new(shop(), OF_INSTANCE).readiness();
    let check = found.checks.iter().find(|check| check.id == "restore_test").unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!((check.verdict, check.part.as_str()), (CheckVerdict::Warn, "step back"), "{check:#?}");
    assert!(check.cure.contains("belay check PLAN --prove-restore back"), "{check:#?}");
}
