//! SIGKILL between a notice that was sent and its record, at each channel: what its receiver got is at most one twice, and where the
//! channel has a key, it is the same.

use belay_tests::{Hold, Kind, MailServer, Receiver, StatusPage, When, wait_until};
use serde_json::{Value, json};

use crate::stage::{DNS_PLAN, Daemon, Stage};

/// A part of an address that nobody else may see.
const TOKEN: &str = "T0ken-of-the-hook-7f3a";

/// Asks for a rollback, which is what the channels of these tests are told of.
fn roll_back(stage: &Stage, daemon: &Daemon) {
    let path = format!("/v1/migrations/{}/rollback", stage.name());
    assert_eq!(daemon.post(&path, &json!({ "reason": "orders fail" })).status, 202);
}

fn wait_for_all_sent(daemon: &Daemon, channel: &str) {
    daemon.wait_until("everything to be sent", |migration| {
        let channel = &migration["notices"][channel];
        (channel["waiting"] == 0 && channel["sent"] == 1).then_some(())
    });
}

/// Each channel with what its address is called, and where it has a key, what tells the receiver that it has the notice already.
#[test]
fn a_kill_between_sent_and_recorded_tells_each_channel_twice_at_most_and_under_one_key() {
    const CHANNELS: [(&str, &str, Option<&str>); 3] = [
        ("slack", "{ slack: env:SLACK, insecure: true, events: [decision] }", None),
        ("teams", "{ teams: env:TEAMS, insecure: true, events: [decision] }", None),
        (
            "pagerduty",
            "{ pagerduty: env:ROUTING_KEY, url: \"URL\", insecure: true, events: [decision] }",
            Some("/dedup_key"),
        ),
    ];
    let mut stage = Stage::cut_over("twice", &[]);
    let receivers = CHANNELS.map(|_| Receiver::start());
    stage.belay.env("SLACK", &receivers[0].url(TOKEN)).env("TEAMS", &receivers[1].url(TOKEN)).env("ROUTING_KEY", TOKEN);
    let channels = CHANNELS.iter().zip(&receivers).map(|((name, channel, _), receiver)| {
        let url = receiver.url("");
        format!("  {name}: {}\n", channel.replace("URL", url.trim_end_matches('/')))
    });
    let plan = stage.plan(&format!("{DNS_PLAN}\nnotify:\n{}", channels.collect::<String>()));
    let daemon = stage.serve_armed(&plan);
    receivers.iter().for_each(Receiver::hold);
    let path = format!("/v1/migrations/{}/rollback", stage.name());
    assert_eq!(daemon.post(&path, &json!({ "reason": "orders fail" })).status, 202);
    receivers.iter().for_each(|receiver| drop(receiver.wait_for_count(1)));
    daemon.wait_for_state("rolled_back");
    daemon.kill();

    receivers.iter().for_each(|receiver| receiver.answer_with(200));
    let daemon = stage.serve(&plan);
    for ((name, _, key), receiver) in CHANNELS.iter().zip(&receivers) {
        daemon.wait_until("everything to be sent", |migration| {
            (migration["notices"][name]["waiting"] == 0).then_some(())
        });
        let hooks = receiver.hooks();
        assert_eq!(hooks.len(), 2, "{name}: {hooks:?}");
        if let Some(key) = key {
            let keys: Vec<_> = hooks.iter().map(|hook| hook.body.pointer(key)).collect();
            assert!(keys[0].is_some() && keys[0] == keys[1], "{name}: {keys:?}");
        }
    }
}

#[test]
fn a_mail_is_sent_again_under_the_same_message_id() {
    let mut stage = Stage::cut_over("mailed", &[]);
    let server = MailServer::holding_the_first();
    stage.belay.env("SMTP", &server.url());
    let notify = "
notify:
  cto:
    email: { to: [cto@example.com], from: belay@example.com, smtp: env:SMTP }
    insecure: true
    events: [decision]
";
    let plan = stage.plan(&format!("{DNS_PLAN}{notify}"));
    let daemon = stage.serve_armed(&plan);
    roll_back(&stage, &daemon);
    server.wait_for_count(1);
    daemon.wait_for_state("rolled_back");
    daemon.kill();

    let daemon = stage.serve(&plan);
    wait_for_all_sent(&daemon, "cto");
    let ids: Vec<String> = server.mails().iter().map(message_id).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert_eq!(ids[0], ids[1]);
}

fn message_id(mail: &Value) -> String {
    let mut lines = mail["mail"].as_str().unwrap().lines();
    lines.find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().to_owned()
}

