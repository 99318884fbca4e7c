//! An attempt and its end: what the next arming keeps of it.

use std::sync::Arc;

use crate::common::*;
use belay_core::{
    change::{Baseline, BaselineEntry},
    event::{Event, RunKind},
    input::Verb,
    run::RunState,
};
use belay_plan::model::Plan;
use serde_json::json;

fn baseline(stage: &Stage, plan: &Plan) -> Arc<Baseline> {
    let entry = |action: &str, resource: &str| BaselineEntry {
        action: action.to_owned(),
        resource: resource.to_owned(),
        doc: json!({ "blue": 100 }),
    };
    let steps = plan.steps.iter().map(|(name, step)| (name.clone(), entry(&step.action, &step.resource))).collect();
    Arc::new(Baseline { migration: "shop".to_owned(), captured: stage.now, plan_sha256: "p".to_owned(), steps })
}

/// Arms as the engine does: with what is kept, else with what is there now. Whether another attempt has begun.
fn arm(stage: &mut Stage, plan: &Plan) -> bool {
    let baseline = stage.state.kept_baseline().cloned().unwrap_or_else(|| baseline(stage, plan));
    let verb = Verb::Arm {
        plan: Arc::new(plan.clone()),
        plan_sha256: "p".to_owned(),
        baseline: Some(baseline),
        readings: vec![],
        wait_for_green: false,
        detours: vec![],
    };
    stage.command(verb).unwrap().contains(&Event::AttemptBegun)
}

fn captured(stage: &Stage) -> jiff::Timestamp {
    stage.state.baseline.as_ref().unwrap().captured
}

fn roll_back(stage: &mut Stage, only: &[&str]) {
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    stage.command(Verb::Rollback { kind: RunKind::Real, only, pin: None }).unwrap();
}

#[test]
fn disarming_after_the_cutover_ends_the_attempt_and_before_it_does_not() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    assert!(!arm(&mut stage, &plan));
    let first = captured(&stage);
    stage.pass(3600);
    stage.command(Verb::Disarm).unwrap();
    assert!(!arm(&mut stage, &plan), "nothing was marked: it may be the same attempt");
    assert_eq!(captured(&stage), first);

    stage.command(Verb::Cutover).unwrap();
    stage.pass(3600);
    assert!(!arm(&mut stage, &plan), "armed again while it was armed");
    assert_eq!((captured(&stage), stage.state.cutover.is_some()), (first, true));

    stage.command(Verb::Disarm).unwrap();
    assert_eq!(captured(&stage), first, "a run without a daemon still goes by it");
    assert!(stage.state.cutover.is_some() && stage.state.kept_cutover().is_none());
    assert!(arm(&mut stage, &plan));
    assert_eq!((captured(&stage), stage.state.cutover), (stage.now, None));
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn a_rollback_ends_the_attempt_when_it_was_whole_and_an_undo_takes_that_back() {
    let plan = plan(vec![("dns", step(&[])), ("web", step(&[]))]);
    let mut stage = Stage::new();
    arm(&mut stage, &plan);
    let first = captured(&stage);
    stage.pass(60);
    roll_back(&mut stage, &["dns"]);
    stage.put_back("dns");
    assert_eq!(stage.run_state(), RunState::RolledBack);
    assert!(!arm(&mut stage, &plan), "web still has to go back to that baseline");
    assert_eq!(captured(&stage), first);

    stage.pass(60);
    roll_back(&mut stage, &[]);
    stage.put_back("web");
    stage.put_back("dns");
    assert_eq!(stage.run_state(), RunState::RolledBack);
    assert!(stage.state.is_attempt_over());
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Undo { run }).unwrap();
    assert_eq!(stage.state.kept_baseline().unwrap().captured, first, "the undo stands where the cutover stood");
}

#[test]
fn after_a_whole_rollback_the_next_arming_captures_anew_and_after_an_aborted_one_it_does_not() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    arm(&mut stage, &plan);
    let first = captured(&stage);
    stage.command(Verb::Cutover).unwrap();
    stage.pass(60);
    roll_back(&mut stage, &[]);
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Abort { run }).unwrap();
    assert_eq!(stage.run_state(), RunState::Aborted);
    assert!(!arm(&mut stage, &plan), "to finish: arm and roll back again");
    assert_eq!((captured(&stage), stage.state.cutover.is_some()), (first, true));

    roll_back(&mut stage, &[]);
    stage.put_back("dns");
    assert_eq!(stage.run_state(), RunState::RolledBack);
    stage.pass(60);
    assert!(arm(&mut stage, &plan));
    assert_eq!(captured(&stage), stage.now);
}
