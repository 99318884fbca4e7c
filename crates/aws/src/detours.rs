//! Where calls to AWS go, if not straight to AWS. Whoever can set the environment of Belay could read and change what it sends, so it is
//! told wherever a person looks.

use std::env;

use belay_ports::near::{self, Nearness, PROXY_VARIABLES};
use http::Uri;

/// `AWS_ENDPOINT_URL`, and with a service's name behind it (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
const IGNORED: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// As the environment says it, and the profile (`profile` is the endpoint that counts for all services).
pub(crate) fn now(profile: Option<&str>) -> Vec<String> {
    let variables =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    of(variables.collect(), profile)
}

fn of(mut variables: Vec<(String, String)>, profile: Option<&str>) -> Vec<String> {
    variables.retain(|(_, value)| !value.is_empty());
    variables.sort();
    let ignored = variables.iter().any(|(name, value)| name == IGNORED && value.eq_ignore_ascii_case("true"));
    let endpoint = |(name, value): &(String, String)| {
        let service = name.strip_prefix(ENDPOINT)?;
        let calls = match service.strip_prefix('_') {
            None if service.is_empty() => "calls to AWS".to_owned(),
            None => return None,
            Some(service) => format!("calls to {}", service.replace('_', " ")),
        };
        Some(format!("{calls} go to {} ({name})", shown(value)))
    };
    let proxy = |(name, value): &(String, String)| {
        let calls = match name.to_ascii_lowercase().as_str() {
            "http_proxy" => "calls to AWS over plain HTTP",
            _ => "calls to AWS",
        };
        let is_proxy = PROXY_VARIABLES.contains(&name.as_str());
        is_proxy.then(|| format!("{calls} go through the proxy {} ({name})", shown(value)))
    };
    let mut found: Vec<String> = variables.iter().filter(|_| !ignored).filter_map(endpoint).collect();
    if let Some(url) = profile.filter(|_| found.is_empty()) {
        found.push(format!("calls to AWS go to {} (endpoint_url of the profile)", shown(url)));
    }
    found.extend(variables.iter().filter_map(proxy));
    found
}

/// Without the name and password that may stand in it.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    match scheme {
        "" => format!("{host}{path}"),
        scheme => format!("{scheme}://{host}{path}"),
    }
}

/// The host that a request would reach over plain HTTP although it is neither this host nor one of `permitted`.
pub(crate) fn unencrypted(uri: &str, permitted: &[String]) -> Option<String> {
    let uri: Uri = uri.parse().ok()?;
    let host = uri.host()?;
    let is_far = near::nearness(host) == Nearness::Far;
    let is_permitted = permitted.iter().any(|permitted| permitted.eq_ignore_ascii_case(host));
    (uri.scheme_str() == Some("http") && is_far && !is_permitted).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)], profile: Option<&str>) -> Vec<String> {
        of(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), profile)
    }

    #[test]
    fn endpoints_and_proxies_are_told_without_their_passwords() {
        let found = told(
            &[
                ("AWS_ENDPOINT_URL", "http://me:s3cret@10.0.0.7:5000/x?key=s3cret"),
                ("AWS_ENDPOINT_URL_ROUTE_53", "https://r53.example.com"),
                ("AWS_ENDPOINT_URLS", "not one"),
                ("https_proxy", "me:s3cret@proxy:3128"),
                ("HTTP_PROXY", "http://proxy:3128"),
                ("ALL_PROXY", ""),
                ("PATH", "/bin"),
            ],
            Some("https://hidden.example.com"),
        );
        assert_eq!(
            found,
            [
                "calls to AWS go to http://10.0.0.7:5000/x (AWS_ENDPOINT_URL)",
                "calls to ROUTE 53 go to https://r53.example.com (AWS_ENDPOINT_URL_ROUTE_53)",
                "calls to AWS over plain HTTP go through the proxy http://proxy:3128 (HTTP_PROXY)",
                "calls to AWS go through the proxy proxy:3128 (https_proxy)",
            ]
        );
        assert!(told(&[("AWS_REGION", "eu-west-1"), ("NO_PROXY", "*")], None).is_empty());
    }

    #[test]
    fn what_the_sdk_ignores_is_not_told_and_a_profile_is() {
        let variables = [("AWS_ENDPOINT_URL", "http://a"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE")];
        assert!(told(&variables, None).is_empty());
        assert_eq!(told(&[], Some("http://a")), ["calls to AWS go to http://a (endpoint_url of the profile)"]);
    }

    #[test]
    fn plain_http_is_for_this_host_and_for_those_that_are_permitted() {
        let permitted = ["moto.internal".to_owned()];
        for uri in
            ["http://127.0.0.1:5000/", "http://169.254.169.254/latest", "https://10.0.0.7/", "http://MOTO.internal:1/"]
        {
            assert_eq!(unencrypted(uri, &permitted), None, "{uri}");
        }
        assert_eq!(unencrypted("http://10.0.0.7:5000/", &permitted).as_deref(), Some("10.0.0.7"));
        assert_eq!(
            unencrypted("http://moto.internal.example.com/", &permitted).as_deref(),
            Some("moto.internal.example.com")
        );
    }
}
