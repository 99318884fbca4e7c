//! The journal as server-sent events.

use std::{pin::Pin, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, Request, Response, StatusCode},
};
use belay_core::event::Event;
use belay_ports::{Journal, NewRecord};
use belay_server::http;
use futures::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::world::{CHECKOUT, Ground, Running, SEARCH, armed, disarmed};

/// An event as a client gets it.
#[derive(Debug, Clone, PartialEq)]
struct Got {
    id: String,
    kind: String,
    data: Value,
}

struct Client {
    body: Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>,
    text: String,
}

impl Client {
    /// The next block of lines; none at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let bytes = self.body.next().await?.expect("a sound body");
            self.text.push_str(std::str::from_utf8(&bytes).expect("whole characters"));
        }
    }

    /// The next event; comments are passed over.
    async fn next(&mut self) -> Option<Got> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            if let Some(data) = field("data") {
                return Some(Got {
                    id: field("id").unwrap_or_default().to_owned(),
                    kind: field("event").expect("a type").to_owned(),
                    data: serde_json::from_str(data).expect("JSON"),
                });
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Got> {
        let mut got = Vec::new();
        for _ in 0..count {
            got.push(self.next().await.expect("one more event"));
        }
        got
    }

    /// What there is without waiting.
    async fn ready(&mut self) -> Vec<Got> {
        let mut got = Vec::new();
        while let Ok(Some(event)) = timeout(Duration::from_secs(1), self.next()).await {
            got.push(event);
        }
        got
    }
}

async fn ask(router: &Router, method: Method, path: &str, last: Option<&str>) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let request = request.body(Body::empty()).expect("a request");
    router.clone().oneshot(request).await.expect("a router always answers")
}

async fn open(router: &Router, path: &str, last: Option<&str>) -> Client {
    let response = ask(router, Method::GET, path, last).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Client { body: Box::pin(response.into_body().into_data_stream()), text: String::new() }
}

async fn follow(test: &Running, path: &str) -> Client {
    open(&http::router(test.daemon.clone()), path, None).await
}

/// Everything from the first record on.
async fn whole(test: &Running) -> Vec<Got> {
    let mut client = follow(test, "/v1/events?after=").await;
    assert_eq!(client.take(1).await[0].id, "0");
    client.ready().await
}

