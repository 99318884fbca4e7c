//! What the state keeps of what is over: little, and all that is still needed.

use crate::common::*;
use belay_core::{
    event::RunKind,
    id::RunId,
    input::{RefusalKind, Verb},
    migration::Migration,
    past::{DRY_RUNS_KEPT, KEPT, TIMES_MAX},
    possible::VerbWord,
    reading::Health,
    run::RunState,
};
use belay_plan::model::*;
use serde_json::json;

fn two_steps() -> Plan {
    plan(vec![("dns", step(&[])), ("other", step(&[]))])
}

/// Armed, and rolled back when the trigger fires.
fn roll_back(stage: &mut Stage, plan: &Plan) -> RunId {
    stage.arm(plan);
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    for name in plan.steps.keys() {
        stage.pass(5);
        stage.put_back(name);
    }
    let run = stage.state.run.as_ref().unwrap();
    assert_eq!(run.state, RunState::RolledBack);
    let run = run.id.clone();
    stage.pass(600);
    run
}

/// All that the state holds, as text: it grows with what is kept.
fn size(state: &Migration) -> usize {
    format!("{state:?}").len()
}

#[test]
fn thousands_of_rollbacks_cost_as_much_as_a_few() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    for _ in 0..KEPT + 5 {
        roll_back(&mut stage, &plan);
    }
    let few = size(&stage.state);
    for _ in 0..3_000 {
        roll_back(&mut stage, &plan);
    }
    assert!(size(&stage.state) < few + few / 10, "{} after a few, {} after thousands", few, size(&stage.state));
    assert_eq!((stage.state.past_runs.len(), stage.state.past_incidents.len()), (KEPT, KEPT));
    let forgotten = &stage.state.forgotten;
    assert_eq!((forgotten.runs, forgotten.incidents), (3_004, 3_005), "the last run is the present one");
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn what_is_forgotten_is_given_out_once_as_it_was_in_the_end() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    let runs: Vec<RunId> = (0..KEPT + 10).map(|_| roll_back(&mut stage, &plan)).collect();
    let (mut state, mut seen, mut incidents) = (Migration::new("shop"), Vec::new(), Vec::new());
    for record in &stage.journal {
        let forgotten = state.evolve_and_forget(record).unwrap();
        seen.extend(forgotten.runs);
        incidents.extend(forgotten.incidents);
    }
    assert_eq!(seen.iter().map(|run| &run.id).collect::<Vec<_>>(), runs[..9].iter().collect::<Vec<_>>());
    assert!(seen.iter().all(|run| run.state == RunState::RolledBack && run.steps["dns"].took().is_some()));
    assert_eq!(incidents.len(), 10);
    assert!(incidents.iter().all(|incident| incident.closed.is_some()));
    assert!(state.find_run(&runs[8]).is_none() && state.find_run(&runs[9]).is_some());
    assert!(state.forgotten.last_run == Some(runs[8].clone()));
}

#[test]
fn how_long_a_step_took_is_remembered_longer_than_its_run() {
    let mut stage = Stage::new();
    let plan = two_steps();
    for seconds in 1..=TIMES_MAX as u64 + 3 {
        stage.pass(60);
        stage.run(&plan, &["dns"]);
        stage.look("dns", belay_core::change::Assessment::Remaining(vec![change("weights")]));
        stage.pass(seconds);
        stage.accept("dns");
        stage.look("dns", belay_core::change::Assessment::InPlace);
    }
    for _ in 0..KEPT + 1 {
        stage.pass(60);
        stage.run(&plan, &["other"]);
        stage.put_back("other");
    }
    let times = |step: &Step| -> Vec<u64> {
        stage.state.forgotten.times("dns", step).map(|time| time.time.as_secs()).collect()
    };
    assert_eq!(times(&plan.steps["dns"]), [13, 12, 11, 10, 9, 8, 7, 6, 5, 4]);
    let otherwise = Step { action: "alb.forward".to_owned(), ..plan.steps["dns"].clone() };
    assert_eq!(times(&otherwise), [0; 0], "another action is another step");
}

