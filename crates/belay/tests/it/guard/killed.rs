//! Guard is killed at each moment: what it has armed stays armed.

use belay_core::reading::Health;
use belay_sim::Rule;

use super::stage::{PLAN, Running, UNTIL_INPUT_ENDS};
use crate::daemon::Guarded;

/// Waits until guard says this, and kills it.
#[track_caller]
fn killed_when(guard: Running, said: &str) {
    guard.stderr.until(said);
    drop(guard);
}

#[test]
fn a_killed_guard_leaves_the_daemon_watching() {
    let guarded = Guarded::with(PLAN);
    for (moment, command, marked) in [
        ("shop is armed: ", UNTIL_INPUT_ENDS, false),
        ("ended with exit code 0", &["true"][..], false),
        ("shop is watched for", &["true"], true),
    ] {
        killed_when(guarded.guard(&[], command), moment);
        let status = guarded.json(&["status", "shop"]);
        assert_eq!(status["state"], "armed", "{moment}");
        // Killed between the end and the mark it may have been quick.
        assert!(!marked || status["cutover"].is_string(), "{moment}: {status:#}");
        guarded.run(&["disarm", "--reason", "again"], 0);
    }
}

#[test]
fn a_guard_that_is_killed_beside_its_command_does_not_take_the_command_along() {
    let guarded = Guarded::with(PLAN);
    let script = "echo started; read line; echo \"$line\"; \"$BELAY\" cutover; echo marked";
    let mut guard = guarded.guard(&[], &["sh", "-c", script]);
    guard.stdout.until("started");
    let reported = guarded.json(&["status", "shop"])["guard"].clone();
    assert_eq!((&reported["stage"], &reported["lost"]), (&"command".into(), &false.into()), "{reported}");
    guard.child.kill().unwrap();
    guard.child.wait().unwrap();
    guarded.is("armed");
    guard.type_line("still there");
    guard.stdout.until("still there");
    guard.stdout.until("marked");
    assert!(guarded.json(&["status", "shop"])["cutover"].is_string());
}

#[test]
fn a_guard_that_is_killed_while_it_waits_for_a_rollback_does_not_stop_it() {
    let guarded = Guarded::with(PLAN);
    let mut guard = guarded.guard(&[], &["sh", "-c", "echo started; cat; exit 1"]);
    guard.stdout.until("started");
    guarded.world.cut_over();
    guard.end_input();
    killed_when(guard, "a run has begun: ");
    guarded.wait_for("rolled_back");
}

#[test]
fn a_guard_that_is_killed_before_it_arms_has_changed_nothing_and_another_begins_anew() {
    let guarded = Guarded::with(PLAN);
    let before = guarded.json(&["status", "shop"])["state"].clone();
    // It has said nothing yet. Where its request to arm was quick, the daemon has armed.
    drop(guarded.guard(&[], UNTIL_INPUT_ENDS));
    let state = guarded.json(&["status", "shop"])["state"].clone();
    assert!(state == before || state == "armed", "{state}");
    killed_when(guarded.guard(&[], &["true"]), "shop is watched for");
    guarded.is("armed");
}

#[test]
fn a_guard_goes_on_with_what_a_killed_one_has_armed() {
    let guarded = Guarded::with(PLAN);
    killed_when(guarded.guard(&[], UNTIL_INPUT_ENDS), "shop is armed: ");
    let armed = guarded.json(&["status", "shop"])["armed"].clone();
    let done = guarded.guard(&["--soak", "0s"], &["true"]).wait();
    assert_eq!(done.code, Some(0), "{done:?}");
    done.says("is armed with this plan already: the baseline is kept");
    let status = guarded.json(&["status", "shop"]);
    assert!(armed.is_string() && status["armed"] == armed, "armed at {armed}: {status:#}");
    assert!(status["cutover"].is_string(), "{status:#}");
}

#[test]
fn a_trigger_after_guard_was_killed_in_the_soak_rolls_back_all_the_same() {
    let guarded = Guarded::with(PLAN);
    killed_when(guarded.guard(&[], &["true"]), "shop is watched for");
    guarded.is("armed");
    guarded.world.cut_over();
    guarded.world.set_rule("errors", Rule::Always(Health::Unhealthy));
    guarded.wait_for("rolled_back");
}
