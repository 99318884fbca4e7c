//! The main test, a swarm: random plans, each in a world with some kinds of faults, each kind with a share of its own; people who
//! do what waiting states ask for; a process that dies at appends, and a journal that fails. After every record and at every
//! call the witness checks what must hold. `BELAY_SEEDS=100000` explores more (a night, with `--release`), and `BELAY_SEED=17`
//! one seed again.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use belay_core::{
    change::Repeats,
    event::RunKind,
    input::{Asked, Verb},
    run::{Phase, RunState},
    watch::Dwell,
};
use belay_engine::{ArmError, CommandError, Handle, Request, Snapshot, view::MigrationView};
use belay_journal::AppendFault;
use belay_sim::{Chance, Faults};

use crate::{
    plans,
    scene::{LONG, Scene, command, next_verb, roll_back, virtually},
};

/// What a build for development plays in well under a minute.
const SEEDS: u64 = 1000;

/// How often a person steps in before giving up.
const PATIENCE: u32 = 12;

#[test]
fn every_seed_keeps_the_invariants_and_comes_to_an_end() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("BELAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("BELAY_SEEDS").unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if std::panic::catch_unwind(AssertUnwindSafe(|| virtually(explore(seed)))).is_err() {
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    if let Some(first) = failed.first() {
        panic!("seeds {failed:?}; again with: BELAY_SEED={first} cargo test -p belay-sim --test it every_seed");
    }
}

#[test]
fn the_same_seed_gives_the_same_journal_to_the_byte() {
    for seed in 0..20 {
        let [one, two] = [(); 2].map(|()| virtually(explore(seed)));
        assert_eq!(one, two, "seed {seed}");
    }
}

/// Plays one seed to its end. Answers the journal.
async fn explore(seed: u64) -> Vec<String> {
    let mut chance = Chance::new(seed);
    let plan = plans::random(&mut chance);
    let scene = Scene::new(plan, seed, Faults::swarm(chance.draw(), 25));
    if chance.per_mille(300) {
        // Nothing is known of blue: without an interlock no traffic may go there.
        scene.world.set_destination("blue", false);
    }
    for step in scene.plan.steps.keys() {
        if chance.per_mille(200) {
            scene.world.set_repeats(step, Repeats::Never);
        }
    }
    let mut dies = chance.fork();
    plan_deaths(&scene, &mut dies);
    let mut person = chance.fork();
    let mut handle = scene.open().await;
    if start(&scene, &mut handle, &mut person).await {
        finish(&scene, &mut handle, &mut person).await;
    }
    let live = handle.snapshot();
    handle.shutdown().await;
    let after = handle.snapshot();
    scene.assert_sound(Some(if after.state.seq > live.state.seq { &after.state } else { &live.state }));
    scene.transcript()
}

/// Any append may be the one that the process dies at, before or after it is durable, or that the journal fails at: which of
/// these happen in this run, and how often, is chance.
fn plan_deaths(scene: &Scene, chance: &mut Chance) {
    let faults = [
        AppendFault::CrashBefore,
        AppendFault::CrashAfter,
        AppendFault::Lose,
        AppendFault::WriteUnknown,
        AppendFault::Refuse,
    ];
    let faults: Vec<AppendFault> = faults.into_iter().filter(|_| chance.per_mille(500)).collect();
    let share = [0, 10, 30, 100][usize::try_from(chance.below(4)).unwrap()];
    let struck = (1..=400).filter(|_| chance.per_mille(share)).take(8).collect::<Vec<u64>>();
    for append in struck {
        if let Some(fault) = chance.pick(&faults) {
            scene.journal.fail_at(append, *fault);
        }
    }
}

/// Does it, unless the process dies over it: then a new one takes over.
async fn surviving<T>(scene: &Scene, handle: &mut Handle, work: impl Future<Output = T>) -> Option<T> {
    let done = tokio::select! {
        biased;
        done = work => Some(done),
        () = scene.journal.crashed() => None,
    };
    if done.is_none() {
        scene.journal.restart();
        *handle = scene.open().await;
    }
    done
}

