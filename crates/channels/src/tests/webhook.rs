//! `webhook`, and what all channels that send requests share.

use base64::{Engine, engine::general_purpose::STANDARD};
use belay_plan::notify::NoticeKind;
use belay_ports::{ChannelFault, Usable};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::{
    Team,
    receiver::{Receiver, answer},
};

pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(super) fn team(url: &str) -> Team {
    Team::new(
        "webhook",
        &[("url", url), ("key", SECRET)],
        |secret| json!({ "webhook": secret("url"), "secret": secret("key"), "insecure": true }),
    )
}

#[tokio::test]
async fn a_webhook_gets_signed_facts() {
    let receiver = Receiver::new(&[&answer("200 OK", &[], "thanks")]).await;
    let team = team(&receiver.url("/hook?token=s3cret"));
    assert_eq!(team.usable().await, Ok(Usable::Unasked));
    let notice = team.notice(NoticeKind::Incident, 0);
    assert_eq!(team.send(&notice).await, Ok("200".to_owned()));

    let received = receiver.only();
    assert_eq!(received.line, "POST /hook?token=s3cret");
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(received.headers["webhook-id"], notice.key);
    assert_eq!(received.headers["webhook-timestamp"], "1772331060");
    // As a receiver verifies it.
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.1772331060.{}", notice.key, received.body).as_bytes());
    let sent = STANDARD.decode(received.headers["webhook-signature"].strip_prefix("v1,").unwrap()).unwrap();
    mac.verify_slice(&sent).unwrap();

    let body = received.json();
    assert_eq!(body["type"], "belay.incident");
    assert_eq!(body["timestamp"], "2026-03-01T02:11:00Z");
    assert_eq!(body["data"]["facts"]["incident"]["severity"], "critical");
    assert_eq!(body["data"]["title"], "checkout-cutover: critical incident");
    assert!(body["data"]["text"].as_str().unwrap().contains("customers_hurt fired at 2026-03-01 02:11 UTC."));
    assert_eq!((&body["data"]["key"], &body["data"]["test"]), (&json!(notice.key), &json!(false)));
}

#[tokio::test]
async fn the_same_notice_is_sent_again_under_the_same_id() {
    let receiver = Receiver::new(&[&answer("500 Oops", &[], ""), &answer("204 No Content", &[], "")]).await;
    let team = team(&receiver.url("/"));
    let notice = team.notice(NoticeKind::Halted, 0);
    assert!(team.send(&notice).await.is_err());
    assert_eq!(team.send(&notice).await, Ok("204".to_owned()));
    let received = receiver.received();
    assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);
    assert_eq!(received[0].body, received[1].body);
}

#[tokio::test]
async fn a_secret_that_signs_nothing_is_refused() {
    for secret in ["whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_?"] {
        let team = Team::new(
            "webhook",
            &[("url", "https://example.com/"), ("key", secret)],
            |place| json!({ "webhook": place("url"), "secret": place("key") }),
        );
        let why = "the signing secret is invalid: expected `whsec_` and at least 24 bytes in base64";
        assert_eq!(team.usable().await, Err(vec![ChannelFault::new("/secret", why)]));
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_channel_is_named_with_its_place() {
    let team =
        Team::new("webhook", &[("url", "")], |place| json!({ "webhook": place("url"), "secret": place("missing") }));
    let faults = team.usable().await.unwrap_err();
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/webhook", "/secret"]);
    assert!(faults[0].why.ends_with("url is empty") && faults[1].why.contains("missing cannot be read"), "{faults:?}");
    // A try fails for all of it, too.
    let why = team.tell(NoticeKind::Incident).await.unwrap_err().why;
    assert!(why.contains("url is empty; ") && why.contains("missing cannot be read"), "{why}");

    let team = Team::new(
        "statuspage",
        &[],
        |place| json!({ "statuspage": { "page": "abc", "component": "def", "key": place("none") }, "url": "http://198.51.100.7/" }),
    );
    let faults = team.usable().await.unwrap_err();
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/url", "/statuspage/key"]);
    let team = Team::new(
        "email",
        &[],
        |place| json!({ "email": { "to": ["nobody"], "from": "belay@example.com", "smtp": place("none") } }),
    );
    let faults = team.usable().await.unwrap_err();
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/email/to", "/email/smtp"]);
}

#[tokio::test]
async fn controls_from_outside_are_shown_to_receivers() {
    let receiver = Receiver::new(&[&answer("200 OK", &[], "")]).await;
    let team = team(&receiver.url("/"));
    let mut notice = team.notice(NoticeKind::Incident, 0);
    notice.facts.incident.as_mut().unwrap().evidence = vec!["\x1b[2J\u{202e}gpj.exe\r\nforged: all well".to_owned()];
    notice.page = "belay\x1b[2J".to_owned();
    team.send(&notice).await.unwrap();
    let body = receiver.only().body;
    assert!(body.contains("␛[2J\\\\u{202e}gpj.exe␍␊forged: all well"), "{body}");
    assert!(!body.contains("\\u001b") && !body.contains('\u{202e}') && !body.contains("\\r"), "{body}");
}
