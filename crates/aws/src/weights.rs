//! Weights of members: what a plan wants them to be, as Route 53 records and load balancers share it. Pure.

pub(crate) use belay_core::part_way::Weights;
use belay_core::{change::Assessment, part_way::part_way};
use belay_plan::model::{Others, Target};
use belay_ports::{Corrupt, Scope};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The weights that a target names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) weights: Weights,
    /// Written in the plan, as against observed before the cutover.
    pub(crate) explicit: bool,
}

/// Why the target weights cannot be reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict(pub(crate) String);

impl From<Verdict> for Assessment {
    fn from(Verdict(why): Verdict) -> Self {
        Self::Failed { why }
    }
}

/// The weights that the scope's target names. `baseline`: those that the baseline holds.
///
/// # Errors
/// [`Corrupt`] when there is no baseline to return to, or the target is not a map of weights.
pub(crate) fn named(scope: &Scope, baseline: Option<Weights>) -> Result<Named, Corrupt> {
    match &scope.to {
        Target::Explicit(to) => explicit(to).map(|weights| Named { weights, explicit: true }),
        Target::Baseline => match baseline {
            Some(weights) => Ok(Named { weights, explicit: false }),
            None => Err(Corrupt(format!("step {} returns to a baseline, and there is none", scope.step))),
        },
        Target::Own => Err(Corrupt(format!("step {} has no target weights", scope.step))),
    }
}

/// The weights of an explicit `to:`.
///
/// # Errors
/// [`Corrupt`] when it is not a map of weights.
pub(crate) fn explicit(to: &Value) -> Result<Weights, Corrupt> {
    Weights::deserialize(to).map_err(|error| Corrupt(format!("`to` is not a map of weights: {error}")))
}

/// The weight that every member shall have: those of `now`, and those that the target names with a weight above zero.
///
/// A member that has come since the baseline had no traffic then, so it gets none, unless the plan says `others: keep`: the
/// commonest cutover replaces one target group by another. `label` makes of a member what a person calls it.
pub(crate) fn wanted(
    now: &Weights,
    target: &Named,
    others: Option<Others>,
    label: fn(&str) -> &str,
) -> Result<Weights, Verdict> {
    let mut wanted: Weights = target
        .weights
        .iter()
        .filter(|(_, weight)| **weight > 0)
        .map(|(member, weight)| (member.clone(), *weight))
        .collect();
    let mut undecided = Vec::new();
    for (member, weight) in now {
        let weight = match (target.weights.get(member), others) {
            (Some(named), _) => *named,
            (None, Some(Others::Keep)) => *weight,
            (None, Some(Others::Zero)) => 0,
            (None, None) if !target.explicit => 0,
            (None, None) => {
                undecided.push(format!("{} (weight {weight})", label(member)));
                *weight
            }
        };
        wanted.insert(member.clone(), weight);
    }
    if !undecided.is_empty() {
        let members = undecided.join(", ");
        return Err(Verdict(format!(
            "`to` does not name {members}: name it, or say what happens to it with `others: keep` or `others: zero`"
        )));
    }
    if wanted.values().all(|weight| *weight == 0) {
        return Err(Verdict(
            "all weights would be zero, which is never sent: give at least one member a weight".to_owned(),
        ));
    }
    Ok(wanted)
}

/// One part of the way to a target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    percent: u32,
    pub(crate) weights: Weights,
}

impl Stage {
    /// The id of its change: `weights_50`, and `weights` for the last or only one.
    pub(crate) fn id(&self, change: &str) -> String {
        if self.percent < 100 { format!("{change}_{}", self.percent) } else { change.to_owned() }
    }

    /// Behind the title of its change.
    pub(crate) fn note(&self) -> String {
        if self.percent < 100 { format!(" (stage {}%)", self.percent) } else { String::new() }
    }
}

/// The stages that are still ahead, the present one first and the target last; without `stages`, the target alone.
/// `before`: the scope's before-image. Weights are by set identifier, or by target group ARN.
pub(crate) fn ahead(
    scope: &Scope,
    before: Option<&Weights>,
    now: &Weights,
    target: &Weights,
    named: &Named,
    weight_max: u32,
) -> Vec<Stage> {
    let kept = |member: &str| scope.others == Some(Others::Keep) && !named.weights.contains_key(member);
    let percents = scope.stages.as_ref().map_or(&[100][..], |stages| &stages.ahead);
    let weights = |percent| part_way(before.unwrap_or(now), target, &kept, percent, weight_max);
    percents.iter().map(|&percent| Stage { percent, weights: weights(percent) }).collect()
}

