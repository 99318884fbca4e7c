//! The outside as the search sees it: how far each resource is, what has been accepted, and the weights. An independent
//! memory beside core's: what must not happen twice is told by it.

use std::time::Duration;

use belay_core::change::{Change, Effect, Proof, Repeats, Share};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::model::{Kind, Model};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) steps: Vec<StepWorld>,
    /// By resource, then by member.
    pub(crate) weights: Vec<Vec<u32>>,
}

/// Bits stand for the changes of a step, the first lowest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct StepWorld {
    /// It has been looked at.
    pub(crate) seen: bool,
    /// How many of its changes have taken effect.
    pub(crate) effective: usize,
    /// The next one has been accepted and will show.
    pub(crate) under_way: bool,
    /// What was accepted, and what has an outcome that nobody knows.
    pub(crate) accepted: u8,
    pub(crate) unknown: u8,
    /// Whether doing it twice harms; settled when the first is sent.
    pub(crate) never: Option<bool>,
}

/// What a look tells about what a change would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Telling {
    pub(crate) proof: Proven,
    pub(crate) never: bool,
    /// Data would be lost, and nobody can tell how much; otherwise nothing to speak of.
    pub(crate) loses_much: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proven {
    Healthy,
    Unhealthy,
    Untold,
}

impl World {
    pub(crate) fn new(model: &Model) -> Self {
        Self {
            steps: vec![StepWorld::default(); model.steps.len()],
            weights: model.resources.iter().map(|resource| resource.cutover.clone()).collect(),
        }
    }

    /// Everything a step wants is there already: nobody had changed it.
    pub(crate) fn was_in_place(&mut self, model: &Model, step: usize) {
        for _ in self.steps[step].effective..model.steps[step].kind.changes() {
            self.take_effect(model, step);
        }
    }

    /// The step's next change takes effect.
    pub(crate) fn take_effect(&mut self, model: &Model, step: usize) {
        if let Kind::Traffic { resource, target } = &model.steps[step].kind {
            for (weight, wanted) in self.weights[*resource].iter_mut().zip(target) {
                *weight = wanted.unwrap_or(*weight);
            }
        }
        let state = &mut self.steps[step];
        state.effective += 1;
        state.under_way = false;
    }

    /// The resource whose traffic has all gone, if there is one.
    pub(crate) fn without_traffic(&self, model: &Model) -> Option<String> {
        let dark = self.weights.iter().position(|weights| weights.iter().all(|weight| *weight == 0))?;
        let was_dark = model.resources[dark].cutover.iter().all(|weight| *weight == 0);
        (!was_dark).then(|| model.resources[dark].members.join(", "))
    }

    /// The changes of a step that remain.
    pub(crate) fn remaining(&self, model: &Model, step: usize, name: &str, telling: Telling) -> Vec<Change> {
        let state = &self.steps[step];
        let of = model.steps[step].kind.changes();
        (state.effective..of).map(|number| self.change(model, step, name, number, telling)).collect()
    }

    fn change(&self, model: &Model, step: usize, name: &str, number: usize, telling: Telling) -> Change {
        let repeats = if telling.never { Repeats::Never } else { Repeats::Converges };
        let change = |id: &str, title: String, before: Value, after: Value, effects| Change {
            id: id.to_owned(),
            title,
            before,
            after,
            call: format!("explore:{id}"),
            args: Value::Null,
            effects,
            repeats,
            expected: Duration::from_secs(60),
        };
        match (&model.steps[step].kind, number) {
            (Kind::Traffic { resource, target }, _) => {
                let shares = self.shares(model, *resource, target, telling.proof);
                let moves: Vec<String> = shares
                    .iter()
                    .filter(|share| share.before != share.after)
                    .map(|share| format!("{} {} -> {}", share.destination, share.before, share.after))
                    .collect();
                let image = |weight: fn(&Share) -> u32| -> Value {
                    shares.iter().map(|share| (share.destination.clone(), json!(weight(share)))).collect()
                };
                let (before, after) = (image(|share| share.before), image(|share| share.after));
                let title = format!("{name}: {}", moves.join(", "));
                change("weights", title, before, after, vec![Effect::Traffic { shares }])
            }
            (Kind::Replace, 0) => {
                let since = (!telling.loses_much).then_some(Timestamp::MAX);
                let effects = vec![Effect::LosesData { since }];
                change("restore", format!("{name}: restore a copy beside it"), Value::Null, json!("copy"), effects)
            }
            (Kind::Replace, _) => {
                let effects = vec![Effect::Outage { expected: Duration::from_secs(60) }];
                change("switch", format!("{name}: switch to the copy"), json!("copy"), json!("restored"), effects)
            }
            _ => change("set", format!("{name}: set it back"), Value::Null, json!("back"), Vec::new()),
        }
    }

    fn shares(&self, model: &Model, resource: usize, target: &[Option<u32>], proof: Proven) -> Vec<Share> {
        let members = model.resources[resource].members.iter().zip(&self.weights[resource]).zip(target);
        let share = |((member, before), after): ((&String, &u32), &Option<u32>)| {
            let after = after.unwrap_or(*before);
            let proof = match proof {
                _ if after <= *before => Proof::None { why: "it gets no more traffic".to_owned() },
                Proven::Healthy => Proof::Healthy { evidence: "the actuator sees it healthy".to_owned() },
                Proven::Unhealthy => Proof::Unhealthy { evidence: "the actuator sees it unhealthy".to_owned() },
                Proven::Untold => Proof::None { why: "the actuator cannot tell".to_owned() },
            };
            Share { destination: member.clone(), before: *before, after, proof }
        };
        members.map(share).collect()
    }
}

impl Telling {
    /// What is told where nothing hangs on it.
    pub(crate) const GOOD: Self = Self { proof: Proven::Healthy, never: false, loses_much: false };
}

impl StepWorld {
    pub(crate) fn bit(number: usize) -> u8 {
        1 << number.min(7)
    }
}
