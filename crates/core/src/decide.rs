//! Deciding: what happened, and what follows from it. Nothing here changes state; the events that come out do, when they
//! are durable.

use std::{collections::BTreeMap, time::Duration};

use belay_plan::model::Name;
use jiff::{SignedDuration, Timestamp};

use crate::{
    change::Assessment,
    event::Event,
    input::{Input, Refusal},
    migration::Migration,
    reading::Reading,
    run::Phase,
};

/// A chain of consequences longer than this is a bug: a plan has at most a few thousand steps.
const CONSEQUENCES_MAX: usize = 100_000;

impl Migration {
    /// The events that an input leads to, with everything that follows at once. `entropy` is used for new ids.
    ///
    /// # Errors
    /// [`Refusal`] when a command does not fit the present state. Then nothing has happened.
    pub fn decide(&self, now: Timestamp, entropy: u32, input: &Input) -> Result<Vec<Event>, Refusal> {
        let mut deciding = Deciding::new(self.clone(), now, entropy);
        deciding.input(input)?;
        Ok(deciding.events)
    }

    /// Decides one input after the other, each on the state that the ones before lead to: what several inputs that are
    /// ready together come to. Each input comes with its entropy. `notes`: what the last look at a step showed to be under
    /// way. Such looks are not journaled, but a step that times out says why it was not settled.
    pub fn decide_all<'i>(
        &self,
        now: Timestamp,
        notes: BTreeMap<Name, String>,
        inputs: impl IntoIterator<Item = (u32, &'i Input)>,
    ) -> DecidedAll {
        let mut deciding = Deciding { notes, ..Deciding::new(self.clone(), now, 0) };
        let decide = |(entropy, input)| {
            // Only commands are refused, and then nothing of them has happened.
            let before = matches!(input, &Input::Command(_)).then(|| deciding.state.clone());
            deciding.entropy = entropy;
            let outcome = deciding.input(input);
            let events = std::mem::take(&mut deciding.events);
            match outcome {
                Ok(()) => Ok(events),
                Err(refusal) => {
                    deciding.state = before.unwrap_or_else(|| self.clone());
                    deciding.all_due();
                    Err(refusal)
                }
            }
        };
        let outcomes = inputs.into_iter().map(decide).collect();
        DecidedAll { outcomes, dropped: deciding.dropped }
    }

    /// Whether an input can lead to anything, apart from what time alone leads to: most readings and looks repeat what is
    /// known, and need no decision.
    pub fn is_news(&self, input: &Input) -> bool {
        match input {
            Input::Reading(reading) => self.is_reading_news(reading),
            Input::Looked { step, result: Ok(look) } => {
                let state = self.open_run().and_then(|run| run.steps.get(step));
                let guarding = state.is_some_and(|step| {
                    matches!(step.phase, Phase::Verifying | Phase::Done | Phase::Unchanged) && step.doubted.is_none()
                });
                match look.assessment {
                    Assessment::Settling(_) => false,
                    Assessment::InPlace | Assessment::Differs { .. } | Assessment::Over(_) => !guarding,
                    _ => true,
                }
            }
            _ => true,
        }
    }

    fn is_reading_news(&self, reading: &Reading) -> bool {
        let Some(known) = self.signals.get(&reading.signal) else { return false };
        let edge = !known.read || known.health != reading.health || known.unreadable != reading.unreadable;
        let mut gates = self.open_run().into_iter().flat_map(|run| {
            let steps = run.steps.values().flat_map(|step| step.require.iter().chain(&step.verify));
            steps.chain(&run.confirm)
        });
        edge || gates.any(|gate| gate.gate.signal == reading.signal)
    }

    /// Whether anything is to be watched or done: a stream without is left alone after a restart.
    pub fn is_live(&self) -> bool {
        self.armed.is_some() || self.open_run().is_some()
    }
}

/// What several inputs come to.
#[derive(Debug)]
pub struct DecidedAll {
    /// Of each input, in their order.
    pub outcomes: Vec<Result<Vec<Event>, Refusal>>,
    /// Events that did not fit the state, each with the reason: a bug. They were left out of the outcomes.
    pub dropped: Vec<String>,
}

/// A decision being made: a scratch copy of the state that runs ahead of the journal.
pub(crate) struct Deciding {
    pub(crate) state: Migration,
    pub(crate) now: Timestamp,
    pub(crate) entropy: u32,
    /// Who has asked for what is being decided, as the record will name them.
    pub(crate) actor: String,
    /// The people whose word has decided the incident in this input.
    pub(crate) deciders: Vec<String>,
    pub(crate) events: Vec<Event>,
    /// See [`DecidedAll::dropped`].
    dropped: Vec<String>,
    /// What is under way at a step, as the last look showed it.
    pub(crate) notes: BTreeMap<Name, String>,
    /// The steps that something may follow for, by their place in the run under way. At first all: time has passed.
    pub(crate) due: Vec<bool>,
    /// Where the first step was found that is not over, so that nobody looks for it anew each time.
    pub(crate) first_open: usize,
}

impl Deciding {
    fn new(state: Migration, now: Timestamp, entropy: u32) -> Self {
        let mut deciding = Self {
            state,
            now,
            entropy,
            actor: "belay".to_owned(),
            deciders: Vec::new(),
            events: Vec::new(),
            dropped: Vec::new(),
            notes: BTreeMap::new(),
            due: Vec::new(),
            first_open: 0,
        };
        deciding.all_due();
        deciding
    }

