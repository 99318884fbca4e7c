//! The last evaluation of the readiness, in short.

use belay_core::readiness::CheckVerdict;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::handle::Snapshot;

/// Findings that a status shows; `GET /v1/migrations/{migration}/readiness` and `belay check` show all.
const FINDINGS_MAX: usize = 5;

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReadinessView {
    pub verdict: CheckVerdict,
    /// When it was evaluated.
    pub at: Timestamp,
    /// Since when the verdict on record is what it is; none until the first is on record.
    pub since: Option<Timestamp>,
    pub go: usize,
    pub warn: usize,
    pub unknown: usize,
    pub no_go: usize,
    /// A line for each of the first that are not as they should be, the worst first.
    pub findings: Vec<String>,
}

/// None where nothing was evaluated: it is not armed, or the first evaluation is under way.
pub(super) fn view(snapshot: &Snapshot) -> Option<ReadinessView> {
    let found = snapshot.readiness.as_ref().filter(|_| snapshot.state.armed.is_some())?;
    let findings = found.findings().into_iter().take(FINDINGS_MAX);
    Some(ReadinessView {
        verdict: found.verdict,
        at: found.at,
        since: snapshot.state.readiness.as_ref().map(|ready| ready.since),
        go: found.count(CheckVerdict::Go),
        warn: found.count(CheckVerdict::Warn),
        unknown: found.count(CheckVerdict::Unknown),
        no_go: found.count(CheckVerdict::NoGo),
        findings: findings.map(|check| format!("{}: {}", check.verdict.word(), check.line())).collect(),
    })
}
