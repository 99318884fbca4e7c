//! Unix signals to the daemon: the way to a rollback when nothing else is at hand, and the way to stop.

use std::time::Duration;

use belay_tests::{Kind, Outcome, Signal, When, wait_until_within};
use serde_json::json;

use crate::journal::{events, intents, records};
use crate::stage::{DNS_PLAN, Stage};

/// What a supervisor allows, and the daemon promises.
const STOP_MAX: Duration = Duration::from_secs(10);

#[test]
fn sigusr1_rolls_back_what_is_armed() {
    let mut stage = Stage::cut_over("usr1", &[]);
    let plan = stage.plan(DNS_PLAN);
    let mut daemon = stage.serve(&plan);
    daemon.process().signal(Signal::USR1);
    daemon.process().wait_for_stderr("nothing is armed");
    assert!(stage.proxy.mutating_calls().is_empty());

    assert_eq!(stage.belay.run(&["arm"]).code, 0);
    daemon.process().signal(Signal::USR1);
    let migration = daemon.wait_for_state("rolled_back");
    assert_eq!(migration["run"]["reason"], "SIGUSR1");
    assert_eq!(migration["run"]["actor"], "signal");
    assert_eq!(stage.weights()[0], (100, 0));
}

#[test]
fn sigusr2_rehearses_and_sighup_reads_the_plans_again() {
    let mut stage = Stage::cut_over("usr2", &[]);
    let plan = stage.plan(DNS_PLAN);
    let mut daemon = stage.serve_armed(&plan);
    daemon.process().signal(Signal::USR2);
    let line = daemon.process().wait_for_stderr("SIGUSR2: would change");
    assert!(line.contains(&stage.fill("$blue_set 0 -> 100, $green_set 100 -> 0")), "{line}");
    daemon.process().wait_for_stderr("SIGUSR2: dry run");
    assert!(stage.proxy.mutating_calls().is_empty());

    stage.plan(&DNS_PLAN.replace("for: 1s", "for: 2s"));
    daemon.process().signal(Signal::HUP);
    daemon.process().wait_for_stderr("the plan file has changed");
    let migration = daemon.migration();
    assert_eq!(migration["state"], "armed");
    assert!(migration["pending_plan"].is_string());
    assert_eq!(migration["triggers"]["customers_hurt"]["for_s"], 1.0);
}

#[test]
fn sigterm_waits_for_the_answer_that_is_out_and_the_next_start_goes_on() {
    let mut stage = Stage::cut_over("term", &[]);
    let plan = stage.plan(
        &DNS_PLAN
            .replace("confirm: [{ signal: page, within: 1m }]", "confirm: [{ signal: page, within: 5m, for: 1s }]"),
    );
    let mut daemon = stage.serve_armed(&plan);
    stage.proxy.fault("route53", "ChangeResourceRecordSets", When::First(1), Kind::Delay(Duration::from_secs(3)));
    let done = stage.belay.run(&["rollback", "--reason", "a test"]);
    assert_eq!(done.code, 0, "{done}");
    let run = daemon.migration()["run"]["id"].as_str().unwrap().to_owned();
    stage.proxy.wait_until("the call to be under way", |calls| {
        calls.iter().any(|call| call.is_mutating() && call.outcome == Outcome::Pending).then_some(())
    });
    // The page goes down, so that the run cannot end before it is stopped.
    stage.page.set_healthy(false);
    daemon.process().signal(Signal::TERM);
    wait_until_within(STOP_MAX, "the daemon to stop", || (!daemon.process().is_running()).then_some(()));
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0, "{stopped}");
    let calls = stage.proxy.mutating_calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].outcome, Outcome::Answered(200), "it was waited for");
    let audit = stage.belay.run(&["audit"]);
    assert_eq!(audit.code, 0, "{audit}");

    let daemon = stage.serve(&plan);
    let migration = daemon.migration();
    assert!(["rolling_back", "confirming"].contains(&migration["state"].as_str().unwrap()), "{migration:#}");
    stage.page.set_healthy(true);
    let migration = daemon.wait_for_state("rolled_back");
    assert_eq!(migration["run"]["id"], *run);
    assert_eq!(stage.weights()[0], (100, 0));
    assert_eq!(stage.proxy.mutating_calls().len(), 1, "nothing is sent twice");
    let records = records(&stage.belay);
    assert_eq!(intents(&records).len(), 1);
    assert_eq!(events(&records, "run_started").len(), 1);
}

#[test]
fn a_daemon_that_was_stopped_while_it_watched_goes_on_watching() {
    let mut stage = Stage::cut_over("rewatch", &[]);
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve_armed(&plan);
    let before = daemon.migration();
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0, "{stopped}");

    stage.world.set_alarm("/alarms/errors", "ALARM");
    let daemon = stage.serve(&plan);
    let migration = daemon.wait_for_state("rolled_back");
    assert_eq!(migration["plan_sha256"], before["plan_sha256"]);
    // It went back to the baseline that was captured before, and with that the attempt is over.
    assert_eq!(before["baseline"]["steps"], json!(["dns_back"]));
    assert_eq!(migration["baseline"], json!(null));
    assert_eq!(migration["faults"], json!([]));
    assert_eq!(stage.weights()[0], (100, 0));
}
