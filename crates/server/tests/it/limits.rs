//! Requests that are too much, or too slow.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{Request, Response, StatusCode},
};
use belay_server::http;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::world::{armed, disarmed};

const ROLLBACK: &str = "/v1/migrations/checkout/rollback";
const REASON: &str = r#"{"reason": "customers"}"#;

/// A body that begins and never ends.
fn endless(begin: &str) -> Body {
    let begin = stream::iter([Ok::<_, std::io::Error>(Bytes::from(begin.to_owned()))]);
    Body::from_stream(begin.chain(stream::pending()))
}

/// It is on its way as soon as it was polled.
fn post(router: &Router, body: Body) -> BoxFuture<'static, Response<Body>> {
    let request = Request::post(ROLLBACK).body(body).expect("a request");
    router.clone().oneshot(request).map(|answer| answer.expect("a router always answers")).boxed()
}

async fn kind(answer: Response<Body>) -> String {
    let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    let body: Value = serde_json::from_slice(&body).expect("a problem");
    body["type"].as_str().expect("its type").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_in_time_is_not_waited_for() {
    let test = armed().await;
    let begin = Instant::now();
    let request = Request::post(ROLLBACK).body(endless(&REASON[..10])).unwrap();
    test.send(request).await.expect_problem(408, "slow_body");
    assert_eq!(begin.elapsed().as_secs(), 10);
    test.get("/v1/migrations/checkout").await.expect(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let test = armed().await;
    let chunk = Bytes::from(vec![b' '; 64 * 1024]);
    for chunks in [17, 1_000_000] {
        let long = stream::repeat(chunk.clone()).take(chunks).map(Ok::<_, std::io::Error>);
        let request = Request::post(ROLLBACK).body(Body::from_stream(long)).unwrap();
        test.send(request).await.expect_problem(413, "unreadable_body");
    }
    let largest = format!("{REASON}{}", " ".repeat((1 << 20) - REASON.len()));
    test.post(ROLLBACK, &format!("{largest} ")).await.expect_problem(413, "unreadable_body");
    test.post(ROLLBACK, &largest).await.expect(StatusCode::ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn large_bodies_on_their_way_keep_nobody_from_a_rollback() {
    let test = armed().await;
    let router = http::router(test.daemon.clone());
    let mut hanging: Vec<_> = (0..8).map(|_| post(&router, endless(&" ".repeat(100_000)))).collect();
    for one in &mut hanging {
        assert!(one.now_or_never().is_none());
    }
    let refused = post(&router, endless("")).await;
    assert_eq!((refused.status().as_u16(), kind(refused).await.as_str()), (503, "/problems/busy"));
    assert_eq!(post(&router, Body::from(REASON)).await.status(), StatusCode::ACCEPTED);
    drop(hanging);
    let after = post(&router, Body::from(" ".repeat(100_000) + REASON)).await;
    assert_eq!(kind(after).await, "/problems/already_running");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_act_is_told_before_the_body_is_read() {
    let test = disarmed().await;
    let request = Request::post(ROLLBACK).header("origin", "https://evil.example.com").body(endless("")).unwrap();
    let answer = test.send(request).now_or_never().expect("nothing is waited for");
    answer.expect_problem(403, "forbidden");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_refused() {
    let test = disarmed().await;
    let with = |headers: usize, bytes: usize| {
        let names = (0..headers).map(|number| (format!("x-{number}"), "x".repeat(bytes)));
        names.fold(Request::get("/healthz"), |request, (name, value)| request.header(name, value))
    };
    for (headers, bytes, status) in [(64, 100, 200), (65, 1, 431), (1, 16_000, 200), (1, 17_000, 431)] {
        let answer = test.send(with(headers, bytes).body(Body::empty()).unwrap()).await;
        match status {
            200 => drop(answer.expect(StatusCode::OK)),
            _ => drop(answer.expect_problem(431, "head_too_large")),
        }
    }
    let path = format!("/v1/runs/{}", "x".repeat(17_000));
    test.get(&path).await.expect_problem(431, "head_too_large");
}
