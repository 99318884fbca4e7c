//! `/v1/runs/{run}/report` and `/v1/incidents/{incident}/report`

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use belay_core::{
    event::Record,
    id::{IncidentId, RunId},
    migration::Corrupt,
};
use belay_ports::{Journal, ReadFailure};
use belay_report::{RunReport, html, markdown, report as gather, report_of_incident};
use serde::Deserialize;
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};
use utoipa::ToSchema;

use crate::daemon::Daemon;

use super::{
    body::{Asked, At},
    incidents,
    kind::Kind,
    problem::Problem,
    query::ReportQuery,
    runs,
};

/// Records of one read of the journal: an append waits for one such read at most.
const PAGE: usize = 500;

/// The page runs no script and loads nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    #[default]
    Json,
    Md,
    Html,
}

/// A report takes the memory of its whole stream: one is made at a time.
#[derive(Debug, Clone)]
pub(super) struct Reports(Arc<Semaphore>);

impl Reports {
    /// A read of a whole stream; it ends when this is dropped.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.0.clone().acquire_owned().await
    }
}

impl Default for Reports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// The report of one run: what happened, who decided, what was measured, who was told
///
/// Of a run that is not over: what is known so far. All of it is made of the journal.
#[utoipa::path(get, path = "/v1/runs/{run}/report", operation_id = "report_run", params(ReportQuery),
    responses((status = 200, description = "In the format that was asked for", content(
        (RunReport = "application/json"), (String = "text/markdown"), (String = "text/html")))))]
pub(super) async fn report(
    State(daemon): State<Daemon>,
    Extension(reports): Extension<Reports>,
    At(run): At<String>,
    Asked(ReportQuery { format }): Asked<ReportQuery>,
) -> Result<Response, Problem> {
    let run = RunId(run);
    let migration = runs::find(&daemon, &run)?.name().to_owned();
    let made = made(&daemon, &reports, &migration, &run, move |report| rendered(report, format)).await?;
    // Of dry runs, the journal has more than the state keeps.
    made.ok_or_else(|| Problem::not_found("the journal does not show this run"))
}

/// The report of one incident: that of its run, or of the incident alone where nothing was rolled back
///
/// Of an incident that is open: what is known so far. All of it is made of the journal.
#[utoipa::path(get, path = "/v1/incidents/{incident}/report", operation_id = "report_incident", params(ReportQuery),
    responses((status = 200, description = "In the format that was asked for", content(
        (RunReport = "application/json"), (String = "text/markdown"), (String = "text/html")))))]
pub(super) async fn of_incident(
    State(daemon): State<Daemon>,
    Extension(reports): Extension<Reports>,
    At(id): At<String>,
    Asked(ReportQuery { format }): Asked<ReportQuery>,
) -> Result<Response, Problem> {
    let (guard, _) = incidents::find(&daemon, &id)?;
    let of = move |records: &[Record]| report_of_incident(records, &IncidentId(id));
    let made = made_by(&daemon, &reports, guard.name(), of, move |report| rendered(report, format)).await?;
    made.ok_or_else(|| Problem::not_found("the journal does not show this incident"))
}

/// What is made of a run's report; none where the journal does not show the run.
pub(super) async fn made<T: Send + 'static>(
    daemon: &Daemon,
    reports: &Reports,
    migration: &str,
    run: &RunId,
    make: impl FnOnce(&RunReport) -> T + Send + 'static,
) -> Result<Option<T>, Problem> {
    let run = run.clone();
    made_by(daemon, reports, migration, move |records| gather(records, &run), make).await
}

async fn made_by<T: Send + 'static>(
    daemon: &Daemon,
    reports: &Reports,
    migration: &str,
    of: impl FnOnce(&[Record]) -> Result<Option<RunReport>, Corrupt> + Send + 'static,
    make: impl FnOnce(&RunReport) -> T + Send + 'static,
) -> Result<Option<T>, Problem> {
    let bug = |why: String| Problem::new(Kind::Bug, why).help("please report it; `belay audit` verifies the journal");
    let _one_at_a_time = reports.turn().await.map_err(|closed| bug(closed.to_string()))?;
    let records = records(&*daemon.ports().journal, migration).await;
    let records =
        records.map_err(|error| Problem::unavailable(error.to_string()).help("`belay audit` verifies the journal"))?;
    let made = spawn_blocking(move || {
        let report = of(&records).map_err(|corrupt| corrupt.to_string())?;
        Ok(report.map(|report| make(&report)))
    });
    made.await.map_err(|error| bug(error.to_string()))?.map_err(bug)
}

/// All records of a stream, for what is made of its whole story. Each record's own hash is verified, and that none is missing when they are folded.
pub(super) async fn records(journal: &dyn Journal, stream: &str) -> Result<Vec<Record>, ReadFailure> {
    let (mut found, mut from, until) = (Vec::new(), 1, journal.head());
    while from <= until {
        let page = journal.across(from, PAGE).await?;
        let Some(last) = page.last() else { break };
        from = last.position + 1;
        found.extend(page.into_iter().map(|placed| placed.record).filter(|record| record.stream == stream));
    }
    Ok(found)
}

fn rendered(report: &RunReport, format: Format) -> Response {
    let text = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text);
    match format {
        Format::Json => Json(report).into_response(),
        Format::Md => text("text/markdown; charset=utf-8", markdown(report)).into_response(),
        Format::Html => {
            let policy = [(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))];
            (policy, text("text/html; charset=utf-8", html(report))).into_response()
        }
    }
}
