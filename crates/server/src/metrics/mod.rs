//! Metrics for Prometheus: `work` counts what happens, `present` shows what is so, `table` has the name of each.
//!
//! Every label takes its values from a plan, from the router or from a fixed list, never from a request, an id or a text
//! of AWS: the number of series is bounded.

mod known;
mod present;
mod process;
pub mod table;
mod work;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use belay_core::{event::Record, migration::Migration, reading::Reading};
use belay_engine::{Sampler, Snapshot};
use belay_plan::model::Plan;
use belay_ports::{Call, Observer};
use jiff::Timestamp;
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use serde::Serialize;

use work::Work;

type Labels<const N: usize> = [(&'static str, String); N];
type SecondsGauge = Gauge<f64, AtomicU64>;
type SecondsCounter = Counter<f64, AtomicU64>;

/// Everything that is counted. Clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    work: Work,
}

/// The two texts that Prometheus reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Plain,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Metrics {
    pub fn new(version: &str, started: Timestamp) -> Self {
        let mut registry = Registry::default();
        let work = Work::new(&mut registry, version, started);
        Self(Arc::new(Inner { registry, work }))
    }

    /// A migration with this plan is guarded from now on.
    pub(crate) fn expect(&self, plan: &Plan) {
        self.0.work.expect(plan);
    }

    /// Something has panicked.
    pub fn panicked(&self) {
        self.0.work.panics.inc();
    }

    /// Lines of the log have not been written.
    pub fn lost_log_lines(&self, lines: u64) {
        self.0.work.lost_log_lines.inc_by(lines);
    }

    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, time: Duration) {
        self.0.work.answered(route, method, status, time);
    }

    /// `outcome`: `ok` and `fail` have arrived.
    pub(crate) fn beat(&self, outcome: &str) {
        self.0.work.beats.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    }

    pub(crate) fn spans(&self) -> SpanCounts {
        SpanCounts(self.0.work.spans.clone())
    }

    /// Counts a client that follows the events for as long as it is kept.
    pub(crate) fn reader(&self) -> Reader {
        self.0.work.readers.inc();
        Reader(self.0.work.readers.clone())
    }

    /// Everything as text.
    pub(crate) fn text<'s>(
        &self,
        format: Format,
        snapshots: impl IntoIterator<Item = &'s Snapshot>,
        sampler: &Sampler,
        now: Timestamp,
    ) -> String {
        let present = present::registry(snapshots, sampler, now);
        let mut text = String::new();
        for registry in [&present, &self.0.registry, &process::registry()] {
            encode_registry(&mut text, registry).expect("writing to a String does not fail");
        }
        match format {
            Format::OpenMetrics => encode_eof(&mut text).expect("writing to a String does not fail"),
            Format::Plain => text = plain(&text),
        }
        text
    }
}

/// Counts spans on their way to the collector.
#[derive(Debug, Clone)]
pub(crate) struct SpanCounts(Family<Labels<1>, Counter>);

impl SpanCounts {
    pub(crate) fn made(&self) {
        self.count("made", 1);
    }

    pub(crate) fn sent(&self, spans: usize) {
        self.count("sent", spans);
    }

    pub(crate) fn failed(&self, spans: usize) {
        self.count("failed", spans);
    }

    fn count(&self, outcome: &str, spans: usize) {
        self.0.get_or_create(&[("outcome", outcome.to_owned())]).inc_by(spans as u64);
    }
}

/// A client that follows the events.
pub(crate) struct Reader(Gauge);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The older text names the type of a counter as its samples are named, with `_total`.
fn plain(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let is_counter = |line: &str| line.starts_with("# TYPE ") && line.ends_with(" counter");
        let counter =
            is_counter(line) || lines.peek().is_some_and(|next| line.starts_with("# HELP ") && is_counter(next));
        match line.splitn(4, ' ').collect::<Vec<_>>().as_slice() {
            ["#", word, name, rest] if counter => text.extend(["# ", word, " ", name, "_total ", rest, "\n"]),
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

impl Observer for Metrics {
    fn recorded(&self, records: &[Record], state: &Migration) {
        self.0.work.recorded(records, state);
    }

    fn appended(&self, time: Duration, taken: bool) {
        self.0.work.appended(time, taken);
    }

    fn read(&self, kind: &str, at: Timestamp, time: Duration, readings: &[Reading]) {
        self.0.work.read(kind, at, time, readings);
    }

    fn called(&self, call: &Call<'_>) {
        self.0.work.called(call);
    }

    fn waited(&self, service: &str, time: Duration) {
        self.0.work.waited(service, time);
    }
}

/// The word by which the JSON of a value names it.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
