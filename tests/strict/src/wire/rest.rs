//! The REST protocols: Route 53 in XML, Lambda in JSON. Method and path say what is asked.

use serde_json::{Map, Value, json};

use super::{Request, xml};

/// Parameters in the path and in the query, and the body.
pub(super) fn read_route53(request: &Request) -> Option<(String, Value)> {
    let path = request.path().strip_prefix("/2013-04-01/")?.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let (operation, id) = match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["hostedzonesbyname"]) => ("ListHostedZonesByName", None),
        ("GET", ["hostedzone", id]) => ("GetHostedZone", Some(id)),
        ("GET", ["hostedzone", id, "rrset"]) => ("ListResourceRecordSets", Some(id)),
        ("POST", ["hostedzone", id, "rrset"]) => ("ChangeResourceRecordSets", Some(id)),
        ("GET", ["change", id]) => ("GetChange", Some(id)),
        ("GET", ["healthcheck"]) => ("ListHealthChecks", None),
        ("GET", ["healthcheck", id]) => ("GetHealthCheck", Some(id)),
        ("GET", ["healthcheck", id, "status"]) => ("GetHealthCheckStatus", Some(id)),
        _ => return None,
    };
    let mut input = parameters(request.query());
    if let Some(id) = id {
        input.insert("Id".to_owned(), json!(id));
    }
    if !request.body.is_empty() {
        let Value::Object(body) = xml::read(std::str::from_utf8(&request.body).ok()?)? else { return None };
        input.extend(body);
    }
    Some((operation.to_owned(), Value::Object(input)))
}

pub(super) fn read_lambda(request: &Request) -> Option<(String, Value)> {
    let path = request.path().strip_prefix("/2015-03-31/functions/")?;
    let (name, rest) = path.split_once('/')?;
    let name = form_urlencoded::parse(format!("n={name}").as_bytes()).next()?.1.into_owned();
    let operation = match (request.method.as_str(), rest) {
        ("GET", "configuration") => "GetFunctionConfiguration",
        ("POST", "invocations") => "Invoke",
        _ => return None,
    };
    let mut input = parameters(request.query());
    input.insert("FunctionName".to_owned(), json!(name));
    for (header, parameter) in [
        ("x-amz-invocation-type", "InvocationType"),
        ("x-amz-log-type", "LogType"),
        ("x-amz-client-context", "ClientContext"),
    ] {
        if let Some(value) = request.header(header) {
            input.insert(parameter.to_owned(), json!(value));
        }
    }
    if !request.body.is_empty() {
        input.insert("Payload".to_owned(), serde_json::from_slice(&request.body).ok()?);
    }
    Some((operation.to_owned(), Value::Object(input)))
}

fn parameters(query: &str) -> Map<String, Value> {
    form_urlencoded::parse(query.as_bytes()).map(|(key, value)| (key.into_owned(), json!(value))).collect()
}

pub(super) fn xml_answer(operation: &str, output: Value) -> Vec<u8> {
    let mut text = String::new();
    xml::element(&mut text, &format!("{operation}Response"), &output);
    text.into_bytes()
}

/// `Payload`, `StatusCode` and headers stand apart from a body where the output has them.
pub(super) fn json_answer(mut output: Value) -> (u16, Vec<(&'static str, String)>, Vec<u8>) {
    let Some(payload) = output.get_mut("Payload").map(Value::take) else {
        return (200, Vec::new(), output.to_string().into_bytes());
    };
    let mut headers = Vec::new();
    for (key, header) in [
        ("FunctionError", "x-amz-function-error"),
        ("LogResult", "x-amz-log-result"),
        ("ExecutedVersion", "x-amz-executed-version"),
    ] {
        if let Some(value) = output[key].as_str() {
            headers.push((header, value.to_owned()));
        }
    }
    let status = output["StatusCode"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    let body = if payload.is_null() { Vec::new() } else { payload.to_string().into_bytes() };
    (status, headers, body)
}
