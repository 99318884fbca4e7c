//! Where the story of a run begins and ends in the records, and when what it is measured by happened.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use belay_core::{
    checklist::Ticks,
    event::{Event, Record, RunKind},
    id::{IncidentId, NoticeId, RunId},
    incident::Incident,
    measure::{self, Onsets},
    migration::{Corrupt, Migration},
    notice::Facts,
    past::Forgotten,
    reading::Health,
    run::{Run, RunState},
    watch::{Truth, truth},
};
use belay_narrate::{Context, Told, narrate};
use belay_plan::model::{Name, Plan};
use jiff::{SignedDuration, Timestamp};

/// What a time server corrects changes no duration that people compare with a goal.
const CLOCK_SET_S_MAX: u64 = 2;

/// So much from before a plan was pinned is kept: the strip of the signals begins a little before the story.
const BEFORE_MAX: SignedDuration = SignedDuration::from_hours(1);

/// So much after the story is kept whole, at least: the strip ends a little after it.
const AFTER_MIN: SignedDuration = SignedDuration::from_mins(15);

/// The records around one run, and which of them tell of it.
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

/// Records are known by their sequence.
#[derive(Default)]
struct Fold {
    onsets: Onsets,
    /// Where the run begins, and where the next one does.
    found: Option<Found>,
    /// What stands for the run of an incident that has none.
    stand_in: Option<Run>,
    ticks: Arc<Ticks>,
    /// The run that is asked about and its incident, once the state has forgotten them.
    run: Option<Arc<Run>>,
    incident: Option<Arc<Incident>>,
    of_incident: Option<IncidentId>,
}

#[derive(Clone)]
enum Subject {
    Run(RunId),
    Incident(IncidentId),
}

#[derive(Clone)]
struct Found {
    first: u64,
    end: u64,
    over: Option<Timestamp>,
    breach: Option<Timestamp>,
    decided: Option<Timestamp>,
    firing: Vec<Name>,
}

/// Takes the records of a migration one after the other, from the first, and keeps what the story of one run or incident is made of:
/// however long the stream is, that is little.
pub struct Gathering {
    subject: Subject,
    state: Migration,
    fold: Fold,
    records: Vec<Record>,
    /// The notices that are due by the records which are kept.
    notices: BTreeSet<NoticeId>,
    as_of: Option<Timestamp>,
}

impl Gathering {
    pub fn of_run(stream: &str, run: &RunId) -> Self {
        Self::of(stream, Subject::Run(run.clone()))
    }

    /// Where an incident was rolled back, that shows in [`Gathering::rolled_back`], and the story is that of its run.
    pub fn of_incident(stream: &str, incident: &IncidentId) -> Self {
        Self::of(stream, Subject::Incident(incident.clone()))
    }

    fn of(stream: &str, subject: Subject) -> Self {
        let (state, fold) = (Migration::new(stream), Fold::default());
        Self { subject, state, fold, records: Vec::new(), notices: BTreeSet::new(), as_of: None }
    }

    /// # Errors
    /// [`Corrupt`] when the record cannot be folded.
    pub fn take(&mut self, record: Record) -> Result<(), Corrupt> {
        let forgotten = self.state.evolve_and_forget(&record)?;
        self.fold.remember(forgotten, &self.subject);
        self.fold.note(&record, &self.state, &self.records, &self.subject);
        let present = match &self.subject {
            Subject::Run(run) => self.state.run.as_ref().is_some_and(|last| last.id == *run),
            Subject::Incident(_) => self.fold.found.is_some(),
        };
        if present {
            self.fold.ticks = self.state.ticks.clone();
        }
        self.as_of = Some(record.at);
        if matches!(record.event, Event::PlanPinned { .. }) && self.fold.is_between_stories() {
            self.records.retain(|before| record.at.duration_since(before.at) <= BEFORE_MAX);
            let due = self.records.iter().filter_map(notice_due).map(|(notice, _)| notice.clone());
            self.notices = due.collect();
        }
        if self.keeps(&record) {
            self.notices.extend(notice_due(&record).map(|(notice, _)| notice.clone()));
            self.records.push(record);
        }
        Ok(())
    }

