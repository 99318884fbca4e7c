//! Which signal shows what, where a scenario does not say: derived from what the plan uses it for.

use std::{collections::HashSet, time::Duration};

use belay_core::{reading::Health, watch::signals_of};
use belay_plan::{
    graph::Graph,
    model::{Gate, Name, Plan, Step},
};

use crate::{chance::Chance, rehearsal::usual, sensor::Rule};

/// The rule of every signal of a plan, when the breach is one of `trigger`.
pub(crate) fn rules(plan: &Plan, trigger: Option<&str>, chance: &mut Chance) -> Vec<(Name, Rule)> {
    let graph = Graph::new(plan);
    let breaks: HashSet<&Name> = trigger
        .and_then(|trigger| plan.triggers.get(trigger))
        .map(|trigger| signals_of(&trigger.when).into_iter().collect())
        .unwrap_or_default();
    let of_signal = |(name, signal): (&Name, &belay_plan::model::Signal)| {
        let usual = usual::of_signal(&signal.kind);
        let shows_after: [Duration; 2] = [usual.draw(chance), usual.draw(chance)];
        let rule = match healed_by(plan, &graph, name, breaks.contains(name)) {
            Some(steps) => Rule::Recovers { steps, shows_after },
            None => Rule::Always(Health::Healthy),
        };
        (name.clone(), rule)
    };
    plan.signals.iter().map(of_signal).collect()
}

/// The steps that make a signal healthy again; None for one that nothing makes unhealthy.
fn healed_by(plan: &Plan, graph: &Graph<'_>, signal: &str, breaks: bool) -> Option<Vec<Name>> {
    let gates = |gates: &[Gate]| gates.iter().any(|gate| gate.signal == signal);
    let with = |used: &dyn Fn(&Step) -> bool| -> Vec<&Name> {
        plan.steps.iter().filter(|(name, step)| !graph.is_fallback(name) && used(step)).map(|(name, _)| name).collect()
    };
    let verified = with(&|step| gates(&step.verify));
    let required = with(&|step| gates(&step.require));
    let needs = |step: &str, other: &str| {
        step != other && graph.closure_of_needs(&[step.to_owned()]).into_iter().any(|name| name == other)
    };
    // Several steps verify with it: it is healthy when those are done that come first.
    let first: Vec<Name> = verified
        .iter()
        .filter(|step| !verified.iter().any(|other| needs(step, other)))
        .map(|step| (*step).clone())
        .collect();
    if breaks {
        return Some(if first.is_empty() { with(&|_| true).into_iter().cloned().collect() } else { first });
    }
    // An interlock that no step before it makes healthy has been healthy all along.
    let all_along = required.iter().any(|step| !first.iter().any(|verified| needs(step, verified)));
    if all_along || first.is_empty() { None } else { Some(first) }
}
