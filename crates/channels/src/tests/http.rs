//! What becomes of requests that are not taken.

use std::{fs, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use belay_local::{
    permit::{Gate, Permits, SecretPermit},
    secrets::Reference,
};
use belay_plan::notify::NoticeKind;
use belay_ports::{NotSent, Retry, Usable, channel::REFUSED_WAIT};
use serde_json::{Value, json};

use super::{
    Still, Team,
    receiver::{DRIP, ECHO, Receiver, answer},
    webhook::{SECRET, team},
};
use crate::Channels;

const HOST: &str = "127.0.0.1";

async fn told(answered: &str) -> Result<String, NotSent> {
    let receiver = Receiver::new(&[answered]).await;
    team(&receiver.url("/T0/B0/s3cr3t-token")).tell(NoticeKind::Incident).await
}

#[tokio::test]
async fn an_answer_says_whether_it_is_tried_again() {
    let after = |seconds: u64| Retry::Later { after: Some(Duration::from_secs(seconds)) };
    let later = Retry::Later { after: None };
    let cases = [
        (answer("429 Too Many Requests", &["Retry-After: 30"], "slow down"), after(30), "answered 429: slow down"),
        (answer("429 Too Many Requests", &["Retry-After: 86400"], ""), after(3600), "answered 429"),
        (answer("503 Down", &["Retry-After: Sun, 01 Mar 2026 02:13:00 GMT"], ""), after(120), "answered 503"),
        (answer("500 Oops", &[], ""), later, "answered 500"),
        (answer("408 Timeout", &[], ""), later, "answered 408"),
        (answer("400 Bad Request", &[], "invalid\x1b[2J_blocks"), Retry::Never, "answered 400: invalid␛[2J_blocks"),
        (answer("422 Unprocessable", &[], ""), Retry::Never, "answered 422"),
        // What whoever runs the receiver can cure.
        (answer("401 Unauthorized", &[], ""), after(60), "answered 401"),
        (answer("403 Forbidden", &[], ""), after(60), "answered 403"),
        (answer("404 Not Found", &[], ""), after(60), "answered 404"),
        (answer("410 Gone", &[], ""), after(60), "answered 410"),
        (
            answer("302 Found", &["Location: http://127.0.0.1:1/"], ""),
            after(60),
            "answered 302; redirects are not followed",
        ),
        (String::new(), later, "did not answer"),
        ("HTTP/1.1 nonsense\r\n\r\n".to_owned(), later, "did not answer"),
    ];
    for (answered, retry, wanted) in cases {
        let error = told(&answered).await.unwrap_err();
        assert_eq!(error.retry, retry, "{answered}: {error}");
        assert!(error.why.starts_with(&format!("{HOST} {wanted}")), "{answered}: {error}");
    }
}

#[tokio::test]
async fn no_answer_shows_a_secret_or_more_than_a_line() {
    let body = format!("no hook at /T0/B0/s3cr3t-token, {SECRET}, {}", "x".repeat(100_000));
    let why = told(&answer("403 Forbidden", &[], &body)).await.unwrap_err().why;
    assert!(why.starts_with("127.0.0.1 answered 403: no hook at [masked], [masked], xxx"), "{why}");
    assert!(why.chars().count() < 250, "{why}");
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let endless =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", "10\r\n0123456789abcdef\r\n".repeat(10_000));
    assert_eq!(told(&endless).await, Ok("200".to_owned()));
}

#[tokio::test]
async fn a_notice_is_sent_once_its_status_says_so_however_slow_the_rest_of_the_answer_is() {
    let began = |status: &str| format!("{DRIP}HTTP/1.1 {status}\r\nRetry-After: 30\r\nContent-Length: 100000\r\n\r\nx");
    for (status, wanted) in [
        ("200 OK", Ok("200".to_owned())),
        ("429 Too Many Requests", Err(Retry::Later { after: Some(Duration::from_secs(30)) })),
    ] {
        let receiver = Receiver::new(&[&began(status)]).await;
        let mut team = team(&receiver.url("/"));
        let clock = Still { wakes_up_to: Duration::from_secs(5) };
        team.channels = Channels::new(Arc::new(clock), Gate::default());
        assert_eq!(team.tell(NoticeKind::Incident).await.map_err(|error| error.retry), wanted);
    }
}

#[tokio::test]
async fn every_part_of_a_secret_address_is_masked_in_whichever_form_it_comes_back() {
    let body = "bad signature SECRETSIG+abcDEF123 / SECRETSIG%2BabcDEF123 for workflow ab12SECRETWF of 6chars";
    let receiver = Receiver::new(&[&answer("400 Bad Request", &[], body)]).await;
    let path = "/x/6chars/workflows/ab12SECRETWF/triggers/manual?api-version=2016-06-01&sig=SECRETSIG%2BabcDEF123";
    let error = team(&receiver.url(path)).tell(NoticeKind::Incident).await.unwrap_err();
    assert_eq!(
        error.why,
        "127.0.0.1 answered 400: bad signature [masked] / [masked] for workflow [masked] of [masked]"
    );
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_asked_again() {
    let address = {
        let receiver = Receiver::new(&[""]).await;
        receiver.address
    };
    let error = team(&format!("http://{address}/s3cr3t-token")).tell(NoticeKind::Incident).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: None });
    assert!(error.why.starts_with("127.0.0.1 did not answer: ") && !error.why.contains("s3cr3t"), "{error}");
}

