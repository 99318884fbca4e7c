//! Text for a terminal. Own text and text from outside stand in the same strings, so a colour is written as a mark: an
//! escape sequence with a number that is drawn when the process starts. On the way out ([`shown`]) marks become colours, and
//! everything else that a terminal would obey becomes visible. So no text from outside can forge either.

use std::{
    fmt::{self, Display},
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use belay_plan::visible;
use textwrap::core::display_width;

/// Nothing outside of this process knows it. In groups of four digits, as `console` knows the parts of a sequence.
static NUMBER: LazyLock<String> = LazyLock::new(|| {
    let number = RandomState::new().hash_one(0);
    format!("{:04};{:04};{:04}", number % 10_000, number / 10_000 % 10_000, number / 100_000_000 % 10_000)
});

/// How the escape sequence of a colour begins; then come numbers, and an `m`.
const COLOUR: &str = "\x1b[";
/// What goes before a line that the text itself has broken: no such line can be taken for one of Belay's own.
const CONTINUED: &str = "┆ ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

/// How a text is to look; without colour, as every other text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    on: bool,
    bold: bool,
    dim: bool,
    colour: Option<Colour>,
}

impl Style {
    pub(crate) const fn new(on: bool) -> Self {
        Self { on, bold: false, dim: false, colour: None }
    }

    pub(crate) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(crate) const fn dim(self) -> Self {
        Self { dim: true, ..self }
    }

    pub(crate) const fn red(self) -> Self {
        Self { colour: Some(Colour::Red), ..self }
    }

    pub(crate) const fn green(self) -> Self {
        Self { colour: Some(Colour::Green), ..self }
    }

    pub(crate) const fn yellow(self) -> Self {
        Self { colour: Some(Colour::Yellow), ..self }
    }

    pub(crate) const fn cyan(self) -> Self {
        Self { colour: Some(Colour::Cyan), ..self }
    }

    pub(crate) fn apply_to<T: Display>(self, text: T) -> Painted<T> {
        Painted { style: self, text }
    }

    fn codes(self) -> impl Iterator<Item = u8> {
        let on = |on: bool, code: u8| (self.on && on).then_some(code);
        let colour = self.colour.filter(|_| self.on).map(|colour| colour as u8);
        [on(self.bold, 1), on(self.dim, 2), colour].into_iter().flatten()
    }
}

/// A text in its style.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Painted<T> {
    style: Style,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.style.codes().next().is_none() {
            return self.text.fmt(f);
        }
        f.write_str(COLOUR)?;
        for code in self.style.codes() {
            write!(f, "{code};")?;
        }
        write!(f, "{}m", *NUMBER)?;
        self.text.fmt(f)?;
        write!(f, "{COLOUR}0;{}m", *NUMBER)
    }
}

/// A mark at the beginning of a text: the codes of its colour, and the text behind it.
fn mark(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.split_at(colour_length(text)?);
    let codes = inside.strip_prefix(COLOUR)?.strip_suffix('m')?.strip_suffix(NUMBER.as_str())?.strip_suffix(';')?;
    Some((codes, rest))
}

/// Walks through a text: its marks, and its characters between them.
fn walk(mut text: &str, shown: &mut String, mut marked: impl FnMut(&mut String, &str)) {
    while let Some(letter) = text.chars().next() {
        if let Some((codes, rest)) = mark(text) {
            marked(shown, codes);
            text = rest;
        } else {
            visible::push(shown, letter);
            text = &text[letter.len_utf8()..];
        }
    }
}

/// One line, with its marks and otherwise only with what is visible: so it can be measured.
pub(crate) fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    walk(text, &mut shown, |shown, codes| shown.push_str(&format!("{COLOUR}{codes};{}m", *NUMBER)));
    shown
}

/// The lines of a text that comes from outside as a whole: those that it has broken itself are marked as such.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> {
    let lines = text.trim_end().split('\n').map(|line| line.trim_end_matches('\r')).enumerate();
    lines.map(|(index, text)| if index == 0 { line(text) } else { format!("{CONTINUED}{}", line(text)) })
}

/// Columns that a [`line`] takes.
pub(crate) fn width(line: &str) -> usize {
    display_width(line)
}

