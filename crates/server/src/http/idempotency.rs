//! `Idempotency-Key`: the same request again gets the same answer, and nothing is done twice.
//!
//! Two memories hold that up. `answers` keeps answers as they were given, refusals too, within bounds. The journal keeps
//! the key of each command that changed something, so that neither a restart nor those bounds let it happen again; its
//! answer is then made anew, from the state as it is.
//!
//! While the first request is under way, the same one again waits for its answer: whoever has lost a connection wants to
//! know what became of it, and has nothing else to do meanwhile.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use belay_core::{id::RunId, input::CommandKey, migration::KEYS_KEPT};
use jiff::SignedDuration;
use sha2::{Digest, Sha256};
use tracing::Instrument;

use crate::{auth::Caller, daemon::Daemon};

use super::{
    answers::{Answer, Answers, reused},
    incidents,
    kind::Kind,
    migrations,
    problem::Problem,
    runs,
};

/// Characters of a key.
pub(super) const KEY_CHARS_MAX: usize = 255;
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What answers requests that come again.
#[derive(Clone)]
pub(super) struct Memory {
    daemon: Daemon,
    answers: Arc<Answers>,
}

impl Memory {
    pub(super) fn of(daemon: &Daemon) -> Self {
        Self { daemon: daemon.clone(), answers: Arc::default() }
    }
}

/// Lets a request with a key through once, and answers it again from memory.
pub(super) async fn once(State(memory): State<Memory>, request: Request, next: Next) -> Result<Response, Problem> {
    let Memory { daemon, answers } = memory;
    let key = match *request.method() {
        Method::POST => key_of(request.headers())?,
        _ => None,
    };
    let (Some(key), Some(caller)) = (key, request.extensions().get::<Caller>().cloned()) else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    // It is all there, within its limits: `limits` has seen to that.
    let body = to_bytes(body, usize::MAX).await;
    let body = body.map_err(|error| Problem::new(Kind::UnreadableBody, error.to_string()))?;
    let key = CommandKey { key, fingerprint: fingerprint(&parts, &body) };
    // Before anything else is remembered of a key, what is on record of it counts.
    on_record(&daemon, &caller.name, &key)?;
    let entry = answers.entry(&caller.name, &key, daemon.ports().clock.monotonic())?;
    // Whoever asked may be gone before the answer is there: it is kept all the same, for when the request comes again.
    let asking = async move {
        let mut replayed = true;
        let first = &mut replayed;
        let ask = move || async move {
            let anew = |daemon: &Daemon, path: &str| {
                on_record(daemon, &caller.name, &key).ok().flatten().and_then(|run| made_anew(daemon, path, run))
            };
            let path = parts.uri.path().to_owned();
            if let Some(answer) = anew(&daemon, &path) {
                return Answer::of(answer).await;
            }
            parts.extensions.insert(caller.clone().with_key(key.clone()));
            let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
            // The first try of a request whose answer failed may have got on record only now.
            if let Some(answer) = anew(&daemon, &path).filter(|_| answer.status().is_client_error()) {
                return Answer::of(answer).await;
            }
            *first = false;
            Answer::of(answer).await
        };
        match entry.answer.get_or_try_init(ask).await {
            Ok(answer) => answer.give(replayed),
            Err(failed) => failed,
        }
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "it outlives the connection, and ends with its answer or the runtime"
    )]
    let answer = tokio::spawn(asking.in_current_span()).await;
    answer.map_err(|_| Problem::new(Kind::Bug, "the code that should have answered has failed"))
}

/// The key of a request, if it has one.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let bad = |why: &str| Err(Problem::new(Kind::BadIdempotencyKey, why).help("send a fresh UUID, once"));
    match key.to_str() {
        _ if keys.next().is_some() => bad("there is more than one `Idempotency-Key`"),
        Ok("") => bad("`Idempotency-Key` is empty"),
        Ok(text) if text.len() > KEY_CHARS_MAX => bad("`Idempotency-Key` has more than 255 characters"),
        Ok(text) if text.chars().all(|c| c.is_ascii_graphic()) => Ok(Some(text.to_owned())),
        _ => bad("`Idempotency-Key` has characters that are not visible ASCII"),
    }
}

/// SHA-256 in hex over method, path with query, and body.
fn fingerprint(parts: &Parts, body: &[u8]) -> String {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let mut digest = Sha256::new();
    // Neither a method nor a path has a line break in it.
    digest.update(format!("{}\n{path}\n", parts.method));
    digest.update(body);
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the journals say of a key: the run that came of it, if one did; None when it was not used.
fn on_record(daemon: &Daemon, caller: &str, key: &CommandKey) -> Result<Option<Option<RunId>>, Problem> {
    let now = daemon.ports().clock.now();
    let kept = SignedDuration::try_from(KEYS_KEPT).unwrap_or(SignedDuration::MAX);
    let used = daemon.guards().into_iter().find_map(|guard| {
        let known = guard.snapshot().state.find_key(caller, &key.key).cloned()?;
        (now.duration_since(known.at) < kept).then_some(known)
    });
    match used {
        Some(used) if used.key.fingerprint != key.fingerprint => Err(reused(&key.key)),
        Some(used) => Ok(Some(used.run)),
        None => Ok(None),
    }
}

/// The answer of a verb that was carried out already, as it would be given now.
fn made_anew(daemon: &Daemon, path: &str, run: Option<RunId>) -> Option<Response> {
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let answer = match (parts.as_slice(), run) {
        (["migrations", _, "rollback"] | ["runs", _, "undo"], Some(run)) => return Some(migrations::accepted(&run)),
        (["migrations", migration, _], _) => migrations::present(daemon, migration).map(IntoResponse::into_response),
        (["incidents", incident, _], _) => incidents::present(daemon, incident).map(IntoResponse::into_response),
        (["runs", run, ..], _) => runs::present(daemon, run).map(IntoResponse::into_response),
        _ => return None,
    };
    answer.ok()
}
