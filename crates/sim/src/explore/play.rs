//! A move is made: inputs to the real core, and what they mean for the explored world.
//!
//! **Whose clock.** A search by the shared clock lets every deadline of every step run at once. The reduced search gives
//! each step a clock of its own: while one step is played, the others' stand still. How long the world takes for anything
//! is unknown, so every end that one step can come to goes with every end of another that does not wait for it; nothing is
//! lost, and nothing is gained that some pace of the world would not bring about.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::Assessment,
    event::{Event, StepEvent},
    gate::GateState,
    input::{Asked, Authority, ErrorClass, Input, Look, LookFailure, SendFailure, Verb},
    reading::{Health, Reading},
    run::{Phase, RunState},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    model::Model,
    moves::{Answer, Finds, Move, asks},
    node::{FAR, Node, held_at},
    world::{StepWorld, Telling},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// One for all, and nothing is forgotten: what the reduced search is held against.
    #[cfg(test)]
    Shared,
    /// Each step's own.
    Own,
}

/// What came of a move.
pub(crate) struct Played {
    pub(crate) node: Node,
    pub(crate) events: Vec<Event>,
    pub(crate) elapsed: Duration,
}

/// None where core did not take it: a move that nobody can make.
pub(crate) fn play(before: &Node, model: &Model, made: &Move, clock: Clock) -> Option<Played> {
    let mut node = before.clone();
    match clock {
        #[cfg(test)]
        Clock::Shared => {
            let elapsed = node.wait(made)?;
            let events = node.make(model, made)?;
            Some(Played { node, events, elapsed })
        }
        Clock::Own => {
            let began = node.now;
            let whole = matches!(made, Move::Crash { .. });
            let still = |index: usize, phase: Phase| !whole && made.step() != Some(index) && phase != Phase::Pending;
            let phases: Vec<Phase> = node.run().steps.values().map(|step| step.phase).collect();
            let far = SignedDuration::try_from(FAR).unwrap_or(SignedDuration::ZERO);
            node.shift(far, |index, _| still(index, phases[index]));
            let elapsed = node.wait(made)?;
            let events = node.make(model, made)?;
            let back = began.duration_since(node.now);
            node.shift(back, |index, _| !still(index, phases[index]));
            node.shift(-far, |index, _| still(index, phases[index]));
            node.shift_confirmation(back);
            node.now = began;
            node.state.at = Some(began);
            if let Some(step) = made.step() {
                node.refill_timeout(step);
            }
            Some(Played { node, events, elapsed })
        }
    }
}

impl Node {
    /// Lets the time pass that a move takes. None where nothing would ever happen.
    fn wait(&mut self, made: &Move) -> Option<Duration> {
        let until = match made {
            Move::Pass { step } => self.next_moment(*step)?,
            Move::Look { step, .. } => self.step(*step).again_at.unwrap_or(self.now),
            _ => self.now,
        };
        let elapsed = until.duration_since(self.now);
        self.now = self.now.max(until);
        Some(Duration::try_from(elapsed).unwrap_or_default())
    }

    /// The next moment that something hangs on, if nobody does anything: core's own deadline, or a gate has held.
    pub(crate) fn next_moment(&self, step: Option<usize>) -> Option<Timestamp> {
        let held = held_at(self.gates(step));
        let far = SignedDuration::try_from(FAR).ok()? / 2;
        let deadline = self.state.wants().deadline.filter(|at| at.duration_since(self.now) < far);
        held.into_iter().chain(deadline).min()
    }

    /// The gates that are open: of a step, or of the confirmation.
    pub(crate) fn gates(&self, step: Option<usize>) -> &[GateState] {
        match step.map(|step| self.step(step)) {
            Some(state) if state.phase == Phase::Requiring => &state.require,
            Some(state) if state.phase == Phase::Verifying => &state.verify,
            None if self.run().state == RunState::Confirming => &self.run().confirm,
            _ => &[],
        }
    }

