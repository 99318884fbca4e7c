//! What is wrong with a world for a while.

use belay_plan::model::Name;

use crate::{sensor::Shown, spread::Spread};

/// One thing that is not as usual, from a moment on. Where several say something of the same, the last to begin is heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The changes of these steps take so many times as long.
    Slow { steps: Vec<Name>, times: f64 },
    /// Each of these steps takes this long, all its changes together.
    Takes { steps: Vec<Name>, time: Spread },
    /// Calls for these steps fail.
    Fails { steps: Vec<Name>, how: Trouble },
    /// These signals show this, whatever the state.
    Shows { signals: Vec<Name>, what: Shown },
    /// The destinations that these steps give traffic to are healthy, or not; None: nothing can be told.
    Targets { steps: Vec<Name>, healthy: Option<bool> },
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
