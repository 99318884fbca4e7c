//! Weights of records and of load balancers, and the targets of groups.

use std::time::Duration;

use belay_core::run::RunState;
use belay_strict::{
    Blow, Scene, Which, World,
    elb::{LoadBalancer, TargetGroup},
    route53::{HealthCheck, Record, Zone},
};

const ZONE: &str = "Z0123456789ABC";
const RECORD: &str = "shop.example.com";

/// A record that was cut over to green, and whose blue side is seen to be healthy.
fn cut_over() -> World {
    let record = Record::weighted(RECORD, &[("blue", 0), ("green", 100)]).having("blue", "HealthCheckId", "check-blue");
    World::default()
        .with(HealthCheck::https("check-blue"))
        .with(Zone::of("example.com", ZONE).with(record).with(Record::simple("other.example.com", "A", "192.0.2.9")))
}

fn weights_back(more: &str) -> String {
    format!(
        "  back:
    action: route53.weights
    with: {{ zone: {ZONE}, record: {RECORD}, type: A }}
    to: {{ blue: 100, green: 0 }}
{more}"
    )
}

#[test]
fn the_weights_of_a_record_come_back_in_one_change() {
    let played = Scene::new(cut_over(), &weights_back("")).roll_back().rolled_back();
    let weights = [("blue".to_owned(), 100), ("green".to_owned(), 0)];
    assert_eq!(played.world.route53.weights(ZONE, RECORD), weights);
    assert_eq!(played.sends().count(), 1);
    assert!(played.took >= played.world.route53.spreads, "it is settled when all name servers know it");
}

/// Developer guide, "Quotas": requests for a zone whose last change is still processed are refused.
#[test]
fn a_zone_that_is_busy_is_waited_for() {
    let mut world = cut_over();
    let busy = belay_strict::Refusal::bad("PriorRequestNotComplete", "Route 53 was still processing a prior request.");
    for nth in 1..=3 {
        world.befall(Which::Nth("ChangeResourceRecordSets".to_owned(), nth), Blow::Refuse(busy.clone()));
    }
    let played = Scene::new(world, &weights_back("")).roll_back().rolled_back();
    assert_eq!(played.calls("ChangeResourceRecordSets").count(), 4);
}

/// Developer guide, "Weighted routing": with all weights 0, Route 53 answers with each record as often.
#[test]
fn equal_shares_of_weights_of_zero_come_back_with_weights_above_zero() {
    let equal = Record::weighted(RECORD, &[("blue", 0), ("green", 0)]).having("blue", "HealthCheckId", "check-blue");
    let world = World::default().with(HealthCheck::https("check-blue")).with(Zone::of("example.com", ZONE).with(equal));
    let steps = format!(
        "  back:
    action: route53.weights
    with: {{ zone: {ZONE}, record: {RECORD}, type: A }}
    to: baseline
"
    );
    let scene = Scene::new(world, &steps)
        .after_cutover(|world| world.route53.shift(ZONE, RECORD, &[("blue", 0), ("green", 100)]));
    let dry = scene.dry_run_to_baseline();
    let told = "at the baseline all its weights were 0, which Route 53 takes for equal shares";
    assert!(dry.warnings.iter().any(|warning| warning.contains(told)), "{:?}", dry.warnings);
    let played = scene.roll_back().rolled_back();
    assert_eq!(played.world.route53.weights(ZONE, RECORD), [("blue".to_owned(), 1), ("green".to_owned(), 1)]);
}

fn balanced() -> World {
    World::default()
        .with(TargetGroup::of_ips("shop-blue").with("10.0.0.1").with("10.0.0.2"))
        .with(TargetGroup::of_ips("shop-green").with("10.0.1.1"))
        .with(
            LoadBalancer::application("shop")
                .forwarding(&[("shop-blue", 0), ("shop-green", 100)])
                .sticky(3600)
                .rule(10, &[("shop-blue", 0), ("shop-green", 1)]),
        )
}

#[test]
fn a_listener_forwards_to_blue_again_and_keeps_its_stickiness() {
    let steps = "  back:
    action: alb.forward
    with: { listener: { load_balancer: shop, port: 443 } }
    to: { shop-blue: 100, shop-green: 0 }
";
    let played = Scene::new(balanced(), steps).roll_back().rolled_back();
    let listener = played.world.elb.listener("shop", 443).to_owned();
    assert_eq!(played.world.elb.weights(&listener), [("shop-blue".to_owned(), 100), ("shop-green".to_owned(), 0)]);
    let sent = played.calls("ModifyListener").next().unwrap();
    let config = &sent.input["DefaultActions"]["member"][0]["ForwardConfig"]["TargetGroupStickinessConfig"];
    assert_eq!(config["DurationSeconds"], "3600");
}

