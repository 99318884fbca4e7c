//! What a probe found, and the time it had for it.

use std::{future::Future, time::Duration};

use belay_core::reading::{Health, Reading};
use belay_plan::{catalogue::Finding, duration};
use belay_ports::{Clock, Fut, sensor::Query};
use futures::future::{Either, join_all, select};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One for all probes: if this host has lost its network, they turn unknown together.
const SOURCE: &str = "network of this host";

/// What one probe of one target found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Healthy(String),
    Unhealthy(String),
    /// The service was asked, and its answer decides nothing.
    Undecided(String),
    /// The service could not be asked.
    Unreadable(String),
}

impl Outcome {
    fn reading(self, signal: &str, taken: Timestamp) -> Reading {
        let (health, unreadable, evidence) = match self {
            Self::Healthy(evidence) => (Health::Healthy, false, evidence),
            Self::Unhealthy(evidence) => (Health::Unhealthy, false, evidence),
            Self::Undecided(evidence) => (Health::Unknown, false, evidence),
            Self::Unreadable(evidence) => (Health::Unknown, true, evidence),
        };
        Reading {
            signal: signal.to_owned(),
            taken,
            health,
            evidence,
            source: SOURCE.to_owned(),
            unreadable,
            permanent: false,
        }
    }
}

/// Probes for all queries at once. `probe` gets what the plan says under the signal's key.
pub(crate) async fn read_all<S, F>(
    clock: &dyn Clock,
    queries: &[Query],
    key: &str,
    probe: impl Fn(S) -> F,
) -> Vec<Reading>
where
    S: DeserializeOwned,
    F: Future<Output = Outcome>,
{
    join_all(queries.iter().map(|query| {
        let taken = clock.now();
        let asked = S::deserialize(&query.spec[key]).map(&probe);
        async move {
            let outcome = match asked {
                Ok(probing) => probing.await,
                Err(error) => Outcome::Unreadable(format!("the signal's `{key}` cannot be understood: {error}")),
            };
            outcome.reading(&query.signal, taken)
        }
    }))
    .await
}

/// The longest time that a sensor may take ([`belay_ports::Sensor::read`]).
const TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// For the specs of probes with a `timeout`.
pub(crate) fn check_timeout(spec: &Value, key: &str) -> Vec<Finding> {
    let timeout = spec[key]["timeout"].as_str().and_then(|text| duration::parse(text).ok());
    match timeout {
        Some(timeout) if timeout.is_zero() || timeout > TIMEOUT_MAX => {
            vec![Finding::new(format!("/{key}/timeout"), "the time-out of a probe is more than 0s and at most 10s")]
        }
        _ => Vec::new(),
    }
}

/// A limit of time for several operations in a row.
pub(crate) struct Deadline<'a> {
    limit: Duration,
    end: Fut<'a, ()>,
}

impl<'a> Deadline<'a> {
    pub(crate) fn new(clock: &'a dyn Clock, limit: Duration) -> Self {
        Self { limit, end: clock.sleep(limit) }
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// None when the time has run out first.
    pub(crate) async fn run<T>(&mut self, operation: impl Future<Output = T>) -> Option<T> {
        match select(std::pin::pin!(operation), &mut self.end).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(((), _)) => None,
        }
    }
}

/// An error with the reasons behind it: "connection error: Connection refused (os error 111)".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Many errors repeat their cause in their own text.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
