//! A person at a terminal: what `status` says is enough to bring a halted run to its end, and what is watched is seen whole.

use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{DNS_PLAN, Daemon, Stage};

/// What a person copies from the screen: the command line that begins like this.
#[track_caller]
fn copied(shown: &str, beginning: &str) -> Vec<String> {
    let at = shown.find(beginning).unwrap_or_else(|| panic!("no `{beginning}` in:\n{shown}"));
    let line = shown[at..].lines().next().unwrap();
    // As a shell reads it.
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.trim_end().chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.split_off(1) // without the program
}

/// Types what was copied, adding `more`.
#[track_caller]
fn type_in(stage: &Stage, command: &[String], more: &[&str], code: i32) -> String {
    let command: Vec<&str> = command.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let done = stage.belay.run(&command);
    assert_eq!(done.code, code, "{command:?}: {done}");
    done.stdout
}

#[test]
fn what_status_says_leads_a_halted_run_to_its_end() {
    let mut stage = Stage::cut_over("journey", &[]);
    let plan = DNS_PLAN.replace("confirm: [{ signal: page,", "confirm: [{ signal: errors,").replace(
        "confirm:",
        "  tell_people: { needs: [dns_back], action: manual, with: { instructions: Tell the shops. } }\nconfirm:",
    );
    let plan = stage.plan(&plan);
    let daemon = stage.serve(&plan);
    let status = stage.belay.run(&["status"]).stdout;
    type_in(&stage, &copied(&status, "belay arm"), &[], 0);
    let status = stage.belay.run(&["status"]).stdout;
    type_in(&stage, &copied(&status, "belay cutover"), &[], 0);
    let status = stage.belay.run(&["status"]).stdout;
    stage.page.set_healthy(false);
    let halted = type_in(&stage, &copied(&status, "belay rollback"), &[], 4);
    assert!(halted.contains("halted"), "{halted}");
    assert!(stage.proxy.mutating_calls().is_empty());

    // What the end of the wait has said, status says too.
    let status = stage.belay.run(&["status"]).stdout;
    let command = copied(&status, "belay override");
    assert_eq!(command, copied(&halted, "belay override"));
    type_in(&stage, &command, &[], 0);
    daemon.wait_until("a person to be asked", |migration| {
        (migration["run"]["steps"]["tell_people"]["phase"] == "awaiting_approval").then_some(())
    });
    let status = stage.belay.run(&["status"]).stdout;
    assert!(status.contains("Tell the shops."), "{status}");
    let said = type_in(&stage, &copied(&status, "belay approve"), &["--wait"], 0);
    assert!(said.contains("rolled back"), "{said}");
    assert_eq!(stage.weights()[0], (100, 0));
    assert!(stage.belay.run(&["status"]).stdout.contains("belay arm"));
}

/// Stops the daemon in order, and starts it at the same address.
fn restart(stage: &mut Stage, daemon: Daemon, plan: &str) -> belay_tests::Process {
    let address = daemon.url.trim_start_matches("http://").to_owned();
    daemon.terminate();
    stage.belay.env("BELAY_LISTEN", &address);
    let mut process = stage.belay.spawn(&["serve", "--plan", plan]);
    process.wait_for_stderr("listening on http://");
    process
}

#[test]
fn who_watches_sees_every_record_once_also_over_a_restart() {
    let mut stage = Stage::cut_over("watch", &[]);
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve(&plan);
    let mut watch = stage.belay.spawn(&["watch", "--json"]);
    // It has begun to hear when it hears something.
    belay_tests::wait_until("a record to be heard", || {
        let code = stage.belay.run(&["arm"]).code;
        assert_eq!(code, 0);
        watch.stdout().contains("\"armed\"").then_some(())
    });
    let _daemon = restart(&mut stage, daemon, &plan);
    assert_eq!(stage.belay.run(&["disarm", "--reason", "by a test"]).code, 0);
    watch.wait_for_stdout("\"disarmed\"");
    watch.signal(Signal::INT);
    let done = watch.wait();
    assert_eq!(done.code, 0, "{done}");
    let seqs: Vec<u64> = done.json_lines().iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (seqs[0]..).take(seqs.len()).collect();
    assert_eq!(seqs, expected, "each once, and none is missing");
}

#[test]
fn who_waits_for_a_run_waits_over_a_restart() {
    let mut stage = Stage::cut_over("patience", &[]);
    let plan = DNS_PLAN.replace("steps:\n", "steps:\n  people: { action: manual, with: { instructions: Wait. } }\n");
    let plan = stage.plan(&plan);
    let daemon = stage.serve_armed(&plan);
    let mut waiting = stage.belay.spawn(&["rollback", "--reason", "by a test", "--wait", "--json"]);
    waiting.wait_for_stdout("\"approval_awaited\"");
    let _daemon = restart(&mut stage, daemon, &plan);
    let approved = stage.belay.run(&["approve", "people", "--reason", "by a test"]);
    assert_eq!(approved.code, 0, "{approved}");
    let done = waiting.wait();
    assert_eq!(done.code, 0, "{done}");
    let lines = done.json_lines();
    assert_eq!(lines.last().unwrap()["state"], "rolled_back");
    let ended = |line: &&Value| line["event"]["type"] == "run_ended";
    assert_eq!(lines.iter().filter(ended).count(), 1, "{done}");
}

#[test]
fn who_stops_waiting_leaves_the_run_going() {
    let mut stage = Stage::cut_over("left", &[]);
    let plan = DNS_PLAN.replace("steps:\n", "steps:\n  people: { action: manual, with: { instructions: Wait. } }\n");
    let plan = stage.plan(&plan);
    let _daemon = stage.serve_armed(&plan);
    let mut waiting = stage.belay.spawn(&["rollback", "--reason", "by a test", "--wait"]);
    waiting.wait_for_stdout("belay approve people --run");
    waiting.signal(Signal::INT);
    let done = waiting.wait();
    assert_eq!(done.code, 130, "{done}");
    assert!(done.stderr.contains("it goes on"), "{done}");
    let approved = stage.belay.run(&["approve", "people", "--reason", "by a test", "--wait"]);
    assert_eq!(approved.code, 0, "{approved}");
}

#[test]
fn a_token_that_was_made_opens_the_daemon() {
    let mut stage = Stage::cut_over("token", &[]);
    let plan = stage.plan(DNS_PLAN);
    let made = stage.belay.run(&["token", "release-team", "--json"]).json();
    let token = made["token"].as_str().unwrap();
    let entry = format!(
        "tokens:\n  - {{ name: release-team, roles: [operator], sha256: \"{}\" }}\n",
        made["sha256"].as_str().unwrap()
    );
    let config = stage.belay.write("belay.yaml", &entry);
    stage.belay.env("BELAY_CONFIG", &config);
    let _daemon = stage.serve(&plan);
    let unknown = stage.belay.run(&["arm"]);
    assert_eq!(unknown.code, 5, "{unknown}");
    assert!(unknown.stderr.contains("BELAY_TOKEN"), "{unknown}");
    stage.belay.env("BELAY_TOKEN", token);
    let armed = stage.belay.run(&["arm"]);
    assert!(armed.stdout.contains("calls to AWS go to http://127.0.0.1:"), "{armed}");
    assert!(stage.belay.run(&["status"]).stdout.contains("calls to AWS go to http://127.0.0.1:"));
    assert_eq!(armed.code, 0, "{armed}");
}
