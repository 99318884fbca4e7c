//! Traces: one for each incident with its run, from the trigger to each call to AWS, sent to a collector by OTLP.
//!
//! A run takes hours, and the daemon may start anew in the middle of it. So no span is held open: what is on record
//! becomes a span when it ends (`records`), under ids that derive from those on record (`ids`); what the code does for it is
//! a short span beneath (`layer`).

mod export;
mod ids;
mod layer;
mod records;

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use belay_ports::Clock;
use jiff::Timestamp;
use opentelemetry::{
    KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};

use crate::metrics::Metrics;
use export::Sink;

/// The environment's words for the collector, as every program with OpenTelemetry knows them.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Both a layer of the subscriber and an observer of the engines. Until [`Traces::start`] it does nothing. Clones share it.
#[derive(Clone, Default)]
pub struct Traces(Arc<OnceLock<On>>);

struct On {
    sink: Sink,
    clock: Arc<dyn Clock>,
}

/// A span that has ended.
struct Made {
    trace: TraceId,
    /// None: any.
    id: Option<SpanId>,
    parent: SpanId,
    name: Cow<'static, str>,
    kind: SpanKind,
    start: SystemTime,
    end: SystemTime,
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Traces {
    /// Begins to send, if a collector is named: by `endpoint` (`http://127.0.0.1:4318`), or else by the environment. On a
    /// tokio runtime. Answers whether it does; once it does it goes on with that.
    ///
    /// # Errors
    /// What is wrong with the endpoint or the environment's settings.
    pub fn start(
        &self,
        endpoint: Option<&str>,
        version: &str,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<bool, String> {
        if self.is_on() {
            return Ok(true);
        }
        let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if endpoint.is_none() && !ENDPOINTS.into_iter().any(named) {
            return Ok(false);
        }
        let sink = Sink::open(endpoint, version, metrics.spans())?;
        Ok(self.0.set(On { sink, clock }).is_ok())
    }

    /// Sends what is left, for at most this long. Blocks.
    pub fn close(&self, within: Duration) {
        if let Some(on) = self.0.get() {
            on.sink.close(within);
        }
    }

    /// Whether spans are sent.
    pub(crate) fn is_on(&self) -> bool {
        self.0.get().is_some()
    }

    fn now(&self) -> Option<Timestamp> {
        self.0.get().map(|on| on.clock.now())
    }

    fn send(&self, made: Made) {
        let Some(on) = self.0.get() else { return };
        let id = made.id.unwrap_or_else(|| RandomIdGenerator::default().new_span_id());
        on.sink.send(SpanData {
            span_context: SpanContext::new(made.trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: made.parent,
            parent_span_is_remote: false,
            span_kind: made.kind,
            name: made.name,
            start_time: made.start,
            end_time: made.end,
            attributes: made.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: made.status,
            instrumentation_scope: on.sink.scope.clone(),
        });
    }
}
