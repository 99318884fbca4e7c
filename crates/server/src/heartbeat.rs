//! The heartbeat: a word to somebody outside, again and again, so that a dead or blind watcher is noticed there.
//!
//! While Belay sees and acts, each beat is a POST to `url`; while it does not, a POST to `url` with `/fail` behind its path,
//! at once and then every beat. Nothing waits for a beat, and the URL, which may be a secret, is never shown.

use std::{error::Error, time::Duration};

use belay_local::secrets::Secrets;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::{select, sync::watch, time::timeout};

use crate::{
    daemon::Daemon,
    health::{Trouble, Weight},
    outbound::Outbound,
    secret::Secret,
};

/// How long one beat may take.
const BEAT_MAX: Duration = Duration::from_secs(10);

/// A beat that did not arrive is repeated after this, if the next is not due before.
const AGAIN: Duration = Duration::from_secs(10);

/// `heartbeat:` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    pub url: Secret,
    pub every: Duration,
}

impl Heartbeat {
    /// Where beats go.
    ///
    /// # Errors
    /// Why there is no such place, in words that tell nothing of it.
    async fn target(&self, secrets: &Secrets) -> Result<Url, String> {
        let late = |_| "its file did not answer".to_owned();
        let url = timeout(BEAT_MAX, self.url.look_up(secrets)).await.map_err(late)??;
        match Url::parse(&url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
            _ => Err("what it holds is not an http or https URL".to_owned()),
        }
    }
}

/// Beats for as long as the configuration asks for it, until it is dropped.
pub(crate) async fn beat(daemon: Daemon) {
    let mut configs = daemon.configs();
    let mut troubles = daemon.vitals().watch();
    loop {
        let heartbeat = configs.borrow_and_update().heartbeat.clone();
        select! {
            changed = configs.changed() => if changed.is_err() { return },
            () = beat_as(&daemon, heartbeat.as_ref(), &mut troubles) => {}
        }
    }
}

async fn beat_as(daemon: &Daemon, heartbeat: Option<&Heartbeat>, troubles: &mut watch::Receiver<Vec<Trouble>>) {
    let Some(heartbeat) = heartbeat else {
        daemon.vitals().noticed().unheard = None; // it may have been asked for before
        return std::future::pending().await;
    };
    let outbound = Outbound::new(BEAT_MAX);
    let secrets = Secrets::default();
    loop {
        let reasons = reasons(&troubles.borrow_and_update());
        let head = daemon.vitals().noticed().head.as_ref().map(ToString::to_string);
        let clock = daemon.ports().clock.clone();
        // A receiver that hangs does not hold up the next beat.
        let mut next = clock.sleep(heartbeat.every);
        let answered = before(&mut next, send(&outbound, heartbeat, &secrets, &reasons, head)).await;
        let is_due = answered.is_none();
        let sent = answered.unwrap_or_else(|| Err("it was not answered before the next one was due".to_owned()));
        if sent.is_err() && AGAIN < heartbeat.every && !is_due {
            next = clock.sleep(AGAIN);
        }
        note(daemon, reasons.is_empty(), sent);
        if is_due {
            continue;
        }
        select! {
            () = next => {}
            () = turned(troubles, reasons.is_empty()) => {}
        }
    }
}

/// What came of the sending; None: the next beat is due before.
async fn before<T>(next: &mut (impl Future<Output = ()> + Unpin), sending: impl Future<Output = T>) -> Option<T> {
    select! {
        biased;
        sent = sending => Some(sent),
        () = next => None,
    }
}

/// Why there is no beat that all is well; empty when there is one.
fn reasons(troubles: &[Trouble]) -> Vec<String> {
    troubles.iter().filter(|trouble| trouble.weight == Weight::Stopped).map(ToString::to_string).collect()
}

/// Waits until what was well is not, or the other way round.
async fn turned(troubles: &mut watch::Receiver<Vec<Trouble>>, was_well: bool) {
    while troubles.changed().await.is_ok() {
        if reasons(&troubles.borrow_and_update()).is_empty() != was_well {
            return;
        }
    }
    std::future::pending().await
}

async fn send(
    outbound: &Outbound,
    heartbeat: &Heartbeat,
    secrets: &Secrets,
    reasons: &[String],
    head: Option<String>,
) -> Result<(), String> {
    let mut url = heartbeat.target(secrets).await?;
    let mut body = match reasons {
        [] => json!({ "status": "ok" }),
        reasons => {
            if let Ok(mut path) = url.path_segments_mut() {
                path.pop_if_empty().push("fail");
            }
            json!({ "status": "fail", "reasons": reasons })
        }
    };
    // Right after the start the journal has not been read yet.
    if let Some(head) = head {
        body["journal_head"] = head.into();
    }
    let client = outbound.client(&url).await.map_err(|error| format!("TLS could not be set up: {}", chain(&error)))?;
    post(client, url, &body).await
}

async fn post(client: &Client, url: Url, body: &Value) -> Result<(), String> {
    let request = client.post(url).header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.map_err(|error| chain(&error.without_url()))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("it was answered with {status}")),
    }
}

/// Only the turns are logged.
fn note(daemon: &Daemon, well: bool, sent: Result<(), String>) {
    let now = daemon.ports().clock.now();
    daemon.metrics().beat(match (&sent, well) {
        (Ok(()), true) => "ok",
        (Ok(()), false) => "fail",
        (Err(_), _) => "undelivered",
    });
    let unheard = &mut daemon.vitals().noticed().unheard;
    match sent {
        Ok(()) => {
            if let Some((since, _)) = unheard.take() {
                tracing::info!(%since, "the heartbeat arrives again");
            }
        }
        Err(why) => {
            let why = format!("the heartbeat does not arrive: {why}");
            if unheard.is_none() {
                tracing::warn!("{why}; nobody outside would notice if Belay died");
            }
            let since = unheard.take().map_or(now, |(since, _)| since);
            *unheard = Some((since, why));
        }
    }
}

/// With what caused it: the outermost error alone says little.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_receiver_that_hangs_does_not_hold_up_the_next_beat() {
        assert_eq!(before(&mut ready(()), pending::<u8>()).await, None);
        assert_eq!(before(&mut pending(), ready(1)).await, Some(1));
    }
}
