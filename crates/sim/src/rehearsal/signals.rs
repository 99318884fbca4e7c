//! Which signal shows what, where a scenario does not say: derived from what the plan uses it for.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use belay_core::{reading::Health, watch::signals_of};
use belay_plan::model::{Name, Plan, Trigger};

use crate::{
    causes::{self, Cause},
    chance::Chance,
    order::Cones,
    rehearsal::usual,
    sensor::Rule,
};

/// The rule of every signal, in each phase of the plan.
pub(crate) type Rules = BTreeMap<Option<Name>, Vec<(Name, Rule)>>;

/// When the breach is one of `trigger`. What heals a signal is what the plan does in the phase.
pub(crate) fn rules(plan: &Plan, trigger: Option<&str>, chance: &mut Chance) -> Rules {
    let trigger = trigger.and_then(|trigger| plan.triggers.get(trigger));
    let phases = plan.phases.keys().cloned().map(Some).chain([None]);
    let drawn = chance.clone();
    let in_phase = |phase: Option<Name>| {
        *chance = drawn.clone(); // whatever the phase is, a signal takes as long to show what has changed
        (phase.clone(), rules_in(&plan.in_phase(phase.as_deref()), trigger, chance))
    };
    phases.map(in_phase).collect()
}

fn rules_in(plan: &Plan, trigger: Option<&Trigger>, chance: &mut Chance) -> Vec<(Name, Rule)> {
    let cones = Cones::new(plan);
    let breaks: HashSet<&Name> =
        trigger.map(|trigger| signals_of(&trigger.when).into_iter().collect()).unwrap_or_default();
    let of_signal = |(name, signal): (&Name, &belay_plan::model::Signal)| {
        let usual = usual::of_signal(&signal.kind);
        let shows_after: [Duration; 2] = [usual.draw(chance), usual.draw(chance)];
        let rule = match causes::of_signal(plan, &cones, name, breaks.contains(name)) {
            Cause::Healed { by, symptom } => Rule::Recovers { by, whole: symptom, shows_after },
            Cause::Fine => Rule::Always(Health::Healthy),
        };
        (name.clone(), rule)
    };
    plan.signals.iter().map(of_signal).collect()
}
