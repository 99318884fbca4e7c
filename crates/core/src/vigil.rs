//! What follows from signals: blindness, triggers, incidents.

use std::{collections::BTreeMap, time::Duration};

use belay_plan::model::{Name, Trigger, UnknownPolicy};
use jiff::Timestamp;

use crate::{
    decide::Deciding,
    event::{Event, IncidentOutcome, RunKind},
    id::{IncidentId, RunId, id_text},
    reading::Health,
    run::RunState,
    watch::{Dwell, SignalState, Truth, dwell_end, evidence, health_in, held_ms, signals_of, truth},
};

/// What a plan that says nothing of `if_unknown` gets: people are told after this long.
const UNKNOWN_AFTER: Duration = Duration::from_secs(300);

impl Deciding {
    /// Everything from one source unknown together is blindness, not an outage.
    pub(crate) fn follow_blindness(&mut self) {
        if self.state.armed.is_none() {
            return;
        }
        let mut sources: BTreeMap<&str, Vec<&SignalState>> = BTreeMap::new();
        for signal in self.state.signals.values().filter(|signal| signal.read) {
            sources.entry(&signal.source).or_default().push(signal);
        }
        let mut events = Vec::new();
        for (source, signals) in sources {
            let blind = is_blind(&signals);
            match (blind, self.state.blind.contains_key(source)) {
                (true, false) => {
                    let why = signals.first().map(|signal| signal.evidence.clone()).unwrap_or_default();
                    events.push(Event::Blinded { source: source.to_owned(), why });
                }
                (false, true) => events.push(Event::Sighted { source: source.to_owned() }),
                _ => {}
            }
        }
        events.into_iter().for_each(|event| self.emit(event));
    }

    pub(crate) fn follow_triggers(&mut self) {
        let Some(plan) = self.state.plan.clone().filter(|_| self.state.armed.is_some()) else {
            return;
        };
        for (name, trigger) in &plan.triggers {
            let truth = truth(&trigger.when, &health_in(&self.state.signals));
            if self.state.is_asleep(name, trigger) {
                self.put_to_sleep(name, truth);
                continue;
            }
            if let Some(event) = self.dwell_event(name, trigger, truth) {
                let turns = matches!(event, Event::TriggerHealed { .. } | Event::HealingReset { .. });
                let involved = self.state.incident.as_ref().is_some_and(|incident| incident.is_kept_open_by(name));
                self.emit(event);
                if turns && involved {
                    self.ask_again(name);
                }
            }
            if let Some(event) = self.unknown_event(name, trigger, truth) {
                self.emit(event);
            }
        }
    }

    /// A trigger out of its phases begins anew when it wakes up. That it has been green is noted all the same.
    fn put_to_sleep(&mut self, name: &Name, truth: Truth) {
        let Some(state) = self.state.triggers.get(name) else { return };
        if state.waits_for_green && truth == Truth::False {
            return self.emit(Event::TriggerGreen { trigger: name.clone() });
        }
        let (dwells, unknown) = (state.dwell != Dwell::Quiet, state.unknown.is_some());
        if dwells {
            self.emit(Event::DwellReset { trigger: name.clone() });
        }
        if unknown {
            self.emit(Event::TriggerKnown { trigger: name.clone() });
        }
    }

    fn dwell_event(&self, name: &Name, trigger: &Trigger, truth: Truth) -> Option<Event> {
        let state = self.state.triggers.get(name)?;
        let trigger_name = name.clone();
        if state.waits_for_green {
            return (truth == Truth::False).then_some(Event::TriggerGreen { trigger: trigger_name });
        }
        match (state.dwell, truth) {
            (Dwell::Quiet, Truth::True) => Some(Event::DwellStarted { trigger: trigger_name }),
            (Dwell::Running { since, held_ms }, Truth::True) => (self.now >= dwell_end(since, held_ms, trigger.dwell))
                .then(|| Event::TriggerFired {
                    trigger: trigger_name,
                    evidence: evidence(&trigger.when, &self.state.signals, Health::Unhealthy),
                }),
            (Dwell::Running { since, held_ms: held }, Truth::Unknown) => {
                Some(Event::DwellPaused { trigger: trigger_name, held_ms: held_ms(since, held, self.now) })
            }
            (Dwell::Running { .. } | Dwell::Paused { .. }, Truth::False) => {
                Some(Event::DwellReset { trigger: trigger_name })
            }
            (Dwell::Paused { .. }, Truth::True) => Some(Event::DwellResumed { trigger: trigger_name }),
            (Dwell::Fired, Truth::False) => Some(Event::HealingStarted { trigger: trigger_name }),
            (Dwell::Healing { since }, Truth::False) => {
                (self.now >= since + trigger.dwell).then_some(Event::TriggerHealed { trigger: trigger_name })
            }
            (Dwell::Healing { .. }, _) => Some(Event::HealingReset { trigger: trigger_name }),
            _ => None,
        }
    }

