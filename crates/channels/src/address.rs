//! Addresses that notices are sent to.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use belay_local::secrets::Reference;
use belay_plan::{
    catalogue::Finding,
    shape::{Field, boolean, field, pattern},
};
use belay_ports::near::{Nearness, address_nearness, nearness};
use reqwest::Url;
use serde_json::Value;

/// A shorter part of an address is no secret, and words of an answer contain it.
const PART_BYTES_MIN: usize = 4;

/// A checked URL. It can be a secret, so it is not shown.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) url: Url,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an address at {}", self.host())
    }
}

impl Address {
    /// `insecure`: plain HTTP is allowed, to private addresses only.
    ///
    /// # Errors
    /// Why the address is refused, without showing it.
    pub(crate) fn parse(text: &str, insecure: bool) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("the address is no URL: {error}"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the address has no host")?;
        if nearness(host) == Nearness::LinkLocal {
            return Err(format!("{host} is a link-local address: credentials of this host are there, and no receiver"));
        }
        match (url.scheme(), insecure) {
            ("https", _) => {}
            ("http", true) => {
                let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
                if address.is_ok_and(|address| !is_private(address)) {
                    return Err(format!("{host} is a public address: plain HTTP goes to private ones only"));
                }
            }
            ("http", false) => {
                return Err(format!(
                    "the address at {host} is plain HTTP, which anybody on the way can read: use https, or say \
                     `insecure: true` for a private address"
                ));
            }
            (scheme, _) => return Err(format!("the address begins with `{scheme}:`, wanted `https:`")),
        }
        Ok(Self { url })
    }

    /// The address with a path behind it. It has the same host, so it needs no other check.
    ///
    /// # Errors
    /// It would be no URL.
    pub(crate) fn below(&self, path: &str) -> Result<Self, String> {
        let url = Url::parse(&format!("{}{path}", self.url.as_str().trim_end_matches('/')));
        Ok(Self { url: url.map_err(|error| format!("the address is no URL: {error}"))? })
    }

    /// The part of the address that errors show.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Whether it is plain HTTP.
    pub(crate) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// The address and the parts of it that are masked in answers, when the address is a secret. Which part of it the secret is
    /// differs from service to service, so all of them are.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let url = &self.url;
        let whole = [url.as_str(), url.path(), url.query().unwrap_or_default(), url.fragment().unwrap_or_default()];
        let (user, password) = (url.username(), url.password().unwrap_or_default());
        // Basic authentication sends the pair in base64, also where one of the two is empty.
        let pair = if user.is_empty() && password.is_empty() { String::new() } else { format!("{user}:{password}") };
        let login = [&*pair, user, password];
        let segments = url.path_segments().into_iter().flatten();
        let values = url.query().into_iter().flat_map(|query| query.split('&'));
        let values = values.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
        let parts = whole.into_iter().chain(login).chain(segments).chain(values);
        parts.filter(|part| part.len() >= PART_BYTES_MIN).map(ToOwned::to_owned).collect()
    }
}

/// Why an address that a name resolved to is refused.
pub(crate) fn refused(address: IpAddr, plain: bool) -> Option<String> {
    if address_nearness(address) == Nearness::LinkLocal {
        return Some(format!("its address {address} is link-local"));
    }
    (plain && !is_private(address))
        .then(|| format!("its address {address} is a public address: without TLS only private ones are reached"))
}

/// Whether an address is loopback or private.
pub(crate) fn is_private(address: IpAddr) -> bool {
    // Shared address space (RFC 6598): pods of EKS often live there.
    let is_shared = |address: Ipv4Addr| address.octets()[0] == 100 && address.octets()[1] & 0b1100_0000 == 64;
    let v4 = |address: Ipv4Addr| address.is_private() || address.is_loopback() || is_shared(address);
    let v6 = |address: Ipv6Addr| address.is_loopback() || address.is_unique_local();
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => v4(address),
            None => v6(address),
        },
    }
}

/// The key `insecure`.
pub(crate) fn insecure_field() -> Field {
    field("insecure", boolean(), "Whether plain HTTP will do; it goes to private addresses only.").or(false)
}

/// The key `url`, for services with an address of their own.
pub(crate) fn url_field() -> Field {
    field(
        "url",
        pattern("an https URL, such as `https://proxy.example.com`", "^https?://[^\\s/]+.*$"),
        "In the place of the service's own address: a proxy.",
    )
    .optional()
}

