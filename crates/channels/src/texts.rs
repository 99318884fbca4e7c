//! What notices say: templates that are built in, or a plan's own.
//!
//! A template is plain text. Its first line is the title, paragraphs follow, and what stands behind a line `--` is the
//! footer. A paragraph of lines `Label: value` is shown as a table where the channel has one. Values are escaped for the channel
//! when they are inserted, so a template for Slack or Teams may use their markup, and text from outside may not.

mod escape;
mod library;
mod parts;
mod template;
mod time;
mod values;

use belay_core::notice::Facts;
use belay_plan::{notify::NoticeKind, visible};
use belay_ports::{Notice, PlainText};
use serde_json::json;

pub(crate) use self::{
    escape::Markup,
    parts::{Block, Text, cut},
    template::with_tags_on_lines_of_their_own,
    values::cleaned,
};
use self::{library::Style, template::Template};
use crate::samples;

/// Before the title of a notice that only tries a channel.
const TEST: &str = "TEST";
/// Before the title of a rehearsal's notices.
const DRILL: &str = "DRILL";

/// Puts notices into words.
#[derive(Debug, Clone, Copy, Default)]
pub struct Texts;

impl Texts {
    /// The plan's own text for a kind of channel, or the built-in one.
    pub(crate) fn text(self, kind: &str, markup: Markup, notice: &Notice) -> Result<Text, String> {
        let zone = time::zone(notice.notify.timezone.as_deref())?;
        let values = values::of(notice);
        let own = notice.notify.texts.get(&notice.facts.kind).and_then(|texts| texts.get(kind));
        let rendered = match own {
            Some(source) => Template::own(source).render(values, markup, &zone)?,
            None => {
                let style = Style::of(kind);
                Template::built_in(style, notice.facts.kind)?.render(values, markup, &zone)?
            }
        };
        Ok(marked(Text::parse(&rendered), notice))
    }

    /// The same; where the plan's own text cannot be rendered, the built-in one, so that the notice goes out.
    pub(crate) fn text_or_built_in(self, kind: &str, markup: Markup, notice: &Notice) -> Text {
        let built_in = || {
            let mut plain = notice.clone();
            let mut notify = (*plain.notify).clone();
            notify.texts.clear();
            // A zone that this host does not know leaves the times in UTC.
            notify.timezone = notify.timezone.filter(|zone| time::zone(Some(zone)).is_ok());
            plain.notify = notify.into();
            self.text(kind, markup, &plain)
        };
        self.text(kind, markup, notice)
            .or_else(|_| built_in())
            .unwrap_or_else(|_| Text::fallback(&notice.facts, &notice.page))
    }
}

impl belay_ports::Texts for Texts {
    fn plain(&self, kind: &str, notice: &Notice) -> Result<PlainText, String> {
        Ok(self.text(kind, Markup::None, notice)?.plain())
    }

    fn plain_or_built_in(&self, kind: &str, notice: &Notice) -> PlainText {
        self.text_or_built_in(kind, Markup::None, notice).plain()
    }

    fn data(&self, notice: &Notice, text: &PlainText) -> serde_json::Value {
        json!({
            "key": notice.key,
            "channel": notice.channel,
            "test": notice.test,
            "title": text.title,
            "text": text.body,
            "page": visible::line(&notice.page),
            "expected_end": notice.expected_end,
            "next_update": notice.next_update,
            "facts": cleaned(serde_json::to_value(&notice.facts).unwrap_or_default()),
        })
    }
}

fn marked(text: Text, notice: &Notice) -> Text {
    let (mark, sentence) = match (notice.test, notice.facts.drill) {
        (true, _) => (TEST, "This is a test of this channel. Nothing has happened: the rest is made up."),
        (false, true) => (DRILL, "This is a drill, a rehearsal. Nothing is really wrong."),
        (false, false) => return text,
    };
    let blocks = [Block::Paragraph(sentence.to_owned())].into_iter().chain(text.blocks).collect();
    Text { title: format!("{mark}: {}", text.title), blocks, ..text }
}

/// Whether a plan's own text can be rendered, for each way in which such a notice can look.
///
/// # Errors
/// Why not, with the line in the text.
pub fn check_text(kind: NoticeKind, channel: &str, source: &str) -> Result<(), String> {
    let template = Template::own(source);
    template.check_names()?;
    let zone = time::zone(Some("Europe/Berlin"))?;
    for sample in samples::all(kind) {
        let notice = samples::notice(sample.facts, channel);
        let rendered = template.render(values::of(&notice), Markup::None, &zone);
        let rendered = rendered.map_err(|why| format!("{why} (with the sample \"{}\")", sample.name))?;
        if Text::parse(&rendered).title.is_empty() {
            return Err(format!(
                "line 1: nothing is left of the text with the sample \"{}\": its first line is the title",
                sample.name
            ));
        }
    }
    Ok(())
}

/// The kinds of notices that a kind of channel has built-in texts for.
pub(crate) fn kinds(channel: &str) -> Vec<NoticeKind> {
    let style = Style::of(channel);
    NoticeKind::ALL.into_iter().filter(|kind| library::source(style, *kind).is_some()).collect()
}

impl Text {
    /// Without any template.
    fn fallback(facts: &Facts, page: &str) -> Self {
        let title = format!("{}: {}", facts.migration, facts.kind);
        Self { title, blocks: Vec::new(), footer: vec![page.to_owned()] }
    }
}
