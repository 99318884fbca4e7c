//! `tcp`: whether something accepts connections at an address.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use belay_core::reading::Reading;
use belay_plan::{
    catalogue::{Finding, SignalSpec},
    duration::{format as duration_format, text as duration_text},
    shape::{duration, field, object, pattern},
};
use belay_ports::{Clock, Fut, Permission, Sensor, sensor::Query};
use serde::Deserialize;
use tokio::net::{TcpStream, lookup_host};

use crate::outcome::{Deadline, Outcome, check_timeout, read_all};

pub(crate) const KEY: &str = "tcp";

/// What `tcp` takes.
pub fn signal_spec() -> SignalSpec {
    SignalSpec {
        key: KEY,
        summary: "Whether a port accepts connections.",
        value: object([
            field(
                "address",
                pattern("HOST:PORT", "^([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}$"),
                "Where to connect to.",
            ),
            field("timeout", duration(), "How long to wait for the connection, at most 10s.").or("5s"),
        ]),
        siblings: Vec::new(),
        check: |spec| {
            let mut findings = check_timeout(spec, KEY);
            let port = spec[KEY]["address"].as_str().and_then(|address| address.rsplit(':').next());
            if port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..))) {
                findings.push(Finding::new("/tcp/address", "there is no such port").help("ports go from 1 to 65535"));
            }
            findings
        },
    }
}

/// Connects, and hangs up again without sending anything.
pub struct Tcp {
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    address: String,
    #[serde(with = "duration_text")]
    timeout: Duration,
}

impl Tcp {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    async fn probe(&self, spec: Spec) -> Outcome {
        let Spec { address, timeout } = spec;
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
        match deadline.run(TcpStream::connect(&*found)).await {
            Some(Ok(_)) => {
                let took_ms = self.clock.monotonic().saturating_sub(began).as_millis();
                Outcome::Healthy(format!("{address} accepted a connection in {took_ms} ms"))
            }
            Some(Err(error)) => Outcome::Unhealthy(format!("{address} did not accept a connection: {error}")),
            None => Outcome::Unhealthy(format!(
                "{address} did not accept a connection within {}",
                duration_format(deadline.limit())
            )),
        }
    }
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
