//! Scalars and comments of a plan's text. Text from outside cannot leave its place. Pure.

use belay_plan::visible;

/// Columns of a comment.
const WIDTH: usize = 110;

/// Words that some reader of YAML takes for something else than text.
const WORDS: [&str; 14] =
    ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity", "nil", "none"];

/// A text as a scalar: as it is where nobody could take it for anything else, else in double quotes, with an escape for
/// everything that does not simply show itself.
pub(crate) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-' | '/'))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            letter if visible::is_plain(letter) => quoted.push(letter),
            letter => match u32::from(letter) {
                code @ 0..=0xff => quoted.push_str(&format!("\\x{code:02x}")),
                code @ 0x100..=0xffff => quoted.push_str(&format!("\\u{code:04x}")),
                code => quoted.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    quoted.push('"');
    quoted
}

/// A comment, in lines of a bounded length.
pub(crate) fn comment(indent: usize, text: &str) -> String {
    let lead = format!("{:indent$}# ", "");
    let text = visible::line(text);
    let (mut comment, mut line) = (String::new(), String::new());
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let columns = lead.len() + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && columns > WIDTH {
            comment.push_str(&format!("{lead}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    comment.push_str(format!("{lead}{line}").trim_end());
    comment.push('\n');
    comment
}

#[cfg(test)]
mod tests {
    use belay_plan::catalogue::Catalogue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_plainly_text_stands_without_quotes() {
        for plain in ["web-blue", "www.example.com", "Z0123456789ABC", "eu-west-1", "app/web/50dc6c495c0c9188"] {
            assert_eq!(scalar(plain), plain);
        }
        for (text, expected) in [
            ("111122223333", "\"111122223333\""),
            ("no", "\"no\""),
            ("NULL", "\"NULL\""),
            ("*.example.com", "\"*.example.com\""),
            ("a: b # c", "\"a: b # c\""),
            ("a\n- b", "\"a\\x0a- b\""),
            ("\u{202e}x\u{1f600}\u{e0041}", "\"\\u202ex😀\\U000e0041\""),
            ("say \"hi\" \\ there", "\"say \\\"hi\\\" \\\\ there\""),
            ("", "\"\""),
        ] {
            assert_eq!(scalar(text), expected);
        }
    }

    #[test]
    fn a_comment_stays_in_its_lines() {
        let told = comment(2, "first\nsteps: {}\u{2028}b: 1\r");
        assert_eq!(told, "  # first␊steps: {}\\u{2028}b: 1␍\n");
        let long = comment(0, &"word ".repeat(60));
        assert!(long.lines().count() == 3 && long.lines().all(|line| line.starts_with("# ") && line.len() <= WIDTH));
    }

    fn summary_of(text: &str) -> String {
        let catalogue = Catalogue::new([], []);
        let loaded = belay_plan::load("plan.yaml", text, &catalogue);
        let errors = |errors: Vec<belay_plan::diagnostic::Diagnostic>| panic!("{errors:#?}\n{text}");
        loaded.unwrap_or_else(errors).plan.summary.unwrap_or_default()
    }

    proptest! {
        /// The plan language reads back what was written, whatever it is, wherever it stands.
        #[test]
        fn every_text_is_read_back(text in "\\PC{1,20}|[\\x00-\\u{ff}]{1,20}|[-?:,{}#&*!|>'\"%@` \\[\\]a]{1,8}|.{1,20}") {
            let flow = format!(
                "belay: 1\nmigration: m\nsummary: {}\nsteps: {{ a: {{ action: manual, with: {{ instructions: {} }} }} }}\n",
                scalar(&text), scalar(&text)
            );
            prop_assume!(!text.trim().is_empty());
            prop_assert_eq!(summary_of(&flow), text);
        }

        /// A comment changes nothing of the plan around it.
        #[test]
        fn no_comment_becomes_part_of_the_plan(text in "(?s).{0,200}", indent in 0_usize..6) {
            let plan = format!(
                "belay: 1\nmigration: m\nsummary: same\n{}steps:\n{}  a: {{ action: wait, with: {{ for: 1s }} }}\n",
                comment(indent, &text), comment(indent, &text)
            );
            prop_assert_eq!(summary_of(&plan), "same");
        }
    }
}
