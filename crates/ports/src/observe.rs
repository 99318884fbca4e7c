//! Who watches Belay at work: metrics and traces.
//!
//! Nothing waits for an observer and nothing depends on one: what it is told must cost it little, and it cannot fail.

use std::time::Duration;

use belay_core::{event::Record, migration::Migration, reading::Reading};
use jiff::Timestamp;

pub trait Observer: Send + Sync {
    /// These records of one migration are durable; `state` is what they have come to.
    fn recorded(&self, _records: &[Record], _state: &Migration) {}

    /// The journal has answered an append after `time`; `taken`: the records are durable.
    fn appended(&self, _time: Duration, _taken: bool) {}

    /// A read of signals of one kind has come back at `at`, after `time`.
    fn read(&self, _kind: &str, _at: Timestamp, _time: Duration, _readings: &[Reading]) {}

    /// One attempt of a call to AWS is over.
    fn called(&self, _call: &Call<'_>) {}

    /// A call has waited for Belay's own share of an API's quota. `service` as AWS names it: "Route 53".
    fn waited(&self, _service: &str, _time: Duration) {}
}

/// Nobody watches.
impl Observer for () {}

/// Two watch. Nest it for more.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn recorded(&self, records: &[Record], state: &Migration) {
        self.0.recorded(records, state);
        self.1.recorded(records, state);
    }

    fn appended(&self, time: Duration, taken: bool) {
        self.0.appended(time, taken);
        self.1.appended(time, taken);
    }

    fn read(&self, kind: &str, at: Timestamp, time: Duration, readings: &[Reading]) {
        self.0.read(kind, at, time, readings);
        self.1.read(kind, at, time, readings);
    }

    fn called(&self, call: &Call<'_>) {
        self.0.called(call);
        self.1.called(call);
    }

    fn waited(&self, service: &str, time: Duration) {
        self.0.waited(service, time);
        self.1.waited(service, time);
    }
}

impl<T: Observer + ?Sized> Observer for std::sync::Arc<T> {
    fn recorded(&self, records: &[Record], state: &Migration) {
        (**self).recorded(records, state);
    }

    fn appended(&self, time: Duration, taken: bool) {
        (**self).appended(time, taken);
    }

    fn read(&self, kind: &str, at: Timestamp, time: Duration, readings: &[Reading]) {
        (**self).read(kind, at, time, readings);
    }

    fn called(&self, call: &Call<'_>) {
        (**self).called(call);
    }

    fn waited(&self, service: &str, time: Duration) {
        (**self).waited(service, time);
    }
}

/// One attempt of one call to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    /// As AWS names it: "Route 53".
    pub service: &'a str,
    /// "ChangeResourceRecordSets"
    pub operation: &'a str,
    pub outcome: CallOutcome,
    pub time: Duration,
    /// What throttling has cost: the pause before this attempt after a throttled one, and the attempt itself if it was
    /// throttled too.
    pub throttled: Duration,
}

/// What has become of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    Ok,
    /// AWS said no.
    Refused,
    /// AWS asked for fewer calls.
    Throttled,
    /// AWS failed: 5xx.
    ServerError,
    /// No connection, no credentials, or no answer in time.
    NoAnswer,
    /// Nobody waited for the answer any more.
    Abandoned,
}

impl CallOutcome {
    /// As metrics, logs and traces say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::NoAnswer => "no_answer",
            Self::Abandoned => "abandoned",
        }
    }
}
