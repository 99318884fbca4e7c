//! `email`: SMTP with TLS and a login. The Message-ID comes from the notice's key, so that a doubled mail is recognised as one.

mod message;
mod smtp;
mod stream;

#[cfg(test)]
pub(crate) use self::message::html;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use belay_core::notice::REFUSED_FOR;
use belay_plan::{
    catalogue::{ChannelSpec, Finding},
    shape::{field, filled_list, object, pattern, secret},
};
use belay_ports::{NotSent, Notice};
use lettre::message::Mailbox;
use serde_json::Value;

use self::smtp::{Outcome, Server};
use crate::{
    address::check_secret,
    texts::{Markup, Text},
    way::{Entry, Faults, Shared, Way, at, both, in_secret, later, never},
};

pub(crate) const KEY: &str = "email";
/// Where the entry names the secret that holds the server's URL.
const SMTP: &str = "/email/smtp";

/// For more recipients a plan names a mailing list.
const RECIPIENTS_MAX: usize = 50;
/// The number of notices for which `taken` is kept.
const PARTLY_SENT_MAX: usize = 1000;

pub(crate) fn spec() -> ChannelSpec {
    let address =
        || pattern("an address, such as `cto@example.com` or `Belay <belay@example.com>`", "^[^\\r\\n]*@[^\\r\\n]*$");
    ChannelSpec {
        key: KEY,
        summary: "A mail.",
        value: object([
            field("to", filled_list(address()), "Who gets it."),
            field("from", address(), "Who it comes from."),
            field("smtp", secret(), "Where a URL is: `smtp://USER:PASSWORD@HOST:587` (STARTTLS), or `smtps://...`."),
        ]),
        siblings: vec![
            field(
                "insecure",
                belay_plan::shape::boolean(),
                "Whether a connection without TLS will do: to private addresses without a login, and to this host.",
            )
            .or(false),
        ],
        events: crate::texts::kinds(KEY),
        check,
    }
}

fn check(spec: &Value) -> Vec<Finding> {
    let mail = &spec[KEY];
    let mut findings = check_secret(spec, &[SMTP]);
    let to = mail["to"].as_array().into_iter().flatten().enumerate();
    let all =
        to.map(|(index, value)| (format!("/{KEY}/to/{index}"), value)).chain([(format!("/{KEY}/from"), &mail["from"])]);
    for (pointer, value) in all {
        if let Some(Err(why)) = value.as_str().map(mailbox) {
            findings.push(Finding::new(pointer, why).help("write it as `cto@example.com` or `Name <cto@example.com>`"));
        }
    }
    if mail["to"].as_array().is_some_and(|to| to.len() > RECIPIENTS_MAX) {
        let message = format!("there are more than {RECIPIENTS_MAX} recipients");
        findings.push(Finding::new(format!("/{KEY}/to"), message).help("name a mailing list"));
    }
    findings
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    let mailbox: Mailbox = text.parse().map_err(|error| format!("`{text}` is no mail address: {error}"))?;
    match mailbox.email.to_string().is_ascii() {
        true => Ok(mailbox),
        false => Err(format!("`{text}` has letters in its address that not every server knows")),
    }
}

/// Sends mails. `taken` holds the recipients who have received a notice that others have not, by its key. After a restart
/// at most one mail is sent twice, under the same Message-ID.
#[derive(Clone, Default)]
pub(crate) struct Email {
    taken: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
}

pub(crate) struct Target {
    server: Server,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Way for Email {
    const KEY: &'static str = KEY;
    const MARKUP: Markup = Markup::None;
    type Target = Target;

    async fn open(&self, entry: Entry<'_>) -> Result<Target, Faults> {
        let mail = &entry.spec[KEY];
        let of = |value: &Value| mailbox(value.as_str().unwrap_or_default());
        let to = mail["to"].as_array().into_iter().flatten().map(of).collect::<Result<_, _>>().map_err(at("/email/to"));
        let people = both(to, of(&mail["from"]).map_err(at("/email/from")));
        let server = async {
            let url = entry.secret(SMTP).await?;
            let server = Server::parse(&url, entry.is_insecure()).map_err(in_secret(SMTP))?;
            entry.permit(&[SMTP], server.host())?;
            Ok(server)
        };
        let ((to, from), server) = both(people, server.await)?;
        Ok(Target { server, from, to })
    }

    async fn deliver(&self, shared: &Shared, target: Target, notice: &Notice, text: Text) -> Result<String, NotSent> {
        let Target { server, from, to } = target;
        let message = message::of(&from, &to, shared.clock.now(), notice, &text).map_err(never)?;
        let had = self.taken().get(&notice.key).cloned().unwrap_or_default();
        let open: Vec<_> = to.into_iter().map(|to| to.email).filter(|to| !had.contains(&to.to_string())).collect();
        let outcome = server.send(&shared.roots, from.email, open, &message).await?;
        self.judge(&notice.key, outcome)
    }
}

impl Email {
    fn taken(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Some recipients may have been refused.
    fn judge(&self, key: &str, outcome: Outcome) -> Result<String, NotSent> {
        let Outcome { said, taken, refused, postponed } = outcome;
        let mut all = self.taken();
        if postponed.is_empty() {
            let had = all.remove(key).unwrap_or_default();
            let not = if refused.is_empty() { String::new() } else { format!("{REFUSED_FOR}{}", refused.join(", ")) };
            return match taken.is_empty() && had.is_empty() {
                true => Err(never(format!("all recipients were refused: {}", refused.join(", ")))),
                false => Ok(format!("{said}{not}")),
            };
        }
        if !taken.is_empty() {
            while all.len() >= PARTLY_SENT_MAX {
                all.pop_first();
            }
            all.entry(key.to_owned()).or_default().extend(taken);
        }
        Err(later(format!("postponed for {}", postponed.join(", "))))
    }
}
