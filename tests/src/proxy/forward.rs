//! The way of one request through the proxy.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::call::{Call, Outcome};
use super::fault::{Kind, error_answer, unreachable_answer};
use super::{Reaction, Shared};
use crate::server::{Answer, Cut};

pub(super) async fn forward(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let (call, faults) = shared.arrived(&parts, &body);
    let mut loses_answer = false;
    let mut answer_waits = None;
    for kind in &faults {
        match kind {
            Kind::Delay(time) => tokio::time::sleep(*time).await,
            Kind::HoldCall(hold) => hold.wait().await,
            Kind::HoldAnswer(hold) => answer_waits = Some(hold),
            Kind::LostAnswer => loses_answer = true,
            Kind::Cut => {
                shared.settle(call.index, Outcome::Cut);
                return Err(Cut);
            }
            error => {
                let answer = error_answer(error, &parts).expect("all other kinds are answered");
                shared.settle(call.index, Outcome::Refused(answer.status().as_u16()));
                return Ok(answer);
            }
        }
    }
    let answer = match send(&shared.upstream, parts, body).await {
        Ok(answer) => answer,
        Err(error) => {
            let answer = unreachable_answer(&error.to_string());
            shared.settle(call.index, Outcome::Refused(answer.status().as_u16()));
            return Ok(answer);
        }
    };
    let status = answer.status().as_u16();
    if let Some(hold) = answer_waits {
        hold.wait().await;
    }
    let cut = react(&shared, &call, status).await == Reaction::Cut;
    if loses_answer || cut {
        shared.settle(call.index, Outcome::Lost(status));
        return Err(Cut);
    }
    shared.settle(call.index, Outcome::Answered(status));
    Ok(answer)
}

/// Asks the test's hook. It may block for as long as it likes: other calls go on meanwhile.
async fn react(shared: &Shared, call: &Call, status: u16) -> Reaction {
    let Some(hook) = shared.hook() else { return Reaction::Forward };
    let call = Call { outcome: Outcome::Answered(status), ..call.clone() };
    // A hook that panics fails the call, and so the test.
    tokio::task::spawn_blocking(move || hook(&call)).await.unwrap_or(Reaction::Cut)
}

/// A connection for each call: simple, and nothing is ever sent twice behind our back.
async fn send(upstream: &str, parts: Parts, body: Bytes) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // It ends with the answer, or with an error that the sender has seen as well.
        let _ = connection.await;
    });
    let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    // These are about the connection to AWS, not the one to the caller.
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, Full::new(body)))
}
