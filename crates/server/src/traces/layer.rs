//! The spans of the code (a look, a send, a call to AWS), as far as they belong to a run: a span without a parent joins the
//! trace of the run that it names in its fields; what belongs to none (the sweeps of the watch) is not exported.

use std::fmt;

use jiff::Timestamp;
use opentelemetry::{
    KeyValue,
    trace::{SpanId, SpanKind, Status, TraceId},
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{Made, Traces, ids};

/// A span under way.
struct UnderWay {
    trace: TraceId,
    id: SpanId,
    parent: SpanId,
    start: Timestamp,
    fields: Fields,
}

/// What is told of a span by its fields. Those that begin with `otel.` say how it is shown.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    is_client: bool,
    is_error: bool,
    run: Option<String>,
    incident: Option<String>,
    step: Option<String>,
    step_began: Option<Timestamp>,
    attributes: Vec<KeyValue>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel.name" => self.name = Some(value.to_owned()),
            "otel.kind" => self.is_client = value == "client",
            "otel.status_code" => self.is_error = value == "ERROR",
            "otel.step_began" => self.step_began = value.parse().ok(),
            name => {
                match name {
                    "run" => self.run = Some(value.to_owned()),
                    "incident" => self.incident = Some(value.to_owned()),
                    "step" => self.step = Some(value.to_owned()),
                    _ => {}
                }
                self.attributes.push(KeyValue::new(name, value.to_owned()));
            }
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Fields {
    /// The trace that they name, and the span in it under which theirs belongs.
    fn place(&self) -> Option<(TraceId, SpanId)> {
        let run = self.run.as_deref()?;
        let step = self.step.as_deref().zip(self.step_began);
        let parent = step.map_or_else(|| ids::run(run), |(step, began)| ids::step(run, step, began));
        Some((ids::trace(self.incident.as_deref(), Some(run)), parent))
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let (Some(now), Some(span)) = (self.now(), context.span(id)) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let above = span
            .parent()
            .and_then(|parent| parent.extensions().get::<UnderWay>().map(|parent| (parent.trace, parent.id)));
        let Some((trace, parent)) = above.or_else(|| fields.place()) else { return };
        let id = RandomIdGenerator::default().new_span_id();
        span.extensions_mut().insert(UnderWay { trace, id, parent, start: now, fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(span) = span.extensions_mut().get_mut::<UnderWay>() {
            values.record(&mut span.fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let (Some(now), Some(span)) = (self.now(), context.span(&id)) else { return };
        let Some(UnderWay { trace, id, parent, start, fields }) = span.extensions_mut().remove() else { return };
        self.send(Made {
            trace,
            id: Some(id),
            parent,
            name: fields.name.map_or(span.name().into(), Into::into),
            kind: if fields.is_client { SpanKind::Client } else { SpanKind::Internal },
            start: start.into(),
            end: now.into(),
            attributes: fields.attributes,
            status: if fields.is_error { Status::error("") } else { Status::Unset },
        });
    }
}
