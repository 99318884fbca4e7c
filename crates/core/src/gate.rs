//! Gates: a signal that has to be healthy without a break for a while, before a time has run out.
//!
//! Interlocks (`require`), gates after a step (`verify`) and the confirmation all work like this.

use std::time::Duration;

use belay_plan::{duration, model::Gate};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    event::GateEvent,
    reading::{Health, Reading},
};

/// A gate with `within: 0s` is decided by its first reading; sensors answer within 10 s, so this is long enough.
const FIRST_READING: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateState {
    pub gate: Gate,
    /// Evidence must have been taken at or after this.
    pub opened: Timestamp,
    pub status: GateStatus,
    /// What the last journaled reading said.
    pub evidence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStatus {
    /// No reading yet that counts.
    Waiting,
    Holding {
        since: Timestamp,
    },
    Broken {
        health: Health,
    },
    Passed,
    Failed,
}

impl GateState {
    pub fn open(gate: &Gate, at: Timestamp) -> Self {
        Self { gate: gate.clone(), opened: at, status: GateStatus::Waiting, evidence: String::new() }
    }

    /// Still to be decided.
    pub fn is_open(&self) -> bool {
        !matches!(self.status, GateStatus::Passed | GateStatus::Failed)
    }

    pub fn has_passed(&self) -> bool {
        self.status == GateStatus::Passed
    }

    /// The time that nobody was looking counts for nothing: the gate opens anew.
    pub(crate) fn reopen(&mut self, at: Timestamp) {
        self.opened = at;
        self.status = GateStatus::Waiting;
    }

    fn patience(&self) -> Duration {
        if self.gate.within.is_zero() { FIRST_READING } else { self.gate.within }
    }

    pub(crate) fn deadline(&self) -> Timestamp {
        self.opened + self.patience()
    }

    /// What a reading of the gate's signal means for it.
    pub(crate) fn react(&self, reading: &Reading) -> Option<GateEvent> {
        if !self.is_open() || reading.signal != self.gate.signal || reading.taken < self.opened {
            return None;
        }
        self.weigh(reading)
    }

    /// An interlock that has passed while another is still waited for: it has to hold until both do.
    pub(crate) fn relapse(&self, reading: &Reading) -> Option<GateEvent> {
        let relapsed = self.has_passed() && reading.signal == self.gate.signal && reading.health != Health::Healthy;
        if relapsed { self.weigh(reading) } else { None }
    }

    fn weigh(&self, reading: &Reading) -> Option<GateEvent> {
        let evidence = reading.evidence.clone();
        if reading.health == Health::Healthy {
            return match self.status {
                GateStatus::Holding { since } if reading.taken >= since + self.gate.hold => Some(GateEvent::Passed),
                GateStatus::Holding { .. } => None,
                _ if self.gate.hold.is_zero() => Some(GateEvent::Passed),
                _ => Some(GateEvent::Holding { evidence }),
            };
        }
        if self.gate.within.is_zero() {
            let why = format!("{} is {}: {evidence}", self.gate.signal, word(reading.health));
            return Some(GateEvent::Failed { why });
        }
        match self.status {
            GateStatus::Broken { health } if health == reading.health => None,
            _ => Some(GateEvent::Broken { health: reading.health, evidence }),
        }
    }

    /// What the passing of time means for it.
    pub(crate) fn expire(&self, now: Timestamp) -> Option<GateEvent> {
        if !self.is_open() || now < self.deadline() {
            return None;
        }
        let signal = &self.gate.signal;
        let within = duration::format(self.gate.within);
        let why = match self.status {
            GateStatus::Holding { .. } => {
                format!("{signal} was not healthy for {} within {within}", duration::format(self.gate.hold))
            }
            GateStatus::Broken { health } => format!("{signal} is {} after {within}: {}", word(health), self.evidence),
            _ => format!("{signal} could not be read within {}", duration::format(self.patience())),
        };
        Some(GateEvent::Failed { why })
    }

    pub(crate) fn apply(&mut self, at: Timestamp, event: &GateEvent) {
        match event {
            GateEvent::Holding { evidence } => {
                self.status = GateStatus::Holding { since: at };
                self.evidence.clone_from(evidence);
            }
            GateEvent::Broken { health, evidence } => {
                self.status = GateStatus::Broken { health: *health };
                self.evidence.clone_from(evidence);
            }
            GateEvent::Passed => self.status = GateStatus::Passed,
            GateEvent::Failed { why } => {
                self.status = GateStatus::Failed;
                self.evidence.clone_from(why);
            }
        }
    }
}

pub(crate) fn word(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
        Health::Unknown => "unknown",
    }
}
