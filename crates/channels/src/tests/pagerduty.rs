use belay_plan::notify::NoticeKind;
use belay_ports::Retry;
use serde_json::{Value, json};

use super::{
    Team,
    receiver::{Received, Receiver, answer},
};
use crate::Channels;

const TAKEN: &str = r#"{"status":"success","message":"Event processed","dedup_key":"x"}"#;

fn team(url: &str) -> Team {
    Team::new(
        "pagerduty",
        &[("key", "0123456789abcdef0123456789abcdef")],
        |secret| json!({ "pagerduty": secret("key"), "url": url, "insecure": true }),
    )
}

#[tokio::test]
async fn an_incident_is_triggered_acknowledged_and_resolved_under_one_key() {
    // What is asked of people meanwhile pages on its own, and is over with the run.
    let receiver = Receiver::new(&[&answer("202 Accepted", &[], TAKEN)]).await;
    let team = team(&receiver.url(""));
    for (kind, action) in [
        (NoticeKind::Incident, "trigger"),
        (NoticeKind::Decision, "acknowledge"),
        (NoticeKind::Approval, "trigger"),
        (NoticeKind::Halted, "trigger"),
        (NoticeKind::Finished, "resolve"),
        (NoticeKind::Recovered, "resolve"),
    ] {
        assert_eq!(team.tell(kind).await, Ok(format!("202 Event processed ({action})")));
    }
    let received: Vec<Received> = receiver.received();
    let acts: Vec<String> = received.iter().map(act).collect();
    assert_eq!(
        acts,
        [
            "trigger ",
            "acknowledge ",
            "trigger /approval/db_back",
            "trigger /halted",
            "resolve ",
            "resolve /approval",
            "resolve /step_failed",
            "resolve /halted",
            "resolve /approval/db_back",
            "resolve /step_failed/db_back",
            "resolve ",
        ]
    );
    assert!(received.iter().all(|event| event.line == "POST /v2/enqueue"));

    let trigger = received[0].json();
    assert_eq!(trigger["routing_key"], "0123456789abcdef0123456789abcdef");
    assert_eq!(trigger["event_action"], "trigger");
    let payload = &trigger["payload"];
    assert_eq!(payload["summary"], "checkout-cutover: critical incident");
    assert_eq!((&payload["severity"], &payload["source"]), (&json!("critical"), &json!("checkout-cutover")));
    assert_eq!(payload["timestamp"], "2026-03-01T02:11:00Z");
    assert_eq!(payload["custom_details"]["facts"]["incident"]["triggers"], json!(["customers_hurt"]));
    let resolve = received[4].json();
    assert_eq!((&resolve["event_action"], &resolve["payload"]), (&json!("resolve"), &json!(null)));
}

/// `trigger /halted`: the action, and the key below the one of the incident.
fn act(event: &Received) -> String {
    let event = event.json();
    let key =
        event["dedup_key"].as_str().unwrap().strip_prefix("belay/checkout-cutover/mm7q2k9d0a1b").unwrap().to_owned();
    format!("{} {key}", event["event_action"].as_str().unwrap())
}

#[tokio::test]
async fn only_what_was_observed_resolves_and_only_a_person_acknowledges() {
    for (kind, sample, wanted) in [
        // Decided by the end of the timebox.
        (NoticeKind::Decision, 2, "trigger "),
        (NoticeKind::Finished, 0, "resolve "),
        // Aborted, disarmed, rolled back without a confirmation.
        (NoticeKind::Finished, 2, "trigger "),
        (NoticeKind::Finished, 4, "trigger "),
        (NoticeKind::Finished, 5, "trigger "),
        (NoticeKind::Finished, 6, "resolve "),
    ] {
        let receiver = Receiver::new(&[&answer("202 Accepted", &[], TAKEN)]).await;
        let team = team(&receiver.url(""));
        team.send(&team.notice(kind, sample)).await.unwrap();
        assert_eq!(act(&receiver.received()[0]), wanted, "{kind} {sample}");
    }
}

