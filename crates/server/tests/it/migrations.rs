//! `/v1/migrations`

use axum::http::StatusCode;
use serde_json::json;

use crate::world::{CHECKOUT, Ground, SEARCH, armed, disarmed};

const CHECKOUT_PATH: &str = "/v1/migrations/checkout";

#[tokio::test(start_paused = true)]
async fn a_migration_is_armed_marked_and_disarmed() {
    let test = disarmed().await;
    let shown = test.get(CHECKOUT_PATH).await.expect(StatusCode::OK);
    assert_eq!((&shown["name"], &shown["state"]), (&json!("checkout"), &json!("disarmed")));
    assert_eq!(shown["possible"], json!(["arm"]));

    let armed = test.post(&format!("{CHECKOUT_PATH}/arm"), r#"{"reason": "change 4711"}"#).await.expect(StatusCode::OK);
    assert_eq!(armed["state"], "armed");
    assert_eq!(armed["plan_sha256"].as_str().map(str::len), Some(64));
    assert_eq!(armed["pending_plan"], json!(null));
    assert_eq!(armed["baseline"]["steps"], json!(["traffic"]));

    let marked = test.post(&format!("{CHECKOUT_PATH}/cutover"), "").await.expect(StatusCode::OK);
    assert!(marked["cutover"].is_string());
    assert_eq!(marked["possible"], json!(["arm", "disarm", "mute", "rollback"]));
    let again = test.post(&format!("{CHECKOUT_PATH}/cutover"), "").await.expect_problem(409, "wrong_state");
    assert_eq!(again["state"], "armed");
    assert_eq!(again["possible"], json!(["arm", "disarm", "mute", "rollback"]));

    let disarmed = test.post(&format!("{CHECKOUT_PATH}/disarm"), "{}").await.expect(StatusCode::OK);
    assert_eq!(disarmed["state"], "disarmed");
    let again = test.post(&format!("{CHECKOUT_PATH}/disarm"), "{}").await.expect_problem(409, "wrong_state");
    assert_eq!((&again["state"], &again["possible"]), (&json!("disarmed"), &json!(["arm"])));
    assert!(again["help"].as_str().unwrap().contains("belay arm"));
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_pending_until_it_is_armed() {
    let test = armed().await;
    let pinned = test.get(CHECKOUT_PATH).await.body["plan_sha256"].clone();
    std::fs::write(test.ground.file("checkout.yaml"), format!("{CHECKOUT}# changed\n")).unwrap();
    let shown = test.get(CHECKOUT_PATH).await.body;
    assert_eq!(shown["plan_sha256"], pinned);
    assert!(shown["pending_plan"].is_string() && shown["pending_plan"] != pinned);

    test.ground.world.set("traffic", json!({ "blue": 100, "green": 0 }));
    let armed = test.post(&format!("{CHECKOUT_PATH}/arm"), "{}").await.expect(StatusCode::OK);
    assert_eq!((&armed["plan_sha256"], &armed["pending_plan"]), (&shown["pending_plan"], &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_valid_any_more_is_shown_and_not_armed() {
    let test = armed().await;
    std::fs::write(test.ground.file("checkout.yaml"), "belay: 1\nmigration: checkout\nstepps: {}\n").unwrap();
    let shown = test.get(CHECKOUT_PATH).await.body;
    assert!(shown["plan_problem"].as_str().unwrap().contains("checkout.yaml is not a valid plan"), "{shown:#}");
    assert_eq!(shown["state"], "armed");
    let refused = test.post(&format!("{CHECKOUT_PATH}/arm"), "{}").await.expect_problem(422, "plan_file");
    assert!(refused["detail"].as_str().unwrap().contains("is not a valid plan"));
}

#[tokio::test(start_paused = true)]
async fn two_migrations_on_one_resource_are_not_armed_together() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT), ("search.yaml", SEARCH)]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    let refused = test.post("/v1/migrations/search/arm", "{}").await.expect_problem(409, "resource_taken");
    assert_eq!((&refused["resource"], &refused["migration"]), (&json!("lb/checkout"), &json!("checkout")));
    test.post("/v1/migrations/checkout/disarm", "{}").await.expect(StatusCode::OK);
    test.post("/v1/migrations/search/arm", "{}").await.expect(StatusCode::OK);

    let first = test.get("/v1/migrations?limit=1").await.expect(StatusCode::OK);
    assert_eq!((&first["items"][0]["name"], &first["next"]), (&json!("checkout"), &json!("checkout")));
    let second = test.get("/v1/migrations?limit=1&after=checkout").await.expect(StatusCode::OK);
    assert_eq!((&second["items"][0]["name"], &second["next"]), (&json!("search"), &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn arming_is_refused_in_a_wrong_account_and_while_a_trigger_is_red() {
    let test = disarmed().await;
    test.ground.world.cut_over();
    let red = test.post(&format!("{CHECKOUT_PATH}/arm"), "{}").await.expect_problem(409, "red_at_arm");
    assert!(red["detail"].as_str().unwrap().contains("hurt"));

    let text = CHECKOUT.replace("signals:", "aws: { account: \"111122223333\", region: eu-west-1 }\nsignals:");
    std::fs::write(test.ground.file("checkout.yaml"), text).unwrap();
    test.ground.world.set_account("999999999999");
    test.post(&format!("{CHECKOUT_PATH}/arm"), "{}").await.expect_problem(403, "wrong_account");
}

#[tokio::test(start_paused = true)]
async fn a_baseline_can_be_given() {
    let test = disarmed().await;
    let baseline = json!({
        "migration": "checkout", "captured": "2026-05-01T00:00:00Z", "plan_sha256": "", "steps": {
            "by_hand": { "action": "manual", "resource": "", "doc": null }
        }
    });
    let body = json!({ "reason": "reviewed", "baseline": baseline }).to_string();
    let armed = test.post(&format!("{CHECKOUT_PATH}/arm"), &body).await.expect(StatusCode::OK);
    assert_eq!(armed["baseline"]["steps"], json!(["traffic", "by_hand"]));

    let other = body.replace("\"migration\":\"checkout\"", "\"migration\":\"other\"");
    test.post(&format!("{CHECKOUT_PATH}/arm"), &other).await.expect_problem(409, "other_baseline");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_found_under_another_name() {
    let test = disarmed().await;
    let missing = test.get("/v1/migrations/chekout").await.expect_problem(404, "not_found");
    assert!(missing["help"].as_str().unwrap().contains("checkout"));
    for verb in ["arm", "disarm", "cutover"] {
        test.post(&format!("/v1/migrations/nope/{verb}"), "{}").await.expect_problem(404, "not_found");
    }
    test.post("/v1/migrations/nope/rollback", r#"{"reason": "x"}"#).await.expect_problem(404, "not_found");
}

#[tokio::test(start_paused = true)]
async fn metrics_show_the_state() {
    let test = armed().await;
    let text = test.get("/metrics").await.expect(StatusCode::OK);
    assert!(text.as_str().unwrap().contains("belay_migration_state{migration=\"checkout\",state=\"armed\"} 1\n"));
}
