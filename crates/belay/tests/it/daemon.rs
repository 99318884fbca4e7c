//! The commands that talk to a daemon, against one in this process that guards a simulated world.

use std::{fs, path::Path, sync::Arc};

use belay_core::reading::Health;
use belay_journal::MemoryJournal;
use belay_local::permit::Gate;
use belay_server::{Config, Daemon, Metrics, Parts, PlanFile, ServeError, serve, unix_signals::UnixSignals};
use belay_sim::{Faults, Rule, SeededEntropy, SimClock, World, ports, read_only_ports};
use serde_json::Value;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{belay, catalogue, text};

const PLAN: &str = "\
belay: 1
migration: shop
aws: { account: \"111122223333\", region: eu-west-1 }
signals:
  errors: { alarm: shop-5xx }
  blue_ready: { target_health: { target_group: shop-blue, at_least: 1 } }
triggers:
  hurt: { when: errors, for: 30s, severity: critical, scope: system_wide, fix: unknown }
steps:
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    to: baseline
    require: [blue_ready]
  tell_people:
    needs: [dns_back]
    action: manual
    with: { instructions: Tell the shops. }
";

/// Ends when it is dropped.
pub(crate) struct Guarded {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) world: Arc<World>,
    pub(crate) url: String,
    _serving: JoinSet<Result<(), ServeError>>,
    _runtime: Runtime,
}

async fn serve_a_world(file: PlanFile, socket: &str) -> (Arc<World>, String, JoinSet<Result<(), ServeError>>) {
    let clock = SimClock::new("2026-03-01T22:00:00Z".parse().unwrap(), 50);
    let world = Arc::new(World::new(&file.loaded.plan, Arc::new(clock), Faults::none()));
    for signal in ["errors", "blue_ready"] {
        world.set_rule(signal, Rule::Always(Health::Healthy));
    }
    let ports = ports(&world, Arc::new(MemoryJournal::default()), Arc::new(SeededEntropy::new(7)));
    let listen = ["127.0.0.1:0", socket].map(|address| address.parse().unwrap());
    let config = Config { listen: listen.into(), ..Config::default() };
    let listener = serve::bind(&config).await.unwrap();
    let url = format!("http://{}", listener.port().unwrap());
    let parts = Parts {
        read_only: read_only_ports(&world, &ports),
        gate: Gate::default(),
        metrics: Metrics::new("test", ports.clock.now()),
        traces: belay_server::Traces::default(),
        readiness: None,
        watch: tokio::runtime::Handle::current(),
        ports,
        catalogue: catalogue(),
        plans: vec![file],
        unusable: Vec::new(),
        belay_version: "test".to_owned(),
    };
    let daemon = Daemon::build(config, parts).await.unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(serve::serve(daemon, listener, UnixSignals::install().unwrap()));
    (world, url, serving)
}

fn socket(folder: &tempfile::TempDir) -> String {
    format!("unix:{}", folder.path().join("belay.sock").display())
}

impl Guarded {
    fn start() -> Self {
        Self::with(PLAN)
    }

    pub(crate) fn with(plan: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.yaml");
        fs::write(&path, plan).unwrap();
        let file = PlanFile::load(&path, &catalogue()).unwrap();
        let runtime = Runtime::new().unwrap();
        let (world, url, serving) = runtime.block_on(serve_a_world(file, &socket(&folder)));
        Self { folder, world, url, _serving: serving, _runtime: runtime }
    }

    /// What it printed, and its exit code has to be this.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> String {
        let folder: &Path = self.folder.path();
        let done = belay(folder, arguments).env("BELAY_URL", &self.url).assert().code(code).get_output().clone();
        text(&done.stdout) + &text(&done.stderr)
    }

    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let done = belay(self.folder.path(), arguments).env("BELAY_URL", &self.url).arg("--json").assert().code(0);
        serde_json::from_slice(&done.get_output().stdout).unwrap()
    }
}

