//! `slack`: an incoming webhook, with Block Kit.

use belay_plan::{catalogue::ChannelSpec, shape::secret};
use belay_ports::{NotSent, Notice};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    address::{Address, check_secret, insecure_field},
    http::{ANSWER_BYTES_MAX, Request},
    texts::{Block, Markup, Text, cut},
    way::{Entry, Faults, Shared, Way},
};

pub(crate) const KEY: &str = "slack";

/// What Slack takes; it refuses the whole message for more.
const HEADER_CHARS_MAX: usize = 150;
const SECTION_CHARS_MAX: usize = 3000;
const FIELD_CHARS_MAX: usize = 2000;
const FIELDS_MAX: usize = 10;
const BLOCKS_MAX: usize = 50;

pub(crate) fn spec() -> ChannelSpec {
    ChannelSpec {
        key: KEY,
        summary: "A Slack webhook.",
        value: secret(),
        siblings: vec![insecure_field()],
        events: crate::texts::kinds(KEY),
        check: |spec| check_secret(spec, &["/slack"]),
    }
}

pub(crate) struct Slack;

impl Way for Slack {
    const KEY: &'static str = KEY;
    const MARKUP: Markup = Markup::Slack;
    type Target = Address;

    async fn open(&self, entry: Entry<'_>) -> Result<Address, Faults> {
        entry.secret_address("/slack", &["/slack"]).await
    }

    async fn deliver(&self, shared: &Shared, address: Address, notice: &Notice, text: Text) -> Result<String, NotSent> {
        let request = Request {
            method: Method::POST,
            address: &address,
            headers: Vec::new(),
            body: Some(message(&text, &notice.page).to_string()),
            secrets: address.secrets(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            clock: &*shared.clock,
        };
        let answer = shared.http.send(request).await?;
        Ok(answer.shown(&String::from_utf8_lossy(&answer.body)))
    }
}

fn message(text: &Text, page: &str) -> Value {
    let header = json!({ "type": "header", "text": {
        "type": "plain_text", "text": cut(&text.title, HEADER_CHARS_MAX), "emoji": false,
    } });
    let footer =
        json!({ "type": "context", "elements": [mrkdwn(&linked(&text.footer.join("\n"), page), SECTION_CHARS_MAX)] });
    let footer = (!text.footer.is_empty()).then_some(footer);
    let sections = text.blocks.iter().flat_map(sections).take(BLOCKS_MAX - 2);
    let blocks: Vec<Value> = [header].into_iter().chain(sections).chain(footer).collect();
    json!({ "text": text.title, "blocks": blocks })
}

fn sections(block: &Block) -> Vec<Value> {
    match block {
        Block::Paragraph(text) => vec![json!({ "type": "section", "text": mrkdwn(text, SECTION_CHARS_MAX) })],
        Block::Table(rows) => {
            let field = |(label, value): &(String, String)| mrkdwn(&format!("*{label}*\n{value}"), FIELD_CHARS_MAX);
            let section = |rows: &[(String, String)]| {
                let fields: Vec<Value> = rows.iter().map(field).collect();
                json!({ "type": "section", "fields": fields })
            };
            rows.chunks(FIELDS_MAX).map(section).collect()
        }
    }
}

/// `verbatim`: nothing in it becomes a link or a mention but what is written as one.
fn mrkdwn(text: &str, chars_max: usize) -> Value {
    json!({ "type": "mrkdwn", "text": cut(text, chars_max), "verbatim": true })
}

/// The page, where it is one to be opened, as a link.
fn linked(text: &str, page: &str) -> String {
    let is_url = page.starts_with("https://") || page.starts_with("http://");
    let is_plain = !page.contains(['<', '>', '|', '"', ' ']);
    match is_url && is_plain {
        true => text.replace(&Markup::Slack.escaped(page), &format!("<{}>", page.replace('&', "&amp;"))),
        false => text.to_owned(),
    }
}
