//! The line of a journal record, for who follows a migration.

use std::sync::Arc;

use belay_core::event::{Event, Record};
use belay_plan::model::Plan;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Audience, Clock, Context, Told, Tone, narrate, words};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: Timestamp,
    pub subject: String,
    pub text: String,
    pub tone: Tone,
}

impl Line {
    fn of(at: Timestamp, told: Told) -> Option<Self> {
        let Told { subject, text, tone, audience, .. } = told;
        (audience >= Audience::Followers).then_some(Self { at, subject, text, tone })
    }
}

/// Makes the lines of records that come one after the other, and knows the plan that they have pinned.
#[derive(Debug, Default)]
pub struct Narrator {
    plan: Option<Arc<Plan>>,
}

impl Narrator {
    /// None for what is machinery, and stands in the log at most.
    pub fn line(&mut self, record: &Record, clock: Clock) -> Option<Line> {
        if let Event::PlanPinned { plan, .. } = &record.event {
            self.plan = Some(plan.clone());
        }
        let context = Context { actor: &record.actor, plan: self.plan.as_deref(), clock };
        Line::of(record.at, narrate(&record.event, &context))
    }
}

/// The line of an event as the daemon's followers get it: with its documents (a plan, a baseline) left out, and perhaps of a
/// newer version.
pub fn line_of_event(at: Timestamp, actor: &str, event: &Value, clock: Clock) -> Option<Line> {
    let context = Context { actor, plan: None, clock };
    let told = match Event::deserialize(with_documents(event)) {
        Ok(event) => narrate(&event, &context),
        Err(_) => Told::that(words::words(event["type"].as_str().unwrap_or("unknown event"))).quiet().fitted(),
    };
    Line::of(at, told)
}

/// No text goes by what is in a document, so an empty one does.
fn with_documents(event: &Value) -> Value {
    let mut event = event.clone();
    for member in ["plan", "baseline"] {
        if event[member]["sha256"].is_string() {
            event[member] =
                json!({ "migration": "", "steps": {}, "captured": Timestamp::UNIX_EPOCH, "plan_sha256": "" });
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_newer_daemon_is_named() {
        let line = |event: Value| line_of_event(Timestamp::UNIX_EPOCH, "ada", &event, &|at| at.to_string()).unwrap();
        assert_eq!(line(json!({ "type": "of_a_newer_daemon" })).text, "of a newer daemon");
        assert_eq!(line(json!({ "type": "cutover_marked" })).text, "the cutover is marked");
    }
}
