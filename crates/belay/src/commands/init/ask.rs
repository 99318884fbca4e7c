//! Asks a person at the terminal which of several things are meant.

use std::io::{BufRead, stdin};

use belay_draft::choice::{Kind, Question};

use crate::output::Output;

/// So many candidates are listed; the others go by their names.
const LISTED_MAX: usize = 50;

pub(super) struct Terminal {
    output: Output,
    /// Whether the input has ended.
    gone: bool,
}

impl Terminal {
    pub(super) fn new(output: Output) -> Self {
        Self { output, gone: false }
    }

    /// Asks until the answer is clear. None: there is nobody any more.
    pub(super) fn ask(&mut self, question: &Question) -> Option<Vec<usize>> {
        if self.gone {
            return None;
        }
        self.output.note(question);
        for (index, candidate) in question.candidates.iter().take(LISTED_MAX).enumerate() {
            self.output.note(format_args!("  {}  {}  {}", index + 1, candidate.label, candidate.detail));
        }
        let more = question.candidates.len().saturating_sub(LISTED_MAX);
        if more > 0 {
            self.output.note(format_args!("  and {more} more, by their names"));
        }
        let cure = match question.kind {
            Kind::Database => "type numbers or names; Enter or `none` for none: a restore loses data",
            _ => "type numbers or names (`1 2`), `all` or `none`",
        };
        loop {
            self.output.note(cure);
            let mut line = String::new();
            match stdin().lock().read_line(&mut line) {
                Ok(read) if read > 0 => {}
                _ => {
                    self.gone = true;
                    return None;
                }
            }
            match picked(&line, question) {
                Ok(picked) => return Some(picked),
                Err(word) => self.output.note(format_args!("`{word}` is no answer to this")),
            }
        }
    }
}

/// The candidates that an answer names; or the word that names none.
fn picked(line: &str, question: &Question) -> Result<Vec<usize>, String> {
    let count = question.candidates.len();
    let one = |word: &str| {
        let by_name = question.candidates.iter().position(|candidate| candidate.label == word);
        let by_number =
            word.parse::<usize>().ok().and_then(|number| number.checked_sub(1)).filter(|index| *index < count);
        by_name.or(by_number)
    };
    // An alarm's name may have blanks.
    if let Some(index) = one(line.trim()) {
        return Ok(vec![index]);
    }
    let words: Vec<&str> = line.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [] if question.kind == Kind::Database => Ok(Vec::new()),
        [] => Err(String::new()),
        ["none"] => Ok(Vec::new()),
        ["all"] if question.kind != Kind::Database => Ok((0..count).collect()),
        words => {
            let mut picked = Vec::new();
            for word in words {
                let index = one(word).ok_or_else(|| (*word).to_owned())?;
                if !picked.contains(&index) {
                    picked.push(index);
                }
            }
            Ok(picked)
        }
    }
}

#[cfg(test)]
mod tests {
    use belay_draft::choice::Candidate;

    use super::*;

    fn question(kind: Kind) -> Question {
        let candidate = |label: &str| Candidate { label: label.to_owned(), detail: String::new() };
        Question { kind, candidates: ["shop:443", "shop:443/10", "too many errors"].map(candidate).into(), typed: None }
    }

    #[test]
    fn an_answer_names_candidates_by_number_or_by_name() {
        let question = question(Kind::Listener);
        for (line, expected) in [
            ("1\n", vec![0]),
            ("2, 1 2", vec![1, 0]),
            ("shop:443/10", vec![1]),
            ("too many errors\r\n", vec![2]),
            ("all", vec![0, 1, 2]),
            ("none", vec![]),
        ] {
            assert_eq!(picked(line, &question), Ok(expected), "{line}");
        }
        for (line, word) in [("", ""), ("0", "0"), ("4", "4"), ("1 x", "x"), ("-1", "-1"), ("yes", "yes")] {
            assert_eq!(picked(line, &question), Err(word.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_database_is_named_or_none_is_meant() {
        let question = question(Kind::Database);
        assert_eq!(picked("\n", &question), Ok(vec![]));
        assert_eq!(picked("all", &question), Err("all".to_owned()), "each is named");
    }
}
