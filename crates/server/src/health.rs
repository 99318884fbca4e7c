//! What keeps the net from holding, now: the one list behind `/readyz`, the heartbeat, and what the service manager sees.
//!
//! A daemon is ready when everything it should do, it can do now. So one that is blind is not ready either: it would not
//! notice. It can still be told to roll back, so whatever leads people to it should go by `/healthz`.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_core::notice::GivenUp;
use belay_engine::{Fault, FaultPart, SlowAppend};
use belay_plan::model::Name;
use belay_ports::Head;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::{daemon::Daemon, guard::Guard, plan_files::PlanFileError};

/// Refused tokens are logged no more often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// For how long a slow append is shown: nothing may be put on record for hours after it.
const SLOW_SHOWN: SignedDuration = SignedDuration::from_mins(5);

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub part: Part,
    pub migration: Option<Name>,
    pub why: String,
    pub weight: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The journal does not take records, takes long over it, or is not ours any more; or its file was deleted, replaced or
    /// overwritten.
    Journal,
    /// The AWS credentials are of another account, or could not be verified.
    Credentials,
    /// The loop of a migration hangs, has ended, or cannot fold its state.
    Engine,
    /// The loop that reads signals hangs or has ended.
    Sampler,
    /// Nothing can be read of one source of signals.
    Source,
    /// A plan file cannot be used.
    PlanFile,
    /// `arm: on_start` should have armed it and has not.
    ArmOnStart,
    /// They give too few people a role that an armed plan asks for.
    Tokens,
    /// The configuration file cannot be used.
    Config,
    /// The heartbeat does not arrive.
    Heartbeat,
    /// Traces cannot be sent.
    Telemetry,
    /// People are not told: a channel does not take notices.
    Notices,
}

