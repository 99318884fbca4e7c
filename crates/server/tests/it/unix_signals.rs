//! What Unix signals ask for.

use axum::http::StatusCode;
use belay_server::{Config, config::Sigusr1};
use serde_json::json;

use crate::world::{CHECKOUT, Ground, Running, SEARCH, armed, disarmed};

async fn both_armed(sigusr1: Sigusr1) -> Running {
    let search = SEARCH.replace("lb/checkout", "lb/search");
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT), ("search.yaml", &search)]);
    let config = Config { sigusr1, ..ground.config() };
    let test = ground.start_with(config).await;
    for migration in ["checkout", "search"] {
        test.post(&format!("/v1/migrations/{migration}/arm"), "{}").await.expect(StatusCode::OK);
    }
    test.ground.world.cut_over();
    test
}

async fn runs(test: &Running) -> usize {
    test.get("/v1/runs").await.body["items"].as_array().expect("a list").len()
}

#[tokio::test(start_paused = true)]
async fn sigusr1_rolls_back_the_armed_migration() {
    let test = armed().await;
    test.daemon.roll_back_by_signal().await;
    let run = test.get("/v1/runs").await.body["items"][0].clone();
    assert_eq!((&run["kind"], &run["reason"], &run["actor"]), (&json!("real"), &json!("SIGUSR1"), &json!("signal")));
    test.daemon.roll_back_by_signal().await;
    assert_eq!(runs(&test).await, 1, "one under way is enough");
}

#[tokio::test(start_paused = true)]
async fn sigusr1_does_nothing_when_nothing_is_armed() {
    let test = disarmed().await;
    test.daemon.roll_back_by_signal().await;
    assert_eq!(runs(&test).await, 0);
}

#[tokio::test(start_paused = true)]
async fn sigusr1_refuses_several_unless_told_otherwise() {
    let test = both_armed(Sigusr1::One).await;
    test.daemon.roll_back_by_signal().await;
    assert_eq!(runs(&test).await, 0);
    let test = both_armed(Sigusr1::All).await;
    test.daemon.roll_back_by_signal().await;
    assert_eq!(runs(&test).await, 2);
}

#[tokio::test(start_paused = true)]
async fn sigusr2_rehearses() {
    let test = armed().await;
    test.daemon.dry_run_by_signal().await;
    let run = test.get("/v1/runs").await.body["items"][0].clone();
    assert_eq!((&run["state"], &run["actor"]), (&json!("rehearsed"), &json!("signal")));
    assert!(test.ground.world.calls().is_empty());
}
