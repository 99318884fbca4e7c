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
use belay_sim::{Faults, Rule, SeededEntropy, SimClock, World, ports};

use crate::{catalogue, examples};

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
