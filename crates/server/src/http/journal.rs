//! `/v1/journal`

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::daemon::Daemon;

use super::{body::Body, kind::Kind, problem::Problem};

#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RescueBody {}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rescued {
    /// The new file, on the daemon's host.
    path: String,
    /// Of all migrations.
    records: u64,
}

/// Writes all records to a new file beside the journal
///
/// For a journal whose own file was deleted or replaced while the daemon has it open.
#[utoipa::path(post, path = "/v1/journal/rescue", operation_id = "rescue_journal", request_body = Option<RescueBody>,
    responses((status = 200, body = Rescued, description = "Where the records are now")))]
pub(super) async fn rescue(
    State(daemon): State<Daemon>,
    Body(RescueBody {}): Body<RescueBody>,
) -> Result<Json<Rescued>, Problem> {
    let rescued = daemon.ports().journal.rescue().await.map_err(|error| {
        Problem::new(Kind::Unavailable, error.to_string()).help("free space for a copy of the journal, and ask again")
    })?;
    let path = rescued.path.display().to_string();
    tracing::warn!(path, records = rescued.records, "the records were written to a new file");
    Ok(Json(Rescued { path, records: rescued.records }))
}
