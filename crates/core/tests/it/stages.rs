//! Traffic that moves in parts, with gates between.

use std::time::Duration;

use crate::common::*;
use belay_core::{
    change::{Assessment, Change, Effect},
    event::{Event, FailureCode, StepEvent},
    input::{ErrorClass, Input, SendFailure, Verb},
    reading::Health,
    run::{Phase, RunState},
};
use belay_plan::model::*;
use serde_json::json;

fn staged() -> Step {
    Step { stages: vec![50, 100], verify: vec![gate("errors", 300, 60)], ..step(&[]) }
}

/// The part of the way, from `before` blue to `after` blue.
fn part(id: &str, before: u32, after: u32) -> Change {
    let image = |blue: u32| json!({ "blue": blue, "green": 100 - blue });
    let mut part = Change { before: image(before), after: image(after), ..change(id) };
    let [Effect::Traffic { shares }] = part.effects.as_mut_slice() else { panic!("only traffic") };
    (shares[0].before, shares[0].after) = (before, after);
    (shares[1].before, shares[1].after) = (100 - before, 100 - after);
    part
}

fn both() -> Assessment {
    Assessment::Remaining(vec![part("weights_50", 0, 50), part("weights", 50, 100)])
}

fn rest() -> Assessment {
    Assessment::Remaining(vec![part("weights", 50, 100)])
}

fn hold(stage: &mut Stage, signal: &str) {
    stage.read(signal, Health::Healthy);
    stage.pass(60);
    stage.read(signal, Health::Healthy);
}

/// A run whose first stage is in place, its gates not read yet.
fn half_way(dns: Step) -> Stage {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", dns)]), &[]);
    stage.look("dns", both());
    stage.accept("dns");
    stage.look("dns", Assessment::InPlace);
    stage
}

fn lost(stage: &mut Stage) {
    let attempt = stage.step("dns").attempt;
    let failure = SendFailure::OutcomeUnknown { why: "connection reset".to_owned() };
    stage.feed(Input::Applied { step: "dns".to_owned(), attempt, result: Err(failure) }).unwrap();
}

#[test]
fn between_the_stages_the_gates_hold_and_after_the_last_as_well() {
    let mut stage = half_way(staged());
    assert_eq!((stage.phase("dns"), stage.step("dns").stage), (Phase::Verifying, 0));
    assert_eq!(stage.step("dns").planned.len(), 2, "all of it is known from the first look on");
    hold(&mut stage, "errors");
    assert_eq!((stage.phase("dns"), stage.step("dns").stage), (Phase::Observing, 1));
    assert_eq!(intents(&stage.look("dns", rest())), 1);
    stage.accept("dns");
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.phase("dns"), Phase::Verifying);
    hold(&mut stage, "errors");
    assert_eq!((stage.phase("dns"), stage.run_state()), (Phase::Done, RunState::RolledBack));
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn an_answer_of_a_stage_that_is_over_counts_for_nothing() {
    let mut stage = half_way(staged());
    hold(&mut stage, "errors");
    let look =
        belay_core::input::Look { doc: std::sync::Arc::new(json!({})), assessment: Assessment::InPlace, stage: 0 };
    assert!(stage.feed(Input::Looked { step: "dns".to_owned(), result: Ok(look) }).unwrap().is_empty());
    assert_eq!(stage.phase("dns"), Phase::Observing);
}

#[test]
fn interlocks_are_read_afresh_for_each_stage() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", Step { require: vec![gate("blue_ready", 0, 0)], ..staged() })]), &[]);
    stage.look("dns", both());
    stage.read("blue_ready", Health::Healthy);
    stage.look("dns", both());
    stage.accept("dns");
    stage.look("dns", Assessment::InPlace);
    hold(&mut stage, "errors");
    stage.look("dns", rest());
    assert_eq!(stage.phase("dns"), Phase::Requiring);
    stage.read("blue_ready", Health::Healthy);
    stage.look("dns", rest());
    assert!(is_sending(&stage.wants(), "dns"));
    // What failed without an effect is interlocked once more.
    let failure = SendFailure::NoEffect { why: "Throttling".to_owned(), class: ErrorClass::Throttled };
    let attempt = stage.step("dns").attempt;
    stage.feed(Input::Applied { step: "dns".to_owned(), attempt, result: Err(failure) }).unwrap();
    stage.pass(60);
    stage.look("dns", rest());
    assert_eq!(stage.phase("dns"), Phase::Requiring);
    stage.read("blue_ready", Health::Unhealthy);
    assert_eq!(stage.step("dns").failure, Some(FailureCode::Require));
}

#[test]
fn a_gate_that_fails_stops_half_way_and_a_retry_goes_on_with_the_same_stage() {
    let mut stage = half_way(staged());
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.read("errors", Health::Unhealthy);
    stage.pass(300);
    stage.tick();
    assert_eq!((stage.phase("dns"), stage.run_state()), (Phase::Failed, RunState::Halted));
    assert_eq!(stage.step("dns").failure, Some(FailureCode::Verify));
    stage.command(Verb::Retry { run, step: "dns".to_owned() }).unwrap();
    assert_eq!(stage.step("dns").stage, 0);
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.phase("dns"), Phase::Verifying, "the gates of the stage are held against once more");
    hold(&mut stage, "errors");
    assert_eq!(stage.step("dns").stage, 1);
}

