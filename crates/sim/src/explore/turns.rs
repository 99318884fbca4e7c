//! Whether a gate can turn healthy at the place where it stands: what heals its signal has to be in place by then.
//!
//! The search plays steps that do not wait for each other one after the other, so what one of them heals for another is
//! not told by its states. It is told here, from the plan: what heals comes before the gate, or never, or it is a matter of
//! time.

use std::{collections::HashMap, time::Duration};

use belay_plan::model::{Gate, Name, OnFailure, Plan};

use super::times::{POLLS, Schedule};
use crate::{
    causes::{self, Cause},
    order::Cones,
    rehearsal::usual,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// Nothing heals its signal before it is decided.
    Never,
    /// What heals it runs beside it, or shows late: it depends on who is faster.
    Race,
    Surely,
}

/// Where a gate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand<'a> {
    Require(&'a Name),
    Verify(&'a Name),
    Confirm,
}

pub(crate) struct Turns<'p> {
    plan: &'p Plan,
    cones: Cones,
    /// By signal that a gate reads.
    causes: HashMap<Name, Cause>,
    schedule: Schedule<'p>,
}

/// A gate opens before its first reading, so what has to hold for the whole of `within` cannot.
pub(crate) fn fits(gate: &Gate) -> bool {
    gate.hold.is_zero() || gate.hold < gate.within
}

