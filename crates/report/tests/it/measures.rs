//! What is measured, and against what.

use belay_core::{
    event::{DrillVerdict, RunKind},
    id::RunId,
    input::Verb,
    reading::Health,
    run::RunState,
};
use belay_plan::model::{Answer, Condition, Plan, Rule};
use belay_report::{
    model::{GoalName, MeasureName, Verdict},
    report,
};
use jiff::SignedDuration;

use crate::{
    common::{Stage, gate, plan, step},
    story::{begun, guarded, halted, over},
};

/// A breach of the signals `unhealthy`, the rollback, and a healthy reading of each of `healthy`.
pub(crate) fn rolled_back(plan: &Plan, unhealthy: &str, healthy: &str) -> (Stage, RunId) {
    let mut stage = Stage::new();
    stage.arm(plan);
    plan.signals.keys().for_each(|name| drop(stage.read(name, Health::Healthy)));
    unhealthy.split_whitespace().for_each(|name| drop(stage.read(name, Health::Unhealthy)));
    stage.pass(60);
    stage.tick();
    let run = stage.state.run.as_ref().expect("it fired").id.clone();
    stage.put_back("dns");
    healthy.split_whitespace().for_each(|name| drop(stage.read(name, Health::Healthy)));
    assert_eq!(stage.run_state(), RunState::RolledBack);
    (stage, run)
}

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
    assert!(second.timeline.items.iter().skip(2).all(|entry| entry.at > until), "{:#?}", second.timeline);
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
    stage.read("errors", Health::Healthy);
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
    assert!(undone.timeline.items.iter().skip(1).all(|entry| entry.at >= stage.now), "{:#?}", undone.timeline);
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
    stage.read("errors", Health::Healthy);
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

#[test]
fn an_objective_for_the_recovery_replaces_the_goal_of_the_severity() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.objectives.recovery = Some(std::time::Duration::from_secs(50));
    plan.confirm = vec![gate("errors", 600, 0)];
    let (stage, run) = rolled_back(&plan, "errors", "errors");
    let report = report(&stage.journal, &run).unwrap().unwrap();
    let [goal] = &report.goals[..] else { panic!("{:?}", report.goals) };
    assert_eq!((goal.name, goal.limit_s, goal.verdict), (GoalName::Recovery, 50.0, Verdict::Missed));
    assert_eq!(goal.about.as_str(), "objective recovery: from the breach to the confirmed end");
    let badly: Vec<&str> = report.postmortem.went_badly.iter().map(belay_report::Shown::as_str).collect();
    assert_eq!(badly, ["recovery: 1m 00s, limit 50s"]);
}

/// As `rto`, it is about every rollback: one that a person asked for has no severity.
#[test]
fn an_objective_for_the_recovery_needs_no_incident() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.objectives.recovery = Some(std::time::Duration::from_secs(50));
    let mut stage = Stage::new();
    let run = stage.run(&plan, &[]);
    let report = report(&stage.journal, &run).unwrap().unwrap();
    let goals: Vec<_> = report.goals.iter().map(|goal| (goal.name, goal.verdict)).collect();
    assert_eq!(goals, [(GoalName::Recovery, Verdict::Open)]);
}

