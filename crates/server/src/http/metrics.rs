//! `/metrics`, as text for Prometheus, and the counting of requests.

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{daemon::Daemon, metrics::Format};

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain", description = "Text of Prometheus' format")))]
pub(super) async fn metrics(State(daemon): State<Daemon>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let format = if accept.contains("application/openmetrics-text") { Format::OpenMetrics } else { Format::Plain };
    let snapshots: Vec<_> = daemon.guards().iter().map(|guard| guard.snapshot()).collect();
    let snapshots = snapshots.iter().map(|snapshot| snapshot.as_ref());
    let text = daemon.metrics().text(format, snapshots, daemon.sampler(), daemon.ports().clock.now());
    ([(header::CONTENT_TYPE, format.content_type())], text)
}

/// Counts and times every answer.
pub(super) async fn measured(State(daemon): State<Daemon>, request: Request, next: Next) -> Response {
    let began = daemon.ports().clock.monotonic();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = known(request.method());
    let response = next.run(request).await;
    let time = daemon.ports().clock.monotonic().saturating_sub(began);
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    daemon.metrics().answered(route, method, response.status().as_u16(), time);
    response
}

/// Anybody can make up a method; that must not make a new series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
