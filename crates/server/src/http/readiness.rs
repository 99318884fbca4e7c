//! `/v1/migrations/{migration}/readiness`

use axum::{Json, extract::State};
use belay_engine::Readiness;

use crate::daemon::Daemon;

use super::{
    body::At,
    migrations::find,
    problem::Problem,
    refusal::{self, Subject},
};

/// Whether a rollback would go through now: of what is armed, else of what the plan file holds
///
/// Evaluated for this answer, unless the last evaluation is younger than ten seconds. It reads, and changes nothing.
#[utoipa::path(get, path = "/v1/migrations/{migration}/readiness", operation_id = "show_readiness",
    responses((status = 200, body = Readiness, description = "Each check with its verdict; the worst is that of all")))]
pub(super) async fn readiness(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
) -> Result<Json<Readiness>, Problem> {
    let guard = find(&daemon, &migration)?;
    let found = daemon.readiness(&guard).await;
    let found = found.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    Ok(Json(found.as_ref().clone()))
}
