//! What people tick, and for how long it counts.

use crate::common::*;
use belay_core::{
    event::{Event, RunKind},
    input::{RefusalKind, Verb},
};
use belay_plan::checklist::Part;

fn tick(stage: &mut Stage, item: &str, part: Part) {
    stage.command(Verb::Tick { item: item.to_owned(), part }).expect("it is possible in every state");
}

fn ticked(stage: &Stage) -> Vec<&str> {
    stage.state.ticks.keys().map(String::as_str).collect()
}

#[test]
fn a_tick_is_on_record_with_who_and_why_and_can_be_taken_back() {
    let mut stage = Stage::new();
    let events = stage.command(Verb::Tick { item: "backup_verified".to_owned(), part: Part::Before }).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::ItemTicked { item, .. } if item == "backup_verified")));
    let kept = &stage.state.ticks["backup_verified"];
    assert!(!kept.by.is_empty() && !kept.reason.is_empty(), "{kept:?}");
    let untick = || Verb::Untick { item: "backup_verified".to_owned() };
    stage.command(untick()).unwrap();
    assert_eq!(ticked(&stage), Vec::<&str>::new());
    assert_eq!(stage.command(untick()).unwrap_err().kind, RefusalKind::WrongState);
}

#[test]
fn what_was_prepared_counts_for_the_attempt_and_the_next_begins_anew() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    tick(&mut stage, "backup_verified", Part::Before);
    stage.arm(&plan);
    tick(&mut stage, "watched", Part::During);
    tick(&mut stage, "transactions", Part::After);
    stage.arm(&plan);
    assert_eq!(ticked(&stage), ["backup_verified", "transactions", "watched"], "arming again begins nothing new");
    stage.pass(60);
    stage.command(Verb::Disarm).unwrap();
    tick(&mut stage, "decommission", Part::After);
    stage.pass(60);
    tick(&mut stage, "security", Part::Before);
    stage.arm(&plan);
    assert_eq!(ticked(&stage), ["security"], "what was prepared for the next attempt");
}

#[test]
fn the_aftermath_of_a_rollback_ends_with_the_next_one() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    stage.arm(&plan);
    tick(&mut stage, "teams_told", Part::AfterRollback);
    tick(&mut stage, "watched", Part::During);
    stage.command(Verb::Rollback { kind: RunKind::Real, only: Vec::new(), pin: None }).unwrap();
    assert_eq!(ticked(&stage), ["watched"]);
}
