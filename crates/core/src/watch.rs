//! Signals and triggers: what was read, and how long a condition has held.

use belay_plan::model::{Condition, Name, Plan, counts_during};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::{event::Event, migration::Migration, reading::Health};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalState {
    pub health: Health,
    pub since: Timestamp,
    pub evidence: String,
    pub source: String,
    pub unreadable: bool,
    /// Read at least once since `since`.
    pub read: bool,
}

impl SignalState {
    /// Nobody has looked yet, or not since a restart.
    pub(crate) fn unread(at: Timestamp) -> Self {
        Self {
            health: Health::Unknown,
            since: at,
            evidence: "not read yet".to_owned(),
            source: String::new(),
            unreadable: false,
            read: false,
        }
    }
}

/// How far a trigger is from firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dwell {
    Quiet,
    /// The condition has held since; `held_ms` comes from before a pause.
    Running {
        since: Timestamp,
        held_ms: u64,
    },
    Paused {
        held_ms: u64,
    },
    Fired,
    /// It had fired and has been false again since.
    Healing {
        since: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerState {
    pub dwell: Dwell,
    pub waits_for_green: bool,
    /// The condition cannot be decided since then.
    pub unknown: Option<Timestamp>,
    /// `if_unknown` has had its say on the present stretch.
    pub unknown_answered: bool,
}

impl TriggerState {
    pub(crate) fn quiet() -> Self {
        Self { dwell: Dwell::Quiet, waits_for_green: false, unknown: None, unknown_answered: false }
    }

    /// It has fired, and has not healed for its dwell since.
    pub(crate) fn is_unwell(&self) -> bool {
        matches!(self.dwell, Dwell::Fired | Dwell::Healing { .. })
    }

    /// Nobody was looking: what ran since the last pause counts for nothing.
    pub(crate) fn interrupt(&mut self, at: Timestamp) {
        match self.dwell {
            Dwell::Running { held_ms, .. } => self.dwell = Dwell::Paused { held_ms },
            Dwell::Healing { .. } => self.dwell = Dwell::Fired,
            _ => {}
        }
        self.unknown = self.unknown.map(|_| at);
    }
}

/// What a condition over signals comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Unknown,
}

/// Three-valued: unknown only where the known signals do not decide.
pub fn truth(condition: &Condition, health: &dyn Fn(&str) -> Health) -> Truth {
    match condition {
        Condition::Signal(name) => match health(name) {
            Health::Unhealthy => Truth::True,
            Health::Healthy => Truth::False,
            Health::Unknown => Truth::Unknown,
        },
        Condition::Any(parts) => at_least(1, parts, health),
        Condition::All(parts) => at_least(parts.len(), parts, health),
        Condition::AtLeast { n, of } => at_least(*n as usize, of, health),
    }
}

fn at_least(n: usize, parts: &[Condition], health: &dyn Fn(&str) -> Health) -> Truth {
    let truths: Vec<Truth> = parts.iter().map(|part| truth(part, health)).collect();
    let sure = truths.iter().filter(|truth| **truth == Truth::True).count();
    let open = truths.iter().filter(|truth| **truth == Truth::Unknown).count();
    if sure >= n {
        Truth::True
    } else if sure + open < n {
        Truth::False
    } else {
        Truth::Unknown
    }
}

/// The signals that a condition names, each once, in order.
pub fn signals_of(condition: &Condition) -> Vec<&Name> {
    let mut found = Vec::new();
    collect(condition, &mut found);
    found
}

/// The triggers whose condition holds now, of those that count in the phase.
pub fn red<'p>(plan: &'p Plan, phase: Option<&str>, health: &dyn Fn(&str) -> Health) -> Vec<&'p Name> {
    let counts = plan.triggers.iter().filter(|(_, trigger)| counts_during(&trigger.during, phase));
    counts.filter(|(_, trigger)| truth(&trigger.when, health) == Truth::True).map(|(name, _)| name).collect()
}

/// Whether a condition names the signal.
pub fn names(condition: &Condition, signal: &Name) -> bool {
    match condition {
        Condition::Signal(name) => name == signal,
        Condition::Any(parts) | Condition::All(parts) | Condition::AtLeast { of: parts, .. } => {
            parts.iter().any(|part| names(part, signal))
        }
    }
}

fn collect<'a>(condition: &'a Condition, found: &mut Vec<&'a Name>) {
    match condition {
        Condition::Signal(name) => {
            if !found.contains(&name) {
                found.push(name);
            }
        }
        Condition::Any(parts) | Condition::All(parts) | Condition::AtLeast { of: parts, .. } => {
            parts.iter().for_each(|part| collect(part, found));
        }
    }
}

