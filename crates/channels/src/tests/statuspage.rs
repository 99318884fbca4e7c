use belay_plan::notify::NoticeKind;
use belay_ports::{Notice, Retry};
use serde_json::{Value, json};

use super::{
    Team,
    receiver::{Received, Receiver, answer},
};

const API_KEY: &str = "89a229ce-1a8d-4dcc-92fb-5b7a0cd6d4d4";

fn team(receiver: &Receiver) -> Team {
    let url = receiver.url("");
    Team::new("statuspage", &[("key", API_KEY)], |secret| {
        let page = json!({ "page": "kctbh9vrtdwd", "component": "8kbf7d35c070", "key": secret("key") });
        json!({ "statuspage": page, "url": url, "insecure": true })
    })
}

fn unresolved(incidents: &Value) -> String {
    answer("200 OK", &[], &incidents.to_string())
}

fn ours(notice: &str) -> Value {
    let metadata = json!({ "belay": { "incident": "checkout-cutover/mm7q2k9d0a1b", "notice": notice } });
    json!([
        { "id": "another", "name": "Service disruption", "metadata": {} },
        { "id": "p31zjtct2jer", "name": "renamed by a person", "metadata": metadata },
    ])
}

fn lines(received: &[Received]) -> Vec<&str> {
    received.iter().map(|request| request.line.as_str()).collect()
}

