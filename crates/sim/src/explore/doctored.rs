//! What the real core never does, done to it: each property is seen to fail, so that "proven" says something.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::{Change, Effect, Proof, Repeats},
    event::{Event, StepEvent},
    run::{Phase, RunState},
};
use belay_plan::model::{Plan, Target};

use super::{
    fixture::*,
    inside::Inside,
    model::Model,
    moves::Move,
    node::Node,
    properties::{Property, check},
    search::Task,
    world::Telling,
};

struct Stage {
    plan: Plan,
    model: Model,
    node: Node,
}

impl Stage {
    fn new(plan: Plan) -> Self {
        let model = Model::new(&plan);
        let node = Node::start(&plan, &model).unwrap().0;
        Self { plan, model, node }
    }

    /// The next change of a step, as the world has it.
    fn change(&self, step: usize) -> Change {
        self.node.world.remaining(&self.model, step, "it", Telling::GOOD).remove(0)
    }

    /// What is said of a transition that does nothing but this.
    fn said(&self, step: &str, did: impl IntoIterator<Item = StepEvent>) -> Vec<Property> {
        let events: Vec<Event> = did.into_iter().map(|what| Event::Step { step: step.to_owned(), what }).collect();
        let made = Move::Pass { step: None };
        let found = check(&self.plan, &self.model, (&self.node, &made), &events, &self.node);
        found.into_iter().map(|violation| violation.property).collect()
    }

    fn task(&self) -> Task<'_> {
        Task { plan: &self.plan, model: &self.model, order: (0..self.plan.steps.len()).collect(), states_max: 10_000 }
    }

    fn step(&mut self, step: &str) -> &mut belay_core::run::StepState {
        Arc::make_mut(&mut self.node.state.run.as_mut().unwrap().steps[step])
    }
}

fn set() -> belay_plan::model::Step {
    step("sim.set", Target::Own)
}

fn send(change: Change) -> StepEvent {
    StepEvent::Intended { attempt: 1, change, send_within_ms: 1, found: None }
}

/// The shares of the one effect that a change has.
fn shares(change: &mut Change, alter: impl FnOnce(&mut Vec<belay_core::change::Share>)) {
    match &mut change.effects[..] {
        [Effect::Traffic { shares }] => alter(shares),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_send_before_a_need_is_seen() {
    let stage = Stage::new(plan([("a", manual()), ("b", needing(&["a"], set()))]));
    assert_eq!(stage.said("b", [send(stage.change(1))]), [Property::Order]);
    let free = Stage::new(plan([("b", set())]));
    assert!(free.said("b", [send(free.change(0))]).is_empty());
}

#[test]
fn a_send_before_an_interlock_is_seen() {
    let stage = Stage::new(plan([("dns", weights())]));
    assert_eq!(stage.said("dns", [send(stage.change(0))]), [Property::Order]);
    assert!(stage.said("dns", [StepEvent::RequirePassed, send(stage.change(0))]).is_empty());
}

#[test]
fn traffic_to_what_is_not_healthy_is_seen() {
    let stage = Stage::new(plan([("dns", weights())]));
    let mut change = stage.change(0);
    shares(&mut change, |shares| shares[0].proof = Proof::Unhealthy { evidence: String::new() });
    assert_eq!(stage.said("dns", [StepEvent::RequirePassed, send(change)]), [Property::Proof]);
}

#[test]
fn no_traffic_anywhere_is_seen_in_between_and_at_the_end() {
    let mut stage = Stage::new(plan([("dns", weights())]));
    let mut change = stage.change(0);
    shares(&mut change, |shares| shares.iter_mut().for_each(|share| share.after = 0));
    assert_eq!(stage.said("dns", [StepEvent::RequirePassed, send(change)]), [Property::Weights]);
    let before = stage.node.clone();
    stage.node.world.weights[0].fill(0);
    let made = Move::Pass { step: None };
    let found = check(&stage.plan, &stage.model, (&before, &made), &[], &stage.node);
    assert_eq!(found[0].property, Property::Weights);
}

#[test]
fn what_harms_twice_is_seen_when_it_is_sent_twice() {
    let mut stage = Stage::new(plan([("job", set())]));
    let mut change = stage.change(0);
    change.repeats = Repeats::Never;
    assert!(stage.said("job", [send(change.clone())]).is_empty());
    stage.node.world.steps[0].unknown = 1;
    assert_eq!(stage.said("job", [send(change.clone())]), [Property::Once]);
    stage.node.world.steps[0].unknown = 0;
    stage.node.world.steps[0].accepted = 1;
    change.repeats = Repeats::Converges;
    assert_eq!(stage.said("job", [send(change)]), [Property::Once]);
}

#[test]
fn a_loss_that_nobody_was_asked_about_is_seen() {
    let mut plan = plan([("db", restore())]);
    plan.objectives.rpo = Some(Duration::from_secs(60));
    let mut stage = Stage::new(plan);
    let mut change = stage.change(0);
    assert!(stage.said("db", [send(change.clone())]).is_empty());
    change.effects = vec![Effect::LosesData { since: None }];
    assert_eq!(stage.said("db", [send(change.clone())]), [Property::Loss]);
    stage.step("db").approved = true;
    assert!(stage.said("db", [send(change)]).is_empty());
}

#[test]
fn a_wait_that_nothing_ends_is_seen() {
    let mut stage = Stage::new(plan([("a", set())]));
    stage.step("a").deadline = None;
    let task = stage.task();
    let inside = Inside::search(&task, stage.node.clone(), Some(0), 1_000, &mut |_| true);
    let found: Vec<_> = inside.violations().filter(|(violation, _)| violation.property == Property::Ends).collect();
    assert!(found.iter().any(|(violation, _)| violation.why == "a waits, and nothing ends this wait"), "{found:?}");
}

#[test]
fn a_run_that_neither_ends_nor_waits_is_seen() {
    let mut stage = Stage::new(plan([("a", set()), ("b", set())]));
    for step in ["a", "b"] {
        stage.step(step).phase = Phase::Pending;
    }
    assert_eq!(stage.node.run().state, RunState::Running);
    let graph = stage.task().run(stage.node.clone(), &mut |_| true);
    assert_eq!(graph.violations[0].violation.property, Property::Ends);
}
