//! Runs and incidents that the state has forgotten are read from the journal.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use axum::http::StatusCode;
use belay_core::past::KEPT;
use serde_json::{Value, json};

use crate::world::{Running, armed};

const REASON: &str = r#"{"reason": "checked"}"#;

/// An incident, and the rollback that closes it: the path of each.
async fn rolled_back(test: &Running) -> (String, String) {
    test.ground.world.cut_over();
    let open = test.until("/v1/incidents", |list| list["items"][0]["closed"].is_null() && list["items"][0].is_object());
    let incident = open.await["items"][0]["id"].as_str().unwrap().to_owned();
    let answer = test.post("/v1/migrations/checkout/rollback", r#"{"reason": "x", "only": ["traffic"]}"#).await;
    let run = answer.expect(StatusCode::ACCEPTED)["run"].as_str().unwrap().to_owned();
    let run = format!("/v1/runs/{run}");
    test.until(&run, |run| run["state"] == "rolled_back").await;
    (run, format!("/v1/incidents/{incident}"))
}

async fn with_a_past(count: usize) -> (Running, Vec<(String, String)>, Vec<Value>) {
    let test = armed().await;
    let (mut all, mut shown) = (Vec::new(), Vec::new());
    for number in 0..count {
        if number > 0 {
            test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
        }
        let (run, incident) = rolled_back(&test).await;
        shown.push(without_verbs(test.get(&run).await.expect(StatusCode::OK)));
        all.push((run, incident));
    }
    (test, all, shown)
}

/// What is possible changes when something else happens, the rest of a run that is over does not.
fn without_verbs(mut run: Value) -> Value {
    let members = run.as_object_mut().unwrap();
    members.retain(|name, _| !["possible", "undoable", "undo_unproven"].contains(&name.as_str()));
    run
}

async fn pages(test: &Running, list: &str, limit: usize) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = test.get(&format!("{list}?limit={limit}{after}")).await.expect(StatusCode::OK);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
    }
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

fn id_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_shown_as_it_was() {
    let (test, all, shown) = with_a_past(KEPT + 6).await;
    let state = test.daemon.handle("checkout").unwrap().snapshot().state.clone();
    assert_eq!((state.past_runs.len(), state.forgotten.runs), (KEPT, 5));

    for ((run, incident), shown) in all.iter().zip(&shown) {
        assert_eq!(without_verbs(test.get(run).await.expect(StatusCode::OK)), *shown);
        let incident = test.get(incident).await.expect(StatusCode::OK);
        assert_eq!((&incident["outcome"], &incident["run"]), (&json!("rolled_back"), &json!(id_of(run))));
    }
    for limit in [4, 7, 100] {
        let latest_first: Vec<&str> = all.iter().rev().map(|(run, _)| id_of(run)).collect();
        assert_eq!(ids(&pages(&test, "/v1/runs", limit).await), latest_first);
        let latest_first: Vec<&str> = all.iter().rev().map(|(_, incident)| id_of(incident)).collect();
        assert_eq!(ids(&pages(&test, "/v1/incidents", limit).await), latest_first);
    }
    let page = test.get("/v1/runs?state=halted").await.expect(StatusCode::OK);
    assert_eq!(page, json!({ "items": [], "next": null }));

    // The same after a restart.
    let test = test.restart().await;
    let (first, incident) = &all[0];
    assert_eq!(without_verbs(test.get(first).await.expect(StatusCode::OK)), shown[0]);
    let report = test.get(&format!("{first}/report")).await.expect(StatusCode::OK);
    assert_eq!((&report["run"], &report["over"]), (&json!(id_of(first)), &json!(true)));
    assert_eq!(test.get(&format!("{incident}/report")).await.expect(StatusCode::OK), report);
    let evidence = test.get(&format!("{incident}/evidence")).await.expect(StatusCode::OK);
    assert_eq!(evidence["incident"], id_of(incident));
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_not_moved() {
    let (test, all, _) = with_a_past(KEPT + 3).await;
    let (run, incident) = &all[0];
    for verb in ["hold", "undo", "abort"] {
        let refused = test.post(&format!("{run}/{verb}"), REASON).await.expect_problem(409, "wrong_state");
        assert_eq!((&refused["state"], &refused["possible"]), (&json!("rolled_back"), &json!([])));
    }
    let held = r#"{"link": "https://wiki.example.com/17", "reason": "talked over"}"#;
    test.post(&format!("{run}/postmortem"), held).await.expect_problem(409, "wrong_state");
    test.post(&format!("{incident}/postmortem"), held).await.expect_problem(409, "wrong_state");
    let decided = r#"{"decision": "roll_back", "reason": "x"}"#;
    test.post(&format!("{incident}/decide"), decided).await.expect_problem(409, "wrong_state");
    test.get("/v1/runs/000000000000").await.expect_problem(404, "not_found");
    test.post("/v1/runs/000000000000/undo", REASON).await.expect_problem(404, "not_found");
    test.get("/v1/incidents/000000000000").await.expect_problem(404, "not_found");
}