    /// After the story, only what is still of it.
    fn keeps(&self, record: &Record) -> bool {
        let Some(Found { first, over: Some(over), .. }) = &self.fold.found else { return true };
        let begun = self.records.get(self.place(*first)).map_or(*over, |one| one.at);
        let after = AFTER_MIN.max(over.duration_since(begun) / 5);
        if record.at.duration_since(*over) <= after {
            return true;
        }
        let run = |id: &RunId| matches!(&self.subject, Subject::Run(run) if run == id);
        let incident = |id: &IncidentId| self.incident().is_some_and(|incident| incident.id == *id);
        match &record.event {
            Event::NoticeDue { facts, .. } => {
                facts.run.as_ref().is_some_and(|of| run(&of.id))
                    || facts.incident.as_ref().is_some_and(|of| incident(&of.id))
            }
            Event::NoticeSent { notice, .. }
            | Event::NoticeFailed { notice, .. }
            | Event::NoticeDropped { notice, .. }
            | Event::NoticeLate { notice, .. } => self.notices.contains(notice),
            Event::EvidenceGathered { incident: of, .. } | Event::IncidentPostmortemHeld { incident: of, .. } => {
                incident(of)
            }
            Event::PostmortemHeld { run: of, .. } => run(of),
            Event::ReadingsKept { begun, .. } => begun <= over,
            _ => false,
        }
    }

    /// Where the record with a sequence is among those that are kept, or would be.
    fn place(&self, seq: u64) -> usize {
        self.records.partition_point(|record| record.seq < seq)
    }

    fn run(&self) -> Option<&Run> {
        let Subject::Run(run) = &self.subject else { return None };
        self.state.find_run(run).or(self.fold.run.as_deref())
    }

    fn incident(&self) -> Option<&Incident> {
        let id = match &self.subject {
            Subject::Run(_) => self.run()?.incident.as_ref()?,
            Subject::Incident(incident) => incident,
        };
        self.state.find_incident(id).or(self.fold.incident.as_deref())
    }

    /// The run that the incident was rolled back by.
    pub fn rolled_back(&self) -> Option<&RunId> {
        matches!(self.subject, Subject::Incident(_)).then(|| self.incident()?.run.as_ref()).flatten()
    }

    /// How many records are kept.
    pub fn kept(&self) -> usize {
        self.records.len()
    }

    /// None: what is asked about is not in the records.
    pub(crate) fn course(&self) -> Option<Course<'_>> {
        let (found, incident) = (self.fold.found.clone()?, self.incident().cloned());
        if let Subject::Run(_) = self.subject {
            return Some(self.with(found, self.run()?.clone(), incident));
        }
        let (incident, mut course) = (incident?, self.fold.stand_in.clone()?);
        (course.incident, course.why) = (Some(incident.id.clone()), incident.why.clone());
        course.ended = incident.closed;
        // Nothing else is asked of a run without steps than whether it is over.
        course.state = if incident.closed.is_some() { RunState::Aborted } else { RunState::Running };
        Some(self.with(found, course, Some(incident)))
    }

    fn with(&self, found: Found, run: Run, incident: Option<Incident>) -> Course<'_> {
        let story = self.place(found.first)..self.place(found.end);
        let set_s = |record: &Record| match record.event {
            Event::WatchResumed { clock_set_s, .. } => clock_set_s.unsigned_abs(),
            _ => 0,
        };
        let clock_set_s: u64 = self.records[story.clone()].iter().map(set_s).sum();
        Course {
            records: &self.records,
            story,
            breach: found.breach,
            decided: found.decided,
            firing: found.firing,
            clock_set: clock_set_s > CLOCK_SET_S_MAX,
            as_of: self.as_of.unwrap_or(run.started),
            ticks: self.fold.ticks.clone(),
            has_run: matches!(self.subject, Subject::Run(_)),
            run,
            incident,
        }
    }
}

fn notice_due(record: &Record) -> Option<(&NoticeId, &Facts)> {
    match &record.event {
        Event::NoticeDue { notice, facts, .. } => Some((notice, facts)),
        _ => None,
    }
}