impl<'p> Turns<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        let (cones, symptoms) = (Cones::new(plan), causes::symptoms(plan));
        let mut found: HashMap<Name, Cause> = HashMap::new();
        let gates = plan.steps.values().flat_map(|step| step.require.iter().chain(&step.verify)).chain(&plan.confirm);
        for Gate { signal, .. } in gates {
            let cause = || causes::of_signal(plan, &cones, signal, symptoms.contains(signal));
            found.entry(signal.clone()).or_insert_with(cause);
        }
        Self { plan, cones, causes: found, schedule: Schedule::new(plan) }
    }

    /// Of a signal that some gate reads.
    pub(crate) fn cause(&self, signal: &Name) -> &Cause {
        self.causes.get(signal).unwrap_or(&Cause::Fine)
    }

    pub(crate) fn of(&self, gate: &Gate, stand: Stand<'_>) -> Turn {
        if !fits(gate) {
            return Turn::Never;
        }
        match self.cause(&gate.signal) {
            Cause::Fine => Turn::Surely,
            Cause::Healed { by, symptom } => {
                by.iter().map(|steps| self.by(gate, stand, steps, *symptom)).max().unwrap_or(Turn::Never)
            }
        }
    }

    /// The whole of a set has to be in place, so its slowest step counts.
    fn by(&self, gate: &Gate, stand: Stand<'_>, steps: &[Name], symptom: bool) -> Turn {
        let arrives =
            |step: &Name| if stand == Stand::Confirm { self.arrives(step, gate, symptom) } else { Turn::Surely };
        steps.iter().map(|step| self.one(gate, stand, step, symptom).min(arrives(step))).min().unwrap_or(Turn::Never)
    }

    /// Whether a step is in place when the run comes to its confirmation: one that is passed over before its first call, or between
    /// its parts, is not.
    fn arrives(&self, step: &Name, gate: &Gate, symptom: bool) -> Turn {
        let healer = &self.plan.steps[step];
        match healer.on_failure {
            OnFailure::Continue if symptom && self.is_held_up_by(step, &gate.signal) => Turn::Never,
            OnFailure::Continue => {
                let required = healer.require.iter().map(|gate| self.of(gate, Stand::Require(step)));
                let between = healer.verify.iter().filter(|_| healer.stages.len() > 1);
                let between = between.map(|gate| self.of(gate, Stand::Verify(step)));
                required.chain(between).min().unwrap_or(Turn::Surely)
            }
            // Else the run halts before, or another step stands in.
            _ => Turn::Surely,
        }
    }

    fn one(&self, gate: &Gate, stand: Stand<'_>, healer: &Name, symptom: bool) -> Turn {
        let after = |step: &Name, other: &Name| self.is_behind(step, other);
        match stand {
            // Every step is over. What one of them has seen healthy is so; else it has had the holds of the healer's gates.
            Stand::Confirm if self.is_verified(&gate.signal) => Turn::Surely,
            Stand::Confirm => self.shows_after(gate, self.schedule.of(healer).least_gates),
            Stand::Verify(step) if step == healer => {
                // Until its last part, the rest of the traffic still goes where it fails.
                if symptom && self.plan.steps[step].stages.len() > 1 { Turn::Never } else { self.shows(gate) }
            }
            Stand::Require(step) if step == healer => Turn::Never,
            Stand::Require(step) | Stand::Verify(step) if after(step, healer) => {
                let checked = self.plan.steps[healer].verify.iter().any(|gate_of| gate_of.signal == gate.signal);
                if checked { Turn::Surely } else { self.shows(gate) }
            }
            Stand::Require(step) | Stand::Verify(step) if after(healer, step) => Turn::Never,
            // It waits itself for what only it could heal; where another step heals that, that one counts.
            Stand::Require(_) | Stand::Verify(_) if symptom && self.is_held_up_by(healer, &gate.signal) => Turn::Never,
            Stand::Require(step) | Stand::Verify(step) => {
                let opens = match stand {
                    Stand::Require(_) => self.schedule.of(step).start,
                    _ => self.schedule.of(step).settled[0],
                };
                let shown = self.schedule.of(healer).settled[1].saturating_add(self.lag(gate));
                if shown.saturating_add(gate.hold) <= opens.saturating_add(gate.within) {
                    Turn::Surely
                } else {
                    Turn::Race
                }
            }
        }
    }

    /// Whether a step that moves traffic in parts has to see the signal healthy between two of them.
    fn is_held_up_by(&self, step: &Name, signal: &str) -> bool {
        let step = &self.plan.steps[step];
        step.stages.len() > 1 && step.verify.iter().any(|gate| gate.signal == signal)
    }

    /// Whether some step that runs anyway waits until a signal is healthy.
    fn is_verified(&self, signal: &str) -> bool {
        let mut steps = self.plan.steps.values().enumerate().filter(|(index, _)| !self.cones.is_fallback(*index));
        steps.any(|(_, step)| step.verify.iter().any(|gate| gate.signal == signal))
    }

    /// The cause is gone; the gate has to wait until that shows.
    fn shows(&self, gate: &Gate) -> Turn {
        self.shows_after(gate, Duration::ZERO)
    }

    /// The same where the cause is gone for so long when the gate opens.
    fn shows_after(&self, gate: &Gate, gone: Duration) -> Turn {
        let shown = self.lag(gate).saturating_sub(gone);
        if shown.saturating_add(gate.hold) <= gate.within { Turn::Surely } else { Turn::Race }
    }

    /// How late a signal may show that the step is in place whose own gate, or the confirmation, waits for it; None: the
    /// gate does not rest on that.
    pub(crate) fn rests_on_lag(&self, gate: &Gate, stand: Stand<'_>) -> Option<(Duration, &[Vec<Name>])> {
        let Cause::Healed { by, .. } = self.cause(&gate.signal) else { return None };
        let own = |step: &Name| by.iter().any(|set| set.contains(step));
        let rests = match stand {
            Stand::Confirm => !self.is_verified(&gate.signal),
            Stand::Verify(step) => own(step),
            Stand::Require(_) => false,
        };
        let lag = self.lag(gate);
        (rests && !lag.is_zero() && self.of(gate, stand) == Turn::Surely).then_some((lag, by))
    }

    fn lag(&self, gate: &Gate) -> Duration {
        let kind = self.plan.signals.get(&gate.signal).map_or("", |signal| signal.kind.as_str());
        let lag = usual::of_signal(kind).most;
        if lag.is_zero() { Duration::ZERO } else { lag + POLLS }
    }

    /// Whether `step` waits for `other`.
    pub(crate) fn is_behind(&self, step: &Name, other: &Name) -> bool {
        let index = |name: &Name| self.plan.steps.get_index_of(name);
        index(step).zip(index(other)).is_some_and(|(step, other)| self.cones.is_behind(step, other))
    }
}
