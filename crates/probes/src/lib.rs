//! Signals that ask the network itself: `http`, `tcp`, `dns`, and what stands in it: databases (`sql`, `sql_difference`),
//! `prometheus`. They need no AWS permission.
//!
//! Two kinds of failure are kept apart. What the *service* does (it refuses the connection, it does not answer in time, it
//! answers something else) is evidence about the service: **unhealthy**. What goes wrong on *this host* before the
//! service is even asked (its name cannot be resolved here, a DNS server does not answer) says nothing about the
//! service: **unknown**, and the source counts as unreadable. All probes of a host share one source, so that a host that
//! has lost its network looks blind, not like an outage.

pub mod dns;
pub mod http;
mod outcome;
pub mod prometheus;
mod reach;
pub mod sql;
pub mod tcp;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;

use belay_local::{
    permit::{Gate, Reach},
    secrets::Secrets,
};
use belay_plan::{catalogue::SignalSpec, model::Plan};
use belay_ports::{Clock, Sensor};
use dns::Dns;
use http::Http;
use prometheus::Prometheus;
use reach::Gated;
use sql::{Databases, Sql, SqlDifference};
use tcp::Tcp;
use tls::Tls;

/// Finds the probes by their key in the plan.
pub struct Probes {
    clock: Arc<dyn Clock>,
    tls: Arc<Tls>,
    secrets: Secrets,
    gate: Gate,
    databases: Databases,
}

impl Probes {
    /// `gate`: which secrets they may send where, and which hosts they may ask.
    pub fn new(clock: Arc<dyn Clock>, gate: Gate) -> Self {
        let secrets = gate.secrets();
        let databases = Databases::new(Arc::clone(&clock), secrets.clone(), gate.clone());
        Self { clock, tls: Arc::default(), secrets, gate, databases }
    }

    /// What the probes of a plan send where, and whom they ask.
    pub fn reaches(plan: &Plan) -> Vec<Reach> {
        let of = |(name, signal): (&String, &belay_plan::model::Signal)| reach::of(name, &signal.kind, &signal.spec);
        plan.signals.iter().flat_map(of).collect()
    }

    /// The specs of all probes, for the catalogue.
    pub fn specs() -> [SignalSpec; 6] {
        [
            http::signal_spec(),
            tcp::signal_spec(),
            dns::signal_spec(),
            sql::signal_spec(),
            sql::difference_spec(),
            prometheus::signal_spec(),
        ]
    }
}

impl belay_ports::Sensors for Probes {
    fn sensor(&self, kind: &str) -> Option<Arc<dyn Sensor>> {
        let (clock, tls) = (Arc::clone(&self.clock), Arc::clone(&self.tls));
        let sensor: Arc<dyn Sensor> = match kind {
            http::KEY => Arc::new(Http::new(clock, tls, self.secrets.clone())),
            prometheus::KEY => Arc::new(Prometheus::new(clock.clone(), Http::new(clock, tls, self.secrets.clone()))),
            tcp::KEY => Arc::new(Tcp::new(clock, tls)),
            dns::KEY => Arc::new(Dns::new(clock)),
            sql::KEY => Arc::new(Sql(self.databases.clone())),
            sql::DIFFERENCE_KEY => Arc::new(SqlDifference(self.databases.clone())),
            _ => return None,
        };
        Some(Arc::new(Gated { sensor, kind: kind.to_owned(), gate: self.gate.clone(), clock: self.clock.clone() }))
    }
}
