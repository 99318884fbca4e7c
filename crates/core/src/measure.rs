//! What a rollback is measured by, defined once: for drills, rehearsals, metrics and reports.
//!
//! | time | from | to |
//! |---|---|---|
//! | detection | the breach | the incident opens |
//! | decision | the incident opens | the decision or the command that started the run |
//! | recovery | the breach | the last step ends, of a run that succeeds |
//! | confidence | the last step ends | the run ends |
//! | total, for `rto` | the breach | the run ends |
//! | data lost, for `rpo` | since when written data is lost | the first send of the step |
//!
//! The breach is the moment since when the condition of the trigger that opened the incident held without a break: for one signal its
//! first unhealthy reading without a healthy one since. In a drill it is the start of the drill.

use std::{collections::BTreeMap, time::Duration};

use belay_plan::model::{Answer, Name, Plan};
use jiff::Timestamp;

use crate::{
    change::Effect,
    event::{Event, Record, RunKind, StepEvent},
    reading::Health,
    run::{Run, RunState},
    watch::{Truth, signals_of, truth},
};

/// The record in which something begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Onset {
    pub seq: u64,
    pub at: Timestamp,
}

impl Onset {
    fn of(record: &Record) -> Self {
        Self { seq: record.seq, at: record.at }
    }
}

/// What led to the open incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    pub breach: Onset,
    pub opened: Timestamp,
    answered: Option<(Answer, Timestamp)>,
}

/// What led to a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beginning {
    /// None: the rollback was asked for without an incident.
    pub breach: Option<Onset>,
    pub opened: Option<Timestamp>,
    /// None: the rollback was asked for without an incident.
    pub decided: Option<Timestamp>,
}

/// Follows the records of a migration, and knows what led to an incident and to a run.
#[derive(Debug, Clone, Default)]
pub struct Onsets {
    /// Since when each signal reads unhealthy, without a healthy reading since.
    unhealthy: BTreeMap<Name, Onset>,
    opening: Option<Opening>,
    drill: Option<Onset>,
    /// When a person last asked for a rollback.
    commanded: Option<Timestamp>,
}

impl Onsets {
    /// The next record. `plan`: the pinned one.
    pub fn note(&mut self, record: &Record, plan: Option<&Plan>) {
        match &record.event {
            Event::PlanPinned { .. } => self.unhealthy.clear(),
            Event::SignalTurned { signal, to: Health::Healthy, .. } => {
                self.unhealthy.remove(signal);
            }
            Event::SignalTurned { signal, to: Health::Unhealthy, .. } => {
                self.unhealthy.entry(signal.clone()).or_insert_with(|| Onset::of(record));
            }
            Event::Armed { .. } => self.drill = None,
            Event::DrillStarted { .. } => self.drill = Some(Onset::of(record)),
            Event::Commanded { verb, .. } if verb == "rollback" => self.commanded = Some(record.at),
            Event::IncidentOpened { trigger, .. } => {
                let breach = plan.and_then(|plan| self.breach(plan, trigger)).unwrap_or_else(|| Onset::of(record));
                self.opening = Some(Opening { breach, opened: record.at, answered: None });
            }
            Event::Decided { answer, .. } => {
                if let Some(opening) = &mut self.opening {
                    opening.answered = Some((*answer, record.at));
                }
            }
            Event::IncidentClosed { .. } => self.opening = None,
            _ => {}
        }
    }

    /// Neither an incident nor a drill is under way.
    pub fn is_quiet(&self) -> bool {
        self.opening.is_none() && self.drill.is_none()
    }

    /// Of the incident that is open.
    pub fn opening(&self) -> Option<&Opening> {
        self.opening.as_ref()
    }

    /// Of a run that begins now. Its command stands in the same append, which has one time.
    pub fn begin(&self, run: &Run) -> Beginning {
        let opening = self.opening.as_ref().filter(|_| run.incident.is_some());
        let drill = self.drill.filter(|_| run.kind == RunKind::Drill);
        // A person can ask for a rollback whatever was decided before.
        let by_command = self.commanded == Some(run.started);
        let answered = opening.and_then(|opening| opening.answered).filter(|_| !by_command);
        let answered = answered.filter(|(answer, _)| *answer == Answer::RollBack).map(|(_, at)| at);
        Beginning {
            breach: drill.or(opening.map(|opening| opening.breach)),
            opened: opening.map(|opening| opening.opened),
            decided: opening.map(|_| answered.unwrap_or(run.started)),
        }
    }

    /// Since when the condition of the trigger holds without a break. Readings that are missing break nothing.
    fn breach(&self, plan: &Plan, trigger: &Name) -> Option<Onset> {
        let when = &plan.triggers.get(trigger)?.when;
        let mut turns: Vec<_> = signals_of(when).into_iter().filter_map(|name| self.unhealthy.get(name)).collect();
        turns.sort_unstable();
        let by = |turn: &Onset, name: &str| match self.unhealthy.get(name) {
            Some(since) if since <= turn => Health::Unhealthy,
            _ => Health::Healthy,
        };
        turns.into_iter().find(|turn| truth(when, &|name| by(turn, name)) == Truth::True).copied()
    }
}

