//! The HTTP interface. Every handler talks to engines through their handles; none holds an engine up.
//!
//! Not built yet: the console.

mod answers;
mod body;
mod checklist;
mod events;
mod evidence;
mod feed;
mod frame;
mod guard;
mod health;
mod idempotency;
mod identify;
mod incidents;
mod journal;
mod kind;
mod limits;
mod metrics;
mod migrations;
mod openapi;
mod page;
pub(crate) mod place;
mod problem;
mod problem_pages;
mod query;
mod readiness;
mod refusal;
mod report;
mod restore_tests;
mod runs;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderValue, Method, Uri, header},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use futures::FutureExt;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};

use crate::daemon::Daemon;

use feed::Feed;
use kind::Kind;
use problem::Problem;

/// Arming and dry runs wait for many reads of AWS; nothing else takes long. Below the two minutes that clients wait.
const REQUEST_MAX: Duration = Duration::from_secs(110);

/// Everything that the daemon answers. What a handler says of itself beside its code is in `/openapi.json`.
pub fn router(daemon: Daemon) -> Router {
    let feed = Arc::new(Feed::new(daemon.ports().journal.clone()));
    let (open, open_described) = described(OPEN).split_for_parts();
    let (guarded, guarded_described) =
        described(GUARDED).layer(Extension(feed)).layer(Extension(report::Reports::default())).split_for_parts();
    let document = openapi::document(open_described, guarded_described, !daemon.config().tokens.is_empty());
    let document = Arc::new(document);
    let guarded = guarded
        .route_layer(middleware::from_fn_with_state(idempotency::Memory::of(&daemon), idempotency::once))
        .route_layer(middleware::from_fn_with_state(daemon.clone(), in_a_place))
        .route_layer(middleware::from_fn_with_state(limits::Bodies::default(), limits::whole_body))
        .route_layer(middleware::from_fn_with_state(daemon.clone(), identify::identify));
    open.merge(guarded)
        .route("/openapi.json", get(async move || Json(document.as_ref().clone())))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(limits::modest_head))
        .layer(middleware::map_response(sealed))
        .layer(middleware::from_fn_with_state(daemon.clone(), metrics::measured))
        .with_state(daemon)
}

/// Made one after the other: each has with it the schemas of all that it answers.
type Route = fn() -> UtoipaMethodRouter<Daemon>;

/// What nobody needs a token for.
const OPEN: &[Route] = &[
    || routes!(health::healthz),
    || routes!(health::readyz),
    || routes!(problem_pages::all),
    || routes!(problem_pages::one),
];

const GUARDED: &[Route] = &[
    || routes!(metrics::metrics),
    || routes!(migrations::list),
    || routes!(migrations::show),
    || routes!(readiness::readiness),
    || routes!(migrations::arm),
    || routes!(migrations::disarm),
    || routes!(migrations::cutover),
    || routes!(migrations::phase),
    || routes!(migrations::mute),
    || routes!(migrations::unmute),
    || routes!(migrations::rollback),
    || routes!(checklist::show),
    || routes!(checklist::tick),
    || routes!(restore_tests::record),
    || routes!(guard::report),
    || routes!(incidents::list),
    || routes!(incidents::show),
    || routes!(incidents::decide),
    || routes!(incidents::postmortem),
    || routes!(evidence::show),
    || routes!(report::of_incident),
    || routes!(runs::list),
    || routes!(runs::show),
    || routes!(report::report),
    || routes!(runs::hold),
    || routes!(runs::resume),
    || routes!(runs::abort),
    || routes!(runs::undo),
    || routes!(runs::postmortem),
    || routes!(runs::approve),
    || routes!(runs::retry),
    || routes!(runs::skip),
    || routes!(runs::override_interlock),
    || routes!(journal::rescue),
    || routes!(events::events),
];

fn described(routes: &[Route]) -> OpenApiRouter<Daemon> {
    routes.iter().fold(OpenApiRouter::default(), |router, route| router.routes(route()))
}

/// The router as it stands behind a port.
pub(crate) fn at_port(daemon: Daemon) -> Router {
    router(daemon).layer(middleware::from_fn(limits::one_host))
}

/// Behind `identify` and `whole_body`: who is not known, or has not sent all of it, takes no place from others. What is open to everybody
/// needs none.
async fn in_a_place(State(daemon): State<Daemon>, request: Request, next: Next) -> Response {
    place::held(&daemon.config().proxies, request, next).await
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
