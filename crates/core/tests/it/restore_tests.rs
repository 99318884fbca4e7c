//! What a restore test has shown is on record, and outlives an attempt.

use belay_core::{
    input::{RefusalKind, Verb},
    restore_test::{RestoreOutcome, RestoreTested},
};

use crate::common::*;

fn tested(outcome: RestoreOutcome) -> RestoreTested {
    RestoreTested {
        action: "rds.restore".to_owned(),
        resource: "rds:shop".to_owned(),
        outcome,
        found: "orders: 4211 rows".to_owned(),
        took_s: Some(754),
        changes: vec!["restore".to_owned()],
    }
}

fn record(step: &str, outcome: RestoreOutcome) -> Verb {
    Verb::RestoreTested { step: step.to_owned(), tested: tested(outcome) }
}

#[test]
fn the_last_test_of_a_step_is_on_record_with_who_and_outlives_the_attempt() {
    let mut stage = Stage::new();
    stage.command(record("db", RestoreOutcome::Failed)).expect("it is possible in every state");
    let plan = plan(vec![("dns", step(&[]))]);
    stage.arm(&plan);
    stage.command(record("db", RestoreOutcome::Proved)).expect("also while armed");
    stage.pass(60);
    stage.command(Verb::Disarm).unwrap();
    stage.arm(&plan);
    let kept = &stage.state.restore_tests["db"];
    assert_eq!(kept.tested, tested(RestoreOutcome::Proved));
    assert!(!kept.by.is_empty());
}

#[test]
fn the_state_stays_small() {
    let mut stage = Stage::new();
    for number in 0..100 {
        stage.command(record(&format!("db{number}"), RestoreOutcome::Proved)).unwrap();
    }
    let refused = stage.command(record("one_more", RestoreOutcome::Proved)).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::WrongState);
    stage.command(record("db7", RestoreOutcome::Failed)).expect("a step that is known already");
}
