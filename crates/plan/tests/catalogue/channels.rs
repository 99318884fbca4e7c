//! Some channels, as the crate that sends describes them.

use belay_plan::{
    catalogue::{ChannelSpec, Finding},
    notify::NoticeKind,
    shape::{boolean, field, pattern, secret},
};
use serde_json::Value;

pub fn specs() -> Vec<ChannelSpec> {
    let topic = pattern(
        "the ARN of an SNS topic, such as `arn:aws:sns:eu-west-1:111122223333:team`",
        "^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:.+$",
    );
    let of = |key, value, summary| ChannelSpec {
        key,
        summary,
        value,
        siblings: Vec::new(),
        events: NoticeKind::ALL.to_vec(),
        check: nothing,
    };
    let webhook = ChannelSpec {
        siblings: vec![
            field("secret", secret(), "What the signature is made with.").optional(),
            field("insecure", boolean(), "Whether plain HTTP will do.").or(false),
        ],
        ..of("webhook", secret(), "A webhook.")
    };
    vec![
        of("slack", secret(), "A Slack webhook."),
        of("sns", topic, "An SNS topic."),
        webhook,
        ChannelSpec {
            events: [NoticeKind::Incident, NoticeKind::Approval, NoticeKind::Halted, NoticeKind::Recovered].to_vec(),
            ..of("pagerduty", secret(), "A PagerDuty routing key.")
        },
    ]
}

/// A text is told as it is, unless it has an open brace.
pub fn check_text(_kind: NoticeKind, _channel: &str, source: &str) -> Result<(), String> {
    match source.contains("{{") {
        true => Err("line 1: what is opened is not closed".to_owned()),
        false => Ok(()),
    }
}

fn nothing(_spec: &Value) -> Vec<Finding> {
    Vec::new()
}