#[test]
fn a_stage_that_moves_nothing_is_passed_without_its_gates() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", staged())]), &[]);
    stage.look("dns", Assessment::InPlace);
    assert_eq!((stage.phase("dns"), stage.step("dns").stage), (Phase::Observing, 1));
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.phase("dns"), Phase::Verifying);
    hold(&mut stage, "errors");
    assert_eq!(stage.phase("dns"), Phase::Unchanged);
}

#[test]
fn a_lost_answer_or_a_restart_in_any_stage_is_looked_up() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", staged())]), &[]);
    stage.look("dns", both());
    lost(&mut stage);
    stage.pass(5);
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.phase("dns"), Phase::Verifying, "it had an effect");
    hold(&mut stage, "errors");
    stage.look("dns", rest());
    stage.pass(1);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    assert_eq!(stage.step("dns").stage, 1);
    assert_eq!(intents(&stage.look("dns", rest())), 1, "it had none, so it is sent again");
    stage.accept("dns");
    stage.look("dns", Assessment::InPlace);
    hold(&mut stage, "errors");
    assert_eq!(stage.phase("dns"), Phase::Done);
}

#[test]
fn after_a_long_outage_the_next_stage_goes_on_only_from_where_the_last_one_ended() {
    for (before, goes_on) in [(50, true), (30, false)] {
        let mut stage = half_way(staged());
        hold(&mut stage, "errors");
        stage.pass(3600);
        stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
        let events = stage.look("dns", Assessment::Remaining(vec![part("weights", before, 100)]));
        assert_eq!(intents(&events) == 1, goes_on);
        assert_eq!(stage.run_state() == RunState::Held, !goes_on);
    }
}

#[test]
fn a_stage_that_somebody_reverts_is_contested() {
    let mut stage = half_way(staged());
    stage.look("dns", both());
    stage.pass(5);
    stage.look("dns", both());
    assert_eq!(stage.step("dns").failure, Some(FailureCode::Contested));
}

#[test]
fn an_undo_goes_back_to_before_the_first_stage_in_one() {
    let mut stage = half_way(staged());
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Abort { run: run.clone() }).unwrap();
    let why = &stage.step("dns").why;
    assert!(why.contains("not seen done: weights"), "{why}");
    stage.command(Verb::Undo { run }).unwrap();
    let undo = &stage.state.run.as_ref().unwrap().plan.steps["dns"];
    assert!(undo.stages.is_empty());
    // It is as the first stage left it, so nobody has to be asked.
    let back = Change { before: json!({ "blue": 50, "green": 50 }), ..reversed("weights") };
    assert_eq!(intents(&stage.look("dns", Assessment::Remaining(vec![back]))), 1);
}

#[test]
fn an_abort_tells_what_was_accepted_from_what_was_not_done() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", both());
    stage.accept("dns");
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Abort { run }).unwrap();
    let why = &stage.step("dns").why;
    assert!(
        why.contains("accepted, not seen in effect yet: weights_50: ") && why.contains("; not seen done: weights: "),
        "{why}"
    );
}

fn draining(id: &str) -> Change {
    let mut change = change(id);
    change.effects.push(Effect::Drains { time: Duration::from_secs(30) });
    change.expected = Duration::from_secs(90);
    change
}

#[test]
fn what_clients_have_kept_is_waited_for() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", Assessment::Remaining(vec![draining("weights")]));
    stage.accept("dns");
    let events = stage.look("dns", Assessment::InPlace);
    assert!(events.iter().any(|e| matches!(e, Event::Step { what: StepEvent::DrainStarted { .. }, .. })), "{events:?}");
    // It survives a restart, and the step's time-out has no part in it.
    stage.pass(20);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    assert!(stage.look("dns", Assessment::InPlace).is_empty());
    stage.pass(9);
    stage.tick();
    assert_eq!(stage.phase("dns"), Phase::Settling);
    stage.pass(1);
    stage.tick();
    assert_eq!(stage.phase("dns"), Phase::Done);
}

#[test]
fn a_change_whose_answer_was_lost_drains_for_as_long_as_it_may_take() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", Assessment::Remaining(vec![draining("weights")]));
    lost(&mut stage);
    stage.look("dns", Assessment::InPlace);
    stage.pass(89);
    stage.tick();
    assert_eq!(stage.phase("dns"), Phase::Settling);
    stage.pass(1);
    stage.tick();
    assert_eq!(stage.phase("dns"), Phase::Done);
}

#[test]
fn what_was_there_already_drains_nothing() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.phase("dns"), Phase::Unchanged);
}

#[test]
fn a_plan_that_was_never_run_may_have_anything_for_stages() {
    let mut plan = serde_json::to_value(staged()).unwrap();
    plan["stages"] = json!({ "soon": true });
    assert!(serde_json::from_value::<Step>(plan).unwrap().stages.is_empty());
}
