//! `/v1/migrations/{migration}/checklist`

use std::time::Duration;

use axum::http::StatusCode;
use belay_core::reading::Health;
use belay_sim::Rule;
use serde_json::{Value, json};

use crate::world::{CHECKOUT, Ground, armed, disarmed};

const PATH: &str = "/v1/migrations/checkout/checklist";

fn item<'l>(list: &'l Value, id: &str) -> &'l Value {
    let items = list["items"].as_array().expect("a list");
    items.iter().find(|item| item["id"] == id).unwrap_or_else(|| panic!("no item {id} in {list:#}"))
}

#[tokio::test(start_paused = true)]
async fn what_belay_knows_is_done_and_people_tick_the_rest() {
    let test = disarmed().await;
    let list = test.get(PATH).await.expect(StatusCode::OK);
    assert_eq!(
        (&item(&list, "armed")["done"], &item(&list, "backup_verified")["done"]),
        (&json!(false), &json!(false))
    );
    test.post(&format!("{PATH}/backup_verified"), r#"{"reason": "restored it"}"#).await.expect(StatusCode::OK);
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    let list = test.post("/v1/migrations/checkout/cutover", "{}").await;
    list.expect(StatusCode::OK);
    let list = test.get(PATH).await.expect(StatusCode::OK);
    for (id, evidence) in
        [("armed", "plan "), ("cutover_marked", "at 2026-"), ("awake", "watched"), ("quiet", "no incident")]
    {
        let item = item(&list, id);
        assert!(item["done"] == true && item["note"].as_str().unwrap().contains(evidence), "{item:#}");
        assert_eq!(item["ticked"], Value::Null);
    }
    let ticked = item(&list, "backup_verified");
    assert_eq!((&ticked["done"], &ticked["ticked"]["reason"]), (&json!(true), &json!("restored it")));
    assert_eq!(item(&list, "disarmed")["done"], false);

    let body = r#"{"done": false, "reason": "it was another one"}"#;
    let list = test.post(&format!("{PATH}/backup_verified"), body).await.expect(StatusCode::OK);
    assert_eq!(item(&list, "backup_verified")["done"], false);
    test.post(&format!("{PATH}/backup_verified"), body).await.expect_problem(409, "wrong_state");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_ticked_is_refused() {
    let test = armed().await;
    let reason = r#"{"reason": "r"}"#;
    let unknown = test.post(&format!("{PATH}/nothing"), reason).await.expect_problem(404, "not_found");
    assert!(unknown["help"].as_str().unwrap().contains("backup_verified"), "{unknown:#}");
    let known = test.post(&format!("{PATH}/armed"), reason).await.expect_problem(409, "wrong_state");
    assert!(known["detail"].as_str().unwrap().contains("Belay knows it by itself"), "{known:#}");
    test.post(&format!("{PATH}/backup_verified"), "{}").await.expect_problem(422, "invalid_request");
    test.get("/v1/migrations/nothing/checklist").await.expect_problem(404, "not_found");
}

#[tokio::test(start_paused = true)]
async fn a_plans_own_items_stand_behind_the_others_also_before_it_is_armed() {
    let own = "checklist: { before: [{ id: our_bank, text: The bank knows. }] }\n";
    let ground = Ground::new(&[("checkout.yaml", &format!("{CHECKOUT}{own}"))]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    let list = test.post(&format!("{PATH}/our_bank"), r#"{"reason": "called them"}"#).await.expect(StatusCode::OK);
    let item = item(&list, "our_bank");
    assert_eq!((&item["part"], &item["group"], &item["done"]), (&json!("before"), &json!("plan"), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn after_a_rollback_the_list_is_that_of_its_report() {
    let test = armed().await;
    let run = test.roll_back().await;
    test.until(&run, |run| run["steps"]["by_hand"]["phase"] == "awaiting_approval").await;
    let body = r#"{"answer": "approve", "reason": "it is done"}"#;
    test.post(&format!("{run}/steps/by_hand/approve"), body).await.expect(StatusCode::OK);
    test.until(&run, |run| run["state"] == "rolled_back").await;
    let list = test.get(PATH).await.expect(StatusCode::OK);
    assert_eq!(run, format!("/v1/runs/{}", list["run"].as_str().unwrap()));
    assert_eq!(item(&list, "steps_done")["done"], true);
    let before = item(&list, "teams_told").clone();
    assert_eq!((&before["done"], &before["part"]), (&json!(false), &json!("after_rollback")));
    test.post(&format!("{PATH}/teams_told"), r#"{"reason": "told support"}"#).await.expect(StatusCode::OK);
    let report = test.get(&format!("{run}/report?format=md")).await.expect(StatusCode::OK);
    assert!(report.as_str().unwrap().contains("told support"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn readiness_checks_tick_with_evidence_and_untick_once_they_find_something_else() {
    let test = armed().await;
    let list = test.get(PATH).await.expect(StatusCode::OK);
    let steps = item(&list, "steps_documented");
    assert!(steps["done"] == true && steps["ticked"].is_null(), "{steps:#}");
    let evidence = &steps["evidence"];
    assert_eq!((&evidence["verdict"], &evidence["proves"]), (&json!("go"), &json!(true)));
    let ids: Vec<&str> =
        evidence["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!((&evidence["at"], ids), (&list["readiness"], vec!["baseline", "step"]));
    assert!(steps["note"].as_str().unwrap().starts_with("2 checks are go at 2026-05-05T"), "{steps:#}");
    // The search is only warned of; somebody may know more.
    let drill = item(&list, "drill");
    assert!(drill["done"] == false && drill["note"].as_str().unwrap().contains("warn: "), "{drill:#}");
    let reason = r#"{"reason": "r"}"#;
    let list = test.post(&format!("{PATH}/drill"), reason).await.expect(StatusCode::OK);
    assert_eq!((&item(&list, "drill")["done"], &item(&list, "drill")["ticked"]["reason"]), (&json!(true), &json!("r")));
    let known = test.post(&format!("{PATH}/steps_documented"), reason).await.expect_problem(409, "wrong_state");
    assert!(known["detail"].as_str().unwrap().contains("Belay knows it by itself"), "{known:#}");

    test.ground.world.set_rule("blue_ready", Rule::Always(Health::Unhealthy));
    let same = test.get(PATH).await.expect(StatusCode::OK);
    assert_eq!(same["readiness"], list["readiness"], "it is evidence for ten minutes");
    tokio::time::sleep(Duration::from_secs(601)).await;
    let list = test.get(PATH).await.expect(StatusCode::OK);
    let steps = item(&list, "steps_documented");
    assert_eq!((&steps["done"], &steps["evidence"]["verdict"]), (&json!(false), &json!("no_go")), "{steps:#}");
    assert!(steps["note"].as_str().unwrap().contains("no-go: step traffic: blue_ready: does not hold"), "{steps:#}");
    let refused = test.post(&format!("{PATH}/steps_documented"), reason).await.expect_problem(409, "wrong_state");
    assert!(refused["detail"].as_str().unwrap().contains("contradicts steps_documented"), "{refused:#}");
}

#[tokio::test(start_paused = true)]
async fn a_no_go_contradicts_a_persons_tick_for_as_long_as_it_lasts() {
    let test = armed().await;
    let shows = |health: Health| test.ground.world.set_rule("blue_ready", Rule::Always(health));
    shows(Health::Unknown);
    let path = format!("{PATH}/steps_documented");
    let list = test.post(&path, r#"{"reason": "looked at it"}"#).await.expect(StatusCode::OK);
    assert_eq!(item(&list, "steps_documented")["done"], true, "what is unknown contradicts nobody: {list:#}");

    shows(Health::Unhealthy);
    tokio::time::sleep(Duration::from_secs(601)).await;
    let list = test.get(PATH).await.expect(StatusCode::OK);
    let contradicted = item(&list, "steps_documented");
    assert_eq!((&contradicted["done"], &contradicted["ticked"]["reason"]), (&json!(false), &json!("looked at it")));
    assert!(
        contradicted["note"].as_str().unwrap().contains("which this contradicts: looked at it"),
        "{contradicted:#}"
    );

    shows(Health::Healthy);
    tokio::time::sleep(Duration::from_secs(601)).await;
    let list = test.get(PATH).await.expect(StatusCode::OK);
    let proven = item(&list, "steps_documented");
    assert!(proven["done"] == true && proven["ticked"].is_null(), "{proven:#}");
}

#[tokio::test(start_paused = true)]
async fn while_a_run_needs_the_quota_nothing_is_evaluated_for_the_list() {
    let test = armed().await;
    let run = test.roll_back().await;
    test.until(&run, |run| run["steps"]["by_hand"]["phase"] == "awaiting_approval").await;
    let list = test.get(PATH).await.expect(StatusCode::OK);
    assert_eq!((&list["readiness"], &item(&list, "monitoring")["done"]), (&Value::Null, &json!(false)));
    assert!(list["not_evaluated"].as_str().unwrap().contains("a run is under way"), "{list:#}");
}
