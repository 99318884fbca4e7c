//! Whoever has sent a whole request has a place for as long as it is being answered, or is told that there is none.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};

use super::{kind::Kind, problem::Problem};
use crate::listener::{Answering, Full, Proxies, Visit};

/// A request that came over no connection (a test's own) needs no place.
pub(crate) async fn held(proxies: &Proxies, request: Request, next: Next) -> Response {
    let Some(visit) = request.extensions().get::<Arc<Visit>>() else { return next.run(request).await };
    match visit.answer(proxies.client(visit.peer(), request.headers())) {
        Ok(answering) => next.run(request).await.map(|body| Body::new(Held { body, _answering: answering })),
        Err(full) => refused(full),
    }
}

fn refused(Full { most, from_one_place }: Full) -> Response {
    let whose = if from_one_place { " from this address" } else { "" };
    let detail = format!("{most} requests{whose} are being answered already");
    let help = "send it again in a few seconds, and look for a client that opens connections and does not close them; a Unix \
                socket (`listen: unix:/run/belay/belay.sock`) has places of its own";
    let mut answer = Problem::new(Kind::Busy, detail).help(help).into_response();
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// An answer that is on its way: the place is given back when it has been sent, or nobody takes it any more.
struct Held {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
