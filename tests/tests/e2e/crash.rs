//! SIGKILL at every append of the journal, and between the effect of a call and its record. Whatever the moment: the next
//! start looks first, sends nothing twice, and the world ends as it does without a crash.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use belay_tests::{
    Belay, Call, Emulator, Finished, KillPoint, Outcome, Process, Proxy, Reaction, Signal, Target, World, http_get,
    wait_until,
};
use serde_json::{Value, json};

use crate::database::{
    DANCE, Instance, RESTORE, accepted, arm_and_roll_back, assert_nothing_is_lost, plan as database_plan, renames,
    roll_back, run_id, serve, wait_for_end,
};
use crate::journal;

/// As a process that a signal killed ends.
const KILLED: i32 = 128 + 9;
/// SQLite syncs this file once a commit.
const WAL: &str = "belay.db-wal";
/// Worlds side by side: most of the time a run waits.
const LANES: usize = 3;

/// A world after its cutover, a rollback of it, and how the world looks when it is done.
struct Shop {
    world: World,
    proxy: Proxy,
    steps: &'static [&'static str],
    plan: String,
    end: Value,
}

impl Shop {
    /// `steps`: of `dns`, `listener` and `rule`.
    fn open(aws: &Emulator, blue: &Target, lane: usize, steps: &'static [&'static str]) -> Self {
        let prefix = format!("lane{lane}");
        let world = World::seed(aws.url(), &["--prefix", &prefix, "--blue-target", &blue.address()]);
        wait_until("blue to be healthy", || (world.target_states("blue") == ["healthy"]).then_some(()));
        let end = state(&world);
        let plan = plan(&world, steps);
        Self { world, proxy: Proxy::to(aws.url()), steps, plan, end }
    }

    /// Everybody at green, and nothing recorded yet.
    fn cut_over(&self) -> (Belay, String) {
        self.world.set_some_weights(0, 100, self.steps);
        self.proxy.clear();
        self.proxy.clear_hook();
        let belay = Belay::at(self.proxy.url());
        let plan = belay.write("plan.yaml", &self.plan);
        (belay, plan)
    }

    /// Goes on after a crash, to the end that it has without one. `moment` is for the messages.
    #[track_caller]
    fn finish(&self, belay: &Belay, plan: &str, moment: &str) {
        assert_intact(belay, moment);
        let before = decided_calls(&self.proxy);
        let done = roll_back(belay, plan);
        assert_eq!(done.code, 0, "{moment}: {done}");
        assert_intact(belay, moment);
        let calls = self.proxy.calls();
        assert_looked_first(&calls[before..], moment);
        self.assert_rolled_back(&calls, moment);
        // What a dead process has sent as well: each send has an intent of its own on record.
        let sent = calls.iter().filter(|call| call.is_mutating()).count();
        let intents = journal::intents(&journal::records(belay)).len();
        assert!(intents >= sent, "{moment}: {sent} sent, {intents} intended");
    }

    /// The world is as it was before the cutover, and each change was made once.
    #[track_caller]
    fn assert_rolled_back(&self, calls: &[Call], moment: &str) {
        assert_eq!(state(&self.world), self.end, "{moment}");
        let mut changed: Vec<&str> =
            accepted(calls).into_iter().filter(|call| call.is_mutating()).map(|call| call.action.as_str()).collect();
        changed.sort_unstable();
        let actions = self.steps.iter().map(|step| match *step {
            "dns" => "ChangeResourceRecordSets",
            "listener" => "ModifyListener",
            _ => "ModifyRule",
        });
        assert_eq!(changed, actions.collect::<Vec<_>>(), "{moment}: {calls:#?}");
    }
}

/// Everything that a rollback must leave as it was, weights included.
fn state(world: &World) -> Value {
    json!([world.records(), world.listener(), world.rule()])
}

