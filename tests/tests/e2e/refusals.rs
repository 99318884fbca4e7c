//! What Belay refuses, with which exit code, and that it has done nothing by then.

use belay_tests::{Kind, When};
use serde_json::json;

use crate::stage::{DNS_PLAN, Stage};

#[test]
fn another_account_is_refused_before_anything_else_is_read() {
    let mut stage = Stage::cut_over("account", &[]);
    let plan = stage.plan(&DNS_PLAN.replace("$account", "111122223333"));
    for arguments in [&["run", &plan, "--reason", "a test"][..], &["dry-run", &plan], &["capture", &plan]] {
        stage.proxy.clear();
        let done = stage.belay.run(arguments);
        assert_eq!(done.code, 5, "{done}");
        assert!(done.stderr.contains("111122223333") && done.stderr.contains("123456789012"), "{done}");
        let calls: Vec<String> = stage.proxy.calls().into_iter().map(|call| call.action).collect();
        assert_eq!(calls, ["GetCallerIdentity"], "{arguments:?}");
    }

    // Nor does it go on when nobody can say whose account it is.
    let right = stage.belay.write("right.yaml", stage.fill(DNS_PLAN).trim_start());
    let fault = stage.proxy.fault("sts", "*", When::All, Kind::ExpiredToken);
    stage.proxy.clear();
    let done = stage.belay.run(&["run", &right, "--reason", "a test"]);
    assert_eq!(done.code, 5, "{done}");
    assert!(done.stderr.contains("ExpiredToken") && done.stderr.contains("aws sso login"), "{done}");
    assert!(stage.proxy.calls().iter().all(|call| call.action == "GetCallerIdentity"));
    fault.remove();

    stage.proxy.clear();
    let daemon = stage.serve(&plan);
    let done = stage.belay.run(&["arm"]);
    assert_eq!(done.code, 5, "{done}");
    assert_eq!(daemon.migration()["state"], "disarmed");
    let calls = stage.proxy.calls();
    assert!(calls.iter().all(|call| call.action == "GetCallerIdentity"), "{calls:?}");
}

#[test]
fn an_invalid_plan_is_shown_with_every_error_and_its_place() {
    let stage = Stage::new("invalid", &[]);
    let plan =
        DNS_PLAN.replace("status: 200", "stattus: 200").replace("needs: []", "").replace("for: 1s", "for: 1 second");
    let plan = stage.plan(&plan);
    let text = std::fs::read_to_string(&plan).unwrap();
    let place = |word: &str| {
        let (line, text) = text.lines().enumerate().find(|(_, line)| line.contains(word)).unwrap();
        format!("{plan}:{}:{}", line + 1, text.find(word).unwrap() + 1)
    };
    for command in [
        &["validate", &plan][..],
        &["run", &plan, "--reason", "a test"],
        &["dry-run", &plan],
        &["serve", "--plan", &plan],
    ] {
        let done = stage.belay.run(command);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains(&place("stattus")), "{} in {done}", place("stattus"));
        assert!(done.stderr.contains(&place("1 second")), "{} in {done}", place("1 second"));
        assert!(done.stderr.contains("status"), "what would be right: {done}");
    }
    assert!(stage.proxy.calls().is_empty());
}

#[test]
fn without_a_baseline_there_is_no_way_back() {
    let mut stage = Stage::cut_over("nobase", &[]);
    let plan = stage.plan(&DNS_PLAN.replace("to: { $blue_set: 100, $green_set: 0 }", "to: baseline"));
    let done = stage.belay.run(&["run", &plan, "--reason", "a test"]);
    assert_eq!(done.code, 5, "{done}");
    assert!(done.stderr.contains("no baseline") && done.stderr.contains("dns_back"), "{done}");
    // Before anything is armed, a dry run shows what it can.
    let done = stage.belay.run(&["dry-run", &plan]);
    assert_eq!(done.code, 0, "{done}");
    assert!(done.stdout.contains("no baseline is captured yet for dns_back"), "{done}");

    // What is armed is the plan without the step; after the cutover mark it is too late for a baseline.
    let early = DNS_PLAN.split("steps:").next().unwrap().to_owned()
        + "steps:\n  pause: { action: wait, with: { for: 1s } }\nconfirm: [{ signal: page, within: 1m }]\n";
    stage.plan(&early);
    let _daemon = stage.serve_armed(&plan);
    assert_eq!(stage.belay.run(&["cutover"]).code, 0);
    stage.plan(&DNS_PLAN.replace("to: { $blue_set: 100, $green_set: 0 }", "to: baseline"));
    let done = stage.belay.run(&["arm"]);
    assert_eq!(done.code, 5, "{done}");
    assert!(done.stderr.contains("dns_back") && done.stderr.contains("--baseline"), "{done}");
    assert!(stage.proxy.mutating_calls().is_empty());
}

