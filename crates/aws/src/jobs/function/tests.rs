use belay_core::{change::Outcome, input::ErrorClass};
use belay_ports::CheckVerdict;
use jiff::Timestamp;

use super::*;
use crate::{
    jobs::wire::{self, Wire},
    testing::Still,
};

fn with(idempotent: bool) -> With {
    With {
        function: "fence".to_owned(),
        qualifier: Some("live".to_owned()),
        payload: json!({ "queue": "orders" }),
        idempotent,
    }
}

fn scope(tries: u32) -> Scope {
    wire::scope(json!(with(false)), tries)
}

fn configuration() -> String {
    wire::json(&json!({ "FunctionName": "fence", "Timeout": 60, "LoggingConfig": { "LogGroup": "/shop/fence" } }))
}

/// `log`: in base64.
fn answered(headers: &str, payload: &Value) -> String {
    wire::json_with("200 OK", headers, payload)
}

async fn looked(answers: impl IntoIterator<Item = String>, tries: u32, receipts: &[Receipt]) -> Assessment {
    let wire = Wire::new(answers).await;
    let system = Invocation::new(wire.aws().await);
    let found = system.observe(&scope(tries), with(false), receipts).await.unwrap();
    system.assess(&scope(tries), &with(false), &found, None, receipts).unwrap()
}

async fn change(idempotent: bool) -> Change {
    let wire = Wire::new([configuration()]).await;
    let system = Invocation::new(wire.aws().await);
    let found = system.observe(&scope(1), with(idempotent), &[]).await.unwrap();
    match system.assess(&scope(1), &with(idempotent), &found, None, &[]).unwrap() {
        Assessment::Remaining(mut changes) if changes.len() == 1 => changes.remove(0),
        other => panic!("{other:?}"),
    }
}

async fn apply(answer: String) -> (Result<Value, ApplyError>, String) {
    let change = change(false).await;
    let wire = Wire::new([answer]).await;
    let key = Key { run: scope(1).run.unwrap(), step: "fence".to_owned(), attempt: 1 };
    let result = Invocation::new(wire.aws().await).apply(&scope(1), &key, &change).await;
    (result, wire.requests().remove(0))
}

fn receipt(body: Value) -> Receipt {
    Receipt { change: job::START.to_owned(), at: Timestamp::UNIX_EPOCH, body }
}

