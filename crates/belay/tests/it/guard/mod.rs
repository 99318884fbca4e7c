//! `belay guard`, against a daemon in this process that guards a simulated world.

mod daemons;
mod killed;
mod signals;
pub(crate) mod stage;

use std::fs;

use belay_core::reading::Health;
use belay_sim::Rule;
use serde_json::{Value, json};

use self::stage::{PLAN, UNTIL_INPUT_ENDS};
use crate::daemon::Guarded;

fn report(guarded: &Guarded) -> Value {
    serde_json::from_str(&fs::read_to_string(guarded.folder.path().join("report.json")).unwrap()).unwrap()
}

const REPORT: [&str; 2] = ["--report", "report.json"];

#[test]
fn a_command_is_run_between_arming_and_the_soak_and_its_streams_are_its_own() {
    let guarded = Guarded::with(PLAN);
    let script = "echo out; echo err >&2; cat; \"$BELAY\" status shop --json | grep '\"cutover\": null'";
    let options = ["--soak", "0s", "--reason", "release 4711", REPORT[0], REPORT[1]];
    let mut guard = guarded.guard(&options, &["sh", "-c", script, "--json"]);
    guard.type_line("through");
    let ended = guard.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.stdout, ["out", "through", "  \"cutover\": null,"]);
    let others: Vec<&String> = ended.stderr.iter().filter(|line| !line.starts_with("belay: ")).collect();
    assert_eq!(others, ["err"], "{ended:#?}");
    ended.says("the soak of 0s is over, and all is well");
    ended.says("belay disarm shop --reason");
    let status = guarded.json(&["status", "shop"]);
    assert_eq!(status["state"], "armed");
    assert!(status["cutover"].is_string(), "{status:#}");
    let report = report(&guarded);
    assert_eq!((&report["outcome"], &report["exit_code"]), (&json!("well"), &json!(0)));
    assert_eq!(report["command"], json!({ "exit_code": 0, "signal": null }));
    assert_eq!((&report["cutover"], &report["plan_sha256"]), (&status["cutover"], &status["plan_sha256"]));

    let again = guarded.guard(&["--soak", "0s"], &["true"]).wait();
    assert_eq!(again.code, Some(0), "{again:#?}");
    again.says("is armed with this plan already: the baseline is kept");
    again.says("warning: the cutover was marked at");
}

/// What was the new side of the last release is the known-good one of the next.
#[test]
fn the_next_release_goes_back_to_what_was_there_before_it_and_not_to_the_last_ones_baseline() {
    let guarded = Guarded::with(PLAN);
    let mut guard = guarded.guard(&["--soak", "0s"], UNTIL_INPUT_ENDS);
    guard.stdout.until("started");
    guarded.world.cut_over();
    guard.end_input();
    assert_eq!(guard.wait().code, Some(0));
    let first = guarded.json(&["status", "shop"]);
    let told = guarded.run(&["disarm", "--reason", "release 1 is done"], 0);
    assert!(
        told.contains("the cutover was marked, so its baseline of ") && told.contains("what is there NOW"),
        "{told}"
    );

    let ended = guarded.guard(&["--on-failure", "alert", REPORT[0], REPORT[1]], &["sh", "-c", "exit 7"]).wait();
    assert_eq!(ended.code, Some(7), "{ended:#?}");
    ended.says("a rollback goes back to the baseline of ");
    ended.says("step dns_back: its baseline is new, and is not the state of ");
    ended.does_not_say("the cutover was marked");
    let second = guarded.json(&["status", "shop"]);
    assert_ne!(first["baseline"]["captured"], second["baseline"]["captured"]);
    assert_eq!(second["cutover"], Value::Null);
    assert_eq!(report(&guarded)["baseline"], second["baseline"]["captured"]);

    let ended = guarded.guard(&["--soak", "0s"], &["true"]).wait();
    ended.says("a rollback goes back to the baseline that was kept");
}

#[test]
fn a_command_that_fails_is_rolled_back() {
    let guarded = Guarded::with(PLAN);
    let mut guard = guarded.guard(&REPORT, &["sh", "-c", "echo started; cat; exit 3"]);
    guard.stdout.until("started");
    guarded.world.cut_over();
    guard.end_input();
    let ended = guard.wait();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    ended.says("sh ended with exit code 3");
    ended.says("is rolled back");
    assert!(guarded.world.is_at_target("dns_back"));
    let status = guarded.json(&["status", "shop"]);
    assert_eq!(status["state"], "rolled_back");
    assert_eq!(status["run"]["reason"], "belay guard: sh ended with exit code 3");
    let report = report(&guarded);
    assert_eq!((&report["outcome"], &report["run"]["state"]), (&json!("rolled_back"), &json!("rolled_back")));
    assert_eq!(report["command"]["exit_code"], 3);
}

