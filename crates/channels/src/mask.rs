//! Answers of receivers, safe to show.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use belay_plan::visible;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// How much of an answer an error or a record shows.
const SHOWN_CHARS_MAX: usize = 200;

/// The text on one line, bounded, without known secrets, in whichever form the receiver repeats them.
pub(crate) fn shown(text: &str, secrets: &[String]) -> String {
    let mut secrets: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    secrets.retain(|secret| !secret.is_empty());
    // A secret that contains another is masked first.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let masked = secrets.into_iter().fold(text.trim().to_owned(), |text, secret| text.replace(&secret, "[masked]"));
    let line = visible::line(&masked);
    match line.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.into_owned(),
    }
}

/// A secret as it is, decoded, and encoded for a URL, for JSON, and in base64.
fn forms(secret: &str) -> Vec<String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let plain = [secret.to_owned(), decoded(secret), decoded(&secret.replace('+', " "))];
    let mut forms = plain.to_vec();
    for text in &plain {
        let escaped = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        // `-`, `.`, `_` and `~` are left as they are by most.
        let usual = escaped.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_").replace("%7E", "~");
        let path = usual.replace("%2F", "/");
        forms.extend([escaped, usual, path].into_iter().flat_map(|text| [in_small_letters(&text), text]));
        let json = serde_json::Value::from(text.as_str()).to_string();
        let json = json.trim_matches('"').to_owned();
        forms.extend([json.replace('/', "\\/"), json]);
        // Some leave the padding away.
        forms.extend([STANDARD.encode(text), URL_SAFE.encode(text)].map(|text| text.trim_end_matches('=').to_owned()));
    }
    forms
}

/// `%2B` as `%2b`; the rest stays.
fn in_small_letters(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |done, part| match part.split_at_checked(2) {
        Some((escape, rest)) => format!("{done}%{}{rest}", escape.to_ascii_lowercase()),
        None => format!("{done}%{part}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_is_shown() {
        let secrets = ["SIG/x%2BabcDEF-123".to_owned()];
        for form in [
            "SIG/x%2BabcDEF-123",
            "SIG/x+abcDEF-123",
            "SIG%2Fx%2BabcDEF-123",
            "SIG%2fx%2babcDEF-123",
            "SIG\\/x+abcDEF-123",
            "U0lHL3grYWJjREVGLTEyMw",
        ] {
            assert_eq!(shown(&format!("bad signature ({form})"), &secrets), "bad signature ([masked])", "{form}");
        }
    }

    #[test]
    fn answers_show_no_secret_and_nothing_that_is_obeyed() {
        let secrets = ["T0/B0/abc".to_owned(), "https://h.test/T0/B0/abc".to_owned(), String::new()];
        let text = "no such hook: https://h.test/T0/B0/abc\r\n\x1b[2J(T0/B0/abc) ";
        assert_eq!(shown(text, &secrets), "no such hook: [masked]␍␊␛[2J([masked])");
        assert_eq!(shown(&"x".repeat(300), &[]).len(), 203);
    }
}
