//! Settings: files that are no plans, read in the same manner. Every error at once, with its place and what would be
//! right.

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use crate::schema::settings_schema as schema;

use crate::{
    catalogue::Finding,
    decode::decode,
    diagnostic::{Diagnostic, Texts},
    shape::Shape,
    syntax::{self, NodeValue, Problem},
};

/// Reads a text against a shape. A text that holds nothing is an object in which everything is left out. `check` says what
/// is wrong with the meaning of the normal form, in which null stands for what did not decode; `file_name` is what errors
/// call the file.
///
/// # Errors
/// Every diagnostic, in the order of the file; a syntax error stands alone.
pub fn read<T: DeserializeOwned>(
    file_name: &str,
    text: &str,
    shape: &Shape,
    check: impl FnOnce(&Value) -> Vec<Finding>,
) -> Result<T, Vec<Diagnostic>> {
    let texts = Texts::new(file_name, text);
    let (mut root, mut problems) = syntax::parse(text).map_err(|problems| texts.diagnose(problems, Vec::new()))?;
    if matches!(root.value, NodeValue::Null) {
        root.value = NodeValue::Map(Vec::new());
    }
    let decoded = decode(shape, &root, &texts);
    problems.extend(decoded.problems);
    for finding in check(&decoded.value) {
        // What was not decoded has had its error.
        if decoded.places.is_reliable(&finding.pointer) {
            let span = decoded.places.value(&finding.pointer);
            problems.push(finding.at(span));
        }
    }
    if problems.is_empty() {
        match serde_json::from_value(decoded.value) {
            Ok(settings) => return Ok(settings),
            // A fault of the shape, not of the file.
            Err(error) => problems.push(Problem::new(0..0, format!("these settings have no meaning: {error}"))),
        }
    }
    Err(texts.diagnose(problems, decoded.secrets))
}
