//! What would be lost now, of every way back that loses data.

use std::time::Duration;

use belay_core::readiness::CheckVerdict;
use belay_engine::LossView;
use belay_strict::{
    Call, Scene, World,
    rds::{BlueGreen, Cluster, Instance, Snapshot},
};

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

fn plan(steps: &str) -> String {
    format!(
        "belay: 1
migration: shop
aws: {{ account: \"111122223333\", region: eu-west-1 }}
objectives: {{ rpo: 5m }}
steps:
{steps}"
    )
}

fn restore(what: &str, from: &str) -> String {
    plan(&format!("  back: {{ action: rds.restore, with: {{ {what}: shop, from: {from} }} }}\n"))
}

/// The cutover comes five minutes after arming.
fn losses(world: World, plan: &str, at: &[u64]) -> (Vec<LossView>, Vec<Call>) {
    let at: Vec<Duration> = at.iter().map(|count| minutes(*count)).collect();
    let switches = plan.contains("switch_back");
    let (shown, calls) = Scene::new(world, plan)
        .after_cutover(move |world| {
            if switches {
                world.rds.switch_over("shop");
                world.rds.forget_deployment("shop");
            }
        })
        .losses(minutes(5), &at);
    (shown.into_iter().map(|mut losses| losses.swap_remove("back").expect("the step")).collect(), calls)
}

/// So many minutes, within a few seconds.
#[track_caller]
fn lost(loss: &LossView, count: u64) {
    let now_s = loss.now_s.unwrap_or_else(|| panic!("not known: {}", loss.basis));
    assert!((60 * count..60 * count + 10).contains(&now_s), "{now_s} s, not {count} min: {}", loss.basis);
    assert_eq!(loss.rpo_s, Some(300));
}

#[track_caller]
fn unknown(loss: &LossView, why: &str) {
    assert_eq!(loss.now_s, None, "{}", loss.basis);
    assert!(loss.basis.contains(why), "{}", loss.basis);
}

#[test]
fn of_a_snapshot_it_grows_and_the_time_of_its_data_counts() {
    let shop = || World::default().with(Instance::postgres("shop"));
    let snapshot = || Snapshot::of("shop").named("shop-1128").taken(minutes(60));
    let plan = restore("instance", "{ snapshot: shop-1128 }");
    let (shown, calls) = losses(shop().with(snapshot()), &plan, &[1, 61]);
    lost(&shown[0], 61);
    lost(&shown[1], 121);
    assert!(
        shown[0].basis.starts_with("snapshot shop-1128 of 20") && shown[0].basis.ends_with('Z'),
        "{}",
        shown[0].basis
    );
    // Two calls a minute. What holds on to the database is looked up when the observation begins, here at the cutover, and no more.
    let reads = |operation: &str| calls.iter().filter(|call| call.operation == operation).count();
    assert_eq!((reads("DescribeDBInstances"), reads("DescribeDBSnapshots")), (60, 60), "{calls:#?}");
    assert_eq!((reads("DescribeDBProxies"), calls.len()), (1, 60 + 60 + 3));

    let (shown, _) = losses(shop().with(snapshot().of_data(minutes(90))), &plan, &[1]);
    lost(&shown[0], 91);
}

#[test]
fn of_the_newest_snapshot_it_is_of_the_one_before_the_cutover() {
    let world = World::default()
        .with(Instance::postgres("shop"))
        .with(Snapshot::of("shop").named("shop-old").taken(minutes(300)))
        .with(Snapshot::of("shop").named("shop-new").taken(minutes(30)));
    let (shown, _) = losses(world, &restore("instance", "{ newest_snapshot: {} }"), &[1, 10]);
    unknown(&shown[0], "the cutover, from which this counts, is not marked");
    lost(&shown[1], 40);
    assert!(shown[1].basis.starts_with("snapshot shop-new of "), "{}", shown[1].basis);
}

#[test]
fn of_a_point_in_time_it_counts_from_there() {
    let world = || World::default().with(Instance::postgres("shop"));
    let (shown, _) = losses(world(), &restore("instance", "{ time: cutover }"), &[1, 6, 20]);
    unknown(&shown[0], "the cutover, from which this counts, is not marked");
    lost(&shown[1], 1);
    assert!(shown[1].basis.contains("follows when its logs are shipped"), "{}", shown[1].basis);
    lost(&shown[2], 15);
    assert!(shown[2].basis.starts_with("the cutover at ") && !shown[2].basis.contains("logs"), "{}", shown[2].basis);

    let (shown, _) = losses(world(), &restore("instance", "{ time: latest }"), &[1, 61]);
    for loss in shown {
        let now_s = loss.now_s.expect("it is known");
        assert!((1..=600).contains(&now_s), "it moves on with the logs: {now_s} s");
        assert!(loss.basis.starts_with("shop is restorable up to "), "{}", loss.basis);
    }
}

#[test]
fn of_what_cannot_be_restored_it_is_not_known_and_never_nothing() {
    let world = || World::default().with(Cluster::aurora_mysql("shop").writer("shop-1").backtrackable(1));
    let plan = plan("  back: { action: rds.backtrack, with: { cluster: shop, time: cutover } }\n");
    let (shown, _) = losses(world(), &plan, &[1, 10, 70]);
    unknown(&shown[0], "the cutover, from which this counts, is not marked");
    lost(&shown[1], 5);
    assert!(shown[1].basis.starts_with("a backtrack to the cutover at "), "{}", shown[1].basis);
    assert!(shown[1].basis.contains("; the window reaches back to "), "{}", shown[1].basis);
    // The window of an hour has moved past the cutover.
    unknown(&shown[2], "can be backtracked to");
}

#[test]
fn of_a_cluster_it_is_known_as_well() {
    let world = || World::default().with(Cluster::aurora_mysql("shop").writer("shop-1").reader("shop-2"));
    let snapshot = Snapshot::of_cluster("shop").named("shop-1128").taken(minutes(60));
    let (shown, calls) = losses(world().with(snapshot), &restore("cluster", "{ snapshot: shop-1128 }"), &[1, 11]);
    lost(&shown[1], 71);
    assert!(shown[1].basis.starts_with("snapshot shop-1128 of "), "{}", shown[1].basis);
    assert_eq!(calls.iter().filter(|call| call.operation == "DescribeDBProxies").count(), 1, "{calls:#?}");
    let (shown, _) = losses(world(), &restore("cluster", "{ time: cutover }"), &[20]);
    lost(&shown[0], 15);
}

#[test]
fn of_a_switch_back_it_counts_from_the_switchover() {
    let world = World::default().with(BlueGreen::of(Instance::mysql("shop")));
    let plan = plan("  back: { action: rds.switch_back, with: { instance: shop } }\n");
    let (shown, _) = losses(world, &plan, &[1, 15]);
    assert_eq!(shown[0].now_s, Some(0), "{}", shown[0].basis);
    assert!(shown[0].basis.contains("nothing was switched over"), "{}", shown[0].basis);
    lost(&shown[1], 10);
    assert!(shown[1].basis.starts_with("shop-old1, as it was at the switchover"), "{}", shown[1].basis);
}

/// What counts from the cutover is not known before it; a plan would never be ready.
#[test]
fn before_the_cutover_the_objective_is_held_against_one_that_came_now() {
    let rpo = |from: &str| {
        let world = World::default().with(Instance::postgres("shop")).with(Snapshot::of("shop").taken(minutes(4)));
        let found = Scene::new(world, &restore("instance", from)).readiness();
        found.checks.into_iter().find(|check| check.id == "rpo").expect("the plan has the objective")
    };
    for (from, found) in [
        ("{ time: cutover }", "if the cutover came now, 0s would be lost: the cutover at "),
        (
            "{ newest_snapshot: { before: cutover } }",
            "if the cutover came now, 4m would be lost: snapshot shop-before of ",
        ),
    ] {
        let check = rpo(from);
        assert!(check.verdict == CheckVerdict::Go && check.found.starts_with(found), "{check:?}");
    }
}