fn plan(world: &World, steps: &[&str]) -> String {
    let forward = |with: &str| {
        let (blue, green) = (world.text("/alb/target_groups/blue/name"), world.text("/alb/target_groups/green/name"));
        format!("action: alb.forward\n    with: {{ {with} }}\n    to: {{ {blue}: 100, {green}: 0 }}")
    };
    let mut text = format!(
        "belay: 1
migration: checkout
aws: {{ account: \"123456789012\", region: us-east-1 }}
signals:
  blue_ready: {{ target_health: {{ target_group: {}, at_least: 1 }} }}
confirm: [blue_ready]
steps:
",
        world.text("/alb/target_groups/blue/name")
    );
    for step in steps {
        let what = match *step {
            "dns" => format!(
                "action: route53.weights
    with: {{ zone: {}, record: {}, type: A }}
    to: {{ {}: 100, {}: 0 }}",
                world.text("/dns/zone"),
                world.text("/dns/record"),
                world.text("/dns/sets/blue/id"),
                world.text("/dns/sets/green/id"),
            ),
            "listener" => forward(&format!("listener: \"{}\"", world.text("/alb/listener"))),
            _ => forward(&format!("rule: \"{}\"", world.text("/alb/rule"))),
        };
        text += &format!("  {step}_back:\n    {what}\n    require: [blue_ready]\n    verify: [blue_ready]\n");
    }
    text
}

/// The hash chain of the journal is whole; or there is none yet, where the process died while it created the file.
#[track_caller]
fn assert_intact(belay: &Belay, moment: &str) {
    let audit = belay.run(&["audit", "--json"]);
    if audit.code == 2 && audit.stderr.contains("it is empty") {
        return;
    }
    assert_eq!(audit.code, 0, "{moment}: {audit}");
    assert_eq!(audit.json()["intact"], true, "{moment}: {audit}");
}

/// How many calls there are, once AWS is done with all of them: a dead process may have left one under way.
fn decided_calls(proxy: &Proxy) -> usize {
    proxy.wait_until("the calls under way to be decided", |calls| {
        calls.iter().all(|call| call.outcome != Outcome::Pending).then_some(calls.len())
    })
}

/// What a started process may send to a resource, it sends only after it has looked at it.
#[track_caller]
fn assert_looked_first(calls: &[Call], moment: &str) {
    for (place, call) in calls.iter().enumerate().filter(|(_, call)| call.is_mutating()) {
        let look = match call.action.as_str() {
            "ChangeResourceRecordSets" => "ListResourceRecordSets",
            "ModifyListener" => "DescribeListeners",
            "ModifyRule" => "DescribeRules",
            _ => "DescribeDBInstances",
        };
        assert!(
            calls[..place].iter().any(|before| before.action == look),
            "{moment}: {} was sent blindly",
            call.action
        );
    }
}

/// Rolls back again and again, each time killed at one sync later, until a run gets through unharmed; gives back how
/// many did not.
fn crash_at_each_append(steps: &'static [&'static str], kill_point: fn(&str, u64) -> KillPoint) -> u64 {
    let aws = Emulator::fakecloud();
    let blue = Target::start("blue");
    let (next, crashes) = (AtomicU64::new(1), AtomicU64::new(0));
    let unharmed = AtomicU64::new(u64::MAX);
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (aws, blue, next, crashes, unharmed) = (&aws, &blue, &next, &crashes, &unharmed);
            scope.spawn(move || {
                let shop = Shop::open(aws, blue, lane, steps);
                loop {
                    let sync = next.fetch_add(1, Ordering::SeqCst);
                    if sync > unharmed.load(Ordering::SeqCst) {
                        return;
                    }
                    let moment = format!("killed at sync {sync}");
                    let (mut belay, plan) = shop.cut_over();
                    kill_point(WAL, sync).prepare(&mut belay);
                    let killed = roll_back(&belay, &plan);
                    KillPoint::disarm(&mut belay);
                    if killed.code == 0 {
                        shop.assert_rolled_back(&shop.proxy.calls(), "unharmed");
                        unharmed.fetch_min(sync, Ordering::SeqCst);
                        return;
                    }
                    assert_eq!(killed.code, KILLED, "{moment}: {killed}");
                    crashes.fetch_add(1, Ordering::SeqCst);
                    shop.finish(&belay, &plan, &moment);
                }
            });
        }
    });
    crashes.into_inner()
}

