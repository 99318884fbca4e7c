//! The names by which a plan calls its resources: a change that mentions one of them is one on the plan's resources.

use std::collections::BTreeSet;

use belay_plan::model::{Plan, Target};
use serde_json::Value;

/// Shorter ones stand in anything.
const CHARS_MIN: usize = 4;

/// Settings that name no resource.
const NO_NAMES: [&str; 2] = ["type", "for"];

pub(super) fn of(plan: &Plan) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for step in plan.steps.values().filter(|step| step.action.contains('.')) {
        texts(&step.with, &mut names);
        if let Target::Explicit(Value::Object(members)) = &step.to {
            names.extend(members.keys().cloned());
        }
    }
    names.extend(plan.signals.values().filter_map(|signal| signal.spec["alarm"].as_str()).map(str::to_owned));
    names.retain(|name| name.chars().count() >= CHARS_MIN);
    names
}

fn texts(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            names.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, names)),
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(key, _)| !NO_NAMES.contains(&key.as_str()));
            entries.for_each(|(_, value)| texts(value, names));
        }
        _ => {}
    }
}
