//! `metric` over the wire, against a CloudWatch of the test.

use std::{io, sync::Mutex};

use belay_core::reading::Health;
use belay_plan::model::AwsTarget;
use ciborium::{Value as Cbor, cbor};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::*;
use crate::{
    session::Access,
    testing::{Still, aws_at, target},
};

/// The queries of each call, by id: a metric's name, or an expression.
type Seen = Arc<Mutex<Vec<Vec<(String, String)>>>>;

/// A status and a body for the queries of a call.
type Answer = fn(&[(String, String)]) -> (&'static str, Cbor);

struct CloudWatch {
    url: String,
    seen: Seen,
    _server: JoinSet<io::Result<()>>,
}

impl CloudWatch {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, mut server) = (Seen::default(), JoinSet::new());
        let calls = Arc::clone(&seen);
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await?;
                let mut request = Vec::new();
                let body = loop {
                    stream.read_buf(&mut request).await?;
                    if let Some(body) = whole_body(&request) {
                        break body;
                    }
                };
                let asked = queries(&body);
                let (status, answer) = answer(&asked);
                calls.lock().unwrap().push(asked);
                let mut body = Vec::new();
                ciborium::into_writer(&answer, &mut body).unwrap();
                let head = format!(
                    "HTTP/1.1 {status}\r\nsmithy-protocol: rpc-v2-cbor\r\ncontent-type: application/cbor\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), &body].concat()).await?;
            }
        });
        Self { url, seen, _server: server }
    }

    async fn read(&self, metrics: &[serde_json::Value]) -> Vec<Reading> {
        let aws = aws_at(Access::ReadOnly, &self.url).await;
        let sensor = Metric::new(aws, Arc::new(Still { wakes: false }));
        let query = |metric: &serde_json::Value| Query {
            signal: "metric".to_owned(),
            spec: json!({"metric": metric, "healthy": "<= 1"}),
            aws: AwsTarget { account: None, ..target() },
            baseline: Vec::new(),
        };
        sensor.read(&metrics.iter().map(query).collect::<Vec<_>>()).await
    }

    fn calls(&self) -> Vec<Vec<(String, String)>> {
        self.seen.lock().unwrap().clone()
    }
}

fn whole_body(request: &[u8]) -> Option<Vec<u8>> {
    let head_end = request.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&request[..head_end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let body = &request[head_end..];
    (body.len() == length.parse::<usize>().unwrap()).then(|| body.to_vec())
}

fn queries(body: &[u8]) -> Vec<(String, String)> {
    let body: serde_json::Value = ciborium::from_reader(body).map(plain).unwrap();
    let queries = body["MetricDataQueries"].as_array().unwrap().iter();
    let told = queries.map(|query| {
        let asked = query["Expression"].as_str().or(query["MetricStat"]["Metric"]["MetricName"].as_str());
        (query["Id"].as_str().unwrap().to_owned(), asked.unwrap().to_owned())
    });
    told.collect()
}

/// As far as the ids and names of queries go.
fn plain(value: Cbor) -> serde_json::Value {
    match value {
        Cbor::Map(entries) => {
            entries.into_iter().map(|(key, value)| (key.into_text().unwrap(), plain(value))).collect()
        }
        Cbor::Array(items) => items.into_iter().map(plain).collect(),
        Cbor::Text(text) => text.into(),
        _ => serde_json::Value::Null,
    }
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
    json!({"namespace": "N", "name": name, "stat": "Sum", "period": "1m", "dimensions": {}})
}

fn wrong(asked: &[(String, String)]) -> bool {
    asked.iter().any(|(_, asked)| asked.contains("NONSENSE"))
}

#[tokio::test]
async fn one_bad_expression_does_not_blind_its_neighbours() {
    let cloudwatch = CloudWatch::start(|asked| match wrong(asked) {
        true => {
            let error = cbor!({"__type" => "ValidationError", "message" => "Unsupported operation"});
            ("400 Bad Request", error.unwrap())
        }
        false => {
            let results: Vec<Cbor> = asked.iter().map(|(id, name)| point(id, name, 0.5)).collect();
            ("200 OK", cbor!({"MetricDataResults" => results}).unwrap())
        }
    })
    .await;
    let bad = json!({"expression": "NONSENSE(a)", "metrics": {"a": metric("A")}});
    let readings = cloudwatch.read(&[metric("A"), bad, metric("B")]).await;
    let health: Vec<_> = readings.iter().map(|reading| (reading.health, reading.unreadable)).collect();
    assert_eq!(health, [(Health::Healthy, false), (Health::Unknown, true), (Health::Healthy, false)]);
    assert!(readings[1].evidence.contains("Unsupported operation"), "{}", readings[1].evidence);
    // All of them together, `A` once; then each alone.
    let sizes: Vec<_> = cloudwatch.calls().iter().map(Vec::len).collect();
    assert_eq!((sizes[0], sizes.len()), (3, 4), "{:?}", cloudwatch.calls());
}

#[tokio::test]
async fn every_series_of_a_search_is_judged() {
    let cloudwatch = CloudWatch::start(|asked| {
        let (id, _) = &asked[0];
        let results = vec![point(id, "web-1", 0.5), point(id, "web-2", 9.0)];
        ("200 OK", cbor!({"MetricDataResults" => results}).unwrap())
    })
    .await;
    let readings = cloudwatch.read(&[json!({"expression": "SEARCH('{N,Host} Load', 'Sum')", "period": "1m"})]).await;
    assert_eq!(readings[0].health, Health::Unhealthy);
    assert!(readings[0].evidence.starts_with("1 of 2 series unhealthy (web-2); web-2: "), "{}", readings[0].evidence);
}

#[tokio::test]
async fn what_is_cut_short_for_all_is_asked_for_alone() {
    let cloudwatch = CloudWatch::start(|asked| {
        let results: Vec<Cbor> = asked.iter().map(|(id, name)| point(id, name, 0.5)).collect();
        let message = cbor!({"Code" => "MaxMetricsExceeded", "Value" => "Maximum number of allowed metrics exceeded"});
        let messages = if asked.len() > 1 { vec![message.unwrap()] } else { Vec::new() };
        ("200 OK", cbor!({"MetricDataResults" => results, "Messages" => messages}).unwrap())
    })
    .await;
    let readings = cloudwatch.read(&[metric("A"), metric("B")]).await;
    assert!(readings.iter().all(|reading| reading.health == Health::Healthy), "{readings:?}");
    assert_eq!(cloudwatch.calls().len(), 3);
}
