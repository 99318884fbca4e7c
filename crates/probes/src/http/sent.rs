//! What a probe may send, and where. A plan is journaled, shown and passed around, so no secret stands in it itself; and whoever
//! writes a plan must not be able to send Belay's own secrets somewhere.

use belay_local::secrets::Reference;
use belay_plan::catalogue::{Finding, pointer};
use belay_ports::near::{Nearness, nearness};
use reqwest::Url;
use serde_json::Value;

/// A header with one of these words in its name has a secret as its value.
const SECRET_WORDS: [&str; 15] = [
    "apikey",
    "auth",
    "authorization",
    "authentication",
    "cookie",
    "credential",
    "credentials",
    "key",
    "passwd",
    "password",
    "secret",
    "session",
    "signature",
    "token",
    "tokens",
];

/// A value that begins like this is a secret, whatever the header is called.
const SECRET_BEGINS: [&str; 14] = [
    "bearer ",
    "basic ",
    "token ",
    "digest ",
    "akia",
    "asia",
    "eyj",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk_live_",
];

/// Parameters of a URL whose value is a secret.
const SECRET_PARAMETERS: [&str; 14] = [
    "access_token",
    "api_key",
    "apikey",
    "api-key",
    "auth",
    "auth_token",
    "client_secret",
    "passwd",
    "password",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-signature",
];

/// Everything that a plan must not send: `http` stands under `key`.
pub(crate) fn check(key: &str, http: &Value, url: Option<&Url>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let at = |name: &str| format!("/{key}/{name}");
    if let Some(url) = url {
        findings.extend(secret_in(url).map(|what| {
            let finding = Finding::new(at("url"), format!("{what} in a URL is a secret: it is not for a plan"));
            finding.help("send it as a header whose value is `env:NAME` or `file:path`").conceal()
        }));
        findings.extend(url.host_str().and_then(link_local).map(|why| Finding::new(at("url"), why)));
    }
    let connect_to = http["connect_to"].as_str().and_then(|address| address.rsplit_once(':'));
    findings.extend(connect_to.and_then(|(host, _)| link_local(host)).map(|why| Finding::new(at("connect_to"), why)));
    for (name, value) in http["headers"].as_object().into_iter().flatten() {
        let Some(value) = value.as_str() else { continue };
        let pointer = pointer(&[key, "headers", name]);
        match Reference::parse(value) {
            Some(reference) => findings.extend(reference.check().err().map(|why| Finding::new(pointer, why))),
            None if is_secret(name, value) => {
                let finding = Finding::new(pointer, format!("{name} is a secret: it is not for a plan"));
                findings.push(finding.help("write where it is: `env:NAME` or `file:path`").conceal());
            }
            None => {}
        }
    }
    findings
}

/// Why nothing is asked at this host, if it is a link-local address.
pub(crate) fn link_local(host: &str) -> Option<String> {
    let is_link_local = nearness(host) == Nearness::LinkLocal;
    is_link_local.then(|| format!("{host} is a link-local address: credentials of this host are there, and no service"))
}

fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let value = value.trim_start().to_ascii_lowercase();
    name.split(['-', '_', '.']).any(|word| SECRET_WORDS.contains(&word))
        || SECRET_BEGINS.iter().any(|begin| value.starts_with(begin))
}

fn secret_in(url: &Url) -> Option<String> {
    if !url.username().is_empty() || url.password().is_some() {
        return Some("a user or password".to_owned());
    }
    let mut names = url.query_pairs().map(|(name, _)| name.to_ascii_lowercase());
    names.find(|name| SECRET_PARAMETERS.contains(&name.as_str())).map(|name| format!("the parameter `{name}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(http: Value) -> Vec<String> {
        let url = http["url"].as_str().map(|url| Url::parse(url).unwrap());
        check("http", &http, url.as_ref()).into_iter().map(|finding| finding.pointer).collect()
    }

    #[test]
    fn no_secret_stands_in_a_plan_and_none_of_belays_own_is_sent() {
        let refused = [
            (json!({ "url": "https://user:pass@shop.test/" }), "/http/url"),
            (json!({ "url": "https://shop.test/?a=b&API_KEY=x" }), "/http/url"),
            (json!({ "url": "http://169.254.169.254/latest/meta-data/" }), "/http/url"),
            (json!({ "url": "http://[fd00:ec2::23]/v1/credentials" }), "/http/url"),
            (json!({ "connect_to": "169.254.170.2:80" }), "/http/connect_to"),
            (json!({ "headers": { "X-Shop-Token": "abc" } }), "/http/headers/X-Shop-Token"),
            (json!({ "headers": { "X-Whatever": "Bearer abc" } }), "/http/headers/X-Whatever"),
            (json!({ "headers": { "X-Whatever": "ghp_abcdef" } }), "/http/headers/X-Whatever"),
            (json!({ "headers": { "X-A": "env:AWS_SECRET_ACCESS_KEY" } }), "/http/headers/X-A"),
            (json!({ "headers": { "X-A": "env:BELAY_TOKEN" } }), "/http/headers/X-A"),
            (json!({ "headers": { "X-A": "env:OTEL_EXPORTER_OTLP_HEADERS" } }), "/http/headers/X-A"),
            (json!({ "headers": { "X-A": "file:/proc/self/environ" } }), "/http/headers/X-A"),
            (json!({ "headers": { "X-A": "file:/etc/../proc/1/environ" } }), "/http/headers/X-A"),
            (json!({ "headers": { "X-A": "file:/root/.aws/credentials" } }), "/http/headers/X-A"),
        ];
        for (http, pointer) in refused {
            assert_eq!(pointers(http.clone()), [pointer], "{http}");
        }
        let fine = [
            json!({ "url": "https://shop.test/?page=2&key=health" }),
            json!({ "headers": { "Accept": "text/html", "X-Request-Id": "belay", "Authorization": "env:SHOP_TOKEN" } }),
            json!({ "headers": { "X-Api-Key": "file:/run/secrets/shop" }, "connect_to": "10.0.0.7:443" }),
        ];
        for http in fine {
            assert_eq!(pointers(http.clone()), [""; 0], "{http}");
        }
    }
}