/// A [`line`] cut to so many columns; a colour that begins before the cut ends behind it.
pub(crate) fn cut(line: &str, columns: usize) -> String {
    const CUT: &str = "…";
    if width(line) <= columns {
        return line.to_owned();
    }
    let (mut kept, mut rest, mut left) = (String::with_capacity(line.len()), line, columns.saturating_sub(width(CUT)));
    let mut cut = false;
    while let Some(letter) = rest.chars().next() {
        let marked = mark(rest).map(|(_, behind)| rest.len() - behind.len());
        let (part, behind) = rest.split_at(marked.unwrap_or(letter.len_utf8()));
        match (marked, left.checked_sub(width(part))) {
            (Some(_), _) => kept.push_str(part),
            (None, Some(less)) if !cut => {
                kept.push_str(part);
                left = less;
            }
            (None, _) if !cut => {
                kept.push_str(CUT);
                cut = true;
            }
            (None, _) => {}
        }
        rest = behind;
    }
    kept
}

/// One line as it goes to the terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    walk(text, &mut shown, |shown, codes| shown.push_str(&format!("{COLOUR}{codes}m")));
    shown
}

/// What a library has drawn in several lines and in colour, of text that was made visible before. Colour is left in it.
pub(crate) fn drawn(mut text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    while let Some(letter) = text.chars().next() {
        let length = colour_length(text).unwrap_or(0);
        if length > 0 || letter == '\n' {
            let length = length.max(1);
            shown.push_str(&text[..length]);
            text = &text[length..];
        } else {
            visible::push(&mut shown, letter);
            text = &text[letter.len_utf8()..];
        }
    }
    shown
}

/// How long the sequence for a colour is that a text begins with.
fn colour_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix(COLOUR)?;
    let end = inside.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    inside[end..].starts_with('m').then_some(COLOUR.len() + end + 1)
}

/// A JSON document that means the same, without anything in its strings that a terminal would obey.
pub(crate) fn json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for letter in document.chars() {
        if letter == '\n' || visible::is_plain(letter) {
            shown.push(letter);
        } else {
            letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Style = Style::new(true).red();

    #[test]
    fn own_colours_come_out_and_others_are_shown() {
        let text = format!("{} then \x1b[32mgreen\x1b[0m", RED.bold().apply_to("red"));
        assert_eq!(shown(&text), "\x1b[1;31mred\x1b[0m then ␛[32mgreen␛[0m");
        let guessed = if *NUMBER == "0000;0000;0000" { "0000;0000;0001" } else { "0000;0000;0000" };
        assert_eq!(shown(&format!("\x1b[31;{guessed}mred")), format!("␛[31;{guessed}mred"));
    }

    #[test]
    fn a_text_in_colour_is_shown_as_any_other() {
        let text = RED.apply_to("a\x1b]0;owned\x07\nforged \u{202e}").to_string();
        assert_eq!(shown(&text), "\x1b[31ma␛]0;owned␇␊forged \\u{202e}\x1b[0m");
    }

    #[test]
    fn without_colour_there_are_no_marks() {
        assert_eq!(Style::new(false).red().apply_to("plain").to_string(), "plain");
        assert_eq!(Style::new(true).apply_to("plain").to_string(), "plain");
    }

    #[test]
    fn a_line_can_be_measured_before_it_is_shown() {
        let text = RED.apply_to("a\x1b[2Jb").to_string();
        assert_eq!(width(&line(&text)), "a␛[2Jb".chars().count());
        assert_eq!(shown(&line(&text)), shown(&text));
    }

    #[test]
    fn a_cut_ends_its_colour() {
        let text = line(&format!("{} and {}", RED.apply_to("日本語"), RED.apply_to("more")));
        assert_eq!(shown(&cut(&text, 6)), "\x1b[31m日本…\x1b[0m\x1b[31m\x1b[0m");
        assert_eq!(cut(&text, 15), text);
    }

    #[test]
    fn lines_that_a_text_breaks_itself_are_marked() {
        let text = lines("first\n● all well\r\n\x1b[1Athird\n");
        assert_eq!(text.collect::<Vec<_>>(), ["first", "┆ ● all well", "┆ ␛[1Athird"]);
        assert_eq!(lines("").collect::<Vec<_>>(), [""], "an empty line is a line");
    }

    #[test]
    fn what_is_drawn_keeps_its_lines_and_colours_only() {
        let text = "\x1b[1;31merror\x1b[0m\n a\x1b[2J\x1b]0;x\x07\x1b[3";
        assert_eq!(drawn(text), "\x1b[1;31merror\x1b[0m\n a␛[2J␛]0;x␇␛[3");
    }

    #[test]
    fn json_stays_exact() {
        let value = serde_json::json!({ "why": "\u{9b}2J \u{202e} \u{e0041} \x1b ä\n" });
        let text = json(&format!("{value:#}"));
        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control() && letter != '\u{202e}'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
