//! Traffic that moves in parts: the weights on the way from one state to another. Pure.

use std::collections::BTreeMap;

/// Members and their weights.
pub type Weights = BTreeMap<String, u32>;

/// The finest steps that are needed: a stage is given in percent.
const SCALE_MIN: u64 = 100;

/// The weights when `percent` of the traffic that is to move has moved.
///
/// What counts is a member's part of the whole, so the weights of `before` and `target` may be on different scales.
/// Weights round up: who shall have any traffic has at least 1, and all zero is impossible unless `target` is. A member
/// of `kept` has its weight of `target` at every stage; where such a member has traffic, the other weights stay on its
/// scale. Members that are not in `target` are gone. Where all weights are zero before, all shares count as equal, as
/// Route 53 has it; where nothing was there, every stage is the target.
pub fn part_way(
    before: &Weights,
    target: &Weights,
    kept: &dyn Fn(&str) -> bool,
    percent: u32,
    weight_max: u32,
) -> Weights {
    let none_known = target.keys().all(|member| before.get(member).is_none_or(|weight| *weight == 0));
    let known = |member: &str| match before.get(member) {
        _ if kept(member) => target[member],
        Some(_) if none_known => 1,
        Some(weight) => *weight,
        None => 0,
    };
    let ends: Vec<(&String, u64, u64)> =
        target.iter().map(|(member, after)| (member, known(member).into(), (*after).into())).collect();
    let (from, to) = ends.iter().fold((0, 0), |(from, to), (_, before, after)| (from + before, to + after));
    if percent >= 100 || from == 0 || to == 0 {
        return target.clone();
    }
    let (gone, left) = (u128::from(percent), u128::from(100 - percent));
    let (from_all, to_all) = (u128::from(from), u128::from(to));
    let keeps_scale = ends.iter().any(|(member, _, after)| *after > 0 && kept(member));
    let (times, over) = match keeps_scale {
        true => (1, left * to_all + gone * from_all),
        false => (scale(&ends, from, to, weight_max.into()).into(), 100 * from_all * to_all),
    };
    let weight = |before: u64, after: u64| {
        let part = u128::from(before) * left * to_all + u128::from(after) * gone * from_all;
        u32::try_from((part * times).div_ceil(over)).unwrap_or(weight_max)
    };
    ends.into_iter().map(|(member, before, after)| (member.clone(), weight(before, after))).collect()
}

/// What all weights of a stage come to: the same at every stage, so that no weight goes back and forth; a multiple of what
/// gives every member its whole share of `before`, so that rounding gives nobody more who is to have less; and small enough
/// for the largest weight.
fn scale(ends: &[(&String, u64, u64)], from: u64, to: u64, weight_max: u64) -> u64 {
    let common = ends.iter().fold(0, |common, (_, before, _)| divisor(common, *before));
    let whole = from / common.max(1);
    let room = |all: u64, largest: Option<u64>| weight_max * all / largest.unwrap_or(1).max(1);
    let most = room(from, ends.iter().map(|(_, before, _)| *before).max())
        .min(room(to, ends.iter().map(|(_, _, after)| *after).max()));
    match (SCALE_MIN.max(to).div_ceil(whole)).min(most / whole) {
        0 => most,
        times => whole * times,
    }
}

fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(members: &[(&str, u32)]) -> Weights {
        members.iter().map(|(member, weight)| ((*member).to_owned(), *weight)).collect()
    }

    fn way(before: &[(&str, u32)], target: &[(&str, u32)], percent: u32) -> Vec<u32> {
        part_way(&weights(before), &weights(target), &|_| false, percent, 255).into_values().collect()
    }

    #[test]
    fn traffic_moves_by_its_share_whatever_the_scales() {
        let back = [("blue", 100), ("green", 0)];
        assert_eq!(way(&[("blue", 0), ("green", 100)], &back, 50), [50, 50]);
        assert_eq!(way(&[("blue", 0), ("green", 100)], &back, 10), [10, 90]);
        assert_eq!(way(&[("blue", 0), ("green", 1)], &back, 50), [50, 50]);
        assert_eq!(way(&[("blue", 0), ("green", 1)], &[("blue", 1), ("green", 0)], 1), [1, 99]);
        assert_eq!(way(&[("blue", 0), ("green", 255)], &[("blue", 255), ("green", 0)], 50), [128, 128]);
        assert_eq!(way(&[("blue", 0), ("green", 200)], &back, 100), [100, 0]);
        assert_eq!(way(&[("green", 9)], &back, 25), [25, 75], "a member that is not there yet has no traffic");
    }

    #[test]
    fn shares_that_nobody_knows() {
        assert_eq!(way(&[("blue", 0), ("green", 0)], &[("blue", 100), ("green", 0)], 50), [75, 25]);
        assert_eq!(way(&[], &[("blue", 100), ("green", 0)], 50), [100, 0]);
    }

    #[test]
    fn what_is_kept_keeps_its_weight() {
        let kept = |member: &str| member == "canary";
        let before = weights(&[("blue", 0), ("canary", 10), ("green", 90)]);
        let target = weights(&[("blue", 90), ("canary", 10), ("green", 0)]);
        let half = part_way(&before, &target, &kept, 50, 255);
        assert_eq!(half, weights(&[("blue", 45), ("canary", 10), ("green", 45)]));
    }

    fn side() -> impl Strategy<Value = Vec<(u32, u32, bool)>> {
        proptest::collection::vec((0_u32..=255, 0_u32..=255, proptest::bool::weighted(0.2)), 1..12)
    }

    /// Compares `a` of all of `one` with `b` of all of `other`, within what rounding up can do.
    fn is_more(a: u32, one: &Weights, b: u32, other: &Weights) -> bool {
        let all = |weights: &Weights| weights.values().map(|weight| f64::from(*weight)).sum::<f64>();
        let slack = 2.0 / all(one).min(all(other)) * f64::from(u32::try_from(one.len()).unwrap());
        f64::from(a) / all(one) > f64::from(b) / all(other) + slack
    }

    proptest! {
        #[test]
        fn no_stage_is_dark_or_goes_back(side in side(), one in 1_u32..100, more in 1_u32..100) {
            let name = |index: usize| format!("m{index}");
            let kept = |member: &str| side[member[1..].parse::<usize>().unwrap()].2;
            let before: Weights = side.iter().enumerate().map(|(i, (before, _, _))| (name(i), *before)).collect();
            let target: Weights = side.iter().enumerate()
                .map(|(i, (before, after, kept))| (name(i), if *kept { *before } else { *after })).collect();
            prop_assume!(target.values().any(|weight| *weight > 0));
            let at = |percent| part_way(&before, &target, &kept, percent, 255);
            let (first, second) = (at(one), at((one + more).min(100)));
            for stage in [&first, &second] {
                prop_assert!(stage.values().any(|weight| *weight > 0), "dark: {stage:?}");
                prop_assert!(stage.values().all(|weight| *weight <= 255), "too large: {stage:?}");
                for (member, weight) in stage {
                    prop_assert!(!kept(member) || *weight == target[member], "{member} is not kept: {stage:?}");
                    prop_assert!(*weight > 0 || target[member] == 0, "{member} has nothing: {stage:?}");
                }
            }
            prop_assume!(before.values().any(|weight| *weight > 0));
            for (member, goal) in &target {
                let rises = is_more(*goal, &target, before[member], &before);
                let falls = is_more(before[member], &before, *goal, &target);
                if rises {
                    prop_assert!(!is_more(first[member], &first, second[member], &second), "{first:?} {second:?}");
                    prop_assert!(!is_more(before[member], &before, first[member], &first), "{first:?}");
                }
                if falls {
                    prop_assert!(!is_more(second[member], &second, first[member], &first), "{first:?} {second:?}");
                    prop_assert!(!is_more(first[member], &first, before[member], &before), "{first:?}");
                }
            }
        }
    }
}
