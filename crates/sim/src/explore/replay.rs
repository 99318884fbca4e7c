//! A counter-example as a scenario: what has to happen, in the words of `drill --simulate --scenario`.

use belay_core::{
    event::{Event, GateEvent, StepEvent},
    reading::Health,
    run::{Phase, RunState},
};
use belay_plan::{
    duration,
    graph::Graph,
    model::{Name, Nature, OnFailure, Plan},
};
use indexmap::IndexMap;
use serde::Serialize;

use super::{
    model::Model,
    moves::{Answer, Finds, Move},
    node::Node,
    play::{Clock, play},
    world::Proven,
};
use crate::{causes, nature};

/// A scenario that plays a counter-example in the simulated world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The file, whole.
    pub scenario: String,
    /// The state of the run where the counter-example ends: `halted`, `rolled_back`, ...; from `running` on, the scenario plays to
    /// an end of its own. Of a way to a decision, its end.
    pub ends: &'static str,
    /// What happens in it that scenarios have no word for: the play goes another way from there.
    pub beyond: Vec<String>,
}

/// The words for a way through the search. `claim`: what it refutes; `written`: the plan with everything that is not searched, `lucky`:
/// which gates turn by what the run puts back.
pub(crate) fn replay(
    (written, lucky): (&Plan, &Model),
    (plan, model): (&Plan, &Model),
    claim: &str,
    moves: &[Move],
) -> Option<Replay> {
    let mut node = Node::start(plan, model).ok()?.0;
    let mut writer = Writer::default();
    for made in moves {
        let played = play(&node, model, made, Clock::Own)?;
        writer.early(&node, lucky, made);
        writer.happens(&node, made, &played.events);
        node = played.node;
    }
    Some(writer.finish(written, claim, node.run().state))
}

#[derive(Default)]
struct Writer {
    people: Vec<String>,
    events: Vec<String>,
    beyond: Vec<String>,
    /// By step (None: the confirmation) and signal, what was read last, and whether a call was sent before.
    read: IndexMap<(Option<usize>, Name), (Health, bool)>,
    /// The step that was put back last.
    done: Option<Name>,
    /// Steps of traffic or data without which the run goes on: what they heal does not heal by itself.
    passed_over: bool,
    /// The steps to which a call was sent.
    sent: Vec<Name>,
    /// Signals that are healthy all the same, and from when on.
    healthy: IndexMap<Name, Option<String>>,
    /// Signals that are seen healthy although nothing heals them: another trigger fires, or another signal of it.
    early: Vec<Name>,
}

impl Writer {
    fn happens(&mut self, node: &Node, made: &Move, events: &[Event]) {
        match made {
            Move::Look { step, finds } => self.look(node, *step, *finds),
            Move::Answer { step, answer } => self.answer(node.name(*step), *answer),
            Move::Read { step, signal, health } => {
                let sent = step.is_some_and(|step| node.step(step).phase == Phase::Verifying);
                self.read.insert((*step, signal.clone()), (*health, sent));
                if self.passed_over && *health == Health::Healthy {
                    let at = self.done.as_ref().map(|done| format!("done: {done}"));
                    let at = at.or_else(|| self.sent.last().map(|sent| format!("sent: {sent}")));
                    self.healthy.entry(signal.clone()).or_insert(at);
                }
            }
            Move::Pass { step: Some(step) } => self.pass(node, *step),
            Move::Pass { step: None } => {}
            Move::Say { yes: true, .. } => {}
            Move::Say { step, yes: false } => self.person(node.name(*step), "deny"),
            Move::Silence { step } => self.person(node.name(*step), "nothing"),
            Move::Crash { effects } => {
                let at = effects.first().map(|(step, _)| format!(", at: {{ sent: {} }}", node.name(*step)));
                self.event(format!("{{ kill: {{}}{} }}", at.unwrap_or_default()));
            }
        }
        for event in events {
            match event {
                Event::Step { step, what: StepEvent::Intended { .. } } => self.sent.push(step.clone()),
                Event::Step { step, what: StepEvent::Skipped { .. } } => self.without(node, step),
                Event::Step { step, what: StepEvent::Failed { .. } } => {
                    self.gates(node.run().steps.get_index_of(step), step);
                    if node.run().plan.steps[step].on_failure == OnFailure::Continue {
                        self.without(node, step);
                    }
                }
                Event::Step { step, what: StepEvent::Done | StepEvent::Unchanged } => self.done = Some(step.clone()),
                Event::Confirm { what: GateEvent::Failed { .. }, .. } => self.gates(None, "the confirmation"),
                _ => {}
            }
        }
    }

