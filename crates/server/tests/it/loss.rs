//! What would be lost now, over HTTP and as a metric.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::world::{CHECKOUT, Ground, Running};

const MIGRATION: &str = "/v1/migrations/checkout";

/// What `traffic` brings back is of the cutover; of `by_hand` nothing is observed.
async fn armed(more: &str, of_traffic: &str) -> Running {
    let plan = CHECKOUT
        .replace(
            "signals:\n",
            &format!("objectives: {{ rpo: 5m }}\n{more}signals:\n  lost: {{ loss: traffic, healthy: \"<= 10m\" }}\n"),
        )
        .replace("triggers:\n", "triggers:\n  losing: { when: lost, severity: minor }\n")
        .replace("action: sim.weights\n", &format!("action: sim.weights\n    loses_data: true\n    {of_traffic}\n"))
        .replace("action: manual,", "action: manual, loses_data: true,");
    let ground = Ground::new(&[("checkout.yaml", &plan)]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    let shown = test.get(MIGRATION).await.body;
    assert_eq!(shown["loss"], json!({}), "it is not armed");
    test.post(&format!("{MIGRATION}/arm"), "{}").await.expect(StatusCode::OK);
    let basis = |migration: &serde_json::Value| migration["loss"]["traffic"]["basis"].as_str().unwrap_or("").to_owned();
    test.until(MIGRATION, |migration| !basis(migration).starts_with("not observed yet")).await;
    test
}

async fn metrics(test: &Running) -> String {
    test.get("/metrics").await.body.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_would_be_lost_grows_from_the_cutover_on() {
    let test = armed("", "").await;
    let shown = test.get(MIGRATION).await.body;
    assert_eq!(shown["loss"]["traffic"], json!({ "now_s": null, "rpo_s": 300, "basis": "the cutover is not marked" }));
    assert_eq!(
        shown["loss"]["by_hand"],
        json!({
            "now_s": null, "rpo_s": 300,
            "basis": "nothing is observed of this step, so how far back it goes is not known",
        })
    );
    assert_eq!(shown["signals"]["lost"]["health"], "unknown");
    assert!(!metrics(&test).await.contains("belay_loss_seconds{"), "what is not known is no number");

    test.post(&format!("{MIGRATION}/cutover"), "{}").await.expect(StatusCode::OK);
    test.until(MIGRATION, |migration| migration["signals"]["lost"]["health"] == "healthy").await;
    tokio::time::sleep(Duration::from_secs(6 * 60)).await;
    let shown = test.get(MIGRATION).await.body;
    let traffic = &shown["loss"]["traffic"];
    let now_s = traffic["now_s"].as_u64().unwrap_or_default();
    assert!((360..380).contains(&now_s), "{traffic:#}");
    assert!(traffic["basis"].as_str().unwrap_or_default().starts_with("a copy of the cutover at 2026-05-05T"));
    let metrics = metrics(&test).await;
    let series = r#"belay_loss_seconds{migration="checkout",step="traffic"} "#;
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)).expect("the series");
    assert!((360.0..380.0).contains(&value.parse::<f64>().unwrap()), "{value}");
    assert!(!metrics.contains("by_hand"), "of what is not known there is no series");

    let late = test.until(MIGRATION, |migration| !migration["incident"].is_null()).await;
    assert_eq!(late["incident"]["triggers"], json!(["losing"]));
    let lost = &late["loss"]["traffic"]["now_s"];
    assert!((600..620).contains(&lost.as_u64().unwrap_or_default()), "{lost}");
    let evidence = late["signals"]["lost"]["evidence"].as_str().unwrap_or_default();
    assert!(evidence.starts_with("traffic would lose more than 10m: a copy of the cutover"), "{evidence}");
}

#[tokio::test(start_paused = true)]
async fn a_step_of_another_phase_shows_that_it_is() {
    let test = armed("phases: { copy: {}, soak: {} }\n", "during: [soak]").await;
    let basis = |shown: &serde_json::Value| shown["loss"]["traffic"]["basis"].as_str().unwrap_or_default().to_owned();
    let shown = test.get(MIGRATION).await.body;
    assert_eq!(basis(&shown), "the cutover is not marked; the step serves soak only");
    let body = r#"{"phase": "soak", "reason": "all is copied"}"#;
    let soak = test.post(&format!("{MIGRATION}/phase"), body).await.expect(StatusCode::OK);
    assert_eq!(basis(&soak), "the cutover is not marked");
    test.post(&format!("{MIGRATION}/disarm"), "{}").await.expect(StatusCode::OK);
    test.until(MIGRATION, |migration| migration["loss"] == json!({})).await;
}