impl<'r> Course<'r> {
    /// The records of the story.
    pub(crate) fn told(&self) -> &'r [Record] {
        &self.records[self.story.clone()]
    }

    /// A record in words.
    pub(crate) fn narrated(&self, record: &Record) -> Told {
        let clock = |at: Timestamp| at.strftime("%H:%M:%S UTC").to_string();
        narrate(&record.event, &Context { actor: &record.actor, plan: Some(self.plan()), clock: &clock })
    }

    /// The arming that it belongs to.
    pub(crate) fn armed(&self) -> Option<&'r Record> {
        self.records[..self.story.start].iter().rev().find(|record| matches!(record.event, Event::Armed { .. }))
    }

    /// What led to it, and happened before it: the arming and the cutover.
    pub(crate) fn before(&self) -> Vec<&'r Record> {
        let before = &self.records[..self.story.start];
        let armed = before.iter().rposition(|record| matches!(record.event, Event::Armed { .. }));
        let Some(armed) = armed.filter(|_| self.run.kind != RunKind::Dry) else { return Vec::new() };
        let cutover = before[armed..].iter().rfind(|record| matches!(record.event, Event::CutoverMarked));
        [&before[armed]].into_iter().chain(cutover).collect()
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
        measure::recovered(&self.run)
    }
}

impl Fold {
    /// No story is under way that began before: neither the one that is asked about, nor one that it can become.
    fn is_between_stories(&self) -> bool {
        self.found.is_none() && self.onsets.is_quiet()
    }

    fn remember(&mut self, forgotten: Forgotten, subject: &Subject) {
        for run in forgotten.runs {
            if matches!(subject, Subject::Run(id) if *id == run.id) {
                self.run = Some(run);
            }
        }
        for incident in forgotten.incidents {
            let is_it = match subject {
                Subject::Run(_) => self.of_incident.as_ref() == Some(&incident.id),
                Subject::Incident(id) => *id == incident.id,
            };
            if is_it {
                self.incident = Some(incident);
            }
        }
    }

    /// `before`: the records that are kept so far.
    fn note(&mut self, record: &Record, state: &Migration, before: &[Record], subject: &Subject) {
        let seq = record.seq;
        if let Some(found) = &mut self.found
            && found.end == seq
            && found.over.is_none_or(|over| record.at == over)
            && !begins_a_run(&record.event)
        {
            found.end = seq + 1;
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
        self.onsets.note(record, state.plan.as_deref());
        match &record.event {
            Event::IncidentOpened { incident, .. } if matches!(subject, Subject::Incident(id) if id == incident) => {
                let breach = self.onsets.opening().map(|opening| opening.breach);
                self.found = Some(Found {
                    first: breach.map_or(seq, |breach| breach.seq),
                    end: seq + 1,
                    over: None,
                    breach: breach.map(|breach| breach.at),
                    decided: None,
                    firing: Vec::new(),
                });
                self.stand_in = stand_in(record, incident, state);
            }
            Event::Decided { .. } => {
                if let (Some(found), Subject::Incident(_)) = (&mut self.found, subject)
                    && found.over.is_none()
                {
                    found.decided = Some(record.at);
                }
            }
            Event::RunStarted { run: id, .. }
            | Event::UndoStarted { run: id, .. }
            | Event::Rehearsed { run: id, .. }
                if matches!(subject, Subject::Run(run) if id == run) =>
            {
                self.of_incident = state.find_run(id).and_then(|run| run.incident.clone());
                self.found = Some(self.begin(record, state, before, id));
            }
            _ => {}
        }
    }

    fn begin(&self, record: &Record, state: &Migration, before: &[Record], run: &RunId) -> Found {
        let beginning = state.find_run(run).map(|run| self.onsets.begin(run)).unwrap_or_default();
        // The command that asked for it stands in the same append, which has one time.
        let same = before.iter().rev().take_while(|before| before.at == record.at).count();
        let dry = matches!(record.event, Event::Rehearsed { .. });
        let first = record.seq - if dry { 0 } else { same as u64 };
        Found {
            first: beginning.breach.map_or(first, |breach| first.min(breach.seq)),
            end: record.seq + 1,
            over: dry.then_some(record.at),
            breach: beginning.breach.map(|breach| breach.at),
            decided: beginning.decided,
            firing: Vec::new(),
        }
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
