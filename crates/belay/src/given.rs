//! The command line as it was given. What is suggested in its place repeats all of it: a part that got lost on the way, such
//! as `--deny`, could turn a no into a yes.

use crate::text;

/// As a shell reads it back, with more words at its end.
pub(crate) fn with(more: &[&str]) -> String {
    let given = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    line(given, more)
}

fn line(given: impl Iterator<Item = String>, more: &[&str]) -> String {
    let words = given.chain(more.iter().map(|word| (*word).to_owned()));
    words.fold("belay".to_owned(), |line, word| format!("{line} {}", text::shell_word(&word)))
}

/// A `--reason`.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    belay_core::input::clean_reason(text).map_err(|why| format!("it {why}"))
}

/// A link that goes on record.
pub(crate) fn link(text: &str) -> Result<String, String> {
    belay_core::input::clean_link(text).map_err(|why| format!("it {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_and_not_empty() {
        assert_eq!(reason(" two\nlines\u{1b}[2J ").unwrap(), "two lines [2J");
        for empty in ["", " \n\t"] {
            assert!(reason(empty).unwrap_err().contains("say why"));
        }
        assert!(reason(&"x".repeat(2000)).is_ok());
        assert!(reason(&"x".repeat(2001)).unwrap_err().contains("2000"));
    }

    #[test]
    fn a_link_leads_to_a_page() {
        assert_eq!(link(" https://wiki.example.com/17?a=b ").unwrap(), "https://wiki.example.com/17?a=b");
        for none in ["", "not a link", "wiki.example.com/17", "https://", "https:///17", "https://wiki.example.com/a b"]
        {
            assert!(link(none).is_err(), "{none}");
        }
    }

    #[test]
    fn nothing_that_was_given_gets_lost() {
        let given = ["approve", "big", "--deny", "--reason", "it's too much", "--json"].map(str::to_owned);
        assert_eq!(
            line(given.into_iter(), &["--run", "r1"]),
            r"belay approve big --deny --reason 'it'\''s too much' --json --run r1"
        );
    }
}