#[tokio::test]
async fn a_receiver_that_hangs_is_not_waited_for() {
    let mut team = team("http://127.0.0.1:9/");
    team.channels = Channels::new(Arc::new(Still { wakes_up_to: Duration::MAX }), Gate::default());
    let error = team.tell(NoticeKind::Incident).await.unwrap_err();
    assert_eq!((error.why.as_str(), error.retry), ("no answer within 25 s", Retry::Later { after: None }));
}

#[tokio::test]
async fn plain_http_is_sent_only_where_the_plan_says_so() {
    let receiver = Receiver::new(&[&answer("200 OK", &[], "")]).await;
    for insecure in [json!(false), json!(null)] {
        let mut team = team(&receiver.url("/"));
        team.spec["insecure"] = insecure;
        let error = team.tell(NoticeKind::Incident).await.unwrap_err();
        assert_eq!(error.retry, Retry::Later { after: Some(REFUSED_WAIT) }, "a person can mend it");
        assert!(error.why.contains("is plain HTTP"), "{error}");
        let faults = team.usable().await.unwrap_err();
        assert_eq!(faults.iter().map(|fault| &fault.why).collect::<Vec<_>>(), [&error.why]);
    }
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn a_name_is_held_to_the_same_as_its_address() {
    // The name of this host is private, and the address of no other.
    let receiver = Receiver::new(&[&answer("200 OK", &[], "")]).await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    assert_eq!(team(&url).tell(NoticeKind::Incident).await, Ok("200".to_owned()));
    let error = team("http://169.254.169.254/latest/meta-data").tell(NoticeKind::Incident).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: Some(REFUSED_WAIT) }, "a person can mend it");
    assert!(error.why.contains("is a link-local address"), "{error}");
}

#[tokio::test]
async fn a_secret_that_is_missing_may_come_back() {
    let receiver = Receiver::new(&[&answer("200 OK", &[], "")]).await;
    let team = team(&receiver.url("/"));
    let file = team.folder.path().join("url");
    fs::write(&file, "\n").unwrap();
    let error = team.tell(NoticeKind::Incident).await.unwrap_err();
    assert!(error.why.ends_with("url is empty"), "{error}");
    assert_eq!(error.retry, Retry::Later { after: None });
    fs::remove_file(&file).unwrap();
    assert!(team.usable().await.unwrap_err()[0].why.contains("cannot be read"));
    fs::write(&file, receiver.url("/")).unwrap();
    assert_eq!(team.usable().await, Ok(Usable::Unasked));
    assert_eq!(receiver.received().len(), 0, "to look at it sends nothing");
    assert_eq!(team.tell(NoticeKind::Incident).await, Ok("200".to_owned()));
}

