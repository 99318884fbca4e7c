use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use aws_smithy_types::date_time::Format;
use belay_plan::catalogue::Catalogue;
use ciborium::cbor;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    cloudwatch::testing::CloudWatch,
    session::Access,
    testing::{Still, Wire, http},
};

mod observations;

const PLAN: &str = "\
belay: 1
migration: shop
aws: { account: \"111122223333\", region: eu-west-1 }
signals:
  errors: { alarm: shop-5xx }
  latency: { alarm: shop-latency }
steps:
  listener_back:
    action: alb.forward
    with: { listener: \"arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2\" }
    to: { shop-blue: 100, shop-green: 0 }
    require: [errors]
evidence: { cloudtrail: 30m }
";

const LISTENER: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2";

fn question(source: EvidenceSource) -> Question {
    question_of(PLAN, source)
}

fn question_of(text: &str, source: EvidenceSource) -> Question {
    let catalogue = Catalogue::new(belay_aws_catalogue::action_specs(), belay_aws_catalogue::signal_specs());
    let mut plan = belay_plan::load("plan.yaml", text, &catalogue).unwrap().plan;
    // The account is not verified here: nobody answers STS.
    plan.steps.values_mut().for_each(|step| step.aws.account = None);
    plan.signals.values_mut().for_each(|signal| signal.aws.account = None);
    Question { source, plan: Arc::new(plan), opened: "2026-03-01T02:00:00Z".parse().unwrap() }
}

fn still() -> Arc<dyn Clock> {
    Arc::new(Still { wakes: false })
}

/// A minute goes by with each look at it.
#[derive(Default)]
struct Hurried(Mutex<Duration>);

impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        let mut now = self.0.lock().unwrap();
        *now += Duration::from_secs(60);
        *now
    }

    fn sleep<'a>(&'a self, _time: Duration) -> Fut<'a, ()> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn when_time_is_over_no_call_is_begun_and_that_is_said() {
    let evidence = AwsEvidence::new(crate::testing::nowhere(), Arc::new(Hurried::default()));
    for (source, note) in [
        (EvidenceSource::Cloudtrail, "not looked at, since CloudTrail answers too slowly"),
        (EvidenceSource::AlarmHistory, "not all alarms were looked at"),
    ] {
        let gathered = evidence.gather(&question(source)).await;
        assert!(gathered.notes.last().unwrap().ends_with(note), "{:?}", gathered.notes);
    }
}

fn event(minute: u32, name: &str, who: &str, detail: &Value) -> Value {
    let at: Timestamp = format!("2026-03-01T01:{minute:02}:00Z").parse().unwrap();
    json!({ "EventTime": at.as_second(), "EventName": name, "Username": who, "CloudTrailEvent": detail.to_string() })
}

fn page(events: &[Value], next: Option<&str>) -> String {
    http("200 OK", &json!({ "Events": events, "NextToken": next }).to_string())
}

async fn asked(answers: impl IntoIterator<Item = String>) -> (Gathered, Vec<Value>) {
    asked_of(PLAN, EvidenceSource::Cloudtrail, answers).await
}

async fn asked_of(
    plan: &str,
    source: EvidenceSource,
    answers: impl IntoIterator<Item = String>,
) -> (Gathered, Vec<Value>) {
    let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
    let wire = Wire::answering(move |_| answers.lock().unwrap().pop_front().expect("an answer for each call")).await;
    let evidence = AwsEvidence::new(wire.aws(Access::ReadOnly).await, still());
    let gathered = evidence.gather(&question_of(plan, source)).await;
    (gathered, wire.requests().iter().map(|body| serde_json::from_str(body).unwrap()).collect())
}

