//! The HTTP interface of DESIGN 7. Every handler talks to engines through their handles; none holds an engine up.
//!
//! Not built yet: `/v1/runs/{id}/report`, the console, `/openapi.json`, and `Idempotency-Key`, which is
//! ignored: a second rollback is refused with the run under way, so sending one again does no harm.

mod body;
mod events;
mod feed;
mod frame;
mod health;
mod identify;
mod incidents;
mod kind;
mod limits;
mod metrics;
mod migrations;
mod page;
mod problem;
mod problem_pages;
mod refusal;
mod runs;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::Request,
    http::{HeaderValue, Method, Uri, header},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use futures::FutureExt;

use crate::daemon::Daemon;

use feed::Feed;
use kind::Kind;
use problem::Problem;

/// Arming and dry runs wait for many reads of AWS; nothing else takes long. Below the two minutes that clients wait.
const REQUEST_MAX: Duration = Duration::from_secs(110);

/// Everything that the daemon answers.
pub fn router(daemon: Daemon) -> Router {
    let feed = Arc::new(Feed::new(daemon.ports().journal.clone()));
    let open = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/problems", get(problem_pages::all))
        .route("/problems/{kind}", get(problem_pages::one));
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
        .route("/v1/events", get(events::events).layer(Extension(feed)))
        .route_layer(middleware::from_fn_with_state(limits::Bodies::default(), limits::whole_body))
        .route_layer(middleware::from_fn_with_state(daemon.clone(), identify::identify));
    open.merge(guarded)
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(limits::modest_head))
        .layer(middleware::map_response(sealed))
        .with_state(daemon)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path())).help("the interface begins at /v1/migrations")
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(Kind::MethodNotAllowed, detail).help("reading is GET, acting is POST")
}

/// Whatever becomes of a request, it is answered, and in time.
async fn in_time(request: Request, next: Next) -> Result<Response, Problem> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match tokio::time::timeout(REQUEST_MAX, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => {
            tracing::error!(%method, path, "a request could not be answered: the code that should have, panicked");
            let problem = Problem::new(Kind::Bug, "the code that should have answered has failed");
            Err(problem.help("what was asked for may have happened; `belay status` and the daemon's log say more"))
        }
        Err(_) => {
            let problem = Problem::new(Kind::TimedOut, format!("no answer within {} s", REQUEST_MAX.as_secs()));
            Err(problem.help("what was asked for may still happen; `belay status` shows it"))
        }
    }
}

/// What is true of every answer: it is of this moment and for who asked, and is nothing but what it says it is.
async fn sealed(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
