//! What is measured, and against what.

use belay_core::{event::DrillVerdict, id::RunId, input::Verb, reading::Health};
use belay_plan::model::{Answer, Condition, Rule};
use belay_report::{
    model::{GoalName, MeasureName, Verdict},
    report,
};

use crate::{
    common::{Stage, gate, plan, step},
    story::{begun, guarded, halted, over},
};

#[test]
fn times_count_from_the_first_unhealthy_reading() {
    let story = over();
    let report = report(&story.stage.journal, &story.run).unwrap().unwrap();
    let incident = report.incident.as_ref().unwrap();
    assert_eq!(incident.opened.duration_since(incident.breach).as_secs(), 60, "the dwell of the trigger");
    let measured = |name| report.measures.iter().find(|measure| measure.name == name).unwrap().seconds;
    assert_eq!((measured(MeasureName::Detect), measured(MeasureName::Decide)), (Some(60.0), Some(90.0)));
    assert_eq!(measured(MeasureName::Confidence), Some(310.0));
    let parts = [MeasureName::Recover, MeasureName::Confidence].map(|name| measured(name).unwrap());
    assert_eq!(measured(MeasureName::Total), Some(parts.iter().sum()));
    let goal = |name| report.goals.iter().find(|goal| goal.name == name).unwrap();
    assert_eq!((goal(GoalName::Rto).limit_s, goal(GoalName::Rto).verdict), (600.0, Verdict::Missed));
    assert_eq!((goal(GoalName::Severity).limit_s, goal(GoalName::Severity).verdict), (900.0, Verdict::Met));
    assert_eq!((goal(GoalName::Confidence).limit_s, goal(GoalName::Confidence).verdict), (600.0, Verdict::Met));
    let rpo = goal(GoalName::Rpo);
    assert_eq!(
        (rpo.measured_s, rpo.verdict),
        (Some(1240.0), Verdict::Met),
        "twenty minutes, and forty seconds of waiting"
    );
    assert_eq!(report.data_loss[0].step.as_str(), "db");
}

