//! Where the story of a run begins and ends in the records, and when what it is measured by happened.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use belay_core::{
    checklist::Ticks,
    event::{Event, Record, RunKind},
    id::RunId,
    incident::Incident,
    migration::{Corrupt, Migration},
    reading::Health,
    run::{Run, RunState},
    watch::{Truth, signals_of, truth},
};
use belay_plan::model::{Answer, Name, Plan};
use jiff::Timestamp;

/// What a time server corrects changes no duration that people compare with a goal.
const CLOCK_SET_S_MAX: u64 = 2;

/// The records of a migration, and which of them tell of one run.
pub(crate) struct Course<'r> {
    pub(crate) records: &'r [Record],
    /// From the breach, or from what asked for the run, to its end.
    pub(crate) story: Range<usize>,
    pub(crate) run: Run,
    pub(crate) incident: Option<Incident>,
    /// When the condition of the trigger that opened the incident began to hold.
    pub(crate) breach: Option<Timestamp>,
    /// The decision or the command that started the run.
    pub(crate) decided: Option<Timestamp>,
    /// The triggers of the incident that fired by the last readings when the run ended.
    pub(crate) firing: Vec<Name>,
    /// The wall clock was set in the course of it: times of before and after show no duration.
    pub(crate) clock_set: bool,
    pub(crate) as_of: Timestamp,
    /// What people ticked after it, before the next run or attempt.
    pub(crate) ticks: Arc<Ticks>,
}

/// What is remembered of the open incident while the records are folded.
struct Opening {
    breach: (usize, Timestamp),
    decided: Option<(Answer, Timestamp)>,
}

#[derive(Default)]
struct Fold {
    /// Since when each signal reads unhealthy, without a healthy reading since.
    unhealthy: BTreeMap<Name, (usize, Timestamp)>,
    opening: Option<Opening>,
    drill: Option<(usize, Timestamp)>,
    /// Where the run begins, and where the next one does.
    found: Option<Found>,
}

struct Found {
    first: usize,
    end: usize,
    over: Option<Timestamp>,
    breach: Option<Timestamp>,
    decided: Option<Timestamp>,
    firing: Vec<Name>,
}

impl<'r> Course<'r> {
    /// None: the run is not in the records.
    pub(crate) fn of(records: &'r [Record], run: &RunId) -> Result<Option<Self>, Corrupt> {
        let Some((first, last)) = records.first().zip(records.last()) else { return Ok(None) };
        let mut state = Migration::new(first.stream.clone());
        let mut fold = Fold::default();
        let mut ticks = Arc::default();
        for (index, record) in records.iter().enumerate() {
            state.evolve(record)?;
            fold.note(index, record, &state, (records, run));
            if state.run.as_ref().is_some_and(|last| last.id == *run) {
                ticks = state.ticks.clone();
            }
        }
        let Some((found, run)) = fold.found.zip(state.find_run(run).cloned()) else { return Ok(None) };
        let mut incidents = state.incident.iter().chain(state.past_incidents.iter().map(AsRef::as_ref));
        let incident = run.incident.as_ref().and_then(|id| incidents.find(|incident| incident.id == *id)).cloned();
        let set_s = |record: &Record| match record.event {
            Event::WatchResumed { clock_set_s, .. } => clock_set_s.unsigned_abs(),
            _ => 0,
        };
        let clock_set_s: u64 = records[found.first..found.end].iter().map(set_s).sum();
        Ok(Some(Self {
            records,
            clock_set: clock_set_s > CLOCK_SET_S_MAX,
            story: found.first..found.end,
            breach: found.breach,
            decided: found.decided,
            firing: found.firing,
            as_of: last.at,
            ticks,
            run,
            incident,
        }))
    }

    /// The records of the story.
    pub(crate) fn told(&self) -> &'r [Record] {
        &self.records[self.story.clone()]
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.run.plan
    }

    /// From where times are counted that need a breach: where no trigger opened an incident, from the start of the run.
    pub(crate) fn since(&self) -> Timestamp {
        self.breach.unwrap_or(self.run.started)
    }

    /// The end of a run that nothing moves any more.
    pub(crate) fn ended(&self) -> Option<Timestamp> {
        self.run.ended.filter(|_| self.run.state.is_over())
    }

    /// What the run was for is reached, as far as its steps show.
    pub(crate) fn succeeded(&self) -> bool {
        matches!(self.run.state, RunState::RolledBack | RunState::Undone)
    }

    /// The end of a rollback whose plan has a confirmation, all of which held.
    pub(crate) fn confirmed(&self) -> Option<Timestamp> {
        self.ended().filter(|_| self.run.is_confirmed())
    }

    /// The confirmed end, unless a trigger of the incident still fired then: that the system was well was not observed.
    pub(crate) fn well(&self) -> Option<Timestamp> {
        self.confirmed().filter(|_| self.firing.is_empty())
    }

    /// `the trigger shop_down still fired`; None where none did.
    pub(crate) fn still_fired(&self) -> Option<String> {
        (!self.firing.is_empty()).then(|| format!("the trigger {} still fired", self.firing.join(" and the trigger ")))
    }

    /// The end of the last step, where the run succeeded.
    pub(crate) fn recovered(&self) -> Option<Timestamp> {
        self.run.steps.values().filter_map(|step| step.ended).max().filter(|_| self.succeeded())
    }
}

