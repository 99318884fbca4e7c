use belay_core::{change::Outcome, input::ErrorClass};

use super::*;
use crate::{
    jobs::wire::{self, Wire},
    testing::Still,
};

const MACHINE: &str = "arn:aws:states:eu-west-1:111122223333:stateMachine:fence";
const EXECUTION: &str = "arn:aws:states:eu-west-1:111122223333:execution:fence:belay-01k8abcd2345-fence-1";

fn with(alias: &str) -> With {
    With { state_machine: format!("{MACHINE}{alias}"), input: json!({ "queue": "orders" }) }
}

fn scope(tries: u32) -> Scope {
    wire::scope(json!(with("")), tries)
}

fn machine(kind: &str) -> String {
    wire::json(&json!({
        "stateMachineArn": MACHINE, "name": "fence", "type": kind, "status": "ACTIVE", "definition": "{}",
        "roleArn": "arn:aws:iam::111122223333:role/fence", "creationDate": 1,
    }))
}

fn execution(status: &str, more: &Value) -> String {
    let mut body = json!({ "executionArn": EXECUTION, "stateMachineArn": MACHINE, "status": status, "startDate": 1 });
    let more = more.as_object().into_iter().flatten();
    more.for_each(|(key, value)| body[key] = value.clone());
    wire::json(&body)
}

async fn system(wire: &Wire) -> StateMachine {
    StateMachine::new(wire.aws().await, Arc::new(Still { wakes: false }))
}

async fn looked(
    answers: impl IntoIterator<Item = String>,
    tries: u32,
    receipts: &[Receipt],
) -> (Assessment, Vec<String>) {
    let wire = Wire::new(answers).await;
    let system = system(&wire).await;
    let found = system.observe(&scope(tries), with(""), receipts).await.unwrap();
    (system.assess(&scope(tries), &with(""), &found, None, receipts).unwrap(), wire.requests())
}

fn missing() -> String {
    wire::error("400 Bad Request", "ExecutionDoesNotExist")
}

fn receipt(body: Value) -> Receipt {
    Receipt { change: job::START.to_owned(), at: Timestamp::UNIX_EPOCH, body }
}

fn change(assessment: Assessment) -> Change {
    match assessment {
        Assessment::Remaining(mut changes) if changes.len() == 1 => changes.remove(0),
        other => panic!("{other:?}"),
    }
}

async fn apply(answer: String, change: &Change) -> (Result<Value, ApplyError>, String) {
    let wire = Wire::new([answer]).await;
    let key = Key { run: scope(1).run.unwrap(), step: "fence".to_owned(), attempt: 1 };
    let result = system(&wire).await.apply(&scope(1), &key, change).await;
    (result, wire.requests().remove(0))
}

#[tokio::test]
async fn a_standard_one_is_started_by_a_name_of_its_own() {
    let (assessment, requests) = looked([machine("STANDARD"), missing()], 1, &[]).await;
    assert!(requests[1].contains(EXECUTION), "{requests:#?}");
    let change = change(assessment);
    assert_eq!((change.call.as_str(), change.repeats), (START, Repeats::Token));
    let (receipt, request) = apply(wire::json(&json!({ "executionArn": EXECUTION, "startDate": 1 })), &change).await;
    assert_eq!(receipt.unwrap()["id"], EXECUTION);
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["name"], "belay-01k8abcd2345-fence-1");
    assert_eq!(body["input"], r#"{"queue":"orders"}"#);
}

#[tokio::test]
async fn after_a_lost_answer_it_is_found_by_its_name() {
    let (assessment, _) = looked([machine("STANDARD"), execution("RUNNING", &json!({}))], 1, &[]).await;
    assert!(matches!(assessment, Assessment::Settling(_)), "{assessment:?}");
    let started = receipt(json!(Started { number: 1, id: EXECUTION.to_owned(), logs: String::new() }));
    let (assessment, _) = looked([machine("STANDARD"), missing()], 1, &[started]).await;
    assert!(matches!(assessment, Assessment::Settling(progress) if progress.note.contains("not listed yet")));
}

#[tokio::test]
async fn a_retry_has_a_name_of_its_own_and_only_after_a_failure() {
    let failed = json!({ "error": "States.TaskFailed", "cause": "no such queue" });
    let (assessment, requests) = looked([machine("STANDARD"), missing(), execution("FAILED", &failed)], 2, &[]).await;
    assert!(requests[1].contains("fence-2") && requests[2].contains("fence-1"), "{requests:#?}");
    assert_eq!(change(assessment).args["number"], 2);
    let (assessment, _) = looked([machine("STANDARD"), missing(), execution("SUCCEEDED", &json!({}))], 2, &[]).await;
    assert!(matches!(assessment, Assessment::Over(Outcome { failure: None, .. })));
    let (assessment, _) = looked([machine("STANDARD"), execution("FAILED", &failed)], 1, &[]).await;
    let Assessment::Over(Outcome { failure: Some(why), report }) = assessment else { panic!() };
    assert_eq!(why, "the execution is FAILED: States.TaskFailed: no such queue");
    assert!(report.logs.ends_with(&format!("#/v2/executions/details/{EXECUTION}")), "{report:?}");
}

