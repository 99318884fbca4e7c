//! Notices through AWS: `sns` and `event_bus`.

mod bus;
mod topic;

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use belay_aws_catalogue::channels::{EVENT_BUS, SNS};
use belay_core::input::ErrorClass;
use belay_plan::{
    model::{AwsTarget, Name},
    notify::Notify,
};
use belay_ports::{
    ApplyError, Channel, ChannelFault, Clock, Fut, NotSent, Notice, Permission, PlainText, Retry, Texts, Usable,
    channel::REFUSED_WAIT,
};
use futures::future::{Either, select};
use serde_json::Value;

use self::{bus::Bus, topic::Topic};
pub(crate) use self::{bus::SERVICE as EVENTBRIDGE, topic::SERVICE as TOPICS};
use crate::{
    errors,
    session::{Aws, Clients, SessionError},
};

/// One try; a little less than [`belay_ports::channel::SEND_TIME_MAX`].
const TRY_TIME_MAX: Duration = Duration::from_secs(25);

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
            SNS => Arc::new(Sender { all, way: Topic }),
            EVENT_BUS => Arc::new(Sender { all, way: Bus }),
            _ => return None,
        })
    }
}

/// One service that takes notices.
trait Way: Send + Sync + 'static {
    const KEY: &'static str;
    /// The IAM action.
    const CALL: &'static str;
    /// The IAM action that shows whether what an ARN names is there.
    const LOOK: &'static str;

    /// `arn`: where to. Answers what is for the record.
    fn deliver(
        &self,
        clients: &Clients,
        arn: &str,
        notice: &Notice,
        text: &PlainText,
        data: &Value,
    ) -> impl Future<Output = Result<String, NotSent>> + Send;

    /// Whether what the ARN names is there.
    fn look(&self, clients: &Clients, arn: &str) -> impl Future<Output = Result<Usable, String>> + Send;
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
        let unknown = || never(format!("the plan has no channel {channel}"));
        let entry = Self::entry(notify, channel).ok_or_else(unknown)?;
        let clients = self.all.aws.clients(&entry.target).await.map_err(without_clients)?;
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
        let Some(entry) = Self::entry(notify, channel) else { return Vec::new() };
        let permission = |action: &str, mutates| Permission {
            action: action.to_owned(),
            resource: entry.arn.clone(),
            mutates,
            conditions: Vec::new(),
        };
        vec![permission(W::CALL, true), permission(W::LOOK, false)]
    }

    fn usable<'a>(&'a self, notify: &'a Notify, channel: &'a Name) -> Fut<'a, Result<Usable, Vec<ChannelFault>>> {
        let looking = async {
            let (entry, clients) = self.open(notify, channel).await.map_err(|error| error.why)?;
            self.way.look(&clients, &entry.arn).await
        };
        Box::pin(async move {
            match select(std::pin::pin!(looking), self.all.clock.sleep(TRY_TIME_MAX)).await {
                // The entry is nothing but the ARN.
                Either::Left((found, _)) => found.map_err(|why| vec![ChannelFault::new(format!("/{}", W::KEY), why)]),
                Either::Right(((), _)) => {
                    Ok(Usable::Unknown(format!("{}: no answer within {} s", W::LOOK, TRY_TIME_MAX.as_secs())))
                }
            }
        })
    }
}

/// A call that looks whether a topic or a bus exists has failed. `missing`: the error code of one that does not.
fn not_found<E>(error: SdkError<E>, call: &str, arn: &str, missing: &str) -> Result<Usable, String>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let is_missing = errors::code(&error) == Some(missing);
    let why = errors::read(error, call, arn).why;
    match is_missing {
        true => Err(format!("{arn} does not exist: {why}")),
        false => Ok(Usable::Unknown(why)),
    }
}

/// Codes by which AWS refuses the request itself: the next one would be the same. All else that AWS refuses a person can mend during
/// the incident: a topic or a bus that is not there, a permission, a key, the credentials.
const SAME_AGAIN: [&str; 7] = [
    "InvalidArgument",
    "InvalidParameter",
    "InvalidParameterValue",
    "MalformedDetail",
    "ParameterValueInvalid",
    "ValidationError",
    "ValidationException",
];

/// Whether a call that AWS has answered is tried again. It may have arrived: the notice's key identifies it.
fn failed<E>(error: SdkError<E>, call: &str, arn: &str) -> NotSent
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let code = errors::code(&error).map(ToOwned::to_owned);
    match (errors::apply(error, call, arn), code) {
        (ApplyError::NoEffect { why, class: ErrorClass::Permanent }, Some(code)) => refused(&code, why),
        // It was not sent, and never will be: the guard, or a request that cannot be built.
        (ApplyError::NoEffect { why, class: ErrorClass::Permanent }, None) => never(why),
        (
            ApplyError::NoEffect { why, .. } | ApplyError::OutcomeUnknown { why } | ApplyError::Declined { why, .. },
            _,
        ) => NotSent { why, retry: Retry::Later { after: None } },
    }
}

fn refused(code: &str, why: String) -> NotSent {
    match SAME_AGAIN.contains(&code) {
        true => never(why),
        false => NotSent { why, retry: Retry::Later { after: Some(REFUSED_WAIT) } },
    }
}

fn never(why: String) -> NotSent {
    NotSent { why, retry: Retry::Never }
}

/// Credentials of another account: a person can mend them.
fn without_clients(error: SessionError) -> NotSent {
    let (why, after) = match ApplyError::from(error) {
        ApplyError::NoEffect { why, class: ErrorClass::Permanent } => (why, Some(REFUSED_WAIT)),
        other => (other.to_string(), None),
    };
    NotSent { why, retry: Retry::Later { after } }
}

#[cfg(test)]
mod tests;
