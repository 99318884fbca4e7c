//! `alarm` over the wire, against a CloudWatch of the test.

use std::sync::atomic::{AtomicUsize, Ordering};

use belay_core::reading::Health;
use ciborium::{Value as Cbor, cbor};
use serde_json::{Value, json};

use super::*;
use crate::{
    cloudwatch::testing::{Answer, CloudWatch, refused},
    session::Access,
    testing::{Jumping, Still, aws, endpoint, http, target},
};

fn sensor(aws: Aws) -> Alarm {
    Alarm::new(aws, Arc::new(Still { wakes: false }))
}

fn query(alarm: &str) -> Query {
    Query {
        signal: alarm.to_owned(),
        spec: json!({"alarm": alarm, "missing": "healthy"}),
        aws: AwsTarget { account: None, ..target() },
        of_trigger: false,
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
    let query =
        Query { signal: "errors".to_owned(), spec, aws: target(), of_trigger: false, baseline: Default::default() };
    let reading = sensor.read(&[query]).await.remove(0);
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
    assert!(reading.evidence.ends_with(ELSEWHERE), "{}", reading.evidence);
    assert_eq!(reading.source, "cloudwatch 444455556666/us-east-1");
}

const TURNED_TO_ALARM: &str = r#"{"newState":{"stateValue":"ALARM"}}"#;
const TURNED_TO_OK: &str = r#"{"newState":{"stateValue":"OK"}}"#;

fn watched(alarm: &str) -> Query {
    Query { of_trigger: true, ..query(alarm) }
}

/// As many turns to OK as a page holds.
fn flapping(token: usize) -> Answer {
    let item =
        cbor!({"Timestamp" => Cbor::Tag(1, Box::new(cbor!(1_767_225_600).unwrap())), "HistoryData" => TURNED_TO_OK});
    ("200 OK", cbor!({"AlarmHistoryItems" => vec![item.unwrap(); 100], "NextToken" => token.to_string()}).unwrap())
}

async fn with_history(answer: impl Fn(&str) -> Answer + Send + 'static) -> CloudWatch {
    CloudWatch::start(move |call| match call["AlarmName"].as_str() {
        Some(name) => answer(name),
        None => found(call),
    })
    .await
}

fn histories(found: &[SignalReadiness]) -> Vec<(&str, belay_ports::CheckVerdict, &str)> {
    let of_history = found.iter().flat_map(|found| &found.checks).filter(|check| check.id == "alarm_history");
    of_history.map(|check| (check.subject.as_str(), check.verdict, check.found.as_str())).collect()
}

#[tokio::test]
async fn an_alarm_that_a_trigger_goes_by_and_that_has_never_fired_is_told_and_asked_for_once_an_hour() {
    use belay_ports::CheckVerdict::{Go, Warn};
    let cloudwatch = with_history(|name| {
        let turned = if name == "fired" { vec![TURNED_TO_OK, TURNED_TO_ALARM] } else { vec![TURNED_TO_OK] };
        let at = Cbor::Tag(1, Box::new(cbor!(1_767_225_600).unwrap()));
        let items = turned.into_iter().map(|data| cbor!({"Timestamp" => at.clone(), "HistoryData" => data}).unwrap());
        ("200 OK", cbor!({"AlarmHistoryItems" => items.collect::<Vec<_>>()}).unwrap())
    })
    .await;
    let clock = Arc::new(Jumping::default());
    let sensor = Alarm::new(cloudwatch.aws().await, clock.clone());
    let queries = [watched("fired"), watched("never"), query("gate")];
    let checks = sensor.readiness(&queries).await;
    let fired = ("fired", Go, "last in ALARM at 2026-01-01T00:00:00Z");
    let never =
        ("never", Warn, "never in ALARM in the 30 days that CloudWatch keeps: it is not known whether it can fire");
    assert_eq!(histories(&checks), [fired, never], "no history of what no trigger goes by");
    let cure = &checks[1].checks.iter().find(|check| check.id == "alarm_history").unwrap().cure;
    assert!(cure.contains("aws cloudwatch set-alarm-state --alarm-name never --state-value ALARM"), "{cure}");
    let asked = |calls: Vec<Value>| calls.iter().filter(|call| call["AlarmName"].is_string()).count();
    assert_eq!(asked(cloudwatch.calls()), 2);
    let call = cloudwatch.calls().into_iter().find(|call| call["AlarmName"] == "fired").unwrap();
    assert_eq!((&call["AlarmTypes"], &call["HistoryItemType"]), (&json!(["MetricAlarm"]), &json!("StateUpdate")));

    assert_eq!(histories(&sensor.readiness(&queries).await), [fired, never]);
    assert_eq!(asked(cloudwatch.calls()), 2, "what was found counts for an hour");
    clock.sleep(Duration::from_secs(3600)).await;
    assert_eq!(histories(&sensor.readiness(&queries).await), [fired, never]);
    assert_eq!(asked(cloudwatch.calls()), 4);
}

#[tokio::test]
async fn an_alarm_that_turns_often_is_looked_at_for_three_pages() {
    static PAGES: AtomicUsize = AtomicUsize::new(0);
    let cloudwatch = with_history(|_| flapping(PAGES.fetch_add(1, Ordering::Relaxed))).await;
    let sensor = sensor(cloudwatch.aws().await);
    let checks = sensor.readiness(&[watched("flapping")]).await;
    let found = "not in ALARM in its latest turns, back to 2026-01-01T00:00:00Z: it is not known whether it can fire";
    assert_eq!(histories(&checks), [("flapping", belay_ports::CheckVerdict::Warn, found)]);
    assert_eq!(cloudwatch.calls().iter().filter(|call| call["AlarmName"].is_string()).count(), 3);
}

#[tokio::test]
async fn a_history_that_may_not_be_read_is_a_warning_and_the_other_checks_stand() {
    let denied = || {
        let error = cbor!({"__type" => "AccessDeniedException", "message" => "not authorized"});
        ("403 Forbidden", error.unwrap())
    };
    let cloudwatch = with_history(move |_| denied()).await;
    let sensor = sensor(cloudwatch.aws().await);
    let checks = sensor.readiness(&[watched("errors")]).await;
    let (_, verdict, found) = histories(&checks)[0];
    assert_eq!(verdict, belay_ports::CheckVerdict::Warn);
    assert!(found.starts_with("whether it has ever fired is not known: ") && found.contains(HISTORY_CALL), "{found}");
}

#[tokio::test]
async fn of_many_alarms_each_evaluation_looks_at_some_and_at_all_in_the_end() {
    let cloudwatch = with_history(|_| ("200 OK", cbor!({"AlarmHistoryItems" => Vec::<Cbor>::new()}).unwrap())).await;
    let sensor = Alarm::new(cloudwatch.aws().await, Arc::new(Jumping::default()));
    let queries: Vec<Query> = (0..120).map(|number| watched(&format!("alarm-{number:03}"))).collect();
    for looked in [50, 100, 120] {
        let checks = sensor.readiness(&queries).await;
        let known = histories(&checks).iter().filter(|(_, _, found)| found.starts_with("never in ALARM")).count();
        let left = histories(&checks).iter().filter(|(_, _, found)| found.contains("not looked at yet")).count();
        assert_eq!((known, left), (looked, 120 - looked));
    }
}

#[test]
fn the_history_is_permitted_where_a_trigger_goes_by_the_alarm() {
    let sensor = sensor(crate::testing::nowhere());
    let actions = |query: Query| sensor.permissions(&query).into_iter().map(|one| one.action).collect::<Vec<_>>();
    assert_eq!(actions(watched("errors")), [CALL, data::CALL, HISTORY_CALL]);
    assert_eq!(actions(query("errors")), [CALL, data::CALL]);
}

#[tokio::test]
async fn the_alarms_that_a_composite_alarm_goes_by_are_read_for_its_time_to_detection() {
    let cloudwatch = CloudWatch::start(|call| match names(call).as_slice() {
        ["any"] => {
            let rule = r#"ALARM("errors") OR ALARM(missing-latency)"#;
            let any = cbor!({"AlarmName" => "any", "StateValue" => "OK", "AlarmRule" => rule}).unwrap();
            ("200 OK", cbor!({"CompositeAlarms" => [any]}).unwrap())
        }
        _ => found(call),
    })
    .await;
    let sensor = sensor(cloudwatch.aws().await);
    let checks = sensor.readiness(&[query("any")]).await.remove(0).checks;
    let detection = checks.iter().find(|check| check.id == "detection").unwrap();
    assert_eq!(detection.verdict, belay_ports::CheckVerdict::NoGo);
    assert_eq!(detection.found, "it may never show a breach: there is no alarm missing-latency, which its rule names");
    let asked: Vec<Value> = cloudwatch.calls();
    assert_eq!(asked.iter().map(names).collect::<Vec<_>>(), [vec!["any"], vec!["errors", "missing-latency"]]);
}

/// A state that was set by hand, or missing data that is no breach: the state of an alarm does not show that its metric has no data.
#[tokio::test]
async fn an_alarm_that_is_ok_and_whose_metric_has_no_data_is_found() {
    let metric = |name: &str| {
        cbor!({
            "AlarmName" => name, "StateValue" => "OK", "StateReason" => "set by hand", "Namespace" => "Shop",
            "MetricName" => name, "Statistic" => "Sum", "Period" => 60, "EvaluationPeriods" => 3,
        })
        .unwrap()
    };
    let cloudwatch = CloudWatch::start(move |call| match (names(call).as_slice(), &call["MetricDataQueries"]) {
        (_, Value::Array(queries)) => {
            let result = |query: &Value| {
                let counted = query["MetricStat"]["Metric"]["MetricName"] == "counted";
                let values = if counted { vec![1.0] } else { Vec::new() };
                cbor!({"Id" => query["Id"].as_str().unwrap(), "Values" => values}).unwrap()
            };
            ("200 OK", cbor!({"MetricDataResults" => queries.iter().map(result).collect::<Vec<_>>()}).unwrap())
        }
        (["any"], _) => {
            let any =
                cbor!({"AlarmName" => "any", "StateValue" => "OK", "AlarmRule" => "ALARM(counted) OR ALARM(gone)"});
            ("200 OK", cbor!({"CompositeAlarms" => [any.unwrap()]}).unwrap())
        }
        (names, _) => {
            let alarms: Vec<Cbor> = names.iter().map(|name| metric(name)).collect();
            ("200 OK", cbor!({"MetricAlarms" => alarms}).unwrap())
        }
    })
    .await;
    let clock = Arc::new(Jumping::default());
    let sensor = Alarm::new(cloudwatch.aws().await, clock.clone());
    let found = async |alarm: &str| {
        let checks = sensor.readiness(&[query(alarm)]).await.remove(0).checks;
        checks.into_iter().find(|check| check.id == "alarm_data").map(|check| (check.verdict, check.found))
    };
    let warn = belay_ports::CheckVerdict::Warn;
    assert_eq!(found("counted").await, None);
    assert_eq!(found("gone").await, Some((warn, "is OK, and no data has arrived for it in the last 3h".to_owned())));
    let of_child = "gone, which its rule names, is OK, and no data has arrived for it in the last 3h";
    assert_eq!(found("any").await, Some((warn, of_child.to_owned())));
    let asked = || cloudwatch.calls().iter().filter(|call| call["MetricDataQueries"].is_array()).count();
    let before = asked();
    assert_eq!(found("counted").await, None);
    assert_eq!(asked(), before, "data that was seen counts for an hour");
    clock.sleep(Duration::from_secs(3600)).await;
    assert_eq!(found("counted").await, None);
    assert_eq!(asked(), before + 1);
}
