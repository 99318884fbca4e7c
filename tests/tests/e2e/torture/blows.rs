//! What befalls a daemon, in whatever state it is.

use std::{fs, thread, time::Duration};

use belay_tests::{Signal, http_get, wait_until, wait_until_within};
use serde_json::{Value, json};

use super::scene::Scene;

/// One thing that happens to a daemon.
pub(super) struct Blow {
    pub(super) name: &'static str,
    pub(super) strike: fn(&mut Scene),
    /// The process is another one afterwards.
    pub(super) deadly: bool,
}

/// In an order in which one follows on the other.
pub(super) const BLOWS: [Blow; 17] = [
    Blow::new("SIGHUP", reload),
    Blow::new("SIGHUP with a changed plan", reload_changed),
    Blow::new("SIGHUP with a broken plan", reload_broken),
    Blow::new("SIGHUP with a vanished plan", reload_vanished),
    Blow::new("SIGUSR2", rehearse),
    Blow::new("a long sleep", sleep),
    Blow::new("a clock a day ahead", |scene| clock_jumps(scene, 86_400)),
    Blow::new("a clock a day behind", |scene| clock_jumps(scene, -86_400)),
    Blow::new("a full disk", full_disk),
    Blow::new("a disk that does not sync", broken_disk),
    Blow::new("a disk that hangs", hanging_disk),
    Blow::deadly("SIGKILL", killed),
    Blow::deadly("SIGTERM", terminated),
    Blow::deadly("SIGTERM while the disk is full", terminated_on_full_disk),
    Blow::deadly("SIGTERM while the disk hangs", terminated_on_hanging_disk),
    Blow::deadly("a start while the disk is full", started_on_full_disk),
    Blow::deadly("SIGKILL, and a start without the plan", started_without_plan),
];

/// Longer than three polls and two seconds: then a daemon knows that it was asleep.
const SLEEP: Duration = Duration::from_secs(5);

/// What a supervisor allows, and the daemon promises.
const STOP_MAX: Duration = Duration::from_secs(10);

impl Blow {
    const fn new(name: &'static str, strike: fn(&mut Scene)) -> Self {
        Self { name, strike, deadly: false }
    }

    const fn deadly(name: &'static str, strike: fn(&mut Scene)) -> Self {
        Self { name, strike, deadly: true }
    }
}

// --- signals -------------------------------------------------------------------------------------------------------------

fn reload(scene: &mut Scene) {
    scene.daemon_mut().process().signal(Signal::HUP);
    let migration = scene.migration();
    assert_eq!(migration["plan_problem"], Value::Null);
}

fn reload_changed(scene: &mut Scene) {
    let before = scene.migration()["pending_plan"].clone();
    scene.change_plan(|plan| plan.replace("within: 1h", "within: 2h"));
    scene.daemon_mut().process().signal(Signal::HUP);
    scene.wait_for("the changed plan to be pending", |m| m["pending_plan"].is_string() && m["pending_plan"] != before);
    scene.restore_plan();
    scene.daemon_mut().process().signal(Signal::HUP);
    scene.wait_for("the plan to be in the file again", |m| m["pending_plan"] == before);
}

fn reload_broken(scene: &mut Scene) {
    scene.change_plan(|plan| plan.replace("steps:", "stepz:"));
    scene.daemon_mut().process().signal(Signal::HUP);
    scene.wait_for("the broken plan to be told of", |m| tells(&m["plan_problem"], "not a valid plan"));
    scene.restore_plan();
    scene.daemon_mut().process().signal(Signal::HUP);
    scene.wait_for("the plan to be well again", |m| m["plan_problem"].is_null());
}

fn reload_vanished(scene: &mut Scene) {
    let live = is_live(&scene.migration());
    fs::remove_file(scene.plan_path()).unwrap();
    scene.daemon_mut().process().signal(Signal::HUP);
    if live {
        scene.wait_for("the vanished plan to be told of", |m| tells(&m["plan_problem"], "cannot be read"));
    } else {
        scene.wait_for_guarded(false);
    }
    scene.restore_plan();
    scene.daemon_mut().process().signal(Signal::HUP);
    scene.wait_for_guarded(true);
    scene.wait_for("the plan to be well again", |m| m["plan_problem"].is_null());
}

/// The dry run may hang as the run does: nobody waits for it.
fn rehearse(scene: &mut Scene) {
    scene.daemon_mut().process().signal(Signal::USR2);
}

#[expect(clippy::disallowed_methods, reason = "the sleep of the machine is itself what befalls the daemon")]
fn sleep(scene: &mut Scene) {
    until_noticed(scene, |scene| {
        scene.daemon_mut().process().signal(Signal::STOP);
        thread::sleep(SLEEP);
        scene.daemon_mut().process().signal(Signal::CONT);
    });
}

/// What is live notices that it was away: nothing that was read before counts any more.
fn until_noticed(scene: &mut Scene, happen: impl FnOnce(&mut Scene)) {
    let before = scene.migration();
    happen(scene);
    if is_live(&before) {
        let since = |migration: &Value| migration["signals"]["calm"]["since"].clone();
        scene.wait_for("the daemon to notice", |m| since(m) != since(&before));
    }
}

