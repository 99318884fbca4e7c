//! Triggers, dwell, blindness and incidents.

use std::time::Duration;

use crate::common::*;
use belay_core::{
    event::{Event, IncidentOutcome},
    input::{Asked, Authority, Input, RefusalKind, Verb},
    migration::MigrationState,
    reading::{Health, Reading},
    run::RunState,
};
use belay_plan::model::*;

fn armed(plan: &Plan) -> Stage {
    let mut stage = Stage::new();
    stage.arm(plan);
    stage
}

fn resumed(stage: &mut Stage) {
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
}

#[test]
fn a_breach_that_holds_for_the_dwell_rolls_back() {
    let mut stage = armed(&plan(vec![("dns", step(&[]))]));
    stage.read("errors", Health::Unhealthy);
    stage.pass(59);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed);
    assert_eq!(stage.wants().deadline, Some(stage.now + Duration::from_secs(1)));
    stage.pass(1);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
    let run = stage.state.run.as_ref().unwrap();
    assert_eq!(run.incident, stage.state.incident.as_ref().map(|incident| incident.id.clone()));
    assert_eq!(stage.wants().tasks.len(), 1);
}

#[test]
fn a_breach_that_heals_resets_the_dwell() {
    let mut stage = armed(&plan(vec![("dns", step(&[]))]));
    stage.read("errors", Health::Unhealthy);
    stage.pass(59);
    stage.read("errors", Health::Healthy);
    stage.read("errors", Health::Unhealthy);
    stage.pass(59);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed);
}

#[test]
fn unknown_pauses_a_dwell_and_counts_for_nothing() {
    let mut stage = armed(&plan(vec![("dns", step(&[]))]));
    stage.read("errors", Health::Unhealthy);
    stage.pass(30);
    stage.read("errors", Health::Unknown);
    stage.pass(600);
    stage.read("errors", Health::Unhealthy);
    stage.pass(29);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed);
    stage.pass(1);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

#[test]
fn time_in_which_nobody_looked_is_no_dwell() {
    let mut stage = armed(&plan(vec![("dns", step(&[]))]));
    stage.read("errors", Health::Unhealthy);
    stage.pass(300);
    resumed(&mut stage);
    assert_eq!(stage.state.state(), MigrationState::Armed);
    stage.read("errors", Health::Unhealthy);
    stage.pass(59);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed);
    stage.pass(1);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

/// What is read by the new clock is older than the moment of arming by the old one.
#[test]
fn a_clock_that_was_set_back_behind_the_arming_makes_no_reading_old() {
    let mut stage = armed(&plan(vec![("dns", step(&[]))]));
    stage.read("errors", Health::Healthy);
    let back = Duration::from_secs(3600);
    stage.now -= back;
    stage.awake(Duration::ZERO, -jiff::SignedDuration::try_from(back).unwrap());
    for health in [Health::Healthy, Health::Unhealthy, Health::Healthy] {
        stage.pass(5);
        let wanted = stage.wants().watch["errors"].usable_after;
        assert!(wanted <= stage.now, "{wanted} is in the future of {}", stage.now);
        stage.read("errors", health);
    }
}

#[test]
fn a_minor_trigger_is_fixed_forward_and_its_incident_recovers() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].severity = Severity::Minor;
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Incident);
    assert!(stage.state.run.is_none());
    stage.read("errors", Health::Healthy);
    stage.pass(60);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed);
    assert_eq!(stage.state.past_incidents[0].outcome, Some(IncidentOutcome::Recovered));
}

#[test]
fn a_worse_trigger_that_joins_an_open_incident_is_decided_too() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].severity = Severity::Minor;
    plan.triggers.insert("slow".to_owned(), trigger(Condition::Signal("latency".to_owned()), 0));
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Incident);
    stage.read("latency", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

#[test]
fn a_person_can_decide_to_roll_back_what_would_be_fixed_forward() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].severity = Severity::Minor;
    plan.triggers["hurt"].dwell = Duration::ZERO;
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    // A role that no plan names may approve nothing, and decide nothing.
    let anybody = Asked { authority: Authority::Roles(vec!["somebody".to_owned()]), ..Asked::new("sam", "seen") };
    let refused = stage.command_by(&anybody, Verb::Decide { roll_back: true }).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::NotAllowed { role: "operator".to_owned() });
    stage.command(Verb::Decide { roll_back: true }).unwrap();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