#[tokio::test]
async fn changes_of_the_plan_s_resources_are_listed_and_others_are_counted() {
    let group = json!({ "requestParameters": { "targetGroupArn": "arn:...:targetgroup/shop-green/6d0ecf831eec9f09" } });
    let bucket = json!({ "requestParameters": { "bucketName": "logs" } });
    let (gathered, calls) = asked([
        page(
            &[
                event(58, "PutObject", "batch", &bucket),
                event(57, "ModifyTargetGroup", "alice", &group),
                event(50, "PutObject", "batch", &bucket),
            ],
            Some("more"),
        ),
        page(
            &[event(
                45,
                "PutMetricAlarm",
                "",
                &json!({
                    "eventSource": "monitoring.amazonaws.com",
                    "requestParameters": { "alarmName": "shop-5xx" },
                    "userIdentity": { "arn": "arn:x" },
                }),
            )],
            None,
        ),
    ])
    .await;
    let found: Vec<String> = gathered.findings.iter().map(|finding| finding.words()).collect();
    assert_eq!(
        found,
        ["01:57:00Z ModifyTargetGroup shop-green by alice", "01:45:00Z PutMetricAlarm shop-5xx by arn:x"]
    );
    assert_eq!(gathered.notes[0], trail::LATE_NOTE);
    assert!(gathered.notes[1].ends_with("2 changes of other resources, by batch (2)"), "{:?}", gathered.notes);
    assert_eq!(gathered.notes.len(), 2);
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0]["LookupAttributes"], json!([{ "AttributeKey": "ReadOnly", "AttributeValue": "false" }]));
    assert_eq!(calls[1]["NextToken"], "more");
    let time = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
    assert_eq!(calls[0]["StartTime"].as_f64(), Some(time("2026-03-01T01:30:00Z") as f64));
    assert_eq!(calls[0]["EndTime"].as_f64(), Some(time("2026-03-01T02:00:00Z") as f64));
}

/// What stands in a user's name, in a policy, in a longer name or at another service proves nothing, and what was refused has
/// changed nothing.
#[tokio::test]
async fn nobody_is_said_to_have_changed_what_they_did_not() {
    let plan = PLAN.replace(
        "\nevidence",
        "
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    to: { blue: 100, green: 0 }
    require: [errors]
evidence",
    );
    let record =
        json!({ "changes": [{ "resourceRecordSet": { "name": "shop.example.com.", "setIdentifier": "blue" } }] });
    let source = |service: &str| format!("{service}.amazonaws.com");
    let of =
        |service: &str, parameters: Value| json!({ "eventSource": source(service), "requestParameters": parameters });
    let zone = json!({ "hostedZoneId": "Z0123456789ABC", "changeBatch": record });
    let mut refused = of("route53", zone.clone());
    refused["errorCode"] = json!("AccessDenied");
    let events = [
        event(59, "ChangeResourceRecordSets", "carl", &of("route53", zone)),
        event(58, "ChangeResourceRecordSets", "alice", &refused),
        event(57, "PutRolePolicy", "bob", &of("iam", json!({ "roleName": "shop-blue-logs" }))),
        event(56, "RunInstances", "shop.example.com-ci-bot", &of("ec2", json!({ "imageId": "ami-1" }))),
        event(
            55,
            "CreateHostedZone",
            "dave",
            &of("route53", json!({ "name": "shop.example.com.attic", "comment": "A" })),
        ),
        event(54, "CreateTags", "erin", &of("ec2", json!({ "tags": [{ "key": "color", "value": "shop-blue" }] }))),
        event(53, "ModifyListener", "frank", &of("elasticloadbalancing", json!({ "listenerArn": LISTENER }))),
    ];
    let answers = [page(&events, None), page(&[], None)];
    let (gathered, _) = asked_of(&plan, EvidenceSource::Cloudtrail, answers).await;
    let found: Vec<String> = gathered.findings.iter().map(|finding| finding.words()).collect();
    let listener = format!("01:53:00Z ModifyListener {LISTENER} by frank");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("01:59:00Z ChangeResourceRecordSets ") && found[0].ends_with(" by carl"), "{found:?}");
    assert_eq!(found[1], listener);
    let notes = gathered.notes.join("\n");
    assert!(notes.contains("1 call was refused on the plan's resources, and changed nothing"), "{notes}");
    assert!(notes.contains("4 changes of other resources") && !notes.contains("alice"), "{notes}");
}

