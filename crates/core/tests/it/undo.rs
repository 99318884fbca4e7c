//! Undoing a rollback that was a mistake.

use crate::common::*;
use belay_core::{
    change::{Assessment, Effect},
    event::{Event, RunKind},
    id::RunId,
    input::{Input, Look, RefusalKind, Verb},
    migration::MigrationState,
    possible::{self, VerbWord},
    run::{Phase, RunState},
};
use belay_plan::model::*;
use serde_json::json;

fn id(stage: &Stage) -> RunId {
    stage.state.run.as_ref().unwrap().id.clone()
}

fn undo(stage: &mut Stage) -> RunId {
    let run = id(stage);
    stage.command(Verb::Undo { run: run.clone() }).unwrap();
    run
}

/// Put back from a state that is told apart by `doc`.
fn put_back_from(stage: &mut Stage, step: &str, doc: serde_json::Value) {
    let assessment = Assessment::Remaining(vec![change("weights")]);
    stage
        .feed(Input::Looked { step: step.to_owned(), result: Ok(Look { doc: doc.into(), assessment, stage: 0 }) })
        .unwrap();
    stage.accept(step);
    stage.look(step, Assessment::InPlace);
}

fn take_back(stage: &mut Stage, step: &str) {
    stage.look(step, Assessment::Remaining(vec![reversed("weights")]));
    stage.accept(step);
    stage.look(step, Assessment::InPlace);
}

#[test]
fn what_was_there_before_comes_back_in_the_opposite_order() {
    let mut stage = Stage::new();
    let mut first = step(&[]);
    first.require = vec![gate("blue_ready", 60, 0)];
    first.verify = vec![gate("errors", 60, 0)];
    let mut plan = plan(vec![("alb", first), ("middle", step(&["alb"])), ("dns", step(&["middle"]))]);
    plan.confirm = vec![gate("errors", 60, 0)];
    stage.arm(&plan);
    stage.command(Verb::Cutover).unwrap();
    let cutover = stage.state.cutover;
    stage.command(Verb::Rollback { kind: RunKind::Real, only: vec![], pin: None }).unwrap();
    stage.look("alb", Assessment::Remaining(vec![change("weights")]));
    stage.read("blue_ready", belay_core::reading::Health::Healthy);
    put_back_from(&mut stage, "alb", json!({ "was": "green" }));
    stage.read("errors", belay_core::reading::Health::Healthy);
    stage.look("middle", Assessment::InPlace);
    put_back_from(&mut stage, "dns", json!({ "was": "green too" }));
    stage.read("errors", belay_core::reading::Health::Healthy);
    assert_eq!((stage.run_state(), stage.state.cutover), (RunState::RolledBack, None));

    stage.pass(60);
    let rollback = undo(&mut stage);
    let run = stage.state.run.clone().unwrap();
    assert_eq!((run.kind, run.undoes.clone()), (RunKind::Undo, Some(rollback.clone())));
    assert_eq!(run.steps.keys().collect::<Vec<_>>(), ["dns", "alb"], "what was unchanged stays out");
    assert_eq!((stage.phase("dns"), stage.phase("alb")), (Phase::Observing, Phase::Pending));
    assert_eq!(run.baseline_of("alb").unwrap().doc, json!({ "was": "green" }));
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
    take_back(&mut stage, "dns");
    take_back(&mut stage, "alb");
    assert_eq!((stage.run_state(), stage.state.state()), (RunState::Undone, MigrationState::Disarmed));
    assert_eq!(stage.state.cutover, cutover, "the cutover stands again");

    let again = stage.command(Verb::Undo { run: rollback }).unwrap_err();
    assert_eq!(again.kind, RefusalKind::WrongState);
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn what_replaced_data_stays_and_is_named() {
    let mut stage = Stage::new();
    let lossy = Step { loses_data: true, ..step(&[]) };
    let own = Step { to: Target::Own, ..step(&[]) };
    let manual =
        Step { action: "manual".to_owned(), with: json!({ "instructions": "Stop the workers." }), ..step(&[]) };
    stage.run(&plan(vec![("db", lossy), ("job", own), ("workers", manual), ("dns", step(&[]))]), &[]);
    stage.put_back("db");
    stage.put_back("job");
    stage.put_back("dns");
    let run = id(&stage);
    stage.command(Verb::Approve { run, step: "workers".to_owned(), approve: true }).unwrap();
    undo(&mut stage);
    let run = stage.state.run.clone().unwrap();
    assert_eq!(run.steps.keys().collect::<Vec<_>>(), ["dns", "workers"]);
    assert_eq!(run.left.len(), 2, "{:?}", run.left);
    assert!(run.left[0].starts_with("db (it replaced data") && run.left[1].starts_with("job ("), "{:?}", run.left);
    assert_eq!(stage.phase("workers"), Phase::AwaitingApproval);
    assert!(stage.step("workers").why.contains("Undo what was done by hand: Stop the workers."));
}

#[test]
fn traffic_goes_back_only_with_proof() {
    let mut stage = Stage::new();
    let interlocked = Step { require: vec![gate("blue_ready", 60, 0)], ..step(&[]) };
    stage.run(&plan(vec![("dns", interlocked)]), &[]);
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    stage.read("blue_ready", belay_core::reading::Health::Healthy);
    put_back_from(&mut stage, "dns", json!({ "was": "green" }));
    let told = belay_core::unproven_by_undo(stage.state.run.as_ref().unwrap());
    assert!(
        told.len() == 1 && told[0].starts_with("dns: the undo halts there") && told[0].contains("green"),
        "{told:?}"
    );
    undo(&mut stage);
    let mut unproven = reversed("weights");
    for effect in &mut unproven.effects {
        let Effect::Traffic { shares } = effect else { continue };
        shares.iter_mut().for_each(|share| share.proof = belay_core::change::Proof::None { why: "none".to_owned() });
    }
    stage.look("dns", Assessment::Remaining(vec![unproven]));
    assert_eq!((stage.phase("dns"), stage.run_state()), (Phase::Failed, RunState::Halted));
    let why = &stage.step("dns").why;
    assert!(why.contains("`require` (blue_ready) proves the side that the rollback went back to"), "{why}");
    let run = id(&stage);
    stage.command(Verb::Override { run, step: "dns".to_owned(), subject: "green".to_owned() }).unwrap();
    take_back(&mut stage, "dns");
    assert_eq!(stage.run_state(), RunState::Undone);
}

#[test]
fn what_somebody_changed_since_is_not_overwritten_without_a_word() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.put_back("dns");
    undo(&mut stage);
    let mut drifted = reversed("weights");
    drifted.before = json!({ "blue": 50, "green": 50 });
    stage.look("dns", Assessment::Remaining(vec![drifted]));
    assert_eq!(stage.phase("dns"), Phase::AwaitingApproval);
    assert!(stage.step("dns").why.contains("somebody has changed it since"));
}

