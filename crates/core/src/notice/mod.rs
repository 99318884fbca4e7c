//! Notices: who is told what. A notice that is due is state until it has been sent or is of no more use, so it outlives the run
//! that it tells of, and the process.

mod due;
mod facts;
mod gather;
mod outbox;
mod standing;

pub use facts::{Facts, IncidentFacts, RunFacts, StepFacts, Trouble};
pub use outbox::{ChannelState, GivenUp, Outbox, POSTMORTEM_AFTER, Rung, URGENT_AT_ONCE, Waiting};

/// In the answer to a notice that some of its recipients got: what follows are those who were refused for good, each with why.
pub const REFUSED_FOR: &str = "; refused for ";

/// Those who were refused for good while other recipients got the notice, each with why, by the answer that is on record.
pub fn refused(answer: &str) -> Option<&str> {
    answer.split_once(REFUSED_FOR).map(|(_, refused)| refused)
}
