//! What the sensors share.

use std::{future::Future, time::Duration};

use belay_aws_catalogue::cloudwatch::Missing;
use belay_core::reading::{Health, Reading};
use belay_ports::{Clock, Query, ReadError, sensor::READ_TIME_MAX};
use jiff::Timestamp;

use crate::place;

/// What a signal was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// AWS answered.
    Read { health: Health, evidence: String, permanent: bool },
    /// AWS did not: its health is unknown.
    Unreadable(ReadError),
}

impl Finding {
    pub(crate) fn new(health: Health, evidence: impl Into<String>) -> Self {
        Self::Read { health, evidence: evidence.into(), permanent: false }
    }

    pub(crate) fn unknown(evidence: impl Into<String>) -> Self {
        Self::new(Health::Unknown, evidence)
    }

    /// Another reading finds the same, until a person changes the plan or AWS: what the signal names does not exist.
    pub(crate) fn for_good(self) -> Self {
        match self {
            Self::Read { health, evidence, .. } => Self::Read { health, evidence, permanent: true },
            Self::Unreadable(error) => Self::Unreadable(ReadError { permanent: true, ..error }),
        }
    }

    /// The signal's entry is not what this build takes.
    pub(crate) fn not_understood(error: &serde_json::Error) -> Self {
        Self::unknown(format!("the signal cannot be understood: {error}")).for_good()
    }

    /// `service`: the source within the account and region. What fails in one place fails together.
    pub(crate) fn reading(self, query: &Query, taken: Timestamp, service: &str) -> Reading {
        let (health, evidence, unreadable, permanent) = match self {
            Self::Read { health, evidence, permanent } => (health, evidence, false, permanent),
            Self::Unreadable(error) => (Health::Unknown, error.why, true, error.permanent),
        };
        let source = format!("{service} {}", place::name(&query.aws));
        Reading { signal: query.signal.clone(), taken, health, evidence, source, unreadable, permanent, measured: None }
    }
}

/// As what missing data counts.
pub(crate) fn of_missing(missing: Missing) -> Health {
    match missing {
        Missing::Unknown => Health::Unknown,
        Missing::Healthy => Health::Healthy,
        Missing::Unhealthy => Health::Unhealthy,
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
    pub(crate) async fn bound<T>(&self, work: impl Future<Output = Result<T, ReadError>>) -> Result<T, ReadError> {
        let left = self.at.saturating_sub(self.clock.monotonic());
        tokio::select! {
            biased;
            result = work => result,
            () = self.clock.sleep(left) => {
                Err(ReadError { why: format!("no answer within {} s", self.time.as_secs()), permanent: false })
            }
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
        assert_eq!(late, Err(ReadError { why: "no answer within 10 s".to_owned(), permanent: false }));
    }

    #[tokio::test]
    async fn work_that_is_done_counts() {
        let clock = Still { wakes: false };
        let deadline = Deadline::start(&clock);
        assert_eq!(deadline.bound(async { Ok(7) }).await, Ok(7));
        let no = ReadError { why: "no".to_owned(), permanent: true };
        assert_eq!(deadline.bound::<()>(async { Err(no.clone()) }).await, Err(no));
    }
}