#[test]
fn what_was_sent_stays_known_over_a_retry() {
    let mut stage = Stage::new();
    let gated = Step { verify: vec![gate("errors", 60, 0)], ..step(&[]) };
    let run = stage.run(&plan(vec![("dns", gated)]), &[]);
    stage.put_back("dns");
    stage.pass(61);
    stage.tick();
    assert_eq!(stage.run_state(), RunState::Halted);
    stage.command(Verb::Retry { run, step: "dns".to_owned() }).unwrap();
    stage.look("dns", Assessment::InPlace);
    stage.read("errors", belay_core::reading::Health::Healthy);
    assert_eq!(stage.run_state(), RunState::RolledBack);

    let mut undone = stage.clone();
    undo(&mut undone);
    take_back(&mut undone, "dns");
    assert_eq!(undone.run_state(), RunState::Undone, "nobody has touched it");
    undo(&mut stage);
    let mut drifted = reversed("weights");
    drifted.before = json!({ "blue": 50, "green": 50 });
    stage.look("dns", Assessment::Remaining(vec![drifted]));
    assert_eq!(stage.phase("dns"), Phase::AwaitingApproval);
    assert!(stage.step("dns").why.contains("somebody has changed it since"));
}

#[test]
fn what_has_stood_in_for_a_step_is_taken_back_before_it() {
    let mut stage = Stage::new();
    let first =
        Step { verify: vec![gate("errors", 60, 0)], on_failure: OnFailure::Fallback("other".to_owned()), ..step(&[]) };
    stage.run(&plan(vec![("dns", first), ("other", step(&[])), ("last", step(&["dns"]))]), &[]);
    put_back_from(&mut stage, "dns", json!({ "was": "at first" }));
    stage.pass(61);
    stage.tick();
    put_back_from(&mut stage, "other", json!({ "was": "in between" }));
    stage.put_back("last");
    assert_eq!(stage.run_state(), RunState::RolledBack);
    undo(&mut stage);
    let run = stage.state.run.clone().unwrap();
    let needs = |step: &str| run.plan.steps[step].needs.clone();
    assert_eq!((needs("other"), needs("dns")), (vec!["last".to_owned()], vec!["other".to_owned(), "last".to_owned()]));
    for step in ["last", "other", "dns"] {
        assert_eq!(stage.phase(step), Phase::Observing);
        take_back(&mut stage, step);
    }
    assert_eq!(stage.run_state(), RunState::Undone);
}

