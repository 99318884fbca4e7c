//! Which secrets a channel sends to which host, as far as the plan shows it. Arming compares it with the lists of the
//! configuration; each try is compared again, with the host that the secret contains.

use belay_local::{
    permit::{Reach, What},
    secrets::Reference,
};
use belay_plan::notify::Channel;
use serde_json::Value;

use crate::{email, pagerduty, slack, statuspage, teams, webhook};

/// Of one channel.
pub(crate) fn of(name: &str, channel: &Channel) -> Vec<Reach> {
    let spec = &channel.spec;
    let notifies = |texts: &[&Value]| -> Vec<What> {
        texts.iter().filter_map(|text| Some(What::Notifies { secret: Reference::parse(text.as_str()?)? })).collect()
    };
    let sends = |text: &Value, host: Option<String>| -> Vec<What> {
        let secret = text.as_str().and_then(Reference::parse);
        secret.zip(host).map(|(secret, host)| What::Sends { secret, host }).into_iter().collect()
    };
    let whats = match channel.kind.as_str() {
        slack::KEY => notifies(&[&spec[slack::KEY]]),
        webhook::KEY => notifies(&[&spec[webhook::KEY], &spec["secret"]]),
        teams::KEY => notifies(&[&spec[teams::KEY]]),
        pagerduty::KEY => sends(&spec[pagerduty::KEY], pagerduty::host(spec)),
        email::KEY => notifies(&[&spec[email::KEY]["smtp"]]),
        statuspage::KEY => sends(&spec[statuspage::KEY]["key"], statuspage::host(spec)),
        _ => Vec::new(),
    };
    whats.into_iter().map(|what| Reach { by: format!("channel {name}"), what }).collect()
}
