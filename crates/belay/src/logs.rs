//! Logs go to standard error; standard output belongs to the answer.

use std::fmt;

use belay_server::Traces;
use clap::ValueEnum;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Fields with this prefix say how a span is shown in a trace; they are no news for a reader of logs.
const OF_TRACES: &str = "otel.";

/// `usual`: what is logged when RUST_LOG says nothing. The traces see all spans, whatever is logged.
pub(crate) fn start(format: LogFormat, usual: &str, colour: bool, traces: Traces) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour);
    let logs = match format {
        LogFormat::Text => logs.with_target(false).with_filter(filter).boxed(),
        LogFormat::Json => logs.fmt_fields(JsonFields::new()).event_format(Flat).with_filter(filter).boxed(),
    };
    let traced = tracing_subscriber::filter::filter_fn(|metadata| {
        metadata.is_span() && metadata.target().starts_with("belay") && *metadata.level() <= tracing::Level::INFO
    });
    tracing_subscriber::registry().with(logs).with(traces.with_filter(traced)).init();
}

/// One flat JSON object a line: `timestamp`, `level`, `message`, `target`, then the fields of the spans around it and its
/// own. So each line has the ids of the migration, incident, run and step that it is about.
struct Flat;

impl<S> FormatEvent<S, JsonFields> for Flat
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let metadata = event.metadata();
        let mut own = Line(Map::new());
        event.record(&mut own);
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), timestamp.into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("message".to_owned(), own.0.remove("message").unwrap_or_default());
        line.insert("target".to_owned(), metadata.target().into());
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            let fields = fields.and_then(|fields| serde_json::from_str::<Map<_, _>>(&fields.fields).ok());
            line.extend(fields.into_iter().flatten().filter(|(name, _)| !name.starts_with(OF_TRACES)));
        }
        line.extend(own.0);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The fields of an event, as JSON.
struct Line(Map<String, Value>);

impl Line {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
