//! What waits for what in a plan, worked out once.

use belay_plan::{
    graph::Graph,
    model::{OnFailure, Plan},
};

/// For each step, by its place in the plan, the steps that come before it; a fallback comes after its step.
pub(crate) struct Cones {
    /// A bit for each step, itself included.
    sets: Vec<Vec<u64>>,
    fallbacks: Vec<bool>,
}

impl Cones {
    pub(crate) fn new(plan: &Plan) -> Self {
        let steps = plan.steps.len();
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); steps];
        let mut fallbacks = vec![false; steps];
        for (index, step) in plan.steps.values().enumerate() {
            before[index].extend(step.needs.iter().filter_map(|need| plan.steps.get_index_of(need)));
            if let OnFailure::Fallback(fallback) = &step.on_failure
                && let Some(fallback) = plan.steps.get_index_of(fallback)
            {
                before[fallback].push(index);
                fallbacks[fallback] = true;
            }
        }
        let mut sets: Vec<Vec<u64>> = vec![vec![0; steps.div_ceil(64)]; steps];
        for index in Graph::new(plan).order().into_iter().filter_map(|name| plan.steps.get_index_of(name)) {
            let mut set = vec![0; steps.div_ceil(64)];
            set[index / 64] |= 1 << (index % 64);
            for earlier in &before[index] {
                set.iter_mut().zip(&sets[*earlier]).for_each(|(word, more)| *word |= more);
            }
            sets[index] = set;
        }
        Self { sets, fallbacks }
    }

    /// Whether a step waits for another one.
    pub(crate) fn is_behind(&self, step: usize, other: usize) -> bool {
        step != other && self.contains(step, other)
    }

    pub(crate) fn is_fallback(&self, step: usize) -> bool {
        self.fallbacks[step]
    }

    /// A step with all that comes before it.
    pub(crate) fn of(&self, step: usize) -> Vec<usize> {
        (0..self.sets.len()).filter(|other| self.contains(step, *other)).collect()
    }

    fn contains(&self, step: usize, other: usize) -> bool {
        self.sets[step][other / 64] >> (other % 64) & 1 == 1
    }
}
