//! A rendered text, taken apart.

use belay_ports::PlainText;

/// Longer titles are cut.
const TITLE_CHARS_MAX: usize = 200;
/// The line before the footer.
const FOOTER: &str = "--";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
    pub(crate) footer: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// May have several lines.
    Paragraph(String),
    /// Labels and values.
    Table(Vec<(String, String)>),
}

impl Text {
    /// The first line is the title; empty lines part the blocks; a line `--` begins the footer.
    pub(super) fn parse(rendered: &str) -> Self {
        let mut lines = rendered.lines().map(str::trim_end).skip_while(|line| line.is_empty());
        let title = cut(lines.next().unwrap_or_default().trim(), TITLE_CHARS_MAX);
        let rest: Vec<&str> = lines.collect();
        let end = rest.iter().position(|line| *line == FOOTER).unwrap_or(rest.len());
        let blocks = rest[..end].split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).map(block).collect();
        let footer = rest.iter().skip(end + 1).filter(|line| !line.is_empty()).map(|line| (*line).to_owned()).collect();
        Self { title, blocks, footer }
    }

    pub(crate) fn plain(&self) -> PlainText {
        let mut parts: Vec<String> = self.blocks.iter().map(Block::plain).collect();
        if !self.footer.is_empty() {
            parts.push(self.footer.join("\n"));
        }
        PlainText { title: self.title.clone(), body: parts.join("\n\n") }
    }
}

impl Block {
    fn plain(&self) -> String {
        match self {
            Self::Paragraph(text) => text.clone(),
            Self::Table(rows) => {
                let rows: Vec<String> = rows.iter().map(|(label, value)| format!("{label}: {value}")).collect();
                rows.join("\n")
            }
        }
    }
}

fn block(lines: &[&str]) -> Block {
    let rows: Option<Vec<_>> = lines.iter().map(|line| row(line)).collect();
    match rows {
        Some(rows) if rows.len() > 1 => Block::Table(rows),
        _ => Block::Paragraph(lines.join("\n")),
    }
}

/// `Next update: 02:30 UTC`
fn row(line: &str) -> Option<(String, String)> {
    let (label, value) = line.split_once(": ")?;
    let is_label = label.chars().count() <= 30
        && label.starts_with(|first: char| first.is_uppercase())
        && label.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '\''));
    is_label.then(|| (label.to_owned(), value.to_owned()))
}

/// The text, cut to a number of characters.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => {
            let end = text.char_indices().nth(chars_max.saturating_sub(3)).map_or(0, |(end, _)| end);
            // An entity that is cut in half (`&am`) would be visible.
            let kept = &text[..end];
            let whole = match kept.rfind('&') {
                Some(at) if kept.len() - at < 6 && !kept[at..].contains(';') => &kept[..at],
                _ => kept,
            };
            format!("{whole}...")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart() {
        let text =
            Text::parse("\nTitle\n\nOne\ntwo.\n\n\nSince: 02:11\nNext update: 02:30\n\nAlone: yes\n\n--\nHere\n");
        let row = |label: &str, value: &str| (label.to_owned(), value.to_owned());
        assert_eq!(text.title, "Title");
        assert_eq!(
            text.blocks,
            [
                Block::Paragraph("One\ntwo.".to_owned()),
                Block::Table(vec![row("Since", "02:11"), row("Next update", "02:30")]),
                Block::Paragraph("Alone: yes".to_owned()),
            ]
        );
        assert_eq!(text.footer, ["Here"]);
        assert_eq!(text.plain().body, "One\ntwo.\n\nSince: 02:11\nNext update: 02:30\n\nAlone: yes\n\nHere");
    }

    #[test]
    fn what_is_cut_shows_that_it_is() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abc...");
        assert_eq!(cut("ab&amp;cdefg", 8), "ab...");
        assert_eq!(cut("größe größe", 6), "grö...");
    }
}
