//! What a probe found, and the time it had for it.

use std::{future::Future, time::Duration};

use belay_core::reading::{Health, Measured, Reading};
use belay_local::mask::masked_parts;
use belay_plan::{catalogue::Finding, comparison::Comparison, duration};
use belay_ports::{Clock, Fut, sensor::Query};
use futures::future::{Either, join_all, select};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One for all probes: if this host has lost its network, they turn unknown together.
pub(crate) const SOURCE: &str = "network of this host";

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
    /// With what it is about before its evidence.
    pub(crate) fn of(self, what: &str) -> Self {
        match self {
            Self::Healthy(evidence) => Self::Healthy(format!("{what}{evidence}")),
            Self::Unhealthy(evidence) => Self::Unhealthy(format!("{what}{evidence}")),
            Self::Undecided(evidence) => Self::Undecided(format!("{what}{evidence}")),
            Self::Unreadable(evidence) => Self::Unreadable(format!("{what}{evidence}")),
        }
    }

    /// Without the secrets that the service was sent, which it may repeat.
    pub(crate) fn masked(self, secrets: &[String]) -> Self {
        if secrets.is_empty() {
            return self;
        }
        let masked = |evidence: String| masked_parts(&evidence, secrets);
        match self {
            Self::Healthy(evidence) => Self::Healthy(masked(evidence)),
            Self::Unhealthy(evidence) => Self::Unhealthy(masked(evidence)),
            Self::Undecided(evidence) => Self::Undecided(masked(evidence)),
            Self::Unreadable(evidence) => Self::Unreadable(masked(evidence)),
        }
    }

    /// With the number that it rests on.
    pub(crate) fn measured(self, value: f64, healthy: impl Into<Limit>) -> Probed {
        Probed { outcome: self, measured: Some((value, healthy.into())) }
    }
}

/// What a number is held against.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limit {
    /// As people read it: `< 0.5`.
    pub(crate) healthy: String,
    pub(crate) threshold: f64,
    pub(crate) unit: Option<&'static str>,
}

impl From<&Comparison> for Limit {
    fn from(comparison: &Comparison) -> Self {
        let unit = comparison.is_percent.then_some("%");
        Self { healthy: comparison.text.clone(), threshold: comparison.number(), unit }
    }
}

/// What one probe found, with the number that it rests on, where there is one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Probed {
    pub(crate) outcome: Outcome,
    measured: Option<(f64, Limit)>,
}

impl From<Outcome> for Probed {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, measured: None }
    }
}

impl Probed {
    /// As [`Outcome::masked`].
    pub(crate) fn masked(self, secrets: &[String]) -> Self {
        Self { outcome: self.outcome.masked(secrets), ..self }
    }

    fn reading(self, signal: &str, taken: Timestamp, source: String) -> Reading {
        let measured = self.measured.map(|(value, Limit { healthy, threshold, unit })| Measured {
            value,
            at: taken,
            healthy,
            threshold,
            unit: unit.map(str::to_owned),
        });
        let (health, unreadable, evidence) = match self.outcome {
            Outcome::Healthy(evidence) => (Health::Healthy, false, evidence),
            Outcome::Unhealthy(evidence) => (Health::Unhealthy, false, evidence),
            Outcome::Undecided(evidence) => (Health::Unknown, false, evidence),
            Outcome::Unreadable(evidence) => (Health::Unknown, true, evidence),
        };
        Reading { signal: signal.to_owned(), taken, health, evidence, source, unreadable, permanent: false, measured }
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
    F: Future<Output: Into<Probed>>,
{
    let spec = |query: &Query| S::deserialize(&query.spec[key]);
    read_each(clock, queries, key, spec, |_| SOURCE.to_owned(), probe).await
}

/// The same for signals whose whole entry matters, and which may have a source of their own. `probe` gets the signal's name.
pub(crate) async fn read_entries<S, F>(
    clock: &dyn Clock,
    queries: &[Query],
    key: &str,
    source: impl Fn(&Value) -> String,
    probe: impl Fn(String, S) -> F,
) -> Vec<Reading>
where
    S: DeserializeOwned,
    F: Future<Output: Into<Probed>>,
{
    let spec = |query: &Query| S::deserialize(&query.spec).map(|spec| (query.signal.clone(), spec));
    read_each(clock, queries, key, spec, source, |(signal, spec)| probe(signal, spec)).await
}

async fn read_each<S, F>(
    clock: &dyn Clock,
    queries: &[Query],
    key: &str,
    spec: impl Fn(&Query) -> serde_json::Result<S>,
    source: impl Fn(&Value) -> String,
    probe: impl Fn(S) -> F,
) -> Vec<Reading>
where
    F: Future<Output: Into<Probed>>,
{
    join_all(queries.iter().map(|query| {
        let taken = clock.now();
        let source = source(&query.spec);
        let asked = spec(query).map(&probe);
        async move {
            let probed: Probed = match asked {
                Ok(probing) => probing.await.into(),
                Err(error) => Outcome::Unreadable(format!("the signal's `{key}` cannot be understood: {error}")).into(),
            };
            probed.reading(&query.signal, taken, source)
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

/// Text of a service, as much of it as evidence shows.
pub(crate) fn bounded(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
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
