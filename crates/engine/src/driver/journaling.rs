//! The append, and what goes on while it is waited for: signals are still read, and whoever asks is told.

use std::{collections::BTreeMap, time::Duration};

use belay_core::{
    event::{Event, Record},
    reading::Reading,
};
use belay_plan::model::Name;
use belay_ports::{AppendError, NewRecord};
use futures::future::{self, Either};
use tokio::sync::oneshot;

use super::{Driver, Waiting};
use crate::handle::{CommandError, Fault, FaultPart, Message, SlowAppend};

/// How long to wait before asking a journal again that could not say what it holds; it doubles up to the second.
pub(super) const DOUBT_PAUSE: Duration = Duration::from_millis(250);
pub(super) const DOUBT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Who asked for something is told after about this long that the journal does not take it.
const DOUBT_PATIENCE: Duration = Duration::from_secs(2);

/// And after this long that it does not answer at all.
const HANG_PATIENCE: Duration = Duration::from_secs(5);

/// An append that takes longer is slow: a disk needs milliseconds.
const SLOW: Duration = Duration::from_secs(1);

/// Whoever could put nothing on record for longer than this has not acted at all, as if asleep: no send waits for so long.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Edges of one signal that are put by; of more, only the last reading.
const EDGES_MAX: usize = 16;

impl Driver {
    /// Appends until the journal has taken it. What comes of a decision that has become old by then is harmless: its sends
    /// are not sent any more. Whoever waits for it is told before long that it waits.
    pub(super) async fn append(
        &mut self,
        records: Vec<NewRecord>,
        waiting: &mut Vec<Waiting>,
    ) -> Result<Vec<Record>, Fault> {
        let resumes = records.iter().any(|record| matches!(record.event, Event::WatchResumed { .. }));
        let began = self.ports.clock.monotonic();
        let appended = self.append_at_last(records, waiting).await?;
        let took = self.ports.clock.monotonic().saturating_sub(began);
        // A resumption that takes long itself calls for no other one: they would never end.
        if took > STALL_MAX && !resumes {
            self.wakefulness.stalled(took);
        }
        Ok(appended)
    }

    async fn append_at_last(
        &mut self,
        records: Vec<NewRecord>,
        waiting: &mut Vec<Waiting>,
    ) -> Result<Vec<Record>, Fault> {
        let journal = self.ports.journal.clone();
        let (stream, after) = (self.state.name.clone(), self.state.seq);
        let mut pause = DOUBT_PAUSE;
        let failed = self.ports.clock.monotonic();
        loop {
            let began = self.ports.clock.monotonic();
            let appending = journal.append(&stream, after, records.clone());
            let appended = self.answer(appending, waiting).await?;
            let took = self.ports.clock.monotonic().saturating_sub(began);
            self.ports.observer.appended(took, appended.is_ok());
            self.slow_append = (took > SLOW).then(|| SlowAppend { at: self.ports.clock.now(), took });
            let doubt = match appended {
                Ok(appended) => return Ok(appended),
                Err(error @ AppendError::Conflict { .. }) => return Err(in_journal(error.to_string())),
                Err(error) => in_journal(format!("{error}; this is tried again, and nothing is sent meanwhile")),
            };
            tracing::warn!(migration = stream, why = doubt.why, "the journal did not take the last records");
            let tail = loop {
                if self.ports.clock.monotonic().saturating_sub(failed) >= DOUBT_PATIENCE {
                    tell(waiting, &doubt);
                }
                self.wait_in_doubt(&doubt, pause).await?;
                pause = (pause * 2).min(DOUBT_PAUSE_MAX);
                match self.answer(journal.read(&stream, after), waiting).await? {
                    Ok(tail) => break tail,
                    Err(error) => tracing::warn!(migration = stream, %error, "the journal does not answer yet"),
                }
            };
            if is_ours(&tail, &records) {
                return Ok(tail);
            }
            if !tail.is_empty() {
                let found = after + tail.len() as u64;
                return Err(in_journal(AppendError::Conflict { stream, expected: after, found }.to_string()));
            }
        }
    }

    /// Nothing is done meanwhile; who asks is told why.
    pub(super) async fn wait_in_doubt(&mut self, fault: &Fault, pause: Duration) -> Result<(), Fault> {
        self.publish_fault(fault);
        let clock = self.ports.clock.clone();
        let mut over = clock.sleep(pause);
        loop {
            match self.stand_by(&mut over, true).await {
                Ok(()) => return Ok(()),
                Err(message) => refused(message, fault)?,
            }
        }
    }

