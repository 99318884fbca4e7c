//! Notices through AWS: `sns` and `event_bus`.

mod bus;
mod topic;

use std::{future::Future, sync::Arc, time::Duration};

use belay_core::input::ErrorClass;
use belay_plan::{
    catalogue::ChannelSpec,
    model::{AwsTarget, Name},
    notify::Notify,
};
use belay_ports::{ApplyError, Channel, Clock, Fut, NotSent, Notice, Permission, PlainText, Retry, Texts};
use futures::future::{Either, select};
use serde_json::Value;

use self::{bus::Bus, topic::Topic};
use crate::session::{Aws, Clients};

/// One try; a little less than [`belay_ports::channel::SEND_TIME_MAX`].
const TRY_TIME_MAX: Duration = Duration::from_secs(25);

/// The channels that plans may use.
pub fn specs() -> Vec<ChannelSpec> {
    vec![topic::spec(), bus::spec()]
}

/// The channels over one [`Aws`]. A session that may only read sends no notice either.
#[derive(Clone)]
pub struct AwsChannels {
    aws: Aws,
    clock: Arc<dyn Clock>,
    texts: Arc<dyn Texts>,
}

impl AwsChannels {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>, texts: Arc<dyn Texts>) -> Self {
        Self { aws, clock, texts }
    }
}

impl belay_ports::Channels for AwsChannels {
    fn channel(&self, kind: &str) -> Option<Arc<dyn Channel>> {
        let all = self.clone();
        Some(match kind {
            topic::KEY => Arc::new(Sender { all, way: Topic }),
            bus::KEY => Arc::new(Sender { all, way: Bus }),
            _ => return None,
        })
    }
}

/// One service that takes notices.
trait Way: Send + Sync + 'static {
    const KEY: &'static str;
    /// The IAM action.
    const CALL: &'static str;

    /// `arn`: where to. Answers what is for the record.
    fn deliver(
        &self,
        clients: &Clients,
        arn: &str,
        notice: &Notice,
        text: &PlainText,
        data: &Value,
    ) -> impl Future<Output = Result<String, NotSent>> + Send;
}

struct Sender<W> {
    all: AwsChannels,
    way: W,
}

/// Where a channel of a plan leads.
struct Entry {
    arn: String,
    /// Of the plan, in the region of the ARN.
    target: AwsTarget,
}

impl<W: Way> Sender<W> {
    fn entry(notify: &Notify, channel: &str) -> Option<Entry> {
        let channel = notify.channels.get(channel)?;
        let arn = channel.spec[W::KEY].as_str()?.to_owned();
        let region = arn.split(':').nth(3).filter(|region| !region.is_empty()).map(ToOwned::to_owned);
        Some(Entry { arn, target: AwsTarget { region, ..channel.aws.clone() } })
    }

    async fn open(&self, notify: &Notify, channel: &str) -> Result<(Entry, Arc<Clients>), NotSent> {
        let unknown = || NotSent { why: format!("the plan has no channel {channel}"), retry: Retry::Never };
        let entry = Self::entry(notify, channel).ok_or_else(unknown)?;
        let clients = self.all.aws.clients(&entry.target).await.map_err(|error| not_sent(error.into()))?;
        Ok((entry, clients))
    }

    async fn within<T>(&self, operation: impl Future<Output = Result<T, NotSent>>) -> Result<T, NotSent> {
        match select(std::pin::pin!(operation), self.all.clock.sleep(TRY_TIME_MAX)).await {
            Either::Left((done, _)) => done,
            Either::Right(((), _)) => {
                let why = format!("{}: no answer within {} s", W::CALL, TRY_TIME_MAX.as_secs());
                Err(NotSent { why, retry: Retry::Later { after: None } })
            }
        }
    }
}

impl<W: Way> Channel for Sender<W> {
    fn send<'a>(&'a self, notice: &'a Notice) -> Fut<'a, Result<String, NotSent>> {
        let sending = async {
            let text = self.all.texts.plain(W::KEY, notice);
            let flaw =
                text.as_ref().err().map(|why| format!("; with the built-in text, since {why}")).unwrap_or_default();
            let text = text.unwrap_or_else(|_| self.all.texts.plain_or_built_in(W::KEY, notice));
            let data = self.all.texts.data(notice, &text);
            let (entry, clients) = self.open(&notice.notify, &notice.channel).await?;
            let sent = self.way.deliver(&clients, &entry.arn, notice, &text, &data).await?;
            Ok(format!("{sent}{flaw}"))
        };
        Box::pin(self.within(sending))
    }

    fn preview(&self, notice: &Notice) -> Result<String, String> {
        let text = self.all.texts.plain(W::KEY, notice)?;
        Ok(format!("{}\n\n{}", text.title, text.body))
    }

    fn permissions(&self, notify: &Notify, channel: &str) -> Vec<Permission> {
        let permission = |entry: Entry| Permission {
            action: W::CALL.to_owned(),
            resource: entry.arn,
            mutates: true,
            conditions: Vec::new(),
        };
        Self::entry(notify, channel).map(permission).into_iter().collect()
    }

    fn usable<'a>(&'a self, notify: &'a Notify, channel: &'a Name) -> Fut<'a, Result<(), String>> {
        Box::pin(async move { self.within(self.open(notify, channel)).await.map(drop).map_err(|error| error.why) })
    }
}

/// Whether a failed call is tried again. It may have arrived: the notice's key identifies it.
fn not_sent(error: ApplyError) -> NotSent {
    let (why, retry) = match error {
        ApplyError::NoEffect { why, class: ErrorClass::Permanent } => (why, Retry::Never),
        ApplyError::NoEffect { why, .. } | ApplyError::OutcomeUnknown { why } | ApplyError::Declined { why, .. } => {
            (why, Retry::Later { after: None })
        }
    };
    NotSent { why, retry }
}

#[cfg(test)]
mod tests;
