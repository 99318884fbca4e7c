//! The people who answer: approvals, manual steps, and what nobody but a person decides.

use std::collections::{BTreeMap, BTreeSet};

use belay_core::{
    event::RunKind,
    input::{Asked, Authority, Command, Verb},
    migration::Migration,
    run::{Phase, Run, RunState, StepState},
};
use belay_plan::model::{Answer as Decision, Name};
use jiff::Timestamp;

use crate::{
    chance::Chance,
    rehearsal::script::{Answer, Script},
};

/// What a person is asked: a step of a run from a moment on, or (without a step) what becomes of the migration.
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
}

impl<'s> People<'s> {
    pub(crate) fn new(script: &'s Script, chance: Chance, breach: Timestamp) -> Self {
        Self { script, chance, answers: BTreeMap::new(), breach, refused: None, heard: BTreeSet::new() }
    }

    pub(crate) fn refused(&mut self, why: String) {
        self.refused = Some(why);
    }

    /// The entries that nobody ever asked, by their number from 1 on.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let entries = (0..self.script.people.len()).filter(|number| !self.heard.contains(number));
        entries.map(|number| format!("entry {} of `people` was never asked", number + 1)).collect()
    }

    /// What a person says next, and when.
    pub(crate) fn next(&mut self, state: &Migration) -> Option<(Timestamp, Command)> {
        if self.refused.is_some() {
            return None;
        }
        match state.open_run() {
            Some(run) => {
                let asked = run.steps.iter().filter(|(_, step)| step.phase == Phase::AwaitingApproval);
                asked.filter_map(|(name, step)| self.on_step(run, name, step)).min_by_key(|(at, _)| *at)
            }
            None => self.on_migration(state),
        }
    }

    fn on_step(&mut self, run: &Run, name: &Name, step: &StepState) -> Option<(Timestamp, Command)> {
        let (number, person) = self.script.person(Some(name));
        self.heard.extend(number);
        if person.answer == Answer::Nothing {
            return None;
        }
        let wanted = run.plan.steps[name].approve.as_ref();
        let (role, quorum) = wanted.map_or(("operator", 1), |wanted| (wanted.role.as_str(), wanted.quorum as usize));
        let chance = &mut self.chance;
        let times = self.answers.entry((Some(name.clone()), step.since)).or_insert_with(|| {
            let mut times: Vec<Timestamp> = (0..quorum).map(|_| step.since + person.after.draw(chance)).collect();
            times.sort_unstable();
            times
        });
        let given = step.approvals.len();
        let approve = person.answer == Answer::Approve;
        let who = format!("{role} {}", given + 1);
        let asked = Asked {
            authority: Authority::Roles(vec![role.to_owned()]),
            ..Asked::new(who, if approve { "as rehearsed" } else { "no, as rehearsed" })
        };
        let verb = Verb::Approve { run: run.id.clone(), step: name.clone(), approve };
        Some((*times.get(given)?, asked.command(verb)))
    }

    /// Nobody watches, or the plan leaves the decision to people.
    fn on_migration(&mut self, state: &Migration) -> Option<(Timestamp, Command)> {
        let (number, person) = self.script.person(None);
        if person.answer == Answer::Nothing || state.armed.is_none() {
            return None;
        }
        let (since, verb) = match &state.incident {
            Some(incident) if incident.answer != Some(Decision::RollBack) => {
                (incident.opened, Verb::Decide { roll_back: person.answer == Answer::Approve })
            }
            None if self.script.trigger.is_none() && person.answer == Answer::Approve => {
                (self.breach, Verb::Rollback { kind: RunKind::Simulated, only: Vec::new(), pin: None })
            }
            _ => return None,
        };
        self.heard.extend(number);
        let chance = &mut self.chance;
        let times = self.answers.entry((None, since)).or_insert_with(|| vec![since + person.after.draw(chance)]);
        let at = times.pop()?;
        times.push(at);
        Some((at, Asked::new("operator 1", "as rehearsed").command(verb)))
    }

    /// Whether the run goes on only by somebody who does not answer.
    pub(crate) fn keep_waiting(&mut self, run: &Run) -> Option<String> {
        if run.state == RunState::Held {
            return Some(run.why.clone());
        }
        let open = || run.steps.iter().filter(|(_, step)| !step.phase.is_over());
        let waits = |(name, step): (&Name, &std::sync::Arc<StepState>)| {
            step.phase == Phase::AwaitingApproval
                && step.approval_until.is_none()
                && (self.refused.is_some() || self.script.person(Some(name)).1.answer == Answer::Nothing)
        };
        let waiting: Vec<String> =
            open().filter(|entry| waits(*entry)).map(|(name, step)| format!("{name}: {}", step.why)).collect();
        let rest = open().filter(|entry| !waits(*entry)).all(|(_, step)| step.phase == Phase::Pending);
        (run.state == RunState::Running && rest && !waiting.is_empty()).then(|| waiting.join("; "))
    }
}
