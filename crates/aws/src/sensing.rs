//! What the sensors share.

use std::{future::Future, time::Duration};

use belay_core::reading::{Health, Reading};
use belay_ports::{Clock, Query, ReadError, sensor::READ_TIME_MAX};
use jiff::Timestamp;
use serde::Deserialize;

use crate::place;

/// What a signal was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// AWS answered.
    Read { health: Health, evidence: String },
    /// AWS did not: its health is unknown.
    Unreadable { why: String },
}

impl Finding {
    pub(crate) fn new(health: Health, evidence: impl Into<String>) -> Self {
        Self::Read { health, evidence: evidence.into() }
    }

    pub(crate) fn unknown(evidence: impl Into<String>) -> Self {
        Self::new(Health::Unknown, evidence)
    }

    /// `service`: the source within the account and region. What fails in one place fails together.
    pub(crate) fn reading(self, query: &Query, taken: Timestamp, service: &str) -> Reading {
        let (health, evidence, unreadable) = match self {
            Self::Read { health, evidence } => (health, evidence, false),
            Self::Unreadable { why } => (Health::Unknown, why, true),
        };
        let source = format!("{service} {}", place::name(&query.aws));
        Reading { signal: query.signal.clone(), taken, health, evidence, source, unreadable, permanent: false }
    }
}

/// What a plan wants missing data to read as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Missing {
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
}

impl Missing {
    pub(crate) fn health(self) -> Health {
        match self {
            Self::Unknown => Health::Unknown,
            Self::Healthy => Health::Healthy,
            Self::Unhealthy => Health::Unhealthy,
        }
    }
}

/// The end of one read of a sensor, common to all its calls.
pub(crate) struct Deadline<'a> {
    clock: &'a dyn Clock,
    time: Duration,
    /// On the monotonic clock.
    at: Duration,
}

impl<'a> Deadline<'a> {
    pub(crate) fn start(clock: &'a dyn Clock) -> Self {
        Self::within(clock, READ_TIME_MAX)
    }

    pub(crate) fn within(clock: &'a dyn Clock, time: Duration) -> Self {
        Self { clock, time, at: clock.monotonic() + time }
    }

    /// The result of some work, or why there is none: it failed, or the time is up.
    pub(crate) async fn bound<T>(&self, work: impl Future<Output = Result<T, ReadError>>) -> Result<T, String> {
        let left = self.at.saturating_sub(self.clock.monotonic());
        tokio::select! {
            biased;
            result = work => result.map_err(|error| error.why),
            () = self.clock.sleep(left) => Err(format!("no answer within {} s", self.time.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::testing::Still;

    #[tokio::test]
    async fn a_sensor_does_not_wait_for_ever() {
        let late = Deadline::start(&Still { wakes: true }).bound(pending::<Result<(), ReadError>>()).await;
        assert_eq!(late, Err("no answer within 10 s".to_owned()));
    }

    #[tokio::test]
    async fn work_that_is_done_counts() {
        let clock = Still { wakes: false };
        let deadline = Deadline::start(&clock);
        assert_eq!(deadline.bound(async { Ok(7) }).await, Ok(7));
        let failed = deadline.bound::<()>(async { Err(ReadError { why: "no".to_owned(), permanent: false }) }).await;
        assert_eq!(failed, Err("no".to_owned()));
    }
}
