//! Never make it worse: what a change has to show before it is sent.

use std::{collections::BTreeSet, time::Duration};

use belay_plan::{
    duration,
    model::{Gate, Objectives, Step},
};
use jiff::Timestamp;

use crate::change::{Change, Effect, Proof, Share};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    AllZero { why: String },
    Unproven { destination: String, why: String },
}

/// What stands for a proof where the actuator has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interlocks<'a> {
    None,
    /// They are to have passed right before.
    Passed,
    /// Of an undo: these prove the side that the rollback went back to, and traffic leaves that side now.
    OtherSide(&'a [Gate]),
}

impl<'a> Interlocks<'a> {
    pub fn of(step: &'a Step) -> Self {
        if step.require.is_empty() { Self::None } else { Self::Passed }
    }

    fn missing(self) -> String {
        match self {
            Self::OtherSide(gates) if !gates.is_empty() => {
                let names: Vec<&str> = gates.iter().map(|gate| gate.signal.as_str()).collect();
                format!(
                    "the step's `require` ({}) proves the side that the rollback went back to, not this one",
                    names.join(", ")
                )
            }
            _ => "the step has no `require`".to_owned(),
        }
    }
}

/// `overrides`: what a person has taken responsibility for by name.
pub fn check(change: &Change, overrides: &BTreeSet<String>, interlocks: Interlocks<'_>) -> Verdict {
    for effect in &change.effects {
        let Effect::Traffic { shares } = effect else {
            continue;
        };
        if shares.iter().all(|share| share.after == 0) {
            return Verdict::AllZero { why: format!("it would leave no traffic anywhere: {}", change.title) };
        }
        for share in shares.iter().filter(|share| rises(share, shares)) {
            let name = &share.destination;
            if overrides.contains(name) {
                continue;
            }
            let why = match &share.proof {
                Proof::Healthy { .. } => continue,
                Proof::None { .. } if interlocks == Interlocks::Passed => continue,
                Proof::None { why } => {
                    format!("nothing proves that {name} is healthy ({why}), and {}", interlocks.missing())
                }
                Proof::Unhealthy { evidence } => {
                    format!("{name} would get more traffic, but it is not healthy: {evidence}")
                }
            };
            return Verdict::Unproven { destination: name.clone(), why };
        }
    }
    Verdict::Fine
}

/// Whether a destination's part of the whole grows. With all weights zero before, nobody's part is known (Route 53 splits
/// equally, a load balancer sends nothing): then whatever gets a weight rises.
pub fn rises(share: &Share, shares: &[Share]) -> bool {
    let total = |weight: fn(&Share) -> u32| shares.iter().map(|share| u64::from(weight(share))).sum::<u64>();
    let (before, after) = (total(|share| share.before), total(|share| share.after));
    if after == 0 {
        return false;
    }
    if before == 0 {
        return share.after > 0;
    }
    u64::from(share.after) * before > u64::from(share.before) * after
}

/// A step that loses data, as the plan says, though no change of it tells how much.
pub(crate) fn loses_untold(objectives: &Objectives, step: &Step, changes: &[Change]) -> Option<String> {
    let tells = |change: &Change| change.effects.iter().any(|effect| matches!(effect, Effect::LosesData { .. }));
    let rpo = objectives.rpo.filter(|_| step.loses_data && !changes.iter().any(tells))?;
    Some(untold(rpo))
}

/// Changes that somebody queued on a resource would take effect in the middle of the step: a person decides whether they may.
pub(crate) fn applies_queued<'c>(changes: impl Iterator<Item = &'c Change>) -> Option<String> {
    let queued = |change: &'c Change| {
        change.effects.iter().find_map(|effect| match effect {
            Effect::Applies { queued } => Some((change, queued)),
            _ => None,
        })
    };
    let (change, queued) = changes.into_iter().find_map(queued)?;
    Some(format!("{} would also apply what is queued: {}", change.title, queued.join(", ")))
}

fn untold(rpo: Duration) -> String {
    format!("data would be lost, and how much cannot be told; the plan's rpo is {}", duration::format(rpo))
}

/// The recovery point objective: data written since is lost, and it is more than the plan allows without a person.
pub fn loses_too_much(objectives: &Objectives, change: &Change, now: Timestamp) -> Option<String> {
    let rpo = objectives.rpo?;
    change.effects.iter().find_map(|effect| {
        let Effect::LosesData { since } = effect else {
            return None;
        };
        let Some(since) = since else { return Some(untold(rpo)) };
        let lost = Duration::try_from(now.duration_since(*since)).unwrap_or_default();
        (lost > rpo).then(|| {
            let lost = duration::format(Duration::from_secs(lost.as_secs()));
            format!("what was written in the last {lost} would be lost; the plan's rpo is {}", duration::format(rpo))
        })
    })
}