#[tokio::test]
async fn a_rollback_without_an_incident_has_the_key_of_its_run() {
    let receiver = Receiver::new(&[&answer("202 Accepted", &[], TAKEN)]).await;
    let team = team(&receiver.url("/proxy/"));
    for (kind, sample) in [(NoticeKind::Halted, 1), (NoticeKind::Finished, 1)] {
        team.send(&team.notice(kind, sample)).await.unwrap();
    }
    let received = receiver.received();
    let keys: Vec<Value> = received.iter().map(|event| event.json()["dedup_key"].clone()).collect();
    let key = |part: &str| format!("belay/checkout-cutover/mm7q2l4f7c2d{part}");
    let ends = ["/halted", "", "/approval", "/step_failed", "/halted", "/approval/db_back", "/step_failed/db_back"];
    assert_eq!(keys, ends.map(key));
    assert!(received.iter().all(|event| event.line == "POST /proxy/v2/enqueue"));
}

/// An acknowledged alert pages nobody again: each step has its own.
#[tokio::test]
async fn each_of_the_first_steps_has_an_alert_of_its_own_and_the_others_share_one() {
    let receiver = Receiver::new(&[&answer("202 Accepted", &[], TAKEN)]).await;
    let team = team(&receiver.url(""));
    let mut notice = team.notice(NoticeKind::Approval, 0);
    for (step, more) in [("db_back", 0), ("name_back", 0), ("unlisted", 0), ("db_back", 3)] {
        notice.facts.run.as_mut().unwrap().alerted = vec!["db_back".to_owned(), "name_back".to_owned()];
        notice.facts.step.as_mut().unwrap().name = step.to_owned();
        notice.facts.more = more;
        team.send(&notice).await.unwrap();
    }
    let acts: Vec<String> = receiver.received().iter().map(act).collect();
    assert_eq!(
        acts,
        ["trigger /approval/db_back", "trigger /approval/name_back", "trigger /approval", "trigger /approval"]
    );
}

/// An alert that nothing resolves stays open for ever.
#[tokio::test]
async fn trouble_beside_incidents_is_resolved_under_the_key_that_opened_it() {
    for (kind, samples) in [
        // Failed, not known, well again, well with a warning, disarmed.
        (NoticeKind::Readiness, &[(0, "trigger"), (1, "trigger"), (2, "resolve"), (3, "resolve"), (4, "resolve")][..]),
        // Ahead, passed, disarmed before it.
        (NoticeKind::PointOfNoReturn, &[(0, "trigger"), (1, "resolve"), (2, "resolve")]),
        (NoticeKind::Blind, &[(0, "trigger"), (1, "resolve"), (3, "resolve")]),
    ] {
        let receiver = Receiver::new(&[&answer("202 Accepted", &[], TAKEN)]).await;
        let team = team(&receiver.url(""));
        for (sample, action) in samples {
            let mut notice = team.notice(kind, *sample);
            notice.key = format!("each has its own: {sample}");
            assert_eq!(team.send(&notice).await, Ok(format!("202 Event processed ({action})")), "{kind} {sample}");
        }
        let key = match kind {
            NoticeKind::Blind => "blind/cloudwatch".to_owned(),
            kind => kind.to_string(),
        };
        let key = format!("belay/checkout-cutover/{key}");
        assert!(receiver.received().iter().all(|event| event.json()["dedup_key"] == key), "{kind}");
    }
}

#[tokio::test]
async fn a_test_wakes_nobody_who_has_an_incident() {
    let receiver = Receiver::new(&[&answer("202 Accepted", &[], TAKEN)]).await;
    let team = team(&receiver.url(""));
    let mut notice = team.notice(NoticeKind::Finished, 0);
    notice.test = true;
    let said = team.send(&notice).await.unwrap();
    // Nothing is left behind: the alert is resolved under the same key.
    assert_eq!(said, "202 Event processed (trigger); 202 Event processed (resolve)");
    let received = receiver.received();
    let events: Vec<Value> = received.iter().map(Received::json).collect();
    let actions: Vec<_> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    let key = format!("belay/checkout-cutover/{}", notice.key);
    assert!(events.iter().all(|event| event["dedup_key"] == key), "{events:?}");
    assert_eq!(events[0]["payload"]["severity"], "info");
    assert_eq!(events[0]["payload"]["summary"], "TEST: checkout-cutover: rolled back");
}