#[test]
fn a_crash_after_any_append_is_gone_on_from() {
    // The run, its plan, the intent, the answer, the effect, the gates, the end: each is an append of its own.
    let crashes = crash_at_each_append(&["dns"], KillPoint::after);
    assert!(crashes >= 8, "only {crashes} crashes");
}

#[test]
fn a_crash_at_any_append_of_steps_side_by_side_is_gone_on_from() {
    let crashes = crash_at_each_append(&["dns", "listener", "rule"], KillPoint::before);
    assert!(crashes >= 8, "only {crashes} crashes");
}

/// Starts a process, and kills it when AWS has carried out a mutating call that is `fatal`, before it is told.
#[track_caller]
fn kill_at_effect(
    proxy: &Proxy,
    fatal: impl Fn(&Call) -> bool + Send + Sync + 'static,
    start: impl FnOnce() -> Process,
) -> Finished {
    let (send, signaller) = mpsc::channel();
    let signaller = Mutex::new(signaller);
    proxy.on_call(move |call| {
        if !call.is_mutating() || !fatal(call) {
            return Reaction::Forward;
        }
        // The process may be faster than this test, which sends its handle after it was started.
        let kill: Box<dyn Fn(Signal) + Send> = signaller.lock().unwrap().recv().unwrap();
        kill(Signal::KILL);
        Reaction::Cut
    });
    let process = start();
    send.send(Box::new(process.signaller())).unwrap();
    let finished = process.wait();
    proxy.clear_hook();
    finished
}

/// The n-th call that is asked about, from 1 on.
fn nth(n: usize) -> impl Fn(&Call) -> bool + Send + Sync + 'static {
    let asked = AtomicUsize::new(0);
    move |_| asked.fetch_add(1, Ordering::SeqCst) + 1 == n
}

fn spawn_run(belay: &Belay, plan: &str) -> Process {
    belay.spawn(&["run", plan, "--reason", "test", "--json"])
}

#[test]
fn a_crash_between_an_effect_and_its_record_is_seen_by_looking() {
    let aws = Emulator::fakecloud();
    let blue = Target::start("blue");
    let shop = Shop::open(&aws, &blue, 0, &["dns", "listener", "rule"]);
    for n in 1..=3 {
        let moment = format!("killed at mutating call {n}");
        let (belay, plan) = shop.cut_over();
        let killed = kill_at_effect(&shop.proxy, nth(n), || spawn_run(&belay, &plan));
        assert_eq!(killed.code, KILLED, "{moment}: {killed}");
        shop.finish(&belay, &plan, &moment);
    }
}

#[test]
fn a_restore_survives_a_crash_at_each_of_its_calls() {
    let aws = Emulator::fakecloud();
    let world = World::seed(aws.url(), &["--prefix", "shop", "--database", "--row", "one"]);
    let (instance, snapshot) = (world.text("/database/instance"), world.text("/database/snapshot"));
    world.write_rows(instance, "orders", &["bad"]);
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let plan = belay.write("plan.yaml", &database_plan(instance, snapshot, "", ""));

    // One run, killed once at each kind of change that it makes. fakecloud never takes the old port over, so the settings
    // are sent again by every process that does not know of the answer: once is enough for those.
    let killed_at = Arc::new(Mutex::new(BTreeSet::new()));
    let done = loop {
        let before = decided_calls(&proxy);
        let once = Arc::clone(&killed_at);
        let fatal = move |call: &Call| {
            let purpose = renames(call).map_or_else(|| call.action.clone(), |(_, name)| name);
            once.lock().unwrap().insert(purpose)
        };
        let ended = kill_at_effect(&proxy, fatal, || spawn_run(&belay, &plan));
        let moment = format!("after {:?}", killed_at.lock().unwrap());
        assert_looked_first(&proxy.calls()[before..], &moment);
        assert_intact(&belay, &moment);
        if ended.code == 0 {
            break ended;
        }
        assert_eq!(ended.code, KILLED, "{moment}: {ended}");
    };
    // The restore, the settings, and two names.
    assert_eq!(killed_at.lock().unwrap().len(), 4, "{killed_at:?}");
    let calls = proxy.calls();
    assert_eq!(calls.iter().filter(|call| call.action == RESTORE).count(), 1);
    assert_eq!(calls.iter().filter_map(renames).count(), 2);
    assert_nothing_is_lost(&calls);
    assert_eq!(world.rows(instance, "orders"), ["one"]);
    let failed = format!("{instance}-failed-{}", run_id(&done));
    assert_eq!(world.rows(&failed, "orders"), ["one", "bad"]);
    assert_eq!(world.databases().as_array().map(Vec::len), Some(2));
}

