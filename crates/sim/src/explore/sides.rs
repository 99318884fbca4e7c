//! What an interlock proves of the destinations that a step gives traffic to: signals that name a target group are matched
//! with the members of the target.

use std::collections::BTreeSet;

use belay_plan::model::{Plan, Step};

use crate::causes::{group_name, members, target_group};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proven {
    /// A signal looks at a destination.
    Matched,
    /// Signals that cannot be matched with a destination: that they look at it is assumed.
    Assumed(Vec<String>),
    /// Signals look at what loses traffic, and none at what gets it.
    OtherSide { signal: String, looks_at: String },
    /// There is no interlock.
    Nothing,
}

impl Proven {
    pub(crate) fn of(plan: &Plan, step: &Step) -> Self {
        let (raised, lowered) = (members(step, true), members(step, false));
        let mut other_side = None;
        let mut unmatched = Vec::new();
        for gate in &step.require {
            match plan.signals.get(&gate.signal).and_then(target_group) {
                Some(group) if matches(group, &raised, &lowered) => return Self::Matched,
                Some(group) if matches(group, &lowered, &raised) => {
                    other_side = other_side.or(Some((gate.signal.clone(), group.to_owned())));
                }
                _ => unmatched.push(gate.signal.clone()),
            }
        }
        // A probe that cannot be matched may be the one that looks at the right side; an alarm is no proof of a side.
        let probe = |signal: &String| {
            plan.signals.get(signal).is_some_and(|signal| !["alarm", "metric"].contains(&signal.kind.as_str()))
        };
        match other_side {
            Some((signal, looks_at)) if !unmatched.iter().any(probe) => Self::OtherSide { signal, looks_at },
            _ if !unmatched.is_empty() => Self::Assumed(unmatched),
            _ => Self::Nothing,
        }
    }

    /// Whether the interlocks may stand for a proof.
    pub(crate) fn holds(&self) -> bool {
        matches!(self, Self::Matched | Self::Assumed(_))
    }
}

/// Whether a group is one of these members: by its name, or since a word of its name is one (`blue` of `shop-blue`), which
/// is none of the others.
fn matches(group: &str, these: &BTreeSet<&str>, others: &BTreeSet<&str>) -> bool {
    let is = |member: &&&str| group_name(member) == group;
    if these.iter().any(|member| is(&member)) {
        return true;
    }
    let words = |text: &str| -> BTreeSet<String> {
        let words = group_name(text).split(|letter: char| !letter.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    };
    let of =
        |members: &BTreeSet<&str>| -> BTreeSet<String> { members.iter().flat_map(|member| words(member)).collect() };
    let (of_these, of_others, group) = (of(these), of(others), words(group));
    let alone = |from: &BTreeSet<String>, without: &BTreeSet<String>| {
        group.iter().any(|word| from.contains(word) && !without.contains(word))
    };
    !others.iter().any(|member| is(&member)) && alone(&of_these, &of_others) && !alone(&of_others, &of_these)
}
