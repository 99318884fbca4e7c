//! Logs go to standard error; standard output belongs to the answer.
//!
//! A daemon's log may be a pipe that nobody reads. So a thread of its own writes it, and what does not fit before that
//! thread is lost, and counted: a rollback never waits for a reader of its log.

use std::{
    fmt,
    io::stderr,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use belay_plan::visible;
use belay_ports::Clock;
use belay_server::{Metrics, Traces};
use clap::ValueEnum;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer,
    field::MakeExt,
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{self, JsonFields, Writer},
        time::{FormatTime, SystemTime},
        writer::BoxMakeWriter,
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::paint;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Fields with this prefix say how a span is shown in a trace; they are no news for a reader of logs.
const OF_TRACES: &str = "otel.";

/// Lines that wait for whoever reads a daemon's log; more are lost.
const LINES_MAX: usize = 2048;
/// How long the last lines may take on their way.
const LAST_MAX: Duration = Duration::from_millis(1_500);
/// How often it is looked at whether lines are lost.
const LOST_PERIOD: Duration = Duration::from_secs(1);

/// The log of this process, until it ends.
pub(crate) struct Log {
    /// Of the thread that writes, where there is one.
    writing: Option<WorkerGuard>,
    lost: Option<ErrorCounter>,
}

/// `usual`: what is logged when RUST_LOG says nothing. The traces see all spans, whatever is logged. `lossy`: nobody waits
/// until a line is written.
pub(crate) fn start(format: LogFormat, usual: &str, colour: bool, lossy: bool, traces: Traces) -> Log {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let (writer, log) = match lossy {
        false => (BoxMakeWriter::new(stderr), Log { writing: None, lost: None }),
        true => {
            let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX).thread_name("log");
            let (writer, writing) = builder.finish(stderr());
            let lost = Some(writer.error_counter());
            (BoxMakeWriter::new(writer), Log { writing: Some(writing), lost })
        }
    };
    let logs = lines(format, writer, colour).with_filter(filter);
    let traced = tracing_subscriber::filter::filter_fn(|metadata| {
        metadata.is_span() && metadata.target().starts_with("belay") && *metadata.level() <= tracing::Level::INFO
    });
    tracing_subscriber::registry().with(logs).with(traces.with_filter(traced)).init();
    log
}

/// Writes a line for each event.
fn lines<S>(format: LogFormat, writer: BoxMakeWriter, colour: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    match format {
        LogFormat::Text => lines.with_target(false).fmt_fields(format::debug_fn(field).delimited(" ")).boxed(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(Flat).boxed(),
    }
}

impl Log {
    pub(crate) fn lost(&self) -> Lost {
        Lost(self.lost.clone())
    }

    /// The end: what waits is written, and after it the last word, which goes to standard error too. A reader who does
    /// not read does not keep a daemon from ending.
    pub(crate) fn close(self, last_word: impl FnOnce() + Send + 'static) {
        let Some(writing) = self.writing else { return last_word() };
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            drop(writing);
            last_word();
            let _ = done.send(()); // nobody may be waiting any more
        });
        let _ = ended.recv_timeout(LAST_MAX); // an error is that it took too long, or panicked: this is the end anyway
    }
}

/// How many lines have not found room.
pub(crate) struct Lost(Option<ErrorCounter>);

impl Lost {
    /// Counts them, and says so in the log as soon as there is room again. Goes on until it is dropped.
    pub(crate) async fn tell(self, metrics: Metrics, clock: Arc<dyn Clock>) {
        let Some(lost) = self.0 else { return };
        let (mut counted, mut told) = (0, 0);
        loop {
            clock.sleep(LOST_PERIOD).await;
            let now = lost.dropped_lines();
            metrics.lost_log_lines((now - counted) as u64);
            if now == counted && now > told {
                tracing::warn!(lines = now - told, "lines of this log were lost: its reader did not keep up");
                // This one may not have found room either.
                told = if lost.dropped_lines() == now { now } else { told };
            }
            counted = now;
        }
    }
}

/// A field in the text log. Whatever it contains, the line stays one line.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(writer, "{}", visible::line(&value)),
        name => write!(writer, "{name}={}", visible::line(&value)),
    }
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
        writeln!(writer, "{}", paint::json(&Value::Object(line).to_string()))
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

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Mutex,
    };

    use tracing_subscriber::registry;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: &str = "all well\r\n2026-03-01T22:00:00Z ERROR forged\x1b[2J\u{9b}1A\u{85}\u{202e}";

    fn logged(format: LogFormat) -> String {
        let written = Written::default();
        let to = written.clone();
        let lines = lines(format, BoxMakeWriter::new(move || to.clone()), false);
        tracing::subscriber::with_default(registry().with(lines), || {
            let span = tracing::info_span!("run", migration = HOSTILE, who = %HOSTILE);
            let _inside = span.enter();
            tracing::warn!(reason = HOSTILE, why = %HOSTILE, whole = ?HOSTILE, "it says {HOSTILE}");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn whatever_an_event_contains_it_is_one_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(format);
            let line = text.strip_suffix('\n').unwrap();
            let obeyed = |letter: char| letter.is_control() || letter == '\u{202e}';
            assert!(!line.contains(obeyed) && line.contains("all well"), "{line:?}");
        }
        assert!(logged(LogFormat::Text).contains("it says all well␍␊2026-03-01T22:00:00Z ERROR forged␛[2J"));
        let line: Value = serde_json::from_str(&logged(LogFormat::Json)).unwrap();
        assert_eq!([&line["reason"], &line["why"], &line["migration"]], [HOSTILE; 3], "exact: {line}");
    }
}
