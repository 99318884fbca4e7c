//! What a plan adds to the checklist: each item under an id of its own.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    checklist::{ITEMS, OF_A_ROLLBACK, Part},
    decode::Decoded,
    syntax::Problem,
};

pub(crate) fn check(decoded: &Decoded) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for part in Part::ALL {
        let items = decoded.value["checklist"][part.as_str()].as_array().into_iter().flatten().enumerate();
        for (index, item) in items {
            let Value::String(id) = &item["id"] else { continue };
            let place = decoded.places.value(&format!("/checklist/{}/{index}/id", part.as_str()));
            if ITEMS.iter().any(|item| item.id == id) || OF_A_ROLLBACK.contains(&id.as_str()) {
                let message = format!("every migration has an item `{id}` on its checklist");
                problems.push(Problem::new(place, message).help("call this one something else"));
            } else if !known.insert(id) {
                let message = format!("the checklist has two items `{id}`");
                problems.push(Problem::new(place, message).help("each takes an id of its own: it is ticked by it"));
            }
        }
    }
    problems
}
