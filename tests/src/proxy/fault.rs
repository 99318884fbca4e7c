//! What goes wrong, when, and how AWS would have written it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use tokio::sync::Semaphore;

use super::call::{Call, header, matches, speaks_cbor};
use crate::server::Answer;

/// Which of the calls that a rule is about go wrong. Counted for each rule, from the moment it is made.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// The first so many.
    First(usize),
    /// Only this one, from 1 on.
    Nth(usize),
    /// Every one.
    All,
    /// Those that are more than so many within a second, as a quota has it. Refused ones count, too.
    Above(usize),
}

/// What calls wait at until it is released, or dropped with the proxy. Clones are one.
#[derive(Clone, Debug)]
pub struct Hold(Arc<Semaphore>);

impl Hold {
    /// One that nothing waits at yet.
    #[allow(clippy::new_without_default)] // a default that blocks would surprise
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Whatever waits goes on, and nothing waits any more.
    pub fn release(&self) {
        self.0.close();
    }

    pub(crate) async fn wait(&self) {
        // It has no permits, so this ends when it is closed.
        let _ = self.0.acquire().await;
    }
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Kind {
    /// 400 `Throttling`, in the words of the service's protocol.
    Throttle,
    /// 500 `InternalFailure`.
    Error500,
    /// The call is made, but later.
    Delay(Duration),
    /// The call does not reach AWS until the hold is released.
    HoldCall(Hold),
    /// The call takes effect; its answer waits until the hold is released.
    HoldAnswer(Hold),
    /// The connection is cut before the call reaches AWS.
    Cut,
    /// The call takes effect; then the connection is cut, before any of the answer.
    LostAnswer,
    /// 403 `AccessDenied`.
    AccessDenied,
    /// 403 `ExpiredToken`.
    ExpiredToken,
    /// Any other error; see [`Kind::code`].
    Code {
        /// HTTP status
        status: u16,
        /// AWS error code
        code: String,
    },
}

impl Kind {
    /// An error of one's own: `Kind::code(400, "PriorRequestNotComplete")`.
    pub fn code(status: u16, code: &str) -> Self {
        Self::Code { status, code: code.to_owned() }
    }

    /// The error that it is, if it is one that is answered.
    fn error(&self, protocol: Protocol) -> Option<(u16, &str)> {
        let json = matches!(protocol, Protocol::Json);
        Some(match self {
            Self::Throttle if json => (400, "ThrottlingException"),
            Self::Throttle => (400, "Throttling"),
            Self::Error500 => (500, "InternalFailure"),
            Self::AccessDenied if json => (400, "AccessDeniedException"),
            Self::AccessDenied => (403, "AccessDenied"),
            Self::ExpiredToken if json => (400, "ExpiredTokenException"),
            Self::ExpiredToken => (403, "ExpiredToken"),
            Self::Code { status, code } => (*status, code),
            Self::Delay(_) | Self::HoldCall(_) | Self::HoldAnswer(_) | Self::Cut | Self::LostAnswer => return None,
        })
    }
}

/// One rule of the proxy, with its count.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: usize,
    pub(crate) service: String,
    pub(crate) action: String,
    pub(crate) when: When,
    pub(crate) kind: Kind,
    pub(crate) seen: usize,
    pub(crate) hits: usize,
    /// When the calls of the last second came.
    pub(crate) recent: VecDeque<Instant>,
}

impl Rule {
    /// Counts the call, and says whether it goes wrong.
    pub(crate) fn strikes(&mut self, call: &Call) -> bool {
        if !(matches(&self.service, &call.service) && matches(&self.action, &call.action)) {
            return false;
        }
        self.seen += 1;
        let strikes = match self.when {
            When::First(count) => self.seen <= count,
            When::Nth(number) => self.seen == number,
            When::All => true,
            When::Above(count) => self.in_a_second() > count,
        };
        self.hits += usize::from(strikes);
        strikes
    }
}

impl Rule {
    /// Calls in the last second, with the one that has just come.
    fn in_a_second(&mut self) -> usize {
        let now = Instant::now();
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        self.recent.len()
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Query,
    Route53,
    Json,
    Cbor,
}

impl Protocol {
    fn of(request: &Parts) -> Self {
        if speaks_cbor(&request.headers) {
            Self::Cbor
        } else if header(&request.headers, "x-amz-target").is_some() {
            Self::Json
        } else if request.uri.path().starts_with("/2013-04-01/") {
            Self::Route53
        } else {
            Self::Query
        }
    }
}

/// The error answer to a request, in the protocol that the request is written in.
pub(crate) fn error_answer(kind: &Kind, request: &Parts) -> Option<Answer> {
    let protocol = Protocol::of(request);
    let (status, code) = kind.error(protocol)?;
    let message = if code.starts_with("Throttling") { "Rate exceeded" } else { "injected by a test" };
    let fault = if status < 500 { "Sender" } else { "Receiver" };
    let error = format!("<Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    let (content_type, body) = match protocol {
        Protocol::Query => {
            ("text/xml", format!("<ErrorResponse>{error}<RequestId>test</RequestId></ErrorResponse>").into_bytes())
        }
        Protocol::Route53 => {
            let namespace = "https://route53.amazonaws.com/doc/2013-04-01/";
            let body =
                format!("<ErrorResponse xmlns=\"{namespace}\">{error}<RequestId>test</RequestId></ErrorResponse>");
            ("text/xml", body.into_bytes())
        }
        Protocol::Json => {
            let body = serde_json::json!({ "__type": code, "message": message });
            ("application/x-amz-json-1.0", body.to_string().into_bytes())
        }
        Protocol::Cbor => ("application/cbor", cbor_error(code, message)),
    };
    let mut answer = Response::builder().status(status).header("content-type", content_type);
    answer = match protocol {
        Protocol::Json => answer.header("x-amzn-errortype", code),
        // Services that spoke the query protocol before keep its error codes in this header.
        Protocol::Cbor => {
            answer.header("smithy-protocol", "rpc-v2-cbor").header("x-amzn-query-error", format!("{code};{fault}"))
        }
        Protocol::Query | Protocol::Route53 => answer,
    };
    Some(answer.body(Full::new(Bytes::from(body))).expect("a test gives a valid status and code"))
}

fn cbor_error(code: &str, message: &str) -> Vec<u8> {
    let fields = vec![("__type".into(), code.into()), ("message".into(), message.into())];
    let mut body = Vec::new();
    ciborium::into_writer(&ciborium::Value::Map(fields), &mut body).expect("memory takes every write");
    body
}

/// What the proxy says when AWS cannot be reached.
pub(crate) fn unreachable_answer(why: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(why.to_owned())));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
