//! `http`: whether a page answers as it should.
//!
//! Each read makes a new connection: a kept one would go on reaching a server that new visitors no longer get to.
//! Redirects are answers like any other (`status: 301`), and proxies of the environment are not used: the probe
//! stands for a visitor of exactly this URL.

use std::{
    collections::HashMap,
    error::Error,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use belay_core::reading::Reading;
use belay_plan::{
    catalogue::SignalSpec,
    duration::{format as duration_format, text as duration_text},
    shape::{duration, field, filled_list, integer, object, one_of, pattern, text},
};
use belay_ports::{Clock, Fut, Permission, Sensor, sensor::Query};
use reqwest::{
    Client, Url,
    dns::{Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::CertificateError;
use serde::Deserialize;

use crate::{
    outcome::{Deadline, Outcome, chain, check_timeout, read_all},
    tcp::resolve,
};

pub(crate) const KEY: &str = "http";

/// How much of a body is searched for `body_contains`.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What `http` takes.
pub fn signal_spec() -> SignalSpec {
    let status = || integer(100, 599);
    SignalSpec {
        key: KEY,
        summary: "What a URL answers.",
        value: object([
            field(
                "url",
                pattern("an http or https URL, such as `https://www.example.com/health`", "^https?://[^\\s/]+.*$"),
                "The URL to get; redirects are not followed.",
            ),
            field(
                "status",
                one_of("a status, or a list of them", [status(), filled_list(status())]),
                "The healthy ones.",
            )
            .or(200),
            field("body_contains", text("a text"), "What the first 64 KiB of the body have to contain.").optional(),
            field("timeout", duration(), "How long to wait for the answer, at most 10s.").or("5s"),
        ]),
        siblings: Vec::new(),
        check: |spec| check_timeout(spec, KEY),
    }
}

/// Sends a GET, and compares status and body.
pub struct Http {
    clock: Arc<dyn Clock>,
    addresses: Addresses,
    /// Or why there is none.
    client: Result<Client, String>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    url: String,
    status: Wanted,
    body_contains: Option<String>,
    #[serde(with = "duration_text")]
    timeout: Duration,
}

/// The healthy statuses.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Wanted {
    One(u16),
    AnyOf(Vec<u16>),
}

impl Wanted {
    fn statuses(&self) -> &[u16] {
        match self {
            Self::One(status) => std::slice::from_ref(status),
            Self::AnyOf(statuses) => statuses,
        }
    }
}

/// What a page answered.
struct Answer {
    status: u16,
    /// At most [`BODY_BYTES_MAX`] of it.
    body: Vec<u8>,
}

impl Http {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let addresses = Addresses::default();
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .dns_resolver(addresses.clone())
            .user_agent(concat!("belay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| chain(&error));
        Self { clock, addresses, client }
    }

    async fn probe(&self, spec: Spec) -> Outcome {
        let url = match Url::parse(&spec.url) {
            Ok(url) => url,
            Err(why) => {
                return Outcome::Unreadable(format!("the signal's URL cannot be understood: {why}"));
            }
        };
        let page = shown(&url);
        let client = match &self.client {
            Ok(client) => client,
            Err(why) => {
                return Outcome::Unreadable(format!("GET {page} was not sent: TLS could not be set up: {why}"));
            }
        };
        let began = self.clock.monotonic();
        let mut deadline = Deadline::new(&*self.clock, spec.timeout);
        let limit = duration_format(spec.timeout);
        match deadline.run(self.addresses.learn(&url)).await {
            Some(Ok(())) => (),
            Some(Err(why)) => {
                return Outcome::Unreadable(format!(
                    "GET {page} was not sent: the host could not be resolved here: {why}"
                ));
            }
            None => {
                return Outcome::Unreadable(format!(
                    "GET {page} was not sent: the host could not be resolved here within {limit}"
                ));
            }
        }
        match deadline.run(get(client, &url, &spec)).await {
            Some(Ok(answer)) => {
                let took_ms = self.clock.monotonic().saturating_sub(began).as_millis();
                judge(&spec, &answer, &format!("GET {page} answered {} in {took_ms} ms", answer.status))
            }
            Some(Err(error)) => failed(&page, error),
            None => Outcome::Unhealthy(format!("GET {page} was not answered within {limit}")),
        }
    }
}

async fn get(client: &Client, url: &Url, spec: &Spec) -> Result<Answer, reqwest::Error> {
    let mut response = client.get(url.clone()).send().await?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    if spec.status.statuses().contains(&status) && spec.body_contains.is_some() {
        while body.len() < BODY_BYTES_MAX
            && let Some(chunk) = response.chunk().await?
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(BODY_BYTES_MAX);
    }
    Ok(Answer { status, body })
}

fn judge(spec: &Spec, answer: &Answer, answered: &str) -> Outcome {
    let wanted = spec.status.statuses();
    if !wanted.contains(&answer.status) {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        return Outcome::Unhealthy(format!("{answered}, wanted {}", wanted.join(" or ")));
    }
    match &spec.body_contains {
        None => Outcome::Healthy(answered.to_owned()),
        Some(wanted) if String::from_utf8_lossy(&answer.body).contains(wanted) => {
            Outcome::Healthy(format!("{answered}, and its body contains `{wanted}`"))
        }
        Some(wanted) if answer.body.len() == BODY_BYTES_MAX => {
            Outcome::Unhealthy(format!("{answered}, but the first 64 KiB of its body do not contain `{wanted}`"))
        }
        Some(wanted) => Outcome::Unhealthy(format!("{answered}, but its body does not contain `{wanted}`")),
    }
}

/// A request that got no answer. Most of it is the service's doing; a TLS handshake that fails is only where the
/// certificate speaks against the service itself, since the trust store of this host may be the one at fault.
fn failed(page: &str, error: reqwest::Error) -> Outcome {
    let error = error.without_url();
    let why = chain(&error);
    match tls_error(&error) {
        Some(rustls::Error::InvalidCertificate(verdict)) if speaks_against_the_service(verdict) => {
            Outcome::Unhealthy(format!("GET {page} got a certificate that visitors refuse: {why}"))
        }
        Some(_) => Outcome::Unreadable(format!("GET {page} was not sent: no TLS connection: {why}")),
        None => Outcome::Unhealthy(format!("GET {page} was not answered: {why}")),
    }
}

/// Whether every visitor sees the same, whatever their trust store holds.
fn speaks_against_the_service(verdict: &CertificateError) -> bool {
    matches!(
        verdict,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
            | CertificateError::Revoked
    )
}

/// The TLS error at the bottom of a failed request; an `io::Error` hides what it wraps from `source`.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error
        .downcast_ref::<rustls::Error>()
        .or_else(|| wrapped.and_then(|inner| tls_error(inner)))
        .or_else(|| error.source().and_then(tls_error))
}

/// A URL as evidence may show it: without a password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// The addresses of the hosts, resolved before the request is sent: so that a name that this host cannot resolve is
/// never mistaken for a service that does not answer.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Addresses {
    async fn learn(&self, url: &Url) -> Result<(), String> {
        let host = url.host_str().ok_or("the URL has no host")?;
        let port = url.port_or_known_default().ok_or("the URL has no port")?;
        let found = resolve(&format!("{host}:{port}")).await?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), found);
        Ok(())
    }
}

impl Resolve for Addresses {
    fn resolve(&self, name: Name) -> Resolving {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name.as_str()).cloned();
        Box::pin(async move {
            match known {
                Some(addresses) => Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs),
                None => Err(format!("{} was not resolved beforehand", name.as_str()).into()),
            }
        })
    }
}

impl Sensor for Http {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(read_all(&*self.clock, queries, KEY, |spec| self.probe(spec)))
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_verdict_that_every_visitor_shares_speaks_against_the_service() {
        assert!(speaks_against_the_service(&CertificateError::Expired));
        assert!(speaks_against_the_service(&CertificateError::NotValidForName));
        assert!(!speaks_against_the_service(&CertificateError::UnknownIssuer));
        // The clock of this host may be wrong.
        assert!(!speaks_against_the_service(&CertificateError::NotValidYet));
    }

    #[test]
    fn a_tls_error_is_found_inside_of_io_errors() {
        let bottom = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, bottom.clone()));
        assert_eq!(tls_error(&wrapped), Some(&bottom));
        assert_eq!(tls_error(&io::Error::other("something else")), None);
    }
}
