//! Which call of which service a request is, whatever protocol it is written in.

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::http::request::Parts;

/// One AWS call that passed through the proxy.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its place in the order of arrival, from 0.
    pub index: usize,
    /// As it is signed: `route53`, `elasticloadbalancing`, `rds`, `monitoring` (CloudWatch), `sts`, ...
    pub service: String,
    /// The region that it is signed for; empty where it is not signed.
    pub region: String,
    /// The access key that it is signed with; empty where it is not signed.
    pub access_key: String,
    /// `ChangeResourceRecordSets`, `ModifyListener`, ...; `METHOD /path` where nothing tells.
    pub action: String,
    /// The request's path and query.
    pub path: String,
    /// The request's body. CBOR is shown as JSON.
    pub body: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not decided yet.
    Pending,
    /// AWS answered with this status, and the caller was told.
    Answered(u16),
    /// The proxy answered with this status; AWS has not seen the call.
    Refused(u16),
    /// The connection was cut; AWS has not seen the call.
    Cut,
    /// AWS answered with this status, so a change took effect, but the connection was cut before the caller was told.
    Lost(u16),
}

impl Call {
    /// Whether it can change anything. Reads are known by their names; what is not known counts as mutating.
    pub fn is_mutating(&self) -> bool {
        const READS: [&str; 13] = [
            "Describe",
            "List",
            "Get",
            "Lookup",
            "Search",
            "Simulate",
            "BatchGet",
            "Query",
            "Scan",
            "Test",
            "AssumeRole",
            "GET ",
            "HEAD ",
        ];
        !READS.iter().any(|read| self.action.starts_with(read))
    }

    /// Whether AWS has seen it.
    pub fn reached_aws(&self) -> bool {
        matches!(self.outcome, Outcome::Answered(_) | Outcome::Lost(_))
    }

    /// A parameter of a query-protocol call (ELB, RDS, STS): `call.parameter("DBInstanceIdentifier")`.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form_value(self.body.as_bytes(), name)
    }

    pub(crate) fn is(&self, service: &str, action: &str) -> bool {
        matches(service, &self.service) && matches(action, &self.action)
    }

    pub(crate) fn identify(index: usize, request: &Parts, body: &Bytes) -> Self {
        let path = request.uri.path();
        let action = target_action(&request.headers)
            .or_else(|| rpc_action(path))
            .or_else(|| form_value(body, "Action"))
            .or_else(|| form_value(request.uri.query()?.as_bytes(), "Action"))
            .or_else(|| route53_action(request.method.as_str(), path).map(str::to_owned))
            .unwrap_or_else(|| format!("{} {path}", request.method));
        let signed = |part| credential_part(&request.headers, part);
        Self {
            index,
            service: signed(3).unwrap_or_else(|| guessed_service(&action).to_owned()),
            region: signed(2).unwrap_or_default(),
            access_key: signed(0).unwrap_or_default(),
            action,
            path: request.uri.to_string(),
            body: if speaks_cbor(&request.headers) {
                cbor_text(body)
            } else {
                String::from_utf8_lossy(body).into_owned()
            },
            outcome: Outcome::Pending,
        }
    }
}

/// `*` stands for any.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    pattern == "*" || pattern == name
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(crate) fn speaks_cbor(headers: &HeaderMap) -> bool {
    header(headers, "smithy-protocol") == Some("rpc-v2-cbor")
}

/// Of `Credential=KEY/DATE/REGION/SERVICE/aws4_request` in the signature.
fn credential_part(headers: &HeaderMap, part: usize) -> Option<String> {
    let (_, credential) = header(headers, "authorization")?.split_once("Credential=")?;
    credential.split('/').nth(part).map(str::to_owned)
}

/// Web identity federation is the one call that is not signed.
fn guessed_service(action: &str) -> &'static str {
    if action.starts_with("AssumeRole") { "sts" } else { "unknown" }
}

/// `X-Amz-Target: Prefix.Action` of the JSON protocols.
fn target_action(headers: &HeaderMap) -> Option<String> {
    header(headers, "x-amz-target")?.rsplit('.').next().map(str::to_owned)
}

/// `/service/NAME/operation/ACTION` of Smithy RPC v2.
fn rpc_action(path: &str) -> Option<String> {
    let (_, action) = path.strip_prefix("/service/")?.split_once("/operation/")?;
    Some(action.to_owned())
}

