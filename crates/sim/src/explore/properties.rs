//! What must never happen, whatever does: looked for at every transition, in other words than core's own.

use belay_core::{
    change::{Change, Effect, Proof, Repeats},
    event::{Event, FailureCode, StepEvent},
    proof::rises,
    run::{Fate, Phase, RunState},
};
use belay_plan::model::{OnFailure, Plan};
use serde::Serialize;

use super::{
    ends::{Disposition, disposition},
    model::{Kind, Model},
    moves::{Finds, Move},
    node::Node,
    sides::Proven,
    world::{self, StepWorld, Telling},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// Every run ends, or waits for somebody who is named and has a verb that moves it.
    Ends,
    /// A run in which all goes well ends rolled back.
    Succeeds,
    /// Nothing is sent before what the step needs, and before its interlocks.
    Order,
    /// No traffic to a destination that nothing proves to be healthy.
    Proof,
    /// Never all weights zero.
    Weights,
    /// A crash changes no outcome.
    Crash,
    /// What harms when it is done twice is never sent again without a person, and what was accepted is not sent again.
    Once,
    /// No loss beyond the recovery point objective, or past the point of no return, without a person.
    Loss,
    /// In an end called rolled back, traffic and data are where the plan wants them.
    Target,
}

impl Property {
    pub const ALL: [Self; 9] = [
        Self::Ends,
        Self::Succeeds,
        Self::Order,
        Self::Proof,
        Self::Weights,
        Self::Crash,
        Self::Once,
        Self::Loss,
        Self::Target,
    ];

    /// For people.
    pub fn claim(self) -> &'static str {
        match self {
            Self::Ends => "every run ends, or waits for a named person with a verb that moves it",
            Self::Succeeds => "a run in which all goes well ends rolled back",
            Self::Order => "no step sends before its needs and its interlocks",
            Self::Proof => "no traffic to a destination that nothing proves healthy",
            Self::Weights => "never all weights zero",
            Self::Crash => "a crash changes no outcome",
            Self::Once => "nothing that must not be repeated is sent twice",
            Self::Loss => "no data is lost beyond what the plan allows without a person",
            Self::Target => "a run that ends rolled back leaves traffic and data where the plan's targets say",
        }
    }
}

/// A property that does not hold after a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) property: Property,
    pub(crate) step: Option<usize>,
    pub(crate) why: String,
}

/// What is wrong with a transition: a move, and the events that lead from one state to the other.
pub(crate) fn check(
    plan: &Plan,
    model: &Model,
    (before, made): (&Node, &Move),
    events: &[Event],
    after: &Node,
) -> Vec<Violation> {
    let untold =
        matches!(made, Move::Look { finds: Finds::Remaining(Telling { proof: world::Proven::Untold, .. }), .. });
    let mut found = Vec::new();
    let mut opened: Vec<&str> = Vec::new();
    for event in events {
        let Event::Step { step, what } = event else { continue };
        let Some(index) = before.run().steps.get_index_of(step) else { continue };
        let mut violated =
            |property, why: String| found.push(Violation { property, step: Some(index), why: format!("{step} {why}") });
        match what {
            StepEvent::RequirePassed => opened.push(step),
            StepEvent::Intended { change, .. } => {
                let passed = opened.contains(&step.as_str());
                let world = &after.world.steps[index];
                let proven = &model.steps[index].proven;
                intended(plan, before, index, (world, proven), passed, change, &mut violated);
            }
            StepEvent::Failed { code: FailureCode::Unproven, .. } if untold && plan.steps[index].require.is_empty() => {
                let to = model.destinations(index).join(", ");
                let why = format!(
                    "would give {to} traffic, the actuator cannot tell whether it is healthy, and the step has no \
                     `require`: the step fails, until a person overrides it by name"
                );
                violated(Property::Proof, why);
            }
            StepEvent::Failed { code: FailureCode::AllZero, .. } => {
                violated(Property::Weights, "would leave no traffic anywhere: Belay refuses to send it".to_owned());
            }
            _ => {}
        }
    }
    if let Some(members) = after.world.without_traffic(model)
        && before.world.without_traffic(model).is_none()
    {
        let why = format!("no traffic goes anywhere: {members} all have weight 0");
        found.push(Violation { property: Property::Weights, step: None, why });
    }
    if after.run().state == RunState::RolledBack && before.run().state != RunState::RolledBack {
        found.extend((0..plan.steps.len()).filter_map(|index| off_target(model, after, index)));
    }
    found
}

