use belay_plan::notify::NoticeKind;
use serde_json::{Value, json};

use super::{
    Team,
    receiver::{Receiver, answer},
    wording::golden,
};

async fn sent(notice: impl Fn(&Team) -> belay_ports::Notice) -> Value {
    let receiver = Receiver::new(&[&answer("202 Accepted", &[], "")]).await;
    let url = receiver.url("/workflows/s3cr3t/triggers/manual/paths/invoke?sig=x");
    let team = Team::new("teams", &[("url", &url)], |secret| json!({ "teams": secret("url"), "insecure": true }));
    assert_eq!(team.send(&notice(&team)).await, Ok("202".to_owned()));
    receiver.only().json()
}

#[tokio::test]
async fn teams_gets_a_card() {
    let message = sent(|team| {
        let mut notice = team.notice(NoticeKind::Halted, 0);
        notice.page = "https://belay.example.com/m/checkout".to_owned();
        notice
    })
    .await;
    golden("teams.json", &format!("{message:#}\n"));
}

#[tokio::test]
async fn teams_takes_nothing_from_outside_for_markup() {
    let message = sent(|team| {
        let mut notice = team.notice(NoticeKind::Incident, 0);
        let incident = notice.facts.incident.as_mut().unwrap();
        incident.evidence =
            vec!["[all well](http://evil.test) **now** <at>all</at> `x` customer_errors \u{202e}x".to_owned()];
        notice
    })
    .await;
    let text = message["attachments"][0]["content"]["body"][3]["text"].as_str().unwrap();
    let wanted = r"- \[all well\](http://evil.test) \*\*now\*\* \<at\>all\</at\> \`x\` customer_errors \\u{202e}x";
    assert!(text.ends_with(wanted), "{text}");
}

#[tokio::test]
async fn teams_gets_no_more_than_it_takes() {
    let message = sent(|team| {
        let mut notice = team.notice(NoticeKind::Incident, 0);
        notice.facts.incident.as_mut().unwrap().evidence = vec!["\u{1f4a5}".repeat(5000); 100];
        notice.facts.run = team.notice(NoticeKind::Halted, 0).facts.run;
        notice.facts.run.as_mut().unwrap().reason = "\"".repeat(9000);
        notice
    })
    .await;
    assert!(message.to_string().len() < 28_000);
    assert_eq!(message["attachments"][0]["content"]["body"][0]["text"], "checkout-cutover: critical incident");
}