#[test]
fn a_status_page_shows_one_incident_and_is_not_asked_twice() {
    let mut stage = Stage::cut_over("published", &[]);
    let page = StatusPage::start();
    stage.belay.env("PAGE_KEY", TOKEN);
    let url = page.url();
    let notify = format!(
        "
notify:
  customers: {{ statuspage: {{ page: abc, component: def, key: env:PAGE_KEY }}, url: \"{url}\", insecure: true, events: [decision] }}
"
    );
    let plan = stage.plan(&format!("{DNS_PLAN}{notify}"));
    let daemon = stage.serve_armed(&plan);
    page.hold();
    roll_back(&stage, &daemon);
    let published = page.wait_for_incident();
    daemon.wait_for_state("rolled_back");
    daemon.kill();

    page.release();
    let daemon = stage.serve(&plan);
    wait_for_all_sent(&daemon, "customers");
    // The page is looked at first: the notice's key in the incident's metadata shows that it is there already.
    assert_eq!((page.published(), page.incidents()), (1, vec![published]));
}

#[test]
fn topics_and_buses_get_it_twice_at_most_and_a_fifo_topic_under_one_id() {
    let mut stage = Stage::cut_over("relayed", &[]);
    let world = &stage.world;
    let text = |answer: &Value, pointer: &str| -> String {
        answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}: {answer}")).to_owned()
    };
    let queue = |name: &str| -> (String, String) {
        let url = text(&world.call("sqs", "create_queue", &json!({ "QueueName": name })), "/QueueUrl");
        let asked = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
        let arn = text(&world.call("sqs", "get_queue_attributes", &asked), "/Attributes/QueueArn");
        (url, arn)
    };
    let name = stage.name().to_owned();
    let (of_topic, of_topic_arn) = queue(&format!("{name}-topic"));
    let (of_bus, of_bus_arn) = queue(&format!("{name}-bus"));
    let topic = text(&world.call("sns", "create_topic", &json!({ "Name": name })), "/TopicArn");
    let fifo = json!({ "Name": format!("{name}.fifo"), "Attributes": { "FifoTopic": "true" } });
    let fifo = text(&world.call("sns", "create_topic", &fifo), "/TopicArn");
    world.call("sns", "subscribe", &json!({ "TopicArn": topic, "Protocol": "sqs", "Endpoint": of_topic_arn }));
    let bus = text(&world.call("events", "create_event_bus", &json!({ "Name": name })), "/EventBusArn");
    let rule =
        json!({ "Name": name, "EventBusName": name, "EventPattern": json!({ "source": ["belay"] }).to_string() });
    world.call("events", "put_rule", &rule);
    let target = json!({ "Rule": name, "EventBusName": name, "Targets": [{ "Id": "queue", "Arn": of_bus_arn }] });
    world.call("events", "put_targets", &target);
    let notify = format!(
        "
notify:
  topic: {{ sns: \"{topic}\", events: [decision] }}
  ordered: {{ sns: \"{fifo}\", events: [decision] }}
  bus: {{ event_bus: \"{bus}\", events: [decision] }}
"
    );
    let plan = stage.plan(&format!("{DNS_PLAN}{notify}"));
    let daemon = stage.serve(&plan);
    // fakecloud takes events for the ARN of a bus, and describes no bus by it.
    let armed = stage.belay.run(&["arm", "--accept-unknown"]);
    assert_eq!(armed.code, 0, "{armed}");
    let hold = Hold::new();
    stage.proxy.fault("sns", "Publish", When::First(2), Kind::HoldAnswer(hold.clone()));
    stage.proxy.fault("events", "PutEvents", When::First(1), Kind::HoldAnswer(hold.clone()));
    roll_back(&stage, &daemon);
    stage.proxy.wait_until("the three to be on their way", |calls| {
        let sent = calls.iter().filter(|call| ["Publish", "PutEvents"].contains(&call.action.as_str()));
        (sent.count() == 3).then_some(())
    });
    daemon.wait_for_state("rolled_back");
    daemon.kill();

    hold.release();
    let daemon = stage.serve(&plan);
    for channel in ["topic", "ordered", "bus"] {
        wait_for_all_sent(&daemon, channel);
    }
    for (url, what) in [(&of_topic, "topic"), (&of_bus, "bus")] {
        let mut got = Vec::new();
        wait_until(&format!("what the {what} got twice"), || {
            let asked = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10 });
            let answer = stage.world.call("sqs", "receive_message", &asked);
            got.extend(answer["Messages"].as_array().cloned().unwrap_or_default());
            (got.len() >= 2).then_some(())
        });
        assert_eq!(got.len(), 2, "{what}: {got:?}");
    }
    let calls = stage.proxy.calls();
    let ids: Vec<_> = calls.iter().filter_map(|call| call.parameter("MessageDeduplicationId")).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert_eq!(ids[0], ids[1]);
}
