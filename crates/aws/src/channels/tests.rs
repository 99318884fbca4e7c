use std::sync::Arc;
use std::time::Duration;

use belay_core::id::IncidentId;
use belay_core::notice::{Facts, IncidentFacts};
use belay_plan::{
    model::Severity,
    notify::{Channel as ChannelEntry, NoticeKind},
};
use belay_ports::Channels as _;
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::{
    session::Access,
    testing::{Still, Wire, form, http},
};

/// Texts that show what they were made of.
struct Plain;

impl Texts for Plain {
    fn plain(&self, kind: &str, notice: &Notice) -> Result<PlainText, String> {
        Ok(self.plain_or_built_in(kind, notice))
    }

    fn plain_or_built_in(&self, kind: &str, notice: &Notice) -> PlainText {
        PlainText { title: format!("größer: {}", notice.facts.kind), body: format!("by {kind}") }
    }

    fn data(&self, notice: &Notice, text: &PlainText) -> Value {
        json!({ "key": notice.key, "title": text.title })
    }
}

const TOPIC: &str = "arn:aws:sns:eu-central-1:111122223333:team";
const BUS: &str = "arn:aws:events:eu-central-1:111122223333:event-bus/ops";

fn notice(kind: &str, arn: &str) -> Notice {
    let channel = ChannelEntry {
        kind: kind.to_owned(),
        spec: json!({ kind: arn }),
        aws: AwsTarget::default(),
        events: vec![NoticeKind::Incident],
        customer_facing: false,
        within: None,
        after: None,
        every: None,
    };
    let mut notify = Notify::default();
    notify.channels.insert("others".to_owned(), channel);
    let incident = IncidentFacts {
        id: IncidentId("mm7q2k9d0a1b".to_owned()),
        opened: Timestamp::UNIX_EPOCH,
        felt_since: None,
        severity: Severity::Major,
        customer_facing: true,
        triggers: vec!["customers_hurt".to_owned()],
        firing: Vec::new(),
        healthy: false,
        evidence: Vec::new(),
        changes: Vec::new(),
        observed: Vec::new(),
        problem: None,
        answer: None,
        why: String::new(),
        timebox_ends: None,
        then: None,
        authority: Vec::new(),
        all: false,
        outcome: None,
    };
    let facts = Facts {
        kind: NoticeKind::Incident,
        update: 0,
        migration: "checkout".to_owned(),
        summary: None,
        drill: false,
        over: false,
        source: None,
        at: Timestamp::UNIX_EPOCH,
        why: String::new(),
        by: None,
        joined: Vec::new(),
        more: 0,
        incident: Some(incident),
        run: None,
        step: None,
        phase: None,
        muted_until: None,
        point_of_no_return: None,
        readiness: None,
    };
    Notice {
        key: "checkout/7/others".to_owned(),
        channel: "others".to_owned(),
        facts,
        notify: Arc::new(notify),
        expected_end: None,
        next_update: None,
        page: "belay status checkout".to_owned(),
        test: false,
    }
}

/// What is sent, and what comes of it.
async fn sent(access: Access, notice: &Notice, answer: String) -> (Result<String, NotSent>, Vec<String>) {
    let wire = Wire::answering(move |_| answer.clone()).await;
    let kind = notice.notify.channels["others"].kind.clone();
    let channels = AwsChannels::new(wire.aws(access).await, Arc::new(Still { wakes: false }), Arc::new(Plain));
    (channels.channel(&kind).unwrap().send(notice).await, wire.requests())
}

fn published() -> String {
    let body = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
        <MessageId>5f2e</MessageId></PublishResult></PublishResponse>";
    http("200 OK", body)
}

