//! The people who answer: approvals, manual steps, and what nobody but a person decides.

use std::collections::{BTreeMap, BTreeSet};

use belay_core::{
    event::RunKind,
    input::{Asked, Authority, Command, Verb},
    migration::Migration,
    run::{Phase, Run, RunState, StepState},
};
use belay_engine::CommandError;
use belay_plan::model::Name;
use jiff::Timestamp;

use crate::{
    chance::Chance,
    rehearsal::{
        script::{ActWord, Answer, Script},
        words::{self, WordKey, Words},
    },
};

/// What a person is asked: a step of a run from a moment on, or (without a step) whether anything is wrong at all.
type Question = (Option<Name>, Timestamp);

pub(crate) struct People<'s> {
    script: &'s Script,
    chance: Chance,
    /// By question, when each of the people answers: drawn once.
    answers: BTreeMap<Question, Vec<Timestamp>>,
    /// When it went wrong, in case that nobody but a person notices.
    breach: Timestamp,
    /// A command was refused: asking for the same again changes nothing.
    refused: Option<String>,
    /// The entries of the script that were asked.
    heard: BTreeSet<usize>,
    /// The entries for halts that are over, and of those the ones that found nothing to do.
    acted: usize,
    idle: BTreeSet<usize>,
    /// When the next of them acts, once that is drawn.
    acts_at: Option<Timestamp>,
    /// What was said last.
    last: Last,
    words: Words,
}

/// What is said next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Last {
    Answer,
    /// After a halt.
    Act,
    /// To an incident.
    Word(WordKey),
}

impl<'s> People<'s> {
    pub(crate) fn new(script: &'s Script, chance: Chance, breach: Timestamp) -> Self {
        Self {
            script,
            chance,
            answers: BTreeMap::new(),
            breach,
            refused: None,
            heard: BTreeSet::new(),
            acted: 0,
            idle: BTreeSet::new(),
            acts_at: None,
            last: Last::Answer,
            words: Words::default(),
        }
    }

    /// What was said last has been done, or was refused.
    pub(crate) fn was_said(&mut self, error: Option<&CommandError>) {
        match (std::mem::replace(&mut self.last, Last::Answer), error) {
            (Last::Word(key), None) => self.words.was_said(key, None),
            (Last::Word(key), Some(CommandError::Refused(refusal))) => self.words.was_said(key, Some(refusal)),
            (Last::Act, None) => (self.acted, self.acts_at) = (self.acted + 1, None),
            (Last::Answer, None) => {}
            (_, Some(error)) => self.refused = Some(error.to_string()),
        }
    }

    /// Whether somebody still does something about a halt.
    pub(crate) fn go_on_after_a_halt(&self) -> bool {
        self.refused.is_none() && self.acted < self.script.halted.len()
    }

    fn after_halt(&mut self, run: &Run, now: Timestamp) -> Option<(Timestamp, Command)> {
        while let Some(act) = self.script.halted.get(self.acted) {
            let at = *self.acts_at.get_or_insert_with(|| now + act.after.draw(&mut self.chance));
            let is_meant = |name: &Name| act.steps.as_ref().is_none_or(|steps| steps.contains(name));
            let failed = run.steps.iter().find(|(name, step)| step.phase == Phase::Failed && is_meant(name));
            let (id, step) = (run.id.clone(), failed.map(|(name, _)| name.clone()));
            let verb = match (&act.what, step) {
                (ActWord::Resume, _) => Verb::Resume { run: id },
                (ActWord::Abort, _) => Verb::Abort { run: id },
                (ActWord::Retry, Some(step)) => Verb::Retry { run: id, step },
                (ActWord::Skip, Some(step)) => Verb::Skip { run: id, step },
                (ActWord::Override { subject }, Some(step)) => {
                    Verb::Override { run: id, step, subject: subject.clone() }
                }
                (_, None) => {
                    self.idle.insert(self.acted);
                    (self.acted, self.acts_at) = (self.acted + 1, None);
                    continue;
                }
            };
            self.last = Last::Act;
            return Some((at, Asked::new("operator 1", "as rehearsed").command(verb)));
        }
        None
    }

