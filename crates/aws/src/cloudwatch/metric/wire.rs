//! `metric` over the wire, against a CloudWatch of the test.

use belay_core::reading::Health;
use belay_plan::model::AwsTarget;
use ciborium::{Value as Cbor, cbor};
use serde_json::json;

use super::*;
use crate::{
    cloudwatch::testing::{Answer, CloudWatch, refused},
    testing::{Still, target},
};

/// The queries of a call, by id: a metric's name, or an expression.
fn queries(body: &serde_json::Value) -> Vec<(String, String)> {
    let queries = body["MetricDataQueries"].as_array().unwrap().iter();
    let told = queries.map(|query| {
        let asked = query["Expression"].as_str().or(query["MetricStat"]["Metric"]["MetricName"].as_str());
        (query["Id"].as_str().unwrap().to_owned(), asked.unwrap().to_owned())
    });
    told.collect()
}

async fn cloudwatch(answer: fn(&[(String, String)]) -> Answer) -> CloudWatch {
    CloudWatch::start(move |body| answer(&queries(body))).await
}

async fn read(cloudwatch: &CloudWatch, metrics: &[serde_json::Value]) -> Vec<Reading> {
    let sensor = Metric::new(cloudwatch.aws().await, Arc::new(Still { wakes: false }));
    let query = |metric: &serde_json::Value| Query {
        signal: "metric".to_owned(),
        spec: json!({"metric": metric, "healthy": "<= 1"}),
        aws: AwsTarget { account: None, ..target() },
        of_trigger: false,
        baseline: Default::default(),
    };
    sensor.read(&metrics.iter().map(query).collect::<Vec<_>>()).await
}

fn calls(cloudwatch: &CloudWatch) -> Vec<Vec<(String, String)>> {
    cloudwatch.calls().iter().map(queries).collect()
}

/// The period before 1970-01-01T00:00:00Z, which is when the test's clock stands.
fn point(id: &str, label: &str, value: f64) -> Cbor {
    let minute_ago = Cbor::Tag(1, Box::new(Cbor::from(-60)));
    cbor!({
        "Id" => id, "Label" => label, "Timestamps" => [minute_ago], "Values" => [value], "StatusCode" => "Complete"
    })
    .unwrap()
}

fn metric(name: &str) -> serde_json::Value {
    json!({"namespace": "N", "name": name, "stat": "Average", "period": "1m", "dimensions": {}})
}

fn wrong(asked: &[(String, String)]) -> bool {
    asked.iter().any(|(_, asked)| asked.contains("NONSENSE"))
}

#[tokio::test]
async fn one_bad_expression_does_not_blind_its_neighbours() {
    let cloudwatch = cloudwatch(|asked| match wrong(asked) {
        true => refused("Unsupported operation"),
        false => {
            let results: Vec<Cbor> = asked.iter().map(|(id, name)| point(id, name, 0.5)).collect();
            ("200 OK", cbor!({"MetricDataResults" => results}).unwrap())
        }
    })
    .await;
    let bad = json!({"expression": "NONSENSE(a)", "metrics": {"a": metric("A")}});
    let readings = read(&cloudwatch, &[metric("A"), bad, metric("B")]).await;
    let health: Vec<_> = readings.iter().map(|reading| (reading.health, reading.unreadable)).collect();
    assert_eq!(health, [(Health::Healthy, false), (Health::Unknown, true), (Health::Healthy, false)]);
    assert!(readings[1].evidence.contains("Unsupported operation"), "{}", readings[1].evidence);
    // All of them together, `A` once; then halves, until the bad one is alone.
    let sizes: Vec<_> = calls(&cloudwatch).iter().map(Vec::len).collect();
    assert_eq!((sizes[0], sizes.len()), (3, 5), "{:?}", calls(&cloudwatch));
}

#[tokio::test]
async fn every_series_of_a_search_is_judged() {
    let cloudwatch = cloudwatch(|asked| {
        let (id, _) = &asked[0];
        let results = vec![point(id, "web-1", 0.5), point(id, "web-2", 9.0)];
        ("200 OK", cbor!({"MetricDataResults" => results}).unwrap())
    })
    .await;
    let readings =
        read(&cloudwatch, &[json!({"expression": "SEARCH('{N,Host} Load', 'Average')", "period": "1m"})]).await;
    assert_eq!(readings[0].health, Health::Unhealthy);
    assert!(readings[0].evidence.starts_with("1 of 2 series unhealthy (web-2); web-2: "), "{}", readings[0].evidence);
}

#[tokio::test]
async fn what_is_cut_short_for_all_is_asked_for_alone() {
    let cloudwatch = cloudwatch(|asked| {
        let results: Vec<Cbor> = asked.iter().map(|(id, name)| point(id, name, 0.5)).collect();
        let message = cbor!({"Code" => "MaxMetricsExceeded", "Value" => "Maximum number of allowed metrics exceeded"});
        let messages = if asked.len() > 1 { vec![message.unwrap()] } else { Vec::new() };
        ("200 OK", cbor!({"MetricDataResults" => results, "Messages" => messages}).unwrap())
    })
    .await;
    let readings = read(&cloudwatch, &[metric("A"), metric("B")]).await;
    assert!(readings.iter().all(|reading| reading.health == Health::Healthy), "{readings:?}");
    assert_eq!(calls(&cloudwatch).len(), 3);
}

#[tokio::test]
async fn a_metric_without_a_data_point_is_a_warning_where_missing_data_counts_as_healthy() {
    let cloudwatch = cloudwatch(|asked| {
        let empty = |id: &str| {
            let none: [Cbor; 0] = [];
            cbor!({"Id" => id, "Label" => "L", "Timestamps" => none.clone(), "Values" => none, "StatusCode" => "Complete"})
        };
        let result = |(id, name): &(String, String)| match name.as_str() {
            "SILENT" => empty(id).unwrap(),
            _ => point(id, name, 0.5),
        };
        ("200 OK", cbor!({"MetricDataResults" => asked.iter().map(result).collect::<Vec<_>>()}).unwrap())
    })
    .await;
    let sensor = Metric::new(cloudwatch.aws().await, Arc::new(Still { wakes: false }));
    let query = |name: &str, missing: &str| Query {
        signal: name.to_owned(),
        spec: json!({"metric": metric(name), "healthy": "<= 1", "missing": missing}),
        aws: AwsTarget { account: None, ..target() },
        of_trigger: true,
        baseline: Default::default(),
    };
    let queries = [query("SILENT", "healthy"), query("BUSY", "healthy"), query("SILENT", "unknown")];
    let found = sensor.readiness(&queries).await;
    let ids = |found: &SignalReadiness| found.checks.iter().map(|check| check.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&found[0]), ["detection", "metric_data"]);
    let check = &found[0].checks[1];
    assert_eq!(check.verdict, belay_ports::CheckVerdict::Warn);
    assert!(check.found.starts_with("no data point has arrived in the last "), "{check:?}");
    assert!(check.found.ends_with("it is not known whether it can fire"), "{check:?}");
    assert!(check.cure.contains("SILENT of N"), "{check:?}");
    assert_eq!([ids(&found[1]), ids(&found[2])], [["detection"], ["detection"]], "of the last, the reading shows it");
    // Each metric asked for is paid.
    assert_eq!(calls(&cloudwatch)[0].len(), 2);
}
