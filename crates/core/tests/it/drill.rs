//! A drill: a rollback for real, and on record as a drill.

use std::time::Duration;

use crate::common::*;
use belay_core::{
    event::{DrillVerdict, Event, RunKind},
    id::RunId,
    input::{RefusalKind, Verb},
    reading::Health,
    run::RunState,
};
use belay_plan::model::*;
use serde_json::json;

fn fire() -> Verb {
    Verb::Drill { trigger: Some("hurt".to_owned()) }
}

fn over(verdict: DrillVerdict) -> Verb {
    Verb::DrillOver { verdict, report: json!({ "recovery_s": 61 }) }
}

fn armed() -> Stage {
    let mut stage = Stage::new();
    stage.arm(&plan(vec![("dns", step(&[]))]));
    stage.read("errors", Health::Healthy);
    stage
}

#[test]
fn a_trigger_that_is_fired_leads_to_a_drills_run() {
    let mut stage = armed();
    let events = stage.command(fire()).unwrap();
    assert!(
        matches!(&events[1], Event::DrillStarted { trigger: Some(name), plan_sha256, .. } if name == "hurt" && plan_sha256 == "p")
    );
    assert_eq!(stage.state.breached(), Some(&"hurt".to_owned()));
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    let events = stage.tick();
    assert!(events.iter().any(|event| matches!(event, Event::RunStarted { kind: RunKind::Drill, .. })), "{events:?}");
    let drill = stage.state.drill.clone().unwrap();
    assert_eq!(stage.state.breached(), None, "the true sensors count again");
    assert_eq!(drill.incident, stage.state.incident.as_ref().map(|incident| incident.id.clone()));
    assert_eq!(stage.command(over(DrillVerdict::Within)).unwrap_err().kind, RefusalKind::WrongState, "it is under way");

    stage.look("dns", belay_core::change::Assessment::Remaining(vec![change("weights")]));
    stage.pass(40);
    stage.accept("dns");
    stage.pass(2);
    stage.look("dns", belay_core::change::Assessment::InPlace);
    assert_eq!(stage.run_state(), RunState::RolledBack);
    assert_eq!(stage.step("dns").took(), Some(Duration::from_secs(42)));
    stage.command(over(DrillVerdict::Within)).unwrap();
    assert_eq!(stage.state.drill, None);
    let run = stage.state.run.clone().unwrap();
    assert_eq!((run.kind, run.drill), (RunKind::Drill, Some(json!({ "recovery_s": 61 }))));
    assert_eq!(stage.replay(), stage.state);

    // What was put back in a drill can be undone; the undo is not a drill, and what follows is none either.
    stage.command(Verb::Undo { run: run.id }).unwrap();
    assert_eq!(stage.state.run.as_ref().unwrap().kind, RunKind::Undo);
}

/// A drill of what people decide: nobody does, and the end of their time is the end of the breach.
#[test]
fn a_trigger_that_people_decide_stays_breached_until_their_time_is_over() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    let timebox = Some(Duration::from_secs(300));
    plan.decision.rules = vec![Rule { timebox, ..Rule::always(Answer::Decide) }];
    let mut stage = Stage::new();
    stage.arm(&plan);
    stage.read("errors", Health::Healthy);
    stage.command(fire()).unwrap();
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    assert_eq!(stage.state.incident.as_ref().unwrap().answer, Some(Answer::Decide));
    assert_eq!(stage.state.breached(), Some(&"hurt".to_owned()));
    stage.pass(300);
    stage.tick();
    assert_eq!((stage.run_state(), stage.state.breached()), (RunState::Running, None));
    assert_eq!(stage.state.run.as_ref().unwrap().kind, RunKind::Drill);

    plan.decision.rules = vec![Rule { timebox, then: Some(Answer::FixForward), ..Rule::always(Answer::Decide) }];
    let mut stage = Stage::new();
    stage.arm(&plan);
    assert!(stage.command(fire()).unwrap_err().why.contains("not answered with a rollback"));
}

#[test]
fn without_a_trigger_the_rollback_begins_at_once() {
    let mut stage = armed();
    stage.command(Verb::Drill { trigger: None }).unwrap();
    let run: RunId = stage.state.run.as_ref().unwrap().id.clone();
    assert_eq!(
        (stage.state.run.as_ref().unwrap().kind, stage.state.drill.clone().unwrap().run),
        (RunKind::Drill, Some(run))
    );
}

#[test]
fn a_drill_that_nobody_finishes_makes_no_later_run_a_drill() {
    let mut stage = armed();
    stage.command(fire()).unwrap();
    stage.command(Verb::Disarm).unwrap();
    assert_eq!(stage.state.drill, None);
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    assert_eq!(stage.state.run.as_ref().unwrap().kind, RunKind::Real);
}

#[test]
fn a_drill_is_refused_where_nothing_can_come_of_it() {
    let refused = |stage: &mut Stage, verb: Verb| stage.command(verb).unwrap_err().why;
    let mut stage = Stage::new();
    assert!(refused(&mut stage, fire()).contains("not armed"));
    let mut stage = armed();
    let unknown = Verb::Drill { trigger: Some("hrut".to_owned()) };
    assert_eq!(stage.command(unknown).unwrap_err().kind, RefusalKind::NotFound);
    stage.command(fire()).unwrap();
    assert!(refused(&mut stage, fire()).contains("under way"));
    let mut stage = Stage::new();
    let mut minor = plan(vec![("dns", step(&[]))]);
    minor.triggers["hurt"].severity = Severity::Minor;
    stage.arm(&minor);
    assert!(refused(&mut stage, fire()).contains("not answered with a rollback"));
    let mut stage = armed();
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    assert!(refused(&mut stage, fire()).contains("cannot begin a drill"));
}
