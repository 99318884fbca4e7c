//! Two hundred clients, some of them hostile, and a rollback that they must not hold up.

use std::thread;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::crowd::{Client, Crowd, Followed, Follower};
use crate::journal;
use crate::stage::{Daemon, PLAN, Stage};

/// The daemon's most memory so far, in MiB.
fn memory_peak(daemon: &mut Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process().id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Cuts over, breaks the shop, and waits until the daemon has put everything back. Gives the identifier of the run.
fn break_and_wait(stage: &Stage, daemon: &Daemon) -> String {
    stage.world.set_weights(0, 100);
    assert_eq!(stage.belay.run(&["cutover"]).code, 0);
    stage.proxy.clear();
    stage.world.set_alarm("/alarms/errors", "ALARM");
    stage.proxy.wait_for("route53", "ChangeResourceRecordSets", 1);
    stage.world.set_alarm("/alarms/errors", "OK");
    let migration = daemon.wait_for_state("rolled_back");
    assert_eq!(stage.weights(), [(100, 0); 3]);
    let calls: Vec<String> = stage.proxy.mutating_calls().into_iter().map(|call| call.action).collect();
    assert_eq!(calls.len(), 3, "each change is sent once: {calls:?}");
    assert_eq!(calls[2], "ChangeResourceRecordSets", "DNS needs the two others");
    migration["run"]["id"].as_str().unwrap().to_owned()
}

/// Seconds from the firing of the trigger to the first intent, in the last incident on record.
fn reaction(records: &[Value]) -> f64 {
    let is = |record: &&Value, key: &str, word: &str| record["event"][key] == word;
    let at = |record: &Value| record["at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let fired = records.iter().rfind(|record| is(record, "type", "trigger_fired")).unwrap();
    let behind = records.iter().filter(|record| record["seq"].as_u64() > fired["seq"].as_u64());
    let intended = behind.clone().find(|record| is(record, "did", "intended")).unwrap();
    at(intended).duration_since(at(fired)).as_secs_f64()
}

#[test]
fn two_hundred_clients_do_not_hold_a_rollback_up() {
    let mut stage = Stage::new("load", &[]);
    stage.wait_for_target("blue", "healthy");
    let plan = stage.plan(PLAN);
    let mut daemon = stage.serve_armed(&plan);
    let first = break_and_wait(&stage, &daemon);
    let memory = memory_peak(&mut daemon);

    let armed = stage.belay.run(&["arm"]);
    assert_eq!(armed.code, 0, "{armed}");
    // On the same machine, before the same emulator and at the same time, but without clients: what is slow there slows both.
    let mut quiet = Stage::new("quiet", &[]);
    quiet.wait_for_target("blue", "healthy");
    let plan = quiet.plan(PLAN);
    let quiet_daemon = quiet.serve_armed(&plan);
    let rollback = format!("/v1/migrations/{}/rollback", stage.name());
    let ask = |method, path: &str, body: String| Client::Ask { method, path: path.to_owned(), body };
    let mut crowd = Crowd::of(&daemon.url);
    crowd.join("probe", 1, &ask("GET", "/healthz", String::new()));
    for path in ["/v1/migrations", "/v1/runs?limit=500", "/v1/incidents", "/metrics"] {
        crowd.join("list", 15, &ask("GET", path, String::new()));
    }
    crowd.join("slow head", 25, &Client::SlowHead);
    crowd.join("slow body", 15, &Client::SlowBody { path: rollback.clone() });
    let large = json!({ "reason": "x".repeat(2 << 20) }).to_string();
    crowd.join("large body", 15, &ask("POST", &rollback, large));
    let dry = json!({ "reason": "what if", "dry_run": true }).to_string();
    crowd.join("dry run", 15, &ask("POST", &rollback, dry));
    // The first run has ended: what is asked of it is refused by the engine itself.
    let resume = format!("/v1/runs/{first}/resume");
    crowd.join("flood", 34, &ask("POST", &resume, json!({ "reason": "please" }).to_string()));
    let followers: Vec<Follower> = (0..50).map(|_| Follower::start(&daemon.url, "?after=")).collect();
    let wanted = [
        ("probe", "200"),
        ("list", "200"),
        ("flood", "409"),
        ("large body", "413"),
        ("slow body", "408"),
        ("dry run", "202"),
        ("dry run", "503"),
    ];
    crowd.wait_for(&wanted);

    let second = thread::scope(|scope| {
        let alone = scope.spawn(|| break_and_wait(&quiet, &quiet_daemon));
        let second = break_and_wait(&stage, &daemon);
        alone.join().unwrap();
        second
    });
    // They have not been turned away meanwhile.
    crowd.wait_for(&wanted);
    let answers = crowd.leave();
    let run = daemon.get(&format!("/v1/runs/{second}"));
    for step in ["listener_back", "rule_back", "dns_back"] {
        assert_eq!(
            (&run["steps"][step]["phase"], &run["steps"][step]["attempt"]),
            (&json!("done"), &json!(1)),
            "{run:#}"
        );
    }

    for ((name, answer), count) in &answers {
        let expected: &[&str] = match name.as_str() {
            "slow head" => &["closed"],
            "slow body" => &["408"],
            "large body" => &["408", "413", "503", "closed"],
            "flood" => &["409"],
            "dry run" => &["202", "503"],
            _ => &["200"],
        };
        assert!(expected.contains(&answer.as_str()), "{name} got {answer} {count} times; all: {answers:#?}");
    }

    let records = journal::records(&stage.belay);
    let (alone, crowded) = (reaction(&journal::records(&quiet.belay)), reaction(&records));
    // The machine is shared with the crowd itself, so the bound is wide. A poll is half a second: less is not noticed.
    assert!(crowded <= 10.0 * alone.max(0.5), "alone {alone} s, in the crowd {crowded} s; {answers:#?}");
    let grown = memory_peak(&mut daemon) - memory;
    assert!(grown <= 128, "{memory} MiB alone, and {grown} more in the crowd");

    let stopped = daemon.terminate();
    assert!(stopped.stderr.contains("the journal is complete"), "{stopped}");
    for Followed { events, ended } in followers.into_iter().map(Follower::end) {
        assert!(ended);
        let seen: Vec<&Value> = events.iter().map(|(_, data)| &data["seq"]).collect();
        let all: Vec<&Value> = records.iter().map(|record| &record["seq"]).collect();
        assert!(seen.starts_with(&all), "saw {seen:?}");
    }
}

#[test]
fn two_hundred_who_follow_do_not_hold_a_stop_up() {
    let mut stage = Stage::new("follow", &[]);
    let plan = stage.plan(PLAN);
    let daemon = stage.serve_armed(&plan);
    let followers: Vec<Follower> = (0..200).map(|_| Follower::start(&daemon.url, "")).collect();
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0, "{stopped}");
    assert!(stopped.stderr.contains("the journal is complete"), "{stopped}");
    assert!(!stopped.stderr.contains("cut off"), "{stopped}");
    assert!(followers.into_iter().all(|follower| follower.end().ended));
}