#[tokio::test]
async fn an_express_one_is_waited_for_within_the_call() {
    let (assessment, _) = looked([machine("EXPRESS")], 1, &[]).await;
    let change = change(assessment);
    assert_eq!((change.call.as_str(), change.repeats), (START_SYNC, Repeats::Never));
    assert!(change.title.contains("cannot be looked up"), "{}", change.title);
    for (status, failure) in [("SUCCEEDED", None), ("TIMED_OUT", Some("the execution is TIMED_OUT"))] {
        let answer = receipt(json!(Execution {
            number: 1,
            id: EXECUTION.to_owned(),
            state: state_of(status),
            logs: "console".to_owned(),
        }));
        let (assessment, requests) = looked([], 1, &[answer]).await;
        let Assessment::Over(outcome) = assessment else { panic!() };
        assert_eq!((outcome.failure.as_deref(), requests.len()), (failure, 0));
    }
}

fn state_of(status: &str) -> State {
    let done = StartSyncExecutionOutput::builder()
        .execution_arn(EXECUTION)
        .start_date(aws_sdk_sfn::primitives::DateTime::from_secs(1))
        .stop_date(aws_sdk_sfn::primitives::DateTime::from_secs(2))
        .status(status.into())
        .output("{}");
    answer(1, "eu-west-1", &done.build().unwrap()).state
}

#[tokio::test]
async fn a_machine_that_is_not_there_is_found_out_beforehand() {
    let (assessment, _) = looked([wire::error("400 Bad Request", "StateMachineDoesNotExist")], 0, &[]).await;
    assert_eq!(assessment, Assessment::Failed { why: format!("there is no state machine {MACHINE}") });
}

#[tokio::test]
async fn what_passes_is_told_from_what_a_person_has_to_repair() {
    use ErrorClass::{Permanent, Transient};
    let codes = [
        ("ExecutionAlreadyExists", Transient),
        ("ExecutionLimitExceeded", Transient),
        ("KmsThrottlingException", Transient),
        ("KmsInvalidStateException", Permanent),
        ("StateMachineDeleting", Permanent),
    ];
    for kind in ["STANDARD", "EXPRESS"] {
        let answers = [machine(kind), missing()];
        let (assessment, _) = looked(answers, 1, &[]).await;
        let change = change(assessment);
        for (code, expected) in codes {
            let (refused, _) = apply(wire::error("400 Bad Request", code), &change).await;
            let Err(ApplyError::NoEffect { why, class }) = refused else { panic!("{code}: {refused:?}") };
            assert!(class == expected && why.ends_with(')'), "{kind} {code}: {why}");
        }
    }
}

#[test]
fn arns_derive_from_the_state_machine_without_its_version() {
    for alias in ["", ":7", ":live"] {
        assert_eq!(with(alias).machine(), MACHINE);
        assert_eq!(with(alias).execution("belay-01k8abcd2345-fence-1"), EXECUTION);
    }
}

#[test]
fn an_address_of_this_network_is_meant_as_it_stands() {
    assert_eq!(without_prefix("http://sync-127.0.0.1:4566/"), Some("http://127.0.0.1:4566/".to_owned()));
    assert_eq!(without_prefix("http://sync-localhost/"), Some("http://localhost/".to_owned()));
    assert_eq!(without_prefix("https://sync-states.eu-west-1.amazonaws.com/"), None);
    assert_eq!(without_prefix("http://127.0.0.1:4566/"), None);
}

#[tokio::test]
async fn the_answer_of_an_express_one_is_the_end_of_it() {
    let (assessment, _) = looked([machine("EXPRESS")], 1, &[]).await;
    let body = json!({
        "executionArn": EXECUTION, "startDate": 1, "stopDate": 2, "status": "FAILED", "error": "NoQueue", "cause": "none",
    });
    let (answered, request) = apply(wire::json(&body), &change(assessment)).await;
    assert!(request.to_ascii_lowercase().contains("host: 127.0.0.1"), "{request}");
    let (assessment, _) = looked([], 1, &[receipt(answered.unwrap())]).await;
    let Assessment::Over(Outcome { failure: Some(why), .. }) = assessment else { panic!() };
    assert_eq!(why, "the execution is FAILED: NoQueue: none");
}
