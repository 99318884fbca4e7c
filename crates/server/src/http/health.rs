//! `/healthz`: the process answers. `/readyz`: everything it should do, it can do now.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::daemon::Daemon;

pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    ready: bool,
    /// What is not ready.
    not_ready: Vec<NotReady>,
}

#[derive(Debug, Serialize)]
struct NotReady {
    /// `engine` or `arm_on_start`
    part: &'static str,
    migration: String,
    why: String,
}

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
