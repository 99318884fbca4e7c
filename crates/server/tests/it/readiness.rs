//! Readiness over HTTP: on demand, with or without arming.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{CHECKOUT, Ground, Running};

const READINESS: &str = "/v1/migrations/checkout/readiness";

async fn guarding(plan: &str) -> Running {
    let ground = Ground::new(&[("checkout.yaml", plan)]);
    let config = ground.config();
    ground.start_with(config).await
}

fn check<'v>(found: &'v Value, id: &str) -> &'v Value {
    let checks = found["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {found:#}"))
}

#[tokio::test(start_paused = true)]
async fn what_the_file_holds_is_evaluated_before_it_is_armed() {
    let test = guarding(CHECKOUT).await;
    let found = test.get(READINESS).await.expect(StatusCode::OK);
    assert_eq!(found["verdict"], "warn", "{found:#}");
    assert_eq!(check(&found, "signal")["at"], found["at"]);
    assert_eq!(check(&found, "interlock")["verdict"], "go");
    assert_eq!(check(&found, "drill")["verdict"], "warn");
    test.get("/v1/migrations/nothing/readiness").await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn nobody_who_may_approve_is_a_no_go() {
    let plan = CHECKOUT
        .replace("    action: sim.weights\n", "    action: sim.weights\n    approve: { role: commander, quorum: 2 }\n");
    let test = guarding(&plan).await;
    let found = test.get(READINESS).await.expect(StatusCode::OK);
    let people = check(&found, "people");
    assert_eq!(
        (&found["verdict"], &people["verdict"], &people["subject"]),
        (&json!("no_go"), &json!("no_go"), &json!("commander"))
    );
    assert_eq!(people["found"], "the daemon's tokens give it to 0");
    assert_eq!(people["wanted"], "at least 2");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_asked_for_is_shown_in_the_status_and_the_metrics() {
    let test = guarding(CHECKOUT).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    assert!(
        test.get("/v1/migrations/checkout").await.body["readiness"].is_null(),
        "this daemon evaluates on demand only"
    );
    let found = test.get(READINESS).await.expect(StatusCode::OK);
    let shown = test.until("/v1/migrations/checkout", |migration| !migration["readiness"].is_null()).await;
    let shown = &shown["readiness"];
    assert_eq!((&shown["verdict"], &shown["at"]), (&found["verdict"], &found["at"]));
    assert_eq!((&shown["warn"], &shown["no_go"]), (&json!(1), &json!(0)), "{shown:#}");
    assert!(shown["findings"][0].as_str().unwrap_or_default().starts_with("warn: "), "{shown:#}");
    let metrics = test.get("/metrics").await.body;
    let metrics = metrics.as_str().unwrap_or_default();
    assert!(metrics.contains("belay_readiness_checks{migration=\"checkout\",verdict=\"warn\"} 1"), "{metrics}");
    let again = test.get(READINESS).await.expect(StatusCode::OK);
    assert_eq!(again, found, "ten seconds long the same answer serves all");
    assert_eq!(check(&found, "drift")["found"], "as at the baseline");
    test.post("/v1/migrations/checkout/cutover", "{}").await.expect(StatusCode::OK);
    let marked = test.get(READINESS).await.expect(StatusCode::OK);
    let drift = check(&marked, "drift")["found"].as_str().unwrap_or_default();
    assert_eq!(drift, "as at the baseline: the cutover has not moved it yet", "it is evaluated anew after the mark");
}

/// What `belay check PLAN --prove-restore STEP` asks for in the end.
#[tokio::test(start_paused = true)]
async fn a_restore_test_that_was_made_beside_the_daemon_goes_on_record() {
    const TESTS: &str = "/v1/migrations/checkout/restore-tests";
    let test = guarding(CHECKOUT).await;
    let body = |step: &str, resource: &str| {
        let body = json!({
            "step": step, "action": "sim.weights", "resource": resource, "outcome": "proved", "found": "orders: 4211 rows",
            "took_s": 754, "changes": ["restore"], "reason": "restore test of step traffic",
        });
        body.to_string()
    };
    test.post(TESTS, &body("traffic", "lb/checkout")).await.expect(StatusCode::OK);
    let kept = test.daemon.handle("checkout").expect("it is guarded").snapshot().state.restore_tests.clone();
    assert_eq!(kept["traffic"].tested.found, "orders: 4211 rows");
    // The test was made with another plan.
    test.post(TESTS, &body("trafic", "lb/checkout")).await.expect_problem(404, "not_found");
    test.post(TESTS, &body("traffic", "lb/other")).await.expect_problem(409, "other_plan");
    test.post(TESTS, &body("traffic", "lb/checkout").replace("restore test of step traffic", " "))
        .await
        .expect_problem(422, "invalid_request");
}

/// `belay guard` reports every five seconds while it runs the command of a migration; one that is killed reports nothing more.
#[tokio::test(start_paused = true)]
async fn a_guard_that_reports_no_more_while_its_command_runs_makes_the_readiness_unknown() {
    const GUARD: &str = "/v1/migrations/checkout/guard";
    let test = guarding(CHECKOUT).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    let shown = test.post(GUARD, r#"{ "stage": "command" }"#).await.expect(StatusCode::OK);
    assert_eq!((&shown["guard"]["stage"], &shown["guard"]["lost"]), (&json!("command"), &json!(false)), "{shown:#}");
    let found = test.get(READINESS).await.expect(StatusCode::OK);
    assert_eq!(check(&found, "guard")["verdict"], "go", "{found:#}");

    tokio::time::sleep(std::time::Duration::from_secs(31)).await;
    let found = test.get(READINESS).await.expect(StatusCode::OK);
    let lost = check(&found, "guard");
    assert_eq!((&found["verdict"], &lost["verdict"]), (&json!("unknown"), &json!("unknown")), "{found:#}");
    let what = lost["found"].as_str().unwrap_or_default();
    assert!(what.ends_with("while its command ran; the cutover is not marked"), "{what}");
    assert_eq!(test.get("/v1/migrations/checkout").await.body["guard"]["lost"], true);

    test.post("/v1/migrations/checkout/cutover", "{}").await.expect(StatusCode::OK);
    let found = test.get(READINESS).await.expect(StatusCode::OK);
    let checks = found["checks"].as_array().expect("checks");
    assert!(checks.iter().all(|check| check["id"] != "guard"), "a person has marked it: {found:#}");
    test.post(GUARD, r#"{ "stage": "asleep" }"#).await.expect_problem(422, "invalid_request");
    test.post("/v1/migrations/nothing/guard", r#"{ "stage": "soak" }"#).await.expect_problem(404, "not_found");
}