#[test]
fn where_people_are_only_alerted_a_failure_keeps_its_exit_code() {
    let guarded = Guarded::with(PLAN);
    for (script, code) in [("exit 4", 4), ("kill -KILL $$", 137)] {
        let ended = guarded.guard(&["--on-failure", "alert", REPORT[0], REPORT[1]], &["sh", "-c", script]).wait();
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        ended.says("nothing was rolled back");
        ended.says("belay rollback shop --reason");
        assert_eq!(report(&guarded)["outcome"], "command_failed");
        let status = guarded.json(&["status", "shop"]);
        assert_eq!((&status["state"], &status["cutover"]), (&json!("armed"), &Value::Null));
    }
}

#[test]
fn a_command_that_cannot_be_started_has_changed_nothing() {
    let guarded = Guarded::with(PLAN);
    let ended = guarded.guard(&[], &["no-such-program"]).wait();
    assert_eq!(ended.code, Some(127), "{ended:#?}");
    ended.says("no-such-program could not be started");
    ended.says("shop stays armed");
    let ended = guarded.guard(&[], &["./shop.yaml"]).wait();
    assert_eq!(ended.code, Some(126), "{ended:#?}");
    guarded.is("armed");
}

/// What the command would write, if it were started.
const MARKER: &[&str] = &["touch", "marker"];

#[track_caller]
fn not_started(guarded: &Guarded, options: &[&str], code: i32, why: &str) {
    let ended = guarded.guard(options, MARKER).wait();
    assert_eq!(ended.code, Some(code), "{ended:#?}");
    ended.says(why);
    ended.says("the command was not started");
    assert!(!guarded.folder.path().join("marker").exists());
}

#[test]
fn what_arming_finds_stops_the_command_before_it_begins() {
    let guarded = Guarded::with(PLAN);
    guarded.world.set_rule("errors", Rule::Always(Health::Unhealthy));
    not_started(&guarded, &REPORT, 3, "red");
    assert_eq!(report(&guarded)["outcome"], "not_ready");
    assert_eq!(report(&guarded)["command"], Value::Null);
    guarded.is("disarmed");
    guarded.world.set_rule("errors", Rule::Absent);
    not_started(&guarded, &[], 3, "errors");
    let ended = guarded.guard(&["--accept-unknown", "--soak", "0s"], &["true"]).wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.says("warning: ");
}

#[test]
fn another_plan_than_the_daemons_is_not_armed_and_not_replaced() {
    let guarded = Guarded::with(PLAN);
    let file = guarded.folder.path().join("shop.yaml");
    let other = guarded.folder.path().join("other.yaml");
    fs::write(&other, PLAN.replace("30s", "31s")).unwrap();
    let guard = |options: &[&str]| {
        let ended = guarded.guard(options, MARKER).wait();
        assert_eq!(ended.code, Some(5), "{ended:#?}");
        assert!(!guarded.folder.path().join("marker").exists());
        ended
    };
    guarded.run(&["arm"], 0);
    let armed = guarded.json(&["status", "shop"])["plan_sha256"].clone();
    fs::copy(&other, &file).unwrap();
    let ended = guard(&[]);
    ended.says("shop is armed with another plan");
    ended.says("belay arm shop --plan-sha256");
    assert_eq!(guarded.json(&["status", "shop"])["plan_sha256"], armed);
    guarded.run(&["disarm", "--reason", "r"], 0);
    fs::write(&file, PLAN).unwrap();
    let told = crate::program(guarded.folder.path(), &["guard", "other.yaml", "--", "touch", "marker"])
        .env("BELAY_URL", &guarded.url)
        .output()
        .unwrap();
    assert_eq!(told.status.code(), Some(5));
    let told = crate::text(&told.stderr);
    assert!(
        told.contains("it is not what was reviewed")
            && told.contains("copy the reviewed plan over it")
            && told.contains("the command was not started"),
        "{told}"
    );
    guarded.is("disarmed");
}

#[test]
fn beside_a_run_or_an_incident_no_command_is_started() {
    let waiting = PLAN.to_owned()
        + "  people:\n    needs: [dns_back]\n    action: manual\n    with: { instructions: Tell the shops. }\n";
    let guarded = Guarded::with(&waiting);
    guarded.run(&["arm"], 0);
    guarded.run(&["rollback", "--reason", "r"], 0);
    not_started(&guarded, &[], 5, "is running");

    let guarded = Guarded::with(&format!("{PLAN}decision: {{ rules: [{{ do: decide, timebox: 300h }}] }}\n"));
    guarded.run(&["arm"], 0);
    guarded.world.set_rule("errors", Rule::Always(Health::Unhealthy));
    guarded.wait_for("incident");
    not_started(&guarded, &[], 3, "is open: hurt");
}

#[test]
fn wrong_usage_is_told_before_anything_happens() {
    let guarded = Guarded::with(PLAN);
    for (options, code, why) in [
        (&["--soak", "soon"][..], 2, "soak"),
        (&["--report", "no/such/folder.json"], 2, "cannot be written"),
        (&["--baseline", "none.json"], 2, "cannot be read"),
        (&["--on-failure", "pray"], 2, "roll_back"),
    ] {
        let ended = guarded.guard(options, MARKER).wait();
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        ended.says(why);
        assert_eq!(ended.stdout, Vec::<String>::new());
    }
    guarded.is("disarmed");
    // What belongs to the command is no wish for JSON.
    let ended = guarded.guard(&["--soak", "soon"], &["true", "--json"]).wait();
    assert_eq!((ended.code, ended.stdout), (Some(2), Vec::new()));
}

