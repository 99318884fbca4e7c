//! A notice as a mail: plain text, and the same in HTML.

use std::time::{Duration, SystemTime};

use belay_ports::Notice;
use jiff::Timestamp;
use lettre::{
    Message,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use minijinja::{AutoEscape, Environment, Value, value::Serde};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::texts::{Block, Text, with_tags_on_lines_of_their_own};

const HTML: &str = include_str!("../../texts/mail.html");

/// The bytes that are sent.
pub(super) fn of(
    from: &Mailbox,
    to: &[Mailbox],
    now: Timestamp,
    notice: &Notice,
    text: &Text,
) -> Result<Vec<u8>, String> {
    let domain = from.email.domain();
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    let automatic = HeaderName::new_from_ascii("Auto-Submitted".to_owned()).map_err(|error| error.to_string())?;
    let builder = Message::builder()
        .from(from.clone())
        .subject(&text.title)
        .date(date)
        .message_id(Some(id(&notice.key, domain)))
        .references(id(&thread(notice), domain))
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
    let builder = to.iter().cloned().fold(builder, lettre::message::MessageBuilder::to);
    let part = |kind: ContentType, body: String| SinglePart::builder().header(kind).body(body);
    let plain = part(ContentType::TEXT_PLAIN, format!("{}\n", text.plain().body));
    let html = part(ContentType::TEXT_HTML, html(text)?);
    let message = builder.multipart(MultiPart::alternative().singlepart(plain).singlepart(html));
    Ok(message.map_err(|error| format!("the mail cannot be written: {error}"))?.formatted())
}

/// The Message-ID: the same for each try, so that a mail that was sent twice is recognised.
fn id(key: &str, domain: &str) -> String {
    let hash = Sha256::digest(key.as_bytes());
    let text: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("<belay-{text}@{domain}>")
}

/// All mails of an incident, or of a run, are one thread.
fn thread(notice: &Notice) -> String {
    let facts = &notice.facts;
    let incident = facts.incident.as_ref().map(|incident| incident.id.to_string());
    let episode = incident.or_else(|| facts.run.as_ref().map(|run| run.id.to_string()));
    format!("{}/{}", facts.migration, episode.unwrap_or_default())
}

pub(crate) fn html(text: &Text) -> Result<String, String> {
    let block = |block: &Block| match block {
        Block::Paragraph(text) => json!({ "rows": [], "lines": text.lines().collect::<Vec<_>>() }),
        Block::Table(rows) => {
            let row = |(label, value): &(String, String)| json!({ "label": label, "value": value });
            json!({ "rows": rows.iter().map(row).collect::<Vec<_>>(), "lines": [] })
        }
    };
    let blocks: Vec<_> = text.blocks.iter().map(block).collect();
    let values = json!({ "title": text.title, "blocks": blocks, "footer": text.footer });
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let rendered = environment.render_str(&with_tags_on_lines_of_their_own(HTML), Value::from(Serde(values)));
    rendered.map_err(|error| format!("the mail cannot be written: {error}"))
}
