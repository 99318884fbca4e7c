//! Whose a database is, as its tags tell.

use std::collections::BTreeMap;

use belay_ports::Scope;

use super::source::MIGRATION_TAG;

pub(super) const RUN_TAG: &str = "belay:run";
pub(super) const STEP_TAG: &str = "belay:step";
/// On a restored member of a cluster: the name of the one whose place it takes.
pub(super) const REPLACES_TAG: &str = "belay:replaces";

/// Tags that only AWS sets begin so; a call that passes one is refused.
const AWS_TAGS: &str = "aws:";
pub(super) const BELAY_TAGS: &str = "belay:";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// Made by this step in this run.
    Ours,
    Another {
        run: String,
    },
    /// It has tags, and none of them says.
    Unmarked,
    /// No tags at all: what does not keep tags cannot tell.
    Untagged,
}

pub(super) fn of(scope: &Scope, tags: &BTreeMap<String, String>) -> Owner {
    let run = scope.run.as_ref().map(|run| run.0.as_str());
    match (tags.get(RUN_TAG), tags.get(STEP_TAG)) {
        (Some(tag), step) if Some(tag.as_str()) == run => match step {
            Some(step) if *step != scope.step => Owner::Another { run: format!("by step {step} of this run") },
            _ => Owner::Ours,
        },
        (Some(tag), _) => Owner::Another { run: format!("by run {tag}") },
        (None, _) if tags.is_empty() => Owner::Untagged,
        (None, _) => Owner::Unmarked,
    }
}

/// By whom it was made, if that was not this step of this run.
pub(super) fn foreign(scope: &Scope, tags: &BTreeMap<String, String>) -> Option<String> {
    match of(scope, tags) {
        Owner::Another { run } => Some(run),
        Owner::Ours | Owner::Unmarked | Owner::Untagged => None,
    }
}

/// The tags of what is replaced, and those that say who restored it: RDS copies the source's only if none are passed.
pub(super) fn tags(scope: &Scope, of: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let carried = of.iter().filter(|(key, _)| !key.starts_with(AWS_TAGS) && !key.starts_with(BELAY_TAGS));
    let mut tags: BTreeMap<String, String> = carried.map(|(key, value)| (key.clone(), value.clone())).collect();
    let run = scope.run.as_ref().map_or("<run>", |run| run.0.as_str());
    for (key, value) in [(RUN_TAG, run), (STEP_TAG, &scope.step), (MIGRATION_TAG, &scope.migration)] {
        tags.insert(key.to_owned(), value.to_owned());
    }
    tags
}
