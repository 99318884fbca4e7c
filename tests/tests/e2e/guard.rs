//! `belay guard` beside a daemon that dies: the command goes on, and what follows from its end is done by the next daemon.

use std::process::Command;

use crate::stage::{DNS_PLAN, Stage};

#[test]
fn a_daemon_that_dies_beside_the_command_is_waited_for_to_roll_back() {
    let mut stage = Stage::cut_over("guard", &[]);
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve(&plan);
    let fifo = stage.belay.folder().join("go-on");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let script = "echo started; read line < go-on; exit 3";
    let mut guard = stage.belay.spawn(&["guard", &plan, "--", "sh", "-c", script]);
    guard.wait_for_stdout("started");
    let address = daemon.url.trim_start_matches("http://").to_owned();
    daemon.kill();
    guard.wait_for_stderr("trying again");
    std::fs::write(&fifo, "go on\n").unwrap();
    guard.wait_for_stderr("sh ended with exit code 3");
    assert!(stage.proxy.mutating_calls().is_empty());

    stage.belay.env("BELAY_LISTEN", &address);
    let mut daemon = stage.belay.spawn(&["serve", "--plan", &plan]);
    daemon.wait_for_stderr("listening on http://");
    let done = guard.wait();
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stderr.contains("the daemon answers again") && done.stderr.contains("is rolled back"), "{done}");
    assert_eq!(done.stdout, "started\n");
    assert_eq!(stage.weights()[0], (100, 0));
}
