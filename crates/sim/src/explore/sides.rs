//! What an interlock proves of the destinations that a step gives traffic to: signals that name a target group are matched
//! with the members of the target.

use std::collections::BTreeSet;

use belay_plan::model::{Nature, Plan, Signal, Step};

use crate::{
    causes::{group_name, members, target_group},
    nature,
};

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
        // The members of a listener are target groups themselves: another one is never one of them.
        let groups = step.action == FORWARD && !raised.is_empty();
        let mut other_side = None;
        let mut unmatched = Vec::new();
        for gate in &step.require {
            let signal = plan.signals.get(&gate.signal);
            let elsewhere = |looks_at: &str| Some((gate.signal.clone(), looks_at.to_owned()));
            match signal.and_then(target_group) {
                Some(group) if matches(group, &raised, &lowered) => {
                    if !groups || raised.iter().any(|member| group_name(member) == group) {
                        return Self::Matched;
                    }
                    unmatched.push(gate.signal.clone());
                }
                Some(group) if groups || matches(group, &lowered, &raised) => {
                    other_side = other_side.or_else(|| elsewhere(group));
                }
                _ => match signal.and_then(|signal| moved_name(plan, signal)) {
                    Some(name) => {
                        other_side =
                            other_side.or_else(|| elsewhere(&format!("{name}, where still the other side answers")));
                    }
                    None => unmatched.push(gate.signal.clone()),
                },
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

/// The action whose members are target groups.
const FORWARD: &str = "alb.forward";

/// The record that a probe asks, if it is one whose traffic the plan moves: until then, the failing side answers there.
fn moved_name<'p>(plan: &'p Plan, signal: &Signal) -> Option<&'p str> {
    let settings = signal.spec.get(&signal.kind).filter(|settings| settings["connect_to"].is_null())?;
    let rest = settings["url"].as_str()?.split_once("://")?.1;
    let host = rest.split(['/', ':', '?']).next()?;
    let moved = plan.steps.values().filter(|step| nature::of(step) == Nature::Traffic);
    moved
        .filter_map(|step| step.with["record"].as_str())
        .find(|record| record.trim_end_matches('.').eq_ignore_ascii_case(host))
}

/// Whether a group is one of these members: by its name, or since a word of its name is one (`blue` of `shop-blue`), which
/// is none of the others.
pub(crate) fn matches(group: &str, these: &BTreeSet<&str>, others: &BTreeSet<&str>) -> bool {
    let is = |member: &&&str| group_name(member) == group;
    if these.iter().any(|member| is(&member)) {
        return true;
    }
    let (of_these, of_others, group) = (words(these), words(others), words(&BTreeSet::from([group])));
    let alone = |from: &BTreeSet<String>, without: &BTreeSet<String>| {
        group.iter().any(|word| from.contains(word) && !without.contains(word))
    };
    !others.iter().any(|member| is(&member)) && alone(&of_these, &of_others) && !alone(&of_others, &of_these)
}

/// The words in the names of members.
pub(super) fn words(members: &BTreeSet<&str>) -> BTreeSet<String> {
    let of = |member: &&str| -> Vec<String> {
        let words = group_name(member).split(|letter: char| !letter.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    };
    members.iter().flat_map(of).collect()
}

/// The words of the sides that a step gives traffic to, and of those that it takes it from; what both have tells nothing.
pub(super) fn sides(step: &Step) -> [BTreeSet<String>; 2] {
    let [raised, lowered] = [true, false].map(|raised| words(&members(step, raised)));
    [&raised - &lowered, &lowered - &raised]
}
