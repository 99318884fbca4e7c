//! What is wrong with a world for a while.

use std::time::Duration;

use belay_plan::model::Name;

use crate::{sensor::Shown, spread::Spread};

/// One thing that is not as usual, from a moment on. Where several say something of the same, the last to begin is heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The changes of these steps take so many times as long.
    Slow { steps: Vec<Name>, times: f64 },
    /// Each of these steps takes this long, all its changes together.
    Takes { steps: Vec<Name>, time: Spread },
    /// Calls for these steps fail: all of them, or so many in a hundred.
    Fails { steps: Vec<Name>, how: Trouble, percent: u32 },
    /// These signals show this, whatever the state.
    Shows { signals: Vec<Name>, what: Shown },
    /// These signals show what has changed so much later.
    Lags { signals: Vec<Name>, time: Duration },
    /// The destinations that these steps give traffic to are healthy, or not; None: nothing can be told. `part`: only some of
    /// the targets of each are.
    Targets { steps: Vec<Name>, healthy: Option<bool>, part: Option<Part> },
}

/// Some of the targets that each destination has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub some: u32,
    pub of: u32,
    /// The signals that count the targets, each with how many have to be healthy.
    pub counted_by: Vec<(Name, u32)>,
}

impl Part {
    /// How many targets are healthy, and of how many nothing is known.
    fn counts(&self, healthy: Option<bool>) -> (u32, u32) {
        let others = self.of.saturating_sub(self.some);
        match healthy {
            Some(true) => (self.some, 0),
            Some(false) => (others, 0),
            None => (others, self.some),
        }
    }

    /// One healthy target can take traffic.
    pub(crate) fn can_take_traffic(&self, healthy: Option<bool>) -> Option<bool> {
        match self.counts(healthy) {
            (1.., _) => Some(true),
            (0, untold) if untold == self.of => None,
            (0, _) => Some(false),
        }
    }

    /// What a signal shows that counts the targets, where too few are healthy.
    pub(crate) fn shown(&self, signal: &str, healthy: Option<bool>) -> Option<Shown> {
        let (_, at_least) = self.counted_by.iter().find(|(name, _)| name == signal)?;
        match self.counts(healthy) {
            (healthy, _) if healthy >= *at_least => None,
            (healthy, untold) if healthy + untold >= *at_least => Some(Shown::Missing),
            _ => Some(Shown::Unhealthy),
        }
    }
}

/// How calls fail for as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Too many calls, says the API, of looks and of changes.
    Throttled,
    /// The credentials have expired; others may come.
    Expired,
    /// Access denied, and asking again does not help.
    Denied,
    /// An internal failure, of looks and of changes.
    Broken,
    /// No answer comes, and nothing takes effect.
    Unanswered,
    /// Changes take effect, and their answers are lost.
    AnswerLost,
    /// What was accepted ends without success: the actuator's own verdict.
    Verdict,
}