/// What a step has lost that took effect, or may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub step: Name,
    /// What was written since then; none where nobody can tell.
    pub from: Option<Timestamp>,
    /// The first send of the step.
    pub to: Option<Timestamp>,
}

impl Loss {
    pub fn time(&self) -> Option<Duration> {
        between(self.from, self.to)
    }
}

/// The moments that the times of a run are between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    pub breach: Option<Timestamp>,
    pub opened: Option<Timestamp>,
    pub decided: Option<Timestamp>,
    /// The last step has ended, and the run succeeded.
    pub recovered: Option<Timestamp>,
    /// The run has succeeded: every gate of its confirmation, if it has any, has passed.
    pub ended: Option<Timestamp>,
    pub losses: Vec<Loss>,
}

/// Measures a run. `records`: those of its migration from the first on; of a drill, from its start.
pub fn measure(records: &[Record], run: &Run) -> Measured {
    let (mut onsets, mut plan) = (Onsets::default(), None);
    for record in records {
        if begins(&record.event, run) {
            break;
        }
        if let Event::PlanPinned { plan: pinned, .. } = &record.event {
            plan = Some(pinned.as_ref());
        }
        onsets.note(record, plan);
    }
    Measured::of(&onsets.begin(run), records, run)
}

fn begins(event: &Event, run: &Run) -> bool {
    matches!(event, Event::RunStarted { run: id, .. } | Event::UndoStarted { run: id, .. } if *id == run.id)
}

impl Measured {
    pub fn detection(&self) -> Option<Duration> {
        between(self.breach, self.opened)
    }

    pub fn decision(&self) -> Option<Duration> {
        between(self.opened, self.decided)
    }

    pub fn recovery(&self) -> Option<Duration> {
        between(self.breach, self.recovered)
    }

    pub fn confidence(&self) -> Option<Duration> {
        between(self.recovered, self.ended)
    }

    pub fn total(&self) -> Option<Duration> {
        between(self.breach, self.ended)
    }

    /// Of the step that has lost the most: zero where none has lost any, none where a step has and nobody can tell how much.
    pub fn data_lost(&self) -> Option<Duration> {
        self.losses.iter().try_fold(Duration::ZERO, |most, loss| Some(most.max(loss.time()?)))
    }

    /// `records`: at least those from the beginning of the run.
    pub fn of(beginning: &Beginning, records: &[Record], run: &Run) -> Self {
        Self {
            breach: beginning.breach.map(|onset| onset.at),
            opened: beginning.opened,
            decided: beginning.decided,
            recovered: recovered(run),
            ended: ended(run),
            losses: losses(records, run),
        }
    }
}

/// Zero where the clock was set back meanwhile.
fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Duration> {
    Some(Duration::try_from(to?.duration_since(from?)).unwrap_or_default())
}

fn succeeded(run: &Run) -> bool {
    matches!(run.state, RunState::RolledBack | RunState::Undone)
}

/// The end of the last step of a run that succeeded.
pub fn recovered(run: &Run) -> Option<Timestamp> {
    run.steps.values().filter_map(|step| step.ended).max().filter(|_| succeeded(run))
}

/// The end of a run that succeeded.
pub fn ended(run: &Run) -> Option<Timestamp> {
    run.ended.filter(|_| succeeded(run))
}

pub fn losses(records: &[Record], run: &Run) -> Vec<Loss> {
    let touched = || run.steps.iter().filter(|(_, step)| step.touched);
    let sent = if touched().next().is_some() { first_sends(records, run) } else { BTreeMap::new() };
    let losses = touched().filter_map(|(name, step)| {
        let planned = step.planned.iter().filter(|planned| !step.sent.iter().any(|sent| sent.id == planned.id));
        let effects = step.sent.iter().chain(planned).flat_map(|change| &change.effects);
        let mut since = effects.filter_map(|effect| match effect {
            Effect::LosesData { since } => Some(*since),
            _ => None,
        });
        let from = match since.next() {
            None if !run.plan.steps[name].loses_data => return None,
            None => None,
            // The earliest of them; not known when one of them is not.
            Some(first) => {
                since.try_fold(first, |least, next| Some(least.zip(next).map(|(one, other)| one.min(other)))).flatten()
            }
        };
        Some(Loss { step: name.clone(), from, to: sent.get(name).copied() })
    });
    losses.collect()
}

/// By the records: the state of a step has this moved by outages.
fn first_sends<'r>(records: &'r [Record], run: &Run) -> BTreeMap<&'r Name, Timestamp> {
    let mut sends = BTreeMap::new();
    for record in records.iter().skip_while(|record| !begins(&record.event, run)) {
        match &record.event {
            Event::Step { step, what: StepEvent::Intended { .. } } => {
                sends.entry(step).or_insert(record.at);
            }
            Event::RunEnded { .. } => break,
            _ => {}
        }
    }
    sends
}
