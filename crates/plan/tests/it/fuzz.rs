//! Whatever the text, `load` answers, what it says stays inside the file, and what it takes the schema takes too.

use std::sync::LazyLock;

use belay_plan::{load, schema};
use jsonschema::Validator;
use proptest::{prelude::*, sample::Index};

use crate::{
    catalogue::catalogue,
    samples_in,
    schema::{json, validator},
};

/// What a slip of the editor, or somebody unkind, would put into a plan.
const SNIPPETS: &[&str] = &[
    "",
    "\n",
    "  ",
    "\t",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "---\n",
    "...\n",
    "|",
    ">",
    "%",
    "\r\n",
    "\r",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "é",
    "\u{1f9d7}",
    "\0",
    "null",
    "~",
    "1e999",
    "0x",
    "-",
    "? ",
    ".nan",
    "99999999999999999999",
    "any: [",
    "fallback: ",
    "needs: [a]\n",
];

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| validator(&schema(&catalogue())));

fn answers(text: &str) -> Result<(), TestCaseError> {
    match load("plan.yaml", text, &catalogue()) {
        Ok(_) => prop_assert!(json(text).is_none_or(|json| VALIDATOR.is_valid(&json)), "{text}"),
        Err(diagnostics) => {
            prop_assert!(!diagnostics.is_empty());
            for diagnostic in diagnostics {
                prop_assert!(diagnostic.place.line <= text.matches('\n').count() + 1);
                prop_assert!(diagnostic.place.column <= diagnostic.place.column_end);
                prop_assert!(!diagnostic.render(false).is_empty());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn mutated_plans_are_answered(
        sample in any::<Index>(),
        edits in prop::collection::vec((any::<Index>(), any::<Index>(), 0..6_usize), 1..6),
    ) {
        let samples: Vec<_> = samples_in("valid").into_iter().chain(samples_in("invalid")).collect();
        let mut text: Vec<char> = sample.get(&samples).1.chars().collect();
        for (place, snippet, removed) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.splice(start..end, snippet.get(SNIPPETS).chars());
        }
        answers(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn any_text_is_answered(text in ".{0,80}") {
        answers(&text)?;
    }
}
