//! People move what waits for them: every halt names its reason and the verbs, and the verbs work.

use belay_tests::{Kind, When};
use serde_json::{Value, json};

use crate::journal::{events, records};
use crate::stage::{DNS_PLAN, Daemon, Stage};

fn run(daemon: &Daemon) -> Value {
    daemon.migration()["run"].clone()
}

/// A command of an operator, which must be taken.
#[track_caller]
fn operate(stage: &Stage, arguments: &[&str]) {
    let done = stage.belay.run(&[arguments, &["--reason", "by a test"]].concat());
    assert_eq!(done.code, 0, "{done}");
}

#[test]
fn an_interlock_is_overridden_by_its_name_and_on_record() {
    let mut stage = Stage::cut_over("override", &[]);
    let plan = stage.plan(&DNS_PLAN.replace("confirm: [{ signal: page,", "confirm: [{ signal: errors,"));
    let daemon = stage.serve_armed(&plan);
    stage.page.set_healthy(false);
    let done = stage.belay.run(&["rollback", "--reason", "by a test", "--wait"]);
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stdout.contains("belay override"), "{done}");
    let halted = daemon.wait_for_state("halted");
    let waiting = &halted["run"]["steps"]["dns_back"]["waiting_for"][0];
    assert_eq!(waiting["verbs"], json!(["override", "retry", "skip", "resume", "abort"]), "{halted:#}");
    assert!(waiting["reason"].as_str().unwrap().contains("page"), "{waiting}");
    assert!(stage.proxy.mutating_calls().is_empty());

    // It is still so: trying again changes nothing.
    operate(&stage, &["retry", "dns_back"]);
    daemon.wait_until("the run to halt again", |_| {
        (events(&records(&stage.belay), "run_halted").len() == 2).then_some(())
    });
    assert!(stage.proxy.mutating_calls().is_empty());

    operate(&stage, &["override", "dns_back", "page"]);
    daemon.wait_until("the override to carry it on", |migration| (migration["state"] == "rolled_back").then_some(()));
    assert_eq!(stage.weights()[0], (100, 0));
    assert_eq!(run(&daemon)["steps"]["dns_back"]["overrides"], json!(["page"]));
    let records = records(&stage.belay);
    let commands: Vec<&Value> = events(&records, "commanded").into_iter().map(|event| &event["verb"]).collect();
    assert_eq!(commands, ["arm", "rollback", "retry", "override"]);
}

#[test]
fn a_manual_step_waits_for_the_word_of_a_person() {
    let mut stage = Stage::cut_over("manual", &[]);
    let plan = DNS_PLAN
        .replace("steps:\n", "steps:\n  writers: { action: manual, with: { instructions: Stop the writers. } }\n")
        .replace("  dns_back:\n", "  dns_back:\n    needs: [writers]\n");
    let plan = stage.plan(&plan);
    let daemon = stage.serve_armed(&plan);
    operate(&stage, &["rollback"]);
    let waiting = daemon.wait_until("the step to wait", |migration| {
        let waiting = &migration["waiting_for"][0];
        waiting["verbs"].as_array().is_some_and(|verbs| verbs.contains(&json!("approve"))).then(|| waiting.clone())
    });
    assert!(waiting["reason"].as_str().unwrap().contains("Stop the writers."), "{waiting}");
    assert_eq!(waiting["step"], "writers");
    let status = stage.belay.run(&["status"]);
    assert!(status.stdout.contains("Stop the writers.") && status.stdout.contains("belay approve"), "{status}");
    assert!(stage.proxy.mutating_calls().is_empty());

    // Held, the word is taken, but nothing is sent.
    operate(&stage, &["hold"]);
    operate(&stage, &["approve", "writers"]);
    let held = run(&daemon);
    assert_eq!(held["state"], "held");
    assert_eq!(held["waiting_for"][0]["verbs"], json!(["resume", "abort"]));
    assert!(stage.proxy.mutating_calls().is_empty());
    operate(&stage, &["resume"]);
    daemon.wait_for_state("rolled_back");
    assert_eq!(stage.weights()[0], (100, 0));

    // Once more, and somebody says no: the run halts, and goes on without the step.
    operate(&stage, &["arm"]);
    operate(&stage, &["rollback"]);
    daemon.wait_until("the step to wait again", |migration| {
        (migration["run"]["steps"]["writers"]["phase"] == "awaiting_approval").then_some(())
    });
    operate(&stage, &["approve", "writers", "--deny"]);
    let halted = daemon.wait_for_state("halted");
    assert_eq!(halted["run"]["steps"]["dns_back"]["phase"], "blocked");
    operate(&stage, &["skip", "writers"]);
    daemon.wait_until("the run to go on", |migration| (migration["state"] == "rolled_back").then_some(()));
    let run = run(&daemon);
    assert_eq!(run["steps"]["writers"]["phase"], "skipped");
    assert_eq!(run["steps"]["dns_back"]["phase"], "unchanged");
    assert_eq!(stage.proxy.mutating_calls().len(), 1);
}

