//! Where it is asked what was changed and observed before an incident.

use std::{sync::Arc, time::Duration};

pub use belay_core::evidence::{Detail, EvidenceSource, Finding, Gathered};
use belay_plan::model::{Plan, Step};
use jiff::Timestamp;

use crate::{Fut, Permission};

/// The longest that a source is waited for.
pub const GATHER_TIME_MAX: Duration = Duration::from_secs(60);

/// What is asked about one incident.
#[derive(Debug, Clone)]
pub struct Question {
    pub source: EvidenceSource,
    pub plan: Arc<Plan>,
    /// When the incident was opened: what came later is not asked for.
    pub opened: Timestamp,
}

/// Somebody has changed the resource of a step.
#[derive(Debug, Clone, Copy)]
pub struct Changed<'a> {
    pub step: &'a Step,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// Gathers what the sources show. It only reads.
pub trait Evidence: Send + Sync {
    /// It answers within [`GATHER_TIME_MAX`]. What cannot be read is a note.
    fn gather<'a>(&'a self, question: &'a Question) -> Fut<'a, Gathered>;

    /// Who has changed a resource, the latest first. Asked only where the plan wants CloudTrail. What cannot be read is a note.
    fn changes<'a>(&'a self, _changed: Changed<'a>) -> Fut<'a, Gathered> {
        Box::pin(std::future::ready(Gathered::default()))
    }

    /// What is needed to ask the sources that a plan wants.
    fn permissions(&self, plan: &Plan) -> Vec<Permission>;
}

/// Nobody can be asked.
impl Evidence for () {
    fn gather<'a>(&'a self, _question: &'a Question) -> Fut<'a, Gathered> {
        Box::pin(std::future::ready(Gathered::note("there is nobody to ask here")))
    }

    fn permissions(&self, _plan: &Plan) -> Vec<Permission> {
        Vec::new()
    }
}
