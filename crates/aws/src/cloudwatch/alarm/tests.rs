use aws_sdk_cloudwatch::types::ActionsSuppressedBy;

use super::*;
use crate::{
    session::Access,
    testing::{Still, aws, endpoint, http, target},
};

fn state(value: &str) -> State {
    State {
        value: Some(StateValue::from(value)),
        evaluation: None,
        since: Some("2026-01-31T02:11:07Z".parse().unwrap()),
        reason: Some("Threshold Crossed".to_owned()),
        silenced: None,
    }
}

fn decided(state: Option<&State>, missing: Missing) -> (Health, String) {
    match decide(&Spec { alarm: "errors".to_owned(), missing }, "errors", state, &target()) {
        Finding::Read { health, evidence, .. } => (health, evidence),
        Finding::Unreadable(error) => panic!("{error}"),
    }
}

#[test]
fn the_state_of_an_alarm_is_its_health() {
    let (health, evidence) = decided(Some(&state("ALARM")), Missing::Healthy);
    assert_eq!(health, Health::Unhealthy);
    assert_eq!(evidence, "ALARM since 2026-01-31T02:11:07Z: Threshold Crossed");
    assert_eq!(decided(Some(&state("OK")), Missing::Unhealthy).0, Health::Healthy);
    assert_eq!(decided(Some(&state("PERPLEXED")), Missing::Healthy).0, Health::Unknown);
}

#[test]
fn missing_data_follows_the_plan() {
    let insufficient = state("INSUFFICIENT_DATA");
    assert_eq!(decided(Some(&insufficient), Missing::Unknown).0, Health::Unknown);
    assert_eq!(decided(Some(&insufficient), Missing::Healthy).0, Health::Healthy);
    assert_eq!(decided(Some(&insufficient), Missing::Unhealthy).0, Health::Unhealthy);
}

#[test]
fn an_evaluation_that_went_wrong_is_not_believed() {
    for evaluation in ["PARTIAL_DATA", "EVALUATION_FAILURE", "EVALUATION_ERROR"] {
        let evaluation = Some(EvaluationState::from(evaluation));
        let (health, evidence) = decided(Some(&State { evaluation, ..state("OK") }), Missing::Healthy);
        assert_eq!(health, Health::Unknown, "{evidence}");
    }
}

#[test]
fn an_alarm_that_does_not_exist_is_unknown_whatever_the_plan_says_of_missing_data() {
    let (health, evidence) = decided(None, Missing::Healthy);
    assert_eq!(health, Health::Unknown);
    assert_eq!(evidence, "there is no alarm errors in 111122223333/eu-west-1");
}

#[test]
fn calls_are_merged_by_place_and_hold_a_hundred_names() {
    let (here, there) = (target(), AwsTarget { region: Some("us-east-1".to_owned()), ..target() });
    let names: Vec<String> = (0..250).map(|number| format!("alarm-{number:03}")).collect();
    let twice = names.iter().chain(&names).map(|name| (&here, name.as_str()));
    let calls = calls(twice.chain([(&there, names[0].as_str())]));
    let sizes: Vec<_> = calls.iter().map(|(target, names)| (target.region.as_deref(), names.len())).collect();
    let (eu, us) = (Some("eu-west-1"), Some("us-east-1"));
    assert_eq!(sizes, [(eu, 100), (eu, 100), (eu, 50), (us, 1)]);
}

#[tokio::test]
async fn a_call_that_fails_blinds_all_its_alarms_and_says_why() {
    let endpoint = endpoint(http("500 Internal Server Error", "")).await;
    let sensor = Alarm::new(aws(Access::ReadOnly, &endpoint).await, Arc::new(Still { wakes: false }));
    let query = |alarm: &str| Query {
        signal: alarm.to_owned(),
        spec: serde_json::json!({"alarm": alarm, "missing": "healthy"}),
        aws: AwsTarget { account: None, ..target() },
        baseline: Vec::new(),
    };
    let readings = sensor.read(&[query("errors"), query("latency")]).await;
    assert_eq!(readings.iter().map(|reading| reading.signal.as_str()).collect::<Vec<_>>(), ["errors", "latency"]);
    for reading in readings {
        assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
        assert!(reading.evidence.contains("cloudwatch:DescribeAlarms"), "{}", reading.evidence);
        assert_eq!(reading.source, "cloudwatch default-account/eu-west-1");
    }
}