    fn all_due(&mut self) {
        self.due.clear();
        self.due.resize(self.run().map_or(0, |run| run.steps.len()), true);
    }

    /// Notes for which steps something may follow from an event. Marks all steps when the event is not about one.
    fn note_due(&mut self, event: &Event) {
        match event {
            Event::Step { step, .. } => {
                let Some(run) = self.state.open_run() else { return };
                let Some(index) = run.steps.get_index_of(step) else { return };
                for concerned in &run.relations.concerned[index] {
                    self.due[*concerned] = true;
                }
            }
            Event::Confirm { .. } | Event::SignalTurned { .. } | Event::ReadingsKept { .. } => {}
            _ => self.all_due(),
        }
    }

    fn input(&mut self, input: &Input) -> Result<(), Refusal> {
        self.deciders.clear();
        self.actor = match input {
            Input::Command(command) => command.asked.actor.clone(),
            _ => "belay".to_owned(),
        };
        match input {
            Input::Command(command) => self.command(command)?,
            Input::Reading(reading) => self.reading(reading),
            Input::Looked { step, result } => self.looked(step, result),
            Input::Applied { step, attempt, result } => self.applied(step, *attempt, result),
            Input::Noticed { notice, result } => self.noticed(notice, result),
            Input::StoodStill { step, doc } => self.stood_still(step, doc),
            Input::Checked(checked) => self.checked(checked),
            Input::Gathered { incident, source, gathered } => self.gathered(incident, *source, gathered),
            Input::ReadingsKept { begun, series, left_out } => self.readings_kept(*begun, series, *left_out),
            Input::Tick => {}
            Input::Resumed { belay_version } => self.resumed(belay_version),
            Input::Awoke { belay_version, late, clock_set } => self.awoke(belay_version, *late, *clock_set),
        }
        self.follow();
        Ok(())
    }

    pub(crate) fn emit(&mut self, event: Event) {
        match self.state.apply(self.now, &self.actor, &event) {
            Ok(_) => {
                self.note_due(&event);
                self.events.push(event);
            }
            Err(why) => {
                debug_assert!(false, "decided an event that cannot be folded: {why}: {event:?}");
                self.dropped.push(format!("{why}: {event:?}"));
            }
        }
    }

    /// Everything that follows, in a fixed order, until nothing more does.
    fn follow(&mut self) {
        for _ in 0..CONSEQUENCES_MAX {
            let before = self.events.len();
            self.follow_elapsed();
            self.follow_mute();
            self.follow_window();
            self.follow_blindness();
            self.follow_triggers();
            self.follow_incident();
            self.follow_timebox();
            self.follow_run();
            if self.events.len() == before {
                self.assert_settled();
                return self.follow_notices();
            }
        }
        debug_assert!(false, "consequences do not end: {:?}", &self.events[self.events.len().saturating_sub(8)..]);
    }

    /// Whoever is left out by [`Deciding::note_due`] would wait for the next input. Only in builds for development.
    fn assert_settled(&mut self) {
        if cfg!(debug_assertions) {
            let before = self.events.len();
            self.all_due();
            self.follow_run();
            assert!(self.events.len() == before, "this was not seen to follow: {:?}", &self.events[before..]);
        }
    }

    /// A signal was read. Only edges are journaled; open gates look at every reading.
    pub(crate) fn reading(&mut self, reading: &Reading) {
        let Some(known) = self.state.signals.get(&reading.signal) else {
            return;
        };
        let first = !known.read;
        if first || known.health != reading.health || known.unreadable != reading.unreadable {
            self.emit(Event::SignalTurned {
                signal: reading.signal.clone(),
                from: known.health,
                to: reading.health,
                evidence: reading.evidence.clone(),
                source: reading.source.clone(),
                unreadable: reading.unreadable,
            });
        }
        self.gates_read(reading);
    }

    /// After a restart the last record is the last sign of life. A record from the future: the clock was set back, by that
    /// much and the outage, which is not known then.
    fn resumed(&mut self, belay_version: &str) {
        let gone = self.state.at.map_or(SignedDuration::ZERO, |last| self.now.duration_since(last));
        let outage = Duration::try_from(gone).unwrap_or_default();
        self.resume_watch(belay_version, outage.as_secs(), false, gone.as_secs().min(0));
    }

    /// A suspended machine and a clock that is set forward look the same: nothing was watched for so long.
    fn awoke(&mut self, belay_version: &str, late: Duration, clock_set: SignedDuration) {
        let ahead = Duration::try_from(clock_set).unwrap_or_default();
        self.resume_watch(belay_version, (late + ahead).as_secs(), true, clock_set.as_secs());
    }

    fn resume_watch(&mut self, belay_version: &str, outage_s: u64, asleep: bool, clock_set_s: i64) {
        // What waits to be told counts by the clock, also where nothing is watched any more.
        if self.state.is_live() || (clock_set_s != 0 && !self.state.outbox.is_idle()) {
            let belay_version = belay_version.to_owned();
            self.emit(Event::WatchResumed { belay_version, outage_s, asleep, clock_set_s });
        }
    }
}
