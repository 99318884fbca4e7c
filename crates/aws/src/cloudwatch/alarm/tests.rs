//! `alarm` over the wire, against a CloudWatch of the test.

use belay_core::reading::Health;
use ciborium::{Value as Cbor, cbor};
use serde_json::{Value, json};

use super::*;
use crate::{
    cloudwatch::testing::{Answer, CloudWatch, refused},
    session::Access,
    testing::{Still, aws, endpoint, http, target},
};

fn sensor(aws: Aws) -> Alarm {
    Alarm::new(aws, Arc::new(Still { wakes: false }))
}

fn query(alarm: &str) -> Query {
    Query {
        signal: alarm.to_owned(),
        spec: json!({"alarm": alarm, "missing": "healthy"}),
        aws: AwsTarget { account: None, ..target() },
        baseline: Default::default(),
    }
}

fn names(call: &Value) -> Vec<&str> {
    call["AlarmNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Every alarm is OK but those that begin with `missing`; without names, these two exist.
fn found(call: &Value) -> Answer {
    let names = match names(call) {
        none if none.is_empty() => vec!["checkout-5xx", "orders-depth"],
        names => names,
    };
    let alarms = names.into_iter().filter(|name| !name.starts_with("missing") && *name != "chekout-5xx");
    let alarms: Vec<Cbor> = alarms.map(|name| cbor!({"AlarmName" => name, "StateValue" => "OK"}).unwrap()).collect();
    ("200 OK", cbor!({"MetricAlarms" => alarms}).unwrap())
}

fn health(readings: &[Reading]) -> Vec<(Health, bool)> {
    readings.iter().map(|reading| (reading.health, reading.permanent)).collect()
}

#[test]
fn calls_are_merged_by_place_and_hold_a_hundred_names() {
    let (here, there) = (target(), AwsTarget { region: Some("us-east-1".to_owned()), ..target() });
    let names: Vec<String> = (0..250).map(|number| format!("alarm-{number:03}")).collect();
    let twice = names.iter().chain(&names).map(|name| (&here, name.as_str()));
    let sensor = sensor(crate::testing::nowhere());
    let calls = sensor.calls(twice.chain([(&there, names[0].as_str())]));
    let sizes: Vec<_> = calls.iter().map(|(target, names)| (target.region.as_deref(), names.len())).collect();
    let (eu, us) = (Some("eu-west-1"), Some("us-east-1"));
    assert_eq!(sizes, [(eu, 100), (eu, 100), (eu, 50), (us, 1)]);
}

#[tokio::test]
async fn a_call_that_fails_blinds_all_its_alarms_and_says_why() {
    let endpoint = endpoint(http("500 Internal Server Error", "")).await;
    let sensor = sensor(aws(Access::ReadOnly, &endpoint).await);
    let readings = sensor.read(&[query("errors"), query("latency")]).await;
    assert_eq!(readings.iter().map(|reading| reading.signal.as_str()).collect::<Vec<_>>(), ["errors", "latency"]);
    for reading in readings {
        assert_eq!((reading.health, reading.unreadable, reading.permanent), (Health::Unknown, true, false));
        assert!(reading.evidence.contains("cloudwatch:DescribeAlarms"), "{}", reading.evidence);
        assert_eq!(reading.source, "cloudwatch default-account/eu-west-1");
    }
}

#[tokio::test]
async fn an_alarm_type_that_is_not_known_there_is_asked_for_once() {
    let cloudwatch =
        CloudWatch::start(|call| match call["AlarmTypes"].as_array().unwrap().contains(&json!("LogAlarm")) {
            true => {
                refused("1 validation error detected: Value '[LogAlarm]' at 'alarmTypes' failed to satisfy constraint")
            }
            false => found(call),
        })
        .await;
    let sensor = sensor(cloudwatch.aws().await);
    for calls in [2, 3] {
        let readings = sensor.read(&[query("errors"), query("latency")]).await;
        assert_eq!(health(&readings), [(Health::Healthy, false); 2], "{readings:?}");
        assert_eq!(cloudwatch.calls().len(), calls);
    }
}

#[tokio::test]
async fn one_name_that_is_not_taken_blinds_its_own_signal_alone() {
    let cloudwatch = CloudWatch::start(|call| match names(call).iter().any(|name| name.starts_with("bad")) {
        true => refused("1 validation error detected: Value at 'alarmNames' failed to satisfy constraint"),
        false => found(call),
    })
    .await;
    let sensor = sensor(cloudwatch.aws().await);
    let mut queries: Vec<Query> = (0..100).map(|number| query(&format!("alarm-{number:03}"))).collect();
    queries[37] = query("bad");
    for _ in 0..2 {
        let before = cloudwatch.calls().len();
        let readings = sensor.read(&queries).await;
        for (number, reading) in readings.iter().enumerate() {
            let expected = if number == 37 { (Health::Unknown, true) } else { (Health::Healthy, false) };
            assert_eq!((reading.health, reading.permanent), expected, "{reading:?}");
        }
        assert!(readings[37].evidence.contains("alarmNames"), "{}", readings[37].evidence);
        // Halves of halves the first time; then it is known, and is asked for apart.
        let calls = cloudwatch.calls().len() - before;
        assert!(if before == 0 { calls <= 22 } else { calls == 2 }, "{calls}");
    }
}

#[tokio::test]
async fn an_alarm_that_does_not_exist_is_unknown_for_good_and_names_what_does() {
    let cloudwatch = CloudWatch::start(found).await;
    let sensor = sensor(cloudwatch.aws().await);
    for calls in [2, 3] {
        let readings = sensor.read(&[query("chekout-5xx"), query("missing"), query("orders-depth")]).await;
        assert_eq!(health(&readings), [(Health::Unknown, true), (Health::Unknown, true), (Health::Healthy, false)]);
        assert_eq!(
            readings[0].evidence,
            "there is no alarm chekout-5xx in default-account/eu-west-1; there is `checkout-5xx`"
        );
        assert_eq!(readings[1].evidence, "there is no alarm missing in default-account/eu-west-1");
        // The names that exist are listed once.
        assert_eq!(cloudwatch.calls().len(), calls);
    }
}

#[tokio::test]
async fn an_alarm_of_another_account_needs_a_role_there() {
    let endpoint = endpoint(http("403 Forbidden", "")).await;
    let sensor = sensor(aws(Access::ReadOnly, &endpoint).await);
    let arn = "arn:aws:cloudwatch:us-east-1:444455556666:alarm:errors: too many";
    let spec = json!({"alarm": arn, "missing": "unknown"});
    let query = Query { signal: "errors".to_owned(), spec, aws: target(), baseline: Default::default() };
    let reading = sensor.read(&[query]).await.remove(0);
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
    assert!(reading.evidence.ends_with(ELSEWHERE), "{}", reading.evidence);
    assert_eq!(reading.source, "cloudwatch 444455556666/us-east-1");
}
