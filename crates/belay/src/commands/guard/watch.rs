//! What becomes of the migration, as the daemon shows it: over lost connections and restarts of the daemon.

use std::time::Duration;

use belay_narrate::line_of_event;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::tell::Tell;
use crate::{
    client::Client,
    document::Migration,
    exit::{Exit, Failure},
    follow::{Events, Heard, rows},
    text,
};

/// How often the daemon is asked; events only make it sooner.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events come in groups: one look answers for all of them.
const AFTER_AN_EVENT: Duration = Duration::from_millis(50);
/// A daemon that has been away for longer is given up, where nothing but its answer is waited for.
const AWAY_MAX: Duration = Duration::from_secs(10 * 60);
/// Problems that pass by themselves.
const PASSING: [&str; 3] = ["busy", "unavailable", "timed_out"];

pub(super) enum Seen {
    Now(Box<Migration>),
    /// The daemon did not answer.
    Away(Failure),
}

pub(super) struct Watch {
    client: Client,
    name: String,
    events: Events,
    tell: Tell,
    tick: Interval,
    away_since: Option<Instant>,
    /// A look is due because of an event.
    stirred: bool,
}

/// Whether another try may succeed.
pub(super) fn passes(failure: &Failure) -> bool {
    failure.passes() || failure.refused.as_ref().is_some_and(|refused| PASSING.contains(&refused.kind.as_str()))
}

impl Watch {
    pub(super) fn new(client: &Client, name: &str, tell: Tell) -> Self {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (client, name, events) = (client.clone(), name.to_owned(), Events::listen(client));
        Self { client, name, events, tell, tick, away_since: None, stirred: false }
    }

    /// The next look waits for nothing.
    pub(super) fn hurry(&mut self) {
        self.tick.reset_immediately();
    }

    /// The migration when it was looked at next. Can be dropped and called again.
    ///
    /// # Errors
    /// What another try would not change, such as a token that is not known any more.
    pub(super) async fn next(&mut self) -> Result<Seen, Failure> {
        loop {
            tokio::select! {
                biased;
                heard = self.events.next() => self.hear(heard?),
                _ = self.tick.tick() => break,
            }
        }
        self.stirred = false;
        let answer = self.client.get(&format!("migrations/{}", self.name)).await;
        match answer.and_then(|document| Migration::read(&document)) {
            Ok(migration) => {
                if self.away_since.take().is_some() {
                    self.tell.say("the daemon answers again");
                }
                Ok(Seen::Now(Box::new(migration)))
            }
            Err(failure) if passes(&failure) => {
                self.note_away(&failure);
                Ok(Seen::Away(failure))
            }
            Err(failure) => Err(failure),
        }
    }

    /// The same as soon as the daemon answers.
    ///
    /// # Errors
    /// The same, and a daemon that has been away for too long.
    pub(super) async fn present(&mut self) -> Result<Migration, Failure> {
        loop {
            match self.next().await? {
                Seen::Now(migration) => return Ok(*migration),
                Seen::Away(failure) => self.give_up_late(failure)?,
            }
        }
    }

    /// # Errors
    /// The daemon has been away for too long.
    pub(super) fn give_up_late(&self, failure: Failure) -> Result<(), Failure> {
        match self.away_since.is_some_and(|since| since.elapsed() > AWAY_MAX) {
            true => Err(Failure { exit: Exit::Unreachable, ..failure }),
            false => Ok(()),
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Record(told, _) if told.migration == self.name => {
                if let Some(line) = line_of_event(told.at, &told.actor, &told.event, &text::clock_time) {
                    rows(&line, self.tell.output()).iter().for_each(|row| self.tell.say(row));
                }
            }
            Heard::Ready | Heard::Missed => {}
            Heard::Record(..) | Heard::Away | Heard::Deaf => return, // the next look says what there is to say
        }
        if !std::mem::replace(&mut self.stirred, true) {
            self.tick.reset_after(AFTER_AN_EVENT);
        }
    }

    pub(super) fn note_away(&mut self, failure: &Failure) {
        if self.away_since.is_none() {
            self.away_since = Some(Instant::now());
            self.tell.warn(format_args!(
                "{}; trying again. A daemon that runs watches {} meanwhile",
                failure.error, self.name
            ));
        }
    }
}
