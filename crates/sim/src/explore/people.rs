//! What comes of it when all goes well from here on; and how many acts of people that takes.

use belay_core::{
    event::{Event, StepEvent},
    input::{Asked, Input, Verb},
    possible::{self, VerbWord},
    reading::Health,
    run::{Phase, RunState},
};

use super::{
    model::Model,
    moves::{self, Answer, Finds, Move, Width, asks},
    node::Node,
    play::{Clock, play},
    world::{Proven, Telling},
};
use crate::nature::is_fence;

/// More moves than any plan takes.
const MOVES_MAX: usize = 100_000;

/// More acts than this are not searched, however large a plan is.
const ACTS_MAX: usize = 40;

/// The world does its best, and nobody dies. `people`: those who are asked do what they are asked for; otherwise they are
/// waited for.
pub(crate) fn all_goes_well(node: &Node, model: &Model, people: bool) -> (Node, Vec<Move>) {
    let (mut node, mut made) = (node.clone(), Vec::new());
    while made.len() < MOVES_MAX {
        let moves_by_itself = |step: &usize| people || node.step(*step).phase != Phase::AwaitingApproval;
        let active =
            (0..model.steps.len()).filter(|step| node.is_active(*step) && node.run().state == RunState::Running);
        let moves = active.filter(moves_by_itself).flat_map(|step| moves::of_step(&node, model, step, Width::Ordered));
        let moves = moves.chain(moves::of_confirmation(&node, model, Width::Ordered));
        let moves = moves.filter(|made| !is_too_late(model, made));
        let best = moves.filter_map(|made| Some((rank(&made)?, made))).min_by_key(|(rank, _)| *rank);
        let Some(played) = best.and_then(|(_, best)| Some((play(&node, model, &best, Clock::Own)?, best))) else {
            break;
        };
        node = played.0.node;
        made.push(played.1);
    }
    (node, made)
}

/// What comes only after the time-out, or the deadline, that the plan has for it.
fn is_too_late(model: &Model, made: &Move) -> bool {
    match made {
        Move::Look { step, finds: Finds::Shows } => model.steps[*step].times_out,
        Move::Say { step, .. } => model.steps[*step].unanswered,
        _ => false,
    }
}

/// The lower, the better for the rollback. None: not while all goes well.
fn rank(made: &Move) -> Option<u32> {
    Some(match made {
        Move::Answer { answer: Answer::Accepted, .. } | Move::Look { finds: Finds::Shows, .. } => 0,
        Move::Look { finds: Finds::Remaining(telling), .. } if *telling == Telling::GOOD => 1,
        Move::Look { finds: Finds::Remaining(Telling { loses_much: false, proof: Proven::Healthy, .. }), .. } => 2,
        Move::Look { finds: Finds::InPlace, .. } => 3,
        Move::Read { health: Health::Healthy, .. } => 4,
        Move::Say { yes: true, .. } => 5,
        Move::Pass { .. } => 6,
        Move::Read { health: Health::Unhealthy, .. } => 7,
        _ => return None,
    })
}

/// What people do: `resume`, `2 people (commander) approve database_back`.
#[derive(Debug, Clone)]
struct Act {
    words: String,
    verb: Verb,
    /// Each of them says the same: a quorum is one act.
    actors: Vec<String>,
}

/// What people may resort to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Resort {
    /// `resume` and approvals.
    Asked,
    /// Besides, an override of what was not proven.
    Override,
    /// Besides, a step is given up; never one that keeps writers away from data that is still to be replaced.
    Skip,
}

/// So many acts are searched: each step may want people of its own, after a halt once more.
pub(crate) fn acts_max(model: &Model) -> usize {
    (2 * model.steps.len() + 2).min(ACTS_MAX)
}

/// No verb is possible that leads on.
pub(crate) fn is_stuck(end: &Node) -> bool {
    let run = end.run();
    let moves = |verbs: Vec<VerbWord>| verbs.iter().any(|verb| !matches!(verb, VerbWord::Abort | VerbWord::Hold));
    let steps = run.steps.values().any(|step| moves(possible::of_step(run, step)));
    !run.state.is_over() && !steps && !moves(possible::of_run(&end.state, run))
}

/// The fewest acts of people that bring a run from its end to "rolled back", if whatever stood in the way is put right
/// meanwhile. Nothing is overridden or given up where there is another way. None: not found within [`acts_max`], or before
/// `go_on` said no.
pub(crate) fn way_out(end: &Node, model: &Model, go_on: &mut dyn FnMut() -> bool) -> Option<Vec<String>> {
    if end.run().state.is_over() {
        return Some(Vec::new());
    }
    [Resort::Asked, Resort::Override, Resort::Skip].into_iter().find_map(|resort| search(end, model, resort, go_on))
}

