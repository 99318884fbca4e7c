//! An attempt: from the arming that captures a baseline to the end of what was guarded. A baseline and the mark of a cutover hold for
//! one attempt, since the next release begins with another known-good state.

use std::sync::Arc;

use belay_plan::model::{OnFailure, counts_during};
use jiff::Timestamp;

use crate::{
    change::Baseline,
    event::RunKind,
    migration::Migration,
    run::{Phase, Run},
};

impl Migration {
    /// The next arming begins another attempt: the one before was disarmed after its cutover, or rolled back as a whole.
    pub fn is_attempt_over(&self) -> bool {
        self.attempt_over
    }

    /// The baseline that arming would keep.
    pub fn kept_baseline(&self) -> Option<&Arc<Baseline>> {
        self.baseline.as_ref().filter(|_| !self.attempt_over)
    }

    /// The mark of the cutover that arming would keep.
    pub fn kept_cutover(&self) -> Option<Timestamp> {
        self.cutover.filter(|_| !self.attempt_over)
    }

    pub(crate) fn begin_attempt(&mut self) {
        (self.baseline, self.phase, self.attempt_over) = (None, None, false);
        self.set_cutover(None);
    }

    /// A person who disarms after the mark has done with this cutover; before it, nothing has happened yet that the next arming
    /// could take for the known-good state. The end of a run decides by itself: an aborted one is armed again and finished.
    pub(crate) fn is_over_when_disarmed(&self) -> bool {
        self.run.is_none() && self.cutover.is_some()
    }
}

impl Run {
    /// Every step of the plan that serves its phase is where the baseline has it. What was left out still needs that baseline, and
    /// the next drill begins with the cutover that people have made again.
    pub(crate) fn ends_attempt(&self) -> bool {
        let stands_in = |name: &str| {
            self.plan.steps.values().any(|step| matches!(&step.on_failure, OnFailure::Fallback(other) if other == name))
        };
        self.kind == RunKind::Real
            && self.only.is_empty()
            && self.steps.iter().all(|(name, state)| match state.phase {
                Phase::Done | Phase::Unchanged => true,
                Phase::Skipped => {
                    let during = &self.plan.steps[name].during;
                    !counts_during(during, self.phase.as_deref()) || stands_in(name)
                }
                _ => false,
            })
    }
}