#[test]
fn a_migration_that_was_armed_since_has_moved_on() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.put_back("dns");
    let run = id(&stage);
    stage.pass(60);
    stage.arm(&plan(vec![("dns", step(&[]))]));
    stage.command(Verb::Disarm).unwrap();
    let refused = stage.command(Verb::Undo { run }).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::WrongState);
    assert!(refused.why.contains("was armed again"), "{}", refused.why);
}

#[test]
fn a_run_is_undone_only_when_it_is_over_and_the_last_that_changed_anything() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    let first = id(&stage);
    let refused = |stage: &mut Stage, run: &RunId| stage.command(Verb::Undo { run: run.clone() }).unwrap_err();
    assert!(refused(&mut stage, &first).why.contains("only a run that is over"));
    stage.put_back("dns");
    stage.pass(1);
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.put_back("dns");
    assert!(refused(&mut stage, &first).why.contains("a later run"));
    let nobody = RunId("nobody".to_owned());
    assert_eq!(refused(&mut stage, &nobody).kind, RefusalKind::NotFound);
    stage.arm(&plan(vec![("dns", step(&[]))]));
    let second = stage.state.past_runs.last().unwrap().id.clone();
    assert!(refused(&mut stage, &second).why.contains("armed again"));
    stage.command(Verb::Disarm).unwrap();
    stage.command(Verb::Undo { run: second }).unwrap();
}

#[test]
fn an_aborted_undo_can_be_begun_again() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.put_back("dns");
    let rollback = undo(&mut stage);
    let run = id(&stage);
    stage.command(Verb::Abort { run: run.clone() }).unwrap();
    assert_eq!(stage.run_state(), RunState::Aborted);
    stage.pass(1);
    assert!(stage.command(Verb::Undo { run }).unwrap_err().why.contains("an undo itself"));
    let events = stage.command(Verb::Undo { run: rollback }).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::UndoStarted { .. })));
}

#[test]
fn a_retry_keeps_the_first_before_image() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    let look = |doc: serde_json::Value, change: &str| Look {
        doc: doc.into(),
        assessment: Assessment::Remaining(vec![crate::common::change(change)]),
        stage: 0,
    };
    let result = Ok(look(json!({ "was": "first" }), "one"));
    stage.feed(Input::Looked { step: "dns".to_owned(), result }).unwrap();
    stage.accept("dns");
    stage.look("dns", Assessment::Failed { why: "half way".to_owned() });
    let run = id(&stage);
    stage.command(Verb::Retry { run, step: "dns".to_owned() }).unwrap();
    let result = Ok(look(json!({ "was": "second" }), "two"));
    stage.feed(Input::Looked { step: "dns".to_owned(), result }).unwrap();
    assert_eq!(stage.step("dns").before.as_deref(), Some(&json!({ "was": "first" })));
}

#[test]
fn what_has_no_state_to_go_back_to_is_not_offered_to_be_undone() {
    let own = Step { to: Target::Own, ..step(&[]) };
    for (job, offered) in [(own, false), (step(&[]), true)] {
        let mut stage = Stage::new();
        stage.run(&plan(vec![("dns", job)]), &[]);
        stage.put_back("dns");
        stage.pass(1);
        let run = stage.state.run.clone().unwrap();
        assert_eq!(run.state, RunState::RolledBack);
        assert_eq!(possible::of_run(&stage.state, &run).contains(&VerbWord::Undo), offered);
        let undone = stage.command(Verb::Undo { run: run.id.clone() });
        assert_eq!(undone.is_ok(), offered);
        if let Err(refusal) = undone {
            assert!(refusal.why.contains("dns (this action has no state to go back to)"), "{}", refusal.why);
        }
    }
}
