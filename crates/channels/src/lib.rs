//! Ways to reach people: webhooks, Slack, Teams, PagerDuty, e-mail, Statuspage, and the texts that they get.
//!
//! A notice goes out in one try at a time: whether it is tried again, and when, is the engine's to decide, by what a try answers.
//! Nothing is kept between tries. Secrets are looked up for each try and shown nowhere; redirects are never followed; what is
//! link-local is never reached, and plain HTTP goes to private addresses only, where the plan says so.

mod address;
mod email;
mod http;
mod mask;
mod pagerduty;
mod reach;
pub mod samples;
mod slack;
mod statuspage;
mod teams;
#[cfg(test)]
mod tests;
mod texts;
mod way;
mod webhook;

use std::sync::Arc;

use belay_local::permit::{Gate, Reach};
use belay_plan::{
    catalogue::ChannelSpec,
    notify::{NoticeKind, Notify},
};
use belay_ports::{Channel, Clock};
pub use texts::{Texts, check_text};

use crate::{
    email::Email,
    http::Http,
    way::{Sender, Shared, Way},
};

/// Finds the channels by their key in the plan.
pub struct Channels {
    shared: Arc<Shared>,
    email: Email,
}

impl Channels {
    /// `gate`: which secrets may be sent where.
    pub fn new(clock: Arc<dyn Clock>, gate: Gate) -> Self {
        let shared = Shared { clock, secrets: gate.secrets(), gate, http: Http::default(), roots: Vec::new() };
        Self { shared: Arc::new(shared), email: Email::default() }
    }

    /// The specs of all channels, for the catalogue.
    pub fn specs() -> Vec<ChannelSpec> {
        vec![slack::spec(), teams::spec(), pagerduty::spec(), email::spec(), statuspage::spec(), webhook::spec()]
    }

    /// Which secrets the channels of a plan send, and where.
    pub fn reaches(notify: &Notify) -> Vec<Reach> {
        notify.channels.iter().flat_map(|(name, channel)| reach::of(name, channel)).collect()
    }

    /// What channels of a kind can be told of.
    fn events(kind: &str) -> Vec<NoticeKind> {
        Self::specs().into_iter().find(|spec| spec.key == kind).map(|spec| spec.events).unwrap_or_default()
    }

    /// TLS with a certificate authority beside those of this host.
    #[cfg(test)]
    fn trusting(self, roots: &[Vec<u8>]) -> Self {
        let shared = Arc::into_inner(self.shared).expect("nobody shares it yet");
        let certificate = |der: &Vec<u8>| reqwest::Certificate::from_der(der).expect("a certificate");
        let http = Http::trusting(roots.iter().map(certificate).collect());
        Self { shared: Arc::new(Shared { http, roots: roots.to_vec(), ..shared }), ..self }
    }

    fn sender<W: Way>(&self, way: W) -> Arc<dyn Channel> {
        Arc::new(Sender { way, shared: Arc::clone(&self.shared) })
    }
}

impl belay_ports::Channels for Channels {
    fn channel(&self, kind: &str) -> Option<Arc<dyn Channel>> {
        Some(match kind {
            slack::KEY => self.sender(slack::Slack),
            teams::KEY => self.sender(teams::Teams),
            pagerduty::KEY => self.sender(pagerduty::PagerDuty),
            email::KEY => self.sender(self.email.clone()),
            statuspage::KEY => self.sender(statuspage::Statuspage),
            webhook::KEY => self.sender(webhook::Webhook),
            _ => return None,
        })
    }
}
