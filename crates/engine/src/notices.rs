//! The notices that are being sent, held against what the state wants to be told. They are beside everything else: no look and no
//! send of a step waits for one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    panic::AssertUnwindSafe,
    time::Duration,
};

use belay_core::{
    id::NoticeId,
    input::{Input, NotSent, Retry},
    notice::{Facts, URGENT_AT_ONCE, Waiting},
    wants::Wants,
};
use belay_plan::{
    PlanPlaces, below,
    model::{Name, Plan},
};
use belay_ports::{ChannelFault, Notice, Ports, Usable, channel::SEND_TIME_MAX};
use futures::FutureExt;
use jiff::Timestamp;
use tokio::task::{Id, JoinSet};

use crate::{handle::Snapshot, view::RunView};

struct UnderWay {
    notice: NoticeId,
    channel: Name,
    fresh: bool,
    since: Duration,
}

/// What is urgent waits so long for the answer to what is on its way to the same channel: an order that is kept reads better. Then it
/// is sent beside it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is on its way to one channel.
#[derive(Default)]
struct Busy {
    fresh: usize,
    /// When the last of it was sent.
    last: Option<Duration>,
}

impl Busy {
    fn add(&mut self, fresh: bool, since: Duration) {
        self.fresh += usize::from(fresh);
        self.last = self.last.max(Some(since));
    }

    /// How long a further notice waits; none: until there is an answer, since what is tried next follows from that.
    fn wait(&self, fresh: bool, now: Duration) -> Option<Duration> {
        let Some(last) = self.last else { return Some(Duration::ZERO) };
        (fresh && self.fresh < URGENT_AT_ONCE).then(|| PATIENCE.saturating_sub(now.saturating_sub(last)))
    }
}

/// Dropping it stops all tries, as a crash would: the next start sends again, under the same keys.
pub(crate) struct Notices {
    ports: Ports,
    under_way: HashMap<Id, UnderWay>,
    begun: BTreeSet<NoticeId>,
    set: JoinSet<Result<String, NotSent>>,
    /// When the next one that waits for its time is to be sent.
    wake: Option<Timestamp>,
}

impl Notices {
    pub(crate) fn new(ports: Ports) -> Self {
        Self { ports, under_way: HashMap::new(), begun: BTreeSet::new(), set: JoinSet::new(), wake: None }
    }

    /// Begins to send what is newly wanted and due. What is being sent is never stopped: its answer matters.
    pub(crate) fn reconcile(&mut self, wants: &Wants, snapshot: &Snapshot, now: Timestamp) {
        self.wake = None;
        let began = self.ports.clock.monotonic();
        let mut lanes: BTreeMap<Name, Busy> = BTreeMap::new();
        for before in self.under_way.values() {
            lanes.entry(before.channel.clone()).or_default().add(before.fresh, before.since);
        }
        for wanted in &wants.notices {
            // A notice that was renewed on its way goes out again after its answer.
            if self.begun.contains(wanted) {
                continue;
            }
            let Some(waiting) = snapshot.state.outbox.waiting.get(wanted) else { continue };
            let busy = lanes.entry(waiting.channel.clone()).or_default();
            let Some(wait) = busy.wait(waiting.is_fresh(), began) else { continue };
            let at = waiting.again_at.max(now.saturating_add(wait).unwrap_or(now));
            if at > now {
                self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
                continue;
            }
            let channels = snapshot.state.plan.as_ref().map(|plan| &plan.notify.channels);
            let kind = channels.and_then(|known| known.get(&waiting.channel)).map(|channel| channel.kind.clone());
            let task = self.set.spawn(send(self.ports.clone(), notice(wanted, waiting, snapshot, now), kind));
            let (channel, fresh) = (waiting.channel.clone(), waiting.is_fresh());
            busy.add(fresh, began);
            self.under_way.insert(task.id(), UnderWay { notice: wanted.clone(), channel, fresh, since: began });
            self.begun.insert(wanted.clone());
        }
    }

    /// Something that has waited for its time is to be sent by now.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.wake.is_some_and(|wake| wake <= now)
    }

    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    pub(crate) fn is_sending(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// The next answer; never, while nothing is being sent.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            let Some(joined) = self.set.join_next_with_id().await else { return std::future::pending().await };
            let (id, result) = match joined {
                Ok((id, result)) => (id, result),
                Err(error) => (error.id(), Err(failed_inside())),
            };
            if let Some(UnderWay { notice, .. }) = self.under_way.remove(&id) {
                self.begun.remove(&notice);
                return Input::Noticed { notice, result };
            }
        }
    }
}

