//! How the steps of a run hang together. It follows from the plan alone, so it is worked out once and not at every look
//! at the state: plans of a thousand steps would spend their time on nothing else.

use std::collections::{BTreeMap, BTreeSet};

use belay_plan::model::{Name, OnFailure, Plan};
use indexmap::IndexMap;

/// By a step's place in the run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Relations {
    /// It stands in for another when that one fails.
    pub(crate) fallback: Vec<bool>,
    /// No other step of the run has its resource: what it has put back is to stay.
    pub(crate) alone: Vec<bool>,
    /// The steps that something may follow for when this one changes: itself, and those that wait for it.
    pub(crate) concerned: Vec<Vec<usize>>,
}

impl Relations {
    pub(crate) fn new<S>(plan: &Plan, steps: &IndexMap<Name, S>) -> Self {
        let place = |name: &Name| steps.get_index_of(name);
        let fallback_of = |name: &Name| match &plan.steps.get(name)?.on_failure {
            OnFailure::Fallback(fallback) => Some(fallback),
            _ => None,
        };
        // Also of steps that the run leaves out: their fallbacks never run on their own.
        let fallbacks: BTreeSet<&Name> = plan.steps.keys().filter_map(fallback_of).collect();
        let mut users: BTreeMap<&str, usize> = BTreeMap::new();
        for step in steps.keys().filter_map(|name| plan.steps.get(name)) {
            *users.entry(&step.resource).or_default() += 1;
        }
        let mut concerned: Vec<BTreeSet<usize>> = (0..steps.len()).map(|index| BTreeSet::from([index])).collect();
        for (index, name) in steps.keys().enumerate() {
            for need in plan.steps.get(name).into_iter().flat_map(|step| &step.needs) {
                // How a need stands depends on its fallback as well.
                for changed in [Some(need), fallback_of(need)].into_iter().flatten().filter_map(place) {
                    concerned[changed].insert(index);
                }
            }
            if let Some(fallback) = fallback_of(name).and_then(place) {
                concerned[index].insert(fallback);
            }
        }
        let alone = |name| plan.steps.get(name).is_some_and(|step| users.get(step.resource.as_str()) == Some(&1));
        Self {
            fallback: steps.keys().map(|name| fallbacks.contains(name)).collect(),
            alone: steps.keys().map(alone).collect(),
            concerned: concerned.into_iter().map(|set| set.into_iter().collect()).collect(),
        }
    }
}