/// In an end called rolled back: a step in place that a later one has undone, or a step without which the run went on, and
/// whose traffic or data nothing else has put back.
fn off_target(model: &Model, end: &Node, index: usize) -> Option<Violation> {
    let step = &model.steps[index];
    let stands = standing(end, index)?;
    let name = end.name(index);
    let (is_off, shown) = match &step.kind {
        Kind::Traffic { resource, target, .. } => {
            let weights = &end.world.weights[*resource];
            let is_off = target.iter().zip(weights).any(|(wanted, is)| wanted.is_some_and(|wanted| wanted != *is));
            let shown = model.resources[*resource].members.iter().zip(weights);
            let shown: Vec<String> = shown.map(|(member, weight)| format!("{member} {weight}")).collect();
            (is_off, format!("the run ends rolled back with {}", shown.join(", ")))
        }
        Kind::Replace => (!step.kind.holds(end.world.steps[index].effective, 0), "its data is not restored".to_owned()),
        _ => return None,
    };
    let (how, about) = match stands {
        Stands::InPlace => ("is undone by a later step", None),
        Stands::PassedOver => ("is passed over", Some(index)),
    };
    let why = format!("{name} {how}: {shown}");
    (is_off && !step.superseded).then_some(Violation { property: Property::Target, step: about, why })
}

/// How a step of traffic or data stands that the end of its run is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    InPlace,
    /// It failed, or nobody answered, and the run went on without it.
    PassedOver,
}

/// None: something else took over, it is not needed, or a person has to act.
pub(crate) fn standing(node: &Node, index: usize) -> Option<Stands> {
    match disposition(node, index)? {
        Disposition::InPlace => Some(Stands::InPlace),
        Disposition::PassedOver | Disposition::Skipped => Some(Stands::PassedOver),
        _ => None,
    }
}

/// A send: everything that has to be so before it.
fn intended(
    plan: &Plan,
    before: &Node,
    index: usize,
    (world, proven): (&StepWorld, &Proven),
    passed: bool,
    change: &Change,
    violated: &mut impl FnMut(Property, String),
) {
    let (state, spec) = (before.step(index), &plan.steps[index]);
    if let Some(need) = unmet_need(plan, before, index) {
        violated(Property::Order, format!("sends before its need {need}"));
    }
    let interlocked = !spec.require.is_empty();
    let holds = passed || state.require_passed;
    if interlocked && !holds && state.overrides.is_empty() {
        violated(Property::Order, "sends before its interlocks have passed".to_owned());
    }
    let bit = StepWorld::bit(world.effective);
    if world.accepted & bit != 0 || state.intent.as_ref().is_some_and(|i| i.fate == Fate::InFlight) {
        violated(Property::Once, format!("sends `{}` again, which was accepted or is under way", change.id));
    }
    if world.unknown & bit != 0 && change.repeats == Repeats::Never {
        violated(Property::Once, format!("sends `{}` again: its outcome is unknown, and twice harms", change.id));
    }
    for effect in &change.effects {
        match effect {
            Effect::Traffic { shares } => {
                if shares.iter().all(|share| share.after == 0) {
                    violated(Property::Weights, "sends weights that are all zero".to_owned());
                }
                for share in shares.iter().filter(|share| rises(share, shares)) {
                    let healthy = match share.proof {
                        Proof::Healthy { .. } => true,
                        Proof::None { .. } => interlocked && proven.holds(),
                        Proof::Unhealthy { .. } => false,
                    };
                    if !healthy && !state.overrides.contains(&share.destination) {
                        let why = match (proven, &share.proof) {
                            (Proven::OtherSide { signal, looks_at }, Proof::None { .. }) => {
                                format!(": its interlock `{signal}` looks at {looks_at}, which gets none of it")
                            }
                            _ => String::new(),
                        };
                        violated(Property::Proof, format!("gives {} traffic without proof{why}", share.destination));
                    }
                }
            }
            Effect::LosesData { since } => {
                let much = since.is_none() && plan.objectives.rpo.is_some();
                if !state.approved && much {
                    violated(
                        Property::Loss,
                        "loses more data than the plan's `rpo` allows, and nobody was asked".to_owned(),
                    );
                }
            }
            _ => {}
        }
    }
}

/// A need that is not met, told from the phases alone.
fn unmet_need(plan: &Plan, node: &Node, index: usize) -> Option<String> {
    let is_met = |need: &String| {
        let (Some(state), Some(spec)) = (node.run().steps.get(need), plan.steps.get(need)) else { return true };
        let person =
            matches!(state.failure, Some(FailureCode::Ambiguous | FailureCode::Contested | FailureCode::Unanswered));
        match (state.phase, &spec.on_failure) {
            (Phase::Done | Phase::Unchanged | Phase::Skipped, _) => true,
            (Phase::Failed, OnFailure::Continue) => !person,
            (Phase::Failed, OnFailure::Fallback(other)) => {
                let fallback = node.run().steps.get(other).map(|step| step.phase);
                !person && matches!(fallback, Some(Phase::Done | Phase::Unchanged))
            }
            _ => false,
        }
    };
    plan.steps[index].needs.iter().find(|need| !is_met(need)).cloned()
}