#[test]
fn a_condition_of_two_signals_is_breached_when_both_are_unhealthy() {
    let mut plan = guarded();
    plan.decision.rules = vec![Rule::always(Answer::RollBack)];
    let both = ["errors", "latency"].map(|name| Condition::Signal(name.to_owned()));
    plan.triggers["hurt"].when = Condition::All(both.into());
    let mut stage = Stage::new();
    stage.arm(&plan);
    ["errors", "latency"].iter().for_each(|name| drop(stage.read(name, Health::Healthy)));
    stage.read("latency", Health::Unhealthy);
    stage.pass(3600);
    stage.read("errors", Health::Unhealthy);
    let breach = stage.now;
    stage.pass(30);
    // That a signal cannot be read for a moment ends no breach.
    stage.read("latency", Health::Unknown);
    stage.pass(5);
    stage.read("latency", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    let run = stage.state.run.as_ref().expect("it fired").id.clone();
    let report = report(&stage.journal, &run).unwrap().unwrap();
    assert_eq!(report.incident.as_ref().unwrap().breach, breach);
    assert_eq!(report.measures[0].seconds, Some(95.0));
    let unknown: Vec<&str> = report.unknown.items.iter().map(|unknown| unknown.what.as_str()).collect();
    assert_eq!(unknown, ["signal blue_ready", "trigger hurt", "signal latency"]);
    assert_eq!(report.unknown.items[1].to.unwrap().duration_since(report.unknown.items[1].from).as_secs(), 5);
}

#[test]
fn a_run_that_is_not_over_has_missed_what_has_passed_and_nothing_else() {
    let mut story = halted();
    let verdict = |story: &crate::story::Story, name| {
        let report = report(&story.stage.journal, &story.run).unwrap().unwrap();
        report.goals.iter().find(|goal| goal.name == name).unwrap().verdict
    };
    assert_eq!(verdict(&story, GoalName::Rto), Verdict::Open);
    story.stage.pass(600);
    story.stage.read("latency", Health::Unhealthy);
    assert_eq!((verdict(&story, GoalName::Rto), verdict(&story, GoalName::Severity)), (Verdict::Missed, Verdict::Open));
}

#[test]
fn a_run_that_a_person_asked_for_counts_from_its_start() {
    let mut stage = Stage::new();
    let run = stage.run(&guarded(), &[]);
    let report = report(&stage.journal, &run).unwrap().unwrap();
    assert!(report.incident.is_none() && report.measures.iter().all(|measure| measure.name != MeasureName::Detect));
    assert_eq!(report.timeline.items[0].at, report.started, "the command that asked for it");
    assert!(report.decisions.items[0].what.as_str().contains("rollback"), "{:?}", report.decisions);
}

#[test]
fn later_runs_are_not_part_of_the_story() {
    let mut story = begun();
    story.stage.command(Verb::Abort { run: story.run.clone() }).unwrap();
    let until = story.stage.now;
    story.stage.pass(3600);
    let next = story.stage.run(&guarded(), &[]);
    let first = report(&story.stage.journal, &story.run).unwrap().unwrap();
    assert!(first.over && first.timeline.items.iter().all(|entry| entry.at <= until), "{:#?}", first.timeline);
    let second = report(&story.stage.journal, &next).unwrap().unwrap();
    assert!(second.timeline.items.iter().all(|entry| entry.at > until), "{:#?}", second.timeline);
    assert_eq!(report(&story.stage.journal, &RunId("000000000000".to_owned())).unwrap(), None);
}

#[test]
fn a_drill_counts_from_its_start_and_its_undo_is_a_story_of_its_own() {
    let mut stage = Stage::new();
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.objectives.rto = Some(std::time::Duration::from_secs(900));
    plan.confirm = vec![gate("latency", 600, 0)];
    stage.arm(&plan);
    stage.read("errors", Health::Healthy);
    stage.pass(60);
    stage.command(Verb::Drill { trigger: Some("hurt".to_owned()) }).unwrap();
    let breach = stage.now;
    stage.pass(7);
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    let drill = stage.state.run.as_ref().unwrap().id.clone();
    stage.put_back("dns");
    stage.read("latency", Health::Healthy);
    let drilled = report(&stage.journal, &drill).unwrap().unwrap();
    let incident = drilled.incident.as_ref().unwrap();
    assert_eq!((incident.breach, incident.customer_facing), (breach, false));
    let total = drilled.measures.last().unwrap();
    assert_eq!((total.name, total.seconds), (MeasureName::Total, Some(67.0)));
    assert!(drilled.summary[0].as_str().contains("drill"), "{:?}", drilled.summary);

    stage.pass(30);
    let over = Verb::DrillOver { verdict: DrillVerdict::Within, report: serde_json::json!({}) };
    stage.command(over).unwrap();
    stage.pass(30);
    stage.command(Verb::Undo { run: drill.clone() }).unwrap();
    let undo = stage.state.run.as_ref().unwrap().id.clone();
    let undone = report(&stage.journal, &undo).unwrap().unwrap();
    assert!(undone.incident.is_none() && undone.goals.iter().all(|goal| goal.name == GoalName::Rto), "{undone:#?}");
    assert!(undone.summary[0].as_str().contains(&drill.0), "{:?}", undone.summary);
    assert!(undone.timeline.items.iter().all(|entry| entry.at >= stage.now), "{:#?}", undone.timeline);
}

#[test]
fn without_a_confirmation_no_end_is_confirmed_and_no_goal_is_met() {
    let mut guarded = plan(vec![("dns", step(&[]))]);
    guarded.decision.rules = vec![Rule::always(Answer::RollBack)];
    let mut stage = Stage::new();
    stage.arm(&guarded);
    stage.read("errors", Health::Healthy);
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    let run = stage.state.run.as_ref().expect("it fired").id.clone();
    stage.put_back("dns");
    let report = report(&stage.journal, &run).unwrap().unwrap();
    let measured = |name| report.measures.iter().find(|measure| measure.name == name).unwrap().seconds;
    assert_eq!((measured(MeasureName::Total), measured(MeasureName::Confidence)), (None, None));
    assert!(measured(MeasureName::Recover).is_some());
    let severity = report.goals.iter().find(|goal| goal.name == GoalName::Severity).unwrap();
    assert_eq!((severity.measured_s, severity.verdict), (None, Verdict::Unknown));
    let summary: Vec<&str> = report.summary.iter().map(belay_report::Shown::as_str).collect();
    let ended = summary.iter().find(|line| line.starts_with("Rolled back")).unwrap();
    assert!(ended.contains("Nothing was confirmed") && !ended.contains("and confirmed"), "{ended}");
    let impact = report.postmortem.impact.first().unwrap().as_str();
    assert!(impact.ends_with("on; the end is not on record, since nothing was confirmed"), "{impact}");
    assert!(report.postmortem.went_well.is_empty());
}
