//! `/healthz`: the process answers, and no loop hangs. `/readyz`: everything it should do, it can do now.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use belay_plan::model::Name;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    daemon::Daemon,
    health::{Part, Trouble, Weight},
};

use super::identify;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alive {
    /// `ok`, or `hung`
    status: &'static str,
    /// What hangs, or has ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
}

/// The process answers, and none of its loops hangs
///
/// Whatever starts a process anew when it hangs should go by this. Open to everybody, as probes need it.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", responses(
    (status = 200, body = Alive, description = "It is alive"),
    (status = 503, body = Alive, description = "A loop hangs or has ended: only a new start helps"),
))]
pub(super) async fn healthz(State(daemon): State<Daemon>) -> (StatusCode, Json<Alive>) {
    let parts: Vec<Part> = daemon.vitals().noticed().hung.iter().map(|trouble| trouble.part).collect();
    match parts.is_empty() {
        true => (StatusCode::OK, Json(Alive { status: "ok", parts })),
        false => (StatusCode::SERVICE_UNAVAILABLE, Json(Alive { status: "hung", parts })),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    /// What should be possible and is not.
    not_ready: Vec<Shortcoming>,
    /// What somebody should look at; the net holds.
    warnings: Vec<Shortcoming>,
    /// Where calls to AWS go, if not straight to AWS. Only for those who may read everything else too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    detours: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Shortcoming {
    part: Part,
    #[serde(skip_serializing_if = "Option::is_none")]
    migration: Option<Name>,
    /// Only for those who may read everything else too.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Everything that the daemon should do, it can do now
///
/// Open to everybody, as probes need it. Who gives no token where there are some is told the parts alone.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", responses(
    (status = 200, body = Readiness, description = "It is ready"),
    (status = 503, body = Readiness, description = "It is not, and this is what is not ready"),
))]
pub(super) async fn readyz(State(daemon): State<Daemon>, headers: HeaderMap) -> (StatusCode, Json<Readiness>) {
    let known = identify::caller(&daemon.config().tokens, &headers).is_ok();
    let shortcoming = |Trouble { part, migration, why, .. }: Trouble| Shortcoming {
        part,
        migration: migration.filter(|_| known),
        why: known.then_some(why),
    };
    let (warnings, not_ready): (Vec<_>, Vec<_>) =
        daemon.troubles().into_iter().partition(|trouble| trouble.weight == Weight::Warning);
    let status = if not_ready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness = Readiness {
        ready: not_ready.is_empty(),
        not_ready: not_ready.into_iter().map(shortcoming).collect(),
        warnings: warnings.into_iter().map(shortcoming).collect(),
        detours: if known { daemon.ports().actuators.detours() } else { Vec::new() },
    };
    (status, Json(readiness))
}