#[test]
fn a_second_rollback_is_told_of_the_first() {
    let mut stage = Stage::cut_over("second", &[]);
    let plan = stage.plan(&DNS_PLAN.replace("require: [page]", "require: [{ signal: page, within: 5m }]"));
    let daemon = stage.serve_armed(&plan);
    stage.page.set_healthy(false);
    let path = format!("/v1/migrations/{}/rollback", stage.name());
    let roll_back = || daemon.post(&path, &json!({ "reason": "at once" }));
    let mut answers = std::thread::scope(|scope| {
        let other = scope.spawn(roll_back);
        [roll_back(), other.join().unwrap()]
    });
    answers.sort_by_key(|answer| answer.status);
    let [first, second] = answers;
    assert_eq!((first.status, second.status), (202, 409), "{first:?} {second:?}");
    let run = first.json()["run"].as_str().unwrap().to_owned();
    let problem = second.json();
    assert_eq!(problem["run"], *run);
    assert_eq!(problem["type"], "/problems/already_running");
    assert_eq!(problem["state"], "rolling_back");
    let done = stage.belay.run(&["rollback", "--reason", "three"]);
    assert_eq!(done.code, 5, "{done}");
    assert!(done.stderr.contains(&run), "{done}");
    // Nor can it be armed or taken away meanwhile.
    for verb in ["arm", "disarm", "cutover"] {
        let answer = daemon.post(&format!("/v1/migrations/{}/{verb}", stage.name()), &json!({}));
        assert_eq!(answer.status, 409, "{verb}: {answer:?}");
    }

    // A person ends it.
    let done = stage.belay.run(&["abort", "--reason", "enough"]);
    assert_eq!(done.code, 0, "{done}");
    daemon.wait_for_state("aborted");
    assert_eq!(daemon.get(&format!("/v1/runs/{run}"))["state"], "aborted");
    assert!(stage.proxy.mutating_calls().is_empty());
    let late = stage.belay.run(&["abort", &run, "--reason", "again"]);
    assert_eq!(late.code, 5, "{late}");
}

#[test]
fn a_verb_in_the_wrong_state_says_what_is_possible() {
    let mut stage = Stage::new("wrong", &[]);
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve(&plan);
    let post = |verb: &str, body| daemon.post(&format!("/v1/migrations/{}/{verb}", stage.name()), &body);
    for (verb, body) in [("cutover", json!({})), ("disarm", json!({})), ("rollback", json!({ "reason": "a test" }))] {
        let answer = post(verb, body);
        assert_eq!(answer.status, 409, "{verb}: {answer:?}");
        let problem = answer.json();
        assert_eq!((&problem["state"], &problem["possible"]), (&json!("disarmed"), &json!(["arm"])), "{problem:#}");
    }
    assert_eq!(post("rollback", json!({})).status, 422, "a reason goes on record");
    assert_eq!(daemon.post("/v1/migrations/nobody/arm", &json!({})).status, 404);
    assert_eq!(daemon.post("/v1/runs/none/abort", &json!({ "reason": "a test" })).status, 404);
    let done = stage.belay.run(&["rollback", "--reason", "a test"]);
    assert_eq!(done.code, 5, "{done}");
}

#[test]
fn a_daemon_that_is_not_there_has_an_exit_code_of_its_own() {
    let stage = Stage::new("nobody", &[]);
    for arguments in
        [&["status"][..], &["arm", "shop"], &["rollback", "shop", "--reason", "a test"], &["cutover", "shop"]]
    {
        let arguments = [arguments, &["--url", "http://127.0.0.1:1"]].concat();
        let done = stage.belay.run(&arguments);
        assert_eq!(done.code, 6, "{done}");
        assert!(done.stderr.contains("http://127.0.0.1:1") && done.stderr.contains("belay serve"), "{done}");
    }
}

#[test]
fn a_trigger_that_is_red_already_is_refused_or_waits_for_green() {
    let mut stage = Stage::cut_over("red", &[]);
    stage.world.set_alarm("/alarms/errors", "ALARM");
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve(&plan);
    let done = stage.belay.run(&["arm"]);
    assert_eq!(done.code, 5, "{done}");
    assert!(done.stderr.contains("customers_hurt is red already"), "{done}");
    assert_eq!(daemon.migration()["state"], "disarmed");

    stage.plan(&DNS_PLAN.replace("for: 1s,", "for: 1s, red_at_arm: wait_for_green,"));
    let done = stage.belay.run(&["arm"]);
    assert_eq!(done.code, 0, "{done}");
    let asleep = |state: &str| daemon.migration()["triggers"]["customers_hurt"]["state"] == state;
    assert!(asleep("waits_for_green"));
    stage.world.set_alarm("/alarms/errors", "OK");
    daemon.wait_until("the trigger to wake up", |_| asleep("quiet").then_some(()));
    assert!(stage.proxy.mutating_calls().is_empty(), "red from before is no reason to roll back");
    stage.world.set_alarm("/alarms/errors", "ALARM");
    daemon.wait_for_state("rolled_back");
    assert_eq!(stage.weights()[0], (100, 0));
}
