//! How long the real binary takes from its start until it guards, and from a SIGKILL until it guards again: with a
//! thousand alarms, against an emulator on this machine. Guarding means that every alarm has been read by this process.

use std::fmt::Write as _;

use belay_tests::{Belay, Emulator, Process, World, http_get};
use divan::Bencher;
use serde_json::Value;

const ALARMS: usize = 1000;

fn main() {
    divan::main();
}

struct Stage {
    aws: Emulator,
    plan: String,
    name: String,
}

/// A daemon on its way.
struct Daemon {
    belay: Belay,
    process: Option<Process>,
}

impl Stage {
    fn new() -> Self {
        let aws = Emulator::fakecloud();
        let world = World::seed(aws.url(), &["--fillers", &ALARMS.to_string()]);
        let name = world.text("/name").to_owned();
        let mut plan = format!(
            "belay: 1\nmigration: {name}\naws: {{ account: \"{}\", region: {} }}\nsignals:\n",
            world.text("/account"),
            world.text("/region")
        );
        for (key, alarm) in world.json["alarms"].as_object().expect("they were seeded") {
            if key.starts_with("filler") {
                writeln!(plan, "  {key}: {{ alarm: {} }}", alarm.as_str().expect("a name")).expect("text takes all");
            }
        }
        plan += "triggers:\n  hurt: { when: filler0, for: 1m, severity: major }\n\
                 steps:\n  pause: { action: wait, with: { for: 1s } }\n";
        Self { aws, plan, name }
    }

    fn daemon(&self) -> Daemon {
        let mut belay = Belay::at(self.aws.url());
        belay.write("plan.yaml", &self.plan);
        belay.write("belay.yaml", "listen: 127.0.0.1:0\nplans: [plan.yaml]\narm: on_start\n");
        belay.env("BELAY_CONFIG", "belay.yaml");
        Daemon { belay, process: None }
    }

    fn guard(&self, daemon: &mut Daemon) {
        let mut process = daemon.belay.spawn(&["serve"]);
        let line = process.wait_for_stderr("listening on http://");
        let address = line.split("http://").nth(1).expect("it was asked for");
        let address: String = address.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        let url = format!("http://{address}/v1/migrations/{}", self.name);
        while !is_guarded(&http_get(&url).expect("it listens").json()) {}
        daemon.process = Some(process);
    }
}

fn is_guarded(migration: &Value) -> bool {
    let signals = migration["signals"].as_object();
    migration["state"] == "armed"
        && signals.is_some_and(|signals| signals.values().all(|signal| signal["health"] == "healthy"))
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn start_to_armed(bencher: Bencher<'_, '_>) {
    let stage = Stage::new();
    bencher.with_inputs(|| stage.daemon()).bench_local_values(|mut daemon| {
        stage.guard(&mut daemon);
        daemon
    });
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn kill_to_resumed(bencher: Bencher<'_, '_>) {
    let stage = Stage::new();
    let guarded = || {
        let mut daemon = stage.daemon();
        stage.guard(&mut daemon);
        daemon
    };
    bencher.with_inputs(guarded).bench_local_values(|mut daemon| {
        daemon.process.take().expect("it runs").kill();
        stage.guard(&mut daemon);
        daemon
    });
}