    fn make(&mut self, model: &Model, made: &Move) -> Option<Vec<Event>> {
        let input = match made {
            Move::Look { step, finds } => return self.look(model, *step, *finds),
            Move::Answer { step, answer } => self.answer(model, *step, *answer),
            Move::Read { signal, health, .. } => self.reading(signal, *health),
            Move::Pass { step } => {
                let holding = held_at(self.gates(*step)).filter(|at| *at <= self.now);
                let gates = self.gates(*step).iter();
                let signal = gates.filter(|gate| holding.is_some() && held_at(std::slice::from_ref(gate)) == holding);
                let signal = signal.map(|gate| gate.gate.signal.clone()).next();
                signal.map_or(Input::Tick, |signal| self.reading(&signal, Health::Healthy))
            }
            Move::Say { step, yes } => self.word(*step, *yes),
            Move::Silence { step } => {
                self.silent.insert(*step);
                return Some(Vec::new());
            }
            Move::Crash { effects } => {
                for (step, effect) in effects {
                    self.lose(model, *step, *effect);
                }
                Input::Resumed { belay_version: String::new() }
            }
        };
        self.feed(&input).ok()
    }

    fn look(&mut self, model: &Model, step: usize, finds: Finds) -> Option<Vec<Event>> {
        let name = self.name(step).to_owned();
        let seen = std::mem::replace(&mut self.world.steps[step].seen, true);
        match finds {
            Finds::InPlace if !seen => self.world.was_in_place(model, step),
            Finds::Shows => self.world.take_effect(model, step),
            _ => {}
        }
        let telling = match finds {
            Finds::Remaining(telling) => telling,
            _ => Telling { never: self.world.steps[step].never.unwrap_or(false), ..Telling::GOOD },
        };
        let changes = self.world.remaining(model, step, &name, telling);
        let stage = self.step(step).stage;
        let holds = model.steps[step].kind.holds(self.world.steps[step].effective, stage);
        let failure = |why: &str| LookFailure { why: why.to_owned(), permanent: true };
        let result = match finds {
            Finds::Unreadable => Err(failure("access denied")),
            Finds::Failed => Ok(Assessment::Failed { why: "the target cannot be reached".to_owned() }),
            Finds::Ambiguous => {
                Ok(Assessment::Ambiguous { why: "it cannot be told from somebody else's work".to_owned() })
            }
            Finds::InPlace | Finds::Shows if holds => Ok(Assessment::InPlace),
            Finds::InPlace | Finds::Shows | Finds::Remaining(_) => Ok(Assessment::Remaining(changes)),
        };
        let result = result.map(|assessment| Look { doc: Arc::default(), assessment, stage });
        let events = self.feed(&Input::Looked { step: name, result }).ok()?;
        let sent = |event: &Event| matches!(event, Event::Step { what: StepEvent::Intended { .. }, .. });
        if events.iter().any(sent) {
            self.world.steps[step].never.get_or_insert(telling.never);
        }
        Some(events)
    }

    fn answer(&mut self, model: &Model, step: usize, answer: Answer) -> Input {
        let world = &mut self.world.steps[step];
        let no_effect = |why: &str, class| Err(SendFailure::NoEffect { why: why.to_owned(), class });
        let lost = || Err(SendFailure::OutcomeUnknown { why: "no answer".to_owned() });
        let result = match answer {
            Answer::Accepted => {
                world.accepted |= StepWorld::bit(world.effective);
                world.under_way = true;
                Ok(Value::Null)
            }
            Answer::Refused => no_effect("not allowed", ErrorClass::Permanent),
            Answer::Failed => no_effect("internal failure", ErrorClass::Transient),
            Answer::LostAfterEffect | Answer::LostBeforeEffect => {
                self.lose(model, step, answer == Answer::LostAfterEffect);
                lost()
            }
        };
        Input::Applied { step: self.name(step).to_owned(), attempt: self.step(step).attempt, result }
    }

    /// Nobody hears of a call any more.
    fn lose(&mut self, model: &Model, step: usize, effect: bool) {
        let world = &mut self.world.steps[step];
        world.unknown |= StepWorld::bit(world.effective);
        if effect {
            self.world.take_effect(model, step);
        }
    }

    fn reading(&self, signal: &str, health: Health) -> Input {
        Input::Reading(Reading {
            signal: signal.to_owned(),
            taken: self.now,
            health,
            evidence: "as it was read".to_owned(),
            source: "explored".to_owned(),
            unreadable: false,
            permanent: false,
            measured: None,
        })
    }

    fn word(&self, step: usize, yes: bool) -> Input {
        let (role, _) = asks(self, step);
        let number = self.step(step).approvals.len() + 1;
        let actor = if number == 1 { role.clone() } else { format!("{role} {number}") };
        let asked = Asked { authority: Authority::Roles(vec![role]), ..Asked::new(actor, "") };
        let (run, step) = (self.run().id.clone(), self.name(step).to_owned());
        Input::Command(asked.command(Verb::Approve { run, step, approve: yes }))
    }
}
