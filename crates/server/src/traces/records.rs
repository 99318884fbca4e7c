//! Spans of what is on record: incidents with their triggers and decisions, runs, steps and their gates. Each is made when it
//! ends, from what the state knows of its beginning.

use std::time::SystemTime;

use belay_core::{
    event::{Event, GateEvent, Record, StepEvent},
    incident::Incident,
    migration::Migration,
    run::Run,
};
use belay_ports::Observer;
use jiff::Timestamp;
use opentelemetry::{
    KeyValue,
    trace::{SpanId, SpanKind, Status, TraceId},
};

use crate::metrics::word;

use super::{Made, Traces, ids};

impl Observer for Traces {
    fn recorded(&self, records: &[Record], state: &Migration) {
        if self.is_on() {
            records.iter().filter_map(|record| span(record, state)).for_each(|span| self.send(span));
        }
    }
}

fn span(record: &Record, state: &Migration) -> Option<Made> {
    let made = match &record.event {
        Event::IncidentOpened { trigger, .. } | Event::IncidentJoined { trigger } => {
            trigger_span(record.at, trigger, incident_of(state)?, state)
        }
        Event::Decided { trigger, answer, why, .. } => {
            let incident = incident_of(state)?;
            let attributes =
                vec![text("trigger", trigger), text("decision", word(answer)), text("why", why), id_of(incident)];
            under_incident(incident, "decision".to_owned(), (record.at, record.at), attributes)
        }
        Event::IncidentClosed { outcome } => {
            let incident = incident_of(state)?;
            let attributes = vec![text("outcome", word(outcome)), id_of(incident)];
            let times = (incident.opened, record.at);
            Made {
                id: Some(ids::incident(&incident.id.0)),
                parent: SpanId::INVALID,
                ..under_incident(incident, "incident".to_owned(), times, attributes)
            }
        }
        Event::RunHalted { why } => {
            let run = state.run.as_ref()?;
            let attributes = vec![text("run", &run.id.0), text("why", why)];
            let halted = under_run(run, "halted".to_owned(), (record.at, record.at), attributes);
            Made { status: Status::error(why.clone()), ..halted }
        }
        Event::RunEnded { outcome, .. } => {
            let run = state.run.as_ref()?;
            let attributes = vec![text("run", &run.id.0), text("kind", word(run.kind)), text("outcome", word(outcome))];
            let made = under_run(run, "run".to_owned(), (run.started, record.at), attributes);
            let parent = run.incident.as_ref().map_or(SpanId::INVALID, |incident| ids::incident(&incident.0));
            Made { id: Some(ids::run(&run.id.0)), parent, ..made }
        }
        Event::Step { step, what } => step_span(record.at, state.run.as_ref()?, step, what)?,
        _ => return None,
    };
    Some(with_migration(made, &state.name))
}

/// The one that is open, or the one that has just been closed.
fn incident_of(state: &Migration) -> Option<&Incident> {
    state.incident.as_ref().or_else(|| state.past_incidents.last().map(AsRef::as_ref))
}

fn trigger_span(at: Timestamp, name: &str, incident: &Incident, state: &Migration) -> Made {
    let trigger = state.plan.as_ref().and_then(|plan| plan.triggers.get(name));
    let mut attributes = vec![text("trigger", name), id_of(incident)];
    attributes.extend(trigger.map(|trigger| text("severity", word(trigger.severity))));
    let began = trigger.map_or(at, |trigger| at - trigger.dwell);
    under_incident(incident, format!("trigger {name}"), (began, at), attributes)
}

fn step_span(at: Timestamp, run: &Run, name: &str, what: &StepEvent) -> Option<Made> {
    let step = run.steps.get(name)?;
    let attributes = || {
        let action = run.plan.steps.get(name).map(|step| text("action", &step.action));
        let ids = [text("run", &run.id.0), text("step", name)];
        ids.into_iter().chain(action).collect::<Vec<_>>()
    };
    let began = step.started?;
    let whole = |outcome: &str, status: Status| {
        let mut attributes = attributes();
        attributes.push(text("outcome", outcome));
        let made = under_run(run, format!("step {name}"), (began, at), attributes);
        Some(Made { id: Some(ids::step(&run.id.0, name, began)), status, ..made })
    };
    match what {
        StepEvent::Done => whole("done", Status::Unset),
        StepEvent::Unchanged => whole("unchanged", Status::Unset),
        StepEvent::Skipped { .. } => whole("skipped", Status::Unset),
        StepEvent::Failed { why, .. } => whole("failed", Status::error(why.clone())),
        StepEvent::Require { signal, what } | StepEvent::Verify { signal, what } => {
            let (outcome, status) = match what {
                GateEvent::Passed => ("passed", Status::Unset),
                GateEvent::Failed { why } => ("failed", Status::error(why.clone())),
                GateEvent::Holding { .. } | GateEvent::Broken { .. } => return None,
            };
            let gates = step.require.iter().chain(&step.verify);
            let opened = gates.filter(|gate| gate.gate.signal == *signal).map(|gate| gate.opened).max()?;
            let mut attributes = attributes();
            attributes.extend([text("signal", signal), text("outcome", outcome)]);
            let made = under_run(run, format!("gate {signal}"), (opened, at), attributes);
            Some(Made { parent: ids::step(&run.id.0, name, began), status, ..made })
        }
        _ => None,
    }
}

fn under_incident(incident: &Incident, name: String, times: (Timestamp, Timestamp), attributes: Vec<KeyValue>) -> Made {
    made(ids::trace(Some(&incident.id.0), None), ids::incident(&incident.id.0), name, times, attributes)
}

fn under_run(run: &Run, name: String, times: (Timestamp, Timestamp), attributes: Vec<KeyValue>) -> Made {
    let incident = run.incident.as_ref().map(|incident| incident.0.as_str());
    made(ids::trace(incident, Some(&run.id.0)), ids::run(&run.id.0), name, times, attributes)
}

fn made(
    trace: TraceId,
    parent: SpanId,
    name: String,
    (from, to): (Timestamp, Timestamp),
    attributes: Vec<KeyValue>,
) -> Made {
    Made {
        trace,
        id: None,
        parent,
        name: name.into(),
        kind: SpanKind::Internal,
        start: SystemTime::from(from),
        end: SystemTime::from(to),
        attributes,
        status: Status::Unset,
    }
}

fn with_migration(mut made: Made, migration: &str) -> Made {
    made.attributes.push(text("migration", migration));
    made
}

fn id_of(incident: &Incident) -> KeyValue {
    text("incident", &incident.id.0)
}

fn text(key: &'static str, value: impl Into<String>) -> KeyValue {
    KeyValue::new(key, value.into())
}