#[tokio::test]
async fn a_topic_gets_a_message_that_subscriptions_can_filter() {
    let (result, requests) = sent(Access::ReadWrite, &notice("sns", TOPIC), published()).await;
    assert_eq!(result, Ok("message 5f2e".to_owned()));
    let form = form(&requests[0]);
    assert_eq!((form["Action"].as_str(), form["TopicArn"].as_str()), ("Publish", TOPIC));
    assert_eq!(form["Subject"], "gr??er: incident");
    assert_eq!(form["Message"], "größer: incident\n\nby sns");
    let mut attributes: Vec<(&str, &str)> = (1..=3)
        .map(|number| {
            let at = |part: &str| form[&format!("MessageAttributes.entry.{number}.{part}")].as_str();
            (at("Name"), at("Value.StringValue"))
        })
        .collect();
    attributes.sort_unstable();
    assert_eq!(attributes, [("kind", "incident"), ("migration", "checkout"), ("severity", "major")]);
    assert!(!form.contains_key("MessageDeduplicationId"), "a standard topic refuses it");
}

#[tokio::test]
async fn a_fifo_topic_gets_the_same_id_for_each_try() {
    let notice = notice("sns", &format!("{TOPIC}.fifo"));
    let (_, first) = sent(Access::ReadWrite, &notice, published()).await;
    let (_, again) = sent(Access::ReadWrite, &notice, published()).await;
    let (first, again) = (form(&first[0]), form(&again[0]));
    assert_eq!(first["MessageGroupId"], "checkout");
    assert_eq!(first["MessageDeduplicationId"].len(), 64);
    assert_eq!(first["MessageDeduplicationId"], again["MessageDeduplicationId"]);
}

#[tokio::test]
async fn a_bus_gets_an_event() {
    let answer = http("200 OK", r#"{"FailedEntryCount":0,"Entries":[{"EventId":"11710aed"}]}"#);
    let (result, requests) = sent(Access::ReadWrite, &notice("event_bus", BUS), answer).await;
    assert_eq!(result, Ok("event 11710aed".to_owned()));
    let body: Value = serde_json::from_str(&requests[0]).unwrap();
    let entry = &body["Entries"][0];
    assert_eq!((&entry["Source"], &entry["DetailType"]), (&json!("belay"), &json!("incident")));
    assert_eq!(entry["EventBusName"], BUS);
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail, json!({ "key": "checkout/7/others", "title": "größer: incident" }));
}

