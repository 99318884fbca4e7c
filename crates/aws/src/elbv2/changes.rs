//! What `alb.forward` sends.

use belay_aws_catalogue::elbv2::forward::With;
use belay_core::change::{Change, Effect, Proof, Repeats, Share};
use belay_plan::duration;
use serde_json::json;

use super::{
    Args, EXPECTED, State,
    actions::{Action, Forward, Stickiness},
    by_address, forwarder, group_name,
    health::GroupHealth,
    stickiness::{self, Suspended},
};
use crate::weights::{self as shared, Stage, Weights};

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
    /// The last one is `after`.
    pub(super) ahead: &'a [Stage],
    pub(super) after: &'a Weights,
    pub(super) baseline: Option<&'a State>,
}

impl<'a> Changes<'a> {
    /// One call, and all stays as it is but the weights and, where it is given, the stickiness.
    fn change(
        &self,
        id: String,
        title: &str,
        (before, after): (&Weights, &Weights),
        stickiness: Option<&Stickiness>,
    ) -> Change {
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
        let modify = self.with.forwarder.kind();
        Change {
            id,
            title: format!("{}: {title}", self.with.forwarder.title()),
            before: shared::readable(before, group_name),
            after: shared::readable(after, group_name),
            call: forwarder::modify(modify).to_owned(),
            args: json!(Args { modify, arn: self.now.arn.clone(), actions: actions.collect() }),
            effects: vec![Effect::Traffic { shares: shares.collect() }],
            keeps: None,
            repeats: Repeats::Converges,
            expected: EXPECTED,
        }
    }

    /// The shift of the weights, stage by stage.
    pub(super) fn swaps(&self, suspended: Option<&Suspended>) -> Vec<Change> {
        let from = std::iter::once(self.before).chain(self.ahead.iter().map(|stage| &stage.weights));
        let moves = from.zip(self.ahead).filter(|(from, stage)| **from != stage.weights);
        let mut swaps: Vec<Change> = moves.map(|(from, stage)| self.swap(from, stage, suspended)).collect();
        if let (Some(last), Some(suspended)) = (swaps.last_mut(), suspended) {
            last.expected += suspended.lasts;
        }
        swaps
    }

    fn swap(&self, from: &Weights, stage: &Stage, suspended: Option<&Suspended>) -> Change {
        let sticky = match (suspended, self.forward.sticky()) {
            (Some(suspended), _) => Some(format!(
                "stickiness is switched off, and back on when its cookies have run out, after {}",
                duration::format(suspended.lasts)
            )),
            (None, Some(sticky)) => {
                let time = sticky.lasts().map(|time| format!(" for up to {}", duration::format(time)));
                Some(format!("stickiness keeps clients with their present group{}", time.unwrap_or_default()))
            }
            (None, None) => None,
        };
        let network = by_address::note(self.now);
        let notes: Vec<String> =
            sticky.into_iter().chain(network).chain(self.left_as_is(suspended.is_none())).collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        let title = format!("{}{}{notes}", shared::moves(from, &stage.weights, group_name), stage.note());
        self.change(stage.id(SWAP), &title, (from, &stage.weights), suspended.map(|_| &OFF))
    }

    /// The weights are there and stickiness is off, but since when is not known: from an answer on, it is.
    pub(super) fn swap_again(&self, suspended: &Suspended) -> Change {
        let title = "sent once more with stickiness off, so that it is known when its cookies have run out";
        let change = self.change(SWAP_AGAIN.to_owned(), title, (self.after, self.after), Some(&OFF));
        Change { expected: EXPECTED + suspended.lasts, ..change }
    }

    pub(super) fn put_back(&self, suspended: &Suspended) -> Change {
        let title = format!("stickiness is switched on again, for {}", duration::format(suspended.lasts));
        let sticky = |on: bool| json!({ "stickiness": on });
        let id = stickiness::PUT_BACK.to_owned();
        Change {
            before: sticky(false),
            after: sticky(true),
            effects: Vec::new(),
            ..self.change(id, &title, (self.after, self.after), Some(&suspended.former))
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
