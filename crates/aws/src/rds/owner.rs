//! Whose a database is, as its tags tell.

use std::collections::BTreeMap;

use belay_ports::Scope;

use super::{restore_test, source::MIGRATION_TAG};

pub(super) const RUN_TAG: &str = "belay:run";
pub(super) const STEP_TAG: &str = "belay:step";
/// On what a restore test has made: when it began.
const TEST_TAG: &str = "belay:restore-test";
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

/// User guide, "Tagging Amazon RDS resources": a resource has at most so many, beside those of AWS.
const TAGS_MAX: usize = 50;

/// The number of Belay's own tags: on an instance or a cluster, and on a member of a cluster, which also has `belay:replaces`.
pub(super) const OF_INSTANCE: usize = 3;
pub(super) const OF_MEMBER: usize = 4;

/// The tags of what is replaced, and those that say who restored it: RDS copies the source's only if none are passed.
/// `own`: how many of Belay's there will be.
pub(super) fn tags(scope: &Scope, of: &BTreeMap<String, String>, own: usize) -> BTreeMap<String, String> {
    let test = scope.run.as_ref().and_then(restore_test::began);
    let carried = carried(of).take(TAGS_MAX - own - usize::from(test.is_some()));
    let mut tags: BTreeMap<String, String> = carried.map(|(key, value)| (key.clone(), value.clone())).collect();
    let run = scope.run.as_ref().map_or("<run>", |run| run.0.as_str());
    for (key, value) in [(RUN_TAG, run), (STEP_TAG, &scope.step), (MIGRATION_TAG, &scope.migration)] {
        tags.insert(key.to_owned(), value.to_owned());
    }
    tags.extend(test.map(|began| (TEST_TAG.to_owned(), began.to_owned())));
    tags
}

fn carried(of: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    of.iter().filter(|(key, _)| !key.starts_with(AWS_TAGS) && !key.starts_with(BELAY_TAGS))
}

/// For a title: the tags for which there is no room. Empty where there is.
pub(super) fn left_out_words(of: &BTreeMap<String, String>, own: usize) -> String {
    let left: Vec<&str> = carried(of).skip(TAGS_MAX - own).map(|(key, _)| key.as_str()).collect();
    match left.is_empty() {
        true => String::new(),
        false => format!("; without the tags {}: there is room for {TAGS_MAX}, with Belay's own", left.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing;

    #[test]
    fn belays_own_tags_fit_and_what_does_not_is_told() {
        let has: BTreeMap<String, String> = (0..49).map(|number| (format!("key-{number:02}"), String::new())).collect();
        let scope = testing::scope(Value::Null, None, None);
        let given = tags(&scope, &has, OF_INSTANCE);
        assert_eq!(given.len(), TAGS_MAX);
        assert!(given.contains_key(RUN_TAG) && given.contains_key("key-46") && !given.contains_key("key-47"));
        assert!(left_out_words(&has, OF_INSTANCE).starts_with("; without the tags key-47, key-48: "));
        assert_eq!(left_out_words(&BTreeMap::new(), OF_MEMBER), "");
    }
}