/// Arms, cuts over and lets it go wrong, or rolls back by hand, or without a daemon. False when it was refused.
async fn start(scene: &Scene, handle: &mut Handle, chance: &mut Chance) -> bool {
    let reads_fail = |error: &ArmError| matches!(error, ArmError::Unreadable { .. } | ArmError::Capture(_));
    let daemon = chance.per_mille(700);
    let on_record = scene.plan.steps.keys().next().cloned();
    for _ in 0..20 {
        let before = handle.clone();
        if daemon || chance.per_mille(500) {
            match surviving(scene, handle, async { scene.arm(&before).await.map(drop) }).await {
                Some(Err(error)) if reads_fail(&error) => continue,
                Some(Err(ArmError::Command(CommandError::Stopped { .. }))) => {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    continue;
                }
                Some(Err(error)) => panic!("a plan that should be armed is refused: {error}"),
                Some(Ok(())) => {}
                None if handle.snapshot().state.armed.is_some() => {}
                None => continue,
            }
            let before = handle.clone();
            surviving(scene, handle, command(&before, Verb::Cutover)).await;
            scene.world.cut_over();
            if chance.per_mille(600) {
                return true; // the trigger sees it
            }
            let only: Vec<&str> = on_record.iter().filter(|_| chance.per_mille(300)).map(String::as_str).collect();
            let before = handle.clone();
            surviving(scene, handle, command(&before, roll_back(&only))).await;
            return true;
        }
        let Ok(baseline) = belay_engine::capture(&scene.ports, &scene.plan, "abc").await else { continue };
        scene.world.cut_over();
        let request = Request {
            plan: scene.plan.clone(),
            plan_sha256: "abc".to_owned(),
            kind: RunKind::Real,
            baseline: Some(baseline),
            only: Vec::new(),
            phase: None,
            asked: Asked::new("alice", "it hurts"),
        };
        loop {
            let before = handle.clone();
            let started =
                surviving(scene, handle, belay_engine::run_foreground(&before, &scene.ports, request.clone()));
            match started.await {
                Some(Ok(_)) => return true,
                _ => tokio::time::sleep(Duration::from_secs(10)).await,
            }
        }
    }
    false
}

/// Until the run is over. Whatever waits must name the verbs that move it, and they must do so.
async fn finish(scene: &Scene, handle: &mut Handle, chance: &mut Chance) {
    let begin = scene.clock.monotonic();
    let (mut patience, mut restarts) = (PATIENCE, 3);
    loop {
        let snapshot = handle.snapshot();
        let over = snapshot.state.run.as_ref().is_some_and(|run| run.state.is_over());
        if over && snapshot.state.armed.is_none() {
            check_outcome(scene, handle);
            return;
        }
        let gone = scene.clock.monotonic() - begin;
        assert!(gone < LONG, "stuck: {}", stuck(scene, &snapshot));
        check_waiting(scene, &snapshot);
        if snapshot.state.run.is_none() && gone > Duration::from_secs(3600) {
            let quiet = snapshot.state.triggers.values().all(|trigger| trigger.dwell == Dwell::Quiet);
            assert!(quiet, "nothing happens: {:#?}", snapshot.state.triggers);
            return; // all of the plan's steps are built in: nothing could ever hurt
        }
        if let Some(verb) = next_verb(&snapshot, scene.clock.now(), chance, patience > 0) {
            patience = patience.saturating_sub(1);
            let before = handle.clone();
            let asked = Asked::new(format!("person {}", chance.below(4)), "because");
            surviving(scene, handle, before.command(asked.command(verb))).await;
        } else if restarts > 0 && chance.per_mille(30) {
            restarts -= 1;
            let before = handle.clone();
            surviving(scene, handle, before.shutdown()).await;
            *handle = scene.open().await;
        }
        let mut watch = handle.watch();
        watch.mark_unchanged();
        surviving(scene, handle, async {
            let _ = tokio::time::timeout(Duration::from_secs(30), watch.changed()).await;
        })
        .await;
    }
}

/// An open run says what it waits for, and names a verb that moves it, unless it is about to end by itself.
fn check_waiting(scene: &Scene, snapshot: &Snapshot) {
    let Some(run) = snapshot.state.open_run().filter(|run| !run.aborting) else { return };
    let waiting = MigrationView::new(snapshot, None, scene.clock.now()).waiting_for;
    let moved = waiting.iter().any(|waiting| !waiting.verbs.is_empty());
    assert!(moved, "run {} waits, and nobody is told how to move it: {}", run.id, stuck(scene, snapshot));
}

fn stuck(scene: &Scene, snapshot: &Snapshot) -> String {
    let view = MigrationView::new(snapshot, None, scene.clock.now());
    let last: Vec<String> = scene.transcript().into_iter().rev().take(60).rev().collect();
    format!("{view:#?}\n{}", last.join("\n"))
}

/// A run that says it has rolled back has done so.
fn check_outcome(scene: &Scene, handle: &Handle) {
    let snapshot = handle.snapshot();
    let Some(run) = snapshot.state.run.as_ref().filter(|run| run.state == RunState::RolledBack) else { return };
    for (name, step) in &run.steps {
        let put_back = matches!(step.phase, Phase::Done | Phase::Unchanged);
        // Somebody may undo it right after the last look: nobody watches then.
        let back = scene.world.is_at_target(name) || scene.world.was_undone(name);
        assert!(!put_back || back, "{name} is said to be {:?}, and is not: {}", step.phase, stuck(scene, &snapshot));
    }
}
