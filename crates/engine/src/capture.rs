//! The baseline: what the actuators observe before the cutover.

use std::sync::Arc;

use belay_core::change::{Baseline, BaselineEntry, Doc, Receipt};
use belay_plan::model::{Name, Plan};
use belay_ports::{AccountError, Actuator, Ports, ReadError, Scope};
use futures::{StreamExt, stream};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::scope::{self, Unknown};

/// Looks at once, so that a plan of a thousand steps does not use up an API's quota in a second.
const LOOKS_MAX: usize = 32;

/// Why there is no baseline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("step {step} cannot be observed: {error}")]
    Unreadable { step: Name, error: ReadError },
}

/// Observes every step whose action can be observed. Reads only.
///
/// # Errors
/// [`CaptureError`] when the account is not the plan's, or a step cannot be observed: half a baseline is none.
pub async fn capture(ports: &Ports, plan: &Plan, sha256: &str) -> Result<Baseline, CaptureError> {
    scope::refuse_unknown(ports, plan)?;
    scope::verify_accounts(ports, plan).await?;
    let captured = ports.clock.now();
    let steps = observe_entries(ports, plan, plan.steps.keys().cloned().collect(), None).await?;
    Ok(Baseline { migration: plan.migration.clone(), captured, plan_sha256: sha256.to_owned(), steps })
}

/// The entries of these steps; those without an actuator are left out.
pub(crate) async fn observe_entries(
    ports: &Ports,
    plan: &Plan,
    steps: Vec<Name>,
    cutover: Option<Timestamp>,
) -> Result<IndexMap<Name, BaselineEntry>, CaptureError> {
    let looks = steps.into_iter().filter_map(|step| Looking::new(ports, plan, step, None, cutover)).collect();
    let mut entries = IndexMap::new();
    for (looking, observed) in observe_all(looks).await {
        let step = looking.scope.step;
        let doc = observed.map_err(|error| CaptureError::Unreadable { step: step.clone(), error })?;
        let found = &plan.steps[&step];
        let entry = BaselineEntry { action: found.action.clone(), resource: found.resource.clone(), doc };
        entries.insert(step, entry);
    }
    Ok(entries)
}

/// A step that is about to be looked at, outside a run.
pub(crate) struct Looking {
    pub(crate) scope: Scope,
    pub(crate) actuator: Arc<dyn Actuator>,
}

impl Looking {
    /// None when nothing of it can be observed.
    pub(crate) fn new(
        ports: &Ports,
        plan: &Plan,
        step: Name,
        baseline: Option<BaselineEntry>,
        cutover: Option<Timestamp>,
    ) -> Option<Self> {
        let actuator = ports.actuators.actuator(&plan.steps.get(&step)?.action)?;
        let scope = scope::of_step(plan, &step, None, baseline, cutover)?;
        Some(Self { scope, actuator })
    }

    async fn observe(self) -> (Self, Result<Doc, ReadError>) {
        const NO_RECEIPTS: &[Receipt] = &[];
        let observed = self.actuator.observe(&self.scope, NO_RECEIPTS).await;
        (self, observed)
    }
}

/// Looks at all of them, many at once, and answers in their order.
pub(crate) async fn observe_all(looks: Vec<Looking>) -> Vec<(Looking, Result<Doc, ReadError>)> {
    stream::iter(looks).map(Looking::observe).buffered(LOOKS_MAX).collect().await
}