/// The channels of a plan of which a person is told before the night, each with the place in the plan and the reason. Nothing is
/// sent.
#[derive(Debug, Default)]
pub(crate) struct Doubtful {
    /// They could not be used now.
    pub(crate) unusable: Vec<String>,
    /// It is not known whether what they lead to is there.
    pub(crate) unknown: Vec<String>,
}

pub(crate) async fn doubtful(ports: &Ports, plan: &Plan, places: &PlanPlaces) -> Doubtful {
    let mut found = Doubtful::default();
    for (name, usable) in usable(ports, plan).await {
        match usable {
            Ok(Usable::Exists | Usable::Unasked) => {}
            Ok(Usable::Unknown(why)) => {
                let entry = below(&below("/notify", &name), &plan.notify.channels[&name].kind);
                let place = places.value(&entry);
                let why = format!("channel {name}: it is not known whether what it leads to exists: {why}");
                found.unknown.push(format!("{place}: {why}"));
            }
            Err(faults) => found.unusable.extend(faults.into_iter().map(|fault| {
                let place = place_of(&name, &fault, places);
                format!("{place}: channel {name} cannot be used: {}", fault.why)
            })),
        }
    }
    found
}

/// Where the plan has what is wrong with a channel.
fn place_of(channel: &str, fault: &ChannelFault, places: &PlanPlaces) -> String {
    places.value(&format!("{}{}", below("/notify", channel), fault.pointer))
}

/// All that is wrong with a channel, each with its place.
pub(crate) fn placed(channel: &str, faults: &[ChannelFault], places: &PlanPlaces) -> String {
    let faults: Vec<String> =
        faults.iter().map(|fault| format!("{}: {}", place_of(channel, fault, places), fault.why)).collect();
    faults.join("; ")
}

/// Whether each channel of a plan could be used now. Nothing is sent.
pub(crate) async fn usable(ports: &Ports, plan: &Plan) -> Vec<(Name, Result<Usable, Vec<ChannelFault>>)> {
    let asked = plan.notify.channels.iter().map(|(name, channel)| async move {
        let found = match ports.channels.channel(&channel.kind) {
            None => {
                let why = format!("this Belay has no channel of the kind {}", channel.kind);
                Err(vec![ChannelFault::new(below("", &channel.kind), why)])
            }
            Some(found) => found.usable(&plan.notify, name).await,
        };
        (name.clone(), found)
    });
    futures::future::join_all(asked).await
}

fn failed_inside() -> NotSent {
    let why = "internal error: sending this notice panicked; see the daemon log".to_owned();
    NotSent { why, retry: Retry::Later { after: None } }
}

fn notice(id: &NoticeId, waiting: &Waiting, snapshot: &Snapshot, now: Timestamp) -> Notice {
    let state = &snapshot.state;
    let facts = Facts::clone(&waiting.facts);
    let run = facts.run.as_ref().and_then(|run| state.run.as_ref().filter(|present| present.id == run.id));
    let left_s = run.and_then(|run| RunView::measured_left(state, run, snapshot, now));
    let next = state.outbox.rungs.get(&waiting.channel).and_then(|rung| rung.next).filter(|_| state.incident.is_some());
    Notice {
        key: format!("belay-{}-{id}", state.name),
        channel: waiting.channel.clone(),
        facts,
        notify: state.plan.as_ref().map(|plan| plan.notify.clone()).unwrap_or_default(),
        expected_end: left_s.and_then(|left_s| now.checked_add(Duration::from_secs(left_s)).ok()),
        next_update: next,
        page: format!("belay status {}", state.name),
        test: false,
    }
}

async fn send(ports: Ports, notice: Notice, kind: Option<String>) -> Result<String, NotSent> {
    let never = |why: String| NotSent { why, retry: Retry::Never };
    let kind = kind.ok_or_else(|| never("the plan has no such channel any more".to_owned()))?;
    let channel =
        ports.channels.channel(&kind).ok_or_else(|| never(format!("this Belay has no channel of the kind {kind}")))?;
    tokio::select! {
        biased;
        sent = AssertUnwindSafe(channel.send(&notice)).catch_unwind() => sent.unwrap_or_else(|_| Err(failed_inside())),
        () = ports.clock.sleep(SEND_TIME_MAX) => {
            let why = format!("no answer within {} s", SEND_TIME_MAX.as_secs());
            Err(NotSent { why, retry: Retry::Later { after: None } })
        }
    }
}
