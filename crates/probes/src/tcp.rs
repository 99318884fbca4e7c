//! `tcp`: whether something accepts connections at an address, and speaks TLS there.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use belay_core::reading::Reading;
use belay_plan::{
    catalogue::{Finding, SignalSpec, no_signal_findings},
    duration::{format as duration_format, text as duration_text},
    shape::{boolean, duration, field, object, one_of, pattern},
};
use belay_ports::{Clock, Fut, Permission, Sensor, sensor::Query};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::{
    outcome::{Deadline, Outcome, chain, check_timeout, read_all},
    tls::{self, Certificate, DaysLeft, Tls, days_left_field},
};

pub(crate) const KEY: &str = "tcp";

/// `HOST:PORT`
pub(crate) const ADDRESS: &str = "^([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}$";

/// What `tcp` takes.
pub fn signal_spec() -> SignalSpec {
    let tls = object([
        field(
            "server_name",
            pattern("a host's name", "^[A-Za-z0-9._-]+$"),
            "The name to ask for, which the certificate has to be for; left out: the address's host.",
        )
        .optional(),
        days_left_field(),
    ]);
    SignalSpec {
        key: KEY,
        summary: "Whether a port accepts connections.",
        value: object([
            field("address", pattern("HOST:PORT", ADDRESS), "Where to connect to."),
            field("timeout", duration(), "How long to wait for the connection, at most 10s.").or("5s"),
            field(
                "tls",
                one_of("true, or { server_name, certificate_days_left }", [boolean(), tls]),
                "Whether a TLS handshake has to succeed as well, with a certificate that this host trusts.",
            )
            .optional(),
        ]),
        siblings: Vec::new(),
        check: |spec| {
            let mut findings = check_timeout(spec, KEY);
            findings.extend(check_port(spec[KEY]["address"].as_str(), "/tcp/address"));
            let name = spec[KEY]["tls"]["server_name"].as_str();
            if name.is_some_and(|name| ServerName::try_from(name).is_err()) {
                findings.push(Finding::new("/tcp/tls/server_name", "this is no name that TLS can ask for"));
            }
            findings
        },
        remarks: no_signal_findings,
    }
}

/// Connects, and hangs up again without sending anything but a TLS handshake.
pub struct Tcp {
    clock: Arc<dyn Clock>,
    tls: Arc<Tls>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    address: String,
    #[serde(with = "duration_text")]
    timeout: Duration,
    #[serde(default)]
    tls: Wanted,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Wanted {
    Plain(bool),
    Tls { server_name: Option<String>, certificate_days_left: Option<DaysLeft> },
}

impl Default for Wanted {
    fn default() -> Self {
        Self::Plain(false)
    }
}

impl Tcp {
    pub(crate) fn new(clock: Arc<dyn Clock>, tls: Arc<Tls>) -> Self {
        Self { clock, tls }
    }

    async fn probe(&self, spec: Spec) -> Outcome {
        let Spec { address, timeout, tls } = spec;
        let began = self.clock.monotonic();
        let mut deadline = Deadline::new(&*self.clock, timeout);
        let found = match deadline.run(resolve(&address)).await {
            Some(Ok(found)) => found,
            Some(Err(why)) => {
                return Outcome::Unreadable(format!("{address} could not be resolved here: {why}"));
            }
            None => {
                let limit = duration_format(deadline.limit());
                return Outcome::Unreadable(format!("{address} could not be resolved here within {limit}"));
            }
        };
        let stream = match deadline.run(TcpStream::connect(&*found)).await {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => return Outcome::Unhealthy(format!("{address} did not accept a connection: {error}")),
            None => {
                let limit = duration_format(deadline.limit());
                return Outcome::Unhealthy(format!("{address} did not accept a connection within {limit}"));
            }
        };
        let took_ms = || self.clock.monotonic().saturating_sub(began).as_millis();
        let (server_name, days_left) = match tls {
            Wanted::Plain(false) => {
                return Outcome::Healthy(format!("{address} accepted a connection in {} ms", took_ms()));
            }
            Wanted::Plain(true) => (None, None),
            Wanted::Tls { server_name, certificate_days_left } => (server_name, certificate_days_left),
        };
        let certificate = match self.handshake(&mut deadline, &address, server_name, stream).await {
            Ok(certificate) => certificate,
            Err(outcome) => return outcome,
        };
        let accepted = format!("{address} accepted a connection with TLS in {} ms", took_ms());
        match tls::judge(certificate, days_left, self.clock.now()) {
            Ok(None) => Outcome::Healthy(accepted),
            Ok(Some(told)) => Outcome::Healthy(format!("{accepted}, and {told}")),
            Err(why) => Outcome::Unhealthy(format!("{accepted}, but {why}")),
        }
    }

    async fn handshake(
        &self,
        deadline: &mut Deadline<'_>,
        address: &str,
        server_name: Option<String>,
        stream: TcpStream,
    ) -> Result<Option<Certificate>, Outcome> {
        let unasked = |why: String| Outcome::Unreadable(format!("{address} was not asked for TLS: {why}"));
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = server_name.unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned());
        let name = ServerName::try_from(name).map_err(|error| unasked(error.to_string()))?;
        let connector = TlsConnector::from(Arc::new(self.tls.config().map_err(unasked)?));
        match deadline.run(connector.connect(name, stream)).await {
            Some(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
                Ok(certificates.first().and_then(|der| Certificate::of(der)))
            }
            Some(Err(error)) => Err(match tls::refusal(&error) {
                Some(refusal) if !refusal.is_of_the_service => {
                    Outcome::Unreadable(format!("{address} gave no TLS connection: {}", refusal.why))
                }
                Some(refusal) => Outcome::Unhealthy(format!("{address} gave no TLS connection: {}", refusal.why)),
                None => Outcome::Unhealthy(format!("{address} gave no TLS connection: {}", chain(&error))),
            }),
            None => {
                let limit = duration_format(deadline.limit());
                Err(Outcome::Unhealthy(format!("{address} gave no TLS connection within {limit}")))
            }
        }
    }
}

/// A port that there is not, at a key that holds `HOST:PORT`.
pub(crate) fn check_port(address: Option<&str>, pointer: &str) -> Option<Finding> {
    let port = address.and_then(|address| address.rsplit(':').next())?;
    let is_port = matches!(port.parse::<u16>(), Ok(1..));
    (!is_port).then(|| Finding::new(pointer, "there is no such port").help("ports go from 1 to 65535"))
}

/// All addresses of a `host:port`, never none.
pub(crate) async fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let found: Vec<SocketAddr> = lookup_host(address).await.map_err(|error| error.to_string())?.collect();
    if found.is_empty() { Err("the name has no address".to_owned()) } else { Ok(found) }
}

impl Sensor for Tcp {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(read_all(&*self.clock, queries, KEY, |spec| self.probe(spec)))
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}
