//! Answers of receivers, safe to show.

use belay_local::mask;
use belay_plan::visible;

/// How much of an answer an error or a record shows.
const SHOWN_CHARS_MAX: usize = 200;

/// The text on one line, bounded, without known secrets, in whichever form the receiver repeats them.
pub(crate) fn shown(text: &str, secrets: &[String]) -> String {
    let masked = mask::masked(text.trim(), secrets);
    let line = visible::line(&masked);
    match line.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_show_no_secret_and_nothing_that_is_obeyed() {
        let secrets = ["T0/B0/abc".to_owned(), "https://h.test/T0/B0/abc".to_owned(), String::new()];
        let text = "no such hook: https://h.test/T0/B0/abc\r\n\x1b[2J(T0/B0/abc) ";
        assert_eq!(shown(text, &secrets), "no such hook: [masked]␍␊␛[2J([masked])");
        assert_eq!(shown(&"x".repeat(300), &[]).len(), 203);
    }
}
