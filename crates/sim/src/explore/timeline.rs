//! A way through the search as people read it: what happened, who did it, and what Belay did.

use std::time::Duration;

use belay_core::{
    event::{Event, GateEvent, StepEvent},
    reading::Health,
    run::Phase,
};
use belay_narrate::{Audience, Context, narrate};
use belay_plan::{duration, model::Plan};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    model::Model,
    moves::{Answer, Finds, Move, asks},
    node::Node,
    play::{Clock, play},
    world::Proven,
};

/// One thing that happens, and what follows at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// The least time since the run began.
    pub after_s: u64,
    /// `the world`, `the process`, or the role of a person.
    pub who: String,
    pub what: String,
    /// What Belay does about it.
    pub belay: Vec<String>,
}

/// The moves played once more from the start, with their last state.
pub(crate) fn timeline(plan: &Plan, model: &Model, moves: &[Move]) -> (Vec<Happening>, Option<Node>) {
    let Ok((mut node, events)) = Node::start(plan, model) else { return (Vec::new(), None) };
    let mut happenings = vec![Happening {
        after_s: 0,
        who: "operator".to_owned(),
        what: "asks for the rollback".to_owned(),
        belay: told(plan, &events),
    }];
    let mut elapsed = Duration::ZERO;
    for made in moves {
        let Some(played) = play(&node, model, made, Clock::Own) else {
            happenings.push(Happening {
                after_s: elapsed.as_secs(),
                who: who(&node, made),
                what: what(&node, made, Duration::ZERO),
                belay: vec!["nothing follows from it".to_owned()],
            });
            break;
        };
        elapsed += played.elapsed;
        happenings.push(Happening {
            after_s: elapsed.as_secs(),
            who: who(&node, made),
            what: what(&node, made, played.elapsed),
            belay: told(plan, &played.events),
        });
        node = played.node;
    }
    (happenings, Some(node))
}

fn who(node: &Node, made: &Move) -> String {
    match made {
        Move::Say { step, .. } | Move::Silence { step } => {
            let (role, quorum) = asks(node, *step);
            let number = node.step(*step).approvals.len() + 1;
            if quorum > 1 { format!("{role} {number}") } else { role }
        }
        Move::Crash { .. } => "the process".to_owned(),
        _ => "the world".to_owned(),
    }
}

fn what(node: &Node, made: &Move, elapsed: Duration) -> String {
    let by_hand = |step: usize| node.run().plan.steps[step].action == belay_plan::builtin::MANUAL;
    match made {
        Move::Look { step, finds } => {
            let name = node.name(*step);
            match finds {
                Finds::InPlace => format!("{name} is looked at: the target is in place"),
                Finds::Shows => format!("{name} is looked at: the change has taken effect"),
                Finds::Remaining(telling) => {
                    let proof = match telling.proof {
                        Proven::Healthy => "",
                        Proven::Unhealthy => "; its destination is not healthy",
                        Proven::Untold => "; nobody can tell whether its destination is healthy",
                    };
                    let never = if telling.never { "; doing it twice would harm" } else { "" };
                    let loss = if telling.loses_much { "; how much data is lost cannot be told" } else { "" };
                    format!("{name} is looked at: it is not in place{proof}{never}{loss}")
                }
                Finds::Failed => format!("{name} is looked at: the target cannot be reached"),
                Finds::Ambiguous => format!("{name} is looked at: somebody else may have changed it"),
                Finds::Unreadable => format!("{name} cannot be read: access denied"),
            }
        }
        Move::Answer { step, answer } => {
            let name = node.name(*step);
            match answer {
                Answer::Accepted => format!("the call of {name} is accepted"),
                Answer::Refused => format!("the call of {name} is refused for good"),
                Answer::Failed => format!("the call of {name} fails, without effect"),
                Answer::LostAfterEffect => format!("the call of {name} takes effect, but its answer is lost"),
                Answer::LostBeforeEffect => format!("the call of {name} has no effect, and no answer comes"),
            }
        }
        Move::Read { signal, health, .. } => {
            let health = match health {
                Health::Healthy => "healthy",
                Health::Unhealthy => "unhealthy",
                Health::Unknown => "unknown",
            };
            format!("{signal} reads {health}")
        }
        Move::Pass { step } => {
            let time = duration::format(Duration::from_secs(elapsed.as_secs()));
            match step.map(|step| (node.name(step), node.step(step).phase)) {
                Some((name, Phase::AwaitingApproval)) => format!("nobody answers for {name} in {time}"),
                Some((name, Phase::Observing | Phase::Applying)) => format!("{name}: nothing comes of it in {time}"),
                Some((name, Phase::Settling)) => format!("{name}: {time} pass"),
                _ => format!("{time} pass, and signals stay as they are"),
            }
        }
        Move::Say { step, yes } => match (by_hand(*step), yes) {
            (true, true) => format!("does {} and says so", node.name(*step)),
            (true, false) => format!("says that {} cannot be done", node.name(*step)),
            (false, true) => format!("approves {}", node.name(*step)),
            (false, false) => format!("denies {}", node.name(*step)),
        },
        Move::Silence { step } => format!("never answers for {}", node.name(*step)),
        Move::Crash { effects } => {
            let calls: Vec<String> = effects
                .iter()
                .map(|(step, effect)| {
                    let got = if *effect { "gets through" } else { "does not get through" };
                    format!("the call of {} {got}", node.name(*step))
                })
                .collect();
            let calls = if calls.is_empty() { String::new() } else { format!(" ({})", calls.join(", ")) };
            format!("ends and is started again{calls}")
        }
    }
}

/// What Belay does, a line for each event. The moves beside them show what the world does, so what only repeats it has none.
fn told(plan: &Plan, events: &[Event]) -> Vec<String> {
    // Each part of a plan has clocks of its own here, so a moment of one of them says nothing.
    let clock = |_: Timestamp| "its time is over".to_owned();
    let context = Context { actor: "operator", plan: Some(plan), clock: &clock };
    let own = events.iter().filter(|event| !repeats_the_world(event)).map(|event| narrate(event, &context));
    own.filter(|told| told.audience >= Audience::Log).map(|told| told.to_string()).collect()
}

fn repeats_the_world(event: &Event) -> bool {
    let is_read = |what: &GateEvent| matches!(what, GateEvent::Holding { .. } | GateEvent::Broken { .. });
    match event {
        Event::Commanded { .. }
        | Event::PlanPinned { .. }
        | Event::BaselineCaptured { .. }
        | Event::RunStarted { .. }
        | Event::SignalTurned { .. } => true,
        Event::Confirm { what, .. } => is_read(what),
        Event::Step { what: StepEvent::Require { what, .. } | StepEvent::Verify { what, .. }, .. } => is_read(what),
        Event::Step { what, .. } => matches!(
            what,
            StepEvent::LookFailed { .. }
                | StepEvent::Planned { .. }
                | StepEvent::Accepted { .. }
                | StepEvent::NoEffect { .. }
                | StepEvent::Effective { .. }
                | StepEvent::Settled { .. }
        ),
        _ => false,
    }
}
