//! `/v1/events`: the journal as server-sent events, live and resumable.
//!
//! First comes `ready`, with the cursor that the stream starts from; then each durable record, `id` its cursor, `event`
//! its type, `data` an `EventView`. Whoever comes back with the last `id` misses nothing and gets nothing twice. The
//! stream ends when the daemon stops, when its tokens change, and after a `problem` (its `data` is a problem document).

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName},
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use belay_plan::model::Name;
use belay_ports::ReadFailure;
use futures::stream::{self, StreamExt};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{
    auth::{Caller, Tokens},
    config::Config,
    daemon::Daemon,
    metrics,
};

use super::{
    body::Asked,
    feed::{CursorError, Feed, Full, READERS_MAX, READERS_OF_ONE, ReaderPlace},
    frame::{Cursor, Frame},
    kind::Kind,
    migrations,
    problem::Problem,
    query::{EventsQuery, LastEvent},
};

/// A comment is sent when nothing else was for this long, so that both sides notice a connection that is dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What a client is asked to wait before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// One event, as its fields are sent.
#[derive(ToSchema)]
#[schema(as = ServerSentEvent)]
#[expect(dead_code, reason = "read by the schema")]
struct Sent {
    /// The cursor behind it.
    id: Option<String>,
    /// `ready`, the type of a record, or `problem`.
    event: String,
    /// JSON: of `ready` the cursor, of a record all of it, of `problem` a problem document.
    #[schema(content_media_type = "application/json")]
    data: String,
    /// In milliseconds.
    retry: Option<u32>,
}

/// The journal, live: each record as an event
///
/// First comes `ready`, whose `id` is the cursor that the stream starts from; then, for each durable record, its cursor as `id`,
/// its type as `event`, and as `data` `{ cursor, migration, seq, at, actor, event }`. Plans, baselines and reports, and
/// whatever else in an event is over 64 KiB, stand as `{ sha256, bytes }` of their JSON. A comment every 15 s shows that
/// the connection lives. When the journal cannot be read, `problem` is the last event, with a problem document.
#[utoipa::path(get, path = "/v1/events", operation_id = "follow_events",
    params(EventsQuery, LastEvent),
    responses((status = 200, body = Sent, content_type = "text/event-stream", description = "Ends with the daemon, and when its tokens change")))]
pub(super) async fn events(
    State(daemon): State<Daemon>,
    Extension(feed): Extension<Arc<Feed>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Asked(EventsQuery { after, migration }): Asked<EventsQuery>,
) -> Result<impl IntoResponse, Problem> {
    if let Some(migration) = &migration {
        migrations::find(&daemon, migration)?;
    }
    // Without tokens all are one person.
    let most = if daemon.config().tokens.is_empty() { READERS_MAX } else { READERS_OF_ONE };
    let place = feed.admit(&caller.name, most).map_err(|full| too_many(full, &caller.name))?;
    let cursor = match last_event(&headers)?.or(after.as_deref()) {
        None => feed.now().await.map_err(unreadable)?,
        Some("") => Cursor::beginning(),
        Some(text) => {
            let cursor = Cursor::parse(text).ok_or_else(|| bad_cursor(format!("`{text}` is no cursor")))?;
            feed.verify(&cursor).await.map_err(|error| match error {
                CursorError::Unreadable(error) => unreadable(error),
                other => without(Problem::new(
                    Kind::StrangeCursor,
                    format!("the cursor `{text}` is not of this journal: {other}"),
                )),
            })?;
            cursor
        }
    };
    let data = json!({ "cursor": cursor.to_string() }).to_string();
    let ready = Event::default().id(cursor.to_string()).event("ready").retry(RETRY).data(data);
    let reader = Reader {
        feed,
        stopping: daemon.stopping(),
        configs: daemon.configs(),
        tokens: daemon.config().tokens.clone(),
        position: cursor.position(),
        page: VecDeque::new(),
        migration,
        _place: place,
        _counted: daemon.metrics().reader(),
    };
    let following = stream::unfold(Some(reader), |reader| async { reader?.next().await });
    let events = stream::iter([ready]).chain(following).map(Ok::<_, Infallible>);
    // For a proxy that would gather the events up first.
    let at_once = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((at_once, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))))
}

/// Somebody who follows. It reads on when its connection has taken what it got.
struct Reader {
    feed: Arc<Feed>,
    stopping: CancellationToken,
    configs: watch::Receiver<Arc<Config>>,
    /// Those that it was let in by.
    tokens: Tokens,
    /// Of the last record that it got, or passed over.
    position: u64,
    page: VecDeque<Arc<Frame>>,
    migration: Option<Name>,
    _place: ReaderPlace,
    _counted: metrics::Reader,
}

impl Reader {
    async fn next(mut self) -> Option<(Event, Option<Self>)> {
        loop {
            if self.configs.borrow_and_update().tokens != self.tokens {
                return None; // whoever still may follow comes back with what they have
            }
            while let Some(frame) = self.page.pop_front() {
                self.position = frame.cursor.position();
                if self.migration.as_ref().is_none_or(|migration| *migration == frame.migration) {
                    let event = Event::default().id(frame.cursor.to_string()).event(&frame.kind).data(&frame.data);
                    return Some((event, Some(self)));
                }
            }
            let page = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return None,
                changed = self.configs.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return None, // so has the daemon gone
                },
                page = self.feed.next(self.position) => page,
            };
            match page {
                Ok(page) => self.page = page.into(),
                Err(error) => {
                    let problem = Event::default().event("problem").data(unreadable(error).to_json());
                    return Some((problem, None));
                }
            }
        }
    }
}

/// A client that connects again sends its old query, and in this header how far it has come since.
fn last_event(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(last) = headers.get("last-event-id") else { return Ok(None) };
    let last = last.to_str().map_err(|_| bad_cursor("`Last-Event-ID` is not text"))?;
    Ok(Some(last).filter(|last| !last.is_empty()))
}

fn bad_cursor(detail: impl Into<String>) -> Problem {
    without(Problem::new(Kind::BadCursor, detail))
}

fn without(problem: Problem) -> Problem {
    problem.help("connect without a cursor, and read afresh what you show: GET /v1/migrations, GET /v1/runs")
}

fn too_many(full: Full, who: &str) -> Problem {
    let why = match full {
        Full::OfAll => format!("{READERS_MAX} clients follow the events"),
        Full::OfOne => format!("{READERS_OF_ONE} clients of {who} follow the events"),
    };
    Problem::new(Kind::TooManyReaders, why).help("close some of them, or ask GET /v1/migrations now and then")
}

fn unreadable(error: ReadFailure) -> Problem {
    Problem::unavailable(error.to_string()).help("`belay audit` says what is wrong with the journal")
}
