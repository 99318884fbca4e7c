//! What a rollback is measured by.

use std::time::Duration;

use belay_core::{
    event::{Event, RunKind},
    measure::{Measured, Onsets, measure},
    reading::Health,
    run::RunState,
};
use belay_plan::model::{Answer, Rule};

use crate::common::*;

const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn measured(stage: &Stage) -> Measured {
    measure(&stage.journal, stage.state.run.as_ref().unwrap())
}

/// Puts the step back, 42 seconds after now.
fn put_back(stage: &mut Stage) {
    stage.look("dns", belay_core::change::Assessment::Remaining(vec![change("weights")]));
    stage.pass(40);
    stage.accept("dns");
    stage.pass(2);
    stage.look("dns", belay_core::change::Assessment::InPlace);
    assert_eq!(stage.run_state(), RunState::RolledBack);
}

fn armed(rules: Vec<Rule>) -> Stage {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.decision.rules = rules;
    let mut stage = Stage::new();
    stage.arm(&plan);
    stage.read("errors", Health::Healthy);
    stage
}

#[test]
fn times_count_from_the_first_unhealthy_reading_without_a_healthy_one_since() {
    let mut stage = armed(vec![Rule::always(Answer::RollBack)]);
    stage.read("errors", Health::Unhealthy);
    stage.pass(10);
    stage.read("errors", Health::Healthy);
    stage.pass(10);
    stage.read("errors", Health::Unhealthy);
    let breach = stage.now;
    stage.pass(20);
    stage.read("errors", Health::Unknown);
    stage.pass(5);
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    let under_way = measured(&stage);
    assert_eq!(
        (under_way.breach, under_way.detection(), under_way.decision()),
        (Some(breach), seconds(85), seconds(0))
    );
    assert_eq!((under_way.recovery(), under_way.total()), (None, None), "it has not ended");
    put_back(&mut stage);
    let over = measured(&stage);
    assert_eq!((over.recovery(), over.confidence(), over.total()), (seconds(127), seconds(0), seconds(127)));
    assert_eq!(over.data_lost(), seconds(0));
}

#[test]
fn without_an_incident_nothing_shows_when_it_began() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    put_back(&mut stage);
    let measured = measured(&stage);
    assert_eq!((measured.breach, measured.opened, measured.decided), (None, None, None));
    assert!(measured.recovered.is_some() && measured.ended.is_some() && measured.total().is_none());
}

#[test]
fn a_follower_knows_the_same_as_the_whole_journal() {
    let mut stage = armed(vec![Rule::always(Answer::RollBack)]);
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    put_back(&mut stage);
    let run = stage.state.run.clone().unwrap();
    let mut onsets = Onsets::default();
    for record in &stage.journal {
        onsets.note(record, stage.state.plan.as_deref());
        if matches!(record.event, Event::RunStarted { kind: RunKind::Real, .. }) {
            let beginning = onsets.begin(&run);
            assert_eq!(Measured::of(&beginning, &stage.journal, &run), measure(&stage.journal, &run));
        }
    }
    assert_eq!(onsets.opening(), None, "the incident is closed");
}