#[test]
fn a_trigger_that_heals_during_a_run_changes_nothing() {
    let mut stage = armed(&plan(vec![("dns", step(&[]))]));
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    stage.read("errors", Health::Healthy);
    stage.pass(61);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
    stage.put_back("dns");
    assert_eq!(stage.run_state(), RunState::RolledBack);
    assert_eq!(stage.state.state(), MigrationState::RolledBack);
    assert!(stage.state.armed.is_none(), "after a run it is no longer armed");
    assert_eq!(stage.state.past_incidents[0].outcome, Some(IncidentOutcome::RolledBack));
}

#[test]
fn at_least_and_all_know_what_is_decided_already() {
    let names = |list: &[&str]| list.iter().map(|name| Condition::Signal((*name).to_owned())).collect::<Vec<_>>();
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"] = trigger(Condition::AtLeast { n: 2, of: names(&["errors", "latency", "blue_ready"]) }, 0);
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::Armed, "two are still unknown");
    stage.read("latency", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

#[test]
fn a_trigger_red_at_arming_refuses_or_sleeps_until_green() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].dwell = Duration::ZERO;
    let red = |stage: &Stage| Reading {
        signal: "errors".to_owned(),
        taken: stage.now,
        health: Health::Unhealthy,
        evidence: "ALARM".to_owned(),
        source: "cloudwatch".to_owned(),
        unreadable: false,
        permanent: false,
        measured: None,
    };
    let mut stage = Stage::new();
    let arm = |plan: &Plan, reading: Reading| Verb::Arm {
        plan: std::sync::Arc::new(plan.clone()),
        plan_sha256: "p".to_owned(),
        baseline: None,
        readings: vec![reading],
        wait_for_green: false,
        detours: vec![],
    };
    let reading = red(&stage);
    let refusal = stage.command(arm(&plan, reading)).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::RedAtArm);
    assert!(refusal.why.contains("ALARM"), "{}", refusal.why);
    assert!(stage.journal.is_empty() && refusal.help.contains("--wait-for-green"), "{refusal:?}");
    let mut told = Stage::new();
    let mut verb = arm(&plan, red(&told));
    if let Verb::Arm { wait_for_green, .. } = &mut verb {
        *wait_for_green = true;
    }
    told.command(verb).unwrap();
    assert!(told.state.armed.is_some() && told.state.triggers["hurt"].waits_for_green, "whatever the plan says");

    plan.triggers["hurt"].red_at_arm = RedAtArm::WaitForGreen;
    let reading = red(&stage);
    stage.command(arm(&plan, reading)).unwrap();
    stage.pass(60);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::Armed);
    stage.read("errors", Health::Healthy);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

#[test]
fn unknown_for_long_rolls_back_where_the_plan_says_so_but_blindness_only_alerts() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].if_unknown =
        Some(IfUnknown { after: Duration::from_secs(300), then: UnknownPolicy::RollBack });

    // The source answers; this one signal has no data.
    let mut stage = armed(&plan);
    stage.read("latency", Health::Healthy);
    stage.read("errors", Health::Unknown);
    stage.pass(300);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);

    // Everything from the source is unknown together.
    let mut stage = armed(&plan);
    for signal in ["errors", "latency", "blue_ready"] {
        stage.read(signal, Health::Healthy);
    }
    for signal in ["errors", "latency", "blue_ready"] {
        stage.read_from(signal, Health::Unknown, "cloudwatch", true);
    }
    assert!(stage.state.blind.contains_key("cloudwatch"));
    stage.pass(300);
    let events = stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed);
    assert!(events.iter().any(|event| matches!(event, Event::UnknownAlerted { .. })));
    assert_eq!(stage.tick(), vec![], "once");
}

#[test]
fn arming_anew_does_not_close_an_open_incident() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].severity = Severity::Minor;
    plan.triggers["hurt"].dwell = Duration::ZERO;
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    let verb = Verb::Arm {
        plan: std::sync::Arc::new(plan),
        plan_sha256: "p".to_owned(),
        baseline: None,
        readings: vec![],
        wait_for_green: false,
        detours: vec![],
    };
    assert_eq!(stage.command(verb).unwrap_err().kind, RefusalKind::WrongState);
    assert_eq!(stage.state.state(), MigrationState::Incident);
}
