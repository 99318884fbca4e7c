//! What the language has and this version does not execute yet. Nothing in a plan is silently ignored.

use belay_plan::model::{Answer, Plan};

use crate::incident::answer;

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
    if plan.window.is_some() {
        found.push("window".to_owned());
    }
    if purpose == For::Guarding {
        if plan.decision.custom {
            found.push("decision.rules".to_owned());
        }
        if !plan.decision.authority.is_empty() {
            found.push("decision.authority".to_owned());
        }
        for (name, trigger) in &plan.triggers {
            if trigger.problem.is_some() {
                found.push(format!("triggers.{name}.problem"));
            }
            if !plan.decision.custom && answer(plan, trigger) == Answer::FixFirst {
                found.push(format!(
                    "triggers.{name} (critical, isolated, short fix: the default matrix answers fix_first)"
                ));
            }
        }
        found.extend(plan.notify.keys().map(|name| format!("notify.{name}")));
    }
    found
}
