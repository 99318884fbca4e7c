//! `belay run`: a rollback without a daemon.

use belay_tests::wait_until;
use serde_json::{Value, json};

use crate::stage::{DNS_PLAN, PLAN, Stage};

/// The last line: the run itself.
fn run_of(lines: &[Value]) -> &Value {
    lines.last().unwrap()
}

#[test]
fn it_puts_everything_back() {
    let stage = Stage::cut_over("fore", &["--seed", "3"]);
    stage.wait_for_target("blue", "healthy");
    let plan = stage.plan(PLAN);
    let done = stage.run(&plan);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(stage.weights(), [(100, 0); 3]);
    let lines = done.json_lines();
    let run = run_of(&lines);
    assert_eq!(run["state"], "rolled_back");
    assert_eq!(run["reason"], "a test");
    assert!(lines.iter().any(|line| line["event"]["type"] == "run_started"), "{done}");
    let calls = stage.proxy.calls();
    assert_eq!(calls[0].action, "GetCallerIdentity", "the account is checked before anything else");

    // Once more: all is in place, and nothing is sent.
    stage.proxy.clear();
    let done = stage.belay.run(&["run", &plan, "--reason", "again"]);
    assert_eq!(done.code, 0, "{done}");
    assert!(stage.proxy.mutating_calls().is_empty());
    let told = done.stdout.matches("unchanged").count();
    assert!(told >= 3, "{done}");
}

#[test]
fn a_baseline_can_be_captured_beforehand() {
    let stage = Stage::new("capture", &["--extra-sets", "1", "--alias"]);
    let plan = stage.plan(&DNS_PLAN.replace("to: { $blue_set: 100, $green_set: 0 }", "to: baseline"));
    let before = stage.world.records();
    let done = stage.belay.run(&["capture", &plan, "-o", "baseline.json"]);
    assert_eq!(done.code, 0, "{done}");
    // It may be the only picture of that time.
    let again = stage.belay.run(&["capture", &plan, "-o", "baseline.json"]);
    assert_eq!(again.code, 5, "{again}");
    assert!(stage.proxy.mutating_calls().is_empty());

    stage.world.set_some_weights(1, 99, &["dns"]);
    let done = stage.belay.run(&["run", &plan, "--reason", "a test", "--baseline", "baseline.json"]);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(stage.world.records(), before);
}

const TWO_PEOPLE: &str = "    require: [page]
    approve: { role: commander, quorum: 2 }
";

#[test]
fn people_at_the_terminal_are_asked_and_give_their_names() {
    let stage = Stage::cut_over("typed", &[]);
    let plan = stage.plan(&DNS_PLAN.replace("    require: [page]\n", TWO_PEOPLE));
    let run = ["run", &plan, "--reason", "a test"];
    let (mut process, mut keyboard) = stage.belay.spawn_typed(&run);
    process.wait_for_stderr("`yes NAME` for each of the 2 people");
    keyboard.type_line("yes");
    let asked_again = || (process.stderr().matches("? dns_back").count() > 1).then_some(());
    wait_until("to be asked again", asked_again);
    keyboard.type_line("yes on call");
    process.wait_for_stderr("1 of 2 have said yes: on call (at the terminal of");
    keyboard.type_line("yes on call");
    process.wait_for_stderr("has approved step dns_back already");
    assert!(stage.proxy.mutating_calls().is_empty(), "one person is not two");
    keyboard.type_line("yes release manager");
    let done = process.wait();
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(stage.weights()[0], (100, 0));
}

#[test]
fn who_says_no_has_denied_it_and_who_says_nothing_has_not_answered() {
    let stage = Stage::cut_over("denied", &[]);
    let plan = stage.plan(&DNS_PLAN.replace("    require: [page]\n", TWO_PEOPLE));
    let run = ["run", &plan, "--reason", "a test"];

    // Nobody can be asked: nobody's answer goes on record, and the step waits on.
    let done = stage.belay.run(&run);
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stderr.contains("step dns_back of run") && done.stderr.contains("waits for a person"), "{done}");
    assert!(done.stderr.contains("belay serve --plan") && done.stderr.contains("belay approve dns_back"), "{done}");
    assert!(!done.stdout.contains("FAILED") && !done.stdout.contains("halted"), "{done}");

    // The terminal is closed while it asks.
    let (mut process, keyboard) = stage.belay.spawn_typed(&run);
    process.wait_for_stderr("`yes NAME`");
    drop(keyboard);
    let done = process.wait();
    assert_eq!(done.code, 4, "{done}");
    assert!(!done.stdout.contains("FAILED"), "{done}");

    let (mut process, mut keyboard) = stage.belay.spawn_typed(&run);
    process.wait_for_stderr("`yes NAME`");
    keyboard.type_line("maybe");
    let asked_again = || (process.stderr().matches("? dns_back").count() > 1).then_some(());
    wait_until("to be asked again", asked_again);
    keyboard.type_line("no");
    let done = process.wait();
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stdout.contains("denied on the terminal"), "{done}");
    assert!(stage.proxy.mutating_calls().is_empty());
}