#[tokio::test]
async fn a_test_whose_alert_could_not_be_resolved_names_it() {
    let answers = [answer("202 Accepted", &[], TAKEN), answer("500 Oops", &[], "")];
    let receiver = Receiver::new(&[&answers[0], &answers[1]]).await;
    let team = team(&receiver.url(""));
    let mut notice = team.notice(NoticeKind::Incident, 0);
    notice.test = true;
    let why = team.send(&notice).await.unwrap_err().why;
    let key = format!("its dedup_key is belay/checkout-cutover/{}", notice.key);
    assert!(why.starts_with("the alert of the test is open: ") && why.ends_with(&key), "{why}");
}

#[tokio::test]
async fn what_is_no_alert_is_not_sent() {
    let receiver = Receiver::new(&[&answer("202 Accepted", &[], TAKEN)]).await;
    let team = team(&receiver.url(""));
    for kind in NoticeKind::ALL.into_iter().filter(|kind| !Channels::events("pagerduty").contains(kind)) {
        let error = team.tell(kind).await.unwrap_err();
        assert_eq!(error.retry, Retry::Never);
        let why = format!("a channel of the kind `pagerduty` is not told of `{kind}`: leave it out of `events`");
        assert_eq!(error.why, why);
    }
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn a_summary_is_not_longer_than_pagerduty_takes() {
    let receiver =
        Receiver::new(&[&answer("400 Bad Request", &[], r#"{"message":"0123456789abcdef0123456789abcdef"}"#)]).await;
    let team = team(&receiver.url(""));
    let mut notice = team.notice(NoticeKind::Incident, 0);
    notice.facts.migration = "x".repeat(3000);
    let error = team.send(&notice).await.unwrap_err();
    assert_eq!(error.why, r#"127.0.0.1 answered 400: {"message":"[masked]"}"#);
    let event = receiver.only().json();
    assert!(event["payload"]["summary"].as_str().unwrap().chars().count() <= 1024);
    assert!(event["dedup_key"].as_str().unwrap().chars().count() <= 255);
}

#[tokio::test]
async fn controls_from_outside_are_shown_to_whoever_is_woken() {
    let receiver = Receiver::new(&[&answer("202 Accepted", &[], TAKEN)]).await;
    let team = team(&receiver.url(""));
    let mut notice = team.notice(NoticeKind::Halted, 0);
    notice.facts.why = "\u{202e}x\x1b[2J\r\nforged".to_owned();
    team.send(&notice).await.unwrap();
    let event = receiver.only().body;
    assert!(event.contains("The reason: \\\\u{202e}x␛[2J␍␊forged"), "{event}");
    assert!(!event.contains('\u{202e}') && !event.contains("\\u001b") && !event.contains("\\r"), "{event}");
}

#[test]
fn a_plan_names_another_address_only_as_a_webhook_could() {
    let specs = Channels::specs();
    let check = specs.iter().find(|spec| spec.key == "pagerduty").unwrap().check;
    let found = |spec| check(&spec).into_iter().map(|finding| (finding.pointer, finding.message)).collect::<Vec<_>>();
    assert_eq!(found(json!({ "pagerduty": "env:KEY", "url": "https://proxy.example.com/pd" })), []);
    assert_eq!(found(json!({ "pagerduty": "env:KEY", "url": "http://10.0.0.7/", "insecure": true })), []);
    for (spec, pointer, message) in [
        (json!({ "url": "http://10.0.0.7/" }), "/url", "plain HTTP"),
        (json!({ "url": "https://u:p@example.com/" }), "/url", "a user or password in a URL is a secret"),
        (json!({ "url": "https://169.254.169.254/" }), "/url", "link-local"),
        (json!({ "url": "https://example.com/?key=x" }), "/url", "a query or a fragment"),
        (json!({ "pagerduty": "env:AWS_SECRET_ACCESS_KEY" }), "/pagerduty", "Belay's own"),
    ] {
        let findings = found(spec.clone());
        assert_eq!(findings.len(), 1, "{spec}: {findings:?}");
        assert!(findings[0].0 == pointer && findings[0].1.contains(message), "{spec}: {findings:?}");
    }
}