fn form_value(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn route53_action(method: &str, path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/2013-04-01/")?.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    Some(match (method, parts.as_slice()) {
        ("GET", ["hostedzone"]) => "ListHostedZones",
        ("POST", ["hostedzone"]) => "CreateHostedZone",
        ("GET", ["hostedzone", _]) => "GetHostedZone",
        ("DELETE", ["hostedzone", _]) => "DeleteHostedZone",
        ("GET", ["hostedzone", _, "rrset"]) => "ListResourceRecordSets",
        ("POST", ["hostedzone", _, "rrset"]) => "ChangeResourceRecordSets",
        ("GET", ["hostedzonesbyname"]) => "ListHostedZonesByName",
        ("GET", ["change", _]) => "GetChange",
        ("GET", ["healthcheck"]) => "ListHealthChecks",
        ("POST", ["healthcheck"]) => "CreateHealthCheck",
        ("GET", ["healthcheck", _]) => "GetHealthCheck",
        ("POST", ["healthcheck", _]) => "UpdateHealthCheck",
        ("DELETE", ["healthcheck", _]) => "DeleteHealthCheck",
        ("GET", ["healthcheck", _, "status"]) => "GetHealthCheckStatus",
        ("GET", ["tags", _, _]) => "ListTagsForResource",
        ("POST", ["tags", _, _]) => "ChangeTagsForResource",
        _ => return None,
    })
}

fn cbor_text(body: &[u8]) -> String {
    match ciborium::from_reader::<ciborium::Value, _>(body) {
        Ok(value) => json_of(value).to_string(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

fn json_of(value: ciborium::Value) -> serde_json::Value {
    use ciborium::Value;
    match value {
        Value::Map(entries) => {
            let name = |key: Value| key.into_text().unwrap_or_else(|key| format!("{key:?}"));
            serde_json::Value::Object(entries.into_iter().map(|(key, value)| (name(key), json_of(value))).collect())
        }
        Value::Array(items) => items.into_iter().map(json_of).collect(),
        // A time stamp: a number with tag 1.
        Value::Tag(_, inner) => json_of(*inner),
        Value::Text(text) => text.into(),
        Value::Bool(value) => value.into(),
        Value::Float(value) => value.into(),
        Value::Integer(value) => i64::try_from(value).map_or(serde_json::Value::Null, Into::into),
        _ => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn identify(request: hyper::http::request::Builder, body: &[u8]) -> Call {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Call::identify(0, &parts, &Bytes::copy_from_slice(body))
    }

    fn signed(service: &str) -> hyper::http::request::Builder {
        let credential =
            format!("AWS4-HMAC-SHA256 Credential=test/20260801/us-east-1/{service}/aws4_request, SignedHeaders=x");
        Request::builder().header("authorization", credential)
    }

    #[test]
    fn the_query_protocol_tells_by_its_form() {
        let call =
            identify(signed("rds").method("POST").uri("/"), b"Action=ModifyDBInstance&DBInstanceIdentifier=a%2Db");
        assert_eq!((call.service.as_str(), call.action.as_str()), ("rds", "ModifyDBInstance"));
        assert_eq!((call.region.as_str(), call.access_key.as_str()), ("us-east-1", "test"));
        assert_eq!(call.parameter("DBInstanceIdentifier").as_deref(), Some("a-b"));
        assert!(call.is_mutating());
    }

    #[test]
    fn the_json_protocol_tells_by_its_target() {
        let request = signed("dynamodb").method("POST").uri("/").header("x-amz-target", "DynamoDB_20120810.GetItem");
        let call = identify(request, b"{}");
        assert_eq!(call.action, "GetItem");
        assert!(!call.is_mutating());
    }

    #[test]
    fn rpc_v2_tells_by_its_path_and_its_cbor_is_readable() {
        let mut body = Vec::new();
        let names = ciborium::Value::Array(vec!["a".into()]);
        ciborium::into_writer(&ciborium::Value::Map(vec![("AlarmNames".into(), names)]), &mut body).unwrap();
        let request = signed("monitoring")
            .method("POST")
            .uri("/service/GraniteServiceVersion20100801/operation/DescribeAlarms")
            .header("smithy-protocol", "rpc-v2-cbor");
        let call = identify(request, &body);
        assert_eq!(call.action, "DescribeAlarms");
        assert_eq!(call.body, r#"{"AlarmNames":["a"]}"#);
    }

    #[test]
    fn route_53_tells_by_method_and_path() {
        for (method, path, action) in [
            ("GET", "/2013-04-01/hostedzone/Z1/rrset?type=A", "ListResourceRecordSets"),
            ("POST", "/2013-04-01/hostedzone/Z1/rrset/", "ChangeResourceRecordSets"),
            ("GET", "/2013-04-01/change/C1", "GetChange"),
            ("GET", "/2013-04-01/hostedzonesbyname?dnsname=a", "ListHostedZonesByName"),
            ("GET", "/2013-04-01/hostedzone/Z1", "GetHostedZone"),
        ] {
            let call = identify(signed("route53").method(method).uri(path), b"");
            assert_eq!(call.action, action);
            assert_eq!(call.is_mutating(), method == "POST");
        }
    }

    #[test]
    fn what_is_not_known_counts_as_mutating() {
        assert!(identify(signed("s3").method("PUT").uri("/bucket/key"), b"").is_mutating());
        assert!(!identify(signed("s3").method("GET").uri("/bucket/key"), b"").is_mutating());
    }
}
