//! How much a request may be, and how long it may take to arrive.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
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
        false => {
            let help = format!("a body has at most {BODY_BYTES_MAX} bytes");
            Err(Problem::new(Kind::UnreadableBody, "the body is too large").help(help))
        }
    }
}