#[tokio::test]
async fn an_incident_is_created_on_the_page() {
    let created = answer("201 Created", &[], r#"{"id":"p31zjtct2jer"}"#);
    let receiver = Receiver::new(&[&unresolved(&json!([])), &unresolved(&json!([])), &created]).await;
    let team = team(&receiver);
    assert_eq!(team.tell(NoticeKind::Incident).await, Ok("201 p31zjtct2jer (investigating)".to_owned()));
    let received = receiver.received();
    assert_eq!(
        lines(&received),
        [
            "GET /v1/pages/kctbh9vrtdwd/incidents/unresolved",
            "GET /v1/pages/kctbh9vrtdwd/incidents?limit=50",
            "POST /v1/pages/kctbh9vrtdwd/incidents",
        ]
    );
    assert!(received.iter().all(|request| request.headers["authorization"] == format!("OAuth {API_KEY}")));
    let incident = &received[2].json()["incident"];
    assert_eq!(incident["name"], "Service disruption");
    assert_eq!(incident["status"], "investigating");
    assert_eq!(incident["components"], json!({ "8kbf7d35c070": "major_outage" }));
    assert_eq!(incident["component_ids"], json!(["8kbf7d35c070"]));
    assert!(incident["body"].as_str().unwrap().starts_with("Our service has been affected since 2026-03-01 02:11 UTC"));
    assert_eq!(incident["metadata"]["belay"]["incident"], "checkout-cutover/mm7q2k9d0a1b");
}

#[tokio::test]
async fn the_same_incident_is_updated_and_resolved() {
    let updated = answer("200 OK", &[], "{}");
    for (kind, sample, status, component) in [
        (NoticeKind::Incident, 5, "investigating", "major_outage"),
        (NoticeKind::Incident, 9, "monitoring", "major_outage"),
        (NoticeKind::Decision, 0, "investigating", "major_outage"),
        (NoticeKind::Decision, 4, "monitoring", "major_outage"),
        (NoticeKind::Halted, 0, "investigating", "major_outage"),
        // Nobody knows that all is well.
        (NoticeKind::Finished, 2, "investigating", "major_outage"),
        (NoticeKind::Finished, 4, "investigating", "major_outage"),
        (NoticeKind::Finished, 5, "monitoring", "major_outage"),
        (NoticeKind::Finished, 0, "resolved", "operational"),
        (NoticeKind::Finished, 6, "resolved", "operational"),
        (NoticeKind::Recovered, 0, "resolved", "operational"),
    ] {
        let receiver = Receiver::new(&[&unresolved(&ours("an earlier one")), &updated]).await;
        let team = team(&receiver);
        let sent = team.send(&team.notice(kind, sample)).await;
        assert_eq!(sent, Ok(format!("200 p31zjtct2jer ({status})")), "{kind}");
        let received = receiver.received();
        assert_eq!(received[1].line, "PATCH /v1/pages/kctbh9vrtdwd/incidents/p31zjtct2jer");
        let incident = &received[1].json()["incident"];
        assert_eq!((&incident["status"], &incident["name"]), (&json!(status), &json!(null)), "{kind}");
        assert_eq!(incident["components"]["8kbf7d35c070"], component, "{kind}");
    }
}

#[tokio::test]
async fn a_notice_that_is_on_the_page_is_not_doubled() {
    let probe = Receiver::new(&[&unresolved(&json!([]))]).await;
    let key = team(&probe).notice(NoticeKind::Incident, 0).key;
    let receiver = Receiver::new(&[&unresolved(&ours(&key))]).await;
    let sent = team(&receiver).tell(NoticeKind::Incident).await;
    assert_eq!(sent, Ok("it was on the page already (p31zjtct2jer)".to_owned()));
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn what_a_person_has_resolved_stays_so() {
    let receiver = Receiver::new(&[&unresolved(&json!([]))]).await;
    let sent = team(&receiver).tell(NoticeKind::Recovered).await;
    assert_eq!(sent, Ok("no incident is open on the page, so there is nothing to resolve".to_owned()));
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_notice_that_was_held_up_undoes_nothing_that_was_told_since() {
    // Resolved, by Belay or by a person.
    let receiver = Receiver::new(&[&unresolved(&json!([])), &unresolved(&ours("a later one"))]).await;
    let sent = team(&receiver).tell(NoticeKind::Incident).await;
    assert_eq!(sent, Ok("the page's incident was resolved already (p31zjtct2jer)".to_owned()));
    assert_eq!(receiver.received().len(), 2);

    // By its number: a clock that was set back between the two changes nothing.
    for (on_the_page, told) in [("belay-shop-mm7q-12", false), ("belay-shop-mm7q-9", true)] {
        let receiver = Receiver::new(&[&unresolved(&ours(on_the_page)), &answer("200 OK", &[], "{}")]).await;
        let team = team(&receiver);
        let sent =
            team.send(&Notice { key: "belay-shop-mm6p-10".to_owned(), ..team.notice(NoticeKind::Incident, 0) }).await;
        let later = "the page shows a later update already (p31zjtct2jer)";
        assert_eq!(sent != Ok(later.to_owned()), told, "{sent:?}");
        assert_eq!(receiver.received().len(), if told { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_drill_and_a_test_are_not_published() {
    for (test, drill) in [(true, false), (false, true)] {
        let receiver = Receiver::new(&[&answer("200 OK", &[], "{}")]).await;
        let team = team(&receiver);
        let mut notice = team.notice(NoticeKind::Incident, 0);
        (notice.test, notice.facts.drill) = (test, drill);
        let sent = team.send(&notice).await;
        assert_eq!(sent, Ok("200 the page and its component were found; nothing was published".to_owned()));
        assert_eq!(receiver.only().line, "GET /v1/pages/kctbh9vrtdwd/components/8kbf7d35c070");
    }
}

#[tokio::test]
async fn a_page_that_refuses_is_left_alone_for_a_while_and_shows_no_key() {
    let refusal = format!(r#"{{"error":"Could not authenticate {API_KEY}"}}"#);
    let receiver = Receiver::new(&[&answer("401 Unauthorized", &[], &refusal)]).await;
    let error = team(&receiver).tell(NoticeKind::Incident).await.unwrap_err();
    assert_eq!(error.why, r#"127.0.0.1 answered 401: {"error":"Could not authenticate [masked]"}"#);
    assert_eq!(error.retry, Retry::Later { after: Some(std::time::Duration::from_secs(60)) });
    // Statuspage answers 420 where it throttles.
    let receiver = Receiver::new(&[&answer("420 Enhance Your Calm", &[], "")]).await;
    assert_eq!(team(&receiver).tell(NoticeKind::Incident).await.unwrap_err().retry, Retry::Later { after: None });
}

#[tokio::test]
async fn a_list_that_is_none_is_asked_for_again() {
    let receiver = Receiver::new(&[&answer("200 OK", &[], "<html>")]).await;
    let error = team(&receiver).tell(NoticeKind::Incident).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: None });
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn customers_read_nothing_from_outside() {
    let none = unresolved(&json!([]));
    let receiver = Receiver::new(&[&none, &none, &answer("201 Created", &[], "{}")]).await;
    let team = team(&receiver);
    let mut notice = team.notice(NoticeKind::Incident, 0);
    notice.facts.why = "FORGED".to_owned();
    notice.facts.by = Some("FORGED".to_owned());
    let incident = notice.facts.incident.as_mut().unwrap();
    (incident.why, incident.evidence) = ("FORGED".to_owned(), vec!["<script>FORGED</script>".to_owned()]);
    team.send(&notice).await.unwrap();
    assert!(!receiver.received()[2].body.contains("FORGED"));
}
