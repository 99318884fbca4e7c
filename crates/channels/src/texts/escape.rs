//! Escapes values for the markup of a channel, so that text from outside is shown and not interpreted.

/// The markup that a channel interprets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Markup {
    None,
    /// Slack's `mrkdwn`.
    Slack,
    /// The subset of Markdown of Adaptive Cards.
    Markdown,
    /// Pages that may take both HTML and Markdown.
    Page,
}

/// A zero-width space: separates a marker from the word that it would format.
const BREAK: char = '\u{200b}';

impl Markup {
    pub(crate) fn escaped(self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Slack => {
                let entities = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                around(&entities, |letter| matches!(letter, '*' | '_' | '~' | '`'), BREAK)
            }
            Self::Markdown => around(text, is_markdown, '\\'),
            Self::Page => around(&text.replace('<', "‹").replace('>', "›"), is_markdown, BREAK),
        }
    }
}

fn is_markdown(letter: char) -> bool {
    matches!(letter, '\\' | '*' | '_' | '~' | '`' | '[' | ']' | '<' | '>' | '#' | '!' | '|')
}

/// The text with a character before each marker. A marker of emphasis inside of a word (`customer_errors`) means nothing,
/// and stays: names can be copied.
fn around(text: &str, is_marker: impl Fn(char) -> bool, before: char) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut escaped = String::with_capacity(text.len() + 16);
    for (index, letter) in letters.iter().enumerate() {
        let is_word = |index: Option<usize>| {
            index.and_then(|index| letters.get(index)).is_some_and(|letter| letter.is_alphanumeric())
        };
        let inside = *letter == '_' && is_word(index.checked_sub(1)) && is_word(Some(index + 1));
        if is_marker(*letter) && !inside {
            escaped.push(before);
        }
        escaped.push(*letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_from_outside_means_nothing() {
        let cases = [
            (Markup::Slack, "<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;"),
            (Markup::Slack, "<http://evil.test|here>", "&lt;http://evil.test|here&gt;"),
            (Markup::Slack, "*bold* `x`", "\u{200b}*bold\u{200b}* \u{200b}`x\u{200b}`"),
            (Markup::Slack, "customer_errors", "customer_errors"),
            (Markup::Markdown, "[here](http://evil.test)", "\\[here\\](http://evil.test)"),
            (Markup::Markdown, "_a_ **b** customer_errors \\", "\\_a\\_ \\*\\*b\\*\\* customer_errors \\\\"),
            (Markup::Page, "<a href=x>y</a>", "‹a href=x›y‹/a›"),
            (Markup::None, "<b>*", "<b>*"),
        ];
        for (markup, text, escaped) in cases {
            assert_eq!(markup.escaped(text), escaped, "{markup:?}");
        }
    }
}
