//! Signals that cannot be read for good: an alarm that does not exist, an access that is denied.

use std::{collections::BTreeMap, fmt};

use belay_core::{reading::Reading, watch::signals_of};
use belay_plan::{
    PlanPlaces, below,
    model::{Name, Plan},
};

/// A signal that reads unknown until somebody changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableSignal {
    pub signal: Name,
    /// Where the plan has it: `plan.yaml:12:3 (signals.errors)`.
    pub place: String,
    /// What goes by it: "trigger customers_hurt", "a gate of step dns_back", "the confirmation".
    pub used_by: Vec<String>,
    pub why: String,
}

impl fmt::Display for UnreadableSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signal, place, used_by, why } = self;
        write!(f, "{place}: signal {signal} cannot be read: {why}")?;
        match used_by.as_slice() {
            [] => Ok(()),
            [one] => write!(f, " ({one} depends on it)"),
            several => write!(f, " ({} depend on it)", several.join(", ")),
        }
    }
}

/// In the order of the plan.
pub(crate) fn unreadable(
    plan: &Plan,
    places: &PlanPlaces,
    readings: &BTreeMap<Name, Reading>,
) -> impl Iterator<Item = UnreadableSignal> {
    plan.signals.keys().filter_map(|name| {
        let reading = readings.get(name).filter(|reading| reading.permanent)?;
        Some(UnreadableSignal {
            signal: name.clone(),
            place: places.entry(&below("/signals", name)),
            used_by: used_by(plan, name),
            why: reading.evidence.clone(),
        })
    })
}

fn used_by(plan: &Plan, signal: &Name) -> Vec<String> {
    let triggers = plan.triggers.iter().filter(|(_, trigger)| signals_of(&trigger.when).contains(&signal));
    let steps = plan.steps.iter().filter_map(|(name, step)| {
        let gated = |gates: &[belay_plan::model::Gate]| gates.iter().any(|gate| gate.signal == *signal);
        match (gated(&step.require), gated(&step.verify)) {
            (true, _) => Some(format!("an interlock of step {name}")),
            (_, true) => Some(format!("a gate of step {name}")),
            _ => None,
        }
    });
    let confirms = plan.confirm.iter().any(|gate| gate.signal == *signal).then(|| "the confirmation".to_owned());
    triggers.map(|(name, _)| format!("trigger {name}")).chain(steps).chain(confirms).collect()
}
