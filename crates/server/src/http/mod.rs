//! The HTTP interface of DESIGN 7. Every handler talks to engines through their handles; none holds an engine up.
//!
//! Not built yet: `/v1/events`, `/v1/runs/{id}/report`, the console, `/openapi.json`, and `Idempotency-Key`, which is
//! ignored: a second rollback is refused with the run under way, so sending one again does no harm.

mod body;
mod health;
mod identify;
mod incidents;
mod metrics;
mod migrations;
mod page;
mod problem;
mod refusal;
mod runs;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};

use crate::daemon::Daemon;

use problem::Problem;

/// Arming and dry runs wait for many reads of AWS; nothing else takes long. Below the two minutes that clients wait.
const REQUEST_MAX: Duration = Duration::from_secs(110);

/// Everything that the daemon answers.
pub fn router(daemon: Daemon) -> Router {
    let open = Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::readyz));
    let guarded = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/v1/migrations", get(migrations::list))
        .route("/v1/migrations/{migration}", get(migrations::show))
        .route("/v1/migrations/{migration}/arm", post(migrations::arm))
        .route("/v1/migrations/{migration}/disarm", post(migrations::disarm))
        .route("/v1/migrations/{migration}/cutover", post(migrations::cutover))
        .route("/v1/migrations/{migration}/rollback", post(migrations::rollback))
        .route("/v1/incidents", get(incidents::list))
        .route("/v1/incidents/{incident}", get(incidents::show))
        .route("/v1/incidents/{incident}/decide", post(incidents::decide))
        .route("/v1/runs", get(runs::list))
        .route("/v1/runs/{run}", get(runs::show))
        .route("/v1/runs/{run}/hold", post(runs::hold))
        .route("/v1/runs/{run}/resume", post(runs::resume))
        .route("/v1/runs/{run}/abort", post(runs::abort))
        .route("/v1/runs/{run}/steps/{step}/approve", post(runs::approve))
        .route("/v1/runs/{run}/steps/{step}/retry", post(runs::retry))
        .route("/v1/runs/{run}/steps/{step}/skip", post(runs::skip))
        .route("/v1/runs/{run}/steps/{step}/override", post(runs::override_interlock))
        .route_layer(middleware::from_fn_with_state(daemon.clone(), identify::identify));
    open.merge(guarded)
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body::BODY_BYTES_MAX))
        .layer(middleware::from_fn(in_time))
        .with_state(daemon)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path())).help("the interface begins at /v1/migrations")
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The wrong method", detail)
        .help("reading is GET, acting is POST")
}

async fn in_time(request: Request, next: Next) -> Result<Response, Problem> {
    tokio::time::timeout(REQUEST_MAX, next.run(request)).await.map_err(|_| {
        let detail = format!("there was no answer within {} s", REQUEST_MAX.as_secs());
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", "It took too long", detail)
            .help("what was asked for may still happen; `belay status` shows it")
    })
}
