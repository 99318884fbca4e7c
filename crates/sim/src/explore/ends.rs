//! How a run can end, and in how many ways.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use belay_core::{
    event::FailureCode,
    run::{Phase, RunState},
};
use belay_plan::model::OnFailure;
use serde::Serialize;

use super::{moves::Move, node::Node, search::Graph};

/// What has become of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Done, or there already.
    InPlace,
    /// A fallback that nobody needed.
    NotNeeded,
    /// It waits for what has not come to an end.
    NotStarted,
    Skipped,
    /// Failed, and passed over (`on_failure: continue`).
    PassedOver,
    /// Failed; its fallback ran.
    FellBack,
    /// Failed, and a person has to act.
    Failed,
    /// What it needs did not succeed.
    Blocked,
    /// Somebody is asked, has no deadline, and does not answer.
    Waits,
}

impl Disposition {
    /// Something did not go well of its own accord.
    pub(crate) fn is_trouble(self) -> bool {
        !matches!(self, Self::InPlace | Self::NotNeeded | Self::NotStarted | Self::Blocked)
    }
}

/// How the run as a whole ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    RolledBack,
    /// A step failed, and a person has to act.
    Halted,
    /// Every step is over, but the confirmation did not hold.
    NotConfirmed,
    /// A person is asked and does not answer.
    Waiting,
    /// Something else; a property says that this never happens.
    Stuck,
}

/// One way to end: the run, and each step in the order of the plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) steps: Vec<Option<Disposition>>,
}

pub(crate) fn dispositions(node: &Node) -> Vec<Option<Disposition>> {
    (0..node.run().steps.len()).map(|step| disposition(node, step)).collect()
}

pub(crate) fn disposition(node: &Node, step: usize) -> Option<Disposition> {
    let (run, state) = (node.run(), node.step(step));
    let stands_in = run.plan.steps.values().any(
        |other| matches!(&other.on_failure, OnFailure::Fallback(name) if run.plan.steps.get_index_of(name) == Some(step)),
    );
    let halts =
        matches!(state.failure, Some(FailureCode::Ambiguous | FailureCode::Contested | FailureCode::Unanswered));
    Some(match (state.phase, &run.plan.steps[step].on_failure) {
        _ if node.silent.contains(&step) => Disposition::Waits,
        (Phase::Done | Phase::Unchanged, _) => Disposition::InPlace,
        (Phase::Skipped, _) if stands_in && state.started.is_none() => Disposition::NotNeeded,
        (Phase::Skipped, _) => Disposition::Skipped,
        (Phase::Blocked, _) => Disposition::Blocked,
        (Phase::Failed, OnFailure::Continue) if !halts => Disposition::PassedOver,
        (Phase::Failed, OnFailure::Fallback(fallback)) if !halts => {
            match run.steps.get(fallback).map(|fallback| fallback.phase) {
                Some(Phase::Failed | Phase::Skipped | Phase::Blocked) | None => Disposition::Failed,
                Some(_) => Disposition::FellBack,
            }
        }
        (Phase::Failed, _) => Disposition::Failed,
        _ => return None,
    })
}

/// Why a step failed, and whether anything of it was sent: for telling outcomes apart.
pub(crate) fn reason(node: &Node, step: usize) -> Option<(FailureCode, bool)> {
    let state = node.step(step);
    state.failure.filter(|_| state.phase == Phase::Failed).map(|code| (code, state.touched))
}

pub(crate) fn outcome(node: &Node) -> Outcome {
    let broken = dispositions(node).contains(&Some(Disposition::Failed))
        || dispositions(node).contains(&Some(Disposition::Blocked))
        || node.run().confirm.is_empty();
    match node.run().state {
        RunState::RolledBack => Outcome::RolledBack,
        RunState::Halted if broken => Outcome::Halted,
        RunState::Halted => Outcome::NotConfirmed,
        RunState::Running if !node.silent.is_empty() => Outcome::Waiting,
        _ => Outcome::Stuck,
    }
}

