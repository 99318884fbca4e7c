//! Drift: what a resource should be between the cutover and a rollback, and that somebody has changed it since. What it should be is
//! named by the plan (`expect`), or captured once it has stood still after the cutover.

use std::{collections::BTreeMap, sync::Arc};

use belay_plan::model::Name;

use crate::{
    change::{Change, Doc, Effect},
    decide::Deciding,
    event::Event,
    migration::Migration,
};

/// The documents that were captured after the cutover, by step.
pub type Expected = BTreeMap<Name, Arc<Doc>>;

impl Migration {
    /// Whether the state of a step's resource is still to be captured.
    pub fn captures_expected(&self, step: &str) -> bool {
        let Some(plan) = self.plan.as_ref().filter(|_| self.armed.is_some() && self.cutover.is_some()) else {
            return false;
        };
        let named = plan.steps.get(step).is_none_or(|step| step.expect.is_some());
        !named && !self.expected.contains_key(step) && self.open_run().is_none()
    }

    /// The cutover, or a phase of it, begins: what stood before is not expected any more.
    pub(crate) fn forget_expected(&mut self) {
        self.expected = Arc::default();
    }
}

impl Deciding {
    /// A resource has stood still after the cutover.
    pub(crate) fn stood_still(&mut self, step: &Name, doc: &Arc<Doc>) {
        if self.state.captures_expected(step) {
            self.emit(Event::ExpectedCaptured { step: step.clone(), doc: doc.clone() });
        }
    }
}

/// Somebody has changed the resource since the cutover: a person decides whether the step may overwrite that.
pub(crate) fn overwrites<'c>(changes: impl Iterator<Item = &'c Change>) -> Option<String> {
    let drifted = |change: &'c Change| {
        change.effects.iter().find_map(|effect| match effect {
            Effect::Overwrites { found } => Some((change, found)),
            _ => None,
        })
    };
    let (change, found) = changes.into_iter().find_map(drifted)?;
    Some(format!(
        "it is not as expected after the cutover: {}. With an approval the step goes on: {}",
        found.join("; "),
        change.title
    ))
}
