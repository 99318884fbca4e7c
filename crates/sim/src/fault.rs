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
    /// What a lasting trouble makes of one send.
    pub(crate) fn of(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Throttled => Self::Throttled,
            Trouble::Expired => Self::Expired,
            Trouble::Denied => Self::Refused,
            Trouble::Broken => Self::Failed,
            Trouble::Unanswered => Self::Vanished,
            Trouble::AnswerLost => Self::AnswerLost,
        }
    }
}

const SEND_FAULTS: [SendFault; 6] = [
    SendFault::Failed,
    SendFault::Refused,
    SendFault::Throttled,
    SendFault::Slow,
    SendFault::AnswerLost,
    SendFault::Vanished,
];

/// What is going to go wrong.
#[derive(Debug, Clone)]
pub struct Faults {
    chance: Chance,
    /// In a thousand sends, looks and readings.
    share: u32,
    /// How many more by chance: a world where everything fails for ever proves nothing.
    left: u32,
    sends: BTreeMap<Name, VecDeque<SendFault>>,
    looks: BTreeMap<Name, VecDeque<bool>>,
}

impl Faults {
    pub fn none() -> Self {
        Self::seeded(0, 0, 0)
    }

    /// So many in a thousand calls fail, `most` in all.
    pub fn seeded(seed: u64, share: u32, most: u32) -> Self {
        Self { chance: Chance::new(seed), share, left: most, sends: BTreeMap::new(), looks: BTreeMap::new() }
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
        if let Some(scripted) = self.sends.get_mut(step).and_then(VecDeque::pop_front) {
            return Some(scripted);
        }
        if self.strikes() { self.chance.pick(&SEND_FAULTS).copied() } else { None }
    }

    /// Whether the look fails, and if so, for good.
    pub(crate) fn of_look(&mut self, step: &str) -> Option<bool> {
        if let Some(scripted) = self.looks.get_mut(step).and_then(VecDeque::pop_front) {
            return Some(scripted);
        }
        self.strikes().then(|| self.chance.per_mille(100))
    }

    /// Whether a reading comes back unknown.
    pub(crate) fn of_reading(&mut self) -> bool {
        self.strikes()
    }

    /// When somebody else undoes what has just taken effect.
    pub(crate) fn of_effect(&mut self) -> Option<Duration> {
        (self.strikes() && self.chance.per_mille(200)).then(|| Duration::from_secs(1 + self.chance.below(120)))
    }

    fn strikes(&mut self) -> bool {
        let strikes = self.left > 0 && self.share > 0 && self.chance.per_mille(self.share);
        self.left -= u32::from(strikes);
        strikes
    }
}
