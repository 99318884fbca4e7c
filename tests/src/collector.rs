//! An OpenTelemetry collector that keeps what it is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use prost::Message;

use crate::server::{Answer, Cut, Server};
use crate::wait::wait_until;

/// Takes OTLP over HTTP, in protobuf, on loopback.
pub struct TraceCollector {
    server: Server,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span as it came over the wire.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of its resource.
    pub service: String,
    pub name: String,
    /// In hex, as all ids.
    pub trace: String,
    pub id: String,
    /// Empty at the root.
    pub parent: String,
    pub attributes: BTreeMap<String, String>,
}

impl TraceCollector {
    pub fn start() -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&spans);
        let server = Server::start(move |request| answer(Arc::clone(&shared), request));
        Self { server, spans }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// What has come so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("nobody panics while holding it").clone()
    }

    /// Waits for a span with this name.
    #[track_caller]
    pub fn wait_for(&self, name: &str) -> Span {
        wait_until(&format!("a span {name:?}"), || self.spans().into_iter().find(|span| span.name == name))
    }
}

async fn answer(spans: Arc<Mutex<Vec<Span>>>, request: Request<Incoming>) -> Result<Answer, Cut> {
    let is_traces = request.uri().path() == "/v1/traces";
    let body = request.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
    let sent = ExportTraceServiceRequest::decode(body).map_err(|_| Cut)?;
    if is_traces {
        spans.lock().expect("nobody panics while holding it").extend(read(sent));
    }
    Ok(Response::new(Full::default()))
}

fn read(sent: ExportTraceServiceRequest) -> Vec<Span> {
    let mut read = Vec::new();
    for resource in sent.resource_spans {
        let attributes = resource.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        let service = attributes.get("service.name").cloned().unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            read.push(Span {
                service: service.clone(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: texts(span.attributes),
            });
        }
    }
    read
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