    fn unknown_event(&self, name: &Name, trigger: &Trigger, truth: Truth) -> Option<Event> {
        let state = self.state.triggers.get(name)?;
        let unknown = truth == Truth::Unknown;
        let why = || evidence(&trigger.when, &self.state.signals, Health::Unknown).join("; ");
        match (unknown, state.unknown) {
            (true, None) => Some(Event::TriggerUnknown { trigger: name.clone(), why: why() }),
            (false, Some(_)) => Some(Event::TriggerKnown { trigger: name.clone() }),
            (true, Some(since)) if !state.unknown_answered && !state.waits_for_green => {
                let (after, then) =
                    trigger.if_unknown.as_ref().map_or((UNKNOWN_AFTER, UnknownPolicy::Alert), |p| (p.after, p.then));
                if self.now < since + after || matches!(state.dwell, Dwell::Fired | Dwell::Healing { .. }) {
                    return None;
                }
                match then {
                    UnknownPolicy::Ignore => None,
                    UnknownPolicy::RollBack if !self.any_blind(trigger) => {
                        Some(Event::TriggerFired { trigger: name.clone(), evidence: vec![why()] })
                    }
                    _ => Some(Event::UnknownAlerted { trigger: name.clone(), why: why() }),
                }
            }
            _ => None,
        }
    }

    /// The unknown signals of a trigger come from a source that is blind, or have not been read at all.
    fn any_blind(&self, trigger: &Trigger) -> bool {
        signals_of(&trigger.when).into_iter().filter_map(|name| self.state.signals.get(name)).any(|signal| {
            signal.health == Health::Unknown && (!signal.read || self.state.blind.contains_key(&signal.source))
        })
    }

    /// Fired triggers become incidents, incidents become runs, healed ones are closed.
    pub(crate) fn follow_incident(&mut self) {
        let Some(plan) = self.state.plan.clone().filter(|_| self.state.armed.is_some()) else {
            return;
        };
        for (name, trigger) in &plan.triggers {
            let fired = matches!(self.state.triggers.get(name), Some(state) if state.dwell == Dwell::Fired);
            let known = |migration: &crate::migration::Migration| {
                migration.incident.as_ref().is_some_and(|incident| incident.is_kept_open_by(name))
            };
            if !fired || known(&self.state) || !self.is_seen_to_hold(trigger) {
                continue;
            }
            if self.state.muted.is_some() && self.state.open_run().is_none() {
                continue; // it is on record that it fired; if it still holds when the mute ends, it opens or joins an incident
            }
            if self.state.incident.is_none() && self.state.open_run().is_none() {
                let incident = IncidentId(id_text(self.now, self.entropy));
                self.emit(Event::IncidentOpened { incident, trigger: name.clone() });
            } else if self.state.incident.is_some() {
                self.emit(Event::IncidentJoined { trigger: name.clone() });
            } else {
                continue; // a run that a person asked for: the firing itself is on record
            }
            if self.state.open_run().is_none() {
                self.answer_trigger(&plan, name, trigger);
            }
        }
        self.close_healed();
    }

    /// What a trigger fired for may have healed while nobody was looking: after a restart its signals are read first.
    fn is_seen_to_hold(&self, trigger: &Trigger) -> bool {
        truth(&trigger.when, &health_in(&self.state.signals)) == Truth::True || self.state.is_read(trigger)
    }

    pub(crate) fn start_run(&mut self, kind: RunKind, reason: String, only: Vec<Name>) {
        let run = RunId(id_text(self.now, self.entropy.rotate_left(16)));
        let kind = if self.state.drill.is_some() { RunKind::Drill } else { kind };
        let incident = self.state.incident.as_ref().map(|incident| incident.id.clone());
        let phase = self.state.phase_name().map(str::to_owned);
        self.emit(Event::RunStarted { run, kind, reason, only, incident, phase });
    }

    fn close_healed(&mut self) {
        let Some(incident) = &self.state.incident else {
            return;
        };
        if let Some(run) = self.state.run.as_ref().filter(|run| Some(&run.id) == incident.run.as_ref()) {
            let outcome = match run.state {
                RunState::RolledBack => IncidentOutcome::RolledBack,
                RunState::Aborted => IncidentOutcome::Aborted,
                _ => return,
            };
            return self.emit(Event::IncidentClosed { outcome });
        }
        if incident.open_triggers().next().is_none() {
            self.emit(Event::IncidentClosed { outcome: IncidentOutcome::Recovered });
        }
    }

    /// When a trigger next wants a tick.
    pub(crate) fn trigger_deadline(state: &crate::migration::Migration) -> Option<Timestamp> {
        let plan = state.plan.as_ref().filter(|_| state.armed.is_some())?;
        plan.triggers
            .iter()
            .filter(|(name, trigger)| !state.is_asleep(name, trigger))
            .filter_map(|(name, trigger)| {
                let state = state.triggers.get(name)?;
                let dwell = match state.dwell {
                    Dwell::Running { since, held_ms } => Some(dwell_end(since, held_ms, trigger.dwell)),
                    Dwell::Healing { since } => Some(since + trigger.dwell),
                    _ => None,
                };
                let after = trigger.if_unknown.as_ref().map_or(UNKNOWN_AFTER, |policy| policy.after);
                let ignored = trigger.if_unknown.as_ref().is_some_and(|policy| policy.then == UnknownPolicy::Ignore);
                let settled = matches!(state.dwell, Dwell::Fired | Dwell::Healing { .. });
                let unknown = state
                    .unknown
                    .filter(|_| !state.unknown_answered && !state.waits_for_green && !ignored && !settled)
                    .map(|since| since + after);
                dwell.into_iter().chain(unknown).min()
            })
            .min()
    }
}

fn is_blind(signals: &[&SignalState]) -> bool {
    let all_unknown = signals.iter().all(|signal| signal.health == Health::Unknown);
    all_unknown && (signals.len() > 1 || signals.iter().all(|signal| signal.unreadable))
}
