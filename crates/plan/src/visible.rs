//! Text from outside, made fit to be looked at.
//!
//! A name, a reason or an answer of AWS can contain characters that move a cursor, set a title, end a line or turn the
//! direction of writing. They are shown, not obeyed: `ESC` as `␛`, a bidirectional override as `\u{202e}`.

use std::borrow::Cow;

/// The text on one line, without anything that a terminal, a log or a picture would obey.
pub fn line(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    text.chars().for_each(|letter| push(&mut shown, letter));
    Cow::Owned(shown)
}

/// One character as [`line`] shows it.
pub fn push(shown: &mut String, letter: char) {
    match letter {
        letter if is_plain(letter) => shown.push(letter),
        '\u{7f}' => shown.push('␡'),
        // Blanks of other widths, among them the tab, which moves the cursor.
        '\t' => shown.push(' '),
        letter if letter.is_whitespace() && !breaks_a_line(letter) => shown.push(' '),
        letter if letter < ' ' => shown.extend(char::from_u32(0x2400 + u32::from(letter))),
        letter => shown.extend(letter.escape_unicode()),
    }
}

/// The text for a picture in SVG.
pub fn in_svg(text: &str) -> String {
    line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The text with one character for each of its own, so that a column stays what it is; tabs are left to the renderer.
pub(crate) fn in_columns(text: &str) -> String {
    let one = |letter: char| {
        if letter == '\t' {
            return letter;
        }
        let mut shown = String::new();
        push(&mut shown, letter);
        let mut letters = shown.chars();
        letters.next().filter(|_| letters.next().is_none()).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    text.chars().map(one).collect()
}

/// Whether a character only shows itself. Outside of ASCII the standard library knows: it escapes what does not print.
pub fn is_plain(letter: char) -> bool {
    if letter.is_ascii() {
        return !letter.is_ascii_control();
    }
    // Behind a letter, since a combining mark prints only there.
    let mut pair = [b'a'; 5];
    let length = letter.encode_utf8(&mut pair[1..]).len();
    let pair = std::str::from_utf8(&pair[..=length]).expect("a letter, and a character as it was encoded");
    pair.escape_debug().nth(1) == Some(letter)
}

fn breaks_a_line(letter: char) -> bool {
    matches!(letter, '\n'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_terminal_is_shown() {
        let cases = [
            ("\x1b]0;owned\x07", "␛]0;owned␇"),
            ("\x1b[2J\x1b[1;1H", "␛[2J␛[1;1H"),
            ("a\r\nforged: all well", "a␍␊forged: all well"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{85}\u{2028}", "\\u{85}\\u{2028}"),
            ("\u{202e}txt.exe\u{2066}", "\\u{202e}txt.exe\\u{2066}"),
            ("a\tb\u{a0}c\u{2003}d", "a b c d"),
            ("\u{200b}\u{feff}\u{e0041}", "\\u{200b}\\u{feff}\\u{e0041}"),
            ("\u{7f}\0", "␡␀"),
        ];
        for (text, shown) in cases {
            assert_eq!(line(text), shown, "{text:?}");
        }
    }

    #[test]
    fn what_people_write_stays() {
        for text in
            ["it's 5 % \"more\" \\ less", "größer, naïve, e\u{301}", "チェックアウト", "עגלה", "✔ ␛ 🚀 ❤\u{fe0f}"]
        {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn a_picture_takes_nothing_for_markup() {
        assert_eq!(in_svg("<a href=\"x\">&\u{8}"), "&lt;a href=&quot;x&quot;&gt;&amp;␈");
    }

    #[test]
    fn columns_stay_where_they_are() {
        assert_eq!(in_columns("a\x1b\u{9b}\u{202e}ä\tb"), "a␛��ä\tb");
    }
}