#[test]
fn a_refused_call_is_tried_again_when_a_person_says_so() {
    let mut stage = Stage::cut_over("retry", &[]);
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve_armed(&plan);
    stage.proxy.fault("route53", "ChangeResourceRecordSets", When::First(1), Kind::AccessDenied);
    let done = stage.belay.run(&["rollback", "--reason", "by a test", "--wait", "--json"]);
    assert_eq!(done.code, 4, "{done}");
    daemon.wait_for_state("halted");
    // Halted, it is guarded by nobody, and cannot be armed over.
    let armed = stage.belay.run(&["arm"]);
    assert_eq!(armed.code, 5, "{armed}");
    operate(&stage, &["retry", "dns_back"]);
    daemon.wait_until("the retry to succeed", |migration| (migration["state"] == "rolled_back").then_some(()));
    assert_eq!(stage.weights()[0], (100, 0));
    assert_eq!(stage.proxy.mutating_calls().len(), 2);
}

#[test]
fn a_rollback_that_was_a_mistake_is_undone() {
    let mut stage = Stage::cut_over("undo", &[]);
    let before = stage.weights();
    let plan = DNS_PLAN
        .replace("confirm: [{ signal: page,", "confirm: [{ signal: errors,")
        .replace("steps:\n", "steps:\n  writers: { action: manual, with: { instructions: Stop the writers. } }\n");
    let plan = stage.plan(&plan);
    let daemon = stage.serve_armed(&plan);
    operate(&stage, &["rollback"]);
    let run = daemon.wait_until("the writers", |migration| {
        let run = &migration["run"];
        (run["steps"]["writers"]["phase"] == "awaiting_approval").then(|| run["id"].as_str().unwrap().to_owned())
    });
    operate(&stage, &["approve", "writers"]);
    daemon.wait_for_state("rolled_back");
    assert_eq!(stage.weights()[0], (100, 0));

    let undo = daemon.post(&format!("/v1/runs/{run}/undo"), &json!({ "reason": "green was fine" }));
    assert_eq!(undo.status, 202, "{undo:?}");
    // Nothing proves that the other side is healthy: a person has to say so by its name.
    let halted = daemon.wait_until("the undo to ask", |migration| {
        (migration["run"]["kind"] == "undo" && migration["run"]["steps"]["dns_back"]["phase"] == "failed")
            .then(|| migration["run"].clone())
    });
    assert_eq!((&halted["undoes"], &halted["id"]), (&json!(run), &undo.json()["run"]));
    assert_eq!(stage.weights()[0], (100, 0));
    let destination = halted["steps"]["dns_back"]["changes"][0]["effects"][0]["traffic"]["shares"]
        .as_array()
        .and_then(|shares| shares.iter().find(|share| share["after"] == 100))
        .and_then(|share| share["destination"].as_str().map(str::to_owned))
        .unwrap();
    operate(&stage, &["override", "dns_back", &destination]);
    daemon.wait_until("the writers again", |migration| {
        (migration["run"]["steps"]["writers"]["phase"] == "awaiting_approval").then_some(())
    });
    operate(&stage, &["approve", "writers"]);
    let undone =
        daemon.wait_until("the end", |migration| (migration["run"]["state"] == "undone").then(|| migration.clone()));
    assert_eq!(undone["state"], "disarmed");
    assert_eq!(stage.weights(), before);
    let again = daemon.post(&format!("/v1/runs/{run}/undo"), &json!({ "reason": "once more" }));
    assert_eq!(again.status, 409, "{again:?}");
}
