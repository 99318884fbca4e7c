//! The outside as the search sees it: how far each resource is, what has been accepted, and the weights. An independent
//! memory beside core's: what must not happen twice is told by it.

use std::time::Duration;

use belay_core::{
    change::{Change, Effect, Proof, Repeats, Share},
    part_way::{Weights, part_way},
    proof::rises,
};
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
    pub(crate) accepted: u128,
    pub(crate) unknown: u128,
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
        if let Kind::Traffic { resource, target, stages } = &model.steps[step].kind {
            let now = &self.weights[*resource];
            self.weights[*resource] = weights_after(now, target, stages, self.steps[step].effective);
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
            keeps: None,
            repeats,
            expected: Duration::from_secs(60),
        };
        match (&model.steps[step].kind, number) {
            (Kind::Traffic { resource, target, stages }, _) => {
                let mut before = self.weights[*resource].clone();
                for earlier in self.steps[step].effective..number {
                    before = weights_after(&before, target, stages, earlier);
                }
                let after = weights_after(&before, target, stages, number);
                let members = &model.resources[*resource].members;
                let shares = shares(members, &before, &after, telling.proof);
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
                let id = match stages.get(number) {
                    Some(percent) if *percent < 100 => format!("weights_{percent}"),
                    _ => "weights".to_owned(),
                };
                change(&id, title, before, after, vec![Effect::Traffic { shares }])
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
}

/// The weights after one stage, from those that the stage before has left.
fn weights_after(now: &[u32], target: &[Option<u32>], stages: &[u32], stage: usize) -> Vec<u32> {
    let behind = stage.checked_sub(1).and_then(|before| stages.get(before)).copied().unwrap_or(0);
    let percent = stages.get(stage).map_or(100, |percent| (percent - behind) * 100 / (100 - behind));
    let named = |weights: &mut dyn Iterator<Item = u32>| -> Weights {
        weights.enumerate().map(|(member, weight)| (format!("{member:04}"), weight)).collect()
    };
    let before = named(&mut now.iter().copied());
    let wanted = named(&mut target.iter().zip(now).map(|(wanted, now)| wanted.unwrap_or(*now)));
    let kept = |member: &str| member.parse().is_ok_and(|member: usize| target[member].is_none());
    part_way(&before, &wanted, &kept, percent, u32::MAX).into_values().collect()
}

fn shares(members: &[String], before: &[u32], after: &[u32], proof: Proven) -> Vec<Share> {
    let share = |(member, (before, after)): (&String, (&u32, &u32))| Share {
        destination: member.clone(),
        before: *before,
        after: *after,
        proof: Proof::None { why: "it gets no more traffic".to_owned() },
    };
    let shares: Vec<Share> = members.iter().zip(before.iter().zip(after)).map(share).collect();
    let proven = |share: &Share| match proof {
        _ if !rises(share, &shares) => share.proof.clone(),
        Proven::Healthy => Proof::Healthy { evidence: "the actuator sees it healthy".to_owned() },
        Proven::Unhealthy => Proof::Unhealthy { evidence: "the actuator sees it unhealthy".to_owned() },
        Proven::Untold => Proof::None { why: "the actuator cannot tell".to_owned() },
    };
    shares.iter().map(|share| Share { proof: proven(share), ..share.clone() }).collect()
}

impl Telling {
    /// What is told where nothing hangs on it.
    pub(crate) const GOOD: Self = Self { proof: Proven::Healthy, never: false, loses_much: false };
}

impl StepWorld {
    pub(crate) fn bit(number: usize) -> u128 {
        1 << number.min(127)
    }
}
