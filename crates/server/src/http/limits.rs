//! How much a request may be, and how long it may take to arrive.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{Version, header},
    middleware::Next,
    response::Response,
};
use futures::StreamExt;
use tokio::{sync::Semaphore, time::timeout};

use super::{kind::Kind, problem::Problem};

const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a body. A baseline that is given to `arm` is the largest of them.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// A body that is too large is read on for so long: who is still sending does not see an answer.
const DISCARD_BYTES_MAX: usize = 8 << 20;
/// From the end of the head to the end of the body.
const BODY_MAX: Duration = Duration::from_secs(10);

/// What needs no place: with as many connections as there can be, that many bytes are no burden.
const SMALL_BYTES_MAX: u64 = 16 * 1024;
/// Larger bodies at a time.
const LARGE_BODIES_MAX: usize = 8;

/// Refuses a head that no honest client sends.
pub(super) async fn modest_head(request: Request, next: Next) -> Result<Response, Problem> {
    let (count, uri) = (request.headers().len(), request.uri().to_string().len());
    let bytes = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() + uri;
    match count <= HEADERS_MAX && bytes <= HEAD_BYTES_MAX {
        true => Ok(next.run(request).await),
        false => {
            let detail = format!("the request has {count} headers; with its path they have {bytes} bytes");
            let help = format!("send at most {HEADERS_MAX} headers and {HEAD_BYTES_MAX} bytes");
            Err(Problem::new(Kind::HeadTooLarge, detail).help(help))
        }
    }
}

/// Refuses what is not addressed to one host: a proxy and the daemon must not understand it differently. Before the router: it
/// is about the connection.
pub(crate) async fn one_host(request: Request, next: Next) -> Result<Response, Problem> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let detail = match hosts {
        _ if request.uri().scheme().is_some() => "the target of the request is a whole URL".to_owned(),
        0 if request.version() == Version::HTTP_11 => "the request has no `Host`".to_owned(),
        0 | 1 => return Ok(next.run(request).await),
        hosts => format!("the request has {hosts} `Host` headers"),
    };
    Err(Problem::new(Kind::BadHost, detail).help("send one `Host`, and a path as the target"))
}

/// Places for large bodies.
#[derive(Clone)]
pub(super) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE_BODIES_MAX)))
    }
}

/// Goes on when the whole body is there. What is small always finds room, however many large bodies are on their way.
pub(super) async fn whole_body(
    State(Bodies(places)): State<Bodies>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|bytes| bytes.to_str().ok()?.parse().ok());
    if declared.is_some_and(|bytes: usize| bytes > BODY_BYTES_MAX) {
        // However slowly it comes, that answer is known; and what is not kept needs no place.
        let _ = timeout(BODY_MAX, discard(body)).await;
        return Err(too_large());
    }
    let small = body.size_hint().upper().is_some_and(|bytes| bytes <= SMALL_BYTES_MAX);
    let _place = match small {
        true => None,
        false => Some(places.try_acquire().map_err(|_| {
            let detail = format!("{LARGE_BODIES_MAX} large bodies are being read already");
            Problem::new(Kind::Busy, detail).help("send it again in a few seconds")
        })?),
    };
    let bytes = timeout(BODY_MAX, read(body)).await.map_err(|_| {
        let detail = format!("the body was not there within {} s", BODY_MAX.as_secs());
        Problem::new(Kind::SlowBody, detail).help("nothing was done; send it again")
    })??;
    Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await)
}

async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_data_stream();
    let (mut kept, mut seen) = (Vec::new(), 0);
    while seen <= DISCARD_BYTES_MAX
        && let Some(chunk) = chunks.next().await
    {
        let chunk = chunk.map_err(|error| Problem::new(Kind::UnreadableBody, format!("it broke off: {error}")))?;
        seen += chunk.len();
        match seen <= BODY_BYTES_MAX {
            true => kept.extend_from_slice(&chunk),
            false => kept = Vec::new(),
        }
    }
    match seen <= BODY_BYTES_MAX {
        true => Ok(kept),
        false => Err(too_large()),
    }
}

async fn discard(body: Body) {
    let (mut chunks, mut seen) = (body.into_data_stream(), 0);
    while seen <= DISCARD_BYTES_MAX
        && let Some(Ok(chunk)) = chunks.next().await
    {
        seen += chunk.len();
    }
}

fn too_large() -> Problem {
    let help = format!("a body has at most {BODY_BYTES_MAX} bytes");
    Problem::new(Kind::UnreadableBody, "the body is too large").help(help)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{Router, http::StatusCode, middleware, routing::get};
    use futures::stream;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_declared_too_large_is_refused_as_such_however_slowly_it_comes() {
        let places = Bodies::default();
        let _all = places.0.clone().acquire_many_owned(LARGE_BODIES_MAX.try_into().unwrap()).await.unwrap();
        let router =
            Router::new().route("/", get(|| async {})).layer(middleware::from_fn_with_state(places, whole_body));
        let asked = |bytes: usize| {
            let body = Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>());
            let request = Request::get("/").header(header::CONTENT_LENGTH, bytes);
            router.clone().oneshot(request.body(body).unwrap())
        };
        assert_eq!(asked(BODY_BYTES_MAX + 1).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(asked(BODY_BYTES_MAX).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_request_is_addressed_to_one_host() {
        let router = Router::new().route("/", get(|| async {})).layer(middleware::from_fn(one_host));
        let asked = |target: &str, hosts: &[&str], version| {
            let request = Request::get(target).version(version);
            let request = hosts.iter().fold(request, |request, host| request.header(header::HOST, *host));
            router.clone().oneshot(request.body(Body::empty()).unwrap())
        };
        for (target, hosts, version, status) in [
            ("/", &["a"][..], Version::HTTP_11, StatusCode::OK),
            ("/", &[], Version::HTTP_10, StatusCode::OK),
            ("/", &[], Version::HTTP_11, StatusCode::BAD_REQUEST),
            ("/", &["a", "a"], Version::HTTP_11, StatusCode::BAD_REQUEST),
            ("http://a/", &["a"], Version::HTTP_11, StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(asked(target, hosts, version).await.unwrap().status(), status, "{target} {hosts:?}");
        }
    }
}
