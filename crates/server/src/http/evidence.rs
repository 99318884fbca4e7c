//! `/v1/incidents/{incident}/evidence`

use std::ops::ControlFlow;

use axum::{Extension, Json, extract::State};
use belay_core::{
    event::{Event, Record},
    evidence::{EvidenceSource, Finding, sources},
};
use belay_ports::{ReadFailure, each_record};
use serde::Serialize;
use utoipa::ToSchema;

use crate::daemon::Daemon;

use super::{body::At, incidents, kind::Kind, problem::Problem, report::Reports, runs::unreadable};

/// What was changed and observed before an incident, as far as the sources of the plan have answered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EvidenceView {
    incident: String,
    migration: String,
    sources: Vec<SourceView>,
    /// Sources that are still being asked.
    missing: Vec<EvidenceSource>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SourceView {
    source: EvidenceSource,
    /// The latest first; of X-Ray, the worst first.
    findings: Vec<Finding>,
    /// What was left out or could not be read, and why.
    notes: Vec<String>,
}

/// What was changed and observed before an incident
///
/// It is gathered while people decide and steps run, and nothing waits for it. All of it is in the journal.
#[utoipa::path(get, path = "/v1/incidents/{incident}/evidence", operation_id = "show_evidence",
    responses((status = 200, body = EvidenceView, description = "As far as it is known now")))]
pub(super) async fn show(
    State(daemon): State<Daemon>,
    Extension(reports): Extension<Reports>,
    At(id): At<String>,
) -> Result<Json<EvidenceView>, Problem> {
    let (guard, incident) = incidents::find(&daemon, &id).await?;
    let _one_at_a_time = reports.turn().await.map_err(|closed| Problem::new(Kind::Bug, closed.to_string()))?;
    let mut found = Vec::new();
    each_record(&*daemon.ports().journal, guard.name(), 0, |record| {
        note(&mut found, record, &id);
        Ok::<_, ReadFailure>(ControlFlow::Continue(()))
    })
    .await
    .map_err(|failure| unreadable(failure.into()))?;
    let wanted = guard.snapshot().state.plan.as_ref().map(|plan| sources(plan)).unwrap_or_default();
    let missing = wanted.into_iter().filter(|source| found.iter().all(|one| one.source != *source));
    // Of an incident that is closed, CloudTrail alone is asked once more.
    let missing = missing.filter(|_| incident.closed.is_none());
    let later = guard.snapshot().state.later_evidence().into_iter().filter(|(about, _)| about.0 == id);
    let missing = missing.chain(later.map(|_| EvidenceSource::CloudtrailLater)).collect();
    Ok(Json(EvidenceView { incident: id, migration: guard.name().to_owned(), sources: found, missing }))
}

fn note(found: &mut Vec<SourceView>, record: Record, id: &str) {
    let Event::EvidenceGathered { incident, source, findings, notes } = record.event else { return };
    if incident.0 != id {
        return;
    }
    let known = found.iter().position(|one| one.source == source);
    let place = known.unwrap_or_else(|| {
        found.push(SourceView { source, findings: Vec::new(), notes: Vec::new() });
        found.len() - 1
    });
    found[place].findings.extend(findings);
    found[place].notes.extend(notes);
}
