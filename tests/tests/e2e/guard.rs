//! `belay guard` beside a real daemon: one that dies while the command runs, and the shell lines of `deploy/pipelines`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use crate::{
    pipeline_lines::scripts,
    stage::{DNS_PLAN, Daemon, Stage},
};

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
    fs::write(&fifo, "go on\n").unwrap();
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

/// Runs what a runner would, in a folder with the plan and the command of the migration.
fn run_as_a_runner(stage: &Stage, daemon: &Daemon, script: &str, cutover: &str) -> Output {
    let file = stage.belay.folder().join("cutover.sh");
    fs::write(&file, format!("#!/bin/sh\n{cutover}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let binary = belay_tests::binary();
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    // Half an hour is too long for a test, and nothing else is another.
    shell.args(["-e", "-c", &script.replace("--soak 30m", "--soak 0s")]).current_dir(stage.belay.folder());
    shell.env("PATH", path).env("BELAY_URL", &daemon.url).env("REASON", "release 4711").env_remove("BELAY_TOKEN");
    shell.output().unwrap()
}

#[test]
fn the_lines_of_every_pipeline_guard_a_cutover() {
    let mut stage = Stage::cut_over("pipelines", &[]);
    let plan = stage.belay.write("checkout.yaml", stage.fill(DNS_PLAN).trim_start());
    let daemon = stage.serve(&plan);
    for (name, script) in scripts() {
        let done = run_as_a_runner(&stage, &daemon, &script, "echo shifting");
        assert_eq!(done.status.code(), Some(0), "{name}: {done:?}");
        assert_eq!(String::from_utf8_lossy(&done.stdout), "shifting\n", "{name}");
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(stage.belay.folder().join("guard.json")).unwrap()).unwrap();
        assert_eq!(report["outcome"], "well", "{name}");
        assert!(daemon.migration()["cutover"].is_string(), "{name}");
        assert_eq!(stage.belay.run(&["disarm", "--reason", "the next one"]).code, 0);
    }
    for (name, script) in scripts() {
        let done = run_as_a_runner(&stage, &daemon, &script, "exit 7");
        assert_eq!(done.status.code(), Some(4), "{name}: {done:?}");
        assert_eq!(daemon.migration()["state"], "rolled_back", "{name}");
    }
    assert_eq!(stage.weights()[0], (100, 0));
}
