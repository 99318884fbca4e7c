//! Each event in words, in this one place. The daemon's log, the lines on a terminal, the timeline of a report, what `belay watch`
//! shows and the counter-examples of `belay explore` all read [`narrate`], so a fact has the same words everywhere.
//!
//! The two matches (`event.rs` and `step.rs`) have no wildcard: a new event does not compile until it has words, and an audience.

mod event;
mod line;
mod step;
mod told;
pub mod words;

pub use line::{Line, Narrator, line_of_event};
pub use told::{Audience, Told, Tone};

use belay_core::event::Event;
use belay_plan::model::Plan;
use jiff::Timestamp;

/// How a moment is written: `14:03:07`, in the time zone of whoever reads it.
pub type Clock<'c> = &'c dyn Fn(Timestamp) -> String;

/// What is known around an event.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// `belay`, or the person who asked.
    pub actor: &'c str,
    /// The plan of the run under way, or the pinned one. Where it is not known, its details (a dwell, a role) are left out.
    pub plan: Option<&'c Plan>,
    pub clock: Clock<'c>,
}

/// An event in words.
pub fn narrate(event: &Event, context: &Context) -> Told {
    event::told(event, context).fitted()
}
