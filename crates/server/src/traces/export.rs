//! To the collector, over OTLP: protobuf in HTTP. A queue with an end, a thread of its own: a collector that is slow or away
//! costs spans, and nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry::InstrumentationScope;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor},
};
use tokio::runtime::Handle;

use crate::{
    metrics::SpanCounts,
    outbound::{self, Outbound},
};

/// Spans that wait for the collector; more are lost, and counted.
const QUEUE_MAX: usize = 4096;
/// How long the collector may take for one batch.
const EXPORT_MAX: Duration = Duration::from_secs(5);
/// How often what has gathered is sent.
const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Sink {
    processor: BatchSpanProcessor,
    counts: SpanCounts,
    pub(super) scope: InstrumentationScope,
}

impl Sink {
    /// `endpoint`: of the collector, without the path; none takes it from the environment.
    pub(super) fn open(endpoint: Option<&str>, version: &str, counts: SpanCounts) -> Result<Self, String> {
        // The exporter's own time-out holds for its own client only.
        let client = Client { outbound: Arc::new(Outbound::new(EXPORT_MAX)), runtime: Handle::current() };
        let mut builder = opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(client);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')));
        }
        let exporter = builder.build().map_err(|error| error.to_string())?;
        let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE_MAX).with_scheduled_delay(EVERY).build();
        let exporter = Counting { exporter, counts: counts.clone(), failing: Arc::default() };
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("belay");
        }
        let version = version.to_owned();
        processor.set_resource(
            &resource.with_attribute(opentelemetry::KeyValue::new("service.version", version.clone())).build(),
        );
        let scope = InstrumentationScope::builder("belay").with_version(version).build();
        Ok(Self { processor, counts, scope })
    }

    /// Never waits: when the queue is full the span is lost.
    pub(super) fn send(&self, span: SpanData) {
        self.counts.made();
        self.processor.on_end(span);
    }

    /// Sends what is left. Blocks.
    pub(super) fn close(&self, within: Duration) {
        if self.processor.shutdown_with_timeout(within).is_err() {
            tracing::warn!("the last spans were not delivered in time; nothing else is affected");
        }
    }
}

/// Sends on the runtime, for a thread that has none.
#[derive(Debug)]
struct Client {
    outbound: Arc<Outbound>,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let outbound = self.outbound.clone();
        let sending = self.runtime.spawn(async move {
            let request: reqwest::Request = request.try_into()?;
            let answer = outbound.client(request.url()).await?.execute(request).await?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.clone_from(answer.headers());
            }
            Ok::<_, HttpError>(response.body(outbound::body(answer).await?.into())?)
        });
        sending.await?
    }
}

/// Counts what has arrived and what has not, and says once when that turns.
#[derive(Debug)]
struct Counting<E> {
    exporter: E,
    counts: SpanCounts,
    failing: Arc<AtomicBool>,
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        let failed = result.is_err();
        match &result {
            Ok(()) => self.counts.sent(spans),
            Err(_) => self.counts.failed(spans),
        }
        match (self.failing.swap(failed, Ordering::Relaxed), &result) {
            (false, Err(error)) => {
                tracing::warn!(%error, "traces cannot be delivered: these spans are lost, the next ones are tried; nothing else is affected");
            }
            (true, Ok(())) => tracing::info!("traces are delivered again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
