//! Jobs: automations, state machines, functions.

use std::time::Duration;

use belay_strict::{Blow, Refusal, Scene, Which, World, lambda::Function, ssm::Document, states::StateMachine};

const AUTOMATION: &str = "  back:
    action: ssm.automation
    with: { document: Restore-Cache }
";
const MACHINE: &str = "  back:
    action: stepfunctions.execution
    with: { state_machine: \"arn:aws:states:eu-west-1:111122223333:stateMachine:put-back\" }
";
const FUNCTION: &str = "  back:
    action: lambda.invoke
    with: { function: put-back }
";

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[test]
fn an_automation_is_run_once_and_waited_for() {
    let document = Document::named("Restore-Cache").step("drain", "aws:runCommand").step("fill", "aws:runCommand");
    let played = Scene::new(World::default().with(document.taking(minutes(10))), AUTOMATION).roll_back().rolled_back();
    assert_eq!(played.world.ssm.started("Restore-Cache"), 1);
    assert!(played.took >= minutes(10));
}

#[test]
fn an_automation_whose_answer_was_lost_is_found_by_its_token() {
    let world = World::default()
        .with(Document::named("Restore-Cache"))
        .when(Which::Nth("StartAutomationExecution".to_owned(), 1), Blow::LoseAnswer);
    let played = Scene::new(world, AUTOMATION).roll_back().rolled_back();
    assert_eq!(played.world.ssm.started("Restore-Cache"), 1);
}

#[test]
fn a_state_machine_is_run_once_and_waited_for() {
    let world = World::default()
        .with(StateMachine::standard("put-back").taking(minutes(5)))
        .when(Which::Nth("StartExecution".to_owned(), 1), Blow::LoseAnswer);
    let played = Scene::new(world, MACHINE).roll_back().rolled_back();
    assert_eq!(played.world.step_functions.started("put-back"), 1);
    let world = World::default().with(StateMachine::express("put-back").taking(minutes(4)));
    let played = Scene::new(world, MACHINE).roll_back().rolled_back();
    assert_eq!(played.world.step_functions.started("put-back"), 1);
}

/// A quarter of an hour is the longest that Lambda lets a function run.
#[test]
fn a_function_is_waited_for_as_long_as_it_may_run() {
    let world = World::default().with(Function::named("put-back").taking(minutes(14)));
    let played = Scene::new(world, FUNCTION).roll_back().rolled_back();
    assert_eq!(played.world.lambda.ran("put-back"), 1);
    assert!(played.took >= minutes(14));
}

#[test]
fn a_function_that_is_not_ready_is_waited_for() {
    let pending = Refusal::new(409, "ResourceConflictException", "The function is currently in the state Pending");
    let mut world = World::default().with(Function::named("put-back"));
    for nth in 1..=8 {
        world.befall(Which::Nth("Invoke".to_owned(), nth), Blow::Refuse(pending.clone()));
    }
    let played = Scene::new(world, FUNCTION).roll_back().rolled_back();
    assert_eq!(played.world.lambda.ran("put-back"), 1);
}
