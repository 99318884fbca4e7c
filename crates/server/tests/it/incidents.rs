//! `/v1/incidents`

use axum::http::StatusCode;
use serde_json::json;

use crate::world::{Running, armed, disarmed};

/// The trigger is minor, so the plan's answer is to fix forward and the incident stays open.
async fn with_an_incident() -> (Running, String) {
    let test = armed().await;
    let open = test.until("/v1/incidents", |list| !list["items"][0].is_null()).await;
    let id = open["items"][0]["id"].as_str().expect("an id").to_owned();
    (test, format!("/v1/incidents/{id}"))
}

#[tokio::test(start_paused = true)]
async fn an_incident_is_shown_and_decided_otherwise() {
    let (test, path) = with_an_incident().await;
    let shown = test.get(&path).await.expect(StatusCode::OK);
    assert_eq!((&shown["migration"], &shown["triggers"]), (&json!("checkout"), &json!(["hurt"])));
    assert_eq!((&shown["decision"], &shown["closed"]), (&json!("fix_forward"), &json!(null)));
    assert_eq!(test.get("/v1/migrations/checkout").await.body["state"], "incident");

    let body = r#"{"decision": "roll_back", "reason": "the fix does not help"}"#;
    let decided = test.post(&format!("{path}/decide"), body).await.expect(StatusCode::OK);
    assert_eq!((&decided["decision"], &decided["why"]), (&json!("roll_back"), &json!("the fix does not help")));
    let run = decided["run"].as_str().unwrap();
    assert_eq!(test.get(&format!("/v1/runs/{run}")).await.body["state"], "running");
    let again = test.post(&format!("{path}/decide"), body).await.expect_problem(409, "already_running");
    assert_eq!(again["run"], run);
}

#[tokio::test(start_paused = true)]
async fn a_closed_incident_cannot_be_decided() {
    let (test, path) = with_an_incident().await;
    let body = r#"{"decision": "fix_forward", "reason": "it is known"}"#;
    test.post(&format!("{path}/decide"), body).await.expect(StatusCode::OK);
    test.ground.world.set("traffic", json!({ "blue": 100, "green": 0 }));
    test.until(&path, |incident| incident["outcome"] == "recovered").await;
    let refused = test.post(&format!("{path}/decide"), body).await.expect_problem(409, "wrong_state");
    assert_eq!(refused["state"], "closed");
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_is_not_there_is_not_found() {
    let test = disarmed().await;
    assert_eq!(test.get("/v1/incidents").await.expect(StatusCode::OK), json!({ "items": [], "next": null }));
    test.get("/v1/incidents/nope").await.expect_problem(404, "not_found");
    let body = r#"{"decision": "roll_back", "reason": "x"}"#;
    test.post("/v1/incidents/nope/decide", body).await.expect_problem(404, "not_found");
}

#[tokio::test(start_paused = true)]
async fn an_incident_without_a_run_has_a_report_and_a_post_mortem() {
    let (test, path) = with_an_incident().await;
    let open = test.get(&format!("{path}/report")).await.expect(StatusCode::OK);
    assert_eq!((&open["over"], &open["run"]), (&json!(false), &json!(null)));
    let body = r#"{"link": "https://wiki.example.com/incidents/17", "reason": "talked over"}"#;
    let postmortem = format!("{path}/postmortem");
    test.post(&postmortem, body).await.expect_problem(409, "wrong_state");
    test.ground.world.set("traffic", json!({ "blue": 100, "green": 0 }));
    test.until(&path, |incident| incident["outcome"] == "recovered").await;
    let held = test.post(&postmortem, body).await.expect(StatusCode::OK);
    assert_eq!(held["outcome"], "recovered");
    let found = test.get(&format!("{path}/report")).await.expect(StatusCode::OK);
    assert_eq!(found["postmortem"]["held"]["link"], "https://wiki.example.com/incidents/17");
    let text = test.get(&format!("{path}/report?format=md")).await.expect(StatusCode::OK);
    assert!(text.as_str().unwrap().starts_with("# Report of incident "), "{text}");
    test.get("/v1/incidents/nope/report").await.expect_problem(404, "not_found");
    test.post("/v1/incidents/nope/postmortem", body).await.expect_problem(404, "not_found");
}
