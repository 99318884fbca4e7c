//! What a daemon takes of its machine while it watches a thousand alarms. `tests/benches/daemon.rs` has the times.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::Value;

use crate::stage::Stage;

const ALARMS: usize = 1000;
/// The goal is 40 MiB in all for a release build. A build for development maps more of its own file, and so this is
/// about what it allocates: that is the same in both.
const ALLOCATED_MAX_KIB: u64 = 24 * 1024;

fn plan(world: &Value) -> String {
    let alarms = world["alarms"].as_object().unwrap();
    let fillers = alarms.iter().filter(|(key, _)| key.starts_with("filler"));
    let mut text = "belay: 1\nmigration: $name\naws: { account: \"$account\", region: $region }\nsignals:\n".to_owned();
    for (key, alarm) in fillers.clone() {
        writeln!(text, "  {key}: {{ alarm: {} }}", alarm.as_str().unwrap()).unwrap();
    }
    let names: Vec<&str> = fillers.map(|(key, _)| key.as_str()).collect();
    writeln!(text, "triggers:\n  hurt: {{ when: {{ any: [{}] }}, for: 1m, severity: major }}", names.join(", "))
        .unwrap();
    text + "steps:\n  pause: { action: wait, with: { for: 1s } }\n"
}

/// Of `/proc/PID/status`.
fn kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_else(|| panic!("no {key}: {status}"))
}

#[test]
fn a_thousand_alarms_take_little_memory() {
    let mut stage = Stage::new("wide", &["--fillers", &ALARMS.to_string()]);
    let plan = stage.plan(&plan(&stage.world.json));
    let mut daemon = stage.serve_armed(&plan);
    let sweeps = || stage.proxy.count("monitoring", "DescribeAlarms");
    daemon.wait_until("every alarm to be read", |migration| {
        let signals = migration["signals"].as_object().unwrap();
        assert_eq!(signals.len(), ALARMS);
        signals.values().all(|signal| signal["health"] == "healthy").then_some(())
    });
    // Ten calls to a sweep. What it takes for one it may keep for the next: so after some of them.
    let before = sweeps();
    belay_tests::wait_until("five more sweeps", || (sweeps() >= before + 50).then_some(()));
    let id = daemon.process().id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let (allocated, all) = (kib(&status, "RssAnon"), kib(&status, "VmRSS"));
    let _ = writeln!(std::io::stderr(), "watching {ALARMS} alarms: {allocated} KiB allocated, {all} KiB in all");
    assert!(allocated <= ALLOCATED_MAX_KIB, "{allocated} KiB:\n{status}");
}