impl Fold {
    fn note(&mut self, index: usize, record: &Record, state: &Migration, (records, run): (&[Record], &RunId)) {
        if let Some(found) = &mut self.found
            && found.end == index
            && found.over.is_none_or(|over| record.at == over)
            && !begins_a_run(&record.event)
        {
            found.end = index + 1;
            if matches!(record.event, Event::RunEnded { .. }) {
                found.over = Some(record.at);
                found.firing = firing(state, run);
            }
        }
        match &record.event {
            Event::PlanPinned { .. } => self.unhealthy.clear(),
            Event::SignalTurned { signal, to: Health::Healthy, .. } => {
                self.unhealthy.remove(signal);
            }
            Event::SignalTurned { signal, to: Health::Unhealthy, .. } => {
                self.unhealthy.entry(signal.clone()).or_insert((index, record.at));
            }
            Event::Armed { .. } => self.drill = None,
            Event::DrillStarted { .. } => self.drill = Some((index, record.at)),
            Event::IncidentOpened { trigger, .. } => {
                let breach = self.breach(state, trigger).unwrap_or((index, record.at));
                self.opening = Some(Opening { breach, decided: None });
            }
            Event::Decided { answer, .. } => {
                if let Some(opening) = &mut self.opening {
                    opening.decided = Some((*answer, record.at));
                }
            }
            Event::IncidentClosed { .. } => self.opening = None,
            Event::RunStarted { run: id, .. }
            | Event::UndoStarted { run: id, .. }
            | Event::Rehearsed { run: id, .. }
                if id == run =>
            {
                self.found = Some(self.begin(index, record, state, (records, run)));
            }
            _ => {}
        }
    }

    fn begin(&self, index: usize, record: &Record, state: &Migration, (records, run): (&[Record], &RunId)) -> Found {
        let present = state.find_run(run);
        let of_incident = present.is_some_and(|run| run.incident.is_some());
        let drilled = self.drill.filter(|_| present.is_some_and(|run| run.kind == RunKind::Drill));
        let opening = self.opening.as_ref().filter(|_| of_incident);
        let breach = drilled.or_else(|| opening.map(|opening| opening.breach));
        // The command that asked for it stands in the same append, which has one time.
        let same = records[..index].iter().rev().take_while(|before| before.at == record.at).count();
        let commanded = |before: &Record| matches!(&before.event, Event::Commanded { verb, .. } if verb == "rollback");
        // A person can ask for a rollback whatever was decided before.
        let by_command = records[index - same..index].iter().any(commanded);
        let decided = opening.and_then(|opening| opening.decided).filter(|_| !by_command);
        let decided = decided.filter(|(answer, _)| *answer == Answer::RollBack).map_or(record.at, |(_, at)| at);
        let dry = matches!(record.event, Event::Rehearsed { .. });
        Found {
            first: breach.map_or(usize::MAX, |(index, _)| index).min(index - if dry { 0 } else { same }),
            end: index + 1,
            over: dry.then_some(record.at),
            breach: breach.map(|(_, at)| at),
            decided: opening.map(|_| decided),
            firing: Vec::new(),
        }
    }

    /// Since when the condition of the trigger holds without a break. Readings that are missing break nothing.
    fn breach(&self, state: &Migration, trigger: &Name) -> Option<(usize, Timestamp)> {
        let when = &state.plan.as_ref()?.triggers.get(trigger)?.when;
        let mut turns: Vec<_> = signals_of(when).into_iter().filter_map(|name| self.unhealthy.get(name)).collect();
        turns.sort_unstable();
        let by = |turn: &(usize, Timestamp), name: &str| match self.unhealthy.get(name) {
            Some(since) if since <= turn => Health::Unhealthy,
            _ => Health::Healthy,
        };
        turns.into_iter().find(|turn| truth(when, &|name| by(turn, name)) == Truth::True).copied()
    }
}

/// The triggers of the run's incident whose condition holds by the last readings.
fn firing(state: &Migration, run: &RunId) -> Vec<Name> {
    let incident = state.find_run(run).and_then(|run| run.incident.as_ref()).and_then(|id| state.find_incident(id));
    let health = |name: &str| state.signals.get(name).map_or(Health::Unknown, |signal| signal.health);
    let fires = |name: &&Name| {
        let trigger = state.plan.as_ref().and_then(|plan| plan.triggers.get(*name));
        trigger.is_some_and(|trigger| truth(&trigger.when, &health) == Truth::True)
    };
    incident.into_iter().flat_map(|incident| &incident.triggers).filter(fires).cloned().collect()
}

fn begins_a_run(event: &Event) -> bool {
    matches!(event, Event::RunStarted { .. } | Event::UndoStarted { .. } | Event::DrillStarted { .. })
}