pub(crate) fn health_in(signals: &IndexMap<Name, SignalState>) -> impl Fn(&str) -> Health + '_ {
    |name| signals.get(name).map_or(Health::Unknown, |signal| signal.health)
}

/// What the evidence is of a condition that holds.
pub(crate) fn evidence(condition: &Condition, signals: &IndexMap<Name, SignalState>, health: Health) -> Vec<String> {
    signals_of(condition)
        .into_iter()
        .filter_map(|name| signals.get(name).map(|signal| (name, signal)))
        .filter(|(_, signal)| signal.health == health)
        .map(|(name, signal)| format!("{name}: {}", signal.evidence))
        .collect()
}

/// The signals that any trigger of the plan watches.
pub(crate) fn watched(plan: &Plan) -> Vec<&Name> {
    let mut found = Vec::new();
    for trigger in plan.triggers.values() {
        collect(&trigger.when, &mut found);
    }
    found
}

impl Migration {
    pub(crate) fn apply_watch(&mut self, at: Timestamp, event: &Event) -> Result<(), String> {
        match event {
            Event::SignalTurned { signal, to, evidence, source, unreadable, .. } => {
                let state = self.signals.get_mut(signal).ok_or_else(|| format!("there is no signal {signal}"))?;
                *state = SignalState {
                    health: *to,
                    since: at,
                    evidence: evidence.clone(),
                    source: source.clone(),
                    unreadable: *unreadable,
                    read: true,
                };
            }
            Event::Blinded { source, .. } => {
                self.blind.insert(source.clone(), at);
            }
            Event::Sighted { source } => {
                self.blind.remove(source);
            }
            _ => self.apply_trigger(at, event)?,
        }
        Ok(())
    }

    fn apply_trigger(&mut self, at: Timestamp, event: &Event) -> Result<(), String> {
        let (Event::DwellStarted { trigger: name }
        | Event::DwellPaused { trigger: name, .. }
        | Event::DwellResumed { trigger: name }
        | Event::DwellReset { trigger: name }
        | Event::TriggerFired { trigger: name, .. }
        | Event::TriggerGreen { trigger: name }
        | Event::HealingStarted { trigger: name }
        | Event::HealingReset { trigger: name }
        | Event::TriggerHealed { trigger: name }
        | Event::TriggerUnknown { trigger: name, .. }
        | Event::TriggerKnown { trigger: name }
        | Event::UnknownAlerted { trigger: name, .. }) = event
        else {
            return Err("this version does not know how to fold it".to_owned());
        };
        let state = self.triggers.get_mut(name).ok_or_else(|| format!("there is no trigger {name}"))?;
        match event {
            Event::DwellStarted { .. } => state.dwell = Dwell::Running { since: at, held_ms: 0 },
            Event::DwellPaused { held_ms, .. } => state.dwell = Dwell::Paused { held_ms: *held_ms },
            Event::DwellResumed { .. } => {
                let held_ms = if let Dwell::Paused { held_ms } = state.dwell { held_ms } else { 0 };
                state.dwell = Dwell::Running { since: at, held_ms };
            }
            Event::DwellReset { .. } | Event::TriggerHealed { .. } => state.dwell = Dwell::Quiet,
            Event::TriggerFired { .. } | Event::HealingReset { .. } => state.dwell = Dwell::Fired,
            Event::TriggerGreen { .. } => state.waits_for_green = false,
            Event::HealingStarted { .. } => state.dwell = Dwell::Healing { since: at },
            Event::TriggerUnknown { .. } => {
                state.unknown = Some(at);
                state.unknown_answered = false;
            }
            Event::TriggerKnown { .. } => {
                state.unknown = None;
                state.unknown_answered = false;
            }
            Event::UnknownAlerted { .. } => state.unknown_answered = true,
            _ => {}
        }
        if let (Event::TriggerHealed { .. }, Some(incident)) = (event, &mut self.incident) {
            incident.note_healed(name);
        }
        if matches!(event, Event::TriggerFired { .. }) {
            state.unknown_answered = state.unknown.is_some();
        }
        Ok(())
    }
}

/// How long a dwell has come to by now.
pub(crate) fn held_ms(since: Timestamp, held_ms: u64, now: Timestamp) -> u64 {
    held_ms + u64::try_from(now.as_millisecond() - since.as_millisecond()).unwrap_or(0)
}

/// When a running dwell is complete.
pub(crate) fn dwell_end(since: Timestamp, held_ms: u64, dwell: Duration) -> Timestamp {
    since + dwell.saturating_sub(Duration::from_millis(held_ms))
}
