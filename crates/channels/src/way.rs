//! What all channels share: the secrets are looked up and the address is checked right before each try, within bounds of time
//! and of what is permitted.

use std::{future::Future, sync::Arc, time::Duration};

use belay_core::notice::REFUSED_FOR;
use belay_local::{
    permit::{Gate, Reach, What},
    secrets::{Reference, Secrets},
};
use belay_plan::{model::Name, notify::Notify};
use belay_ports::{
    Channel, ChannelFault, Clock, Fut, NotSent, Notice, Permission, Retry, Usable, channel::REFUSED_WAIT,
};
use futures::future::{Either, select};
use serde_json::Value;

use crate::{
    Channels,
    address::Address,
    http::Http,
    texts::{Markup, Text, Texts},
};

/// One try; a little less than [`belay_ports::channel::SEND_TIME_MAX`], so that the time-out is reported in time.
const TRY_TIME_MAX: Duration = Duration::from_secs(25);

/// What channels send with.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secrets: Secrets,
    pub(crate) gate: Gate,
    pub(crate) http: Http,
    /// Certificates beside those of the trust store, in DER.
    pub(crate) roots: Vec<Vec<u8>>,
}

/// One kind of channel.
pub(crate) trait Way: Send + Sync + 'static {
    const KEY: &'static str;
    const MARKUP: Markup;
    /// The address and the secrets that one try needs.
    type Target: Send;

    /// Looks up what a try needs, and checks it.
    ///
    /// # Errors
    /// Everything that is missing or wrong, not only the first.
    fn open(&self, entry: Entry<'_>) -> impl Future<Output = Result<Self::Target, Faults>> + Send;

    /// Sends the notice.
    fn deliver(
        &self,
        shared: &Shared,
        target: Self::Target,
        notice: &Notice,
        text: Text,
    ) -> impl Future<Output = Result<String, NotSent>> + Send;
}

/// A channel of a plan.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) name: &'a str,
    pub(crate) spec: &'a Value,
}

impl Entry<'_> {
    pub(crate) fn is_insecure(&self) -> bool {
        self.spec["insecure"] == true
    }

    /// The secret that the plan refers to at a pointer.
    pub(crate) async fn secret(&self, pointer: &'static str) -> Result<String, Faults> {
        let reference = self.spec.pointer(pointer).and_then(Value::as_str).and_then(Reference::parse);
        let no_reference = || at(pointer)("the channel names no secret (`env:NAME` or `file:path`)".to_owned());
        let reference = reference.ok_or_else(no_reference)?;
        // An older version may have armed the plan without this check.
        reference.check().map_err(at(pointer))?;
        // A file of secrets may be restored, so another try makes sense.
        self.shared.secrets.look_up(&reference).await.map_err(|why| vec![(pointer, later(why))])
    }

    /// Whether the plan's secrets may go to a host.
    pub(crate) fn permit(&self, pointers: &[&'static str], host: &str) -> Result<(), Faults> {
        let by = format!("channel {}", self.name);
        let judged = pointers.iter().filter_map(|pointer| {
            let secret = Reference::parse(self.spec.pointer(pointer)?.as_str()?)?;
            let what = What::Sends { secret, host: host.to_owned() };
            let why = self.shared.gate.judge(&Reach { by: by.clone(), what }).err()?;
            Some((*pointer, refused_for_now(why)))
        });
        let faults: Faults = judged.collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The address that is the secret at a pointer. All of `secrets` go there.
    pub(crate) async fn secret_address(
        &self,
        pointer: &'static str,
        secrets: &[&'static str],
    ) -> Result<Address, Faults> {
        let address = Address::parse(&self.secret(pointer).await?, self.is_insecure()).map_err(in_secret(pointer))?;
        self.permit(secrets, address.host())?;
        Ok(address)
    }

    /// A service's address, as the plan has it or else its own, with the secret at a pointer that goes there.
    pub(crate) async fn service(&self, own: &str, path: &str, key: &'static str) -> Result<(Address, String), Faults> {
        let base = self.spec["url"].as_str().unwrap_or(own).trim_end_matches('/');
        let address = Address::parse(&format!("{base}{path}"), self.is_insecure()).map_err(at("/url"));
        let address = address.and_then(|address| {
            self.permit(&[key], address.host())?;
            Ok(address)
        });
        both(address, self.secret(key).await)
    }
}

/// What keeps a channel from being used, each with the part of the channel's entry that is at fault, as a JSON pointer.
pub(crate) type Faults = Vec<(&'static str, NotSent)>;

/// Something is wrong at this pointer, and will be so at the next try.
pub(crate) fn at(pointer: &'static str) -> impl FnOnce(String) -> Faults {
    move |why| vec![(pointer, never(why))]
}

/// The secret at this pointer is not usable. It is looked up anew for each try, and a person may have corrected it by then.
pub(crate) fn in_secret(pointer: &'static str) -> impl FnOnce(String) -> Faults {
    move |why| vec![(pointer, refused_for_now(why))]
}

/// Both, or what is wrong with either.
pub(crate) fn both<A, B>(one: Result<A, Faults>, other: Result<B, Faults>) -> Result<(A, B), Faults> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(faults), Ok(_)) | (Ok(_), Err(faults)) => Err(faults),
        (Err(faults), Err(others)) => Err([faults, others].concat()),
    }
}

