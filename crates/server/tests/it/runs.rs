//! Rollbacks, dry runs, `/v1/runs`

use axum::http::StatusCode;
use belay_core::reading::Health;
use belay_sim::Rule;
use serde_json::json;

use crate::world::{Running, armed, disarmed};

const ROLLBACK: &str = "/v1/migrations/checkout/rollback";
const REASON: &str = r#"{"reason": "checked"}"#;

/// Rolled back as far as the step that a person does.
async fn at_the_manual_step(test: &Running) -> String {
    let run = test.roll_back().await;
    test.until(&run, |run| run["steps"]["by_hand"]["phase"] == "awaiting_approval").await;
    run
}

/// Stopped at the interlock of the first step.
async fn at_the_interlock(test: &Running) -> String {
    test.ground.world.set_rule("blue_ready", Rule::Always(Health::Unhealthy));
    let run = test.roll_back().await;
    test.until(&run, |run| run["steps"]["traffic"]["phase"] == "requiring").await;
    run
}

#[tokio::test(start_paused = true)]
async fn a_rollback_goes_all_the_way() {
    let test = armed().await;
    let run = at_the_manual_step(&test).await;
    let waiting = test.get(&run).await.body;
    assert_eq!((&waiting["state"], &waiting["kind"]), (&json!("running"), &json!("real")));
    assert_eq!((&waiting["reason"], &waiting["actor"]), (&json!("customers"), &json!("operator@loopback")));
    assert_eq!(waiting["steps"]["traffic"]["changes"][0]["after"], json!({ "blue": 100, "green": 0 }));
    let verbs = waiting["steps"]["by_hand"]["waiting_for"][0]["verbs"].as_array().unwrap();
    assert!(verbs.contains(&json!("approve")));

    let body = r#"{"answer": "approve", "reason": "it is done"}"#;
    test.post(&format!("{run}/steps/by_hand/approve"), body).await.expect(StatusCode::OK);
    let ended = test.until(&run, |run| run["state"] == "rolled_back").await;
    assert!(ended["ended"].is_string());
    assert_eq!(test.get("/v1/migrations/checkout").await.body["state"], "rolled_back");
    let over = test.post(&format!("{run}/abort"), REASON).await.expect_problem(409, "wrong_state");
    assert_eq!((&over["state"], &over["possible"]), (&json!("rolled_back"), &json!(["undo"])));
}

#[tokio::test(start_paused = true)]
async fn a_second_rollback_names_the_first() {
    let test = armed().await;
    let run = at_the_manual_step(&test).await;
    let second = test.post(ROLLBACK, REASON).await.expect_problem(409, "already_running");
    assert_eq!(format!("/v1/runs/{}", second["run"].as_str().unwrap()), run);
    assert_eq!(second["state"], "rolling_back");
    assert!(second["possible"].as_array().unwrap().contains(&json!("abort")));
    let arm = test.post("/v1/migrations/checkout/arm", "{}").await.expect_problem(409, "already_running");
    assert_eq!(arm["run"], second["run"]);
}

#[tokio::test(start_paused = true)]
async fn rolling_back_what_is_not_armed_is_refused() {
    let test = disarmed().await;
    let refused = test.post(ROLLBACK, REASON).await.expect_problem(409, "wrong_state");
    assert_eq!((&refused["state"], &refused["possible"]), (&json!("disarmed"), &json!(["arm"])));
}

