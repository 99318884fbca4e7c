//! What the language has and this version does not execute yet. Nothing in a plan is silently ignored.

use belay_plan::model::Plan;

/// The parts of a plan that cannot be honoured, each with its place in the file.
pub fn unsupported(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    for (name, step) in &plan.steps {
        let parts = [("expect", step.expect.is_some()), ("on_drift", step.on_drift.is_some())];
        found.extend(parts.iter().filter(|(_, used)| *used).map(|(key, _)| format!("steps.{name}.{key}")));
    }
    found
}
