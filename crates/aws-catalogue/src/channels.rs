//! Notices through AWS: `sns` and `event_bus`.

use belay_plan::{catalogue::ChannelSpec, notify::NoticeKind, shape::pattern};

/// The channels' keys in plans.
pub const SNS: &str = "sns";
pub const EVENT_BUS: &str = "event_bus";

pub(crate) fn sns() -> ChannelSpec {
    let topic = pattern(
        "the ARN of an SNS topic, such as `arn:aws:sns:eu-west-1:111122223333:team`",
        "^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}([.]fifo)?$",
    );
    let events = NoticeKind::ALL.to_vec();
    ChannelSpec {
        key: SNS,
        summary: "An SNS topic.",
        value: topic,
        siblings: Vec::new(),
        events,
        check: |_| Vec::new(),
    }
}

pub(crate) fn event_bus() -> ChannelSpec {
    let bus = pattern(
        "the ARN of an event bus, such as `arn:aws:events:eu-west-1:111122223333:event-bus/default`",
        "^arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9._/-]{1,256}$",
    );
    ChannelSpec {
        key: EVENT_BUS,
        summary: "An event bus of EventBridge.",
        value: bus,
        siblings: Vec::new(),
        events: NoticeKind::ALL.to_vec(),
        check: |_| Vec::new(),
    }
}
