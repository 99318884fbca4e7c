//! `/metrics`: the least that an alert can be built on, as Prometheus text.

use std::fmt::Write;

use axum::{extract::State, http::header, response::IntoResponse};
use serde_json::json;

use crate::daemon::Daemon;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain", description = "Text of Prometheus' format")))]
pub(super) async fn metrics(State(daemon): State<Daemon>) -> impl IntoResponse {
    let mut text = String::from(
        "# HELP belay_migration_state The state of each migration: 1 for the one it is in.\n\
         # TYPE belay_migration_state gauge\n",
    );
    let snapshots: Vec<_> = daemon.guards().iter().map(|guard| guard.snapshot()).collect();
    for snapshot in &snapshots {
        let (name, state) = (&snapshot.state.name, json!(snapshot.state.state()));
        let state = state.as_str().unwrap_or_default();
        // Writing to a String does not fail. Names are `[a-z][a-z0-9_-]*`, so nothing has to be escaped.
        let _ = writeln!(text, "belay_migration_state{{migration=\"{name}\",state=\"{state}\"}} 1");
    }
    text.push_str(
        "# HELP belay_engine_faults Why the engine of a migration does not act: 0 when it does.\n\
         # TYPE belay_engine_faults gauge\n",
    );
    for snapshot in &snapshots {
        let (name, faults) = (&snapshot.state.name, snapshot.faults.len());
        let _ = writeln!(text, "belay_engine_faults{{migration=\"{name}\"}} {faults}");
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}
