//! `/v1/migrations/{migration}/checklist`

use axum::http::StatusCode;
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
