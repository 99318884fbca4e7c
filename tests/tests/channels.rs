//! The channels of AWS against an emulator: what a subscriber and a rule of somebody else's making get.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use belay_aws::{
    Resolver,
    channels::AwsChannels,
    session::{Access, Aws},
};
use belay_channels::{Texts, samples};
use belay_plan::{
    model::AwsTarget,
    notify::{Channel, NoticeKind, Notify},
};
use belay_ports::{ChannelFault, Channels, Clock, Fut, NotSent, Notice, Retry, Usable, channel::REFUSED_WAIT};
use belay_tests::{Boto, Emulator, testbed::REGION};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

struct Time;

impl Clock for Time {
    fn now(&self) -> jiff::Timestamp {
        "2026-03-01T02:11:00Z".parse().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

struct NoNames;

impl Resolver for NoNames {
    fn addresses<'a>(&'a self, _name: &'a str) -> Fut<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async { Err("no name is asked for".to_owned()) })
    }
}

/// An emulator, seen by Belay and by boto3.
struct World {
    runtime: Runtime,
    channels: AwsChannels,
    boto: Boto,
    _emulator: Emulator,
}

impl World {
    fn new() -> Self {
        let emulator = Emulator::moto();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(emulator.url())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")));
        let config = runtime.block_on(config.load());
        let aws = Aws::with_config(Access::ReadWrite, Arc::new(Time), Arc::new(()), config, Arc::new(NoNames));
        let channels = AwsChannels::new(aws, Arc::new(Time), Arc::new(Texts));
        Self { runtime, channels, boto: Boto::at(emulator.url()), _emulator: emulator }
    }

    fn queue(&self, name: &str, attributes: Value) -> (String, String) {
        let url = self.boto.call("sqs", "create_queue", &json!({ "QueueName": name, "Attributes": attributes }));
        let url = url["QueueUrl"].as_str().unwrap().to_owned();
        let wanted = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
        let arn = self.boto.call("sqs", "get_queue_attributes", &wanted);
        (url, arn["Attributes"]["QueueArn"].as_str().unwrap().to_owned())
    }

    fn topic(&self, name: &str, attributes: Value, queue: &str) -> String {
        let topic = self.boto.call("sns", "create_topic", &json!({ "Name": name, "Attributes": attributes }));
        let topic = topic["TopicArn"].as_str().unwrap().to_owned();
        let subscription = json!({ "TopicArn": topic, "Protocol": "sqs", "Endpoint": queue });
        self.boto.call("sns", "subscribe", &subscription);
        topic
    }

    /// The messages in a queue, as JSON.
    fn messages(&self, queue: &str) -> Vec<Value> {
        let wanted = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10 });
        let answer = self.boto.call("sqs", "receive_message", &wanted);
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|message| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()).collect()
    }

    fn usable(&self, kind: &str, arn: &str) -> Result<Usable, Vec<ChannelFault>> {
        let notify = notice(kind, arn).notify;
        self.runtime.block_on(self.channels.channel(kind).unwrap().usable(&notify, &kind.to_owned()))
    }

    fn send(&self, kind: &str, arn: &str) -> Result<String, NotSent> {
        let notice = notice(kind, arn);
        self.runtime.block_on(self.channels.channel(kind).unwrap().send(&notice))
    }
}

fn notice(kind: &str, arn: &str) -> Notice {
    let channel = Channel {
        kind: kind.to_owned(),
        spec: json!({ kind: arn }),
        aws: AwsTarget::default(),
        events: NoticeKind::ALL.to_vec(),
        customer_facing: false,
        within: None,
        after: None,
        every: None,
    };
    let mut notify = Notify::default();
    notify.channels.insert(kind.to_owned(), channel);
    let facts = samples::all(NoticeKind::Incident).remove(0).facts;
    Notice { notify: Arc::new(notify), ..samples::notice(facts, kind) }
}

#[test]
fn a_subscriber_of_a_topic_gets_the_notice() {
    let world = World::new();
    let (url, queue) = world.queue("ops", json!({}));
    let topic = world.topic("ops", json!({}), &queue);
    assert!(world.send("sns", &topic).unwrap().starts_with("message "));
    let messages = world.messages(&url);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0]["Subject"], "checkout-cutover: critical incident");
    let text = messages[0]["Message"].as_str().unwrap();
    assert!(text.contains("\n\ncustomers_hurt fired at 2026-03-01 02:11 UTC.\n\nBelay rolls back.\n"), "{text}");
    let attributes: BTreeMap<String, Value> = serde_json::from_value(messages[0]["MessageAttributes"].clone()).unwrap();
    let values: Vec<_> =
        attributes.iter().map(|(name, value)| (name.as_str(), value["Value"].as_str().unwrap())).collect();
    assert_eq!(values, [("kind", "incident"), ("migration", "checkout-cutover"), ("severity", "critical")]);
}

#[test]
fn a_notice_that_is_sent_twice_comes_once_out_of_a_fifo_topic() {
    let world = World::new();
    let (url, queue) = world.queue("ops.fifo", json!({ "FifoQueue": "true" }));
    let topic = world.topic("ops.fifo", json!({ "FifoTopic": "true" }), &queue);
    for _ in 0..2 {
        world.send("sns", &topic).unwrap();
    }
    assert_eq!(world.messages(&url).len(), 1);
}

#[test]
fn a_rule_of_a_bus_gets_the_facts() {
    let world = World::new();
    let (url, queue) = world.queue("events", json!({}));
    let bus = world.boto.call("events", "create_event_bus", &json!({ "Name": "ops" }));
    let pattern = json!({ "source": ["belay"], "detail-type": ["incident"] }).to_string();
    let rule = json!({ "Name": "incidents", "EventBusName": "ops", "EventPattern": pattern });
    world.boto.call("events", "put_rule", &rule);
    let target = json!({ "Rule": "incidents", "EventBusName": "ops", "Targets": [{ "Id": "queue", "Arn": queue }] });
    world.boto.call("events", "put_targets", &target);
    assert!(world.send("event_bus", bus["EventBusArn"].as_str().unwrap()).unwrap().starts_with("event "));
    let events = world.messages(&url);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["source"], &events[0]["detail-type"]), (&json!("belay"), &json!("incident")));
    assert_eq!(events[0]["detail"]["facts"]["incident"]["severity"], "critical");
    assert_eq!(events[0]["detail"]["title"], "checkout-cutover: critical incident");
}

/// A person can make it during the incident, so the notice is tried again.
#[test]
fn a_topic_that_is_not_there_is_found_out_and_tried_again() {
    let world = World::new();
    let gone = format!("arn:aws:sns:{REGION}:123456789012:gone");
    let error = world.send("sns", &gone).unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: Some(REFUSED_WAIT) });
    assert!(error.why.contains("NotFound"), "{error}");
    let topic = world.boto.call("sns", "create_topic", &json!({ "Name": "ops" }));
    let bus = world.boto.call("events", "create_event_bus", &json!({ "Name": "ops" }));
    let (topic, bus) = (topic["TopicArn"].as_str().unwrap(), bus["EventBusArn"].as_str().unwrap());
    let no_bus = format!("arn:aws:events:{REGION}:123456789012:event-bus/gone");
    for (kind, there, gone) in [("sns", topic, gone), ("event_bus", bus, no_bus)] {
        assert_eq!(world.usable(kind, there), Ok(Usable::Exists));
        let why = world.usable(kind, &gone).unwrap_err().remove(0).why;
        assert!(why.starts_with(&format!("{gone} does not exist")), "{why}");
    }
}
