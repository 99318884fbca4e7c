//! The probes against listeners on the loopback interface. Time is the test's: a limit never runs out by itself.

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use belay_core::reading::{Health, Reading};
use belay_local::permit::Gate;
use belay_plan::model::AwsTarget;
use belay_ports::{Clock, Fut, Sensors, sensor::Query};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
    task::JoinSet,
};

use crate::Probes;

mod apis;
mod certificates;
mod names;
mod pages;

/// Stands still. Its sleeps end when the test says so.
#[derive(Default)]
struct Still {
    time_is_up: Notify,
}

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-03-01T02:11:07Z".parse().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(7)
    }

    fn sleep<'a>(&'a self, _time: Duration) -> Fut<'a, ()> {
        Box::pin(self.time_is_up.notified())
    }
}

fn query(spec: Value) -> Query {
    Query {
        signal: "probe".to_owned(),
        spec,
        aws: AwsTarget::default(),
        of_trigger: false,
        baseline: Default::default(),
    }
}

async fn read_with(clock: Arc<Still>, spec: Value) -> Reading {
    let kind = spec.as_object().unwrap().keys().next().unwrap().clone();
    let sensor = Probes::new(clock, Gate::default()).sensor(&kind).unwrap();
    let mut readings = sensor.read(&[query(spec)]).await;
    assert_eq!(readings.len(), 1);
    readings.remove(0)
}

async fn read(spec: Value) -> Reading {
    read_with(Arc::default(), spec).await
}

/// An address that nothing listens on.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Answers every connection with the same bytes.
async fn page(tasks: &mut JoinSet<()>, answer: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn http_compares_status_and_body() {
    let mut tasks = JoinSet::new();
    let good = page(&mut tasks, answer("200 OK", "all is ok")).await;
    let bad = page(&mut tasks, answer("503 Service Unavailable", "")).await;
    let moved = page(&mut tasks, answer("301 Moved Permanently\r\nLocation: http://127.0.0.1:1/", "")).await;
    let large = page(&mut tasks, answer("200 OK", &format!("{}ok", "-".repeat(64 * 1024)))).await;
    let get = |address: SocketAddr, contains: Option<&str>| {
        let url = format!("http://visitor:secret@{address}/health");
        json!({ "http": { "url": url, "status": 200, "body_contains": contains, "timeout": "5s" } })
    };
    let cases = [
        (good, None, Health::Healthy, "answered 200 in 0 ms"),
        (good, Some("ok"), Health::Healthy, "answered 200 in 0 ms, and its body contains `ok`"),
        (good, Some("fine"), Health::Unhealthy, "answered 200 in 0 ms, but its body does not contain `fine`"),
        (bad, Some("ok"), Health::Unhealthy, "answered 503 in 0 ms, wanted 200"),
        (moved, None, Health::Unhealthy, "answered 301 in 0 ms, wanted 200"),
        (
            large,
            Some("ok"),
            Health::Unhealthy,
            "answered 200 in 0 ms, but the first 64 KiB of its body do not contain `ok`",
        ),
    ];
    let either = json!({ "http": { "url": format!("http://{moved}/"), "status": [200, 301], "timeout": "5s" } });
    assert_eq!(read(either).await.health, Health::Healthy);
    for (address, contains, health, evidence) in cases {
        let reading = read(get(address, contains)).await;
        assert_eq!((reading.health, reading.unreadable), (health, false), "{}", reading.evidence);
        assert_eq!(reading.evidence, format!("GET http://{address}/health {evidence}"));
    }
}

#[tokio::test]
async fn http_that_is_not_answered_is_unhealthy() {
    let address = closed().await;
    let reading =
        read(json!({ "http": { "url": format!("http://{address}/"), "status": 200, "timeout": "5s" } })).await;
    assert_eq!((reading.health, reading.unreadable), (Health::Unhealthy, false));
    assert!(reading.evidence.contains("was not answered: "), "{}", reading.evidence);
    assert!(reading.evidence.contains("refused"), "{}", reading.evidence);
}

#[tokio::test]
async fn http_time_out_is_unhealthy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clock = Arc::new(Still::default());
    let reading = read_with(
        Arc::clone(&clock),
        json!({ "http": { "url": format!("http://{address}/"), "status": 200, "timeout": "5s" } }),
    );
    let silent_server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        clock.time_is_up.notify_waiters();
        pending::<()>().await;
    };
    let reading = tokio::select! { reading = reading => reading, () = silent_server => unreachable!() };
    assert_eq!((reading.health, reading.unreadable), (Health::Unhealthy, false));
    assert_eq!(reading.evidence, format!("GET http://{address}/ was not answered within 5s"));
}