    /// The entries that nobody ever asked, by their number from 1 on.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let entry = |(number, person)| match words::decides(person) {
            Some(decides) => self.words.unmet(number, decides),
            None => {
                (!self.heard.contains(&number)).then(|| format!("entry {} of `people` was never asked", number + 1))
            }
        };
        let asked = self.script.people.iter().enumerate().filter_map(entry);
        let idle = (0..self.script.halted.len()).filter(|number| *number >= self.acted || self.idle.contains(number));
        asked.chain(idle.map(|number| format!("entry {} of `halted` found nothing to do", number + 1))).collect()
    }

    /// What a person says next, and when.
    pub(crate) fn next(&mut self, state: &Migration) -> Option<(Timestamp, Command)> {
        if self.refused.is_some() {
            return None;
        }
        self.last = Last::Answer;
        let word = self.words.next(self.script, state, &mut self.chance, &mut self.heard);
        let other = match state.open_run() {
            Some(run) if run.state == RunState::Halted => self.after_halt(run, state.at.unwrap_or(self.breach)),
            Some(run) => {
                let asked = run.steps.iter().filter(|(_, step)| step.phase == Phase::AwaitingApproval);
                asked.filter_map(|(name, step)| self.on_step(run, name, step)).min_by_key(|(at, _)| *at)
            }
            None => self.unwatched(state),
        };
        match (word, other) {
            (Some((at, key, command)), other) if other.as_ref().is_none_or(|(later, _)| at <= *later) => {
                self.last = Last::Word(key);
                Some((at, command))
            }
            (_, other) => other,
        }
    }

    fn on_step(&mut self, run: &Run, name: &Name, step: &StepState) -> Option<(Timestamp, Command)> {
        let (number, answer, after) = self.script.answer(Some(name), step.approvals.len());
        self.heard.extend(number);
        if answer == Answer::Nothing {
            return None;
        }
        let wanted = run.plan.steps[name].approve.as_ref();
        let (role, quorum) = wanted.map_or(("operator", 1), |wanted| (wanted.role.as_str(), wanted.quorum as usize));
        let chance = &mut self.chance;
        let times = self.answers.entry((Some(name.clone()), step.since)).or_insert_with(|| {
            let mut times: Vec<Timestamp> = (0..quorum).map(|_| step.since + after.draw(chance)).collect();
            times.sort_unstable();
            times
        });
        let given = step.approvals.len();
        let approve = answer == Answer::Approve;
        let who = format!("{role} {}", given + 1);
        let asked = Asked {
            authority: Authority::Roles(vec![role.to_owned()]),
            ..Asked::new(who, if approve { "as rehearsed" } else { "no, as rehearsed" })
        };
        let verb = Verb::Approve { run: run.id.clone(), step: name.clone(), approve };
        Some((*times.get(given)?, asked.command(verb)))
    }

    /// No trigger watches: a person notices.
    fn unwatched(&mut self, state: &Migration) -> Option<(Timestamp, Command)> {
        let (number, answer, after) = self.script.answer(None, 0);
        let watched = self.script.trigger.is_some() || state.incident.is_some() || state.armed.is_none();
        if watched || answer != Answer::Approve {
            return None;
        }
        self.heard.extend(number);
        let (chance, since) = (&mut self.chance, self.breach);
        let times = self.answers.entry((None, since)).or_insert_with(|| vec![since + after.draw(chance)]);
        let verb = Verb::Rollback { kind: RunKind::Simulated, only: Vec::new(), pin: None };
        Some((*times.first()?, Asked::new("operator 1", "as rehearsed").command(verb)))
    }

    /// Whether the run goes on only by somebody who does not answer.
    pub(crate) fn keep_waiting(&mut self, run: &Run) -> Option<String> {
        if run.state == RunState::Held {
            return Some(run.why.clone());
        }
        if run.state != RunState::Running {
            return None;
        }
        let open = || run.steps.iter().filter(|(_, step)| !step.phase.is_over());
        let waits = |(name, step): (&Name, &std::sync::Arc<StepState>)| {
            step.phase == Phase::AwaitingApproval
                && step.approval_until.is_none()
                && (self.refused.is_some() || self.script.answer(Some(name), step.approvals.len()).1 == Answer::Nothing)
        };
        let waiting: Vec<String> =
            open().filter(|entry| waits(*entry)).map(|(name, step)| format!("{name}: {}", step.why)).collect();
        let rest = open().filter(|entry| !waits(*entry)).all(|(_, step)| step.phase == Phase::Pending);
        (rest && !waiting.is_empty()).then(|| waiting.join("; "))
    }
}