#[tokio::test]
async fn the_second_look_at_cloudtrail_asks_for_the_same_time_and_warns_of_nothing() {
    let (gathered, calls) = asked_of(PLAN, EvidenceSource::CloudtrailLater, [page(&[], None)]).await;
    assert_eq!(gathered, Gathered::default());
    let opened = "2026-03-01T02:00:00Z".parse::<Timestamp>().unwrap().as_second();
    assert_eq!(calls[0]["EndTime"].as_f64(), Some(opened as f64));
}

#[tokio::test]
async fn no_more_than_so_many_pages_are_asked_for_and_that_is_said() {
    let busy = |minute: u32| page(&[event(minute, "PutObject", "batch", &json!({}))], Some("more"));
    let (gathered, calls) = asked((0..20).map(|page| busy(59 - page))).await;
    assert_eq!(calls.len(), 8);
    let cut = "only the latest 8 changes were looked at, back to 2026-03-01T01:52:00Z";
    assert!(gathered.notes.iter().any(|note| note.ends_with(cut)), "{:?}", gathered.notes);
}

#[tokio::test]
async fn a_permission_that_is_not_there_is_a_note() {
    let denied =
        json!({ "__type": "AccessDeniedException", "Message": "not authorized to perform: cloudtrail:LookupEvents" });
    let (gathered, _) = asked([http("400 Bad Request", &denied.to_string())]).await;
    assert_eq!(gathered.findings, []);
    assert!(gathered.notes[1].contains("cloudtrail:LookupEvents"), "{:?}", gathered.notes);
}

#[tokio::test]
async fn the_history_of_each_alarm_is_listed_without_what_it_told_others() {
    let cloudwatch = CloudWatch::start(|asked| {
        let at = aws_smithy_types::DateTime::from_str("2026-03-01T01:59:00Z", Format::DateTime).unwrap();
        let item = |kind: &str, summary: &str| {
            cbor!({
                "Timestamp" => ciborium::Value::Tag(1, Box::new(ciborium::Value::Float(at.as_secs_f64()))),
                "HistoryItemType" => kind,
                "HistorySummary" => summary,
            })
            .unwrap()
        };
        if asked["AlarmName"] == "shop-latency" {
            return ("400 Bad Request", cbor!({ "__type" => "AccessDenied", "message" => "no" }).unwrap());
        }
        let items = vec![item("StateUpdate", "Alarm updated from OK to ALARM"), item("Action", "Successfully told")];
        ("200 OK", cbor!({ "AlarmHistoryItems" => items }).unwrap())
    })
    .await;
    let evidence = AwsEvidence::new(cloudwatch.aws().await, still());
    let gathered = evidence.gather(&question(EvidenceSource::AlarmHistory)).await;
    let found: Vec<String> = gathered.findings.iter().map(|finding| finding.words()).collect();
    assert_eq!(found, ["01:59:00Z Alarm updated from OK to ALARM shop-5xx"]);
    assert!(gathered.notes.len() == 1 && gathered.notes[0].contains("DescribeAlarmHistory"), "{:?}", gathered.notes);
    let asked: Vec<_> = cloudwatch.calls().iter().map(|call| call["AlarmName"].clone()).collect();
    assert_eq!(asked[0], "shop-5xx");
}

#[test]
fn what_is_done_to_route_53_is_asked_for_where_it_shows() {
    let catalogue = Catalogue::new(belay_aws_catalogue::action_specs(), belay_aws_catalogue::signal_specs());
    let dns = "
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    to: { blue: 100, green: 0 }
    require: [errors]
evidence";
    let plan = belay_plan::load("plan.yaml", &PLAN.replace("\nevidence", dns), &catalogue).unwrap().plan;
    let regions: Vec<Option<String>> = places(&Arc::new(plan.clone())).into_iter().map(|place| place.region).collect();
    assert_eq!(regions, [Some("eu-west-1".to_owned()), Some("us-east-1".to_owned())]);
    let needed: Vec<String> = AwsEvidence::new(crate::testing::nowhere(), still())
        .permissions(&plan)
        .into_iter()
        .map(|one| one.action)
        .collect();
    assert_eq!(needed, ["cloudwatch:DescribeAlarmHistory", "cloudtrail:LookupEvents"]);
    assert_eq!(plan.evidence.unwrap().cloudtrail, Some(Duration::from_secs(1800)));
}

