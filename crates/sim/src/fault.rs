//! What goes wrong in a simulated world: by script, or by seed.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use belay_plan::model::Name;

use crate::{chance::Chance, condition::Trouble};

/// What befalls one send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFault {
    /// AWS says no, and trying again may help.
    Failed,
    /// AWS says no for good.
    Refused,
    Throttled,
    /// It takes effect, and the answer takes long.
    Slow,
    /// It takes effect, and the answer is lost.
    AnswerLost,
    /// It takes no effect, and nobody knows.
    Vanished,
    /// The credentials have expired: trying again helps when there are others.
    Expired,
}

impl SendFault {
    /// What a lasting trouble makes of one send. None: it is accepted.
    pub(crate) fn of(trouble: Trouble) -> Option<Self> {
        Some(match trouble {
            Trouble::Throttled => Self::Throttled,
            Trouble::Expired => Self::Expired,
            Trouble::Denied => Self::Refused,
            Trouble::Broken => Self::Failed,
            Trouble::Unanswered => Self::Vanished,
            Trouble::AnswerLost => Self::AnswerLost,
            Trouble::Verdict => return None,
        })
    }
}

/// What goes wrong by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Send(SendFault),
    Look {
        permanent: bool,
    },
    Reading,
    /// Somebody else undoes what has just taken effect.
    Undone,
}

const KINDS: [Kind; 11] = [
    Kind::Send(SendFault::Failed),
    Kind::Send(SendFault::Refused),
    Kind::Send(SendFault::Throttled),
    Kind::Send(SendFault::Slow),
    Kind::Send(SendFault::AnswerLost),
    Kind::Send(SendFault::Vanished),
    Kind::Send(SendFault::Expired),
    Kind::Look { permanent: false },
    Kind::Look { permanent: true },
    Kind::Reading,
    Kind::Undone,
];

/// What is going to go wrong.
#[derive(Debug, Clone)]
pub struct Faults {
    chance: Chance,
    /// Each with its share in a thousand: what is not in it does not happen by chance.
    shares: Vec<(Kind, u32)>,
    /// How many more by chance: a world where everything fails for ever proves nothing.
    left: u32,
    /// Sends so far, and what befalls the ones with these numbers.
    sent: u64,
    numbered: BTreeMap<u64, SendFault>,
    sends: BTreeMap<Name, VecDeque<SendFault>>,
    looks: BTreeMap<Name, VecDeque<bool>>,
}

impl Faults {
    /// Whether looks may fail.
    pub(crate) fn befall_looks(&self) -> bool {
        !self.shares.is_empty() || !self.looks.is_empty()
    }

    pub fn none() -> Self {
        Self {
            chance: Chance::new(0),
            shares: Vec::new(),
            left: 0,
            sent: 0,
            numbered: BTreeMap::new(),
            sends: BTreeMap::new(),
            looks: BTreeMap::new(),
        }
    }

    /// Every kind of fault: so many in a thousand looks and readings, and of sends and effects; at most `most` in all.
    pub fn seeded(seed: u64, share: u32, most: u32) -> Self {
        let sends = KINDS.iter().filter(|kind| matches!(kind, Kind::Send(_))).count();
        let part = share.div_ceil(u32::try_from(sends).unwrap_or(1));
        let share_of = |kind| (kind, if matches!(kind, Kind::Send(_)) { part } else { share });
        Self { shares: KINDS.map(share_of).to_vec(), left: most, chance: Chance::new(seed), ..Self::none() }
    }

    /// A swarm: this seed has some of the kinds of faults, each with a share of its own, and none of the others; at most
    /// `most` of them in all. With every kind in every run, rare ones would hide behind frequent ones.
    pub fn swarm(seed: u64, most: u32) -> Self {
        let mut chance = Chance::new(seed);
        // From every two hundredth to every fifth, and never a few kinds only by accident.
        let mut share = |kind| (kind, [5, 20, 60, 200][usize::try_from(chance.below(4)).unwrap_or(0)]);
        let all: Vec<(Kind, u32)> = KINDS.into_iter().map(&mut share).collect();
        let shares = all.into_iter().filter(|_| chance.per_mille(400)).collect();
        Self { shares, left: most, chance, ..Self::none() }
    }

    /// The send with this number, of whatever step, meets this; the first one ever has number 1.
    pub fn fail_call(&mut self, number: u64, fault: SendFault) {
        self.numbered.insert(number, fault);
    }

    /// The next send of this step meets this.
    pub fn fail_send(&mut self, step: &str, fault: SendFault) {
        self.sends.entry(step.to_owned()).or_default().push_back(fault);
    }

    /// The next look at this step fails. `permanent`: looking again would not help, says the answer.
    pub fn fail_look(&mut self, step: &str, permanent: bool) {
        self.looks.entry(step.to_owned()).or_default().push_back(permanent);
    }

    pub(crate) fn of_send(&mut self, step: &str) -> Option<SendFault> {
        self.sent += 1;
        let scripted = self.sends.get_mut(step).and_then(VecDeque::pop_front);
        scripted.or_else(|| self.numbered.remove(&self.sent)).or_else(|| {
            self.strikes(|kind| match kind {
                Kind::Send(fault) => Some(fault),
                _ => None,
            })
        })
    }

    /// Whether the look fails, and if so, for good.
    pub(crate) fn of_look(&mut self, step: &str) -> Option<bool> {
        let scripted = self.looks.get_mut(step).and_then(VecDeque::pop_front);
        scripted.or_else(|| {
            self.strikes(|kind| match kind {
                Kind::Look { permanent } => Some(permanent),
                _ => None,
            })
        })
    }

    /// Whether a reading comes back unknown.
    pub(crate) fn of_reading(&mut self) -> bool {
        self.strikes(|kind| (kind == Kind::Reading).then_some(())).is_some()
    }

    /// When somebody else undoes what has just taken effect.
    pub(crate) fn of_effect(&mut self) -> Option<Duration> {
        let undone = self.strikes(|kind| (kind == Kind::Undone).then_some(()));
        undone.map(|()| Duration::from_secs(1 + self.chance.below(120)))
    }

    /// The first of the kinds that fit which happens now.
    fn strikes<T>(&mut self, fits: impl Fn(Kind) -> Option<T>) -> Option<T> {
        if self.left == 0 {
            return None;
        }
        for (kind, share) in &self.shares {
            // Looks are many: one that fails for good ends the step.
            let share = if *kind == (Kind::Look { permanent: true }) { share / 10 } else { *share };
            if let Some(found) = fits(*kind)
                && self.chance.per_mille(share)
            {
                self.left -= 1;
                return Some(found);
            }
        }
        None
    }
}
