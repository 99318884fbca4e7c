//! `/v1/runs/{run}/report` and `/v1/incidents/{incident}/report`

use std::{ops::ControlFlow, sync::Arc};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use belay_core::id::{IncidentId, RunId};
use belay_engine::OpenError;
use belay_ports::each_record;
use belay_report::{Gathering, RunReport, html, markdown};
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

/// A report reads its whole stream: one is made at a time.
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
    let (guard, _) = runs::find(&daemon, &run).await?;
    let made = made(&daemon, &reports, guard.name(), &run, move |report| rendered(report, format)).await?;
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
    let (guard, incident) = incidents::find(&daemon, &id).await?;
    let gathering = match incident.run {
        Some(run) => Gathering::of_run(guard.name(), &RunId(run)),
        None => Gathering::of_incident(guard.name(), &IncidentId(id)),
    };
    let made = made_by(&daemon, &reports, guard.name(), gathering, move |report| rendered(report, format)).await?;
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
    made_by(daemon, reports, migration, Gathering::of_run(migration, run), make).await
}

async fn made_by<T: Send + 'static>(
    daemon: &Daemon,
    reports: &Reports,
    migration: &str,
    mut gathering: Gathering,
    make: impl FnOnce(&RunReport) -> T + Send + 'static,
) -> Result<Option<T>, Problem> {
    let bug = |why: String| Problem::new(Kind::Bug, why).help("please report it; `belay audit` verifies the journal");
    let _one_at_a_time = reports.turn().await.map_err(|closed| bug(closed.to_string()))?;
    each_record(&*daemon.ports().journal, migration, 0, |record| {
        gathering.take(record)?;
        Ok::<_, OpenError>(ControlFlow::Continue(()))
    })
    .await
    .map_err(|error| match error {
        OpenError::Corrupt(corrupt) => bug(corrupt.to_string()),
        unread @ OpenError::Unreadable(_) => runs::unreadable(unread),
    })?;
    let made = spawn_blocking(move || gathering.report().map(|report| make(&report)));
    made.await.map_err(|error| bug(error.to_string()))
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