/// How bad it is; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Somebody should look at it; the net holds.
    Warning,
    /// Something that should be done cannot be done.
    NotReady,
    /// Belay sees nothing or does nothing: the heartbeat says so.
    Stopped,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.migration {
            Some(migration) => write!(f, "{migration}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// What the daemon notices of itself, beside what its engines say.
#[derive(Default)]
pub(crate) struct Vitals {
    noticed: Mutex<Noticed>,
    /// The last list, for those who wait for a turn.
    published: watch::Sender<Vec<Trouble>>,
}

#[derive(Default)]
pub(crate) struct Noticed {
    /// Loops without a sign of life.
    pub(crate) hung: Vec<Trouble>,
    /// Plan files that cannot be used, and why not.
    pub(crate) left_out: BTreeMap<PathBuf, String>,
    /// Why the configuration file was not taken over at the last SIGHUP.
    pub(crate) config: Option<String>,
    /// Why traces cannot be sent.
    pub(crate) telemetry: Option<String>,
    /// Tokens that were refused.
    pub(crate) wrong_tokens: WrongTokens,
    /// Since when no heartbeat arrives, and why.
    pub(crate) unheard: Option<(Timestamp, String)>,
    /// Why the journal would take nothing, though nothing is to be written now.
    pub(crate) journal: Option<String>,
    /// The head over all streams, as it was last looked at.
    pub(crate) head: Option<Head>,
}

/// Counts tokens that were refused, and says when that is to be logged.
#[derive(Default)]
pub(crate) struct WrongTokens {
    tries: u64,
    /// On the monotonic clock.
    told: Option<Duration>,
}

impl WrongTokens {
    /// One more; gives how many there were since the log was told last, once a minute at most.
    pub(crate) fn count(&mut self, now: Duration) -> Option<u64> {
        self.tries += 1;
        if self.told.is_some_and(|told| now.saturating_sub(told) < TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.tries))
    }
}

impl Vitals {
    pub(crate) fn noticed(&self) -> MutexGuard<'_, Noticed> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, troubles: Vec<Trouble>) {
        self.published.send_if_modified(|last| {
            let news = *last != troubles;
            *last = troubles;
            news
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Vec<Trouble>> {
        self.published.subscribe()
    }
}

impl Daemon {
    /// Everything that is not as it should be, the worst first.
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut troubles: Vec<Trouble> = self.guards().iter().flat_map(|guard| self.troubles_of(guard)).collect();
        let of_all = |part, weight, why: &str| Trouble { part, migration: None, why: why.to_owned(), weight };
        let unarmed = self.unarmed().into_iter();
        troubles.extend(unarmed.map(|(migration, why)| Trouble {
            part: Part::ArmOnStart,
            migration: Some(migration),
            why,
            weight: Weight::NotReady,
        }));
        let noticed = self.vitals().noticed();
        troubles.extend(noticed.hung.iter().cloned());
        troubles.extend(noticed.journal.iter().map(|why| of_all(Part::Journal, Weight::Stopped, why)));
        troubles.extend(noticed.left_out.values().map(|why| of_all(Part::PlanFile, Weight::NotReady, why)));
        troubles.extend(noticed.config.iter().map(|why| of_all(Part::Config, Weight::Warning, why)));
        troubles.extend(noticed.telemetry.iter().map(|why| of_all(Part::Telemetry, Weight::Warning, why)));
        let undelivered = noticed.unheard.iter();
        troubles.extend(undelivered.map(|(_, why)| of_all(Part::Heartbeat, Weight::Warning, why)));
        troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.weight));
        troubles
    }

    /// These plan files cannot be used, and no others. What is new is logged whole.
    pub(crate) fn leave_out(&self, errors: Vec<PlanFileError>) {
        let known = std::mem::take(&mut self.vitals().noticed().left_out);
        for error in &errors {
            if known.get(error.path()) != Some(&error.to_string()) {
                error.log();
            }
        }
        let left_out = errors.iter().map(|error| (error.path().to_owned(), error.to_string())).collect();
        self.vitals().noticed().left_out = left_out;
    }

    fn troubles_of(&self, guard: &Guard) -> Vec<Trouble> {
        let snapshot = guard.snapshot();
        let state = snapshot.state.as_ref();
        let trouble = |part, weight, why| Trouble { part, migration: Some(guard.name().to_owned()), why, weight };
        let faults = snapshot.faults.iter().map(|Fault { part, why }| {
            let part = match part {
                FaultPart::Credentials => Part::Credentials,
                FaultPart::Journal => Part::Journal,
                FaultPart::State => Part::Engine,
            };
            trouble(part, Weight::Stopped, why.clone())
        });
        let lately = |slow: &&SlowAppend| self.ports().clock.now().duration_since(slow.at) < SLOW_SHOWN;
        let slow = snapshot.slow_append.as_ref().filter(lately).map(|SlowAppend { at, took }| {
            let took = took.as_secs_f64();
            let why = format!("the journal's disk is slow: it took {took:.1} s for records, at {at:.0}");
            trouble(Part::Journal, Weight::Warning, why)
        });
        // What is not armed wants to see nothing.
        let blind = state.blind.iter().filter(|_| state.armed.is_some()).map(|(source, since)| {
            trouble(
                Part::Source,
                Weight::Stopped,
                format!("blind since {since:.0}: no signal of `{source}` can be read"),
            )
        });
        // What is live goes on with the plan that was armed.
        let weight = if state.is_live() { Weight::Warning } else { Weight::NotReady };
        let file = guard.file_problem().map(|why| trouble(Part::PlanFile, weight, why));
        let loaded = guard.loaded().ok().and_then(|loaded| self.judge(&loaded.plan).err());
        let not_permitted = loaded.map(|why| trouble(Part::PlanFile, weight, why));
        let live = guard.live_plan().and_then(|plan| self.judge(&plan).err());
        let forbidden = live.map(|why| trouble(Part::Config, Weight::NotReady, format!("of what is armed: {why}")));
        let people = self.missing_people(guard).map(|why| trouble(Part::Tokens, Weight::NotReady, why));
        let untold = state.outbox.channels.iter().filter_map(|(name, channel)| {
            let why = match (&channel.failing, &channel.given_up) {
                (Some((since, why)), _) => {
                    format!("channel {name} takes no notices since {since:.0}: {why}; tell these people yourself")
                }
                (None, Some(given_up)) => {
                    let GivenUp { count, at, about, why } = given_up;
                    format!(
                        "channel {name} was not told of {count} notices, the last one at {at:.0} ({about}): {why}; tell \
                         these people yourself. This is shown until the migration is armed anew"
                    )
                }
                (None, None) => return None,
            };
            Some(trouble(Part::Notices, Weight::Warning, why))
        });
        let unusable = snapshot
            .unusable_channels()
            .filter(|(name, _)| state.outbox.channels.get(*name).is_none_or(|channel| channel.failing.is_none()));
        let unusable = unusable.map(|(name, why)| {
            trouble(Part::Notices, Weight::Warning, format!("channel {name} {why}; tell these people yourself"))
        });
        let partly = state.outbox.channels.iter().filter_map(|(name, channel)| {
            let GivenUp { count, at, about, why } = channel.refused.as_ref()?;
            let notices = if *count == 1 { "1 notice".to_owned() } else { format!("{count} notices") };
            let why = format!(
                "{notices} of channel {name} did not reach all recipients, the last one at {at:.0} ({about}). Refused: {why}; tell \
                 these people yourself. This is shown until the migration is armed anew"
            );
            Some(trouble(Part::Notices, Weight::Warning, why))
        });
        let troubles = faults.chain(slow).chain(blind).chain(file).chain(not_permitted).chain(forbidden);
        troubles.chain(people).chain(untold).chain(unusable).chain(partly).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_tokens_are_logged_once_a_minute_with_their_number() {
        let mut wrong = WrongTokens::default();
        let told = [0, 1, 59, 60, 61, 300].map(|second| wrong.count(Duration::from_secs(second)));
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