#[tokio::test(start_paused = true)]
async fn only_some_steps_can_be_rolled_back() {
    let test = armed().await;
    let unknown = r#"{"reason": "x", "only": ["trafic"]}"#;
    let refused = test.post(ROLLBACK, unknown).await.expect_problem(404, "not_found");
    assert!(refused["help"].as_str().unwrap().contains("traffic"));
    let answer = test.post(ROLLBACK, r#"{"reason": "x", "only": ["traffic"]}"#).await;
    let place = answer.headers["location"].to_str().unwrap().to_owned();
    let run = answer.expect(StatusCode::ACCEPTED)["run"].clone();
    assert_eq!(place, format!("/v1/runs/{}", run.as_str().unwrap()));
    let ended = test.until(&place, |run| run["state"] == "rolled_back").await;
    assert_eq!(ended["steps"].as_object().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_held_resumed_and_aborted() {
    let test = armed().await;
    let run = at_the_manual_step(&test).await;
    let held = test.post(&format!("{run}/hold"), REASON).await.expect(StatusCode::OK);
    assert_eq!((&held["state"], &held["possible"]), (&json!("held"), &json!(["resume", "abort"])));
    assert_eq!(held["steps"]["by_hand"]["possible"], json!(["approve", "skip"]));
    let again = test.post(&format!("{run}/hold"), REASON).await.expect_problem(409, "wrong_state");
    assert_eq!((&again["state"], &again["possible"]), (&json!("held"), &json!(["resume", "abort"])));
    let resumed = test.post(&format!("{run}/resume"), REASON).await.expect(StatusCode::OK);
    assert_eq!(resumed["state"], "running");
    test.post(&format!("{run}/abort"), REASON).await.expect(StatusCode::OK);
    test.until(&run, |run| run["state"] == "aborted").await;
    assert_eq!(test.get("/v1/migrations/checkout").await.body["state"], "aborted");
}

#[tokio::test(start_paused = true)]
async fn a_denied_step_halts_and_can_be_retried_and_skipped() {
    let test = armed().await;
    let run = at_the_manual_step(&test).await;
    let step = format!("{run}/steps/by_hand");
    let early = test.post(&format!("{step}/retry"), REASON).await.expect_problem(409, "wrong_state");
    assert_eq!((&early["state"], &early["possible"]), (&json!("awaiting_approval"), &json!(["approve", "skip"])));

    let body = r#"{"answer": "deny", "reason": "not yet"}"#;
    test.post(&format!("{step}/approve"), body).await.expect(StatusCode::OK);
    test.until(&run, |run| run["state"] == "halted").await;
    test.post(&format!("{step}/retry"), REASON).await.expect(StatusCode::OK);
    test.until(&run, |run| run["steps"]["by_hand"]["phase"] == "awaiting_approval").await;
    test.post(&format!("{step}/skip"), REASON).await.expect(StatusCode::OK);
    let ended = test.until(&run, |run| run["state"] == "rolled_back").await;
    assert_eq!(ended["steps"]["by_hand"]["phase"], "skipped");
}

#[tokio::test(start_paused = true)]
async fn an_interlock_is_overridden_by_name() {
    let test = armed().await;
    let run = at_the_interlock(&test).await;
    let step = format!("{run}/steps/traffic/override");
    test.post(&step, REASON).await.expect_problem(422, "invalid_request");
    let body = r#"{"signal": "blue_ready", "reason": "seen with my own eyes"}"#;
    test.post(&step, body).await.expect(StatusCode::OK);
    let moved = test.until(&run, |run| run["steps"]["traffic"]["phase"] == "done").await;
    assert_eq!(moved["steps"]["traffic"]["overrides"], json!(["blue_ready"]));
    test.post(&step, body).await.expect_problem(409, "wrong_state");
}

#[tokio::test(start_paused = true)]
async fn runs_and_steps_that_are_not_there_are_not_found() {
    let test = armed().await;
    test.get("/v1/runs/nope").await.expect_problem(404, "not_found");
    for verb in ["hold", "resume", "abort", "steps/traffic/retry", "steps/traffic/skip"] {
        test.post(&format!("/v1/runs/nope/{verb}"), REASON).await.expect_problem(404, "not_found");
    }
    let run = at_the_manual_step(&test).await;
    test.post(&format!("{run}/steps/nope/skip"), REASON).await.expect_problem(404, "not_found");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_on_record_and_changes_nothing() {
    let test = armed().await;
    let body = r#"{"reason": "rehearsal", "dry_run": true}"#;
    let run = test.post(ROLLBACK, body).await.expect(StatusCode::ACCEPTED)["run"].as_str().unwrap().to_owned();
    let shown = test.get(&format!("/v1/runs/{run}")).await.expect(StatusCode::OK);
    assert_eq!((&shown["state"], &shown["kind"]), (&json!("rehearsed"), &json!("dry")));
    assert_eq!(shown["report"]["verdict"], "would_roll_back");
    assert_eq!(shown["report"]["steps"]["traffic"]["changes"][0]["after"], json!({ "blue": 100, "green": 0 }));
    assert!(test.ground.world.calls().is_empty());
    assert_eq!(test.get("/v1/migrations/checkout").await.body["state"], "armed");

    let unknown = r#"{"reason": "x", "dry_run": true, "only": ["nope"]}"#;
    test.post(ROLLBACK, unknown).await.expect_problem(404, "not_found");
}

#[tokio::test(start_paused = true)]
async fn dry_runs_are_bounded_at_a_time_and_in_memory() {
    let test = armed().await;
    let body = r#"{"reason": "rehearsal", "dry_run": true}"#;
    let ask = || test.post("/v1/migrations/checkout/rollback", body);
    let (first, second, third) = tokio::join!(ask(), ask(), ask());
    first.expect(StatusCode::ACCEPTED);
    second.expect(StatusCode::ACCEPTED);
    assert_eq!(third.headers["retry-after"], "5");
    third.expect_problem(503, "busy");
    for _ in 0..25 {
        ask().await.expect(StatusCode::ACCEPTED);
    }
    let kept = test.daemon.handle("checkout").unwrap().snapshot().state.past_runs.len();
    let shown = test.get("/v1/runs?limit=100").await.expect(StatusCode::OK);
    assert_eq!((kept, shown["items"].as_array().unwrap().len()), (20, 27), "the journal has all of them");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_without_a_baseline_shows_what_arming_would_capture() {
    let test = disarmed().await;
    let body = r#"{"reason": "rehearsal", "dry_run": true}"#;
    let started = test.post(ROLLBACK, body).await.expect(StatusCode::ACCEPTED);
    let run = test.get(&format!("/v1/runs/{}", started["run"].as_str().unwrap())).await.expect(StatusCode::OK);
    let step = &run["report"]["steps"]["traffic"];
    assert_eq!(step["found"], "uncaptured", "{run:#}");
    assert!(step["captures"].is_object(), "{run:#}");
}

#[tokio::test(start_paused = true)]
async fn runs_are_listed_the_latest_first_a_page_at_a_time() {
    let test = armed().await;
    for _ in 0..3 {
        let body = r#"{"reason": "rehearsal", "dry_run": true}"#;
        test.post(ROLLBACK, body).await.expect(StatusCode::ACCEPTED);
    }
    let all = test.get("/v1/runs").await.expect(StatusCode::OK);
    let ids: Vec<&str> = all["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), &all["next"]), (3, &json!(null)));
    assert!(ids.is_sorted_by(|one, other| one > other));
    let first = test.get("/v1/runs?limit=2").await.expect(StatusCode::OK);
    assert_eq!(first["next"], ids[1]);
    let second = test.get(&format!("/v1/runs?limit=2&after={}", ids[1])).await.expect(StatusCode::OK);
    assert_eq!((&second["items"][0]["id"], &second["next"]), (&json!(ids[2]), &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn pages_hold_still_while_runs_are_added() {
    let test = armed().await;
    let rehearse = async || {
        let body = r#"{"reason": "rehearsal", "dry_run": true}"#;
        test.post(ROLLBACK, body).await.expect(StatusCode::ACCEPTED)["run"].as_str().unwrap().to_owned()
    };
    let (first, second) = (rehearse().await, rehearse().await);
    let page = test.get("/v1/runs?limit=1").await.expect(StatusCode::OK);
    assert_eq!((&page["items"][0]["id"], &page["next"]), (&json!(second), &json!(second)));
    rehearse().await;
    let next = test.get(&format!("/v1/runs?limit=1&after={second}")).await.expect(StatusCode::OK);
    assert_eq!((&next["items"][0]["id"], &next["next"]), (&json!(first), &json!(null)));
    // A cursor is a place in the order; nothing has to be there.
    let end = test.get("/v1/runs?after=000000000000").await.expect(StatusCode::OK);
    assert_eq!(end, json!({ "items": [], "next": null }));
}

#[tokio::test(start_paused = true)]
async fn runs_are_listed_by_migration_and_state() {
    let test = armed().await;
    let body = r#"{"reason": "rehearsal", "dry_run": true}"#;
    test.post(ROLLBACK, body).await.expect(StatusCode::ACCEPTED);
    at_the_manual_step(&test).await;
    for (query, count) in [
        ("", 2),
        ("state=running", 1),
        ("state=rehearsed&migration=checkout", 1),
        ("state=halted", 0),
        ("migration=search", 0),
    ] {
        let found = test.get(&format!("/v1/runs?{query}")).await.expect(StatusCode::OK);
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}");
    }
}
