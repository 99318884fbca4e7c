use belay_plan::notify::NoticeKind;
use serde_json::{Value, json};

use super::{
    Team,
    receiver::{Receiver, answer},
    wording::golden,
};

fn team(url: &str) -> Team {
    Team::new("slack", &[("url", url)], |secret| json!({ "slack": secret("url"), "insecure": true }))
}

async fn sent(notice: impl Fn(&Team) -> belay_ports::Notice) -> Value {
    let receiver = Receiver::new(&[&answer("200 OK", &[], "ok")]).await;
    let team = team(&receiver.url("/services/T0/B0/s3cr3t"));
    assert_eq!(team.send(&notice(&team)).await, Ok("200 ok".to_owned()));
    receiver.only().json()
}

#[tokio::test]
async fn slack_gets_blocks() {
    let message = sent(|team| {
        let mut notice = team.notice(NoticeKind::Incident, 5);
        notice.page = "https://belay.example.com/m/checkout?a=1&b=_c".to_owned();
        notice
    })
    .await;
    golden("slack.json", &format!("{message:#}\n"));
}

#[tokio::test]
async fn slack_takes_nothing_from_outside_for_markup() {
    let message = sent(|team| {
        let mut notice = team.notice(NoticeKind::Incident, 0);
        let incident = notice.facts.incident.as_mut().unwrap();
        incident.evidence = vec!["<!channel> <@U0> *now* <http://evil.test|all well> @here & \u{202e}x".to_owned()];
        incident.why = "```<!subteam^S0>".to_owned();
        notice
    })
    .await
    .to_string();
    assert!(message.contains("&lt;!channel&gt; &lt;@U0&gt; \u{200b}*now\u{200b}* &lt;http://evil.test|all well&gt; @here &amp; \\\\u{202e}x"), "{message}");
    for markup in ["<!", "<@", "<http", "```", "\u{202e}"] {
        assert!(!message.contains(markup), "{markup}: {message}");
    }
    assert!(message.contains("\"verbatim\":true") && !message.contains("\"verbatim\":false"));
}

#[tokio::test]
async fn slack_gets_no_more_than_it_takes() {
    let message = sent(|team| {
        let mut notice = team.notice(NoticeKind::Incident, 0);
        notice.facts.migration = "&".repeat(400);
        let incident = notice.facts.incident.as_mut().unwrap();
        incident.evidence = vec!["<".repeat(5000); 100];
        notice
    })
    .await;
    let blocks = message["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    let length = |value: &Value| value.as_str().unwrap().chars().count();
    assert!(length(&blocks[0]["text"]["text"]) <= 150);
    for block in blocks {
        assert!(block["text"].is_null() || length(&block["text"]["text"]) <= 3000, "{block}");
        for field in block["fields"].as_array().into_iter().flatten() {
            assert!(length(&field["text"]) <= 2000, "{field}");
        }
        assert!(block["fields"].as_array().is_none_or(|fields| fields.len() <= 10));
    }
}

#[tokio::test]
async fn a_text_that_cannot_be_rendered_is_on_record_and_the_notice_goes_out() {
    let receiver = Receiver::new(&[&answer("200 OK", &[], "ok")]).await;
    let team = team(&receiver.url("/"));
    let mut notify = team.notify();
    let texts = notify.texts.entry(NoticeKind::Incident).or_default();
    texts.insert("slack".to_owned(), "Hurt\n\n{{ incident.nothing }}\n".to_owned());
    let mut notice = team.notice(NoticeKind::Incident, 0);
    notice.notify = notify.into();
    let sent = team.send(&notice).await.unwrap();
    assert!(sent.starts_with("200 ok; with the built-in text, since line 3: undefined value"), "{sent}");
    assert_eq!(receiver.only().json()["text"], "checkout-cutover: critical incident");
}

#[tokio::test]
async fn a_text_of_the_plan_may_use_what_slack_knows() {
    let message = sent(|team| {
        let mut notify = team.notify();
        let texts = notify.texts.entry(NoticeKind::Incident).or_default();
        texts.insert("slack".to_owned(), "Hurt\n\n<!here> *{{ migration }}*: {{ incident.why }}\n".to_owned());
        let mut notice = team.notice(NoticeKind::Incident, 0);
        notice.notify = notify.into();
        notice.facts.incident.as_mut().unwrap().why = "<!channel>".to_owned();
        notice
    })
    .await;
    assert_eq!(message["blocks"][1]["text"]["text"], "<!here> *checkout-cutover*: &lt;!channel&gt;");
}