async fn append(test: &Running, stream: &str, after: u64, why: impl Fn(u64) -> String, count: u64) {
    let records = (0..count).map(|number| {
        let event = Event::Disarmed { why: why(number) };
        NewRecord { at: Timestamp::UNIX_EPOCH, actor: "ana".to_owned(), event }
    });
    test.ground.journal.append(stream, after, records.collect()).await.expect("it takes them");
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_told_as_it_happens() {
    let test = disarmed().await;
    let mut client = follow(&test, "/v1/events").await;
    let ready = client.next().await.unwrap();
    assert_eq!((ready.id.as_str(), ready.kind.as_str(), &ready.data), ("0", "ready", &json!({ "cursor": "0" })));
    assert!(timeout(Duration::from_secs(5), client.next()).await.is_err(), "nothing has happened yet");
    test.post("/v1/migrations/checkout/arm", r#"{"reason": "tonight"}"#).await.expect(StatusCode::OK);
    let got = client.ready().await;
    let records = test.ground.journal.read("checkout", 0).await.unwrap();
    assert_eq!(got.len(), records.len());
    for (got, record) in got.iter().zip(&records) {
        assert_eq!(got.kind, json!(record.event)["type"]);
        let members: Vec<&String> = got.data.as_object().unwrap().keys().collect();
        assert_eq!(members, ["cursor", "migration", "seq", "at", "actor", "event"]);
        assert_eq!(got.data["cursor"], got.id);
        assert_eq!(got.data["migration"], "checkout");
        assert_eq!(got.data["seq"], record.seq);
        assert_eq!(got.data["at"], record.at.to_string());
        assert_eq!(got.data["actor"], record.actor);
        assert_eq!(got.data["event"]["type"], got.kind);
    }
    assert_eq!(got[0].data["event"]["reason"], "tonight");
}

#[tokio::test(start_paused = true)]
async fn every_cursor_leads_on_to_exactly_the_rest_also_after_a_restart() {
    let test = armed().await;
    test.roll_back().await;
    append(&test, "other", 0, |number| number.to_string(), 3).await;
    let all = whole(&test).await;
    assert!(all.len() > 10, "{all:#?}");
    let test = test.restart().await;
    let router = http::router(test.daemon.clone());
    let now = whole(&test).await; // the restart itself goes on record
    assert!(now.starts_with(&all));
    for (number, event) in now.iter().enumerate() {
        let mut client = open(&router, &format!("/v1/events?after={}", event.id), None).await;
        assert_eq!(client.next().await.unwrap().id, event.id);
        let rest = &now[number + 1..];
        assert!(client.take(rest.len()).await == rest, "behind {}", event.id);
    }
    // As a browser does: the old query, and how far it has come.
    let mut client = open(&router, "/v1/events?after=", Some(&now[4].id)).await;
    assert_eq!(client.take(2).await[1], now[5]);
    let mut client = open(&router, "/v1/events?after=", Some("")).await;
    assert_eq!(client.take(2).await[1], now[0]);
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_falls_behind_and_still_gets_everything_once() {
    let test = disarmed().await;
    let router = http::router(test.daemon.clone());
    let mut slow = open(&router, "/v1/events", None).await;
    slow.take(1).await;
    let mut quick = open(&router, "/v1/events", None).await;
    quick.take(1).await;
    let mut after = 0;
    for turn in 0..40 {
        append(&test, "left", after, |number| format!("{turn}/{number}"), 50).await;
        append(&test, "right", after, |number| format!("{turn}/{number}"), 50).await;
        after += 50;
        assert_eq!(quick.take(100).await.len(), 100);
    }
    let got = slow.take(4000).await;
    for (stream, seqs) in [("left", 1..=2000), ("right", 1..=2000)] {
        let seen = got.iter().filter(|event| event.data["migration"] == stream);
        assert!(seen.map(|event| event.data["seq"].as_u64().unwrap()).eq(seqs), "{stream}");
    }
    append(&test, "left", after, |_| "live again".to_owned(), 1).await;
    assert_eq!(slow.next().await, quick.next().await);
}

#[tokio::test(start_paused = true)]
async fn one_migration_can_be_followed_alone() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT), ("search.yaml", SEARCH)]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    let mut client = follow(&test, "/v1/events?migration=search").await;
    client.take(1).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    append(&test, "search", 0, |_| "mine".to_owned(), 1).await;
    let got = client.ready().await;
    assert_eq!(got.len(), 1, "{got:#?}");
    assert_eq!(got[0].data["event"], json!({ "type": "disarmed", "why": "mine" }));
    test.get("/v1/events?migration=billing").await.expect_problem(404, "not_found");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_leads_nowhere_says_what_to_do() {
    let test = armed().await;
    let all = whole(&test).await;
    let second = &all[1].id;
    let (position, hash) = second.split_once('-').unwrap();
    let wrong = [
        ("1", "is no cursor"),
        ("-", "is no cursor"),
        ("yesterday", "is no cursor"),
        ("-1", "is no cursor"),
        (&format!("0{second}"), "is no cursor"),
        (&format!("{second}0"), "is no cursor"),
        (&format!("999999-{hash}"), "ahead"),
        (&format!("{}-{hash}", u64::MAX), "ahead"),
        (&format!("{position}-000000000000"), "another record"),
    ];
    for (cursor, says) in wrong {
        let answer = test.get(&format!("/v1/events?after={cursor}")).await;
        let problem = match says {
            "is no cursor" => answer.expect_problem(422, "bad_cursor"),
            _ => answer.expect_problem(409, "strange_cursor"),
        };
        assert!(problem["detail"].as_str().unwrap().contains(says), "{cursor}: {problem:#}");
        assert!(problem["help"].as_str().unwrap().contains("without a cursor"), "{problem:#}");
    }
    let header = ask(&http::router(test.daemon.clone()), Method::GET, "/v1/events", Some("nonsense")).await;
    assert_eq!(header.status(), StatusCode::UNPROCESSABLE_ENTITY);
    test.get("/v1/events?from=0").await.expect_problem(422, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn plans_and_whatever_is_long_stand_as_their_hash() {
    let test = armed().await;
    append(&test, "other", 0, |_| "x".repeat(65_537), 1).await;
    append(&test, "other", 1, |_| "y".repeat(60_000), 1).await;
    let all = whole(&test).await;
    let member = |kind: &str, member: &str| {
        let found = all.iter().find(|event| event.kind == kind).expect("it happened");
        found.data["event"][member].clone()
    };
    for document in [member("plan_pinned", "plan"), member("baseline_captured", "baseline")] {
        assert_eq!(document["sha256"].as_str().unwrap().len(), 64, "{document}");
        assert!(document["bytes"].as_u64().unwrap() > 0);
    }
    assert!(member("plan_pinned", "plan_sha256").is_string());
    let [long, short] = [0, 1].map(|number| all.iter().filter(|event| event.data["migration"] == "other").nth(number));
    let (long, short) = (long.unwrap(), short.unwrap());
    assert_eq!(long.data["event"]["why"]["bytes"], 65_539);
    assert_eq!(short.data["event"]["why"].as_str().unwrap().len(), 60_000);
}

#[tokio::test(start_paused = true)]
async fn a_comment_keeps_a_quiet_stream_alive() {
    let test = disarmed().await;
    let mut client = follow(&test, "/v1/events").await;
    client.take(1).await;
    let start = tokio::time::Instant::now();
    for number in 1..=3 {
        assert_eq!(client.block().await.as_deref(), Some(":"));
        assert_eq!(start.elapsed().as_secs(), 15 * number);
    }
}

#[tokio::test(start_paused = true)]
async fn streams_end_when_the_daemon_stops() {
    let test = armed().await;
    let router = http::router(test.daemon.clone());
    let mut live = open(&router, "/v1/events", None).await;
    live.take(1).await;
    let mut behind = open(&router, "/v1/events?after=", None).await;
    behind.take(2).await;
    test.daemon.shutdown().await;
    while live.next().now_or_never().expect("it ends at once").is_some() {}
    while behind.next().now_or_never().expect("it ends at once").is_some() {}
}

#[tokio::test(start_paused = true)]
async fn so_many_may_follow_and_heads_are_not_counted() {
    let test = disarmed().await;
    let router = http::router(test.daemon.clone());
    let mut clients = Vec::new();
    for _ in 0..256 {
        assert_eq!(ask(&router, Method::HEAD, "/v1/events", None).await.status(), StatusCode::OK);
        clients.push(open(&router, "/v1/events", None).await);
    }
    assert_eq!(ask(&router, Method::GET, "/v1/events", None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    clients.pop();
    open(&router, "/v1/events", None).await;
}
