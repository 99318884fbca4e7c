//! `event_bus`: an event on a bus of EventBridge.

use aws_sdk_eventbridge::{primitives::DateTime, types::PutEventsRequestEntry};
use belay_aws_catalogue::channels::EVENT_BUS;
use belay_ports::{NotSent, Notice, PlainText, Retry, Usable};
use serde_json::Value;

use super::{Way, failed, not_found, refused};
use crate::{errors, services::Service, session::Clients};

pub(crate) const SERVICE: Service =
    Service { reads: &["DescribeEventBus"], writes: &["PutEvents"], ..Service::new("EventBridge", "events") };

/// Error codes of an entry that are worth another try.
const PASSING: [&str; 3] = ["ThrottlingException", "InternalFailure", "InternalException"];

pub(super) struct Bus;

impl Way for Bus {
    const KEY: &'static str = EVENT_BUS;
    const CALL: &'static str = "events:PutEvents";
    const LOOK: &'static str = "events:DescribeEventBus";

    async fn look(&self, clients: &Clients, arn: &str) -> Result<Usable, String> {
        match clients.eventbridge.describe_event_bus().name(arn).send().await {
            Ok(_) => Ok(Usable::Exists),
            Err(error) => not_found(error, Self::LOOK, arn, "ResourceNotFoundException"),
        }
    }

    async fn deliver(
        &self,
        clients: &Clients,
        arn: &str,
        notice: &Notice,
        _text: &PlainText,
        data: &Value,
    ) -> Result<String, NotSent> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(arn)
            .source("belay")
            .detail_type(notice.facts.kind.as_str())
            .detail(data.to_string())
            .time(DateTime::from_secs(notice.facts.at.as_second()))
            .build();
        let sent = clients.eventbridge.put_events().entries(entry).send().await;
        let sent = sent.map_err(|error| failed(error, Self::CALL, arn))?;
        let answer = sent.entries().first();
        match answer.and_then(|answer| answer.error_code()) {
            None => Ok(format!("event {}", answer.and_then(|answer| answer.event_id()).unwrap_or("without an id"))),
            Some(code) => {
                let message = answer.and_then(|answer| answer.error_message()).unwrap_or_default();
                let why = format!("{} on {arn}: {}", Self::CALL, errors::bounded(&format!("{code}: {message}")));
                match PASSING.contains(&code) {
                    true => Err(NotSent { why, retry: Retry::Later { after: None } }),
                    false => Err(refused(code, why)),
                }
            }
        }
    }
}
