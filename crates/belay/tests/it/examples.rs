//! Every plan that ships does what it says: each is run in a simulated world.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::RunKind,
    input::{Asked, Verb},
    reading::Health,
    run::{Phase, RunState},
};
use belay_engine::{Engine, Handle, Options, Request, Sampler, capture, run_foreground};
use belay_journal::MemoryJournal;
use belay_plan::model::Plan;
use belay_sim::{
    Faults, Rule, SeededEntropy, SimClock, World,
    explore::{ENDS_LISTED, explore},
    ports,
    rehearsal::{Rehearsal, script::Script},
    scenario,
};

use crate::{catalogue, ends, examples};

fn world(plan: &Plan) -> Arc<World> {
    let clock = SimClock::new("2026-03-01T22:00:00Z".parse().unwrap(), 1);
    let world = World::new(plan, Arc::new(clock), Faults::none());
    for signal in plan.signals.keys() {
        world.set_rule(signal, Rule::Always(Health::Healthy));
    }
    for destination in ["blue", "web-blue", "shop-blue"] {
        world.set_destination(destination, true);
    }
    Arc::new(world)
}

/// Approves what waits for a person, until the run is over.
async fn see_through(handle: &Handle) -> RunState {
    let mut snapshots = handle.watch();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let run = snapshot.state.run.as_ref().unwrap();
        if run.state.is_over() || run.state == RunState::Halted {
            return run.state;
        }
        for (step, _) in run.steps.iter().filter(|(_, step)| step.phase == Phase::AwaitingApproval) {
            let verb = Verb::Approve { run: run.id.clone(), step: step.clone(), approve: true };
            let command = Asked::new("another tester", "done").command(verb);
            handle.command(command).await.unwrap();
        }
        snapshots.changed().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn every_example_rolls_back() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = belay_plan::load("example", &text, &catalogue()).unwrap();
        let world = world(&loaded.plan);
        let ports = ports(&world, Arc::new(MemoryJournal::default()), Arc::new(SeededEntropy::new(7)));
        let baseline = capture(&ports, &loaded.plan, &loaded.sha256).await.unwrap();
        world.cut_over();
        let sampler =
            Sampler::start(ports.sensors.clone(), ports.clock.clone(), ports.observer.clone(), Duration::from_secs(5));
        let options = Options { sampler, belay_version: "test".to_owned(), readiness: None };
        let handle = Engine::open(ports.clone(), &loaded.plan.migration, options).await.unwrap();
        let request = Request {
            plan: Arc::new(loaded.plan.clone()),
            plan_sha256: loaded.sha256,
            kind: RunKind::Simulated,
            baseline: Some(baseline),
            only: Vec::new(),
            phase: loaded.plan.usual_phase().map(str::to_owned),
            asked: Asked::new("tester", "an example"),
        };
        run_foreground(&handle, &ports, request).await.unwrap();
        assert_eq!(see_through(&handle).await, RunState::RolledBack, "{}", path.display());
        let acting = loaded.plan.in_phase(loaded.plan.usual_phase()).steps;
        let acting = acting.iter().filter(|(_, step)| !matches!(step.action.as_str(), "manual" | "wait"));
        for (step, _) in acting {
            assert!(world.is_at_target(step), "{}: {step}", path.display());
        }
    }
}

/// A run of an example comes to an end that the search has found, as it usually goes and with people who say no.
#[test]
fn every_example_ends_as_was_searched() {
    let mut compared = 0;
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let plan = belay_plan::load("example", &text, &catalogue()).unwrap().plan;
        let report = explore(&plan.in_phase(plan.usual_phase()), 20_000, &mut |_| true).unwrap();
        if !report.complete || report.ends_count > ENDS_LISTED as u64 {
            continue;
        }
        let no = "scenario: 1\nsummary: No.\npeople: [{ answer: deny }]\n";
        let denied =
            "scenario: 1\nsummary: Denied.\nevents: [{ fail: { steps: all, how: denied }, at: { sent: all } }]\n";
        let mut scripts = vec![Script::usual(&plan, None)];
        scripts.extend([no, denied].iter().filter_map(|text| scenario::load("it", text, &plan, None, None).ok()));
        for script in scripts {
            let rehearsal = Rehearsal::new(&plan, "abc", script, std::collections::BTreeMap::new(), "0.1.0");
            for seed in 0..3 {
                let played = rehearsal.play(seed).unwrap();
                let Some(mut end) = ends::of_play(&plan.migration, &played.records) else { continue };
                // Steps of other phases are skipped, and not searched.
                let acting = plan.in_phase(plan.usual_phase()).steps;
                end.1.retain(|name, _| acting.contains_key(name));
                assert!(ends::is_among(&report.ends, &end), "{}: {end:?}: {}", path.display(), played.report.why);
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "{compared} plays are compared");
}
