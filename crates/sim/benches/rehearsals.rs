//! Rehearsals: many runs of a plan of ten steps, and one drill of plans that grow; beside each other, so that it shows whether
//! a step costs the same in a large plan.

use std::{collections::BTreeMap, time::Duration};

use belay_plan::model::*;
use belay_sim::rehearsal::{Outcome, Rehearsal, play_all, script::Script};
use divan::{Bencher, counter::ItemsCount};

#[path = "../src/explore/fixture.rs"]
mod fixture;

fn main() {
    divan::main();
}

/// Two chains of steps, interlocks and gates in them, and a signal that fires.
fn plan(steps: usize) -> Plan {
    let name = |number: usize| format!("s{number}");
    let step = |number: usize| {
        let step = match number % 5 {
            3 => fixture::restore(),
            4 => fixture::step("sim.job", Target::Own),
            _ => Step { verify: vec![fixture::gate("errors", 600, 30)], ..fixture::weights() },
        };
        let needs = if number < 2 { Vec::new() } else { vec![name(number - 2)] };
        (name(number), Step { needs, timeout: Duration::from_secs(7200), ..step })
    };
    let mut plan = fixture::from((0..steps).map(step));
    let trigger = Trigger {
        when: Condition::Signal("errors".to_owned()),
        dwell: Duration::from_secs(60),
        severity: Severity::Critical,
        scope: TriggerScope::SystemWide,
        fix: Fix::Unknown,
        if_unknown: None,
        red_at_arm: RedAtArm::Refuse,
        problem: None,
        customer_facing: None,
        during: Vec::new(),
    };
    plan.triggers.insert("hurt".to_owned(), trigger);
    plan.confirm = vec![fixture::gate("errors", 900, 120)];
    plan
}

fn rehearsal(steps: usize) -> Rehearsal {
    let plan = plan(steps);
    Rehearsal::new(&plan, "abc", Script::usual(&plan, None), BTreeMap::new(), "0.1.0")
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn a_hundred_runs_of_ten_steps(bencher: Bencher<'_, '_>) {
    let rehearsal = rehearsal(10);
    bencher.counter(ItemsCount::new(100_usize)).bench_local(|| {
        play_all(&rehearsal, 1, 100, 1).map(|reports| assert_eq!(reports.len(), 100)).expect("it plays");
    });
}

#[divan::bench(args = [125, 250, 500, 1000], sample_count = 1, sample_size = 1)]
fn one_drill(bencher: Bencher<'_, '_>, steps: usize) {
    let rehearsal = rehearsal(steps);
    bencher.counter(ItemsCount::new(steps)).bench_local(|| {
        rehearsal.play(1).map(|played| assert_eq!(played.report.outcome, Outcome::RolledBack)).expect("it plays")
    });
}