fn changed_listener(plan: &Plan) -> Changed<'_> {
    let step = &plan.steps["listener_back"];
    Changed { step, since: "2026-03-01T01:00:00Z".parse().unwrap(), until: "2026-03-01T02:00:00Z".parse().unwrap() }
}

async fn who_changed_it(answers: impl IntoIterator<Item = String>) -> (Gathered, Vec<Value>) {
    let plan = question(EvidenceSource::Cloudtrail).plan;
    let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
    let wire = Wire::answering(move |_| answers.lock().unwrap().pop_front().expect("an answer for each call")).await;
    let evidence = AwsEvidence::new(wire.aws(Access::ReadOnly).await, still());
    let gathered = evidence.changes(changed_listener(&plan)).await;
    assert_eq!(evidence.changes(changed_listener(&plan)).await, gathered, "asked again, nothing is looked up");
    (gathered, wire.requests().iter().map(|body| serde_json::from_str(body).unwrap()).collect())
}

#[tokio::test]
async fn who_changed_a_resource_is_looked_up_by_its_name() {
    let with = |event: Value, key: &str, value: &str| {
        let mut event = event;
        event[key] = json!(value);
        event
    };
    let listed = [
        with(event(58, "DescribeListeners", "watcher", &json!({})), "ReadOnly", "true"),
        with(event(57, "ModifyListener", "alice", &json!({})), "EventId", "1"),
        with(event(57, "ModifyListener", "alice", &json!({})), "EventId", "1"),
    ];
    let (gathered, calls) = who_changed_it([page(&listed, Some("more"))]).await;
    let found: Vec<_> = gathered.findings.iter().map(|one| (one.what.as_str(), one.who.as_deref())).collect();
    assert_eq!(found, [("ModifyListener", Some("alice"))]);
    assert_eq!(calls.len(), 1, "one page");
    let by_name = json!([{ "AttributeKey": "ResourceName", "AttributeValue": LISTENER }]);
    assert_eq!(calls[0]["LookupAttributes"], by_name);
}

#[tokio::test]
async fn where_no_call_lists_the_name_those_that_change_something_are_looked_through() {
    let mentioned = json!({ "requestParameters": { "listenerArn": LISTENER } });
    let others = json!({ "requestParameters": { "listenerArn": "another" } });
    let scanned = [event(50, "ModifyListener", "bob", &others), event(49, "ModifyListener", "alice", &mentioned)];
    let (gathered, calls) = who_changed_it([page(&[], None), page(&scanned, None)]).await;
    assert_eq!(gathered.findings.iter().map(|one| one.who.as_deref()).collect::<Vec<_>>(), [Some("alice")]);
    assert_eq!(calls[1]["LookupAttributes"], json!([{ "AttributeKey": "ReadOnly", "AttributeValue": "false" }]));
    let (nothing, _) = who_changed_it([page(&[], None), page(&[], None)]).await;
    let since = "CloudTrail lists no change of it since 2026-03-01T01:00:00Z";
    assert_eq!((nothing.findings.len(), nothing.notes), (0, vec![since.to_owned(), trail::LATE_NOTE.to_owned()]));
}

#[tokio::test]
async fn who_changed_it_may_not_be_looked_up_and_that_is_a_note() {
    let denied =
        json!({ "__type": "AccessDeniedException", "Message": "not authorized to perform: cloudtrail:LookupEvents" });
    let (gathered, calls) = who_changed_it([http("400 Bad Request", &denied.to_string())]).await;
    assert_eq!((gathered.findings.len(), gathered.notes.len(), calls.len()), (0, 1, 1));
    assert!(gathered.notes[0].contains("cloudtrail:LookupEvents"), "{:?}", gathered.notes);
}
