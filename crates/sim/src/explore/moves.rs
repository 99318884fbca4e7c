//! What the outside can do in a state: the alphabet of the search. Who it comes from: the world (answers, readings, time),
//! people, and the end of the process.

use belay_core::{
    OPERATOR,
    gate::{GateState, GateStatus},
    reading::Health,
    run::{Phase, RunState, StepState},
};
use belay_plan::model::Name;

use super::{
    model::{Kind, Model},
    node::Node,
    world::{Proven, Telling},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    Look {
        step: usize,
        finds: Finds,
    },
    Answer {
        step: usize,
        answer: Answer,
    },
    /// A signal is read for the gates of a step, or of the confirmation.
    Read {
        step: Option<usize>,
        signal: Name,
        health: Health,
    },
    /// Nothing else happens until the next moment that matters: signals that are healthy stay so.
    Pass {
        step: Option<usize>,
    },
    /// A person's word, one person at a time.
    Say {
        step: usize,
        yes: bool,
    },
    /// Whoever is asked never answers.
    Silence {
        step: usize,
    },
    /// The process ends and is started again. `effects`: for each call under way whether it got through.
    Crash {
        effects: Vec<(usize, bool)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finds {
    /// Nothing had been changed: the target is there already, or is there now.
    InPlace,
    /// What was accepted has taken effect.
    Shows,
    Remaining(Telling),
    /// A verdict: the target cannot be reached.
    Failed,
    /// It cannot be told from somebody else's work.
    Ambiguous,
    Unreadable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// For good.
    Refused,
    /// For now: the cause passes by itself.
    Failed,
    LostAfterEffect,
    LostBeforeEffect,
}

impl Move {
    /// The step that it is about; None for the run as a whole.
    pub(crate) fn step(&self) -> Option<usize> {
        match self {
            Self::Look { step, .. }
            | Self::Answer { step, .. }
            | Self::Say { step, .. }
            | Self::Silence { step }
            | Self::Read { step: Some(step), .. }
            | Self::Pass { step: Some(step) } => Some(*step),
            Self::Read { step: None, .. } | Self::Pass { step: None } | Self::Crash { .. } => None,
        }
    }
}

/// How much of what could happen is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// Signals of one step's gates are first read in the order of the plan: they know nothing of each other.
    Ordered,
    /// In every order.
    Every,
}

/// What can happen to one step that is active.
pub(crate) fn of_step(node: &Node, model: &Model, step: usize, width: Width) -> Vec<Move> {
    let state = node.step(step);
    if state.in_flight() {
        use Answer::{Accepted, Failed, LostAfterEffect, LostBeforeEffect, Refused};
        // How often in a row a send is refused for a while changes nothing but the time that is left of the time-out.
        let refused_for_now = (state.setbacks == 0).then_some(Failed);
        let answers = [Accepted, Refused, LostAfterEffect, LostBeforeEffect].into_iter().chain(refused_for_now);
        return answers.map(|answer| Move::Answer { step, answer }).collect();
    }
    match state.phase {
        Phase::AwaitingApproval => {
            let end = match state.approval_until {
                Some(_) => Move::Pass { step: Some(step) },
                None => Move::Silence { step },
            };
            vec![Move::Say { step, yes: true }, Move::Say { step, yes: false }, end]
        }
        Phase::Requiring => of_gates(Some(step), &state.require, &model.steps[step].require, width),
        Phase::Verifying => of_gates(Some(step), &state.verify, &model.steps[step].verify, width),
        Phase::Settling if state.wait_until.is_some() => vec![Move::Pass { step: Some(step) }],
        Phase::Observing | Phase::Applying | Phase::Settling => {
            let looks = finds(node, model, step).into_iter().map(|finds| Move::Look { step, finds });
            looks.chain([Move::Pass { step: Some(step) }]).collect()
        }
        _ => Vec::new(),
    }
}

/// What can happen while the confirmation is open.
pub(crate) fn of_confirmation(node: &Node, model: &Model, width: Width) -> Vec<Move> {
    match node.run().state {
        RunState::Confirming => of_gates(None, &node.run().confirm, &model.confirm, width),
        _ => Vec::new(),
    }
}

/// Ends of the process. A second one during the same send is not tried: core leaves a send that many restarts have
/// interrupted to a person, on purpose.
pub(crate) fn crashes(node: &Node) -> Vec<Move> {
    if !node.is_under_way() {
        return Vec::new();
    }
    let sending = (0..node.run().steps.len()).filter(|step| node.step(*step).in_flight());
    let mut ways: Vec<Vec<(usize, bool)>> = vec![Vec::new()];
    for step in sending {
        if node.step(step).interruptions > 0 {
            return Vec::new();
        }
        let with = |effect| ways.iter().map(move |way| way.iter().copied().chain([(step, effect)]).collect());
        ways = with(true).chain(with(false)).collect();
    }
    ways.into_iter().map(|effects| Move::Crash { effects }).collect()
}

fn of_gates(step: Option<usize>, gates: &[GateState], can_turn: &[bool], width: Width) -> Vec<Move> {
    let mut moves = Vec::new();
    let mut unread = false;
    for (gate, can_turn) in gates.iter().zip(can_turn) {
        let read = |health| Move::Read { step, signal: gate.gate.signal.clone(), health };
        let healthy = can_turn.then(|| read(Health::Healthy));
        match gate.status {
            GateStatus::Waiting if unread && width == Width::Ordered => {}
            GateStatus::Waiting => {
                unread = true;
                moves.extend(healthy.into_iter().chain([read(Health::Unhealthy), read(Health::Unknown)]));
            }
            GateStatus::Holding { .. } => moves.extend([read(Health::Unhealthy), read(Health::Unknown)]),
            GateStatus::Broken { .. } => moves.extend(healthy),
            GateStatus::Passed | GateStatus::Failed => {}
        }
    }
    if !unread || width == Width::Every {
        moves.push(Move::Pass { step });
    }
    moves
}

fn finds(node: &Node, model: &Model, step: usize) -> Vec<Finds> {
    let (state, world) = (node.step(step), &node.world.steps[step]);
    let remains = !model.steps[step].kind.holds(world.effective, state.stage);
    let mut finds = Vec::new();
    match () {
        () if world.under_way => finds.push(Finds::Shows),
        () if remains => {
            if !world.seen {
                finds.push(Finds::InPlace);
            }
            finds.extend(tellings(node, model, step, state).into_iter().map(Finds::Remaining));
        }
        () => finds.push(Finds::InPlace),
    }
    finds.extend([Finds::Failed, Finds::Ambiguous, Finds::Unreadable]);
    finds
}

/// What can be told where something hangs on it: the proof and the repeating right before a send, the loss before
/// anybody was asked.
fn tellings(node: &Node, model: &Model, step: usize, state: &StepState) -> Vec<Telling> {
    let run = node.run();
    let plan = &run.plan.steps[step];
    let kind = &model.steps[step].kind;
    let asked = state.approved || plan.approve.is_none();
    let sends = asked && (plan.require.is_empty() || state.require_passed);
    let first = node.world.steps[step].effective == 0;
    let losses: &[bool] = match kind {
        Kind::Replace if first && !state.approved && run.plan.objectives.rpo.is_some() => &[false, true],
        _ => &[false],
    };
    let proofs: &[Proven] = match kind {
        Kind::Traffic { .. } if sends => &[Proven::Healthy, Proven::Unhealthy, Proven::Untold],
        _ => &[Proven::Healthy],
    };
    let repeats: &[bool] = match node.world.steps[step].never {
        Some(true) => &[true],
        Some(false) => &[false],
        None if sends => &[false, true],
        None => &[false],
    };
    let mut tellings = Vec::new();
    for &loses_much in losses {
        for &proof in proofs {
            tellings.extend(repeats.iter().map(|&never| Telling { proof, never, loses_much }));
        }
    }
    tellings
}

/// The role that a step's person has, and how many it takes.
pub(crate) fn asks(node: &Node, step: usize) -> (String, u32) {
    match &node.run().plan.steps[step].approve {
        Some(approve) => (approve.role.clone(), approve.quorum),
        None => (OPERATOR.to_owned(), 1),
    }
}
