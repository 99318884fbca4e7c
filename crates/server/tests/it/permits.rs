//! A plan is code: what it may do beyond AWS, who may change its file, and whether it is the one that was reviewed.

use std::os::unix::fs::PermissionsExt;

use axum::http::StatusCode;
use belay_local::permit::Permits;
use belay_server::{Config, config::ArmPolicy};
use serde_json::json;

use crate::world::{CHECKOUT, Ground};

fn with_a_command() -> String {
    let command = "  fence: { action: command, needs: [traffic], with: { argv: [/usr/bin/fence, now] } }\n";
    CHECKOUT.replacen("confirm:", &format!("{command}confirm:"), 1)
}

fn permitting(commands: Option<&[&str]>) -> Permits {
    let commands = commands.map(|words| words.iter().map(|&word| word.to_owned()).collect());
    Permits { commands, ..Permits::default() }
}

#[tokio::test(start_paused = true)]
async fn what_the_configuration_does_not_list_is_not_armed() {
    let ground = Ground::new(&[("checkout.yaml", &with_a_command())]);
    let config = Config { permits: permitting(Some(&["/usr/bin/other"])), ..ground.config() };
    let test = ground.start_with(config.clone()).await;
    let refused = test.post("/v1/migrations/checkout/arm", "{}").await.expect_problem(409, "not_permitted");
    let why = "step fence runs /usr/bin/fence now, which is not permitted: list /usr/bin/fence in `commands`";
    assert!(refused["detail"].as_str().unwrap().contains(why), "{refused:#}");
    let ready = test.get("/readyz").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready["not_ready"][0]["why"].as_str().unwrap().contains(why), "{ready:#}");
    let listed = Config { permits: permitting(Some(&["/usr/bin/fence"])), ..config };
    let test = test.restart_with(listed).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_runs_programs_is_armed_without_a_person_or_a_list() {
    let ground = Ground::new(&[("checkout.yaml", &with_a_command())]);
    let config = Config { arm: ArmPolicy::OnStart, ..ground.config() };
    let test = ground.start_with(config.clone()).await;
    test.daemon.arm_on_start().await;
    let ready = test.get("/readyz").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    let why = ready["not_ready"][0]["why"].as_str().unwrap();
    assert!(why.contains("step fence runs /usr/bin/fence now, and without a person's word"), "{why}");
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    test.post("/v1/migrations/checkout/disarm", "{}").await.expect(StatusCode::OK);

    let ground = Ground::new(&[("checkout.yaml", &with_a_command())]);
    let permits = permitting(Some(&["/usr/bin/fence"]));
    let config = Config { arm: ArmPolicy::OnStart, permits, ..ground.config() };
    let test = ground.start_with(config).await;
    test.daemon.arm_on_start().await;
    assert_eq!(test.get("/v1/migrations/checkout").await.body["state"], "armed");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_others_can_change_is_armed_on_a_persons_word_only() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    let file = ground.file("checkout.yaml");
    std::fs::set_permissions(&file, mode(0o660)).unwrap();
    let config = Config { arm: ArmPolicy::OnStart, ..ground.config() };
    let test = ground.start_with(config).await;
    test.daemon.arm_on_start().await;
    let ready = test.get("/readyz").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready["not_ready"][0]["why"].as_str().unwrap().contains("can change the file"), "{ready:#}");
    let armed = test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    assert!(armed["warnings"][0].as_str().unwrap().contains("can change the plan file"), "{armed:#}");
    test.post("/v1/migrations/checkout/disarm", "{}").await.expect(StatusCode::OK);
    std::fs::set_permissions(&file, mode(0o666)).unwrap();
    let refused = test.post("/v1/migrations/checkout/arm", "{}").await.expect_problem(422, "plan_file");
    assert!(refused["detail"].as_str().unwrap().contains("everybody on this host can change it"), "{refused:#}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_armed_by_the_hash_that_was_reviewed() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    let arm = |sha256: &str| json!({ "plan_sha256": sha256 }).to_string();
    let refused = test.post("/v1/migrations/checkout/arm", &arm(&"0".repeat(64))).await;
    let refused = refused.expect_problem(409, "other_plan");
    let found = refused["plan_sha256"].as_str().unwrap().to_owned();
    assert_eq!(test.get("/v1/migrations/checkout").await.body["state"], "disarmed");
    test.post("/v1/migrations/checkout/arm", &arm(&found)).await.expect(StatusCode::OK);
}