    fn early(&mut self, node: &Node, lucky: &Model, made: &Move) {
        let Move::Read { step, signal, health: Health::Healthy } = made else { return };
        let (gates, can_turn) = match step {
            None => (&node.run().confirm, &lucky.confirm),
            Some(step) if node.step(*step).phase == Phase::Requiring => {
                (&node.step(*step).require, &lucky.steps[*step].require)
            }
            Some(step) => (&node.step(*step).verify, &lucky.steps[*step].verify),
        };
        let is_early = gates.iter().zip(can_turn).any(|(gate, can_turn)| gate.gate.signal == *signal && !can_turn);
        if is_early && !self.early.contains(signal) {
            self.early.push(signal.clone());
        }
    }

    fn without(&mut self, node: &Node, step: &Name) {
        let nature = nature::of(&node.run().plan.steps[step]);
        let is_fallback = Graph::new(&node.run().plan).is_fallback(step);
        self.passed_over |= matches!(nature, Nature::Traffic | Nature::Data) && !is_fallback;
    }

    fn look(&mut self, node: &Node, step: usize, finds: Finds) {
        let name = node.name(step);
        match finds {
            Finds::Shows => {}
            Finds::InPlace if node.world.steps[step].effective > 0 || node.world.steps[step].seen => {}
            Finds::InPlace => self.beyond.push(format!("{name} is in place before anything is done")),
            Finds::Remaining(telling) => {
                match telling.proof {
                    Proven::Healthy => {}
                    Proven::Unhealthy => self.event(format!("{{ targets: {{ steps: {name}, are: unhealthy }} }}")),
                    Proven::Untold => self.event(format!("{{ targets: {{ steps: {name}, are: unknown }} }}")),
                }
                if telling.never || telling.loses_much {
                    self.beyond.push(format!("what {name} would do harms twice, or loses it cannot be told how much"));
                }
            }
            Finds::Unreadable => self.event(format!("{{ fail: {{ steps: {name}, how: denied }} }}")),
            Finds::Failed if node.step(step).attempt > 0 => {
                self.event(format!("{{ fail: {{ steps: {name}, how: verdict }} }}"));
            }
            Finds::Failed => {
                self.event(format!("{{ fail: {{ steps: {name}, how: denied }} }}"));
                self.beyond
                    .push(format!("{name} fails by a verdict of its own before anything was sent; it is denied here"));
            }
            Finds::Ambiguous => {
                self.event(format!("{{ change: {{ steps: {name} }}, at: {{ sent: {name} }} }}"));
                self.beyond.push(format!("{name} cannot be told from somebody else's work; it is changed here"));
            }
        }
    }

    fn answer(&mut self, name: &str, answer: Answer) {
        match answer {
            Answer::Accepted => {}
            Answer::Refused => self.event(format!("{{ fail: {{ steps: {name}, how: denied }} }}")),
            Answer::LostAfterEffect => self.event(format!("{{ fail: {{ steps: {name}, how: answer_lost }} }}")),
            Answer::Failed | Answer::LostBeforeEffect => {
                self.beyond.push(format!("a call of {name} has no effect, once; it is played as if it had"));
            }
        }
    }

