//! Signals that ask the network itself: `http`, `tcp`, `dns`. They need no AWS permission.
//!
//! Two kinds of failure are kept apart. What the *service* does (it refuses the connection, it does not answer in time, it
//! answers something else) is evidence about the service: **unhealthy**. What goes wrong on *this host* before the
//! service is even asked (its name cannot be resolved here, a DNS server does not answer) says nothing about the
//! service: **unknown**, and the source counts as unreadable. All probes of a host share one source, so that a host that
//! has lost its network looks blind, not like an outage.

pub mod dns;
pub mod http;
mod outcome;
pub mod tcp;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;

use belay_local::secrets::Secrets;
use belay_plan::catalogue::SignalSpec;
use belay_ports::{Clock, Sensor};
use dns::Dns;
use http::Http;
use tcp::Tcp;
use tls::Tls;

/// Finds the probes by their key in the plan.
pub struct Probes {
    clock: Arc<dyn Clock>,
    tls: Arc<Tls>,
    secrets: Secrets,
}

impl Probes {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tls: Arc::default(), secrets: Secrets::default() }
    }

    /// The specs of all probes, for the catalogue.
    pub fn specs() -> [SignalSpec; 3] {
        [http::signal_spec(), tcp::signal_spec(), dns::signal_spec()]
    }
}

impl belay_ports::Sensors for Probes {
    fn sensor(&self, kind: &str) -> Option<Arc<dyn Sensor>> {
        let (clock, tls) = (Arc::clone(&self.clock), Arc::clone(&self.tls));
        match kind {
            http::KEY => Some(Arc::new(Http::new(clock, tls, self.secrets.clone()))),
            tcp::KEY => Some(Arc::new(Tcp::new(clock, tls))),
            dns::KEY => Some(Arc::new(Dns::new(clock))),
            _ => None,
        }
    }
}
