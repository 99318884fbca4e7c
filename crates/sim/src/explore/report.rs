//! What the search says in the end.

use serde::Serialize;

use super::{
    advice::Advice,
    consequences::{Consequence, EndGroup},
    coverage::Coverage,
    ends::{Disposition, Outcome},
    incident_ends::IncidentWays,
    properties::Property,
    replay::Replay,
    timeline::Happening,
};

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub migration: String,
    pub verdict: Verdict,
    /// Whether every state was searched. False: the bound on states was reached first.
    pub complete: bool,
    pub states: usize,
    pub transitions: usize,
    pub states_max: usize,
    pub properties: Vec<Proof>,
    /// How many different ends there are.
    pub ends_count: u64,
    /// Those with the fewest steps in trouble, at most [`ENDS_LISTED`](super::ENDS_LISTED).
    pub ends: Vec<EndReport>,
    /// The same by what they mean outside.
    pub groups: Vec<EndGroup>,
    pub failures: Vec<Failure>,
    pub coverage: Coverage,
    pub advice: Vec<Advice>,
    /// From a trigger to the beginning of a run, or to an end without one, by the rule that answers.
    pub incidents: Vec<IncidentWays>,
    /// Parts of the plan, and of the world, that were left out.
    pub not_explored: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds, in every state.
    Proven,
    /// It holds in every state, if what is assumed of the world is so.
    Assumed,
    /// It does not; there is a counter-example.
    Refuted,
    /// It holds as far as was searched.
    Bounded,
}

#[derive(Debug, Clone, Serialize)]
pub struct Proof {
    pub property: Property,
    pub claim: &'static str,
    pub verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What is taken to be so, although the plan leaves room for it not to be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumes: Vec<String>,
    /// What it needs of the world and of people in every plan like this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rests_on: Vec<String>,
    /// The shortest way to where it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter_example: Option<Vec<Happening>>,
    /// The same as a scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// One way to end.
#[derive(Debug, Clone, Serialize)]
pub struct EndReport {
    pub outcome: Outcome,
    pub steps: indexmap::IndexMap<String, Disposition>,
    pub consequence: Consequence,
    /// For a person.
    pub words: String,
    /// The fewest acts of people from here to "rolled back", if what stood in the way is put right; none where none was
    /// found within `acts_tried` of them; 0: there was no time to look for one.
    pub way_out: Option<Vec<String>>,
    pub acts_tried: usize,
    /// No verb but `abort` is possible.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stuck: bool,
    /// How many things have to happen, at least, to come here.
    pub happenings: usize,
}

/// A way in which a step can fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub step: String,
    /// `timed_out`, `refused`, ...
    pub code: String,
    /// Whether something of it was sent before, or may have been.
    pub touched: bool,
}
