//! What a step does to the world, as far as a rehearsal needs to know it.

use belay_plan::{
    builtin::{MANUAL, WAIT},
    model::{Step, Target},
};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Moves shares of traffic between destinations.
    Traffic,
    /// Replaces data by an earlier state of it.
    Data,
    /// Sets something that is no traffic: targets of a group, the writer of a cluster.
    State,
    /// Runs something whose effect the plan does not name.
    Job,
    /// A person acts.
    Person,
    /// Time passes.
    Wait,
}

/// These actions return to a state without weights: what is registered, and who writes.
const STATES: [&str; 2] = ["alb.targets", "rds.failover"];

impl Nature {
    pub(crate) fn of(step: &Step) -> Self {
        match (step.action.as_str(), &step.to) {
            (MANUAL, _) => Self::Person,
            (WAIT, _) => Self::Wait,
            _ if step.loses_data => Self::Data,
            (action, Target::Baseline | Target::Explicit(_)) if STATES.contains(&action) => Self::State,
            (_, Target::Baseline) => Self::Traffic,
            (_, Target::Explicit(Value::Object(members)))
                if !members.is_empty() && members.values().all(Value::is_u64) =>
            {
                Self::Traffic
            }
            (_, Target::Explicit(_)) => Self::State,
            (_, Target::Own) => Self::Job,
        }
    }

    /// Whether a rollback is not whole without it.
    pub(crate) fn acts(self) -> bool {
        !matches!(self, Self::Person | Self::Wait)
    }
}

/// Words in a step's name, document, instructions or target that say that it keeps writers away.
const FENCES: [&str; 18] = [
    "stop",
    "fence",
    "freeze",
    "quiesce",
    "pause",
    "suspend",
    "readonly",
    "read_only",
    "read-only",
    "read only",
    "drain",
    "disable",
    "maintenance",
    "sorry",
    "to zero",
    "block_write",
    "revoke",
    "shut",
];

/// Whether a step keeps writers away from data: the plan has no word of its own for it, so its texts are asked.
pub(crate) fn is_fence(name: &str, step: &Step) -> bool {
    let named = |text: &str| {
        let text = text.to_lowercase();
        FENCES.iter().any(|word| text.contains(word))
    };
    let members = match &step.to {
        Target::Explicit(Value::Object(members)) => members.keys().any(|member| named(member)),
        _ => false,
    };
    step.action != WAIT && !step.loses_data && (named(name) || members || texts(&step.with).any(named))
}

fn texts(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::String(text) => Box::new(std::iter::once(text.as_str())),
        Value::Array(items) => Box::new(items.iter().flat_map(texts)),
        Value::Object(fields) => Box::new(fields.values().flat_map(texts)),
        _ => Box::new(std::iter::empty()),
    }
}
