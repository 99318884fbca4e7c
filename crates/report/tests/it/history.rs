//! However long a stream is, a report takes little of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use belay_core::{id::IncidentId, id::RunId, reading::Health};
use belay_plan::model::Plan;
use belay_report::{Gathering, RunReport, report};

use crate::common::{Stage, plan, step};

/// An incident with its rollback.
fn roll_back(stage: &mut Stage, plan: &Plan) -> RunId {
    stage.arm(plan);
    for health in [Health::Healthy, Health::Unhealthy] {
        stage.pass(60);
        stage.read("errors", health);
    }
    stage.pass(60);
    stage.tick();
    stage.put_back("dns");
    stage.pass(600);
    stage.read("errors", Health::Healthy);
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.pass(7200);
    run
}

fn of(stage: &Stage, run: &RunId) -> (RunReport, usize) {
    let mut gathering = Gathering::of_run("shop", run);
    stage.journal.iter().cloned().for_each(|record| gathering.take(record).unwrap());
    let mut report = gathering.report().unwrap();
    report.as_of = report.started;
    (report, gathering.kept())
}

#[test]
fn the_report_of_an_old_run_is_the_same_and_takes_little_of_the_stream() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    let mut runs: Vec<(RunId, RunReport)> = Vec::new();
    let mut most = 0;
    for number in 0..60 {
        let run = roll_back(&mut stage, &plan);
        let (report, kept) = of(&stage, &run);
        assert!(report.over && report.incident.is_some() && report.signals.rows[0].bands.items.len() > 1);
        runs.push((run, report));
        most = if number < 3 { most.max(kept) } else { most };
    }
    assert!(most > 10 && stage.journal.len() > 10 * most);
    for (run, before) in &runs {
        let (now, kept) = of(&stage, run);
        assert_eq!(now, *before);
        assert!(kept <= most, "{kept} of {} records", stage.journal.len());
    }
    let incident = |run: &RunId| {
        let found = report(&stage.journal, run).unwrap().unwrap();
        IncidentId(found.incident.unwrap().id.as_str().to_owned())
    };
    let (first, _) = &runs[0];
    let of_incident = belay_report::report_of_incident(&stage.journal, &incident(first)).unwrap().unwrap();
    assert_eq!(of_incident, report(&stage.journal, first).unwrap().unwrap());
}

/// What belongs to it is in it, however much later it came.
#[test]
fn what_came_later_of_an_old_run_is_in_its_report() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    let first = roll_back(&mut stage, &plan);
    for _ in 0..3 {
        roll_back(&mut stage, &plan);
    }
    let link = "https://wiki.example.com/17".to_owned();
    stage.command(belay_core::input::Verb::PostmortemHeld { run: first.clone(), link }).unwrap();
    for _ in 0..40 {
        roll_back(&mut stage, &plan);
    }
    assert!(stage.state.find_run(&first).is_none());
    assert!(of(&stage, &first).0.postmortem.held.is_some());
}