    /// Waits for an answer of the journal. When that takes long, whoever waits for it is told, and so is whoever asks for
    /// something from then on.
    async fn answer<T>(&mut self, answering: impl Future<Output = T>, waiting: &mut Vec<Waiting>) -> Result<T, Fault> {
        tokio::pin!(answering);
        let clock = self.ports.clock.clone();
        let mut soon = future::select(answering, clock.sleep(HANG_PATIENCE));
        let mut answering = match self.stand_by(&mut soon, false).await {
            Ok(Either::Left((answer, _))) => return Ok(answer),
            Ok(Either::Right((_, answering))) => answering,
            Err(_) => unreachable!("nobody was listened to"),
        };
        let fault =
            in_journal("the journal does not answer; nothing is lost, and nothing is sent meanwhile".to_owned());
        tracing::warn!(migration = self.state.name, "{}", fault.why);
        self.publish_fault(&fault);
        tell(waiting, &fault);
        // Who hangs gives no sign of life.
        let mut pings: Vec<oneshot::Sender<()>> = Vec::new();
        let answered = loop {
            match self.stand_by(&mut answering, true).await {
                Ok(answer) => break Ok(answer),
                Err(Message::Ping(reply)) => {
                    pings.retain(|ping| !ping.is_closed());
                    pings.push(reply);
                }
                Err(message) => {
                    if let Err(fault) = refused(message, &fault) {
                        break Err(fault);
                    }
                }
            }
        };
        for ping in pings {
            let _ = ping.send(()); // nobody may be waiting any more
        }
        answered
    }

    /// Waits for this alone, or for who says something meanwhile, if they are listened to. What is read is put by, and a
    /// sleep of the process is noticed.
    async fn stand_by<T>(&mut self, until: &mut (impl Future<Output = T> + Unpin), listen: bool) -> Result<T, Message> {
        let (clock, nap) = (self.ports.clock.clone(), self.sampler.poll());
        loop {
            self.wakefulness.lie_down(clock.as_ref(), nap);
            let over = tokio::select! {
                biased;
                over = &mut *until => Some(Ok(over)),
                readings = self.subscription.next() => {
                    self.put_by.add(readings);
                    None
                }
                Some(message) = self.commands.recv(), if listen => Some(Err(message)),
                () = clock.sleep(nap) => None,
            };
            self.wakefulness.get_up(clock.as_ref());
            if let Some(over) = over {
                return over;
            }
        }
    }
}

/// Readings that nobody has decided about yet: of each signal the edges, and the last.
#[derive(Default)]
pub(super) struct PutBy(BTreeMap<Name, Vec<Reading>>);

impl PutBy {
    fn add(&mut self, readings: Vec<Reading>) {
        for reading in readings {
            let kept = self.0.entry(reading.signal.clone()).or_default();
            let full = kept.len() >= EDGES_MAX;
            match kept.last_mut() {
                Some(last) if full || (last.health, last.unreadable) == (reading.health, reading.unreadable) => {
                    *last = reading;
                }
                _ => kept.push(reading),
            }
        }
    }

    /// All of them, in the order in which they were taken.
    pub(super) fn take(&mut self) -> Vec<Reading> {
        let mut readings: Vec<Reading> = std::mem::take(&mut self.0).into_values().flatten().collect();
        readings.sort_by_key(|reading| reading.taken);
        readings
    }
}

fn in_journal(why: String) -> Fault {
    Fault { part: FaultPart::Journal, why }
}

/// Nobody is kept waiting: what was asked for is on its way into the journal, unless it was refused.
fn tell(waiting: &mut Vec<Waiting>, fault: &Fault) {
    for waiting in waiting.drain(..) {
        let then = match waiting.outcome {
            Ok(_) => "what was asked for is done as soon as the journal takes it",
            Err(_) => "nothing comes of what was asked for: ask again when it answers",
        };
        waiting.tell_fault(&Fault { why: format!("{}; {then}", fault.why), ..fault.clone() });
    }
}

/// Refuses what is asked for. A wish to stop ends the loop.
fn refused(message: Message, fault: &Fault) -> Result<(), Fault> {
    match refuse(message, fault) {
        Some(done) => {
            drop(done); // whoever waits for it learns that the loop has ended
            Err(fault.clone())
        }
        None => Ok(()),
    }
}

/// Tells whoever asks why nothing is done. A wish to stop is handed back.
pub(super) fn refuse(message: Message, fault: &Fault) -> Option<oneshot::Sender<()>> {
    match message {
        Message::Command(_, reply) => drop(reply.send(Err(CommandError::Stopped { why: fault.why.clone() }))),
        Message::Readiness(_) => {}
        Message::Ping(reply) => drop(reply.send(())),
        Message::Shutdown(done) => return Some(done),
    }
    None
}

/// Whether the journal's tail is what was sent to it.
fn is_ours(tail: &[Record], records: &[NewRecord]) -> bool {
    let same = |(found, sent): (&Record, &NewRecord)| {
        found.at == sent.at && found.actor == sent.actor && found.event == sent.event
    };
    tail.len() == records.len() && tail.iter().zip(records).all(same)
}