fn clock_jumps(scene: &mut Scene, seconds: i64) {
    for ahead in [seconds, 0] {
        until_noticed(scene, |scene| scene.machine.set_clock_ahead(ahead));
    }
}

// --- the disk --------------------------------------------------------------------------------------------------------------

fn full_disk(scene: &mut Scene) {
    scene.machine.fill_disk();
    meet_bad_disk(scene);
}

fn broken_disk(scene: &mut Scene) {
    scene.machine.break_syncs();
    meet_bad_disk(scene);
}

fn hanging_disk(scene: &mut Scene) {
    scene.machine.hang_disk();
    meet_bad_disk(scene);
}

/// Somebody asks for something meanwhile, is told, and asks again when the disk is well.
fn meet_bad_disk(scene: &mut Scene) {
    let before = scene.migration();
    let sent = scene.sent();
    let knock = || match holdable(&before) {
        true => scene.ask_run("hold", json!({})),
        false => scene.ask("rollback", json!({ "dry_run": true })),
    };
    let answer = knock().expect("who asks is answered, also when nothing can be put on record");
    assert_eq!(answer.status, 503, "{answer:?}");
    let problem = answer.json();
    assert!(tells(&problem["detail"], "journal"), "{problem:#}");
    let told = scene.wait_for("the fault to show", |m| m["faults"][0].is_string());
    assert!(tells(&told["faults"][0], "journal"), "{told:#}");
    assert_eq!(ready(scene), 503);
    assert_eq!(scene.sent(), sent, "nothing is sent that is not on record");

    scene.machine.free_disk();
    scene.wait_for("the daemon to act again", |m| m["faults"] == json!([]));
    assert_eq!(ready(scene), 200);
    if scene.migration()["run"]["state"] == "held" && before["run"]["state"] != "held" {
        // It got on record in the end.
        scene.must_run("resume", json!({}));
    }
}

// --- death -----------------------------------------------------------------------------------------------------------------

fn killed(scene: &mut Scene) {
    scene.take_daemon().kill();
    scene.start();
}

fn terminated(scene: &mut Scene) {
    let stopped = scene.take_daemon().terminate();
    assert_eq!(stopped.code, 0, "{stopped}");
    scene.start();
}

fn terminated_on_full_disk(scene: &mut Scene) {
    scene.machine.fill_disk();
    let stopped = scene.take_daemon().terminate();
    assert_eq!(stopped.code, 0, "{stopped}");
    scene.machine.free_disk();
    scene.start();
}

fn terminated_on_hanging_disk(scene: &mut Scene) {
    scene.machine.hang_disk();
    let mut daemon = scene.take_daemon();
    daemon.process().signal(Signal::TERM);
    wait_until_within(STOP_MAX, "the daemon to stop", || (!daemon.process().is_running()).then_some(()));
    assert_eq!(daemon.terminate().code, 0);
    scene.machine.free_disk();
    scene.start();
}

/// It starts and waits for the disk, or ends and says why.
fn started_on_full_disk(scene: &mut Scene) {
    scene.take_daemon().kill();
    scene.machine.fill_disk();
    if let Err(refused) = scene.try_start() {
        assert_eq!(refused.code, 1, "{refused}");
        assert!(refused.stderr.contains("disk"), "{refused}");
        scene.machine.free_disk();
        return scene.start();
    }
    let migration = scene.migration();
    if is_live(&migration) {
        scene.wait_for("the fault to show", |m| m["faults"][0].is_string());
        assert_eq!(ready(scene), 503);
    }
    scene.machine.free_disk();
    scene.wait_for("the daemon to act", |m| m["faults"] == json!([]));
}

/// What was armed goes on, and what was not is not guarded.
fn started_without_plan(scene: &mut Scene) {
    let live = is_live(&scene.migration());
    scene.take_daemon().kill();
    fs::remove_file(scene.plan_path()).unwrap();
    scene.start();
    if live {
        assert!(tells(&scene.migration()["plan_problem"], "plan file"));
    }
    scene.restore_plan();
    scene.take_daemon().kill();
    scene.start();
}

// --- what is seen ------------------------------------------------------------------------------------------------------------

fn tells(text: &Value, part: &str) -> bool {
    text.as_str().is_some_and(|text| text.contains(part))
}

pub(super) fn is_open(migration: &Value) -> bool {
    ["running", "held", "confirming", "halted"].contains(&migration["run"]["state"].as_str().unwrap_or_default())
}

fn is_live(migration: &Value) -> bool {
    migration["armed"].is_string() || is_open(migration)
}

fn holdable(migration: &Value) -> bool {
    let run = &migration["run"];
    run["aborting"] == false && ["running", "confirming"].contains(&run["state"].as_str().unwrap_or_default())
}

fn ready(scene: &Scene) -> u16 {
    let url = format!("{}/readyz", scene.daemon().url);
    wait_until("an answer of /readyz", || http_get(&url).ok()).status
}