#[test]
fn silenced_actions_are_told_and_change_no_state() {
    let silenced = State { silenced: disabled(Some(false)), ..state("ALARM") };
    let (health, evidence) = decided(Some(&silenced), Missing::Unknown);
    assert_eq!(health, Health::Unhealthy);
    assert_eq!(evidence, "ALARM since 2026-01-31T02:11:07Z: Threshold Crossed (its actions are disabled)");
    let suppressed = CompositeAlarm::builder()
        .alarm_name("both")
        .actions_enabled(true)
        .actions_suppressed_by(ActionsSuppressedBy::Alarm)
        .actions_suppressed_reason("Actions suppressed by deploy")
        .build();
    let (_, state) = from_composite(suppressed).unwrap();
    let silenced = "its actions are suppressed by Alarm: Actions suppressed by deploy";
    assert_eq!(state.silenced.as_deref(), Some(silenced));
}

#[test]
fn a_log_alarm_has_an_evaluation_of_its_own() {
    let alarm = LogAlarm::builder().alarm_name("logs").state_value(StateValue::Ok);
    let partial = alarm.clone().evaluation_state(EvaluationState::PartialData).build();
    let health = |alarm: LogAlarm| decided(Some(&from_log(alarm).unwrap().1), Missing::Unknown).0;
    assert_eq!((health(alarm.build()), health(partial)), (Health::Healthy, Health::Unknown));
}

const ARN: &str = "arn:aws:cloudwatch:us-east-1:444455556666:alarm:errors: too many";

#[test]
fn an_arn_says_where_the_alarm_is() {
    let role = |account: &str| Some(format!("arn:aws:iam::{account}:role/belay"));
    let there = AwsTarget {
        account: Some("444455556666".to_owned()),
        region: Some("us-east-1".to_owned()),
        role: role("444455556666"),
        external_id: Some("x".to_owned()),
    };
    let here = AwsTarget { role: role("111122223333"), external_id: Some("y".to_owned()), ..target() };
    let stranger = AwsTarget { role: None, external_id: None, ..there.clone() };
    assert_eq!(located(ARN, &there), (there.clone(), "errors: too many"));
    assert_eq!(located(ARN, &here), (stranger, "errors: too many"));
    assert_eq!(located("errors", &here), (here.clone(), "errors"));
}

#[test]
fn an_arn_and_the_signals_own_aws_agree() {
    let found = |alarm: &str, aws: Value| -> Vec<(String, String)> {
        let defects = check(&serde_json::json!({"alarm": alarm, "aws": aws})).into_iter();
        defects.map(|defect| (defect.pointer, defect.message)).collect()
    };
    assert!(found("errors", serde_json::json!({"region": "eu-west-1"})).is_empty());
    assert!(found(ARN, Value::Null).is_empty());
    assert!(found(ARN, serde_json::json!({"region": "us-east-1", "account": "444455556666"})).is_empty());
    let wrong = serde_json::json!({
        "region": "eu-west-1", "account": "111122223333", "role": "arn:aws:iam::777788889999:role/belay"
    });
    let expected = [
        ("/aws/region", "the region eu-west-1 is not that of the alarm's ARN, us-east-1"),
        ("/aws/account", "the account 111122223333 is not that of the alarm's ARN, 444455556666"),
        ("/aws/role", "the role of account 777788889999 is not that of the alarm's ARN, 444455556666"),
    ];
    assert_eq!(found(ARN, wrong), expected.map(|(place, what)| (place.to_owned(), what.to_owned())));
    for wrong in ["arn:aws:sns:eu-west-1:444455556666:errors", "arn:aws:cloudwatch:eu-west-1:4444:alarm:errors"] {
        assert_eq!(found(wrong, Value::Null)[0].0, "/alarm", "{wrong}");
    }
}

#[tokio::test]
async fn an_alarm_of_another_account_needs_a_role_there() {
    let endpoint = endpoint(http("403 Forbidden", "")).await;
    let sensor = Alarm::new(aws(Access::ReadOnly, &endpoint).await, Arc::new(Still { wakes: false }));
    let spec = serde_json::json!({"alarm": ARN, "missing": "unknown"});
    let query = Query { signal: "errors".to_owned(), spec, aws: target(), baseline: Vec::new() };
    let reading = sensor.read(&[query]).await.remove(0);
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
    assert!(reading.evidence.ends_with(ELSEWHERE), "{}", reading.evidence);
    assert_eq!(reading.source, "cloudwatch 444455556666/us-east-1");
}
