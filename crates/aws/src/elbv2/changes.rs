//! What `alb.forward` sends.

use belay_core::change::{Change, Effect, Proof, Repeats, Share};
use belay_plan::duration;
use serde_json::json;

use super::{
    Args, EXPECTED, State,
    actions::{Action, Forward, Stickiness},
    group_name,
    health::GroupHealth,
    stickiness::{self, Suspended},
    with::With,
};
use crate::weights::{self as shared, Weights};

const FORWARD: &str = "forward";

/// The change of the weights, and the same once more.
const SWAP: &str = "forward";
const SWAP_AGAIN: &str = "again";

const OFF: Stickiness = Stickiness { enabled: Some(false), duration_s: None };

/// The changes of one assessment.
pub(super) struct Changes<'a> {
    pub(super) with: &'a With,
    pub(super) now: &'a State,
    pub(super) forward: &'a Forward,
    pub(super) before: &'a Weights,
    pub(super) after: &'a Weights,
    pub(super) baseline: Option<&'a State>,
}

impl<'a> Changes<'a> {
    /// One call, and all stays as it is but the weights and, where it is given, the stickiness.
    fn change(&self, id: &str, title: &str, notes: &[String], stickiness: Option<&Stickiness>) -> Change {
        let (before, after) = (self.before, self.after);
        let shares = after.iter().map(|(arn, weight)| Share {
            destination: group_name(arn).to_owned(),
            before: before.get(arn).copied().unwrap_or(0),
            after: *weight,
            proof: self.now.groups.get(arn).map_or_else(
                || Proof::None { why: format!("the health of {} was not read", group_name(arn)) },
                GroupHealth::proof,
            ),
        });
        let model = self.baseline.and_then(State::forward);
        let actions = self.now.actions.iter().cloned().map(|action| {
            let forward = action.forward.map(|forward| {
                let stickiness = stickiness.cloned().or_else(|| forward.stickiness.clone());
                Forward { stickiness, ..forward.with_weights(after, model) }
            });
            Action { forward, ..action }
        });
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        let modify = self.with.forwarder.kind();
        Change {
            id: id.to_owned(),
            title: format!("{}: {title}{notes}", self.with.forwarder.title()),
            before: shared::readable(before, group_name),
            after: shared::readable(after, group_name),
            call: modify.modify().to_owned(),
            args: json!(Args { modify, arn: self.now.arn.clone(), actions: actions.collect() }),
            effects: vec![Effect::Traffic { shares: shares.collect() }],
            repeats: Repeats::Converges,
            expected: EXPECTED,
        }
    }

    fn moves(&self) -> String {
        shared::moves(self.before, self.after, group_name)
    }

    pub(super) fn swap(&self) -> Change {
        let sticky = self.forward.sticky().map(|stickiness| {
            let time = stickiness.lasts().map(|time| format!(" for up to {}", duration::format(time)));
            format!("stickiness keeps clients with their present group{}", time.unwrap_or_default())
        });
        let notes: Vec<String> = sticky.into_iter().chain(self.left_as_is(true)).collect();
        self.change(SWAP, &self.moves(), &notes, None)
    }

    pub(super) fn swap_and_suspend(&self, suspended: &Suspended) -> Change {
        let off = format!(
            "stickiness is switched off, and back on when its cookies have run out, in {}",
            duration::format(suspended.lasts)
        );
        let notes: Vec<String> = [off].into_iter().chain(self.left_as_is(false)).collect();
        let change = self.change(SWAP, &self.moves(), &notes, Some(&OFF));
        Change { expected: EXPECTED + suspended.lasts, ..change }
    }

    /// The weights are there and stickiness is off, but since when is not known: from an answer on, it is.
    pub(super) fn swap_again(&self, suspended: &Suspended) -> Change {
        let title = "sent once more with stickiness off, so that it is known when its cookies have run out";
        let change = self.change(SWAP_AGAIN, title, &[], Some(&OFF));
        Change { expected: EXPECTED + suspended.lasts, ..change }
    }

    pub(super) fn put_back(&self, suspended: &Suspended) -> Change {
        let title = format!("stickiness is switched on again, for {}", duration::format(suspended.lasts));
        let sticky = |on: bool| json!({ "stickiness": on });
        Change {
            before: sticky(false),
            after: sticky(true),
            effects: Vec::new(),
            ..self.change(stickiness::PUT_BACK, &title, &[], Some(&suspended.former))
        }
    }

    /// What somebody has changed since the baseline beside the weights, and a shift of weights leaves to them.
    fn left_as_is(&self, stickiness: bool) -> Option<String> {
        let then = self.baseline?;
        let apart = |state: &'a State| state.actions.iter().filter(|action| action.kind != FORWARD).collect::<Vec<_>>();
        let (now, before) = (apart(self.now), apart(then));
        let places = 0..now.len().max(before.len());
        let changed = places.filter(|place| now.get(*place) != before.get(*place));
        let mut kinds: Vec<&str> =
            changed.filter_map(|place| Some(now.get(place).or(before.get(place))?.kind.as_str())).collect();
        kinds.dedup();
        if stickiness && then.forward().is_some_and(|then| then.sticky() != self.forward.sticky()) {
            kinds.push("stickiness");
        }
        (!kinds.is_empty()).then(|| format!("changed since the baseline, and left as it is: {}", kinds.join(", ")))
    }
}