#[tokio::test]
async fn an_answer_is_the_end_of_it() {
    let (done, request) = apply(answered("x-amz-executed-version: 7\r\n", &json!({ "stopped": 3 }))).await;
    assert!(request.starts_with("POST /2015-03-31/functions/fence/invocations?Qualifier=live"), "{request}");
    assert!(request.contains("x-amz-log-type: Tail") && request.ends_with(r#"{"queue":"orders"}"#), "{request}");
    let done = receipt(done.unwrap());
    assert_eq!(done.body["id"], "version 7");
    let Assessment::Over(Outcome { failure: None, report }) = looked([], 1, std::slice::from_ref(&done)).await else {
        panic!()
    };
    assert_eq!((report.output.as_str(), report.logs.as_str()), (r#"{"stopped":3}"#, "log group /shop/fence"));
    // What has succeeded is not done again because a gate after it has failed.
    let again = looked([configuration()], 2, &[done]).await;
    assert!(matches!(again, Assessment::Over(Outcome { failure: None, .. })), "{again:?}");
}

#[tokio::test]
async fn a_function_error_is_a_failure_with_the_end_of_its_log() {
    // "START\nno such queue\nEND"
    let headers = "x-amz-function-error: Unhandled\r\nx-amz-log-result: U1RBUlQKbm8gc3VjaCBxdWV1ZQpFTkQ=\r\n";
    let (done, _) = apply(answered(headers, &json!({ "errorType": "KeyError", "errorMessage": "'orders'" }))).await;
    let done = receipt(done.unwrap());
    let Assessment::Over(Outcome { failure, report }) = looked([], 1, std::slice::from_ref(&done)).await else {
        panic!()
    };
    assert_eq!(failure.as_deref(), Some("the function has failed (Unhandled): KeyError: 'orders'"));
    assert_eq!(report.output, "START\nno such queue\nEND");
    let again = looked([configuration()], 2, &[done]).await;
    assert!(matches!(&again, Assessment::Remaining(changes) if changes[0].args["number"] == 2), "{again:?}");
}

#[tokio::test]
async fn a_lost_answer_is_left_to_a_person_unless_it_may_run_twice() {
    assert_eq!(change(false).await.repeats, Repeats::Never);
    let twice = change(true).await;
    assert_eq!((twice.repeats, twice.title.as_str()), (Repeats::Converges, "invoke fence:live"));
    let (lost, _) = apply(String::new()).await;
    assert!(matches!(lost, Err(ApplyError::OutcomeUnknown { .. })), "{lost:?}");
}

#[tokio::test]
async fn refusals_are_told_from_what_may_have_run() {
    for (status, code, expected) in [
        ("429 Too Many Requests", "TooManyRequestsException", Some(ErrorClass::Throttled)),
        ("409 Conflict", "ResourceConflictException", Some(ErrorClass::Transient)),
        ("502 Bad Gateway", "ENINotReadyException", Some(ErrorClass::Transient)),
        ("502 Bad Gateway", "SubnetIPAddressLimitReachedException", Some(ErrorClass::Transient)),
        ("502 Bad Gateway", "KMSDisabledException", Some(ErrorClass::Permanent)),
        ("502 Bad Gateway", "SomethingNew", None),
        ("404 Not Found", "ResourceNotFoundException", Some(ErrorClass::Permanent)),
        ("500 Internal Server Error", "ServiceException", None),
    ] {
        let (refused, _) = apply(wire::error(status, code)).await;
        let found = match refused.unwrap_err() {
            ApplyError::NoEffect { class, .. } => Some(class),
            ApplyError::Declined { .. } => panic!("nothing is declined here"),
            ApplyError::OutcomeUnknown { .. } => None,
        };
        assert_eq!(found, expected, "{code}");
    }
}

#[tokio::test]
async fn a_function_that_is_not_there_is_found_out_beforehand() {
    let missing = wire::error("404 Not Found", "ResourceNotFoundException");
    let why = "there is no Lambda function fence:live in this account and region".to_owned();
    assert_eq!(looked([missing], 0, &[]).await, Assessment::Failed { why });
    let broken = json!({ "FunctionName": "fence", "State": "Failed", "StateReason": "its subnet is gone" });
    let why = crate::testing::failed(looked([wire::json(&broken)], 0, &[]).await);
    assert!(why.contains("in the state Failed: its subnet is gone"), "{why}");
}

#[tokio::test]
async fn a_step_that_waits_for_less_than_the_function_may_take_is_told_of_it() {
    let wire = Wire::new([wire::json(&json!({ "FunctionName": "fence", "State": "Active", "Timeout": 900 }))]).await;
    let client = Invocation::new(wire.aws().await);
    let scope = scope(0);
    let found = client.observe(&scope, with(false), &[]).await.unwrap();
    let checks = client.checks(&scope, &with(false), &found, None).unwrap();
    assert_eq!(checks[0].verdict, CheckVerdict::Warn);
    assert!(checks[0].found.contains("may run for 15m, the step waits for 5m"), "{}", checks[0].found);
    let patient = Scope { timeout: Duration::from_secs(1800), ..scope };
    assert!(client.checks(&patient, &with(false), &found, None).unwrap().is_empty());
}

#[test]
fn permissions_name_the_function_however_it_is_written() {
    let arn = "arn:aws:lambda:eu-west-1:111122223333:function:fence:live";
    for function in ["fence", "111122223333:function:fence", "arn:aws:lambda:eu-west-1:111122223333:function:fence"] {
        let with = With { function: function.to_owned(), ..with(false) };
        let scope = crate::testing::scope(json!(with), None, None);
        let client = Invocation::new(Aws::new(
            crate::session::Access::ReadOnly,
            std::sync::Arc::new(Still { wakes: false }),
            std::sync::Arc::new(()),
            Vec::new(),
        ));
        let found = client.permissions(&scope, &with);
        assert!(found.iter().all(|permission| permission.resource == arn), "{function}: {found:?}");
    }
}
