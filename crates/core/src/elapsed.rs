//! The signal `elapsed`: time that has gone by, held against what was planned. Nothing outside Belay is asked.

use std::time::Duration;

use belay_plan::{
    builtin::{self, ELAPSED},
    duration,
    model::{Name, Plan, Signal},
};
use jiff::Timestamp;

use crate::{
    decide::Deciding,
    migration::Migration,
    reading::{Health, Reading},
};

/// What a signal of this kind measures.
struct Elapsed<'m> {
    /// None: it has not begun.
    since: Option<Timestamp>,
    at_most: Duration,
    of: &'m str,
    /// What is to be said where it has not begun, or is over.
    otherwise: &'static str,
}

impl<'m> Elapsed<'m> {
    /// None for signals of other kinds, and for what does not decode: that has been refused before.
    fn of(signal: &'m Signal, plan: &Plan, state: &Migration) -> Option<Self> {
        let spec = signal.spec.get(ELAPSED).filter(|_| signal.kind == ELAPSED)?;
        let at_most = spec["at_most"].as_str()?;
        if let Some(phase) = spec["phase"].as_str() {
            let expected = plan.phases.get(phase).and_then(|phase| phase.expected);
            let at_most = match at_most.strip_suffix('%') {
                Some(percent) => expected? * percent.parse().ok()? / 100,
                None => duration::parse(at_most).ok()?,
            };
            let since = state.phase.as_ref().filter(|present| present.name == phase).map(|present| present.since);
            return Some(Self { since, at_most, of: phase, otherwise: "is not the present phase" });
        }
        let at_most = duration::parse(at_most).ok()?;
        match spec["since"].as_str()? {
            "cutover" => Some(Self { since: state.cutover, at_most, of: "the cutover", otherwise: "is not marked" }),
            _ => Some(Self { since: state.armed, at_most, of: "arming", otherwise: "has not begun" }),
        }
    }

    fn turns(&self) -> Option<Timestamp> {
        self.since.map(|since| since + self.at_most)
    }

    fn health(&self, now: Timestamp) -> Health {
        if self.turns().is_some_and(|turns| now > turns) { Health::Unhealthy } else { Health::Healthy }
    }

    fn evidence(&self, now: Timestamp) -> String {
        let (of, at_most) = (self.of, duration::format(self.at_most));
        match self.since {
            None => format!("{of} {}", self.otherwise),
            Some(since) if self.health(now) == Health::Unhealthy => {
                format!("more than {at_most} since {of} began at {since:.0}")
            }
            Some(since) => format!("less than {at_most} since {of} began at {since:.0}"),
        }
    }
}

/// Whether Belay itself knows what the signal shows; no sensor reads it. Time is worked out here, from the state of the
/// migration; losses by the engine, from what it observes of the steps.
pub fn is_own(signal: &Signal) -> bool {
    builtin::is_own(&signal.kind)
}

/// What the plan's own signals show now.
pub fn own_readings(plan: &Plan, state: &Migration, now: Timestamp) -> Vec<Reading> {
    let readings = plan.signals.iter().filter_map(|(name, signal)| reading(name, signal, plan, state, now));
    readings.collect()
}

fn reading(name: &Name, signal: &Signal, plan: &Plan, state: &Migration, now: Timestamp) -> Option<Reading> {
    let elapsed = Elapsed::of(signal, plan, state)?;
    Some(Reading {
        signal: name.clone(),
        health: elapsed.health(now),
        evidence: elapsed.evidence(now),
        source: "belay".to_owned(),
        taken: now,
        unreadable: false,
        permanent: false,
        measured: None,
    })
}

impl Deciding {
    /// Time is read whenever anything is decided.
    pub(crate) fn follow_elapsed(&mut self) {
        let armed = self.state.armed.is_some();
        let Some(plan) =
            self.state.plan.clone().filter(|plan| armed && plan.signals.values().any(|signal| signal.kind == ELAPSED))
        else {
            return;
        };
        for reading in own_readings(&plan, &self.state, self.now) {
            self.reading(&reading);
        }
    }

    /// When one of them turns.
    pub(crate) fn elapsed_deadline(state: &Migration) -> Option<Timestamp> {
        let plan = state.plan.as_ref().filter(|_| state.armed.is_some())?;
        let turn = |(name, signal): (&Name, &Signal)| {
            let healthy = state.signals.get(name).is_some_and(|known| known.health == Health::Healthy);
            let turns = Elapsed::of(signal, plan, state)?.turns()?;
            healthy.then(|| turns + Duration::from_millis(1))
        };
        plan.signals.iter().filter_map(turn).min()
    }
}
