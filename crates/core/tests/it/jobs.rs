//! Steps whose target is that a job has succeeded.

use crate::common::*;
use belay_core::{
    change::{Assessment, Outcome, Repeats, Report},
    event::{Event, FailureCode, StepEvent},
    input::Verb,
    run::{Phase, RunState},
};

fn over(failure: Option<&str>, output: &str) -> Assessment {
    let report = Report { output: output.to_owned(), logs: "a log group".to_owned() };
    Assessment::Over(Outcome { failure: failure.map(ToOwned::to_owned), report })
}

fn begin(stage: &mut Stage) -> belay_core::id::RunId {
    let run = stage.run(&plan(vec![("fence", step(&[]))]), &[]);
    stage.look("fence", Assessment::Remaining(vec![change("start")]));
    stage.accept("fence");
    run
}

#[test]
fn what_a_job_leaves_to_read_goes_on_record() {
    let mut stage = Stage::new();
    begin(&mut stage);
    let events = stage.look("fence", over(None, "stopped 3 workers"));
    let reported = |event: &Event| matches!(event, Event::Step { what: StepEvent::Reported { report }, .. } if report.output == "stopped 3 workers");
    assert!(events.iter().any(reported), "{events:?}");
    assert_eq!((stage.phase("fence"), stage.run_state()), (Phase::Done, RunState::RolledBack));
    assert_eq!(stage.step("fence").report.as_ref().unwrap().logs, "a log group");
}

#[test]
fn a_failed_job_is_a_verdict_and_a_retry_is_a_new_try() {
    let mut stage = Stage::new();
    let run = begin(&mut stage);
    assert_eq!(stage.step("fence").tries, 1);
    stage.look("fence", over(Some("exit code 3"), "no such queue"));
    assert_eq!((stage.phase("fence"), stage.step("fence").failure), (Phase::Failed, Some(FailureCode::Verdict)));
    assert_eq!(stage.step("fence").why, "exit code 3");
    stage.command(Verb::Retry { run: run.clone(), step: "fence".to_owned() }).unwrap();
    assert_eq!((stage.step("fence").tries, &stage.step("fence").report), (2, &None));
    stage.look("fence", Assessment::Remaining(vec![change("start")]));
    stage.accept("fence");
    stage.look("fence", over(Some("exit code 3"), ""));
    stage.command(Verb::Resume { run }).unwrap();
    assert_eq!(stage.step("fence").tries, 3);
}

#[test]
fn a_job_that_was_done_is_no_contested_change_afterwards() {
    let mut fence = step(&[]);
    fence.verify = vec![gate("errors", 300, 60)];
    let mut stage = Stage::new();
    stage.run(&plan(vec![("fence", fence)]), &[]);
    stage.look("fence", Assessment::Remaining(vec![change("start")]));
    stage.accept("fence");
    stage.look("fence", over(None, "done"));
    assert_eq!(stage.phase("fence"), Phase::Verifying);
    assert!(stage.look("fence", over(None, "done")).is_empty());
    assert_eq!(stage.phase("fence"), Phase::Verifying);
}

#[test]
fn what_cannot_be_asked_and_must_not_run_twice_waits_for_a_person() {
    let mut once = change("start");
    once.repeats = Repeats::Never;
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("fence", step(&[]))]), &[]);
    stage.look("fence", Assessment::Remaining(vec![once.clone()]));
    let attempt = stage.step("fence").attempt;
    let lost = belay_core::input::SendFailure::OutcomeUnknown { why: "connection reset".to_owned() };
    stage.feed(belay_core::input::Input::Applied { step: "fence".to_owned(), attempt, result: Err(lost) }).unwrap();
    stage.pass(60);
    stage.look("fence", Assessment::Remaining(vec![once.clone()]));
    assert_eq!(stage.step("fence").failure, Some(FailureCode::Ambiguous));
    stage.command(Verb::Retry { run, step: "fence".to_owned() }).unwrap();
    let events = stage.look("fence", Assessment::Remaining(vec![once]));
    assert_eq!(intents(&events), 1);
}
