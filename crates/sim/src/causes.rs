//! What turns a signal healthy again: one derivation for the simulator, which plays it, and for the explorer, which goes
//! by it.

use std::collections::BTreeSet;

use belay_core::{decision::may_roll_back, watch::signals_of};
use belay_plan::model::{Condition, Gate, Name, Nature, Plan, Step, Trigger};
use serde_json::Value;

use crate::{nature, order::Cones};

/// Why a signal is unhealthy when a rollback begins, and what heals it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing made it unhealthy.
    Fine,
    /// It is healthy again as soon as all steps of one of these sets are in place. A step that is passed over, and that nothing
    /// in the world shows (a job, a person's act, a wait), holds up its set no longer; one of the set has to be in place.
    Healed {
        by: Vec<Vec<Name>>,
        /// It is what a trigger watches: it follows all of the traffic, so a part that moved does not heal it.
        symptom: bool,
    },
}

/// The signals that the triggers of a plan watch, those of triggers that roll back where there are such.
pub(crate) fn symptoms(plan: &Plan) -> BTreeSet<Name> {
    let rolls_back = |trigger: &&Trigger| may_roll_back(plan, trigger);
    let any = plan.triggers.values().any(|trigger| rolls_back(&trigger));
    let triggers = plan.triggers.values().filter(|trigger| !any || rolls_back(trigger));
    triggers.flat_map(|trigger| signals_of(&trigger.when)).cloned().collect()
}

/// Whether a rollback can begin while the signal still shows healthy, or without it being affected: then a gate of the run may see it
/// healthy, although nothing has healed it.
pub(crate) fn may_be_healthy_at_first(plan: &Plan, signal: &Name) -> bool {
    fires_without(plan, std::slice::from_ref(signal)).is_some()
}

/// The first trigger that begins a rollback and fires while all of these signals are healthy.
pub(crate) fn fires_without<'p>(plan: &'p Plan, healthy: &[Name]) -> Option<&'p Name> {
    let any = plan.triggers.values().any(|trigger| may_roll_back(plan, trigger));
    let mut triggers = plan.triggers.iter().filter(|(_, trigger)| !any || may_roll_back(plan, trigger));
    triggers.find(|(_, trigger)| can_hold(&trigger.when, healthy)).map(|(name, _)| name)
}

/// Whether a condition can hold while these signals are healthy.
pub(crate) fn can_hold(when: &Condition, healthy: &[Name]) -> bool {
    let number = |of: &[Condition]| of.iter().filter(|part| can_hold(part, healthy)).count();
    match when {
        Condition::Signal(name) => !healthy.contains(name),
        Condition::Any(of) => number(of) > 0,
        Condition::All(of) => number(of) == of.len(),
        Condition::AtLeast { n, of } => number(of) >= usize::try_from(*n).unwrap_or(usize::MAX),
    }
}

/// Of a signal that was red at the breach (`symptom`), or of another.
pub(crate) fn of_signal(plan: &Plan, cones: &Cones, signal: &str, symptom: bool) -> Cause {
    let gates = |gates: &[Gate]| gates.iter().any(|gate| gate.signal == signal);
    let with = |used: &dyn Fn(&Step) -> bool| -> Vec<usize> {
        let steps = plan.steps.values().enumerate();
        steps.filter(|(index, step)| !cones.is_fallback(*index) && used(step)).map(|(index, _)| index).collect()
    };
    let names = |steps: &[usize]| -> Vec<Name> {
        steps.iter().filter_map(|step| plan.steps.get_index(*step)).map(|(name, _)| name.clone()).collect()
    };
    let each = |steps: &[usize]| names(steps).into_iter().map(|step| vec![step]).collect();
    if !symptom {
        let makers = with(&|step| makes(plan, step, signal));
        if !makers.is_empty() {
            return Cause::Healed { by: each(&makers), symptom };
        }
    }
    let verified = with(&|step| gates(&step.verify));
    let is_first = |step: &usize| !verified.iter().any(|other| cones.is_behind(*step, *other));
    let first: Vec<usize> = verified.iter().copied().filter(is_first).collect();
    if symptom {
        let by = if first.is_empty() { vec![names(&with(&|_| true))] } else { each(&first) };
        return Cause::Healed { by, symptom };
    }
    // An interlock that no step before it makes healthy has been healthy all along.
    let required = with(&|step| gates(&step.require));
    let all_along = required.iter().any(|step| !first.iter().any(|verified| cones.is_behind(*step, *verified)));
    if all_along || first.is_empty() { Cause::Fine } else { Cause::Healed { by: each(&first), symptom } }
}

/// A step that registers targets makes the health of its target group.
pub(crate) fn makes(plan: &Plan, step: &Step, signal: &str) -> bool {
    let looked_at = plan.signals.get(signal).and_then(target_group);
    let changed = step.with["target_group"].as_str().map(group_name);
    nature::of(step) == Nature::State && changed.is_some() && changed == looked_at
}

/// The target group that a signal looks at.
pub(crate) fn target_group(signal: &belay_plan::model::Signal) -> Option<&str> {
    signal.spec.get(&signal.kind).and_then(|settings| settings["target_group"].as_str()).map(group_name)
}

/// The name within `arn:aws:elasticloadbalancing:...:targetgroup/NAME/ID`; a name is one already.
pub(crate) fn group_name(group: &str) -> &str {
    match group.split_once(":targetgroup/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
        None => group,
    }
}

/// The members that an explicit target gives traffic to (`true`), or takes it from.
pub(crate) fn members(step: &Step, raised: bool) -> BTreeSet<&str> {
    let belay_plan::model::Target::Explicit(Value::Object(named)) = &step.to else { return BTreeSet::new() };
    let weight = |value: &Value| value.as_u64().unwrap_or(0) > 0;
    named.iter().filter(|(_, value)| weight(value) == raised).map(|(name, _)| name.as_str()).collect()
}
