//! Whether a resource is as it should be between the cutover and a rollback. No action has to know of it: its own observation,
//! taken as a baseline, and its own assessment against that, tell.

mod check;

use std::sync::Arc;

use belay_core::{
    change::{Assessment, BaselineEntry, Doc},
    drift::Expected,
};
use belay_plan::model::{Others, Step, Target};
use belay_ports::{Actuator, Scope};
use jiff::Timestamp;

pub use self::check::Seen;
pub(crate) use self::check::{Moved, check, with_altered, with_who};

/// What a resource should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Should {
    /// As the plan names it.
    Named(Target),
    /// As it was observed: at the baseline, or after the cutover.
    Observed(Arc<Doc>),
}

/// What came of the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Drift {
    None,
    /// What it would take to bring it back.
    Changed(Vec<String>),
    /// What the plan names in `expect` cannot be held against it.
    Incomparable(String),
    /// The action has no state that stands still: a job, a restore.
    NotApplicable,
}

impl Should {
    /// As the plan's `expect` names it.
    pub(crate) fn named(step: &Step) -> Option<Self> {
        step.expect.as_ref().map(|expect| Self::Named(Target::Explicit(expect.clone())))
    }

    /// After the cutover; none where that is not known.
    pub(crate) fn after_cutover(
        name: &str,
        step: &Step,
        cutover: Option<Timestamp>,
        captured: &Expected,
    ) -> Option<Self> {
        cutover?;
        Self::named(step).or_else(|| captured.get(name).cloned().map(Self::Observed))
    }

    /// Pure.
    pub(crate) fn drift(&self, actuator: &dyn Actuator, scope: &Scope, step: &Step, now: &Doc) -> Drift {
        // What is not even as it is, is nothing that could be compared.
        if !matches!(observed(actuator, scope, step, now, now), Some(Assessment::InPlace)) {
            return Drift::NotApplicable;
        }
        let assessed = match self {
            Self::Named(to) => {
                // Members that the plan does not name are nobody's concern here.
                let others = scope.others.is_some().then_some(Others::Keep);
                assess(actuator, &Scope { to: to.clone(), others, baseline: None, ..still(scope) }, now)
            }
            Self::Observed(doc) => observed(actuator, scope, step, doc, now),
        };
        match assessed {
            Some(Assessment::Failed { why } | Assessment::Ambiguous { why }) if matches!(self, Self::Named(_)) => {
                // The action reads it as it reads `to`, and names it so.
                Drift::Incomparable(format!("`expect` cannot be compared with it: {}", why.replace("`to`", "`expect`")))
            }
            Some(Assessment::Remaining(changes)) => {
                Drift::Changed(changes.into_iter().map(|change| change.title).collect())
            }
            Some(Assessment::Failed { why } | Assessment::Ambiguous { why } | Assessment::Differs { why }) => {
                Drift::Changed(vec![why])
            }
            Some(Assessment::InPlace | Assessment::Settling(_) | Assessment::Over(_)) => Drift::None,
            None => Drift::NotApplicable,
        }
    }
}

/// What the step relies on and does not write, where somebody has changed it since the baseline. Pure.
pub(crate) fn altered(actuator: &dyn Actuator, scope: &Scope, now: &Doc) -> Vec<String> {
    // What is not understood, the assessment shows.
    actuator.altered(&still(scope), now).unwrap_or_default()
}

/// Held against an earlier observation.
fn observed(actuator: &dyn Actuator, scope: &Scope, step: &Step, then: &Doc, now: &Doc) -> Option<Assessment> {
    let (action, resource) = (step.action.clone(), step.resource.clone());
    let baseline = Some(BaselineEntry { action, resource, doc: then.clone() });
    assess(actuator, &Scope { to: Target::Baseline, baseline, others: None, ..still(scope) }, now)
}

/// As if nothing ran.
fn still(scope: &Scope) -> Scope {
    Scope { run: None, before: None, sent: Vec::new(), stages: None, previous: None, ..scope.clone() }
}

fn assess(actuator: &dyn Actuator, scope: &Scope, now: &Doc) -> Option<Assessment> {
    actuator.assess(scope, now, &[]).ok()
}
