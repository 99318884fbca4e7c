//! Starting, restarting, reloading.

use axum::http::StatusCode;
use belay_core::event::Event;
use belay_ports::{Journal, NewRecord};
use belay_server::{BuildError, Config, config::ArmPolicy};
use jiff::Timestamp;
use serde_json::json;

use crate::world::{CHECKOUT, Ground, SEARCH, armed, disarmed};

#[tokio::test(start_paused = true)]
async fn two_plans_of_one_migration_are_refused() {
    let ground = Ground::new(&[("a.yaml", CHECKOUT), ("b.yaml", CHECKOUT)]);
    let error = ground.try_start(ground.config()).await.err().unwrap();
    let BuildError::PlanFiles(errors) = error else { panic!("{error}") };
    let text = errors[0].to_string();
    assert!(text.contains("a.yaml") && text.contains("b.yaml") && text.contains("guards checkout"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_is_armed_goes_on_when_its_file_is_gone() {
    let test = armed().await;
    let pinned = test.get("/v1/migrations/checkout").await.body["plan_sha256"].clone();
    std::fs::remove_file(test.ground.file("checkout.yaml")).unwrap();
    let config = test.ground.config();
    let test = test.restart_with(config.clone()).await;
    let shown = test.until("/v1/migrations/checkout", |shown| shown["state"] == "incident").await;
    assert_eq!((&shown["plan_sha256"], &shown["plan_file"]), (&pinned, &json!(null)));
    assert!(shown["plan_problem"].is_string());
    test.post("/v1/migrations/checkout/arm", "{}").await.expect_problem(422, "plan_file");

    // Nobody needs it any more: the next start leaves it alone.
    test.post("/v1/migrations/checkout/disarm", "{}").await.expect(StatusCode::OK);
    let test = test.restart_with(config).await;
    test.get("/v1/migrations/checkout").await.expect_problem(404, "not_found");
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_after_a_restart() {
    let test = armed().await;
    let run = test.roll_back().await;
    test.until(&run, |run| run["steps"]["by_hand"]["phase"] == "awaiting_approval").await;
    let config = test.ground.config();
    let test = test.restart_with(config).await;
    let body = r#"{"answer": "approve", "reason": "it is done"}"#;
    test.post(&format!("{run}/steps/by_hand/approve"), body).await.expect(StatusCode::OK);
    test.until(&run, |run| run["state"] == "rolled_back").await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_act_is_not_ready() {
    let test = disarmed().await;
    // Another process has taken the journal over.
    let strange = NewRecord { at: Timestamp::UNIX_EPOCH, actor: "other".to_owned(), event: Event::CutoverMarked };
    test.ground.journal.append("checkout", 0, vec![strange]).await.unwrap();
    test.post("/v1/migrations/checkout/arm", "{}").await.expect_problem(503, "unavailable");
    let ready = test.until("/readyz", |ready| ready["ready"] == false).await;
    assert_eq!(
        (&ready["not_ready"][0]["part"], &ready["not_ready"][0]["migration"]),
        (&json!("journal"), &json!("checkout"))
    );
    assert_eq!(test.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn arm_on_start_arms_what_was_never_armed() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let config = Config { arm: ArmPolicy::OnStart, ..ground.config() };
    let test = ground.start_with(config.clone()).await;
    let ready = test.get("/readyz").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready["not_ready"][0]["part"], "arm_on_start");
    test.daemon.arm_on_start().await;
    assert_eq!(test.get("/v1/migrations/checkout").await.body["state"], "armed");
    test.get("/readyz").await.expect(StatusCode::OK);

    test.post("/v1/migrations/checkout/disarm", "{}").await.expect(StatusCode::OK);
    let test = test.restart_with(config).await;
    test.daemon.arm_on_start().await;
    assert_eq!(test.get("/v1/migrations/checkout").await.body["state"], "disarmed", "a person disarmed it");
    test.get("/readyz").await.expect(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_armed_on_start_is_not_ready() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    ground.world.cut_over();
    let config = Config { arm: ArmPolicy::OnStart, ..ground.config() };
    let test = ground.start_with(config).await;
    test.daemon.arm_on_start().await;
    let ready = test.get("/readyz").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready["not_ready"][0]["why"].as_str().unwrap().contains("red"), "{ready:#}");
}

#[tokio::test(start_paused = true)]
async fn reloading_takes_up_new_files_and_moved_ones() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT), ("search.yaml", SEARCH)]);
    std::fs::remove_file(ground.file("search.yaml")).unwrap();
    let config = ground.config();
    let test = ground.start_with(config).await;
    std::fs::write(test.ground.file("late.yaml"), SEARCH).unwrap();
    std::fs::write(test.ground.file("second.yaml"), CHECKOUT).unwrap();
    std::fs::write(test.ground.file("broken.yaml"), "belay: 2").unwrap();
    test.daemon.reload().await;
    test.post("/v1/migrations/search/arm", "{}").await.expect(StatusCode::OK);
    let checkout = test.get("/v1/migrations/checkout").await.body;
    assert!(checkout["plan_file"].as_str().unwrap().ends_with("checkout.yaml"), "the first file stands");

    std::fs::rename(test.ground.file("late.yaml"), test.ground.file("search.yaml")).unwrap();
    test.daemon.reload().await;
    let search = test.get("/v1/migrations/search").await.body;
    assert!(search["plan_file"].as_str().unwrap().ends_with("search.yaml"));
    assert_eq!((&search["plan_problem"], &search["state"]), (&json!(null), &json!("armed")));
}
