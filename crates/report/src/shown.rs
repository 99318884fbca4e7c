//! Text on one line, of bounded length, without anything that a terminal or a page would obey.

use std::fmt;

use belay_plan::visible;
use serde::Serialize;
use utoipa::ToSchema;

/// Characters of one text; what is longer is cut.
const CHARS_MAX: usize = 2000;

/// Text for a report. Names, reasons and evidence come from outside: control characters are made visible here, and each
/// rendering escapes its own markup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(as = ReportText, value_type = String, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
pub struct Shown(String);

impl Shown {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn shown(text: impl AsRef<str>) -> Shown {
    let text = text.as_ref();
    match text.char_indices().nth(CHARS_MAX) {
        None => Shown(visible::line(text).into_owned()),
        Some((end, _)) => {
            let left_out = text[end..].chars().count();
            Shown(format!("{}... ({left_out} more characters)", visible::line(&text[..end])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_and_has_an_end() {
        assert_eq!(shown("a\r\n\u{1b}[2J\u{202e}").as_str(), "a␍␊␛[2J\\u{202e}");
        let long = shown("é".repeat(CHARS_MAX + 7));
        assert!(long.as_str().ends_with("é... (7 more characters)"), "{long}");
        assert_eq!(shown("é".repeat(CHARS_MAX)).as_str().chars().count(), CHARS_MAX);
    }
}
