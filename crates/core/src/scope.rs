//! Which steps a run covers.

use std::collections::BTreeSet;

use belay_plan::model::{Name, OnFailure, Plan};

/// The steps of a run, in the order of the plan: all of them, or with `only` those, what they need, and the fallbacks of
/// both. Names that the plan does not have are left out; the caller has refused them.
pub fn included(plan: &Plan, only: &[Name]) -> Vec<Name> {
    if only.is_empty() {
        return plan.steps.keys().cloned().collect();
    }
    let mut found = BTreeSet::new();
    let mut open: Vec<&Name> = only.iter().collect();
    while let Some(name) = open.pop() {
        let Some(step) = plan.steps.get(name) else {
            continue;
        };
        if found.insert(name.clone()) {
            open.extend(&step.needs);
            if let OnFailure::Fallback(fallback) = &step.on_failure {
                open.push(fallback);
            }
        }
    }
    plan.steps.keys().filter(|name| found.contains(*name)).cloned().collect()
}