#[tokio::test]
async fn what_fails_on_this_host_is_unknown() {
    let mut tasks = JoinSet::new();
    let no_tls = page(&mut tasks, answer("400 Bad Request", "")).await;
    let specs = [
        json!({ "http": { "url": "http://nowhere.invalid/", "status": 200, "timeout": "5s" } }),
        json!({ "http": { "url": format!("https://{no_tls}/"), "status": 200, "timeout": "5s" } }),
        json!({ "http": { "url": "http://[/", "status": 200, "timeout": "5s" } }),
        json!({ "http": { "address": "of another kind" } }),
        json!({ "tcp": { "address": "nowhere.invalid:5432", "timeout": "5s" } }),
        json!({ "dns": { "name": "example.test", "type": "A", "answers_any": ["192.0.2.1"], "server": "nowhere.invalid" } }),
    ];
    for spec in specs {
        let reading = read(spec.clone()).await;
        assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true), "{spec}: {}", reading.evidence);
    }
}

#[tokio::test]
async fn tcp_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap();
    let reading = read(json!({ "tcp": { "address": open.to_string(), "timeout": "5s" } })).await;
    assert_eq!(reading.health, Health::Healthy);
    assert_eq!(reading.evidence, format!("{open} accepted a connection in 0 ms"));

    let closed = closed().await;
    let reading = read(json!({ "tcp": { "address": closed.to_string(), "timeout": "5s" } })).await;
    assert_eq!((reading.health, reading.unreadable), (Health::Unhealthy, false));
    assert!(reading.evidence.contains("refused"), "{}", reading.evidence);
}

#[tokio::test]
async fn all_queries_are_read_at_once_and_answered_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clock = Arc::new(Still::default());
    let sensor = Probes::new(clock, Gate::default()).sensor("http").unwrap();
    let queries: Vec<Query> = ["first", "second"]
        .map(|name| Query {
            signal: name.to_owned(),
            ..query(json!({ "http": { "url": format!("http://{address}/{name}"), "status": 200, "timeout": "5s" } }))
        })
        .to_vec();
    // Answers none before it has both.
    let server = async {
        let mut streams = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let size = stream.read(&mut request).await.unwrap();
            let first = String::from_utf8_lossy(&request[..size]).contains("/first");
            streams.push((stream, if first { "200 OK" } else { "500 Oops" }));
        }
        for (mut stream, status) in streams {
            stream.write_all(answer(status, "").as_bytes()).await.unwrap();
        }
    };
    let (readings, ()) = tokio::join!(sensor.read(&queries), server);
    let found: Vec<_> = readings.iter().map(|reading| (reading.signal.as_str(), reading.health)).collect();
    assert_eq!(found, [("first", Health::Healthy), ("second", Health::Unhealthy)]);
}

#[tokio::test]
async fn what_is_not_permitted_is_not_sent() {
    let mut tasks = JoinSet::new();
    let address = page(&mut tasks, answer("200 OK", "")).await;
    let with = json!({ "url": format!("http://{address}/"), "status": 200, "timeout": "5s",
        "headers": { "X-Token": "env:PATH" } });
    let queries = [
        query(json!({ "http": with })),
        query(json!({ "http": { "url": format!("http://{address}/"), "status": 200, "timeout": "5s" } })),
    ];
    let sensor = Probes::new(Arc::<Still>::default(), Gate::default().only_listed()).sensor("http").unwrap();
    let readings = sensor.read(&queries).await;
    assert_eq!([readings[0].health, readings[1].health], [Health::Unknown, Health::Healthy]);
    assert!(
        readings[0].evidence.starts_with("not read: signal probe sends env:PATH to 127.0.0.1"),
        "{}",
        readings[0].evidence
    );
}
