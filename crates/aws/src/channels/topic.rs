//! `sns`: a message to a topic.

use aws_sdk_sns::types::MessageAttributeValue;
use belay_aws_catalogue::channels::SNS;
use belay_plan::model::Severity;
use belay_ports::{NotSent, Notice, PlainText, Usable};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Way, failed, never, not_found};
use crate::{services::Service, session::Clients};

pub(crate) const SERVICE: Service =
    Service { reads: &["GetTopicAttributes"], writes: &["Publish"], ..Service::new("SNS", "sns") };

const SUBJECT_CHARS_MAX: usize = 100;

pub(super) struct Topic;

impl Way for Topic {
    const KEY: &'static str = SNS;
    const CALL: &'static str = "sns:Publish";
    const LOOK: &'static str = "sns:GetTopicAttributes";

    async fn look(&self, clients: &Clients, arn: &str) -> Result<Usable, String> {
        match clients.sns.get_topic_attributes().topic_arn(arn).send().await {
            Ok(_) => Ok(Usable::Exists),
            Err(error) => not_found(error, Self::LOOK, arn, "NotFound"),
        }
    }

    async fn deliver(
        &self,
        clients: &Clients,
        arn: &str,
        notice: &Notice,
        text: &PlainText,
        _data: &Value,
    ) -> Result<String, NotSent> {
        let mut publish = clients
            .sns
            .publish()
            .topic_arn(arn)
            .subject(subject(&text.title))
            .message(format!("{}\n\n{}", text.title, text.body));
        // Subscriptions filter by them.
        for (name, value) in attributes(notice) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            publish = publish.message_attributes(
                name,
                value.map_err(|error| never(format!("the message cannot be built: {error}")))?,
            );
        }
        if arn.ends_with(".fifo") {
            publish = publish
                .message_group_id(notice.facts.migration.chars().take(128).collect::<String>())
                .message_deduplication_id(deduplication_id(&notice.key));
        }
        let sent = publish.send().await.map_err(|error| failed(error, Self::CALL, arn))?;
        Ok(format!("message {}", sent.message_id().unwrap_or("without an id")))
    }
}

fn attributes(notice: &Notice) -> Vec<(&'static str, String)> {
    let facts = &notice.facts;
    let severity = facts.incident.as_ref().map(|incident| severity(incident.severity).to_owned());
    [("kind", facts.kind.to_string()), ("migration", facts.migration.clone())]
        .into_iter()
        .chain(severity.map(|severity| ("severity", severity)))
        .chain(facts.drill.then(|| ("drill", "true".to_owned())))
        .chain(notice.test.then(|| ("test", "true".to_owned())))
        .collect()
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Major => "major",
        Severity::Minor => "minor",
    }
}

/// Printable ASCII that begins with a letter, a digit or a punctuation mark.
fn subject(title: &str) -> String {
    let ascii = title.chars().map(|letter| if matches!(letter, ' '..='~') { letter } else { '?' });
    ascii.skip_while(|letter| *letter == ' ').take(SUBJECT_CHARS_MAX).collect()
}

/// A hash, because SNS restricts the length and the characters.
fn deduplication_id(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_that_sns_takes() {
        assert_eq!(subject("checkout: critical incident"), "checkout: critical incident");
        assert_eq!(subject("  größer\u{1b}\n"), "gr??er??");
        assert_eq!(subject(&"x".repeat(300)).len(), 100);
    }
}
