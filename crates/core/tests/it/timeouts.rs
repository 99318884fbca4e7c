//! Time-outs: their reasons, what arrives after them, and clocks that are set.

use std::{collections::BTreeMap, time::Duration};

use crate::common::*;
use belay_core::{
    change::{Assessment, Change, Effect, Progress},
    event::{Event, FailureCode, StepEvent},
    input::{ErrorClass, Input, Verb},
    run::{Phase, RunState},
};
use belay_plan::model::{Approve, Otherwise};
use jiff::SignedDuration;
use serde_json::json;

fn settling(note: &str) -> Assessment {
    Assessment::Settling(Progress { note: note.to_owned(), ..Progress::default() })
}

/// A step that was sent, accepted, and then timed out.
fn timed_out() -> Stage {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    stage.accept("dns");
    stage.pass(300);
    stage.tick();
    assert_eq!(stage.step("dns").failure, Some(FailureCode::TimedOut));
    stage
}

#[test]
fn the_reason_of_a_timeout_contains_what_the_last_look_showed() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    stage.accept("dns");
    stage.look("dns", settling("an approval is awaited at AWS"));
    stage.pass(300);
    let notes = BTreeMap::from([("dns".to_owned(), "an approval is awaited at AWS".to_owned())]);
    let decided = stage.state.decide_all(stage.now, notes, [(0, &Input::Tick)]).outcomes.remove(0).unwrap();
    let why = decided.iter().find_map(|event| match event {
        Event::Step { what: StepEvent::Failed { code: FailureCode::TimedOut, why }, .. } => Some(why.clone()),
        _ => None,
    });
    let why = why.unwrap();
    assert!(why.contains("an approval is awaited at AWS") && why.contains("the last call was"), "{why}");
}

#[test]
fn what_is_in_place_after_the_timeout_is_told_and_a_retry_goes_on() {
    let mut stage = timed_out();
    assert_eq!(stage.run_state(), RunState::Halted);
    assert!(is_looked_at(&stage.wants(), "dns"), "it is looked at for as long as the run is open");
    assert!(stage.look("dns", settling("still")).is_empty());
    let events = stage.look("dns", Assessment::InPlace);
    assert!(matches!(&events[..], [Event::Step { what: StepEvent::Arrived, .. }]), "{events:?}");
    let why = &stage.step("dns").why;
    assert!(why.contains("not settled within") && why.contains("it is in place"), "{why}");
    assert_eq!((stage.phase("dns"), stage.run_state()), (Phase::Failed, RunState::Halted));
    assert!(!is_looked_at(&stage.wants(), "dns"), "once is enough");
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Retry { run, step: "dns".to_owned() }).unwrap();
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.run_state(), RunState::RolledBack);
}

#[test]
fn a_step_that_sent_nothing_is_not_looked_at_after_its_timeout() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.pass(300);
    stage.tick();
    assert_eq!(stage.step("dns").failure, Some(FailureCode::TimedOut));
    assert!(!is_looked_at(&stage.wants(), "dns"));
}

/// How much is left until this, after the clock was set by an hour.
fn left_after(set_h: i64, deadline: impl Fn(&Stage) -> Option<jiff::Timestamp>, mut stage: Stage) -> [i64; 2] {
    let left = |stage: &Stage| deadline(stage).unwrap().duration_since(stage.now).as_secs();
    let before = left(&stage);
    let set = SignedDuration::from_hours(set_h);
    stage.now += set;
    stage.awake(Duration::ZERO, set);
    [before, left(&stage)]
}

#[test]
fn deadlines_move_with_the_clock_when_it_is_set() {
    let waiting = || {
        let mut wait = step(&[]);
        (wait.action, wait.with) = ("wait".to_owned(), json!({ "for": "10m" }));
        let mut stage = Stage::new();
        stage.run(&plan(vec![("pause", wait)]), &[]);
        stage
    };
    let asking = || {
        let mut dns = step(&[]);
        let (role, within) = ("commander".to_owned(), Some(Duration::from_secs(600)));
        dns.approve = Some(Approve { role, quorum: 1, within, otherwise: Otherwise::Halt });
        let mut stage = Stage::new();
        stage.run(&plan(vec![("dns", dns)]), &[]);
        stage.look("dns", Assessment::Remaining(vec![change("weights")]));
        assert_eq!(stage.phase("dns"), Phase::AwaitingApproval);
        stage
    };
    let observing = || {
        let mut stage = Stage::new();
        stage.run(&plan(vec![("dns", step(&[]))]), &[]);
        stage
    };
    for set_h in [1, -1] {
        let [before, after] = left_after(set_h, |stage| stage.step("pause").wait_until, waiting());
        assert_eq!(before, after, "a wait, clock set by {set_h} h");
        let [before, after] = left_after(set_h, |stage| stage.step("dns").approval_until, asking());
        assert_eq!(before, after, "an approval, clock set by {set_h} h");
        let [before, after] = left_after(set_h, |stage| stage.step("dns").deadline, observing());
        assert_eq!(before, after, "a time-out, clock set by {set_h} h");
    }
}

