//! Where the story of a run begins and ends in the records, and when what it is measured by happened.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use belay_core::{
    checklist::Ticks,
    event::{Event, Record, RunKind},
    id::{IncidentId, RunId},
    incident::Incident,
    migration::{Corrupt, Migration},
    reading::Health,
    run::{Run, RunState},
    watch::{Truth, signals_of, truth},
};
use belay_narrate::{Context, Told, narrate};
use belay_plan::model::{Answer, Name, Plan};
use jiff::Timestamp;

/// What a time server corrects changes no duration that people compare with a goal.
const CLOCK_SET_S_MAX: u64 = 2;

/// The records of a migration, and which of them tell of one run.
pub(crate) struct Course<'r> {
    pub(crate) records: &'r [Record],
    /// From the breach, or from what asked for the run, to its end.
    pub(crate) story: Range<usize>,
    /// Of an incident in which nothing was rolled back: a run without a step, as long as the incident.
    pub(crate) run: Run,
    pub(crate) has_run: bool,
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
    /// What stands for the run of an incident that has none.
    stand_in: Option<Run>,
    ticks: Arc<Ticks>,
}

#[derive(Clone, Copy)]
enum Subject<'s> {
    Run(&'s RunId),
    Incident(&'s IncidentId),
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
        let Some((state, fold)) = Fold::of(records, Subject::Run(run))? else { return Ok(None) };
        let Some((found, run)) = fold.found.zip(state.find_run(run).cloned()) else { return Ok(None) };
        let incident = run.incident.as_ref().and_then(|id| state.find_incident(id)).cloned();
        Ok(Some(Self::with(records, found, fold.ticks, run, true, incident)))
    }

    /// Of an incident that was rolled back: of its run. None: the incident is not in the records.
    pub(crate) fn of_incident(records: &'r [Record], incident: &IncidentId) -> Result<Option<Self>, Corrupt> {
        let Some((state, fold)) = Fold::of(records, Subject::Incident(incident))? else { return Ok(None) };
        let Some((found, incident)) = fold.found.zip(state.find_incident(incident).cloned()) else { return Ok(None) };
        if let Some(run) = &incident.run {
            return Self::of(records, run);
        }
        let Some(mut course) = fold.stand_in else { return Ok(None) };
        (course.incident, course.why) = (Some(incident.id.clone()), incident.why.clone());
        course.ended = incident.closed;
        // Nothing else is asked of a run without steps than whether it is over.
        course.state = if incident.closed.is_some() { RunState::Aborted } else { RunState::Running };
        Ok(Some(Self::with(records, found, fold.ticks, course, false, Some(incident))))
    }

    fn with(
        records: &'r [Record],
        found: Found,
        ticks: Arc<Ticks>,
        run: Run,
        has_run: bool,
        incident: Option<Incident>,
    ) -> Self {
        let set_s = |record: &Record| match record.event {
            Event::WatchResumed { clock_set_s, .. } => clock_set_s.unsigned_abs(),
            _ => 0,
        };
        let clock_set_s: u64 = records[found.first..found.end].iter().map(set_s).sum();
        Self {
            records,
            story: found.first..found.end,
            breach: found.breach,
            decided: found.decided,
            firing: found.firing,
            clock_set: clock_set_s > CLOCK_SET_S_MAX,
            as_of: records.last().map_or(run.started, |last| last.at),
            ticks,
            run,
            has_run,
            incident,
        }
    }

    /// The records of the story.
    pub(crate) fn told(&self) -> &'r [Record] {
        &self.records[self.story.clone()]
    }

    /// A record in words.
    pub(crate) fn narrated(&self, record: &Record) -> Told {
        let clock = |at: Timestamp| at.strftime("%H:%M:%S UTC").to_string();
        narrate(&record.event, &Context { actor: &record.actor, plan: Some(self.plan()), clock: &clock })
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
    /// None: there are no records.
    fn of(records: &[Record], subject: Subject<'_>) -> Result<Option<(Migration, Self)>, Corrupt> {
        let Some(first) = records.first() else { return Ok(None) };
        let mut state = Migration::new(first.stream.clone());
        let mut fold = Self::default();
        for (index, record) in records.iter().enumerate() {
            state.evolve(record)?;
            fold.note(index, record, &state, (records, subject));
            let present = match subject {
                Subject::Run(run) => state.run.as_ref().is_some_and(|last| last.id == *run),
                Subject::Incident(_) => fold.found.is_some(),
            };
            if present {
                fold.ticks = state.ticks.clone();
            }
        }
        Ok(Some((state, fold)))
    }

    fn note(&mut self, index: usize, record: &Record, state: &Migration, (records, subject): (&[Record], Subject<'_>)) {
        if let Some(found) = &mut self.found
            && found.end == index
            && found.over.is_none_or(|over| record.at == over)
            && !begins_a_run(&record.event)
        {
            found.end = index + 1;
            let ends = match subject {
                Subject::Run(_) => matches!(record.event, Event::RunEnded { .. }),
                Subject::Incident(_) => matches!(record.event, Event::IncidentClosed { .. }),
            };
            if ends {
                found.over = Some(record.at);
                if let Subject::Run(run) = subject {
                    found.firing = firing(state, run);
                }
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
            Event::IncidentOpened { trigger, incident } => {
                let breach = self.breach(state, trigger).unwrap_or((index, record.at));
                self.opening = Some(Opening { breach, decided: None });
                if matches!(subject, Subject::Incident(id) if id == incident) {
                    let (first, since) = breach;
                    self.found = Some(Found {
                        first,
                        end: index + 1,
                        over: None,
                        breach: Some(since),
                        decided: None,
                        firing: Vec::new(),
                    });
                    self.stand_in = stand_in(record, incident, state);
                }
            }
            Event::Decided { answer, .. } => {
                if let (Some(found), Subject::Incident(_)) = (&mut self.found, subject)
                    && found.over.is_none()
                {
                    found.decided = Some(record.at);
                }
                if let Some(opening) = &mut self.opening {
                    opening.decided = Some((*answer, record.at));
                }
            }
            Event::IncidentClosed { .. } => self.opening = None,
            Event::RunStarted { run: id, .. }
            | Event::UndoStarted { run: id, .. }
            | Event::Rehearsed { run: id, .. }
                if matches!(subject, Subject::Run(run) if id == run) =>
            {
                self.found = Some(self.begin(index, record, state, (records, id)));
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

fn stand_in(record: &Record, incident: &IncidentId, state: &Migration) -> Option<Run> {
    let plan = state.plan.as_ref()?;
    let mut run = Run::new(&RunId(incident.0.clone()), RunKind::Real, record.at, plan, &state.plan_sha256);
    (run.actor, run.cutover) = (record.actor.clone(), state.cutover);
    run.phase = state.phase.as_ref().map(|phase| phase.name.clone());
    Some(run)
}

fn begins_a_run(event: &Event) -> bool {
    matches!(event, Event::RunStarted { .. } | Event::UndoStarted { .. } | Event::DrillStarted { .. })
}
