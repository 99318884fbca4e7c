//! `teams`: a webhook of Teams Workflows, with an Adaptive Card.

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

pub(crate) const KEY: &str = "teams";

/// Teams refuses messages of more than 28 KB; the card itself takes some of it.
const TEXT_BYTES_MAX: usize = 20 * 1024;
const PARAGRAPH_CHARS_MAX: usize = 3000;

pub(crate) fn spec() -> ChannelSpec {
    ChannelSpec {
        key: KEY,
        summary: "A webhook of Microsoft Teams (Workflows).",
        value: secret(),
        siblings: vec![insecure_field()],
        events: crate::texts::kinds(KEY),
        check: |spec| check_secret(spec, &["/teams"]),
    }
}

pub(crate) struct Teams;

impl Way for Teams {
    const KEY: &'static str = KEY;
    const MARKUP: Markup = Markup::Markdown;
    type Target = Address;

    async fn open(&self, entry: Entry<'_>) -> Result<Address, Faults> {
        entry.secret_address("/teams", &["/teams"]).await
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
    let title = json!({ "type": "TextBlock", "text": text.title, "size": "Large", "weight": "Bolder", "wrap": true });
    let footer = json!({
        "type": "TextBlock", "text": lines(&text.footer.join("\n")), "size": "Small", "isSubtle": true, "wrap": true,
    });
    let footer = (!text.footer.is_empty()).then_some(footer);
    let mut left = TEXT_BYTES_MAX;
    let fits = |block: &Value| {
        left = left.saturating_sub(block.to_string().len());
        left > 0
    };
    let blocks = text.blocks.iter().map(block).take_while(fits);
    let body: Vec<Value> = [title].into_iter().chain(blocks).chain(footer).collect();
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "body": body,
    });
    if page.starts_with("https://") || page.starts_with("http://") {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open in Belay", "url": page }]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card,
        }],
    })
}

fn block(block: &Block) -> Value {
    match block {
        Block::Paragraph(text) => json!({
            "type": "TextBlock", "text": lines(&cut(text, PARAGRAPH_CHARS_MAX)), "wrap": true,
        }),
        Block::Table(rows) => {
            let fact = |(label, value): &(String, String)| json!({ "title": label, "value": value });
            json!({ "type": "FactSet", "facts": rows.iter().map(fact).collect::<Vec<_>>() })
        }
    }
}

/// A single line end is a space in a card; items of a list stay together.
fn lines(text: &str) -> String {
    text.replace('\n', "\n\n").replace("\n\n- ", "\n- ")
}