#[test]
fn a_process_that_was_stopped_gives_people_and_steps_their_time_and_the_world_none() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    let deadline = stage.step("dns").deadline.unwrap();
    stage.pass(120);
    stage.awake(Duration::from_secs(120), SignedDuration::ZERO);
    assert_eq!(stage.step("dns").deadline, Some(deadline + Duration::from_secs(120)));
}

/// Two renames: between them nobody has the name.
fn renames(ids: &[&str]) -> Assessment {
    let outage = || vec![Effect::Outage { expected: Duration::from_secs(60) }];
    Assessment::Remaining(ids.iter().map(|id| Change { effects: outage(), ..change(id) }).collect())
}

/// The first rename is in effect.
fn between() -> Stage {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("db", step(&[]))]), &[]);
    stage.look("db", renames(&["away", "back"]));
    stage.accept("db");
    stage
}

#[test]
fn a_timeout_does_not_end_a_step_while_its_outage_runs() {
    let mut stage = between();
    stage.look("db", settling("listed under neither name"));
    stage.pass(300);
    let events = stage.tick();
    let overdue = |event: &Event| matches!(event, Event::Step { what: StepEvent::Overdue { why }, .. } if why.contains("belay abort"));
    assert_eq!(events.iter().filter(|event| overdue(event)).count(), 1, "{events:?}");
    assert_eq!((stage.phase("db"), stage.run_state()), (Phase::Settling, RunState::Running));
    stage.pass(3_000);
    assert!(stage.tick().is_empty(), "it is told once");
    assert_eq!(intents(&stage.look("db", renames(&["back"]))), 1);
    stage.accept("db");
    stage.pass(3_000);
    stage.tick();
    stage.look("db", Assessment::InPlace);
    assert_eq!((stage.phase("db"), stage.run_state()), (Phase::Done, RunState::RolledBack));
}

#[test]
fn once_the_outage_is_over_the_time_counts_anew() {
    let mut stage = between();
    stage.pass(300);
    stage.tick();
    stage.look("db", renames(&["back"]));
    stage.accept("db");
    stage.look("db", Assessment::Remaining(vec![change("settings")]));
    assert_eq!(stage.step("db").overdue, None);
    let timeout = stage.state.run.as_ref().unwrap().plan.steps["db"].timeout;
    assert_eq!(stage.step("db").deadline, Some(stage.now + timeout));
    stage.pass(300);
    no_effect(&mut stage, "db", ErrorClass::Transient);
    stage.tick();
    assert_eq!(stage.step("db").failure, Some(FailureCode::TimedOut));
}

#[test]
fn a_person_can_abort_an_overdue_outage() {
    let mut stage = between();
    stage.pass(300);
    stage.tick();
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Abort { run }).unwrap();
    assert_eq!(stage.run_state(), RunState::Aborted);
}

#[test]
fn lost_answers_use_up_no_attempts_while_an_outage_runs() {
    let mut stage = between();
    for attempt in 0..40 {
        assert_eq!(intents(&stage.look("db", renames(&["back"]))), 1, "{attempt}");
        lost(&mut stage, "db");
        let again = stage.step("db").again_at.unwrap();
        assert!(again <= stage.now + Duration::from_secs(10), "nobody has the name meanwhile");
        stage.now = again;
        stage.tick();
    }
    stage.look("db", Assessment::InPlace);
    assert_eq!(stage.phase("db"), Phase::Done);
}

#[test]
fn what_was_accepted_and_does_not_show_is_sent_again_while_an_outage_runs() {
    let mut stage = between();
    stage.look("db", renames(&["back"]));
    stage.accept("db");
    stage.pass(61);
    assert_eq!(intents(&stage.look("db", renames(&["back"]))), 1);
}

/// The old name is still there, so to halt takes nothing away.
#[test]
fn before_the_outage_begins_attempts_and_time_count() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("db", step(&[]))]), &[]);
    for _ in 1..=3 {
        stage.look("db", renames(&["away", "back"]));
        lost(&mut stage, "db");
        stage.now = stage.step("db").again_at.unwrap();
    }
    stage.look("db", renames(&["away", "back"]));
    assert_eq!(stage.step("db").failure, Some(FailureCode::Refused));
    let mut stage = Stage::new();
    stage.run(&plan(vec![("db", step(&[]))]), &[]);
    stage.look("db", renames(&["away", "back"]));
    no_effect(&mut stage, "db", ErrorClass::Transient);
    stage.pass(300);
    stage.tick();
    assert_eq!(stage.step("db").failure, Some(FailureCode::TimedOut));
}

/// A person had it begin once more in the middle: what it had begun is known from what was sent.
#[test]
fn an_outage_is_known_after_a_retry() {
    let mut stage = between();
    stage.look("db", renames(&["back"]));
    no_effect(&mut stage, "db", ErrorClass::Permanent);
    assert_eq!(stage.step("db").failure, Some(FailureCode::Refused));
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Retry { run, step: "db".to_owned() }).unwrap();
    stage.look("db", renames(&["back"]));
    lost(&mut stage, "db");
    stage.pass(300);
    stage.tick();
    assert_eq!(stage.run_state(), RunState::Running);
}
