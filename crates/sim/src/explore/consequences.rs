//! What an end means outside: where customers are, what has become of data, and whether writers are still stopped. Ends are
//! grouped by it, since that is what a reviewer asks, and not which steps failed.

use belay_plan::model::{Nature, Plan};
use serde::Serialize;

use super::{
    ends::{Disposition, End, Outcome},
    model::{Kind, Model},
    node::Node,
    report::EndReport,
};
use crate::nature::{self, is_fence};

/// Where the traffic is that the plan puts back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Customers {
    /// All of it is where the plan wants it.
    Old,
    /// A part of it is.
    Split,
    /// It is where the migration has put it.
    Failing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// As it was before, without what was written since; or by a fallback.
    Restored,
    /// A restore has begun and is not over.
    HalfRestored,
    /// As the migration left it.
    NotRestored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Writers {
    /// A step that stops them is in place.
    Stopped,
    Writing,
}

/// Of each, none where the plan has nothing to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Consequence {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customers: Option<Customers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writers: Option<Writers>,
}

/// Ends with the same outcome and the same consequence.
#[derive(Debug, Clone, Serialize)]
pub struct EndGroup {
    pub outcome: Outcome,
    pub consequence: Consequence,
    /// By their places in the report's list of ends, the one with the least trouble first.
    pub ends: Vec<usize>,
}

impl Consequence {
    pub(crate) fn of(plan: &Plan, model: &Model, end: &End, last: Option<&Node>) -> Self {
        let of_kind = |wanted: fn(&Kind) -> bool| -> Vec<usize> {
            let fallback = |index: usize| end.steps[index] == Some(Disposition::NotNeeded);
            (0..model.steps.len()).filter(|index| wanted(&model.steps[*index].kind) && !fallback(*index)).collect()
        };
        let is_back = |index: &usize| matches!(end.steps[*index], Some(Disposition::InPlace | Disposition::FellBack));
        let traffic = of_kind(|kind| matches!(kind, Kind::Traffic { .. }));
        let half = |index: &usize| {
            let (changes, node) = (model.steps[*index].kind.changes(), last);
            node.is_some_and(|node| (1..changes).contains(&node.world.steps[*index].effective))
        };
        let customers = match traffic.iter().filter(|index| is_back(index)).count() {
            _ if traffic.is_empty() => None,
            back if back == traffic.len() => Some(Customers::Old),
            0 if !traffic.iter().any(half) => Some(Customers::Failing),
            _ => Some(Customers::Split),
        };
        let data = of_kind(|kind| *kind == Kind::Replace);
        let lost: Vec<&usize> = data.iter().filter(|index| !is_back(index)).collect();
        let data = match () {
            () if data.is_empty() => None,
            () if lost.is_empty() => Some(Data::Restored),
            () if lost.iter().any(|index| half(index)) || lost.len() < data.len() => Some(Data::HalfRestored),
            () => Some(Data::NotRestored),
        };
        let replaces = plan.steps.values().any(|step| nature::of(step) == Nature::Data);
        let fences: Vec<usize> = (0..plan.steps.len())
            .filter(|index| plan.steps.get_index(*index).is_some_and(|(name, step)| is_fence(name, step, None)))
            .collect();
        let stopped = fences.iter().any(|index| end.steps[*index] == Some(Disposition::InPlace));
        let writers =
            (replaces && !fences.is_empty()).then_some(if stopped { Writers::Stopped } else { Writers::Writing });
        Self { customers, data, writers }
    }

    /// For people.
    pub fn words(self) -> String {
        let customers = self.customers.map(|customers| match customers {
            Customers::Old => "customers are back",
            Customers::Split => "customers are split between both sides",
            Customers::Failing => "customers are where it fails",
        });
        let data = self.data.map(|data| match data {
            Data::Restored => "data is restored",
            Data::HalfRestored => "data is half restored",
            Data::NotRestored => "data is not restored",
        });
        let writers = self.writers.map(|writers| match writers {
            Writers::Stopped => "writers are stopped",
            Writers::Writing => "writers still write",
        });
        let parts: Vec<&str> = [customers, data, writers].into_iter().flatten().collect();
        parts.join(", ")
    }
}

/// In the order in which they first appear in the list.
pub(crate) fn grouped(ends: &[EndReport]) -> Vec<EndGroup> {
    let mut groups: Vec<EndGroup> = Vec::new();
    for (number, end) in ends.iter().enumerate() {
        match groups.iter_mut().find(|group| (group.outcome, group.consequence) == (end.outcome, end.consequence)) {
            Some(group) => group.ends.push(number),
            None => groups.push(EndGroup { outcome: end.outcome, consequence: end.consequence, ends: vec![number] }),
        }
    }
    groups
}
