//! The HTTP interface is as its OpenAPI document says, whatever it is asked; and nothing is done twice under one key.

use belay_tests::{fuzz, http};
use serde_json::{Value, json};

use crate::stage::{DNS_PLAN, Daemon, Stage};

/// A step that waits for a person, so that runs stay open and verbs find something to move.
fn plan_with_a_person() -> String {
    DNS_PLAN
        .replace("steps:\n", "steps:\n  writers: { action: manual, with: { instructions: Stop the writers. } }\n")
        .replace("  dns_back:\n", "  dns_back:\n    needs: [writers]\n")
}

/// What the document cannot say: a step of the plan.
const NAMES: &str = "max-stream-events = 2\n[parameters]\nstep = \"writers\"\n";

#[test]
fn the_interface_is_as_it_describes_itself() {
    let mut stage = Stage::cut_over("openapi", &[]);
    let plan = stage.plan(&plan_with_a_person());
    let mut daemon = stage.serve_armed(&plan);
    let found = fuzz(&daemon.url, NAMES, &["--max-examples", "10"]);
    assert_eq!(found.code, 0, "{found}");
    assert!(daemon.process().is_running());
}

#[test]
fn tokens_are_asked_for_wherever_the_document_says_so() {
    let mut stage = Stage::cut_over("openapi-tokens", &[]);
    // SHA-256 of `act`.
    let config = "tokens:\n  - { name: release-team, roles: [operator], \
                  sha256: 'f83f07be16e270186d35b876916c461995ebc3af5b1798f898c33285a1847dbc' }\n";
    let config = stage.belay.write("belay.yaml", config);
    stage.belay.env("BELAY_CONFIG", &config).env("BELAY_TOKEN", "act");
    let plan = stage.plan(&plan_with_a_person());
    let daemon = stage.serve_armed(&plan);
    let found = fuzz(&daemon.url, NAMES, &["--max-examples", "3", "--header", "Authorization: Bearer act"]);
    assert_eq!(found.code, 0, "{found}");
}

/// A `POST` under a key: status, body, and whether it is an answer given again.
fn post(daemon: &Daemon, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    let answer = http("POST", &format!("{}{path}", daemon.url), &headers, &body.to_string()).unwrap();
    (answer.status, answer.json())
}

#[test]
fn a_rollback_under_one_key_happens_once_also_across_a_crash() {
    let mut stage = Stage::cut_over("once", &[]);
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve_armed(&plan);
    let path = format!("/v1/migrations/{}/rollback", stage.name());
    let body = json!({ "reason": "by a test" });
    let first = post(&daemon, &path, "the-night-of-the-cutover", &body);
    assert_eq!(first.0, 202, "{first:?}");
    assert_eq!(post(&daemon, &path, "the-night-of-the-cutover", &body), first);
    daemon.wait_for_state("rolled_back");

    daemon.kill();
    let daemon = stage.serve(&plan);
    assert_eq!(post(&daemon, &path, "the-night-of-the-cutover", &body), first);
    let (status, problem) = post(&daemon, &path, "the-night-of-the-cutover", &json!({ "reason": "another" }));
    assert_eq!((status, &problem["type"]), (422, &json!("/problems/idempotency_key_reused")));
    assert_eq!(daemon.get("/v1/runs")["items"].as_array().unwrap().len(), 1);
    assert_eq!(stage.proxy.mutating_calls().len(), 1);
}
