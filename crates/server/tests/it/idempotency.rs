//! `Idempotency-Key`: nothing is done twice, and whoever asks again gets the same answer.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use belay_core::reading::Health;
use belay_sim::Rule;
use serde_json::{Value, json};
use tokio::{join, time::timeout};

use crate::world::{Answer, Running, armed, disarmed};

const ROLLBACK: &str = "/v1/migrations/checkout/rollback";
const REASON: &str = r#"{"reason": "customers"}"#;

async fn post(test: &Running, path: &str, key: &str, body: &str) -> Answer {
    let request = Request::post(path).header("idempotency-key", key).body(Body::from(body.to_owned()));
    test.send(request.expect("a request")).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

async fn runs(test: &Running) -> Vec<Value> {
    test.get("/v1/runs").await.body["items"].as_array().expect("a list").clone()
}

#[tokio::test(start_paused = true)]
async fn the_same_request_again_is_answered_and_not_done_again() {
    let test = armed().await;
    let first = post(&test, ROLLBACK, "one", REASON).await;
    let again = post(&test, ROLLBACK, "one", REASON).await;
    assert!(!is_replayed(&first) && is_replayed(&again));
    assert_eq!((again.status, &again.body), (StatusCode::ACCEPTED, &first.body));
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_eq!(runs(&test).await.len(), 1);
    // Without the key, or under another, it is another request.
    test.post(ROLLBACK, REASON).await.expect_problem(409, "already_running");
    post(&test, ROLLBACK, "two", REASON).await.expect_problem(409, "already_running");
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_for_the_state_is_tried_again_under_its_key() {
    let test = disarmed().await;
    post(&test, ROLLBACK, "early", REASON).await.expect_problem(409, "wrong_state");
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    let now = post(&test, ROLLBACK, "early", REASON).await;
    assert!(!is_replayed(&now));
    now.expect(StatusCode::ACCEPTED);
    assert!(is_replayed(&post(&test, ROLLBACK, "early", REASON).await));
}

#[tokio::test(start_paused = true)]
async fn a_key_stands_for_one_request() {
    let test = armed().await;
    post(&test, "/v1/migrations/checkout/cutover", "k", "{}").await.expect(StatusCode::OK);
    for (path, body) in [
        ("/v1/migrations/checkout/cutover", r#"{"reason": "x"}"#),
        ("/v1/migrations/checkout/cutover?x=1", "{}"),
        ("/v1/migrations/checkout/disarm", "{}"),
    ] {
        let refused = post(&test, path, "k", body).await.expect_problem(422, "idempotency_key_reused");
        assert!(refused["detail"].as_str().unwrap().contains("the key k "), "{refused:#}");
    }
    assert_eq!(test.get("/v1/migrations/checkout").await.body["state"], "armed");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_key_is_refused_and_nothing_is_done() {
    let test = armed().await;
    for key in ["", "two words", "caf\u{e9}", &"x".repeat(256)] {
        let request =
            Request::post(ROLLBACK).header("idempotency-key", key.as_bytes()).body(Body::from(REASON)).unwrap();
        test.send(request).await.expect_problem(400, "bad_idempotency_key");
    }
    let twice = Request::post(ROLLBACK).header("idempotency-key", "a").header("idempotency-key", "b");
    test.send(twice.body(Body::from(REASON)).unwrap()).await.expect_problem(400, "bad_idempotency_key");
    assert!(runs(&test).await.is_empty());
    post(&test, ROLLBACK, &"x".repeat(255), REASON).await.expect(StatusCode::ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn a_second_request_waits_for_the_first() {
    let test = armed().await;
    let body = r#"{"reason": "rehearsal", "dry_run": true}"#;
    let (one, other) = join!(post(&test, ROLLBACK, "k", body), post(&test, ROLLBACK, "k", body));
    assert!(is_replayed(&one) != is_replayed(&other));
    assert_eq!((one.status, &one.body), (StatusCode::ACCEPTED, &other.body));
    assert_eq!(runs(&test).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_nothing_twice() {
    let test = armed().await;
    test.ground.world.set_rule("blue_ready", Rule::Always(Health::Unhealthy));
    let run = post(&test, ROLLBACK, "k", REASON).await.expect(StatusCode::ACCEPTED)["run"].clone();
    let hold = format!("/v1/runs/{}/hold", run.as_str().unwrap());
    post(&test, &hold, "h", REASON).await.expect(StatusCode::OK);

    // Another process has only the journal to go by.
    let config = test.ground.config();
    let test = test.restart_with(config).await;
    let again = post(&test, ROLLBACK, "k", REASON).await;
    assert!(is_replayed(&again));
    assert_eq!(again.headers["location"].to_str().unwrap(), format!("/v1/runs/{}", run.as_str().unwrap()));
    assert_eq!(again.expect(StatusCode::ACCEPTED), json!({ "run": run }));
    post(&test, ROLLBACK, "k", r#"{"reason": "other"}"#).await.expect_problem(422, "idempotency_key_reused");

    let held = post(&test, &hold, "h", REASON).await;
    assert!(is_replayed(&held));
    assert_eq!(held.expect(StatusCode::OK)["state"], "held");
    assert_eq!(runs(&test).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_and_asks_again_hears_what_came_of_it() {
    let body = r#"{"reason": "rehearsal", "dry_run": true}"#;
    let test = armed().await;
    test.ground.world.set_latency(Duration::from_secs(3));
    let cut = timeout(Duration::from_secs(1), post(&test, ROLLBACK, "k", body)).await;
    assert!(cut.is_err(), "the connection is gone before the answer is there");
    let again = post(&test, ROLLBACK, "k", body).await;
    assert!(is_replayed(&again));
    let run = again.expect(StatusCode::ACCEPTED)["run"].clone();
    let runs = runs(&test).await;
    assert_eq!((runs.len(), &runs[0]["id"]), (1, &run), "nothing was done twice: {runs:#?}");
}
