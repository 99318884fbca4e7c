//! `/v1/migrations/{migration}/guard`

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{daemon::Daemon, pipeline::Stage};

use super::{
    body::{At, Body, Reason},
    migrations::{Shown, find, present},
    problem::Problem,
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GuardBody {
    stage: Stage,
    /// At `over`: why nothing was rolled back, where the command did not end well.
    ended: Option<Reason>,
}

/// A guard reports that it is there, and how far it is
///
/// `belay guard` reports every five seconds. It changes nothing, and is kept in memory alone; of one that reports no more, the readiness
/// says so.
#[utoipa::path(post, path = "/v1/migrations/{migration}/guard", operation_id = "report_guard",
    request_body = GuardBody, responses((status = 200, body = Shown, description = "The migration, as it is then")))]
pub(super) async fn report(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Body(body): Body<GuardBody>,
) -> Result<Json<Shown>, Problem> {
    let GuardBody { stage, ended } = body;
    find(&daemon, &migration)?.pipeline.reported(stage, ended.map(|ended| ended.0), daemon.ports().clock.as_ref());
    present(&daemon, &migration)
}
