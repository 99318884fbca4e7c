//! The ends that an incident can come to before a run, as the answer of the search lists them.

use belay_plan::model::Name;
use serde::Serialize;

use super::{replay::Replay, timeline::Happening};

/// How an incident comes to its end, before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentEnd {
    /// The run begins, since the rule says so.
    RollsBackByRule,
    /// Since people decide it.
    RollsBackByPeople,
    /// Since people have not decided in time.
    RollsBackInTheEnd,
    /// The trigger heals by itself.
    Recovers,
    /// The rule says so: people are told, and nothing is rolled back.
    FixForwardByRule,
    FixForwardByPeople,
    /// Nobody has decided in time.
    FixForwardInTheEnd,
    /// People are asked without end, and nobody answers.
    Waits,
}

impl IncidentEnd {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RollsBackByRule => "rolls_back_by_rule",
            Self::RollsBackByPeople => "rolls_back_by_people",
            Self::RollsBackInTheEnd => "rolls_back_in_the_end",
            Self::Recovers => "recovers",
            Self::FixForwardByRule => "fix_forward_by_rule",
            Self::FixForwardByPeople => "fix_forward_by_people",
            Self::FixForwardInTheEnd => "fix_forward_in_the_end",
            Self::Waits => "waits",
        }
    }

    /// Nobody decides, and traffic stays where it fails.
    pub fn is_undecided(self) -> bool {
        matches!(self, Self::Waits | Self::FixForwardInTheEnd)
    }

    pub fn rolls_back(self) -> bool {
        matches!(self, Self::RollsBackByRule | Self::RollsBackByPeople | Self::RollsBackInTheEnd)
    }
}

/// Where in its window the migration is when the trigger fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    Open,
    /// Nothing starts by itself yet.
    BeforeItOpens,
    /// Nothing starts by itself any more.
    PastThePoint,
}

/// One end, with the shortest way to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayToDecide {
    pub end: IncidentEnd,
    /// In which phase the incident is then, where it is another than the search began in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Name>,
    pub when: When,
    /// Only when this trigger joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joins: Option<Name>,
    pub words: String,
    pub happenings: Vec<Happening>,
    /// The same as a scenario; it ends where the run begins, or nothing happens any more.
    pub replay: Replay,
}

/// Every end that an incident of these triggers can come to before a run. They have the same rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncidentWays {
    pub triggers: Vec<Name>,
    /// The rule, from 1 on, as a person would say it.
    pub rule: usize,
    pub question: String,
    pub ways: Vec<WayToDecide>,
    /// False where a bound was reached.
    pub complete: bool,
    pub states: usize,
}
