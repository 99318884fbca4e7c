use std::time::Duration;

use belay_core::{change::Outcome, input::ErrorClass};
use belay_plan::model::AwsTarget;
use belay_ports::CheckVerdict;

use super::*;
use crate::jobs::wire::{self, Wire};

const ID: &str = "4105a4fc-f944-11e6-9d32-0a1b2c3d495h";

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-03-01T02:03:00Z".parse().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep<'a>(&'a self, _time: Duration) -> Fut<'a, ()> {
        Box::pin(std::future::pending())
    }
}

fn scope(tries: u32) -> Scope {
    let with = json!({ "document": "Fence", "version": "3", "parameters": { "Queue": "orders", "Hosts": ["a", "b"] } });
    wire::scope(with, tries)
}

fn with() -> With {
    With::deserialize(scope(1).with).unwrap()
}

async fn automation(wire: &Wire) -> Automation {
    Automation::new(wire.aws().await, Arc::new(Still))
}

fn assess(wire: &Automation, scope: &Scope, found: &Found) -> Assessment {
    wire.assess(scope, &with(), found, None, &[]).unwrap()
}

fn execution(status: &str, more: &Value) -> String {
    let mut body = json!({
        "AutomationExecutionId": ID, "DocumentName": "Fence", "AutomationExecutionStatus": status,
        "ExecutionStartTime": 1_772_330_460, "StepExecutionsTruncated": false,
    });
    let more = more.as_object().into_iter().flatten();
    more.for_each(|(key, value)| body[key] = value.clone());
    wire::json(&json!({ "AutomationExecution": body }))
}

fn step(name: &str, status: &str) -> Value {
    json!({ "StepName": name, "StepStatus": status, "Action": "aws:executeScript" })
}

fn nothing() -> Found {
    Found { newest: None, document: None }
}

fn receipt() -> Receipt {
    let started = Started { number: 1, id: ID.to_owned(), logs: "console".to_owned() };
    Receipt { change: job::START.to_owned(), at: Timestamp::UNIX_EPOCH, body: json!(started) }
}

async fn looked(answer: String) -> Assessment {
    let wire = Wire::new([answer]).await;
    let automation = automation(&wire).await;
    let found = automation.observe(&scope(1), with(), &[receipt()]).await.unwrap();
    assess(&automation, &scope(1), &found)
}

#[tokio::test]
async fn a_start_carries_token_tags_and_parameters() {
    let wire = Wire::new([wire::json(&json!({ "AutomationExecutionId": ID }))]).await;
    let automation = automation(&wire).await;
    let Assessment::Remaining(changes) = assess(&automation, &scope(1), &nothing()) else { panic!() };
    assert_eq!((changes[0].title.as_str(), changes[0].repeats), ("run the automation Fence version 3", Repeats::Token));
    let key = Key { run: scope(1).run.unwrap(), step: "fence".to_owned(), attempt: 7 };
    let receipt = automation.apply(&scope(1), &key, &changes[0]).await.unwrap();
    assert_eq!(receipt["id"], ID);
    let console = receipt["logs"].as_str().unwrap();
    assert!(console.starts_with("https://eu-west-1.console.aws.amazon.com/systems-manager/automation/execution/4105"));
    let request = &wire.requests()[0];
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["DocumentName"], "Fence");
    assert_eq!(body["DocumentVersion"], "3");
    assert_eq!(body["Parameters"], json!({ "Queue": ["orders"], "Hosts": ["a", "b"] }));
    assert_eq!(body["ClientToken"], Identity::new(&scope(1), 1).unwrap().token());
    let keys: Vec<&str> = body["Tags"].as_array().unwrap().iter().filter_map(|tag| tag["Key"].as_str()).collect();
    assert_eq!(keys, ["belay:migration", "belay:run", "belay:step", "belay:01k8abcd2345:fence:1"]);
}

