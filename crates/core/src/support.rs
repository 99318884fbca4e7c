//! What the language has and this version does not execute yet. Nothing in a plan is silently ignored.

use belay_plan::model::Plan;

/// What a plan is about to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// A daemon watches and decides: everything counts.
    Guarding,
    /// Its steps run now, because somebody asked: triggers, decisions and notices do not come into it.
    Running,
}

/// The parts of a plan that cannot be honoured, each with its place in the file.
pub fn unsupported(plan: &Plan, purpose: For) -> Vec<String> {
    let mut found = Vec::new();
    for (name, step) in &plan.steps {
        let parts = [("expect", step.expect.is_some()), ("on_drift", step.on_drift.is_some())];
        found.extend(parts.iter().filter(|(_, used)| *used).map(|(key, _)| format!("steps.{name}.{key}")));
    }
    if purpose == For::Guarding {
        found.extend(plan.notify.keys().map(|name| format!("notify.{name}")));
    }
    found
}
