//! Where a step acts, and what is to be seen of it now.

use std::{collections::BTreeMap, time::Duration};

use belay_core::{
    change::{Change, Proof, Repeats},
    reading::Health,
};
use belay_plan::{
    graph::Graph,
    model::{Name, Plan, Target},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    chance::Chance,
    condition::{Condition, Trouble},
    resource::Resource,
    sensor::Shown,
    spread::Spread,
    world::Inner,
};

/// Where a step acts, and how.
pub(crate) struct Place {
    pub(crate) resource: String,
    pub(crate) to: Target,
    pub(crate) pace: Pace,
    pub(crate) repeats: Repeats,
    /// Data is replaced by an earlier copy of it; what has its own target and does not lose data is a job.
    pub(crate) replaces: bool,
}

/// How long the changes of a step take to show.
pub(crate) enum Pace {
    /// Each of them.
    Each(Duration),
    /// All of them together, as it is drawn.
    Drawn { usual: Spread, chance: Chance },
}

/// What a resource without weights is after a restore, or a job.
pub(crate) const RESTORED: &str = "restored";

/// The two changes of a restore.
pub(crate) const COPY: &str = "copy";
pub(crate) const SWITCH: &str = "switch";

impl Inner {
    pub(crate) fn resource_mut(&mut self, step: &str) -> Option<&mut Resource> {
        self.resources.get_mut(&self.steps.get(step)?.resource)
    }

    pub(crate) fn is_at_target(&mut self, step: &str, now: Timestamp) -> bool {
        let Some(place) = self.steps.get(step) else { return true };
        let Some(resource) = self.resources.get_mut(&place.resource) else { return true };
        resource.settle(now);
        let is = &resource.is;
        resource.becoming.is_none()
            && match &place.to {
                Target::Baseline => *is == resource.good,
                Target::Own => is["state"] == RESTORED || *is == resource.good,
                Target::Explicit(Value::Object(named)) => named.iter().all(|(name, weight)| is[name] == *weight),
                Target::Explicit(other) => is == other,
            }
    }

    pub(crate) fn is_on_the_way(&mut self, step: &str) -> bool {
        self.resource_mut(step).is_some_and(|resource| resource.on_the_way)
    }

    /// Since when a step is in place, itself or by another that is as good; None: it is not. A stage on the way counts where
    /// not the whole is asked for.
    pub(crate) fn in_place_since(&mut self, step: &str, whole: bool, now: Timestamp) -> Option<Timestamp> {
        if let Some(since) = self.itself_in_place_since(step, whole, now) {
            return Some(since);
        }
        let mut seen: Vec<Name> = self.stand_ins.get(step)?.clone();
        let mut next = 0;
        while let Some(step) = seen.get(next).cloned() {
            if let Some(since) = self.itself_in_place_since(&step, whole, now) {
                return Some(since);
            }
            let others = self.stand_ins.get(&step).into_iter().flatten();
            let new: Vec<Name> = others.filter(|other| !seen.contains(other)).cloned().collect();
            seen.extend(new);
            next += 1;
        }
        None
    }

    fn itself_in_place_since(&mut self, step: &str, whole: bool, now: Timestamp) -> Option<Timestamp> {
        if let Some(told) = self.told.get(step) {
            return Some(*told);
        }
        let is_there =
            self.steps.contains_key(step) && (self.is_at_target(step, now) || (!whole && self.is_on_the_way(step)));
        let resource = self.resource_mut(step).filter(|_| is_there)?;
        let at = if whole { resource.whole } else { resource.settled };
        at.or(self.breach)
    }

    /// The last condition to begin that says something of it, which is thereby met.
    fn last<T>(&self, says: impl Fn(&Condition) -> Option<T>) -> Option<T> {
        let found = self.conditions.iter().rev().find_map(|(number, condition)| Some((*number, says(condition)?)));
        found.map(|(number, what)| {
            self.met.borrow_mut().insert(number);
            what
        })
    }

    /// How one call for a step fails now, if it does.
    pub(crate) fn trouble(&self, step: &str) -> Option<Trouble> {
        let (number, how, percent) = self.standing(step)?;
        let strikes = percent >= 100 || self.shares.borrow_mut().below(100) < u64::from(percent);
        strikes.then(|| {
            self.met.borrow_mut().insert(number);
            how
        })
    }

    /// Whether what was begun for a step has ended without success; before anything is begun, there is no verdict.
    pub(crate) fn has_failed(&self, step: &str) -> bool {
        match self.standing(step) {
            Some((_, Trouble::Verdict, 100..)) => self.is_called(step),
            Some((_, Trouble::Verdict, _)) => self.doomed.contains(step),
            _ => false,
        }
    }

    /// Whether calls for a step meet something now, or some of them do.
    pub(crate) fn is_troubled(&self, step: &str) -> bool {
        self.standing(step).is_some()
    }

