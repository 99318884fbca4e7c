//! A person's word: role, quorum of different people, deadline.

use std::time::Duration;

use crate::common::*;
use belay_core::{
    change::Assessment,
    event::{Event, FailureCode, StepEvent},
    input::{Asked, Authority, RefusalKind, Verb},
    run::{Phase, RunState},
};
use belay_plan::model::*;
use serde_json::json;

fn asking(quorum: u32, otherwise: Otherwise) -> Step {
    let within = Some(Duration::from_secs(600));
    Step { approve: Some(Approve { role: "commander".to_owned(), quorum, within, otherwise }), ..step(&[]) }
}

fn awaiting(step: Step) -> Stage {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step), ("next", crate::common::step(&["dns"]))]), &[]);
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    assert_eq!(stage.phase("dns"), Phase::AwaitingApproval);
    stage
}

fn person(name: &str, roles: &[&str]) -> Asked {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Asked { authority: Authority::Roles(roles), ..Asked::new(name, "seen") }
}

fn answer(stage: &mut Stage, asked: &Asked, approve: bool) -> Result<Vec<Event>, RefusalKind> {
    let run = stage.state.run.as_ref().unwrap().id.clone();
    let verb = Verb::Approve { run, step: "dns".to_owned(), approve };
    stage.command_by(asked, verb).map_err(|refusal| refusal.kind)
}

#[test]
fn a_quorum_takes_different_people_with_the_role() {
    let mut stage = awaiting(asking(2, Otherwise::Halt));
    let refused = answer(&mut stage, &person("olga", &["operator"]), true).unwrap_err();
    assert_eq!(refused, RefusalKind::NotAllowed { role: "commander".to_owned() });
    answer(&mut stage, &person("carl", &["commander"]), true).unwrap();
    assert_eq!((stage.phase("dns"), &stage.step("dns").approvals), (Phase::AwaitingApproval, &vec!["carl".to_owned()]));
    let twice = answer(&mut stage, &person("carl", &["commander", "operator"]), true).unwrap_err();
    assert_eq!(twice, RefusalKind::WrongState);
    answer(&mut stage, &person("bert", &["commander"]), true).unwrap();
    assert!(stage.step("dns").approved);
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    assert!(is_sending(&stage.wants(), "dns"));
}

#[test]
fn who_asked_for_the_run_does_not_count_in_its_quorum() {
    for (quorum, counts) in [(2, false), (1, true)] {
        let mut stage = awaiting(asking(quorum, Otherwise::Halt));
        let asker = stage.state.run.as_ref().unwrap().actor.clone();
        let said = answer(&mut stage, &person(&asker, &["commander"]), true);
        assert_eq!(said.map_err(|kind| kind == RefusalKind::WrongState).is_ok(), counts);
        assert_eq!(stage.step("dns").approved, counts);
    }
}

#[test]
fn without_a_role_in_the_plan_an_operator_answers() {
    let mut stage = Stage::new();
    let manual = Step { action: "manual".to_owned(), with: json!({ "instructions": "stop them" }), ..step(&[]) };
    stage.run(&plan(vec![("dns", manual)]), &[]);
    let refused = answer(&mut stage, &person("vera", &["viewer"]), true).unwrap_err();
    assert_eq!(refused, RefusalKind::NotAllowed { role: "operator".to_owned() });
    answer(&mut stage, &person("olga", &["operator"]), true).unwrap();
    assert_eq!(stage.phase("dns"), Phase::Done);
}

#[test]
fn one_no_is_enough() {
    let mut stage = awaiting(asking(2, Otherwise::Halt));
    answer(&mut stage, &person("carl", &["commander"]), true).unwrap();
    answer(&mut stage, &person("bert", &["commander"]), false).unwrap();
    assert_eq!((stage.phase("dns"), stage.step("dns").failure), (Phase::Failed, Some(FailureCode::Denied)));
    assert!(stage.step("dns").why.contains("bert"));
    // Asked again after a retry, everybody is asked anew.
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Retry { run, step: "dns".to_owned() }).unwrap();
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    assert!(stage.step("dns").approvals.is_empty());
}

#[test]
fn at_the_deadline_otherwise_halt_halts_even_where_failures_are_passed_over() {
    let mut stage = awaiting(Step { on_failure: OnFailure::Continue, ..asking(1, Otherwise::Halt) });
    assert_eq!(stage.wants().deadline, stage.step("dns").approval_until);
    stage.pass(599);
    stage.tick();
    assert_eq!(stage.phase("dns"), Phase::AwaitingApproval);
    stage.pass(1);
    stage.tick();
    assert_eq!((stage.phase("dns"), stage.step("dns").failure), (Phase::Failed, Some(FailureCode::Unanswered)));
    assert_eq!((stage.run_state(), stage.phase("next")), (RunState::Halted, Phase::Blocked));
}

#[test]
fn at_the_deadline_otherwise_skip_goes_on_without_the_step() {
    let mut stage = awaiting(asking(2, Otherwise::Skip));
    answer(&mut stage, &person("carl", &["commander"]), true).unwrap();
    stage.pass(600);
    stage.tick();
    assert_eq!((stage.phase("dns"), stage.phase("next")), (Phase::Skipped, Phase::Observing));
    assert!(stage.step("dns").why.contains("1 of 2"), "{}", stage.step("dns").why);
}

#[test]
fn time_in_which_nobody_could_answer_does_not_count() {
    let mut stage = awaiting(asking(1, Otherwise::Halt));
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.pass(500);
    stage.command(Verb::Hold { run: run.clone() }).unwrap();
    stage.pass(500);
    stage.tick();
    assert_eq!(stage.phase("dns"), Phase::AwaitingApproval);
    stage.command(Verb::Resume { run }).unwrap();
    assert_eq!(stage.step("dns").approval_until, Some(stage.now + Duration::from_secs(600)));
    let before = stage.step("dns").approval_until.unwrap();
    stage.pass(300);
    stage.feed(belay_core::input::Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    assert_eq!(stage.step("dns").approval_until, Some(before + Duration::from_secs(300)));
}

#[test]
fn a_wait_asks_before_it_begins() {
    let mut stage = Stage::new();
    let wait = Step { action: "wait".to_owned(), with: json!({ "for": "1m" }), ..asking(1, Otherwise::Halt) };
    stage.run(&plan(vec![("dns", wait)]), &[]);
    assert_eq!(stage.phase("dns"), Phase::AwaitingApproval);
    let events = answer(&mut stage, &person("carl", &["commander"]), true).unwrap();
    let given =
        |event: &Event| matches!(event, Event::Step { what: StepEvent::ApprovalGiven { by }, .. } if by == "carl");
    assert!(events.iter().any(given));
    assert_eq!(stage.phase("dns"), Phase::Settling);
    stage.pass(60);
    stage.tick();
    assert_eq!(stage.phase("dns"), Phase::Done);
}

#[test]
fn a_step_with_nothing_to_do_asks_nobody() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", asking(1, Otherwise::Halt))]), &[]);
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.phase("dns"), Phase::Unchanged);
}
