//! `/healthz`: the process answers. `/readyz`: everything it should do, it can do now.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::daemon::Daemon;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`
    status: &'static str,
}

/// The process answers
#[utoipa::path(get, path = "/healthz", operation_id = "healthz",
    responses((status = 200, body = Health, description = "It does")))]
pub(super) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    /// What is not ready.
    not_ready: Vec<NotReady>,
}

#[derive(Debug, Serialize, ToSchema)]
struct NotReady {
    /// `engine` or `arm_on_start`
    part: &'static str,
    migration: String,
    why: String,
}

/// Everything that the daemon should do, it can do now
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", responses(
    (status = 200, body = Readiness, description = "It is ready"),
    (status = 503, body = Readiness, description = "It is not, and this is what is not ready"),
))]
pub(super) async fn readyz(State(daemon): State<Daemon>) -> (StatusCode, Json<Readiness>) {
    let faults = daemon.guards().into_iter().flat_map(|guard| {
        let not_ready =
            |why: &String| NotReady { part: "engine", migration: guard.name().to_owned(), why: why.clone() };
        guard.snapshot().faults.iter().map(not_ready).collect::<Vec<_>>()
    });
    let unarmed = daemon.unarmed().into_iter();
    let unarmed = unarmed.map(|(migration, why)| NotReady { part: "arm_on_start", migration, why });
    let not_ready: Vec<NotReady> = faults.chain(unarmed).collect();
    let status = if not_ready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: not_ready.is_empty(), not_ready }))
}
