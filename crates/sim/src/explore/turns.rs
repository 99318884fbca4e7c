//! Whether a gate can turn healthy at the place where it stands: what heals its signal has to be in place by then.
//!
//! The search plays steps that do not wait for each other one after the other, so what one of them heals for another is
//! not told by its states. It is told here, from the plan: what heals comes before the gate, or never, or it is a matter of
//! time.

use std::{collections::HashMap, time::Duration};

use belay_plan::model::{Gate, Name, OnFailure, Plan, Step};

use super::times::{POLLS, Schedule, TimeOut, has_no_time_to_answer, skips};
use crate::{
    causes::{self, Cause},
    nature,
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
    /// Of the signals that a trigger may fire without: what else may have made them red.
    otherwise: HashMap<Name, Cause>,
    schedule: Schedule<'p>,
    /// By step without which the run goes on: whether it is in place when it is over. Of the others it is sure.
    arrives: HashMap<Name, Turn>,
    /// By step whose failure does not halt the run: whether it succeeds itself.
    succeeds: HashMap<Name, Turn>,
}

/// A gate opens before its first reading, so what has to hold for the whole of `within` cannot.
pub(crate) fn fits(gate: &Gate) -> bool {
    gate.hold.is_zero() || gate.hold < gate.within
}

/// Whether a step is over before its time-out.
fn in_time(step: &Step) -> Turn {
    if TimeOut::of(step) == TimeOut::Usually { Turn::Race } else { Turn::Surely }
}

/// Whether people answer before the run goes on without the step.
fn answered(step: &Step) -> Turn {
    if skips(step) && has_no_time_to_answer(step) { Turn::Race } else { Turn::Surely }
}

