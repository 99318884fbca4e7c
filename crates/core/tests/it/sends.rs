//! What core remembers of the sends of a step, and refusals to which the step may have another way.

use crate::common::*;
use belay_core::{
    change::{Assessment, Change, SentOutcome},
    event::FailureCode,
    input::{ErrorClass, Input, SendFailure, Verb},
    run::{Phase, RunState},
};
use serde_json::{Value, json};

fn fail(stage: &mut Stage, failure: SendFailure) {
    let attempt = stage.step("db").attempt;
    stage.feed(Input::Applied { step: "db".to_owned(), attempt, result: Err(failure) }).unwrap();
}

fn decline(stage: &mut Stage, body: Value) {
    fail(stage, SendFailure::Declined { why: "CertificateNotFound".to_owned(), body });
}

fn remaining(id: &str, args: Value) -> Assessment {
    Assessment::Remaining(vec![Change { args, ..change(id) }])
}

fn running() -> Stage {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("db", step(&[]))]), &[]);
    stage
}

/// Change and outcome, in order.
fn sends(stage: &Stage) -> Vec<(&str, &SentOutcome)> {
    stage.step("db").sends.iter().map(|sent| (sent.change.as_str(), &sent.outcome)).collect()
}

#[test]
fn a_send_whose_answer_was_lost_counts_as_perhaps_sent() {
    let mut stage = running();
    stage.look("db", remaining("rename", json!(1)));
    assert!(sends(&stage).is_empty(), "it is not known yet");
    fail(&mut stage, SendFailure::OutcomeUnknown { why: "connection reset".to_owned() });
    assert_eq!(sends(&stage), [("rename", &SentOutcome::Unknown)]);
    assert_eq!(stage.step("db").sends[0].at, stage.now);

    // A refusal that passes proves nothing about the send before it.
    stage.pass(30);
    stage.look("db", remaining("rename", json!(1)));
    fail(&mut stage, SendFailure::NoEffect { why: "busy".to_owned(), class: ErrorClass::Transient });
    assert_eq!(sends(&stage), [("rename", &SentOutcome::Unknown)]);

    stage.pass(30);
    stage.look("db", remaining("rename", json!(1)));
    stage.accept("db");
    assert_eq!(sends(&stage), [("rename", &SentOutcome::Accepted)]);
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn a_send_that_a_restart_interrupted_counts_as_perhaps_sent() {
    let mut stage = running();
    stage.look("db", remaining("rename", json!(1)));
    stage.feed(Input::Resumed { belay_version: "0".to_owned() }).unwrap();
    assert_eq!(sends(&stage), [("rename", &SentOutcome::Unknown)]);
}

#[test]
fn what_was_declined_may_be_done_another_way() {
    let mut stage = running();
    stage.look("db", remaining("restore", json!("all")));
    decline(&mut stage, json!({ "without": ["certificate"] }));
    assert_eq!(stage.phase("db"), Phase::Observing);
    assert!(!stage.step("db").touched, "it had no effect");

    let events = stage.look("db", remaining("restore", json!("without the certificate")));
    assert_eq!(intents(&events), 1);
    decline(&mut stage, json!({ "without": ["class"] }));
    let bodies = sends(&stage).into_iter().map(|(_, outcome)| match outcome {
        SentOutcome::Declined { body, .. } => body["without"][0].clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(bodies.collect::<Vec<_>>(), ["certificate", "class"]);

    stage.look("db", remaining("restore", json!("with the least")));
    stage.accept("db");
    assert_eq!(stage.phase("db"), Phase::Settling);
    assert_eq!(stage.step("db").failures, 0);
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn what_was_declined_and_has_no_other_way_fails_with_the_refusal() {
    let mut stage = running();
    stage.look("db", remaining("restore", json!("all")));
    decline(&mut stage, json!({}));
    stage.look("db", remaining("restore", json!("all")));
    assert_eq!((stage.phase("db"), stage.step("db").failure), (Phase::Failed, Some(FailureCode::Refused)));
    assert_eq!(stage.step("db").why, "CertificateNotFound");
    assert_eq!(stage.run_state(), RunState::Halted);

    // A person has repaired what was in the way: the same is worth another try.
    let run = stage.state.open_run().unwrap().id.clone();
    stage.command(Verb::Retry { run, step: "db".to_owned() }).unwrap();
    assert!(sends(&stage).is_empty());
    let events = stage.look("db", remaining("restore", json!("all")));
    assert_eq!(intents(&events), 1);
}