/// What the shape of `url` cannot say.
pub(crate) fn check_url(spec: &Value) -> Vec<Finding> {
    let Some(text) = spec["url"].as_str() else { return Vec::new() };
    match Address::parse(text, spec["insecure"] == true) {
        Err(why) => vec![Finding::new("/url", why)],
        Ok(Address { url }) if !url.username().is_empty() || url.password().is_some() => {
            vec![
                Finding::new("/url", "a user or password in a URL is a secret: it does not belong in a plan").conceal(),
            ]
        }
        Ok(Address { url }) if url.query().is_some() || url.fragment().is_some() => {
            vec![Finding::new("/url", "the address has a query or a fragment, which no service has here").conceal()]
        }
        Ok(_) => Vec::new(),
    }
}

/// A secret that no plan may refer to.
pub(crate) fn check_secret(spec: &Value, pointers: &[&str]) -> Vec<Finding> {
    let finding = |pointer: &&str| {
        let reference = spec.pointer(pointer)?.as_str().and_then(Reference::parse)?;
        Some(Finding::new(*pointer, reference.check().err()?))
    };
    pointers.iter().filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine,
        engine::general_purpose::{STANDARD, URL_SAFE},
    };

    use super::*;

    /// Receivers that repeat the headers of a request repeat the login of its URL as Basic authentication.
    #[test]
    fn a_login_is_masked_as_it_is_sent() {
        let shown = |url: &str, answer: &str| {
            let secrets = Address::parse(url, true).unwrap().secrets();
            crate::mask::shown(answer, &secrets)
        };
        for (url, sent) in [
            ("http://user:SECRETpw@127.0.0.1/hook", "user:SECRETpw"),
            // Percent-decoded before it is sent.
            ("http://us%40er:p%2Fw%3A+x@127.0.0.1/hook", "us@er:p/w:+x"),
            ("http://us:p%C3%BFw%3E%3F@127.0.0.1/hook", "us:p\u{ff}w>?"),
            ("http://a:bc@127.0.0.1/hook", "a:bc"),
            ("http://to-ken@127.0.0.1/hook", "to-ken:"),
            ("http://:SECRETpw@127.0.0.1/hook", ":SECRETpw"),
        ] {
            for form in [STANDARD.encode(sent), STANDARD.encode(sent).replace('/', "\\/"), URL_SAFE.encode(sent)] {
                let answer = shown(url, &format!("headers: authorization=Basic {form}; agent=belay"));
                let wanted = format!(
                    "headers: authorization=Basic [masked]{}; agent=belay",
                    &form[form.trim_end_matches('=').len()..]
                );
                assert_eq!(answer, wanted, "{url}");
            }
            let form = STANDARD.encode(sent).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            let answer = shown(url, &form);
            assert_eq!(answer.replace("%3D", ""), "[masked]", "{url}: {form}");
        }
    }

    #[test]
    fn only_what_is_private_is_reached_in_the_open() {
        let parsed = |text: &str, insecure| Address::parse(text, insecure).map(|address| address.host().to_owned());
        for (text, insecure) in [
            ("https://hooks.example.com/T0/B0/x", false),
            ("https://10.0.0.7/", false),
            ("http://10.0.0.7:8080/hook", true),
            ("http://127.0.0.1:8080/hook", true),
            ("http://[fd00::7]/", true),
            ("http://100.64.3.7/", true),
            ("http://receiver.internal/", true),
        ] {
            assert!(parsed(text, insecure).is_ok(), "{text}");
        }
        for (text, insecure, wanted) in [
            ("http://10.0.0.7/hook?key=s3cret", false, "the address at 10.0.0.7 is plain HTTP"),
            ("http://127.0.0.1/", false, "plain HTTP"),
            ("http://198.51.100.7/", true, "198.51.100.7 is a public address"),
            ("http://100.128.0.1/", true, "100.128.0.1 is a public address"),
            ("https://169.254.169.254/latest", false, "169.254.169.254 is a link-local address"),
            ("http://[fe80::1]/", true, "link-local"),
            ("http://[::ffff:169.254.169.254]/", true, "link-local"),
            ("ftp://example.com/", true, "begins with `ftp:`"),
            ("not an address", true, "the address is no URL"),
            ("https://", false, "the address is no URL: empty host"),
        ] {
            let why = parsed(text, insecure).unwrap_err();
            assert!(why.contains(wanted) && !why.contains("s3cret"), "{text}: {why}");
        }
        assert!(refused("169.254.169.254".parse().unwrap(), false).is_some());
        assert!(refused("198.51.100.7".parse().unwrap(), true).is_some());
        assert!(refused("198.51.100.7".parse().unwrap(), false).is_none());
    }
}