#[test]
fn two_never_act_at_once() {
    let stage = Stage::cut_over("lease", &[]);
    // The first run waits for the page, which is down: it owns the journal meanwhile.
    let plan = stage.plan(&DNS_PLAN.replace("require: [page]", "require: [{ signal: page, within: 1m }]"));
    stage.page.set_healthy(false);
    let mut first = stage.belay.spawn(&["run", &plan, "--reason", "the first"]);
    first.wait_for_stdout("waits: page is unhealthy");

    stage.proxy.clear();
    let second = stage.belay.run(&["run", &plan, "--reason", "the second"]);
    assert_eq!(second.code, 5, "{second}");
    assert!(second.stderr.contains("is in use by"), "{second}");
    assert!(stage.proxy.mutating_calls().is_empty());
    let audit = stage.belay.run(&["audit"]);
    assert_eq!(audit.code, 0, "the journal can be read meanwhile: {audit}");

    stage.page.set_healthy(true);
    let first = first.wait();
    assert_eq!(first.code, 0, "{first}");
    assert_eq!(stage.weights()[0], (100, 0));
    assert_eq!(stage.proxy.mutating_calls().len(), 1);
}

#[test]
fn a_part_brings_what_it_needs() {
    let stage = Stage::cut_over("only", &["--health-check"]);
    stage.wait_for_target("blue", "healthy");
    let plan = PLAN.replace("needs: [listener_back, rule_back]", "needs: [rule_back]");
    let plan = stage.plan(&plan);
    let done = stage.belay.run(&["run", &plan, "--reason", "a part", "--only", "dns_back", "--json"]);
    assert_eq!(done.code, 0, "{done}");
    let lines = done.json_lines();
    let steps = run_of(&lines)["steps"].as_object().unwrap();
    assert_eq!(steps.keys().collect::<Vec<_>>(), ["rule_back", "dns_back"]);
    assert_eq!(stage.weights(), [(100, 0), (0, 100), (100, 0)]);

    let unknown = stage.belay.run(&["run", &plan, "--reason", "a part", "--only", "nowhere"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.stderr.contains("listener_back, rule_back, dns_back"), "{unknown}");
}

#[test]
fn traffic_never_goes_to_a_sick_destination() {
    let stage = Stage::cut_over("sick", &[]);
    stage.blue.set_healthy(false);
    stage.wait_for_target("blue", "unhealthy");

    let plan = stage.plan(PLAN);
    let done = stage.run(&plan);
    assert_eq!(done.code, 4, "{done}");
    let lines = done.json_lines();
    let run = run_of(&lines);
    assert_eq!(run["state"], "halted");
    assert_eq!(run["steps"]["listener_back"]["phase"], "failed");
    assert_eq!(run["steps"]["dns_back"]["phase"], "blocked");
    let waiting = &run["waiting_for"][0];
    assert!(waiting["reason"].as_str().unwrap().contains("0 of 1 targets healthy"), "{waiting}");
    assert_eq!(waiting["verbs"], json!(["resume", "abort"]));

    // Without an interlock the actuator's own proof stands in the way.
    let plan = stage.belay.write("bare.yaml", stage.fill(PLAN).replace("    require: [blue_ready]\n", "").trim_start());
    let only = ["--only", "listener_back", "--state", "sqlite:other.db"];
    let done = stage.belay.run(&[&["run", &plan, "--reason", "no interlock"], &only[..]].concat());
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stdout.contains("would get more traffic, but it is not healthy"), "{done}");

    let mutating = stage.proxy.mutating_calls();
    assert!(mutating.is_empty(), "{mutating:?}");
    assert_eq!(stage.weights(), [(0, 100); 3]);

    // Blue is well again: the same command goes on with the run that halted.
    stage.blue.set_healthy(true);
    stage.wait_for_target("blue", "healthy");
    let plan = stage.plan(PLAN);
    let done = stage.run(&plan);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(run_of(&done.json_lines())["id"], run["id"]);
    assert_eq!(stage.weights(), [(100, 0); 3]);
}