#[tokio::test]
async fn what_is_not_permitted_is_not_sent() {
    let receiver = Receiver::new(&[&answer("200 OK", &[], "")]).await;
    let mut team = team(&receiver.url("/"));
    let permit = |name: &str, host: &str| SecretPermit {
        secret: Reference::File(team.folder.path().join(name)),
        hosts: vec![host.to_owned()],
    };
    let gate = Gate::default();
    let permits = |secrets| Permits { secrets: Some(secrets), ..Permits::default() };
    gate.set(permits(vec![permit("url", HOST), permit("key", "other.test")]));
    let listed = permits(vec![permit("url", HOST), permit("key", HOST)]);
    team.channels = Channels::new(Arc::new(Still::default()), gate.clone());
    let error = team.tell(NoticeKind::Incident).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: Some(REFUSED_WAIT) }, "a person can mend it");
    assert!(error.why.contains("key to 127.0.0.1, which is not permitted: list { secret:"), "{error}");
    assert_eq!(receiver.received().len(), 0);
    gate.set(listed);
    assert_eq!(team.tell(NoticeKind::Incident).await, Ok("200".to_owned()));
}

#[test]
fn a_plan_tells_whom_its_channels_reach() {
    let mut team = Team::new("webhook", &[], |_| json!({ "webhook": "env:URL", "secret": "env:KEY" }));
    let told = |team: &Team| Channels::reaches(&team.notify()).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(&team), ["channel team sends notices by env:URL", "channel team sends notices by env:KEY"]);
    (team.kind, team.spec) = ("slack", json!({ "slack": "file:/run/slack" }));
    assert_eq!(told(&team), ["channel team sends notices by file:/run/slack"]);
    (team.kind, team.spec) = ("pagerduty", json!({ "pagerduty": "env:KEY" }));
    assert_eq!(told(&team), ["channel team sends env:KEY to events.pagerduty.com"]);
    (team.kind, team.spec) = ("pagerduty", json!({ "pagerduty": "env:KEY", "url": "https://proxy.test/pd" }));
    assert_eq!(told(&team), ["channel team sends env:KEY to proxy.test"]);
    let page = json!({ "page": "p", "component": "c", "key": "env:KEY" });
    (team.kind, team.spec) = ("statuspage", json!({ "statuspage": page }));
    assert_eq!(told(&team), ["channel team sends env:KEY to api.statuspage.io"]);
}

/// Where a secret is, by its name.
type Place<'a> = dyn Fn(&str) -> String + 'a;

#[tokio::test]
async fn a_receiver_that_repeats_everything_puts_no_secret_on_record() {
    let secret = "s3cr3t-0123456789";
    let receiver = Receiver::new(&[ECHO]).await;
    let (url, base) = (receiver.url(&format!("/hooks/{secret}?sig={secret}-sig")), receiver.url(""));
    let key = format!("whsec_{}", STANDARD.encode(format!("{secret}-0123456789")));
    let secrets = [("url", url.as_str()), ("key", key.as_str()), ("token", secret)];
    let of =
        |kind: &'static str, spec: fn(&Place, &str) -> Value| Team::new(kind, &secrets, |place| spec(place, &base));
    let teams = [
        of("webhook", |place, _| json!({ "webhook": place("url"), "secret": place("key"), "insecure": true })),
        of("slack", |place, _| json!({ "slack": place("url"), "insecure": true })),
        of("teams", |place, _| json!({ "teams": place("url"), "insecure": true })),
        of("pagerduty", |place, base| json!({ "pagerduty": place("token"), "url": base, "insecure": true })),
        of("statuspage", |place, base| {
            let page = json!({ "page": "p", "component": "c", "key": place("token") });
            json!({ "statuspage": page, "url": base, "insecure": true })
        }),
    ];
    for team in &teams {
        let error = team.tell(NoticeKind::Incident).await.unwrap_err();
        assert!(error.why.contains("answered 400: ") && error.why.contains("[masked]"), "{}: {error}", team.kind);
        assert!(!error.why.contains(secret) && !error.why.contains(&key), "{}: {error}", team.kind);
    }
    let sent = receiver.received().iter().filter(|request| format!("{request:?}").contains(secret)).count();
    assert_eq!(sent, teams.len(), "each of them has sent one");
}
