//! Phases, mute, and who decides, over HTTP.

use axum::http::StatusCode;
use serde_json::json;

use crate::world::{CHECKOUT, Ground, Running};

const MIGRATION: &str = "/v1/migrations/checkout";

/// The breach is there from the cutover of the simulated world on.
async fn armed_by(rules: &str, more: &str) -> Running {
    let plan = CHECKOUT.replace(
        "triggers:\n",
        &format!(
            "phases: {{ copy: {{ expected: 4h }}, soak: {{}} }}\n{more}decision: {{ rules: [{rules}] }}\ntriggers:\n"
        ),
    );
    let ground = Ground::new(&[("checkout.yaml", &plan)]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post(&format!("{MIGRATION}/arm"), "{}").await.expect(StatusCode::OK);
    test
}

#[tokio::test(start_paused = true)]
async fn phases_are_begun_and_shown() {
    let test = armed_by("{ do: fix_forward }", "").await;
    let shown = test.get(MIGRATION).await.body;
    assert_eq!((&shown["phase"], &shown["phase_expected_s"]), (&json!("copy"), &json!(4 * 3600)));
    let body = r#"{"phase": "soak", "reason": "all is copied"}"#;
    let soak = test.post(&format!("{MIGRATION}/phase"), body).await.expect(StatusCode::OK);
    assert_eq!((&soak["phase"], &soak["phase_expected_s"]), (&json!("soak"), &json!(null)));
    test.post(&format!("{MIGRATION}/phase"), body).await.expect_problem(409, "wrong_state");
    let body = r#"{"phase": "soaking", "reason": "all is copied"}"#;
    let unknown = test.post(&format!("{MIGRATION}/phase"), body).await.expect_problem(404, "not_found");
    assert!(unknown["help"].as_str().unwrap().contains("copy, soak"), "{unknown:#}");
    test.post(&format!("{MIGRATION}/phase"), r#"{"phase": "copy"}"#).await.expect_problem(422, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn time_that_goes_by_is_a_signal_that_nobody_reads() {
    let plan = CHECKOUT
        .replace(
            "signals:\n",
            "phases: { copy: { expected: 1h } }\nsignals:\n  late: { elapsed: { phase: copy, at_most: 150% } }\n",
        )
        .replace("triggers:\n", "triggers:\n  too_late: { when: late, severity: minor }\n");
    let ground = Ground::new(&[("checkout.yaml", &plan)]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    let armed = test.post(&format!("{MIGRATION}/arm"), "{}").await.expect(StatusCode::OK);
    assert_eq!(armed["signals"]["late"]["health"], "healthy");
    let late = test.until(MIGRATION, |migration| !migration["incident"].is_null()).await;
    assert_eq!(late["incident"]["triggers"], json!(["too_late"]));
    assert!(
        late["signals"]["late"]["evidence"].as_str().unwrap().contains("more than 1h30m since copy began"),
        "{late:#}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mute_keeps_incidents_away_until_it_ends() {
    let test = armed_by("{ do: decide }", "").await;
    for wrong in ["5h", "0s", "soon"] {
        let body = json!({ "for": wrong, "reason": "a load test" }).to_string();
        test.post(&format!("{MIGRATION}/mute"), &body).await.expect_problem(422, "invalid_request");
    }
    let body = r#"{"for": "30m", "reason": "a load test"}"#;
    let muted = test.post(&format!("{MIGRATION}/mute"), body).await.expect(StatusCode::OK);
    assert!(muted["muted_until"].is_string() && muted["muted_reason"] == "a load test", "{muted:#}");
    test.ground.world.cut_over();
    test.until(MIGRATION, |migration| migration["triggers"]["hurt"]["state"] == "fired").await;
    assert_eq!(test.get(MIGRATION).await.body["incident"], json!(null));
    let metrics = test.get("/metrics").await.body.as_str().unwrap_or_default().to_owned();
    assert!(metrics.contains(r#"belay_muted{migration="checkout"} 1"#), "{}", metrics);
    let unmuted = test.post(&format!("{MIGRATION}/unmute"), r#"{"reason": "it is over"}"#).await.expect(StatusCode::OK);
    assert_eq!((&unmuted["state"], &unmuted["muted_until"]), (&json!("incident"), &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_decide_in_time_is_answered_by_the_plan() {
    let test = armed_by("{ do: decide, timebox: 5m, then: roll_back }", "").await;
    test.ground.world.cut_over();
    let open = test.until(MIGRATION, |migration| !migration["incident"].is_null()).await;
    let incident = &open["incident"];
    assert_eq!(
        (&incident["answer"], &incident["then"], &incident["rule"]),
        (&json!("decide"), &json!("roll_back"), &json!(0))
    );
    assert_eq!((&incident["authority"], &incident["words"]), (&json!(["operator"]), &json!([])));
    assert!(incident["timebox_ends"].is_string(), "{incident:#}");
    let waits = open["waiting_for"][0]["reason"].as_str().unwrap();
    assert!(waits.contains("people decide until") && waits.contains("the role operator"), "{waits}");
    let over = test.until(MIGRATION, |migration| migration["run"].is_object()).await;
    assert!(over["run"]["reason"].as_str().unwrap().contains("end of its timebox"), "{over:#}");
}

#[tokio::test(start_paused = true)]
async fn whose_word_changes_a_decision_to_fix_forward_is_said() {
    let test = armed_by("{ do: fix_forward }", "").await;
    test.ground.world.cut_over();
    let open = test.until(MIGRATION, |migration| !migration["incident"].is_null()).await;
    let waits = open["waiting_for"][0]["reason"].as_str().unwrap();
    assert!(waits.contains("the answer is to fix forward"), "{waits}");
    assert!(waits.ends_with("to decide otherwise takes the role operator"), "{waits}");
}

#[tokio::test(start_paused = true)]
async fn disarming_after_the_mark_ends_the_phase_and_the_window() {
    let test = armed_by("{ do: roll_back }", "window: { point_of_no_return: 4h }\n").await;
    let reason = r#"{"reason": "now"}"#;
    let marked = test.post(&format!("{MIGRATION}/cutover"), reason).await.expect(StatusCode::OK);
    assert!(marked["window"]["left_s"].is_number() && marked["phase"] == "copy", "{marked:#}");
    let over = test.post(&format!("{MIGRATION}/disarm"), reason).await.expect(StatusCode::OK);
    for gone in [&over["phase"], &over["phase_since"], &over["phase_expected_s"], &over["cutover"]] {
        assert_eq!(gone, &json!(null), "{over:#}");
    }
    assert_eq!((&over["window"]["point_of_no_return"], &over["window"]["left_s"]), (&json!(null), &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn the_window_counts_from_the_cutover() {
    let test = armed_by("{ do: roll_back }", "window: { point_of_no_return: 4h }\n").await;
    assert_eq!(test.get(MIGRATION).await.body["window"]["point_of_no_return"], json!(null));
    let marked = test.post(&format!("{MIGRATION}/cutover"), "{}").await.expect(StatusCode::OK);
    assert_eq!((&marked["window"]["past"], &marked["window"]["left_s"]), (&json!("require_approval"), &json!(14400.0)));
}
