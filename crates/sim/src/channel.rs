//! People in the world, and what they were told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_plan::{model::Name, notify::Notify};
use belay_ports::{Channel, ChannelFault, Channels, Clock, Fut, NotSent, Notice, Permission, Retry, Usable};
use jiff::Timestamp;

/// How a channel behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    Takes,
    /// Takes it after so long.
    Slow(Duration),
    /// Does not take it now.
    Down,
    /// Asks to come again after so long.
    Busy(Duration),
    /// Takes it, and the answer is lost.
    Silent,
    /// Never takes it.
    Refuses,
    /// Never answers.
    Hangs,
}

/// One notice as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Got {
    pub at: Timestamp,
    pub notice: Notice,
}

/// What all channels of a world got.
pub struct Inbox {
    clock: Arc<dyn Clock>,
    receivers: Mutex<BTreeMap<Name, Receiver>>,
    got: Mutex<Vec<Got>>,
}

impl Inbox {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, receivers: Mutex::default(), got: Mutex::default() }
    }

    /// From now on the channel of this name behaves so.
    pub fn set(&self, channel: &str, receiver: Receiver) {
        lock(&self.receivers).insert(channel.to_owned(), receiver);
    }

    /// In the order in which they arrived.
    pub fn got(&self) -> Vec<Got> {
        lock(&self.got).clone()
    }

    fn take(&self, notice: &Notice) {
        lock(&self.got).push(Got { at: self.clock.now(), notice: notice.clone() });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every kind of channel.
pub struct SimChannels(pub(crate) Arc<Inbox>);

impl Channels for SimChannels {
    fn channel(&self, _kind: &str) -> Option<Arc<dyn Channel>> {
        Some(Arc::new(SimChannel(self.0.clone())))
    }
}

struct SimChannel(Arc<Inbox>);

impl Channel for SimChannel {
    fn send<'a>(&'a self, notice: &'a Notice) -> Fut<'a, Result<String, NotSent>> {
        let receiver = lock(&self.0.receivers).get(&notice.channel).copied().unwrap_or(Receiver::Takes);
        Box::pin(async move {
            let later = |why: &str, after| NotSent { why: why.to_owned(), retry: Retry::Later { after } };
            match receiver {
                Receiver::Takes => self.0.take(notice),
                Receiver::Slow(time) => {
                    self.0.clock.sleep(time).await;
                    self.0.take(notice);
                }
                Receiver::Down => return Err(later("the simulated receiver is down", None)),
                Receiver::Busy(after) => return Err(later("the simulated receiver is busy", Some(after))),
                Receiver::Silent => {
                    self.0.take(notice);
                    return Err(later("the answer was lost", None));
                }
                Receiver::Refuses => {
                    let why = "the simulated receiver refuses it".to_owned();
                    return Err(NotSent { why, retry: Retry::Never });
                }
                Receiver::Hangs => std::future::pending().await,
            }
            Ok("taken".to_owned())
        })
    }

    fn preview(&self, notice: &Notice) -> Result<String, String> {
        Ok(format!("{} of {}", notice.facts.kind, notice.facts.migration))
    }

    fn usable<'a>(&'a self, notify: &'a Notify, channel: &'a Name) -> Fut<'a, Result<Usable, Vec<ChannelFault>>> {
        let refuses = lock(&self.0.receivers).get(channel) == Some(&Receiver::Refuses);
        let pointer = notify.channels.get(channel).map(|entry| format!("/{}", entry.kind)).unwrap_or_default();
        let fault = || vec![ChannelFault::new(pointer, "the simulated receiver refuses it")];
        Box::pin(std::future::ready(if refuses { Err(fault()) } else { Ok(Usable::Unasked) }))
    }

    fn permissions(&self, _notify: &Notify, _channel: &str) -> Vec<Permission> {
        Vec::new()
    }
}