#[tokio::test]
async fn after_a_lost_answer_it_is_found_by_its_tag_alone() {
    let listed = wire::json(&json!({ "AutomationExecutionMetadataList": [
        { "AutomationExecutionId": "another" }, { "AutomationExecutionId": ID },
    ] }));
    let tags = |key: &str| wire::json(&json!({ "TagList": [{ "Key": key, "Value": "job" }] }));
    let answers = [
        listed.clone(),
        tags("belay:01k8abcd2345:fence:2"),
        tags("belay:01k8abcd2345:fence:1"),
        execution("InProgress", &json!({})),
    ];
    let wire = Wire::new(answers).await;
    let found = automation(&wire).await.observe(&scope(1), with(), &[]).await.unwrap();
    assert_eq!(found.newest.unwrap().id, ID);
    assert!(wire.requests()[0].contains(r#""Key":"TagKey","Values":["belay:01k8abcd2345:fence:1"]"#));

    let wire = Wire::new([listed, tags("team"), tags("team")]).await;
    let found = automation(&wire).await.observe(&scope(1), with(), &[]).await.unwrap();
    assert_eq!(found.newest, None);
}

/// What arming finds of a document.
async fn before_a_run(answer: String) -> (Assessment, Vec<Check>) {
    let wire = Wire::new([answer]).await;
    let (automation, scope) = (automation(&wire).await, scope(0));
    let found = automation.observe(&scope, with(), &[]).await.unwrap();
    assert!(wire.requests()[0].contains("AmazonSSM.DescribeDocument"));
    (assess(&automation, &scope, &found), automation.checks(&scope, &with(), &found, None).unwrap())
}

fn document(kind: &str, parameters: &Value) -> String {
    let document = json!({ "Name": "Fence", "DocumentType": kind, "Status": "Active", "Parameters": parameters });
    wire::json(&json!({ "Document": document }))
}

#[tokio::test]
async fn a_document_that_does_not_take_the_plan_is_found_out_before_it_is_needed() {
    let declared =
        json!([{ "Name": "Queue" }, { "Name": "Hosts", "DefaultValue": "" }, { "Name": "Speed", "DefaultValue": "1" }]);
    let (fine, checks) = before_a_run(document("Automation", &declared)).await;
    assert!(matches!(fine, Assessment::Remaining(_)) && checks.is_empty(), "{fine:?}");
    let missing = |code: &str| wire::error("400 Bad Request", code);
    let cases = [
        (missing("InvalidDocument"), "there is no document Fence"),
        (missing("InvalidDocumentVersion"), "the document Fence has no version 3"),
        (document("Command", &declared), "Fence is a document of the type Command"),
        (document("Automation", &json!([{ "Name": "Queue" }])), "no parameter Hosts; its parameters are: Queue"),
        (
            document("Automation", &json!([{ "Name": "Queue" }, { "Name": "Hosts" }, { "Name": "Zone" }])),
            "the document Fence needs the parameter Zone",
        ),
    ];
    for (answer, expected) in cases {
        let why = crate::testing::failed(before_a_run(answer).await.0);
        assert!(why.contains(expected), "{why}");
    }
    let (fine, checks) = before_a_run(missing("AccessDeniedException")).await;
    assert!(matches!(fine, Assessment::Remaining(_)), "{fine:?}");
    assert_eq!(checks[0].verdict, CheckVerdict::Unknown);
}

#[tokio::test]
async fn progress_counts_the_steps() {
    let steps = json!({
        "StepExecutions": [step("stop", "Success"), step("drain", "InProgress"), step("tell", "Pending")],
        "CurrentStepName": "drain",
    });
    let Assessment::Settling(progress) = looked(execution("InProgress", &steps)).await else { panic!() };
    assert_eq!(progress.note, "step 2 of 3: drain, running for 2m");
    assert_eq!(progress.fraction, Some(1.0 / 3.0));
    let Assessment::Settling(progress) = looked(execution("PendingApproval", &json!({}))).await else { panic!() };
    assert_eq!(
        progress.note,
        "it is under way; it waits for an approval in Systems Manager: approve it there, running for 2m"
    );
    let approval = json!({
        "StepExecutions": [step("stop", "Success"), { "StepName": "ask", "StepStatus": "Waiting", "Action": "aws:approve" }],
        "CurrentStepName": "ask", "CurrentAction": "aws:approve",
    });
    let Assessment::Settling(progress) = looked(execution("Waiting", &approval)).await else { panic!() };
    assert!(progress.note.starts_with("step 2 of 2: ask; it waits for an approval in Systems Manager"), "{progress:?}");
}

#[tokio::test]
async fn an_accepted_start_that_is_not_listed_yet_is_waited_for() {
    let missing = wire::error("400 Bad Request", "AutomationExecutionNotFoundException");
    assert!(
        matches!(looked(missing).await, Assessment::Settling(progress) if progress.note.contains("not listed yet"))
    );
}

#[tokio::test]
async fn outputs_and_failures_go_on_record() {
    let outputs = json!({ "Outputs": { "stop.State": ["stopped", "stopped"], "drain.Left": ["0"] } });
    let Assessment::Over(Outcome { failure: None, report }) = looked(execution("Success", &outputs)).await else {
        panic!()
    };
    assert_eq!(report.output, "drain.Left: 0\nstop.State: stopped, stopped");
    assert!(report.logs.contains(ID));
    let steps = json!({ "StepExecutions": [step("stop", "Success"), step("drain", "Failed")], "FailureMessage": "no such queue" });
    for (status, expected) in [
        ("Failed", "the automation is Failed at step drain: no such queue"),
        ("TimedOut", "the automation is TimedOut at step drain: no such queue"),
        ("Cancelled", "the automation is Cancelled at step drain: no such queue"),
    ] {
        let Assessment::Over(Outcome { failure, .. }) = looked(execution(status, &steps)).await else { panic!() };
        assert_eq!(failure.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (code, expected) in [
        ("IdempotentParameterMismatch", ErrorClass::Transient),
        ("AutomationExecutionLimitExceededException", ErrorClass::Transient),
        ("AutomationExecutionLimitExceeded", ErrorClass::Transient),
        ("AutomationDefinitionNotFoundException", ErrorClass::Permanent),
    ] {
        let wire = Wire::new([wire::error("400 Bad Request", code)]).await;
        let automation = automation(&wire).await;
        let Assessment::Remaining(changes) = assess(&automation, &scope(1), &nothing()) else { panic!() };
        let key = Key { run: scope(1).run.unwrap(), step: "fence".to_owned(), attempt: 1 };
        let error = automation.apply(&scope(1), &key, &changes[0]).await.unwrap_err();
        let ApplyError::NoEffect { why, class } = error else { panic!("{code}") };
        assert!(class == expected && why.contains(code) && why.ends_with(')'), "{why}");
    }
}

#[test]
fn permissions_hand_on_the_role_of_the_document() {
    let mut with = with();
    let role = "arn:aws:iam::111122223333:role/fence";
    with.parameters.insert("AutomationAssumeRole".to_owned(), Values::One(role.to_owned()));
    let scope = Scope {
        aws: AwsTarget {
            account: Some("111122223333".to_owned()),
            region: Some("eu-west-1".to_owned()),
            ..AwsTarget::default()
        },
        ..scope(0)
    };
    let all: Vec<String> =
        permissions(&scope, &with).iter().map(|one| format!("{} {}", one.action, one.resource)).collect();
    for expected in [
        "ssm:StartAutomationExecution arn:aws:ssm:eu-west-1:*:automation-definition/Fence:*".to_owned(),
        "ssm:GetAutomationExecution arn:aws:ssm:eu-west-1:111122223333:automation-execution/*".to_owned(),
        format!("iam:PassRole {role}"),
    ] {
        assert!(all.contains(&expected), "{expected}: {all:#?}");
    }
}