#[test]
fn a_drill_is_remembered_longer_than_its_run() {
    let mut stage = Stage::new();
    let plan = plan(vec![("dns", step(&[]))]);
    stage.arm(&plan);
    stage.command(Verb::Drill { trigger: None }).unwrap();
    stage.put_back("dns");
    stage.command(Verb::DrillOver { verdict: belay_core::event::DrillVerdict::Within, report: json!({}) }).unwrap();
    let ended = stage.state.run.as_ref().unwrap().ended;
    stage.pass(60);
    for _ in 0..KEPT + 1 {
        roll_back(&mut stage, &plan);
    }
    assert!(stage.state.past_runs.iter().all(|run| run.kind == RunKind::Real));
    assert_eq!(stage.state.forgotten.drilled("dns", &plan.steps["dns"]), ended);
}

/// Runs without effect that follow it do not push it out.
#[test]
fn what_can_be_undone_is_kept() {
    let mut stage = Stage::new();
    let plan = plan(vec![("dns", step(&[]))]);
    stage.run(&plan, &[]);
    stage.put_back("dns");
    let rollback = stage.state.run.as_ref().unwrap().id.clone();
    for _ in 0..KEPT + 5 {
        stage.pass(60);
        stage.run(&plan, &[]);
        stage.look("dns", belay_core::change::Assessment::InPlace);
    }
    let state = &stage.state;
    assert_eq!(belay_core::possible::of_run(state, state.find_run(&rollback).unwrap()), [VerbWord::Undo]);
    assert_eq!(state.past_runs.len(), KEPT);
    stage.command(Verb::Undo { run: rollback.clone() }).unwrap();
    stage.look("dns", belay_core::change::Assessment::Remaining(vec![reversed("weights")]));
    stage.accept("dns");
    stage.look("dns", belay_core::change::Assessment::InPlace);
    assert_eq!(stage.run_state(), RunState::Undone);

    for _ in 0..KEPT + 5 {
        roll_back(&mut stage, &plan);
    }
    assert!(stage.state.find_run(&rollback).is_none(), "armed since, so it is history");
    let refused = stage.command(Verb::Undo { run: rollback }).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::NotFound);
}

#[test]
fn the_last_dry_runs_are_kept_beside_the_others() {
    let mut stage = Stage::new();
    let plan = plan(vec![("dns", step(&[]))]);
    roll_back(&mut stage, &plan);
    let shared = std::sync::Arc::new(plan.clone());
    for _ in 0..DRY_RUNS_KEPT + 5 {
        stage.pass(1);
        let (plan, plan_sha256) = (shared.clone(), "p".to_owned());
        stage.command(Verb::Rehearsed { plan, plan_sha256, only: vec![], report: json!({}) }).unwrap();
    }
    let dry = |run: &&std::sync::Arc<belay_core::run::Run>| run.kind == RunKind::Dry;
    assert_eq!(stage.state.past_runs.iter().filter(dry).count(), DRY_RUNS_KEPT);
    for _ in 0..3 {
        roll_back(&mut stage, &plan);
    }
    assert_eq!(stage.state.past_runs.iter().filter(|run| !dry(run)).count(), 3, "they push no other out");
}

/// Until people are reminded to talk it over, what they are told of it has to be known.
#[test]
fn a_run_is_kept_until_its_postmortem_was_due() {
    let mut reminding = plan(vec![("dns", step(&[]))]);
    let channel = crate::notices::channel(&[belay_plan::notify::NoticeKind::PostmortemDue]);
    let channels = [("team".to_owned(), channel)].into_iter().collect();
    reminding.notify = std::sync::Arc::new(belay_plan::notify::Notify { channels, ..Default::default() });
    let mut stage = Stage::new();
    let first = roll_back(&mut stage, &reminding);
    for _ in 0..KEPT + 5 {
        roll_back(&mut stage, &reminding);
    }
    assert!(stage.state.find_run(&first).is_some_and(|run| {
        run.incident.as_ref().is_some_and(|incident| stage.state.find_incident(incident).is_some())
    }));
    let held = Verb::PostmortemHeld { run: first.clone(), link: "https://wiki.example.com/1".to_owned() };
    stage.command(held).unwrap();
    roll_back(&mut stage, &reminding);
    assert!(stage.state.find_run(&first).is_none());
    for _ in 0..200 {
        roll_back(&mut stage, &reminding);
    }
    assert!(stage.state.past_runs.len() <= 100, "a loop of rollbacks costs no more either");
}