/// How many different ends there are, counted along the graph and not one by one: with many independent steps there are
/// more than anybody could list.
pub(crate) fn count(graph: &Graph) -> u128 {
    fn below(graph: &Graph, at: BTreeSet<usize>, known: &mut HashMap<BTreeSet<usize>, u128>) -> u128 {
        if let Some(count) = known.get(&at) {
            return *count;
        }
        let ends: BTreeSet<Outcome> = at.iter().filter_map(|node| graph.nodes[*node].end).collect();
        let mut by_label: BTreeMap<&[(usize, Disposition)], BTreeSet<usize>> = BTreeMap::new();
        for edge in at.iter().flat_map(|node| &graph.nodes[*node].edges) {
            by_label.entry(&edge.label).or_default().insert(edge.to);
        }
        let on: Vec<BTreeSet<usize>> = by_label.into_values().collect();
        let count = on.into_iter().fold(ends.len() as u128, |sum, to| sum.saturating_add(below(graph, to, known)));
        known.insert(at, count);
        count
    }
    below(graph, BTreeSet::from([0]), &mut HashMap::new())
}

/// The ends with the least trouble first, each with the shortest way to it; at most about so many.
pub(crate) fn list(graph: &Graph, steps: usize, most: usize) -> Vec<(End, Vec<Move>)> {
    let mut found: BTreeMap<End, Vec<usize>> = BTreeMap::new();
    let enough = usize::try_from(count(graph)).map_or(most, |count| count.min(most));
    let leads = &leads_to_an_end(graph);
    for trouble in 0..=steps {
        let mut walk = Walk { graph, leads, trouble, most: most * 4, found: &mut found, edges: Vec::new() };
        walk.from(0, &mut vec![None; steps]);
        if found.len() >= enough {
            break;
        }
    }
    let mut ends: Vec<(End, Vec<Move>)> = found.into_iter().map(|(end, edges)| (end, graph.moves(&edges))).collect();
    ends.sort_by_key(|(end, moves)| (troubled(&end.steps), end.outcome, moves.len()));
    ends.truncate(most);
    ends
}

fn leads_to_an_end(graph: &Graph) -> Vec<bool> {
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        node.edges.iter().for_each(|edge| before[edge.to].push(at));
    }
    let mut leads: Vec<bool> = graph.nodes.iter().map(|node| node.end.is_some()).collect();
    let mut next: Vec<usize> = (0..leads.len()).filter(|at| leads[*at]).collect();
    while let Some(at) = next.pop() {
        for earlier in before[at].iter().copied() {
            if !std::mem::replace(&mut leads[earlier], true) {
                next.push(earlier);
            }
        }
    }
    leads
}

struct Walk<'g, 'f> {
    graph: &'g Graph,
    /// By node, whether an end can be come to from there: in a graph that was not searched to its end, others lead nowhere.
    leads: &'g [bool],
    /// Ways with more steps in trouble are left for later.
    trouble: usize,
    most: usize,
    found: &'f mut BTreeMap<End, Vec<usize>>,
    /// By their place in the graph's list of edges, from the start to here.
    edges: Vec<usize>,
}

impl Walk<'_, '_> {
    fn from(&mut self, at: usize, steps: &mut Vec<Option<Disposition>>) {
        if !self.leads[at] || self.found.len() >= self.most || troubled(steps) > self.trouble {
            return;
        }
        let node = &self.graph.nodes[at];
        if let Some(outcome) = node.end {
            let end = End { outcome, steps: steps.clone() };
            let known = self.found.get(&end);
            if known.is_none_or(|known| self.graph.length(known) > self.graph.length(&self.edges)) {
                self.found.insert(end, self.edges.clone());
            }
        }
        for edge in &node.edges {
            let before: Vec<_> = edge.label.iter().map(|(step, _)| (*step, steps[*step])).collect();
            edge.label.iter().for_each(|(step, what)| steps[*step] = Some(*what));
            self.edges.push(edge.id);
            self.from(edge.to, steps);
            self.edges.pop();
            before.into_iter().for_each(|(step, what)| steps[step] = what);
        }
    }
}

fn troubled(steps: &[Option<Disposition>]) -> usize {
    steps.iter().flatten().filter(|step| step.is_trouble()).count()
}
