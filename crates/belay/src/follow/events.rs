//! What a daemon tells as it happens: its server-sent events, over as many connections as it takes.

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet, time};

use crate::{
    client::{Client, Deaf},
    exit::Failure,
};

/// The daemon sends a comment every 15 seconds at least; a connection that is silent for longer is dead.
const SILENCE_MAX: Duration = Duration::from_secs(50);
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Records that wait to be shown; behind them the daemon's connection waits.
const WAITING_MAX: usize = 256;

/// A record of the journal, as an event.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Told {
    pub(crate) migration: String,
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) actor: String,
    pub(crate) event: Value,
}

#[derive(Debug)]
pub(crate) enum Heard {
    /// Connected, at first or again: nothing from here on goes by unheard.
    Ready,
    /// A record, and the document it was read from.
    Record(Box<Told>, Value),
    /// The daemon cannot be heard for now; it is tried again.
    Away,
    /// The daemon does not know where we were any more: what happened meanwhile is in its journal.
    Missed,
    /// This daemon, or something before it, has no events.
    Deaf,
}

/// It ends when it is dropped.
pub(crate) struct Events {
    heard: mpsc::Receiver<Result<Heard, Failure>>,
    _listening: JoinSet<()>,
}

impl Events {
    /// From now on.
    pub(crate) fn listen(client: &Client) -> Self {
        let (told, heard) = mpsc::channel(WAITING_MAX);
        let listener = Listener { client: client.clone(), cursor: None, told };
        let mut listening = JoinSet::new();
        listening.spawn(listener.run());
        Self { heard, _listening: listening }
    }

    /// The next thing that is heard. Can be dropped and called again without missing any.
    ///
    /// # Errors
    /// What another try would not change: who asks is not known, for one.
    pub(crate) async fn next(&mut self) -> Result<Heard, Failure> {
        match self.heard.recv().await {
            Some(heard) => heard,
            // It was said before why there are none.
            None => std::future::pending().await,
        }
    }
}

struct Listener {
    client: Client,
    /// Of the last thing that was heard.
    cursor: Option<String>,
    told: mpsc::Sender<Result<Heard, Failure>>,
}

/// Whoever listened has gone.
struct Gone;

impl Listener {
    async fn run(mut self) {
        // Its only end before one that it tells itself.
        let _: Result<(), Gone> = self.listen().await;
    }

    async fn listen(&mut self) -> Result<(), Gone> {
        let mut pause = PAUSE_MIN;
        let mut away = false;
        loop {
            match self.client.events(self.cursor.as_deref()).await {
                Ok(response) => {
                    (away, pause) = (false, PAUSE_MIN);
                    self.hear(response).await?;
                }
                Err(Deaf::ForNow) => {}
                Err(Deaf::Lost) if self.cursor.take().is_some() => {
                    self.tell(Ok(Heard::Missed)).await?;
                    continue;
                }
                Err(Deaf::Lost | Deaf::ForGood) => return self.tell(Ok(Heard::Deaf)).await,
                Err(Deaf::Refused(failure)) => return self.tell(Err(failure)).await,
            }
            if !std::mem::replace(&mut away, true) {
                self.tell(Ok(Heard::Away)).await?;
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Until the connection ends.
    async fn hear(&mut self, response: Response) -> Result<(), Gone> {
        let bytes = until_silent(Box::pin(response.bytes_stream())).eventsource();
        tokio::pin!(bytes);
        while let Some(Ok(event)) = bytes.next().await {
            if !event.id.is_empty() {
                self.cursor = Some(event.id);
            }
            if event.event == "ready" {
                self.tell(Ok(Heard::Ready)).await?;
            } else if let Ok(document) = serde_json::from_str::<Value>(&event.data)
                && let Ok(told) = Told::deserialize(&document)
            {
                self.tell(Ok(Heard::Record(Box::new(told), document))).await?;
            }
        }
        Ok(())
    }

    async fn tell(&self, heard: Result<Heard, Failure>) -> Result<(), Gone> {
        self.told.send(heard).await.map_err(|_| Gone)
    }
}

/// The bytes of a connection as long as it is alive.
fn until_silent<S: Stream + Unpin>(bytes: S) -> impl Stream<Item = S::Item> {
    stream::unfold(bytes, |mut bytes| async {
        let next = time::timeout(SILENCE_MAX, bytes.next()).await.ok().flatten()?;
        Some((next, bytes))
    })
}