#[test]
fn a_restore_goes_on_from_a_crash_at_any_one_of_its_calls() {
    let aws = Emulator::moto();
    for (n, (purpose, ..)) in DANCE.into_iter().enumerate() {
        let instance = Instance::create(aws.url(), &format!("db-{purpose}"));
        let proxy = Proxy::to(aws.url());
        let belay = Belay::at(proxy.url());
        let plan = belay.write("plan.yaml", &database_plan(&instance.name, &instance.snapshot, "", ""));
        let killed = kill_at_effect(&proxy, nth(n + 1), || spawn_run(&belay, &plan));
        assert_eq!(killed.code, KILLED, "{purpose}: {killed}");
        assert_intact(&belay, purpose);
        let before = decided_calls(&proxy);
        let done = roll_back(&belay, &plan);
        assert_eq!(done.code, 0, "{purpose}: {done}");
        assert_intact(&belay, purpose);
        let calls = proxy.calls();
        assert_looked_first(&calls[before..], purpose);
        instance.assert_replaced(&run_id(&done), &calls);
        assert_eq!(calls.iter().filter_map(renames).count(), 2, "{purpose}");
        assert_eq!(calls.iter().filter(|call| call.is_mutating()).count(), DANCE.len(), "{purpose}");
    }
}

#[test]
fn a_killed_daemon_goes_on_by_itself() {
    let aws = Emulator::fakecloud();
    let blue = Target::start("blue");
    let shop = Shop::open(&aws, &blue, 0, &["dns", "listener"]);
    let (mut belay, plan) = shop.cut_over();

    let (daemon, api) = serve(&mut belay, &plan);
    let daemon = Arc::new(Mutex::new(Some(daemon)));
    let (killed, death) = mpsc::channel();
    let victim = Arc::clone(&daemon);
    shop.proxy.on_call(move |call| {
        if !call.is_mutating() {
            return Reaction::Forward;
        }
        // Two steps may be on their way: the first one to arrive kills.
        if let Some(daemon) = victim.lock().unwrap().take() {
            killed.send(daemon.kill().code).unwrap();
        }
        Reaction::Cut
    });
    let run = arm_and_roll_back(&api, "checkout");
    assert_eq!(death.recv().unwrap(), KILLED);
    shop.proxy.clear_hook();
    assert_intact(&belay, "killed");
    let before = decided_calls(&shop.proxy);

    // Nobody says anything to it.
    let (_daemon, api) = serve(&mut belay, &plan);
    let run = format!("{api}/runs/{}", run.rsplit('/').next().unwrap());
    let ended = wait_for_end(&run);
    assert_eq!(ended["state"], "rolled_back", "{ended:#}");
    let calls = shop.proxy.calls();
    assert_looked_first(&calls[before..], "restarted");
    shop.assert_rolled_back(&calls, "restarted");
    let migration = http_get(&format!("{api}/migrations/checkout")).unwrap().json();
    assert_eq!(migration["state"], "rolled_back", "{migration:#}");
}
