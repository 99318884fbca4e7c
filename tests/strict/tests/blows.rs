//! Every call of every action that can change something, with everything that can befall it: the rollback ends as it should, nothing
//! takes effect twice, and nobody is without the name for longer than two renames take.
//!
//! `BELAY_ALL_BLOWS=1` plays all blows; without it, those of which each stands for a kind.

use std::{env, time::Duration};

use belay_core::run::RunState;
use belay_strict::{
    Blow, Played, Scene, Which, World,
    elb::{LoadBalancer, TargetGroup},
    lambda::Function,
    rds::{BlueGreen, Cluster, Instance, Kind, Snapshot},
    route53::{HealthCheck, Record, Zone},
    ssm::Document,
    states::StateMachine,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What stands for each kind: it took effect or not, AWS answers or not, the process dies.
const KINDS: [Blow; 3] = [Blow::LoseAnswer, Blow::Fail, Blow::KillAfter];
const MORE: [Blow; 4] = [Blow::FailAfter, Blow::Lose, Blow::Throttle, Blow::KillBefore];

fn blows() -> Vec<Blow> {
    let all = env::var_os("BELAY_ALL_BLOWS").is_some();
    KINDS.into_iter().chain(MORE.into_iter().filter(|_| all)).collect()
}

/// Plays all of it. `kind`, `name`: what must not be without its name for long.
fn holds(scene: &Scene, named: Option<(Kind, &str)>) {
    let undisturbed = effects(&scene.roll_back());
    for nth in 1..=undisturbed.len() {
        for blow in blows() {
            let played = scene.roll_back_in(scene.world().when(Which::Send(nth), blow.clone()));
            assert_eq!(played.run.state, RunState::RolledBack, "{nth} {blow:?}: {}", played.told());
            assert_eq!(effects(&played), undisturbed, "{nth} {blow:?}: {}", played.told());
            let Some((kind, name)) = named else { continue };
            let (_, longest) = played.world.rds.without_name(kind, name, played.world.began() + DAY);
            assert!(longest <= MINUTE * 3, "{nth} {blow:?}: {longest:?}\n{}", played.told());
        }
    }
}

/// What took effect, in order of names: which of two steps of its own comes first may change. The same call with the same token takes
/// effect once.
fn effects(played: &Played) -> Vec<String> {
    let mut sent: Vec<(String, String)> = played
        .sends()
        .filter(|call| call.took_effect())
        .map(|call| (call.operation.clone(), call.input.to_string()))
        .collect();
    sent.sort();
    sent.dedup();
    sent.into_iter().map(|(operation, _)| operation).collect()
}

/// Of what must not be sent twice, and of which nothing shows whether it was: a person is asked.
fn is_sent_at_most_once(scene: &Scene) {
    for blow in blows() {
        let played = scene.roll_back_in(scene.world().when(Which::Send(1), blow.clone()));
        let done = played.sends().filter(|call| call.took_effect()).count();
        let ended = matches!(played.run.state, RunState::RolledBack | RunState::Halted);
        assert!(ended && done <= 1, "{blow:?} {done}: {}", played.told());
        assert!(done == 1 || played.run.state == RunState::Halted, "{blow:?}: {}", played.told());
    }
}

fn quick(mut world: World) -> World {
    let pace = &mut world.rds.pace;
    (pace.restore, pace.restore_cluster, pace.create_member) = (MINUTE, MINUTE, MINUTE);
    (pace.backup, pace.resolvable) = (Duration::ZERO, Duration::ZERO);
    world
}

fn restore(with: &str) -> String {
    format!("  back:\n    action: rds.restore\n    with: {{ {with} }}\n    loses_data: true\n")
}

#[test]
fn a_restore_of_an_instance() {
    let world =
        quick(World::default().with(Instance::postgres("shop").multi_az().monitored()).with(Snapshot::of("shop")));
    let shop = Some((Kind::Instance, "shop"));
    holds(&Scene::new(world.clone(), &restore("instance: shop, from: { snapshot: shop-before }")), shop);
    holds(&Scene::new(world, &restore("instance: shop, from: { time: latest }")), shop);
}

#[test]
fn a_restore_behind_a_record() {
    let zone = Zone::of("example.com", "Z0123456789ABC").with(Record::simple("db.example.com", "CNAME", "shop.old"));
    let world = quick(World::default().with(Instance::postgres("shop")).with(Snapshot::of("shop")).with(zone));
    let steps = restore(
        "instance: shop, from: { snapshot: shop-before }, keep_endpoint: cname, \
         cname: { zone: example.com, record: db.example.com }, without: [resource_id]",
    );
    holds(&Scene::new(world, &steps), None);
}

#[test]
#[ignore = "two minutes of a core: run it by its name"]
fn a_restore_of_a_cluster() {
    let cluster = Cluster::aurora_postgres("stock").having("HttpEndpointEnabled", "true");
    let cluster = cluster.having("PreferredMaintenanceWindow", "sun:04:00-sun:04:30");
    let world = World::default().with(cluster.writer("stock-1").reader("stock-2")).with(Snapshot::of_cluster("stock"));
    let steps = restore("cluster: stock, from: { snapshot: stock-before }");
    holds(&Scene::new(quick(world), &steps), Some((Kind::Cluster, "stock")));
}

#[test]
fn a_switch_back() {
    let world = quick(World::default().with(BlueGreen::of(Instance::mysql("shop"))));
    let steps = "  back:
    action: rds.switch_back
    with: { instance: shop }
    loses_data: true
";
    let scene = Scene::new(world, steps).after_cutover(|world| {
        world.rds.switch_over("shop");
        world.rds.forget_deployment("shop");
    });
    holds(&scene, Some((Kind::Instance, "shop")));
}

#[test]
fn failovers() {
    let world = World::default().with(Cluster::aurora_mysql("stock").writer("stock-1").reader("stock-2"));
    let steps = "  back:
    action: rds.failover
    with: { cluster: stock }
    to: { writer: stock-2 }
";
    holds(&Scene::new(world, steps), None);
    // The zones show a minute and a half late.
    let world = World::default().with(Instance::postgres("shop").multi_az());
    let steps = "  back:
    action: rds.failover
    with: { instance: shop }
    to: { zone: eu-west-1b }
";
    is_sent_at_most_once(&Scene::new(world, steps));
}

#[test]
fn a_backtrack() {
    let world = World::default().with(Cluster::aurora_mysql("stock").backtrackable(24).writer("stock-1"));
    let to = world.began() - Duration::from_secs(3600);
    let steps = format!(
        "  back:
    action: rds.backtrack
    with: {{ cluster: stock, time: \"{to}\" }}
    loses_data: true
"
    );
    holds(&Scene::new(world, &steps), None);
}

#[test]
fn weights_and_targets() {
    let record =
        Record::weighted("shop.example.com", &[("blue", 0), ("green", 100)]).having("blue", "HealthCheckId", "check");
    let world =
        World::default().with(HealthCheck::https("check")).with(Zone::of("example.com", "Z0123456789ABC").with(record));
    let steps = "  back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    to: { blue: 100, green: 0 }
";
    holds(&Scene::new(world, steps), None);
    let world = World::default()
        .with(TargetGroup::of_ips("shop-blue").with("10.0.0.1"))
        .with(TargetGroup::of_ips("shop-green").with("10.0.1.1"))
        .with(LoadBalancer::network("shop").forwarding(&[("shop-blue", 0), ("shop-green", 100)]));
    let steps = "  back:
    action: alb.forward
    with: { listener: { load_balancer: shop, port: 443 } }
    to: { shop-blue: 100, shop-green: 0 }
";
    holds(&Scene::new(world, steps), None);
}

#[test]
fn jobs_that_are_known_by_a_token_or_a_name() {
    let steps = "  back:\n    action: ssm.automation\n    with: { document: Restore-Cache }\n";
    holds(&Scene::new(World::default().with(Document::named("Restore-Cache")), steps), None);
    let machine = "arn:aws:states:eu-west-1:111122223333:stateMachine:put-back";
    let steps = format!("  back:\n    action: stepfunctions.execution\n    with: {{ state_machine: \"{machine}\" }}\n");
    holds(&Scene::new(World::default().with(StateMachine::standard("put-back")), &steps), None);
}

#[test]
fn a_function_runs_at_most_once() {
    let steps = "  back:\n    action: lambda.invoke\n    with: { function: put-back }\n";
    is_sent_at_most_once(&Scene::new(World::default().with(Function::named("put-back")), steps));
}
