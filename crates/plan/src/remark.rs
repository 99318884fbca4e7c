//! What is to be said of a plan that is valid.

use crate::{
    diagnostic::{Diagnostic, Texts},
    syntax::{self, Node, NodeValue, Problem, Span},
};

/// A remark on a valid plan, at the place that a JSON pointer names: an entry's key, or an item of a list. Where the file
/// leaves the place out, on what is nearest above it.
pub fn remark(file_name: &str, text: &str, pointer: &str, message: &str, help: &str) -> Option<Diagnostic> {
    let (root, _) = syntax::parse(text).ok()?;
    let problem = Problem::new(place_of(&root, pointer), message).help(help);
    Texts::new(file_name, text).diagnose(vec![problem], Vec::new()).pop()
}

fn place_of(root: &Node, pointer: &str) -> Span {
    let (mut node, mut span) = (root, root.span.clone());
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        (node, span) = match &node.value {
            NodeValue::Map(_) => match node.get(&part) {
                Some(entry) => (&entry.value, entry.key_span.clone()),
                None => break,
            },
            NodeValue::List(items) => match part.parse().ok().and_then(|index: usize| items.get(index)) {
                Some(item) => (item, item.span.clone()),
                None => break,
            },
            _ => break,
        };
    }
    span
}