impl<'p> Turns<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        let (cones, symptoms) = (Cones::new(plan), causes::symptoms(plan));
        let mut found: HashMap<Name, Cause> = HashMap::new();
        let mut otherwise: HashMap<Name, Cause> = HashMap::new();
        let gates = plan.steps.values().flat_map(|step| step.require.iter().chain(&step.verify)).chain(&plan.confirm);
        for Gate { signal, .. } in gates {
            if found.contains_key(signal) {
                continue;
            }
            let symptom = symptoms.contains(signal);
            found.insert(signal.clone(), causes::of_signal(plan, &cones, signal, symptom));
            if symptom && causes::may_be_healthy_at_first(plan, signal) {
                otherwise.insert(signal.clone(), causes::of_signal(plan, &cones, signal, false));
            }
        }
        let schedule = Schedule::new(plan);
        let mut turns =
            Self { plan, cones, causes: found, otherwise, schedule, arrives: HashMap::new(), succeeds: HashMap::new() };
        // Whatever comes before a step comes before it here.
        let mut order: Vec<(usize, (&Name, &Step))> = plan.steps.iter().enumerate().collect();
        order.sort_by_cached_key(|(index, _)| turns.cones.of(*index).len());
        for (_, (name, step)) in order {
            let goes_on = step.on_failure == OnFailure::Continue || skips(step);
            if goes_on {
                let arrives = turns.of_passed_over(name);
                turns.arrives.insert(name.clone(), arrives);
            }
            if goes_on || step.on_failure != OnFailure::Halt {
                let succeeds = turns.of_success(name);
                turns.succeeds.insert(name.clone(), succeeds);
            }
        }
        turns
    }

    /// Of a signal that some gate reads.
    pub(crate) fn cause(&self, signal: &Name) -> &Cause {
        self.causes.get(signal).unwrap_or(&Cause::Fine)
    }

    pub(crate) fn of(&self, gate: &Gate, stand: Stand<'_>) -> Turn {
        if !fits(gate) {
            return Turn::Never;
        }
        self.by_cause(self.cause(&gate.signal), gate, stand)
    }

    /// Whether a run may see the gate healthy, whatever has to be so for that: also as long as its signal does not show yet what is
    /// wrong, or where it is another trigger's and has been healthy all along.
    pub(crate) fn may_turn(&self, gate: &Gate, stand: Stand<'_>) -> bool {
        fits(gate)
            && (self.of(gate, stand) > Turn::Never
                || self.is_early(gate, stand)
                || self.stands_in_for_what_heals(gate, stand)
                || self
                    .otherwise
                    .get(&gate.signal)
                    .is_some_and(|cause| self.by_cause(cause, gate, stand) > Turn::Never))
    }

    /// A step can have failed although it is in place: then its fallback sees what it has healed.
    fn stands_in_for_what_heals(&self, gate: &Gate, stand: Stand<'_>) -> bool {
        let (Cause::Healed { by, .. }, Stand::Require(step) | Stand::Verify(step)) = (self.cause(&gate.signal), stand)
        else {
            return false;
        };
        by.iter().flatten().any(|healer| self.stands_in(step, healer))
    }

    /// Whether a gate opens so soon after the breach that its signal may not show it yet.
    fn is_early(&self, gate: &Gate, stand: Stand<'_>) -> bool {
        let Cause::Healed { symptom, .. } = self.cause(&gate.signal) else { return true };
        let opens = match stand {
            Stand::Require(step) | Stand::Verify(step) => self.schedule.of(step).soonest,
            Stand::Confirm => self.schedule.confirms(),
        };
        let late = !symptom || self.otherwise.contains_key(&gate.signal);
        late && opens.saturating_add(gate.hold) < self.lag(gate)
    }

    /// Of the signal by what made it red. One of the sets has to be in place.
    fn by_cause(&self, cause: &Cause, gate: &Gate, stand: Stand<'_>) -> Turn {
        match cause {
            Cause::Fine => Turn::Surely,
            Cause::Healed { by, symptom } => {
                by.iter().map(|steps| self.by(gate, stand, steps, *symptom)).max().unwrap_or(Turn::Never)
            }
        }
    }

    /// The whole of a set has to be in place, so its slowest step counts. What is missed by nobody may be passed over, but for the last.
    fn by(&self, gate: &Gate, stand: Stand<'_>, steps: &[Name], symptom: bool) -> Turn {
        let comes = steps.iter().map(|step| self.one(gate, stand, step, symptom)).min().unwrap_or(Turn::Never);
        let is_over = |step: &Name| match stand {
            Stand::Confirm => true,
            Stand::Require(at) | Stand::Verify(at) => self.is_behind(at, step),
        };
        let arrives =
            |step: &Name| if is_over(step) { self.arrives(step, &gate.signal, symptom) } else { Turn::Surely };
        let (missed, others): (Vec<&Name>, Vec<&Name>) = steps
            .iter()
            .partition(|step| nature::is_seen(&self.plan.steps[*step]) || !self.arrives.contains_key(*step));
        let there = match missed.as_slice() {
            [] => others.into_iter().map(arrives).max(),
            missed => missed.iter().map(|step| arrives(step)).min(),
        };
        comes.min(there.unwrap_or(Turn::Never))
    }

    /// Whether a step is in place when it is over: the run goes on without it, it halts, or another step stands in.
    fn arrives(&self, step: &Name, signal: &str, symptom: bool) -> Turn {
        match self.arrives.get(step) {
            Some(_) if symptom && self.is_held_up_by(step, signal) => Turn::Never,
            Some(arrives) => *arrives,
            None => Turn::Surely,
        }
    }

    /// A step without which the run goes on: it is passed over before its first call, or between its parts.
    fn of_passed_over(&self, name: &Name) -> Turn {
        let step = &self.plan.steps[name];
        let required = step.require.iter().map(|gate| self.of(gate, Stand::Require(name)));
        let between = step.verify.iter().filter(|_| step.stages.len() > 1);
        let between = between.map(|gate| self.of(gate, Stand::Verify(name)));
        let continues = step.on_failure == OnFailure::Continue;
        let gates = required.chain(between).min().filter(|_| continues).unwrap_or(Turn::Surely);
        let in_time = if continues { in_time(step) } else { Turn::Surely };
        gates.min(in_time).min(answered(step))
    }

    fn of_success(&self, name: &Name) -> Turn {
        let step = &self.plan.steps[name];
        let required = step.require.iter().map(|gate| self.of(gate, Stand::Require(name)));
        let gates = required.chain(step.verify.iter().map(|gate| self.of(gate, Stand::Verify(name)))).min();
        gates.unwrap_or(Turn::Surely).min(in_time(step)).min(answered(step))
    }

    /// Whether what comes after a step can be sure that the signal was seen healthy: by the step, or by what stands in for it.
    fn has_seen(&self, step: &Name, signal: &str) -> bool {
        let verifies = |step: &Name| self.plan.steps[step].verify.iter().any(|gate| gate.signal == signal);
        verifies(step)
            && (self.succeeds.get(step).is_none_or(|succeeds| *succeeds == Turn::Surely)
                || match &self.plan.steps[step].on_failure {
                    OnFailure::Fallback(fallback) => !skips(&self.plan.steps[step]) && self.has_seen(fallback, signal),
                    _ => false,
                })
    }

    /// Whether a step is a fallback of another, or a fallback of its fallback.
    fn stands_in(&self, step: &Name, of: &Name) -> bool {
        match &self.plan.steps[of].on_failure {
            OnFailure::Fallback(fallback) => fallback == step || self.stands_in(step, fallback),
            _ => false,
        }
    }

    fn one(&self, gate: &Gate, stand: Stand<'_>, healer: &Name, symptom: bool) -> Turn {
        let after = |step: &Name, other: &Name| self.is_behind(step, other);
        match stand {
            // Every step is over. What one of them has seen healthy is so; else it has had the holds of the healer's gates.
            Stand::Confirm if self.is_verified(&gate.signal) => Turn::Surely,
            Stand::Confirm => self.shows_after(gate, self.schedule.of(healer).least_gates),
            // Where a fallback runs, its step is not in place, or has not been seen to be.
            Stand::Verify(step) if step == healer || self.stands_in(step, healer) => {
                // Until its last part, the rest of the traffic still goes where it fails.
                if symptom && self.plan.steps[step].stages.len() > 1 { Turn::Never } else { self.shows(gate) }
            }
            Stand::Require(step) if step == healer || self.stands_in(step, healer) => Turn::Never,
            Stand::Require(step) | Stand::Verify(step) if after(step, healer) => {
                if self.has_seen(healer, &gate.signal) { Turn::Surely } else { self.shows(gate) }
            }
            Stand::Require(step) | Stand::Verify(step) if self.waits_for(healer, step) => Turn::Never,
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

    /// Whether `healer` begins only when `step` is over. What needs a step waits for its fallback as well, where that runs.
    fn waits_for(&self, healer: &Name, step: &Name) -> bool {
        let mut primaries = self.plan.steps.keys().filter(|primary| self.stands_in(step, primary));
        self.is_behind(healer, step) || primaries.any(|primary| self.is_behind(healer, primary))
    }

    /// Whether a step that moves traffic in parts has to see the signal healthy between two of them.
    fn is_held_up_by(&self, step: &Name, signal: &str) -> bool {
        let step = &self.plan.steps[step];
        step.stages.len() > 1 && step.verify.iter().any(|gate| gate.signal == signal)
    }

    /// Whether some step that runs anyway waits until a signal is healthy.
    fn is_verified(&self, signal: &str) -> bool {
        let mut steps = self.plan.steps.keys().enumerate().filter(|(index, _)| !self.cones.is_fallback(*index));
        steps.any(|(_, step)| self.has_seen(step, signal))
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
