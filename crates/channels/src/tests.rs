//! Channels against receivers that the tests start.

mod email;
mod http;
mod pagerduty;
mod receiver;
mod slack;
mod statuspage;
mod teams;
mod tls;
mod webhook;
mod wording;

use std::{fs, sync::Arc, time::Duration};

use belay_local::permit::Gate;
use belay_plan::notify::{Channel as ChannelEntry, NoticeKind, Notify};
use belay_ports::{ChannelFault, Channels as _, Clock, Fut, NotSent, Notice, Usable};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Channels, samples};

/// A clock that stands. Those who sleep no longer than the test says wake at once, all others never.
#[derive(Default)]
struct Still {
    wakes_up_to: Duration,
}

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-03-01T02:11:00Z".parse().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, duration: Duration) -> Fut<'_, ()> {
        if duration <= self.wakes_up_to { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) }
    }
}

/// One channel of a plan, and secrets in files.
struct Team {
    folder: TempDir,
    channels: Channels,
    kind: &'static str,
    spec: Value,
    zone: Option<&'static str>,
}

impl Team {
    /// `spec` gets the folder of the secrets.
    fn new(kind: &'static str, secrets: &[(&str, &str)], spec: impl Fn(&dyn Fn(&str) -> String) -> Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, secret) in secrets {
            fs::write(folder.path().join(name), secret).unwrap();
        }
        let reference = |name: &str| format!("file:{}", folder.path().join(name).display());
        let spec = spec(&reference);
        let channels = Channels::new(Arc::new(Still::default()), Gate::default());
        Self { folder, channels, kind, spec, zone: None }
    }

    fn notify(&self) -> Notify {
        let channel = ChannelEntry {
            kind: self.kind.to_owned(),
            spec: self.spec.clone(),
            aws: Default::default(),
            events: NoticeKind::ALL.to_vec(),
            customer_facing: false,
            within: None,
            after: None,
            every: None,
        };
        let mut notify = Notify { timezone: self.zone.map(ToOwned::to_owned), ..Notify::default() };
        notify.channels.insert("team".to_owned(), channel);
        notify
    }

    /// A sample of a kind, with the key that the engine would give it.
    fn notice(&self, kind: NoticeKind, sample: usize) -> Notice {
        let notice = samples::notice(samples::all(kind).remove(sample).facts, self.kind);
        Notice { channel: "team".to_owned(), notify: Arc::new(self.notify()), ..notice }
    }

    async fn send(&self, notice: &Notice) -> Result<String, NotSent> {
        self.channels.channel(self.kind).unwrap().send(notice).await
    }

    async fn tell(&self, kind: NoticeKind) -> Result<String, NotSent> {
        self.send(&self.notice(kind, 0)).await
    }

    async fn usable(&self) -> Result<Usable, Vec<ChannelFault>> {
        let notify = self.notify();
        self.channels.channel(self.kind).unwrap().usable(&notify, &"team".to_owned()).await
    }
}

#[test]
fn there_is_something_behind_every_spec() {
    let channels = Channels::new(Arc::new(Still::default()), Gate::default());
    for spec in Channels::specs() {
        assert!(channels.channel(spec.key).is_some(), "{}", spec.key);
    }
    assert!(channels.channel("sns").is_none());
}

#[test]
fn a_preview_shows_the_text_and_what_is_wrong_with_it() {
    let team = Team::new("slack", &[], |_| serde_json::json!({}));
    let channel = team.channels.channel("slack").unwrap();
    let mut notice = team.notice(NoticeKind::Recovered, 0);
    notice.test = true;
    let preview = channel.preview(&notice).unwrap();
    assert!(
        preview.starts_with("TEST: checkout-cutover: the incident is over, the signals have recovered\n\n"),
        "{preview}"
    );
    let mut notify = team.notify();
    let texts = notify.texts.entry(NoticeKind::Recovered).or_default();
    texts.insert("slack".to_owned(), "Well\n\n{{ nobody }}\n".to_owned());
    notice.notify = notify.into();
    assert_eq!(channel.preview(&notice), Err("line 3: undefined value: `nobody` is undefined".to_owned()));
}