#[test]
fn a_rule_forwards_to_blue_again() {
    let steps = "  back:
    action: alb.forward
    with: { rule: { load_balancer: shop, port: 443, priority: 10 } }
    to: { shop-blue: 1, shop-green: 0 }
";
    let played = Scene::new(balanced(), steps).roll_back().rolled_back();
    assert_eq!(played.calls("ModifyRule").count(), 1);
}

#[test]
fn targets_are_registered_and_the_others_leave_when_those_are_healthy() {
    let world = World::default()
        .with(TargetGroup::of_ips("shop-blue").with("10.0.0.9").draining_for(Duration::from_secs(120)))
        .with(LoadBalancer::application("shop").forwarding(&[("shop-blue", 1)]));
    let steps = "  back:
    action: alb.targets
    with: { target_group: shop-blue }
    to: { 10.0.0.1: 80, 10.0.0.2: 80 }
    others: zero
";
    let played = Scene::new(world, steps).roll_back().rolled_back();
    assert_eq!(played.world.elb.targets("shop-blue"), ["10.0.0.1:80", "10.0.0.2:80"]);
    let at = |operation| played.calls(operation).next().unwrap().at;
    let waited = at("DeregisterTargets").duration_since(at("RegisterTargets")).unsigned_abs();
    assert!(waited >= played.world.elb.checks, "{waited:?}");
}

fn behind_a_network_load_balancer(green: TargetGroup) -> World {
    World::default()
        .with(TargetGroup::of_ips("shop-blue").with("10.0.0.1"))
        .with(green.with("10.0.1.1"))
        .with(LoadBalancer::network("shop").forwarding(&[("shop-blue", 0), ("shop-green", 100)]))
}

#[test]
fn what_a_network_load_balancer_leaves_where_it_is_is_told() {
    let steps = "  back:
    action: alb.forward
    with: { listener: { load_balancer: shop, port: 443 } }
    to: { shop-blue: 100, shop-green: 0 }
";
    let title = |world: World| {
        let dry = Scene::new(world.clone(), steps).dry_run().steps["back"].changes[0].title.clone();
        let played = Scene::new(world, steps).roll_back().rolled_back();
        assert_eq!(played.step("back").planned[0].title, dry);
        dry
    };
    let plain = title(behind_a_network_load_balancer(TargetGroup::of_ips("shop-green")));
    assert!(plain.ends_with("(a network load balancer leaves open connections where they are)"), "{plain}");
    let sticky = title(behind_a_network_load_balancer(TargetGroup::of_ips("shop-green").sticky_by_address()));
    assert!(sticky.contains("clients that shop-green keeps by their address"), "{sticky}");
    // It is only told, so it holds up nothing.
    let mut unread = behind_a_network_load_balancer(TargetGroup::of_ips("shop-green"));
    let denied = belay_strict::Refusal::bad("AccessDenied", "not authorized");
    unread.befall(Which::Every("DescribeTargetGroupAttributes".to_owned()), Blow::Refuse(denied));
    let unread = title(unread);
    assert!(unread.contains("whether a group keeps clients by their address (stickiness by source IP) was not read"));
}

/// API reference, ModifyRule: a default rule is not changed by it.
#[test]
fn a_default_rule_is_refused_at_arming_with_its_listener_named() {
    let world = balanced();
    let listener = world.elb.listener("shop", 443).to_owned();
    let rule = world.elb.default_rule(&listener).to_owned();
    let steps = format!("  back:\n    action: alb.forward\n    with: {{ rule: \"{rule}\" }}\n    to: baseline\n");
    let why = Scene::new(world, &steps).arm().unwrap_err().to_string();
    assert!(why.contains("is the default rule of a listener") && why.contains(&listener), "{why}");
}

/// Whoever made it anew may have meant other actions: Belay leaves it to a person.
#[test]
fn a_listener_that_was_made_anew_since_arming_stops_the_step() {
    let steps = "  back:
    action: alb.forward
    with: { listener: { load_balancer: shop, port: 443 } }
    to: baseline
";
    let scene = Scene::new(balanced(), steps).after_cutover(|world| world.elb.make_anew("shop", 443));
    let played = scene.roll_back();
    assert_eq!(played.run.state, RunState::Halted, "{}", played.told());
    let why = &played.step("back").why;
    assert!(why.contains("it was made anew") && why.contains("`belay skip` leaves it as it is"), "{why}");
    assert_eq!(played.sends().count(), 0);
}
