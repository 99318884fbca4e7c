//! A way to reach people: Slack, e-mail, a pager.

use std::{sync::Arc, time::Duration};

pub use belay_core::input::{NotSent, Retry};
use belay_core::notice::Facts;
use belay_plan::{model::Name, notify::Notify};
use jiff::Timestamp;

use crate::{Fut, Permission};

/// The longest that one try to send takes.
pub const SEND_TIME_MAX: Duration = Duration::from_secs(30);

/// A receiver that is being set up, a key that is being replaced or a role that gets a permission refuses what it takes a few minutes
/// later: the next try comes after this.
pub const REFUSED_WAIT: Duration = Duration::from_secs(60);

/// One notice for one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The same for each try, and different from all others: channels that know a key drop what they have had.
    pub key: String,
    /// The channel's name in the plan.
    pub channel: Name,
    pub facts: Facts,
    /// What the plan says of channels, texts and time zone.
    pub notify: Arc<Notify>,
    /// When the run is expected to be over, by what its steps took in drills or usually take.
    pub expected_end: Option<Timestamp>,
    /// When this channel is told next, if the incident lasts.
    pub next_update: Option<Timestamp>,
    /// Where to look: "https://belay.example.com/" or "belay status checkout".
    pub page: String,
    /// A person tries the channel; nothing has happened.
    pub test: bool,
}

/// Sends notices through channels of one kind.
pub trait Channel: Send + Sync {
    /// One try. It answers within [`SEND_TIME_MAX`]; what it answers is for the record: "200", "250 queued as 4F2".
    fn send<'a>(&'a self, notice: &'a Notice) -> Fut<'a, Result<String, NotSent>>;

    /// What the notice would say, for people to read before the night; it sends nothing.
    ///
    /// # Errors
    /// The text of the plan cannot be rendered: why, with its line.
    fn preview(&self, notice: &Notice) -> Result<String, String>;

    fn permissions(&self, notify: &Notify, channel: &str) -> Vec<Permission>;

    /// Whether the channel could be used now: its secrets can be read, its address is one and is permitted, and what it leads to is
    /// there, as far as that can be asked. It sends nothing.
    ///
    /// # Errors
    /// Everything that is missing or wrong.
    fn usable<'a>(&'a self, notify: &'a Notify, channel: &'a Name) -> Fut<'a, Result<Usable, Vec<ChannelFault>>>;
}

/// Why a channel cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFault {
    /// Which part of the channel's entry is at fault, as a JSON pointer from the entry on: `/email/smtp`.
    pub pointer: String,
    /// In words that show nothing of a secret.
    pub why: String,
}

impl ChannelFault {
    pub fn new(pointer: impl Into<String>, why: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), why: why.into() }
    }
}

/// What is known of a channel that could be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usable {
    /// What it leads to is there.
    Exists,
    /// Only a notice shows whether what it leads to is there.
    Unasked,
    /// It was asked whether what it leads to is there, and that could not be found out: why.
    Unknown(String),
}

/// Finds the channel of a kind.
pub trait Channels: Send + Sync {
    fn channel(&self, kind: &str) -> Option<Arc<dyn Channel>>;
}

/// Nobody can be told.
impl Channels for () {
    fn channel(&self, _kind: &str) -> Option<Arc<dyn Channel>> {
        None
    }
}

/// A notice in plain text, for channels that know no markup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainText {
    /// One line.
    pub title: String,
    pub body: String,
}

/// Puts notices into words.
pub trait Texts: Send + Sync {
    /// For a channel of a kind: the plan's own text, or the built-in one.
    ///
    /// # Errors
    /// The text of the plan cannot be rendered: why, with its line.
    fn plain(&self, kind: &str, notice: &Notice) -> Result<PlainText, String>;

    /// The same, with the built-in text in the place of one that cannot be rendered: a notice goes out in any case.
    fn plain_or_built_in(&self, kind: &str, notice: &Notice) -> PlainText;

    /// The notice for machines: its facts, with the text beside them.
    fn data(&self, notice: &Notice, text: &PlainText) -> serde_json::Value;
}
