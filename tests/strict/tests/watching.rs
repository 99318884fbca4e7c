//! What opens incidents: alarms and metrics as CloudWatch has them.

use std::time::Duration;

use belay_strict::{
    Scene, World,
    cloudwatch::{Alarm, Metric},
    route53::{HealthCheck, Record, Zone},
};
use jiff::Timestamp;

const ZONE: &str = "Z0123456789ABC";

fn world() -> World {
    let name = "shop.example.com";
    let record = Record::weighted(name, &[("blue", 0), ("green", 100)]).having("blue", "HealthCheckId", "check-blue");
    World::default().with(HealthCheck::https("check-blue")).with(Zone::of("example.com", ZONE).with(record))
}

/// Rolls back when `customers` is unhealthy for a minute.
fn plan(customers: &str) -> String {
    format!(
        "belay: 1
migration: shop
aws: {{ account: \"111122223333\", region: eu-west-1 }}
signals:
  customers: {customers}
triggers:
  hurt: {{ when: customers, for: 60s, severity: critical }}
steps:
  back:
    action: route53.weights
    with: {{ zone: {ZONE}, record: shop.example.com, type: A }}
    to: {{ blue: 100, green: 0 }}
"
    )
}

fn minutes_after(world: &World, minutes: u64) -> Timestamp {
    world.began() + Duration::from_secs(60 * minutes)
}

#[test]
fn an_alarm_rolls_back_after_its_dwell() {
    let world = world();
    let at = minutes_after(&world, 10);
    // Partial data in ALARM is a breach in a part, and a part is enough.
    let partial = Alarm::metric("shop-5xx").evaluated("PARTIAL_DATA");
    for alarm in [Alarm::metric("shop-5xx"), Alarm::composite("shop-5xx"), Alarm::log("shop-5xx"), partial] {
        let world = world.clone().with(alarm.turns("ALARM", at)).with(Alarm::metric("other"));
        let played = Scene::new(world, &plan("{ alarm: shop-5xx }")).wait_for_the_trigger().rolled_back();
        let sent = played.calls("ChangeResourceRecordSets").next().expect("it was sent").at;
        let waited = sent.duration_since(at).as_secs();
        assert!((60..=75).contains(&waited), "{waited} s");
    }
}

/// A load balancer publishes two minutes late.
#[test]
fn a_metric_that_comes_late_rolls_back_when_it_has_come() {
    let world = world();
    let at = minutes_after(&world, 10);
    let errors = Metric::of("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count").dimension("LoadBalancer", "app/shop/1");
    let errors = errors.value(0.0).from(at, 500.0).late_by(Duration::from_secs(120));
    let metric = "{ metric: { namespace: AWS/ApplicationELB, name: HTTPCode_Target_5XX_Count, stat: Sum, period: 1m, \
                  dimensions: { LoadBalancer: app/shop/1 } }, healthy: \"< 400\" }";
    let played = Scene::new(world.with(errors), &plan(metric)).wait_for_the_trigger().rolled_back();
    let sent = played.calls("ChangeResourceRecordSets").next().expect("it was sent").at;
    let waited = sent.duration_since(at).as_secs();
    assert!((180..=330).contains(&waited), "{waited} s");
}