/// A title names at most so many members; all of them stand in the change's `before` and `after`.
const MOVES_SHOWN: usize = 6;

/// What moves, for a title: `blue 0 -> 100, green 100 -> 0`. A member that is not in `before` counts as zero.
pub(crate) fn moves(before: &Weights, after: &Weights, label: fn(&str) -> &str) -> String {
    let moves = after.iter().filter_map(|(member, after)| {
        let before = before.get(member).copied().unwrap_or(0);
        (before != *after).then(|| format!("{} {before} -> {after}", label(member)))
    });
    let mut moves: Vec<String> = moves.collect();
    let more = moves.len().saturating_sub(MOVES_SHOWN);
    moves.truncate(MOVES_SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", moves.join(", "))
}

/// `{"blue": 0, "green": 100}`
pub(crate) fn readable(weights: &Weights, label: fn(&str) -> &str) -> Value {
    weights
        .iter()
        .map(|(member, weight)| (label(member).to_owned(), Value::from(*weight)))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn weights(members: &[(&str, u32)]) -> Weights {
        members.iter().map(|(member, weight)| ((*member).to_owned(), *weight)).collect()
    }

    fn want(
        now: &[(&str, u32)],
        to: &[(&str, u32)],
        explicit: bool,
        others: Option<Others>,
    ) -> Result<Weights, Verdict> {
        wanted(&weights(now), &Named { weights: weights(to), explicit }, others, |member| member)
    }

    const NOW: [(&str, u32); 3] = [("blue", 0), ("canary", 10), ("green", 100)];

    #[test]
    fn members_that_the_target_does_not_name_follow_others() {
        let to = [("blue", 100), ("green", 0)];
        let keep = want(&NOW, &to, true, Some(Others::Keep));
        assert_eq!(keep, Ok(weights(&[("blue", 100), ("canary", 10), ("green", 0)])));
        let zero = want(&NOW, &to, false, Some(Others::Zero));
        assert_eq!(zero, Ok(weights(&[("blue", 100), ("canary", 0), ("green", 0)])));
    }

    #[test]
    fn without_others_an_unnamed_member_is_named_with_the_cure() {
        let to = [("blue", 100), ("green", 0)];
        let Err(Verdict(why)) = want(&NOW, &to, true, None) else { panic!("a verdict") };
        assert!(why.contains("canary (weight 10)") && why.contains("`others: keep`"), "{why}");
    }

    #[test]
    fn a_member_that_came_after_the_baseline_had_no_traffic_then() {
        let now = [("blue", 0), ("canary", 10), ("green", 100)];
        let to = [("blue", 100), ("green", 0)];
        assert_eq!(want(&now, &to, false, None), Ok(weights(&[("blue", 100), ("canary", 0), ("green", 0)])));
        assert!(matches!(want(&now, &to, true, None), Err(Verdict(_))));
    }

    #[test]
    fn never_all_zero() {
        let zeroes = [("blue", 0), ("canary", 0), ("green", 0)];
        assert!(matches!(want(&NOW, &zeroes, true, None), Err(Verdict(_))));
        assert!(matches!(
            want(&[("blue", 0), ("green", 9)], &[("green", 0)], true, Some(Others::Keep)),
            Err(Verdict(_))
        ));
        assert!(matches!(want(&[], &[], false, None), Err(Verdict(_))));
    }

    #[test]
    fn absent_members_are_wanted_only_with_a_weight() {
        let wanted = want(&[("green", 100)], &[("blue", 100), ("green", 0), ("old", 0)], false, None);
        assert_eq!(wanted, Ok(weights(&[("blue", 100), ("green", 0)])));
    }

    #[test]
    fn titles_and_documents_are_readable() {
        let (before, after) = (weights(&[("a", 1), ("b", 0)]), weights(&[("a", 1), ("b", 5), ("c", 2)]));
        assert_eq!(moves(&before, &after, |member| member), "b 0 -> 5, c 0 -> 2");
        let many: Weights = (0..9).map(|member| (member.to_string(), 1)).collect();
        assert!(moves(&Weights::new(), &many, |member| member).ends_with("5 0 -> 1 and 3 more"));
        assert_eq!(readable(&before, |member| member), json!({"a": 1, "b": 0}));
    }
}