#[test]
fn a_confirmation_is_no_recovery_while_a_trigger_of_the_incident_fires() {
    let mut guarded = plan(vec![("dns", step(&[]))]);
    let minute = std::time::Duration::from_secs(60);
    guarded.objectives.rto = Some(5 * minute);
    guarded.objectives.confidence = Some(5 * minute);
    guarded.triggers["hurt"].when =
        Condition::Any(["errors", "latency"].map(|name| Condition::Signal(name.to_owned())).into());
    guarded.confirm = vec![gate("errors", 600, 0)];
    let told = |latency: Health| {
        let mut stage = Stage::new();
        stage.arm(&guarded);
        ["errors", "latency"].iter().for_each(|name| drop(stage.read(name, Health::Healthy)));
        stage.read("errors", Health::Unhealthy);
        stage.read("latency", latency);
        stage.pass(60);
        stage.tick();
        let run = stage.state.run.as_ref().expect("it fired").id.clone();
        stage.put_back("dns");
        stage.read("errors", Health::Healthy);
        assert_eq!(stage.run_state(), RunState::RolledBack);
        // What it showed at the end of the run counts, not what came later.
        stage.pass(10);
        stage.read("latency", Health::Healthy);
        report(&stage.journal, &run).unwrap().unwrap()
    };
    let report = told(Health::Unhealthy);
    let measured = |name| report.measures.iter().find(|measure| measure.name == name).unwrap().seconds;
    assert_eq!((measured(MeasureName::Total), measured(MeasureName::Confidence)), (None, Some(0.0)));
    let verdicts: Vec<_> = report.goals.iter().map(|goal| (goal.name, goal.verdict)).collect();
    let not_known = [GoalName::Rto, GoalName::Confidence, GoalName::Severity].map(|name| (name, Verdict::Unknown));
    assert_eq!(verdicts, not_known);
    let summary: Vec<&str> = report.summary.iter().map(belay_report::Shown::as_str).collect();
    let ended = summary.iter().find(|line| line.starts_with("Rolled back")).unwrap();
    assert!(!ended.contains("Rolled back and confirmed"), "{ended}");
    assert!(ended.contains("The confirmation held, but by the last readings the trigger hurt still fired"), "{ended}");
    let impact = report.postmortem.impact.first().unwrap().as_str();
    assert!(impact.ends_with("on; the end is not on record, since the trigger hurt still fired"), "{impact}");
    assert!(report.postmortem.went_well.is_empty(), "{:?}", report.postmortem);
    let badly: Vec<&str> = report.postmortem.went_badly.iter().map(belay_report::Shown::as_str).collect();
    assert_eq!(badly, ["the trigger hurt still fired when the run ended"]);
    let marks: Vec<&str> = report.signals.marks.items.iter().map(|mark| mark.text.as_str()).collect();
    assert_eq!(marks.last(), Some(&"the run ends; the trigger hurt still fired"));

    // A signal that cannot be read fires nothing.
    for latency in [Health::Healthy, Health::Unknown] {
        let report = told(latency);
        assert!(report.goals.iter().all(|goal| goal.verdict == Verdict::Met), "{:?}", report.goals);
    }
}

#[test]
fn the_time_to_decide_ends_with_what_started_the_run() {
    let mut guarded = plan(vec![("dns", step(&[]))]);
    guarded.decision.rules = vec![Rule::always(Answer::FixForward)];
    let mut stage = Stage::new();
    stage.arm(&guarded);
    stage.read("errors", Health::Healthy);
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    assert!(stage.state.incident.as_ref().unwrap().answer == Some(Answer::FixForward));
    stage.pass(24);
    stage.command(Verb::Rollback { kind: RunKind::Real, only: Vec::new(), pin: None }).unwrap();
    let run = stage.state.run.as_ref().unwrap().id.clone();
    let report = report(&stage.journal, &run).unwrap().unwrap();
    let decide = report.measures.iter().find(|measure| measure.name == MeasureName::Decide).unwrap();
    assert_eq!((decide.seconds, decide.to), (Some(24.0), Some(report.started)));
}

/// Set back by more than the run took, its end would be before the breach.
#[test]
fn a_wall_clock_that_was_set_meanwhile_leaves_every_duration_unknown() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.confirm = vec![gate("errors", 600, 0)];
    plan.objectives.rto = Some(std::time::Duration::from_secs(3600));
    let mut stage = Stage::new();
    stage.arm(&plan);
    stage.read("errors", Health::Healthy);
    stage.pass(7200);
    stage.read("errors", Health::Unhealthy);
    stage.pass(60);
    stage.tick();
    let run = stage.state.run.as_ref().expect("it fired").id.clone();
    let hour = SignedDuration::from_hours(1);
    stage.now -= hour;
    stage.awake(std::time::Duration::ZERO, -hour);
    stage.put_back("dns");
    stage.read("errors", Health::Healthy);
    assert_eq!(stage.run_state(), RunState::RolledBack);
    let report = report(&stage.journal, &run).unwrap().unwrap();
    assert!(report.measures.iter().all(|measure| measure.seconds.is_none() && measure.to.is_some()));
    assert!(report.goals.iter().all(|goal| goal.verdict == Verdict::Unknown), "{:?}", report.goals);
    let summary: Vec<&str> = report.summary.iter().map(belay_report::Shown::as_str).collect();
    let ended = summary.iter().find(|line| line.starts_with("Rolled back")).unwrap();
    assert!(
        ended.ends_with("how long after the breach is not known, since the wall clock was set meanwhile."),
        "{ended}"
    );
    let impact = report.postmortem.impact.first().unwrap().as_str();
    assert!(impact.ends_with("; the wall clock was set meanwhile"), "{impact}");
    for rendered in [belay_report::markdown(&report), belay_report::html(&report)] {
        assert!(rendered.contains("not known") && !rendered.contains("not reached"), "{rendered}");
    }
}