    /// Nothing happens at a step until the time that it has is over.
    fn pass(&mut self, node: &Node, step: usize) {
        let (name, state) = (node.name(step), node.step(step));
        match state.phase {
            Phase::AwaitingApproval => self.person(name, "nothing"),
            Phase::Settling if state.wait_until.is_none() => {
                let longer = duration::format(node.run().plan.steps[name].timeout * 2);
                self.event(format!("{{ takes: {{ steps: {name}, time: {longer} }} }}"));
            }
            Phase::Observing | Phase::Applying => {
                self.event(format!("{{ fail: {{ steps: {name}, how: unanswered }} }}"));
            }
            _ => {} // what its signals show is written when its gates fail
        }
    }

    /// The gates of a step have failed by what was read for them.
    fn gates(&mut self, step: Option<usize>, name: &str) {
        let read: Vec<(Name, Health, bool)> = self
            .read
            .iter()
            .filter(|((of, _), (health, _))| *of == step && *health != Health::Healthy)
            .map(|((_, signal), (health, sent))| (signal.clone(), *health, *sent))
            .collect();
        for (signal, health, sent) in read {
            let shows = if health == Health::Unhealthy { "unhealthy" } else { "missing" };
            let at = match (step, sent, &self.done) {
                (Some(_), true, _) => format!(", at: {{ sent: {name} }}"),
                (None, _, Some(done)) => format!(", at: {{ done: {done} }}"),
                _ => String::new(),
            };
            self.event(format!("{{ signal: {{ signals: {signal}, shows: {shows} }}{at} }}"));
        }
    }

    fn event(&mut self, event: String) {
        if !self.events.contains(&event) {
            self.events.push(event);
        }
    }

    fn person(&mut self, step: &str, answer: &str) {
        let entry = format!("{{ steps: {step}, answer: {answer} }}");
        if !self.people.contains(&entry) {
            self.people.push(entry);
        }
    }

    fn finish(mut self, plan: &Plan, claim: &str, state: RunState) -> Replay {
        let early = std::mem::take(&mut self.early);
        let trigger = causes::fires_without(plan, &early).filter(|_| !early.is_empty());
        match trigger {
            Some(_) => early.iter().for_each(|signal| {
                self.healthy.shift_remove(signal);
                self.event(format!("{{ signal: {{ signals: {signal}, shows: healthy }} }}"));
            }),
            None => self.beyond.extend(early.iter().map(|signal| format!("{signal} does not show yet what is wrong"))),
        }
        for (signal, at) in std::mem::take(&mut self.healthy) {
            match at {
                Some(at) => {
                    self.event(format!("{{ signal: {{ signals: {signal}, shows: healthy }}, at: {{ {at} }} }}"))
                }
                None => self.beyond.push(format!("{signal} heals although nothing is put back")),
            }
        }
        let ends = state.as_str();
        let head = format!("# The counter-example of `belay explore`; there, the run is {} in the end.\n", text(ends));
        let summary = format!("scenario: 1\nsummary: \"Refutes: {claim}.\"\n");
        let breach = trigger.map_or_else(String::new, |trigger| format!("breach: {{ trigger: {trigger} }}\n"));
        let scenario = head
            + &left_out(&self.beyond)
            + &summary
            + &breach
            + &list("people", &self.people)
            + &list("events", &self.events);
        Replay { scenario, ends, beyond: self.beyond }
    }
}

/// What happens that the file has no word for, as comments in it.
pub(super) fn left_out(beyond: &[String]) -> String {
    beyond.iter().map(|what| format!("# not in it: {what}\n")).collect()
}

pub(super) fn list(key: &str, entries: &[String]) -> String {
    match entries {
        [] => String::new(),
        _ => format!("{key}:\n") + &entries.iter().map(|entry| format!("  - {entry}\n")).collect::<String>(),
    }
}

fn text(state: &str) -> String {
    state.replace('_', " ")
}