#[test]
fn a_trigger_in_the_soak_is_waited_for_to_its_end() {
    let guarded = Guarded::with(PLAN);
    let guard = guarded.guard(&[], &["true"]);
    guard.stderr.until("shop is watched for 30m");
    guarded.world.cut_over();
    guarded.world.set_rule("errors", Rule::Always(Health::Unhealthy));
    let ended = guard.wait();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    ended.says("hurt");
    ended.says("is rolled back");
    guarded.is("rolled_back");
}

#[test]
fn a_rollback_beside_the_command_asks_the_command_to_end() {
    let guarded = Guarded::with(PLAN);
    let guard =
        guarded.guard(&[], &["sh", "-c", "trap 'echo stopped; exit 0' TERM; echo started; while :; do read x; done"]);
    guard.stdout.until("started");
    guarded.world.cut_over();
    guarded.world.set_rule("errors", Rule::Always(Health::Unhealthy));
    guard.stdout.until("stopped");
    let ended = guard.wait();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    ended.says("is asked to end (SIGTERM)");
    ended.does_not_say("the cutover is marked");
    guarded.is("rolled_back");
}

#[test]
fn a_command_that_outlives_the_rollback_is_told() {
    let guarded = Guarded::with(PLAN);
    let mut guard = guarded.guard(&REPORT, &["sh", "-c", "trap '' TERM; echo started; cat"]);
    guard.stdout.until("started");
    guarded.world.cut_over();
    guarded.world.set_rule("errors", Rule::Always(Health::Unhealthy));
    guarded.wait_for("rolled_back");
    guard.end_input();
    let ended = guard.wait();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    ended.says("after the rollback: it may have moved traffic again");
    ended.says("belay rollback shop --dry-run --wait --reason");
    ended.does_not_say("is watched for");
    assert!(report(&guarded)["command_ended_after_rollback_s"].is_u64());
}

#[test]
fn a_decision_that_people_owe_is_told_and_is_not_well() {
    let guarded = Guarded::with(&format!("{PLAN}decision: {{ rules: [{{ do: decide, timebox: 300h }}] }}\n"));
    let mut guard = guarded.guard(&["--soak", "0s"], UNTIL_INPUT_ENDS);
    guard.stdout.until("started");
    guarded.world.set_rule("errors", Rule::Always(Health::Unhealthy));
    guard.stderr.until("belay decide roll-back");
    guard.end_input();
    let ended = guard.wait();
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    ended.says("the cutover is marked");
    ended.says("not all is well: incident");
    guarded.is("incident");
}

#[test]
fn a_rollback_that_halts_ends_with_the_commands_that_move_it() {
    let guarded =
        Guarded::with(&PLAN.replace("    require: [blue_ready]\n", "    require: [blue_ready]\n    timeout: 5s\n"));
    let mut guard = guarded.guard(&REPORT, &["sh", "-c", "echo started; cat; exit 1"]);
    guard.stdout.until("started");
    guarded.world.cut_over();
    guarded.world.set_rule("blue_ready", Rule::Always(Health::Unhealthy));
    guard.end_input();
    let ended = guard.wait();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    ended.says("is halted");
    ended.says("belay override dns_back blue_ready --run");
    assert_eq!(report(&guarded)["outcome"], "halted");
}

#[test]
fn who_disarms_it_ends_the_watch() {
    let guarded = Guarded::with(PLAN);
    let guard = guarded.guard(&REPORT, &["true"]);
    guard.stderr.until("shop is watched for 30m");
    guarded.run(&["disarm", "--reason", "r"], 0);
    let ended = guard.wait();
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    ended.says("somebody has disarmed shop");
    assert_eq!(report(&guarded)["outcome"], "unguarded");
}

#[test]
fn the_mark_stands_where_the_plan_counts_from_it_or_where_the_command_sets_it() {
    let marked = "\"$BELAY\" status shop --json | grep '\"cutover\": \"'";
    let losing = PLAN.replace("    to: baseline\n", "    to: baseline\n    loses_data: true\n");
    let phases = format!("{PLAN}phases: {{ copy: {{}}, cutover: {{}} }}\n");
    for plan in [losing, phases] {
        let guarded = Guarded::with(&plan);
        let ended = guarded.guard(&["--soak", "0s"], &["sh", "-c", marked]).wait();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    let guarded = Guarded::with(PLAN);
    let ended = guarded.guard(&["--soak", "0s", "--cutover", "before"], &["sh", "-c", marked]).wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let guarded = Guarded::with(PLAN);
    let ended = guarded.guard(&["--soak", "0s"], &["sh", "-c", "\"$BELAY\" cutover"]).wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.says("the cutover was marked at");
}
