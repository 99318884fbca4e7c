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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_given_gets_lost() {
        let given = ["approve", "big", "--deny", "--reason", "it's too much", "--json"].map(str::to_owned);
        assert_eq!(
            line(given.into_iter(), &["--run", "r1"]),
            r"belay approve big --deny --reason 'it'\''s too much' --json --run r1"
        );
    }
}
