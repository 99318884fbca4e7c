//! What may be a secret in a text that could not be parsed: no grammar says there which value is one.

use crate::syntax::Span;

/// Parts of the names of entries that hold secrets.
const SECRET_KEYS: [&str; 13] = [
    "secret",
    "token",
    "password",
    "key",
    "auth",
    "slack",
    "teams",
    "webhook",
    "pagerduty",
    "smtp",
    "url",
    "bearer",
    "cookie",
];

/// A longer word of letters and digits may be a key.
const WORD_MAX: usize = 19;

/// The words that are not shown: a few too many rather than one too few.
pub(crate) fn maybe_secrets(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    let mut of_secret = false;
    let mut start = 0;
    let ends = text.match_indices(|letter: char| letter.is_whitespace() || "{}[],\"'".contains(letter));
    let ends = ends.map(|(at, between)| (at, at + between.len())).chain([(text.len(), text.len())]);
    for (end, next) in ends {
        let word = &text[start..end];
        if let Some(key) = word.strip_suffix(':') {
            let key = key.to_ascii_lowercase();
            of_secret = SECRET_KEYS.iter().any(|part| key.contains(part));
        } else if !is_reference(word) && (of_secret && is_value(word) || looks_secret(word)) {
            found.push(start..end);
        }
        start = next;
    }
    found
}

/// It names a secret, a file or a resource.
fn is_reference(word: &str) -> bool {
    ["env:", "file:", "arn:"].iter().any(|prefix| word.starts_with(prefix))
}

fn is_value(word: &str) -> bool {
    word.chars().any(char::is_alphanumeric)
}

fn looks_secret(word: &str) -> bool {
    let has = |wanted: fn(char) -> bool| word.chars().any(wanted);
    let is_key = word.len() > WORD_MAX && has(|letter| letter.is_ascii_digit()) && has(char::is_alphabetic);
    word.contains("://") || is_key
}

#[cfg(test)]
mod tests {
    use super::maybe_secrets;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let shown = |text: &str| {
            let mut text = text.to_owned();
            for span in maybe_secrets(&text) {
                text.replace_range(span.clone(), &"*".repeat(span.len()));
            }
            text
        };
        for (text, expected) in [
            (r#"a: { slack: "https://h/T/S }"#, r#"a: { slack: "************* }"#),
            ("a: { webhook: env:HOOK, secret: hunter2, more\n", "a: { webhook: env:HOOK, secret: *******, ****\n"),
            ("pagerduty: >\n  abc\nevents: [halted", "pagerduty: >\n  ***\nevents: [halted"),
            ("summary: 0123456789abcdef0123 is", "summary: ******************** is"),
            ("sns: arn:aws:sns:us-east-1:1234567890:a\n", "sns: arn:aws:sns:us-east-1:1234567890:a\n"),
            ("steps:\n\tdns: {action: manual", "steps:\n\tdns: {action: manual"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