#[test]
fn a_cutover_is_guarded_and_rolled_back_by_hand() {
    let guarded = Guarded::start();
    assert!(guarded.run(&["status"], 0).contains("disarmed"));
    assert!(guarded.run(&["cutover"], 5).contains("arm  belay arm shop"));
    let armed = guarded.run(&["arm", "--reason", "tonight"], 0);
    assert!(armed.contains("shop is armed") && armed.contains("is new") && armed.contains("belay cutover"), "{armed}");
    guarded.run(&["cutover"], 0);
    let again = guarded.run(&["arm"], 0);
    assert!(again.contains("is kept") && !again.contains("belay cutover"), "{again}");
    assert!(guarded.run(&["status"], 0).contains(" old ("), "which baseline counts");
    guarded.world.cut_over();

    let rehearsed = guarded.run(&["rollback", "--reason", "look first", "--dry-run", "--wait"], 0);
    assert!(rehearsed.contains("nothing would stop the rollback now"), "{rehearsed}");
    let begun = guarded.json(&["rollback", "--reason", "look once more", "--dry-run"]);
    let dry = begun["run"].as_str().unwrap();
    let found = guarded.run(&["status", dry], 0);
    assert!(found.contains("nothing would stop the rollback now"), "{found}");
    assert!(guarded.run(&["undo", "--reason", "r"], 5).contains("there is no rollback that can be undone"));

    let begun = guarded.json(&["rollback", "--reason", "customers cannot pay"]);
    let run = begun["run"].as_str().unwrap().to_owned();
    assert!(guarded.run(&["rollback", "--reason", "again"], 5).contains(&run));
    assert!(guarded.run(&["disarm", "--reason", "over"], 5).contains("error: "));
    assert!(guarded.run(&["retry", "dns_back", "--reason", "r"], 5).contains("error: "));
    guarded.run(&["hold", "--reason", "one moment"], 0);
    guarded.run(&["resume", "--reason", "go on"], 0);
    guarded.approve_when_it_waits("tell_people");
    let status = guarded.wait_for_the_end(&run);
    assert_eq!(status["state"], "rolled_back");
    assert!(guarded.world.is_at_target("dns_back"));

    let report = guarded.run(&["report", &run], 0);
    assert!(report.starts_with(&format!("# Report of run {run} of shop")), "{report}");
    assert!(report.contains("customers cannot pay") && report.contains("- [x] Every step"), "{report}");
    assert!(guarded.run(&["report", &run, "--format", "html"], 0).starts_with("<!doctype html>"));
    assert_eq!(guarded.json(&["report", &run])["state"], "rolled_back");
    assert!(guarded.run(&["report", "000000000000"], 2).contains("there is no run 000000000000"));
}

#[test]
fn people_on_the_host_use_the_socket_and_are_told_where_they_were_not_heard() {
    let guarded = Guarded::start();
    let socket = socket(&guarded.folder);
    guarded.run(&["arm", "--url", &socket, "--reason", "tonight"], 0);
    let shown = guarded.run(&["status", "--url", &socket], 0);
    assert!(shown.contains("armed") && shown.contains(&format!("--url {socket}")), "{shown}");
    guarded.run(&["rollback", "--url", &socket, "--reason", "customers cannot pay"], 0);
    guarded.approve_when_it_waits("tell_people");

    let nobody = format!("{socket}.gone");
    let refused = guarded.run(&["status", "--url", &nobody], 6);
    assert!(refused.contains(&format!("the daemon at {nobody} cannot be reached")), "{refused}");
    assert!(refused.contains("belay serve"), "{refused}");
    let relative = guarded.run(&["status", "--url", "unix:belay.sock"], 2);
    assert!(relative.contains("unix:/run/belay/belay.sock"), "{relative}");
}

/// The traffic is looked at after it was put back.
const VERIFIED: &str = "    require: [blue_ready]\n    verify: [{ signal: page, within: 2s }]\n";

#[test]
fn what_was_changed_before_a_retry_is_still_told() {
    let plan = PLAN
        .replace("    require: [blue_ready]\n", VERIFIED)
        .replace("signals:\n", "signals:\n  page: { http: { url: \"http://127.0.0.1:9/\" } }\n");
    let guarded = Guarded::with(&plan);
    guarded.world.set_rule("page", Rule::Always(Health::Unhealthy));
    guarded.run(&["arm"], 0);
    guarded.world.cut_over();
    let halted = guarded.run(&["rollback", "--reason", "r", "--wait"], 4);
    assert!(halted.contains("changed:\n    dns_back:"), "{halted}");
    guarded.world.set_rule("page", Rule::Always(Health::Healthy));
    guarded.run(&["retry", "dns_back", "--reason", "the page is back"], 0);
    guarded.approve_when_it_waits("tell_people");
    let status = guarded.wait_for("rolled_back");
    let changes = status["run"]["steps"]["dns_back"]["changes"].as_array().unwrap();
    assert!(changes.iter().any(|change| change["effective"] == true), "{status}");
}

#[test]
fn what_is_not_there_is_named() {
    let guarded = Guarded::start();
    assert!(guarded.run(&["status", "nothing"], 2).contains("there is no migration nothing"));
    assert!(guarded.run(&["hold", "--reason", "r"], 5).contains("there is no open run"));
    assert!(guarded.run(&["decide", "roll-back", "--reason", "r"], 5).contains("there is no open incident"));
    assert_eq!(guarded.json(&["status", "shop"])["name"], "shop");
}

impl Guarded {
    /// Bounded by the number of tries, each a process of its own.
    fn approve_when_it_waits(&self, step: &str) {
        let approve = ["approve", step, "--reason", "done", "--url", &self.url];
        let tried = (0..200).any(|_| belay(self.folder.path(), &approve).output().unwrap().status.success());
        assert!(tried, "{step} never waited for approval");
    }

    /// Answers at once if the run is over by now.
    fn wait_for_the_end(&self, run: &str) -> Value {
        let status = self.wait_for("rolled_back");
        assert_eq!(status["run"]["id"], run);
        status
    }

    pub(crate) fn wait_for(&self, state: &str) -> Value {
        let status = (0..200).map(|_| self.json(&["status", "shop"])).find(|status| status["state"] == state);
        status.unwrap_or_else(|| panic!("it is never {state}"))
    }
}
