//! What has become of notices, channel by channel.

use std::collections::BTreeMap;

use belay_core::notice::GivenUp;
use belay_plan::{model::Name, notify::NoticeKind};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::handle::Snapshot;

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChannelView {
    /// As the plan calls it: `slack`.
    pub kind: String,
    pub sent: u64,
    /// Given up.
    pub failed: u64,
    /// Due, and not sent yet.
    pub waiting: usize,
    /// Of those, how many should have been sent by now.
    pub late: usize,
    pub last_sent: Option<Timestamp>,
    /// Nothing has got through since then.
    pub failing_since: Option<Timestamp>,
    pub why: Option<String>,
    /// By the last check of the readiness nothing could be sent through it: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// Since the migration was armed: what these people were to be told, and will not be.
    pub given_up: Option<GivenUpView>,
    /// The same of notices that some of their recipients got, and others not: `why` lists these.
    pub refused: Option<GivenUpView>,
    /// When people are told next how the incident goes on.
    pub next_update: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GivenUpView {
    pub count: u64,
    /// Of the last one, as `why` and `about` are.
    pub at: Timestamp,
    pub about: NoticeKind,
    pub why: String,
}

impl From<GivenUp> for GivenUpView {
    fn from(GivenUp { count, at, about, why }: GivenUp) -> Self {
        Self { count, at, about, why }
    }
}

pub(super) fn channels(snapshot: &Snapshot) -> IndexMap<Name, ChannelView> {
    let state = snapshot.state.as_ref();
    let unusable: BTreeMap<&str, &str> = snapshot.unusable_channels().collect();
    let outbox = &state.outbox;
    let planned = state.plan.iter().flat_map(|plan| &plan.notify.channels);
    let view = |(name, channel): (&Name, &belay_plan::notify::Channel)| {
        let known = outbox.channels.get(name).cloned().unwrap_or_default();
        let waiting = outbox.waiting.values().filter(|waiting| waiting.channel == *name);
        let rung = outbox.rungs.get(name).filter(|_| state.incident.is_some());
        let (failing_since, why) = known.failing.unzip();
        let view = ChannelView {
            kind: channel.kind.clone(),
            sent: known.sent,
            failed: known.failed,
            waiting: waiting.clone().count(),
            late: waiting.filter(|waiting| waiting.late).count(),
            last_sent: known.last_sent,
            failing_since,
            why,
            unusable: unusable.get(name.as_str()).map(|why| (*why).to_owned()),
            given_up: known.given_up.map(GivenUpView::from),
            refused: known.refused.map(GivenUpView::from),
            next_update: rung.and_then(|rung| rung.next),
        };
        (name.clone(), view)
    };
    planned.map(view).collect()
}