    /// What calls for a step meet, how many of a hundred, and the number of the condition.
    fn standing(&self, step: &str) -> Option<(usize, Trouble, u32)> {
        self.conditions.iter().rev().find_map(|(number, condition)| match condition {
            Condition::Fails { steps, how, percent } if steps.iter().any(|name| name == step) => {
                Some((*number, *how, *percent))
            }
            _ => None,
        })
    }

    /// What a signal shows now whatever the state, if it does.
    pub(crate) fn shown(&self, signal: &str) -> Option<Shown> {
        self.last(|condition| match condition {
            Condition::Shows { signals, what } if signals.iter().any(|name| name == signal) => Some(*what),
            Condition::Targets { healthy, part: Some(part), .. } => part.shown(signal, *healthy),
            _ => None,
        })
    }

    /// How much later than usual a signal shows now what has changed, if it does.
    pub(crate) fn lag(&self, signal: &str) -> Option<Duration> {
        self.last(|condition| match condition {
            Condition::Lags { signals, time } if signals.iter().any(|name| name == signal) => Some(*time),
            _ => None,
        })
    }

    /// How long a change takes to show, if it is made now.
    pub(crate) fn takes(&mut self, step: &str, change: &Change) -> Option<Duration> {
        let named = |steps: &[Name]| steps.iter().any(|name| name == step);
        let set = self.last(|condition| match condition {
            Condition::Takes { steps, time } if named(steps) => Some(*time),
            _ => None,
        });
        let slowed: f64 = self
            .conditions
            .iter()
            .filter_map(|(number, condition)| match condition {
                Condition::Slow { steps, times } if named(steps) => {
                    self.met.borrow_mut().insert(*number);
                    Some(times)
                }
                _ => None,
            })
            .product();
        let time = match &mut self.steps.get_mut(step)?.pace {
            Pace::Each(time) => *time,
            Pace::Drawn { usual, chance } => set.unwrap_or(*usual).draw(chance).mul_f64(share_of(&change.id)),
        };
        Some(time.mul_f64(slowed))
    }

    /// Whether a destination is healthy, where that can be told.
    fn is_healthy(&self, destination: &str) -> Option<bool> {
        let gets = |step: &Name| {
            let resource = self.steps.get(step).and_then(|place| self.resources.get(&place.resource));
            resource.is_some_and(|resource| resource.good[destination].as_u64().is_some_and(|weight| weight > 0))
        };
        let standing = self.last(|condition| match condition {
            Condition::Targets { steps, healthy, part } if steps.iter().any(gets) => {
                Some(part.as_ref().map_or(*healthy, |part| part.can_take_traffic(*healthy)))
            }
            _ => None,
        });
        standing.unwrap_or_else(|| self.destinations.get(destination).copied().or(self.other_destinations))
    }

    pub(crate) fn proof(&self, destination: &str) -> Proof {
        match self.is_healthy(destination) {
            Some(true) => Proof::Healthy { evidence: format!("{destination} is healthy") },
            Some(false) => Proof::Unhealthy { evidence: format!("{destination} does not answer") },
            None => Proof::None { why: format!("nothing watches {destination}") },
        }
    }

    pub(crate) fn health_of(&self, destination: &str) -> Health {
        match self.is_healthy(destination) {
            Some(true) => Health::Healthy,
            Some(false) => Health::Unhealthy,
            None => Health::Unknown,
        }
    }
}

impl Place {
    /// How long its next change usually takes.
    pub(crate) fn expected(&self, change: &str) -> Duration {
        match &self.pace {
            Pace::Each(time) => *time,
            Pace::Drawn { usual, .. } => usual.usual.mul_f64(share_of(change)),
        }
    }
}

/// The part of a step's time that one of its changes takes: of a restore, the copy nearly all.
fn share_of(change: &str) -> f64 {
    match change {
        COPY => 0.9,
        SWITCH => 0.1,
        _ => 1.0,
    }
}

/// A later step on the same resource shows that the one before was done, and a fallback stands in for its step.
pub(crate) fn stand_ins(plan: &Plan) -> BTreeMap<Name, Vec<Name>> {
    let graph = Graph::new(plan);
    let mut found: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
    for (name, step) in &plan.steps {
        if let Some(fallback) = graph.fallback_of(name) {
            found.entry(name.clone()).or_default().push(fallback.to_owned());
        }
        let shares = |other: &&str| **other != *name && plan.steps[*other].resource == step.resource;
        if !step.resource.is_empty() {
            let needed = graph.closure_of_needs(std::slice::from_ref(name));
            for earlier in needed.into_iter().filter(shares) {
                found.entry(earlier.to_owned()).or_default().push(name.clone());
            }
        }
    }
    found
}