#[tokio::test]
async fn an_answer_says_whether_it_is_tried_again() {
    let later = Retry::Later { after: None };
    let error = |code: &str| {
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        )
    };
    let entry = |code: &str| {
        http("200 OK", &format!(r#"{{"FailedEntryCount":1,"Entries":[{{"ErrorCode":"{code}","ErrorMessage":"no"}}]}}"#))
    };
    let (topic, bus) = (notice("sns", TOPIC), notice("event_bus", BUS));
    // A person can mend these during the incident.
    let mended = Retry::Later { after: Some(Duration::from_secs(60)) };
    for (notice, answer, retry, wanted) in [
        (&topic, http("403 Forbidden", &error("AuthorizationError")), mended, "AuthorizationError"),
        (&topic, http("404 Not Found", &error("NotFound")), mended, "NotFound"),
        (&topic, http("400 Bad Request", &error("KMSDisabled")), mended, "KMSDisabled"),
        (&topic, http("400 Bad Request", &error("InvalidParameter")), Retry::Never, "InvalidParameter"),
        (&topic, http("400 Bad Request", &error("Throttling")), later, "Throttling"),
        (&topic, http("500 Oops", &error("InternalError")), later, "InternalError"),
        (&topic, String::new(), later, "sns:Publish"),
        (&bus, entry("ThrottlingException"), later, "ThrottlingException: no"),
        (&bus, entry("NotAuthorizedForSourceException"), mended, "NotAuthorizedForSourceException: no"),
        (&bus, entry("AccessDeniedException"), mended, "AccessDeniedException: no"),
        (&bus, entry("MalformedDetail"), Retry::Never, "MalformedDetail: no"),
        (
            &bus,
            http("400 Bad Request", r#"{"__type":"ResourceNotFoundException"}"#),
            mended,
            "ResourceNotFoundException",
        ),
    ] {
        let (result, requests) = sent(Access::ReadWrite, notice, answer.clone()).await;
        let error = result.unwrap_err();
        assert_eq!(error.retry, retry, "{answer}: {error}");
        assert!(error.why.contains(wanted), "{answer}: {error}");
        assert_eq!(requests.len(), 1, "a notice is tried again by the engine alone: {answer}");
    }
}

#[tokio::test]
async fn a_session_that_may_only_read_sends_no_notice() {
    for notice in [notice("sns", TOPIC), notice("event_bus", BUS)] {
        let (result, requests) = sent(Access::ReadOnly, &notice, published()).await;
        let error = result.unwrap_err();
        assert_eq!(error.retry, Retry::Never);
        assert!(error.why.contains("Belay refused to send it"), "{error}");
        assert_eq!(requests, [""; 0]);
    }
}

#[tokio::test]
async fn a_channel_needs_to_be_sent_to_and_looked_at() {
    let wire = Wire::answering(|_| String::new()).await;
    let aws = wire.aws(Access::ReadOnly).await;
    let channels = AwsChannels::new(aws, Arc::new(Still { wakes: false }), Arc::new(Plain));
    for (kind, arn, send, look) in [
        ("sns", TOPIC, "sns:Publish", "sns:GetTopicAttributes"),
        ("event_bus", BUS, "events:PutEvents", "events:DescribeEventBus"),
    ] {
        let notice = notice(kind, arn);
        let channel = channels.channel(kind).unwrap();
        let permissions = channel.permissions(&notice.notify, "others");
        let permissions: Vec<_> =
            permissions.iter().map(|one| (one.action.as_str(), one.resource.as_str(), one.mutates)).collect();
        assert_eq!(permissions, [(send, arn, true), (look, arn, false)]);
        assert_eq!(channel.preview(&notice), Ok(format!("größer: incident\n\nby {kind}")));
    }
    assert_eq!(wire.requests(), [""; 0]);
    for spec in belay_aws_catalogue::channel_specs() {
        assert!(channels.channel(spec.key).is_some(), "{}", spec.key);
    }
}

#[tokio::test]
async fn a_topic_or_bus_that_is_not_there_cannot_be_used_and_one_that_may_not_be_looked_at_is_unknown() {
    let usable = async |kind: &str, arn: &str, answer: String| {
        let wire = Wire::answering(move |_| answer.clone()).await;
        let aws = wire.aws(Access::ReadOnly).await;
        let channels = AwsChannels::new(aws, Arc::new(Still { wakes: false }), Arc::new(Plain));
        channels.channel(kind).unwrap().usable(&notice(kind, arn).notify, &"others".to_owned()).await
    };
    let topic = "<GetTopicAttributesResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
        <GetTopicAttributesResult><Attributes/></GetTopicAttributesResult></GetTopicAttributesResponse>";
    let error = |code: &str| {
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        )
    };
    let json = |code: &str| json!({ "__type": code, "message": "no" }).to_string();
    for (kind, arn, exists, missing, denied, look) in [
        ("sns", TOPIC, topic.to_owned(), error("NotFound"), error("AuthorizationError"), "sns:GetTopicAttributes"),
        (
            "event_bus",
            BUS,
            json!({ "Arn": BUS }).to_string(),
            json("ResourceNotFoundException"),
            json("AccessDeniedException"),
            "events:DescribeEventBus",
        ),
    ] {
        assert_eq!(usable(kind, arn, http("200 OK", &exists)).await, Ok(Usable::Exists));
        let faults = usable(kind, arn, http("404 Not Found", &missing)).await.unwrap_err();
        let [ChannelFault { pointer, why }] = faults.as_slice() else { panic!("{faults:?}") };
        assert_eq!(*pointer, format!("/{kind}"));
        assert!(why.starts_with(&format!("{arn} does not exist: {look}")), "{why}");
        let found = usable(kind, arn, http("403 Forbidden", &denied)).await;
        let Ok(Usable::Unknown(why)) = found else { panic!("{found:?}") };
        assert!(why.contains(&format!("the role needs {look} on {arn}")), "{why}");
    }
}