/// All of it as the result of one try.
fn together(faults: Faults) -> NotSent {
    let waits = faults.iter().map(|(_, fault)| match fault.retry {
        Retry::Never => None,
        Retry::Later { after } => Some(after),
    });
    let longest = waits.collect::<Option<Vec<_>>>().map(|waits| waits.into_iter().flatten().max());
    let retry = longest.map_or(Retry::Never, |after| Retry::Later { after });
    let why: Vec<String> = faults.into_iter().map(|(_, fault)| fault.why).collect();
    NotSent { why: why.join("; "), retry }
}

pub(crate) fn never(why: impl Into<String>) -> NotSent {
    NotSent { why: why.into(), retry: Retry::Never }
}

pub(crate) fn later(why: impl Into<String>) -> NotSent {
    NotSent { why: why.into(), retry: Retry::Later { after: None } }
}

/// The address and the key are looked up anew for each try.
pub(crate) fn refused_for_now(why: impl Into<String>) -> NotSent {
    NotSent { why: why.into(), retry: Retry::Later { after: Some(REFUSED_WAIT) } }
}

/// Implements the port for a kind of channel.
pub(crate) struct Sender<W> {
    pub(crate) way: W,
    pub(crate) shared: Arc<Shared>,
}

impl<W: Way> Sender<W> {
    async fn open(&self, notify: &Notify, channel: &str) -> Result<W::Target, Faults> {
        let found = notify.channels.get(channel);
        let found = found.ok_or_else(|| at("")(format!("the plan has no channel {channel}")))?;
        self.way.open(Entry { shared: &self.shared, name: channel, spec: &found.spec }).await
    }

    async fn within<T>(&self, operation: impl Future<Output = Result<T, NotSent>>) -> Result<T, NotSent> {
        let end = self.shared.clock.sleep(TRY_TIME_MAX);
        match select(std::pin::pin!(operation), end).await {
            Either::Left((done, _)) => done,
            Either::Right(((), _)) => Err(later(format!("no answer within {} s", TRY_TIME_MAX.as_secs()))),
        }
    }
}

impl<W: Way> Channel for Sender<W> {
    fn send<'a>(&'a self, notice: &'a Notice) -> Fut<'a, Result<String, NotSent>> {
        let sending = async {
            let kind = notice.facts.kind;
            if !Channels::events(W::KEY).contains(&kind) {
                return Err(never(format!(
                    "a channel of the kind `{}` is not told of `{kind}`: leave it out of `events`",
                    W::KEY
                )));
            }
            let text = Texts.text(W::KEY, W::MARKUP, notice);
            let flaw =
                text.as_ref().err().map(|why| format!("; with the built-in text, since {why}")).unwrap_or_default();
            let text = text.unwrap_or_else(|_| Texts.text_or_built_in(W::KEY, W::MARKUP, notice));
            let target = self.open(&notice.notify, &notice.channel).await.map_err(together)?;
            let sent = self.way.deliver(&self.shared, target, notice, text).await?;
            // Those who were refused come last.
            Ok(match sent.split_once(REFUSED_FOR) {
                Some((sent, refused)) => format!("{sent}{flaw}{REFUSED_FOR}{refused}"),
                None => format!("{sent}{flaw}"),
            })
        };
        Box::pin(self.within(sending))
    }

    fn preview(&self, notice: &Notice) -> Result<String, String> {
        let text = Texts.text(W::KEY, Markup::None, notice)?.plain();
        Ok(format!("{}\n\n{}", text.title, text.body))
    }

    fn permissions(&self, _notify: &Notify, _channel: &str) -> Vec<Permission> {
        Vec::new()
    }

    fn usable<'a>(&'a self, notify: &'a Notify, channel: &'a Name) -> Fut<'a, Result<Usable, Vec<ChannelFault>>> {
        let opening = async { Ok(self.open(notify, channel).await) };
        Box::pin(async move {
            let faults = match self.within(opening).await {
                Ok(Ok(_)) => return Ok(Usable::Unasked),
                Ok(Err(faults)) => faults,
                Err(late) => vec![("", late)],
            };
            Err(faults.into_iter().map(|(pointer, fault)| ChannelFault::new(pointer, fault.why)).collect())
        })
    }
}
