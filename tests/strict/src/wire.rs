//! The protocols that AWS speaks: a request becomes an operation with its input, an answer becomes bytes.

mod cbor;
mod query;
mod rest;
mod xml;

use std::time::Duration;

use serde_json::{Value, json};

use crate::{answer::Refusal, service::Service};

/// An HTTP request.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// With names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// How long it takes.
    pub takes: Duration,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What a request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) service: Service,
    pub(crate) name: String,
    /// The parameters, in the names of the API. Of the query protocol all of them are texts, and a list stands below the
    /// name of its elements: `{"Tags": {"Tag": [...]}}`.
    pub(crate) input: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.uri.split('?').next().unwrap_or_default()
    }

    pub(crate) fn query(&self) -> &str {
        self.uri.split_once('?').map_or("", |(_, query)| query)
    }

    /// The name that the request is signed for: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
    fn signed_for(&self) -> Option<&str> {
        let (_, credential) = self.header("authorization")?.split_once("Credential=")?;
        credential.split('/').nth(3)
    }
}

/// How a service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A form, answered in XML.
    Query {
        namespace: &'static str,
    },
    RestXml,
    RestJson,
    Json {
        version: &'static str,
    },
    Cbor,
}

/// What a request asks for. None: it asks nothing that AWS knows.
pub(crate) fn read(request: &Request) -> Option<Operation> {
    let service = Service::signed_for(request.signed_for()?)?;
    let (name, input) = match service.protocol() {
        Protocol::Query { .. } => query::read(&request.body)?,
        Protocol::RestXml => rest::read_route53(request)?,
        Protocol::RestJson => rest::read_lambda(request)?,
        Protocol::Json { .. } => {
            let (_, name) = request.header("x-amz-target")?.rsplit_once('.')?;
            (name.to_owned(), serde_json::from_slice(&request.body).ok()?)
        }
        Protocol::Cbor => {
            let (_, name) = request.path().rsplit_once("/operation/")?;
            (name.to_owned(), cbor::read(&request.body)?)
        }
    };
    Some(Operation { service, name, input })
}

/// An answer as it goes over the wire.
pub(crate) fn write(operation: &Operation, answer: Result<Value, Refusal>, request_id: &str) -> Answer {
    let protocol = operation.service.protocol();
    let (status, mut headers, body) = match answer {
        Ok(output) => match protocol {
            Protocol::Query { namespace } => {
                (200, Vec::new(), query::answer(&operation.name, namespace, output, request_id))
            }
            Protocol::RestXml => (200, Vec::new(), rest::xml_answer(&operation.name, output)),
            Protocol::RestJson => rest::json_answer(output),
            Protocol::Json { .. } => (200, Vec::new(), output.to_string().into_bytes()),
            Protocol::Cbor => (200, Vec::new(), cbor::write(&output)),
        },
        Err(refusal) => {
            let body = json!({ "__type": refusal.code, "message": refusal.message });
            let (headers, bytes) = match protocol {
                Protocol::Query { .. } => (Vec::new(), query::refusal(&refusal, request_id)),
                Protocol::RestXml => (Vec::new(), query::refusal(&refusal, request_id)),
                Protocol::RestJson => (vec![("x-amzn-errortype", refusal.code.clone())], body.to_string().into_bytes()),
                Protocol::Json { .. } => (Vec::new(), body.to_string().into_bytes()),
                Protocol::Cbor => (Vec::new(), cbor::write(&body)),
            };
            (refusal.status, headers, bytes)
        }
    };
    headers.push(("x-amzn-requestid", request_id.to_owned()));
    headers.push(("content-type", content_type(protocol)));
    if protocol == Protocol::Cbor {
        headers.push(("smithy-protocol", "rpc-v2-cbor".to_owned()));
    }
    Answer { status, takes: Duration::ZERO, headers, body }
}

fn content_type(protocol: Protocol) -> String {
    match protocol {
        Protocol::Query { .. } | Protocol::RestXml => "text/xml".to_owned(),
        Protocol::RestJson => "application/json".to_owned(),
        Protocol::Json { version } => format!("application/x-amz-json-{version}"),
        Protocol::Cbor => "application/cbor".to_owned(),
    }
}
