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
    // It is JSON, whatever stands where a word of some is wanted.
    for item in ["null", "7", "\"maybe\""] {
        let body = format!(r#"{{"decision": {item}, "reason": "x"}}"#);
        test.post("/v1/incidents/any/decide", &body).await.expect_problem(422, "invalid_request");
    }
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
    for query in ["limit=0", "limit=501", "limit=many", "limit=1&limit=2", "lmit=3", "after=", "after=A", "state=nope"]
    {
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
    assert_eq!(
        test.get("/readyz").await.expect(StatusCode::OK),
        json!({ "ready": true, "not_ready": [], "warnings": [] })
    );
}

#[tokio::test(start_paused = true)]
async fn each_problem_leads_to_its_page() {
    let test = disarmed().await;
    let problem = test.get("/v1/runs/nope").await.expect_problem(404, "not_found");
    let page = problem["type"].as_str().unwrap();
    let text = test.get(page).await;
    assert_eq!(text.headers["content-type"], "text/markdown; charset=utf-8");
    let text = text.expect(StatusCode::OK);
    assert!(text.as_str().unwrap().starts_with("## not_found\n\n*404. There is no such thing.*"), "{text}");
    assert!(!text.as_str().unwrap().contains("method_not_allowed"), "{text}");

    let browser = Request::get("/problems").header("accept", "text/html,*/*").body(Body::empty()).unwrap();
    let answer = test.send(browser).await;
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert!(answer.expect(StatusCode::OK).as_str().unwrap().contains("<h2>not_found</h2>"));
    test.get("/problems/nope").await.expect_problem(404, "not_found");
}

#[tokio::test(start_paused = true)]
async fn paths_and_queries_that_are_no_text_are_problems() {
    let test = disarmed().await;
    test.get("/v1/migrations/%FF").await.expect_problem(404, "not_found");
    test.get("/v1/runs/%80/steps/x/skip").await.expect_problem(405, "method_not_allowed");
    test.post("/v1/runs/%80/steps/x/skip", r#"{"reason": "x"}"#).await.expect_problem(404, "not_found");
    test.get("/problems/%FF").await.expect_problem(404, "not_found");
    test.get("/v1/runs?after=%FF").await.expect_problem(422, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn every_answer_is_of_this_moment_and_nothing_else_than_it_says() {
    let test = disarmed().await;
    for path in ["/healthz", "/v1/migrations", "/nope", "/v1/migrations?limit=0", "/problems"] {
        let answer = test.get(path).await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_a_get_without_its_body() {
    let test = disarmed().await;
    for (path, status) in [("/v1/migrations", 200), ("/healthz", 200), ("/v1/runs/nope", 404), (ROLLBACK, 405)] {
        let head = test.send(Request::head(path).body(Body::empty()).unwrap()).await;
        assert_eq!((head.status.as_u16(), head.body.as_str()), (status, Some("")), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_interface_describes_itself() {
    let test = disarmed().await;
    let document = test.get("/openapi.json").await.expect(StatusCode::OK);
    assert_eq!(document["openapi"], "3.1.0");
    let rollback = &document["paths"]["/v1/migrations/{migration}/rollback"]["post"];
    let statuses: Vec<&String> = rollback["responses"].as_object().unwrap().keys().collect();
    assert_eq!(statuses, ["202", "400", "403", "404", "408", "409", "413", "422", "431", "500", "503"]);
    let parameters: Vec<&str> = rollback["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    assert_eq!(parameters, ["migration"]);
    assert_eq!(document["components"]["parameters"]["IdempotencyKey"]["name"], "Idempotency-Key");
    let conflict = &document["components"]["responses"]["Problem409"];
    assert!(conflict["description"].as_str().unwrap().starts_with("wrong_state, already_running"), "{conflict:#}");
    assert_eq!(document["components"]["schemas"]["RunState"]["enum"][0], "running");
    // Without tokens nobody needs one, and the document does not say otherwise.
    assert_eq!((&rollback["security"], &document["components"]["securitySchemes"]), (&json!(null), &json!(null)));
}