fn search(end: &Node, model: &Model, resort: Resort, go_on: &mut dyn FnMut() -> bool) -> Option<Vec<String>> {
    let mut end = end.clone();
    end.silent.clear();
    let mut level: Vec<(Node, Vec<String>)> = vec![(end, Vec::new())];
    for _ in 0..acts_max(model) {
        let mut next = Vec::new();
        for (node, done) in &level {
            for act in acts(node, resort) {
                if !go_on() {
                    return None;
                }
                let Some(after) = perform(node, &act, model) else { continue };
                let done: Vec<String> = done.iter().cloned().chain([act.words]).collect();
                if after.run().state == RunState::RolledBack {
                    return Some(done);
                }
                next.push((after, done));
            }
        }
        // The first that there are will do: which step comes first makes no difference.
        next.truncate(4);
        level = next;
    }
    None
}

fn acts(node: &Node, resort: Resort) -> Vec<Act> {
    let run = node.run();
    let act = |words: String, verb: Verb| Act { words, verb, actors: vec!["a person".to_owned()] };
    let mut found = Vec::new();
    for (index, (name, state)) in run.steps.iter().enumerate() {
        let (id, step) = (run.id.clone(), name.clone());
        for verb in possible::of_step(run, state) {
            match verb {
                VerbWord::Approve => {
                    let (role, quorum) = asks(node, index);
                    let given = u32::try_from(state.approvals.len()).unwrap_or(u32::MAX);
                    let missing = quorum.saturating_sub(given).max(1);
                    let actors = (given..given + missing).map(|number| format!("{role} {number}")).collect();
                    let words = match missing {
                        1 => format!("1 person ({role}) approves {name}"),
                        more => format!("{more} people ({role}) approve {name}"),
                    };
                    let verb = Verb::Approve { run: id.clone(), step: step.clone(), approve: true };
                    found.push(Act { actors, ..act(words, verb) });
                }
                VerbWord::Override if resort >= Resort::Override && state.phase == Phase::Failed => {
                    let signals = run.plan.steps[name].require.iter().map(|gate| gate.signal.clone());
                    let subjects: Vec<String> = match &state.failure {
                        Some(belay_core::event::FailureCode::Require) => signals.collect(),
                        _ => destinations(state),
                    };
                    for subject in subjects {
                        let verb = Verb::Override { run: id.clone(), step: step.clone(), subject: subject.clone() };
                        found.push(act(format!("override {subject} of {name}"), verb));
                    }
                }
                VerbWord::Skip
                    if resort == Resort::Skip && state.phase == Phase::Failed && !keeps_writers_away(node, index) =>
                {
                    found.push(act(format!("skip {name}"), Verb::Skip { run: id.clone(), step: step.clone() }));
                }
                _ => {}
            }
        }
    }
    if possible::of_run(&node.state, run).contains(&VerbWord::Resume) {
        found.insert(0, act("resume".to_owned(), Verb::Resume { run: run.id.clone() }));
    }
    found
}

/// Whether data is still to be replaced behind a step that stops the writers.
fn keeps_writers_away(node: &Node, index: usize) -> bool {
    let run = node.run();
    let Some((name, step)) = run.plan.steps.get_index(index) else { return false };
    let to_come = |other: usize| {
        let over = matches!(node.step(other).phase, Phase::Done | Phase::Unchanged | Phase::Skipped);
        run.plan.steps[other].loses_data && !over
    };
    let keeps =
        |other: usize| run.plan.steps.get_index(other).is_some_and(|(data, _)| is_fence(name, step, Some(data)));
    (0..run.plan.steps.len()).any(|other| to_come(other) && keeps(other))
}

fn destinations(state: &belay_core::run::StepState) -> Vec<String> {
    let effects = state.planned.iter().flat_map(|change| &change.effects);
    let shares = effects.filter_map(|effect| match effect {
        belay_core::change::Effect::Traffic { shares } => Some(shares),
        _ => None,
    });
    shares.flatten().filter(|share| share.after > share.before).map(|share| share.destination.clone()).collect()
}

/// The act, and what comes of it. None where core does not take it.
fn perform(node: &Node, act: &Act, model: &Model) -> Option<Node> {
    let mut node = node.clone();
    let mut events = Vec::new();
    for actor in &act.actors {
        events.extend(node.feed(&Input::Command(Asked::new(actor, "put right").command(act.verb.clone()))).ok()?);
    }
    for event in &events {
        if let Event::Step { step, what: StepEvent::Reset } = event
            && let Some(index) = node.run().steps.get_index_of(step)
        {
            // From here on it is a new try, and a person's.
            let world = &mut node.world.steps[index];
            (world.accepted, world.unknown) = (0, 0);
        }
    }
    Some(all_goes_well(&node, model, false).0)
}
