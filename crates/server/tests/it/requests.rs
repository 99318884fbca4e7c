//! Requests that are not what they should be.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::json;

use crate::world::{armed, disarmed};

const ROLLBACK: &str = "/v1/migrations/checkout/rollback";

#[tokio::test(start_paused = true)]
async fn a_body_that_is_wrong_says_what() {
    let test = armed().await;
    let cases = [
        ("{", 400, "bad_json", "EOF"),
        ("reason=x", 400, "bad_json", "line 1 column 1"),
        ("", 422, "invalid_request", "missing field `reason`"),
        (r#"{"reason": " "}"#, 422, "invalid_request", "`reason` is empty"),
        (r#"{"reason": 7}"#, 422, "invalid_request", "expected a string"),
        // A misspelt `only` must not roll back everything.
        (r#"{"reason": "x", "onyl": ["traffic"]}"#, 422, "invalid_request", "unknown field `onyl`"),
        (r#"{"reason": "x", "dry_run": "yes"}"#, 422, "invalid_request", "expected a boolean"),
    ];
    for (body, status, kind, says) in cases {
        let problem = test.post(ROLLBACK, body).await.expect_problem(status, kind);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{body}: {problem:#}");
    }
    assert_eq!(test.get("/v1/migrations/checkout").await.body["run"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_refused() {
    let test = disarmed().await;
    let body = format!(r#"{{"reason": "{}"}}"#, "x".repeat(1 << 20));
    test.post(ROLLBACK, &body).await.expect_problem(413, "unreadable_body");
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_and_methods_are_problems() {
    let test = disarmed().await;
    for path in ["/", "/v1", "/v1/migration", "/v1/runs/x/steps"] {
        test.get(path).await.expect_problem(404, "not_found");
    }
    let delete = Request::delete("/v1/migrations/checkout").body(Body::empty()).unwrap();
    let answer = test.send(delete).await;
    assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
    answer.expect_problem(405, "method_not_allowed");
    test.get(ROLLBACK).await.expect_problem(405, "method_not_allowed");
}

#[tokio::test(start_paused = true)]
async fn pages_out_of_range_are_refused() {
    let test = disarmed().await;
    for query in ["limit=0", "limit=501", "limit=many", "lmit=3"] {
        test.get(&format!("/v1/runs?{query}")).await.expect_problem(422, "invalid_request");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_strangers_cannot_act() {
    let test = armed().await;
    let strange = Request::post(ROLLBACK)
        .header("host", "127.0.0.1:7457")
        .header("origin", "https://evil.example.com")
        .body(Body::from(r#"{"reason": "x"}"#))
        .unwrap();
    test.send(strange).await.expect_problem(403, "forbidden");
    let rebound = Request::get("/v1/runs").header("host", "evil.example.com").body(Body::empty()).unwrap();
    test.send(rebound).await.expect_problem(403, "forbidden");
}

#[tokio::test(start_paused = true)]
async fn health_and_readiness_are_open() {
    let test = disarmed().await;
    assert_eq!(test.get("/healthz").await.expect(StatusCode::OK), json!({ "status": "ok" }));
    assert_eq!(test.get("/readyz").await.expect(StatusCode::OK), json!({ "ready": true, "not_ready": [] }));
}
