//! The same search without anything that makes it small: every order of everything, one clock for all, and two states are
//! one only where they are equal to the last timestamp; or, for the smallest plans, where not even that holds and every
//! path is walked. What it finds is what the reduced search has to find.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use belay_core::run::RunState;
use belay_plan::model::Plan;

use super::{
    ends::{End, dispositions, outcome},
    model::Model,
    moves::{self, Move, Width},
    node::Node,
    play::{Clock, play},
    properties::{Property, check},
};

pub(super) struct Brute {
    pub(super) ends: BTreeSet<End>,
    /// With the number of moves of the shortest way there.
    pub(super) violations: BTreeMap<Property, usize>,
    pub(super) states: usize,
    pub(super) transitions: usize,
}

fn enabled(node: &Node, model: &Model, crashes: bool) -> Vec<Move> {
    if !node.is_under_way() {
        return Vec::new();
    }
    let active = (0..model.steps.len()).filter(|step| node.is_active(*step));
    let mut made: Vec<Move> = active.flat_map(|step| moves::of_step(node, model, step, Width::Every)).collect();
    made.extend(moves::of_confirmation(node, model, Width::Every));
    if crashes && !made.is_empty() {
        made.extend(moves::crashes(node));
    }
    made
}

fn end(node: &Node) -> End {
    End { outcome: outcome(node), steps: dispositions(node) }
}

/// Breadth first; `crashes`: so many ends of the process in a run.
/// None where there are more states than `most`.
pub(super) fn states(plan: &Plan, crashes: u32, most: usize) -> Option<Brute> {
    let model = Model::new(plan);
    let (start, _) = Node::start(plan, &model).unwrap();
    let mut found = Brute { ends: BTreeSet::new(), violations: BTreeMap::new(), states: 1, transitions: 0 };
    let mut known = BTreeSet::from([(start.exact_key(), crashes)]);
    let mut queue = VecDeque::from([(start, crashes, 0)]);
    while let Some((node, crashes, depth)) = queue.pop_front() {
        if found.states > most {
            return None;
        }
        let made = enabled(&node, &model, crashes > 0);
        if made.is_empty() {
            assert_ne!(node.run().state, RunState::Held);
            found.ends.insert(end(&node));
        }
        for made in made {
            found.transitions += 1;
            let Some(played) = play(&node, &model, &made, Clock::Shared) else { continue };
            for violation in check(plan, &model, (&node, &made), &played.events, &played.node) {
                found.violations.entry(violation.property).or_insert(depth + 1);
            }
            let left = crashes - u32::from(matches!(made, Move::Crash { .. }));
            if known.insert((played.node.exact_key(), left)) {
                found.states += 1;
                queue.push_back((played.node, left, depth + 1));
            }
        }
    }
    Some(found)
}

/// Every path, one after the other; a path ends where it comes back to a state that it has been in.
pub(super) fn paths(plan: &Plan) -> Brute {
    let model = Model::new(plan);
    let (start, _) = Node::start(plan, &model).unwrap();
    let mut found = Brute { ends: BTreeSet::new(), violations: BTreeMap::new(), states: 0, transitions: 0 };
    let mut path = vec![start.exact_key()];
    walk(plan, &model, &start, &mut path, &mut found);
    found
}

fn walk(plan: &Plan, model: &Model, node: &Node, path: &mut Vec<String>, found: &mut Brute) {
    let made = enabled(node, model, false);
    if made.is_empty() {
        found.states += 1; // the number of paths
        found.ends.insert(end(node));
    }
    for made in made {
        found.transitions += 1;
        let Some(played) = play(node, model, &made, Clock::Shared) else { continue };
        for violation in check(plan, model, (node, &made), &played.events, &played.node) {
            let length = found.violations.entry(violation.property).or_insert(usize::MAX);
            *length = (*length).min(path.len());
        }
        let key = played.node.exact_key();
        if !path.contains(&key) {
            path.push(key);
            walk(plan, model, &played.node, path, found);
            path.pop();
        }
    }
}
