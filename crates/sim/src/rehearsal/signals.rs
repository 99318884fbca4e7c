//! Which signal shows what, where a scenario does not say: derived from what the plan uses it for.

use std::{collections::HashSet, time::Duration};

use belay_core::{reading::Health, watch::signals_of};
use belay_plan::model::{Name, Plan};

use crate::{
    causes::{self, Cause},
    chance::Chance,
    order::Cones,
    rehearsal::usual,
    sensor::Rule,
};

/// The rule of every signal of a plan, when the breach is one of `trigger`.
pub(crate) fn rules(plan: &Plan, trigger: Option<&str>, chance: &mut Chance) -> Vec<(Name, Rule)> {
    let cones = Cones::new(plan);
    let breaks: HashSet<&Name> = trigger
        .and_then(|trigger| plan.triggers.get(trigger))
        .map(|trigger| signals_of(&trigger.when).into_iter().collect())
        .unwrap_or_default();
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
