//! The search: every state that a run can come to.
//!
//! **What makes it small enough.** Steps act on each other only through how they end (`needs`, `on_failure`), so what
//! happens inside of steps that are under way at the same time commutes: one is played to its end before the next one
//! begins to move. Every order would come to the same ends. And of a step that is over, and whose end nobody waits for
//! any more, it does not matter how it ended, only whether it keeps the run from its end: states that differ in nothing
//! else are one. What they were is on the ways that lead to them.
//!
//! So the graph has a node wherever a step is over and the next one begins, and an edge for each way in which a step can
//! end, with the shortest moves that bring it about. What happens in between, ends of the process at each append
//! included, is searched from each node breadth first. Tests hold it against a search that does nothing of the kind.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
    fmt::Write as _,
};

use belay_core::run::{Phase, RunState};
use belay_plan::model::Plan;

use super::{
    coverage::Met,
    ends::{Disposition, Outcome, dispositions, outcome},
    inside::Inside,
    model::{Kind, Model},
    moves::Move,
    node::Node,
    properties::{Property, Stands, Violation, standing},
};

/// The nodes at which no step is in the middle of anything. The first is the start.
pub(crate) struct Graph {
    pub(crate) nodes: Vec<GraphNode>,
    /// Where edge number N is: the node it leaves, and its place there.
    edges: Vec<(usize, usize)>,
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// False when a bound was reached.
    pub(crate) complete: bool,
    /// The shortest way to each violation.
    pub(crate) violations: Vec<Found>,
    /// Every way in which steps were seen to fail.
    pub(crate) reasons: BTreeSet<Reason>,
    /// Gates and fallbacks that were met.
    pub(crate) met: BTreeSet<Met>,
}

/// A step that failed, why, and whether anything of it was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reason {
    pub(crate) step: usize,
    /// The name of the failure's code.
    pub(crate) code: String,
    pub(crate) touched: bool,
}

pub(crate) struct GraphNode {
    pub(crate) node: Node,
    pub(crate) edges: Vec<Edge>,
    pub(crate) end: Option<Outcome>,
    /// The edge by which it was reached first, and how many moves it takes.
    reached_by: Option<usize>,
    distance: usize,
}

/// One way in which a step, or the confirmation, ends.
pub(crate) struct Edge {
    pub(crate) id: usize,
    pub(crate) to: usize,
    /// What became of steps on the way.
    pub(crate) label: Vec<(usize, Disposition)>,
    pub(crate) moves: Vec<Move>,
}

#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) violation: Violation,
    pub(crate) moves: Vec<Move>,
}

/// What is searched, and how far.
pub(crate) struct Task<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) model: &'a Model,
    /// Which step moves first, of those that can.
    pub(crate) order: Vec<usize>,
    pub(crate) states_max: usize,
}

impl Task<'_> {
    /// Calls `progress` with the number of states now and then, and stops when it answers no.
    pub(crate) fn run(&self, start: Node, progress: &mut dyn FnMut(usize) -> bool) -> Graph {
        let mut search = Search { task: self, graph: Graph::new(), known: HashMap::new(), queue: BinaryHeap::new() };
        search.reach(start, None, 0);
        while let Some(Reverse((distance, at))) = search.queue.pop() {
            if search.graph.nodes[at].distance < distance {
                continue; // reached by a shorter way since
            }
            if search.graph.states >= self.states_max {
                search.graph.complete = false;
                break;
            }
            search.expand(at, progress);
            if !progress(search.graph.states) {
                search.graph.complete &= search.queue.is_empty();
                break;
            }
        }
        search.graph
    }

    /// Who moves next. None for the confirmation.
    fn next(&self, node: &Node) -> Option<Option<usize>> {
        let step = self.order.iter().copied().find(|step| node.is_active(*step));
        match node.run().state {
            RunState::Running => step.map(Some),
            RunState::Confirming => Some(None),
            _ => None,
        }
    }

    /// Two nodes with the same key have the same future.
    fn key(&self, node: &Node) -> String {
        let run = node.run();
        let broken = dispositions(node).contains(&Some(Disposition::Failed));
        let waits = !node.silent.is_empty();
        let mut key = format!("{:?} {broken} {waits} {} {}", run.state, run.suspicious, node.confirm_key());
        let what = dispositions(node);
        let pending = |step: &usize| node.step(*step).phase == Phase::Pending;
        for (index, step) in self.model.steps.iter().enumerate() {
            let _ = match what[index] {
                Some(what) if step.concerns.iter().any(pending) => write!(key, ";{:?}", Standing::of(what)),
                Some(_) => write!(key, ";."),
                None if pending(&index) => write!(key, ";p"),
                None => write!(key, ";{}", node.step_key(index)),
            };
            // What the end of the run is held against: a step in place, and one without which it goes on.
            if matches!(step.kind, Kind::Traffic { .. } | Kind::Replace) && !step.superseded {
                let restored = step.kind.holds(node.world.steps[index].effective, 0);
                let _ = match (standing(node, index), &step.kind) {
                    (Some(stands), Kind::Traffic { .. }) => write!(key, "{stands:?}"),
                    (Some(Stands::PassedOver), _) if !restored => write!(key, "lacks"),
                    _ => Ok(()),
                };
            }
        }
        let _ = write!(key, ";{:?}", node.world.weights);
        key
    }
}

/// What those that wait for a step can see of its end.
#[derive(Debug)]
enum Standing {
    Satisfied,
    Broken,
    FallsBack,
    Waits,
}

impl Standing {
    fn of(what: Disposition) -> Self {
        match what {
            Disposition::InPlace | Disposition::NotNeeded | Disposition::Skipped | Disposition::PassedOver => {
                Self::Satisfied
            }
            Disposition::FellBack => Self::FallsBack,
            Disposition::Failed | Disposition::Blocked => Self::Broken,
            Disposition::Waits | Disposition::NotStarted => Self::Waits,
        }
    }
}

struct Search<'a, 'p> {
    task: &'a Task<'p>,
    graph: Graph,
    known: HashMap<String, usize>,
    queue: BinaryHeap<Reverse<(usize, usize)>>,
}

impl Search<'_, '_> {
    fn reach(&mut self, node: Node, by: Option<usize>, distance: usize) -> usize {
        let key = self.task.key(&node);
        if let Some(&at) = self.known.get(&key) {
            let found = &mut self.graph.nodes[at];
            if distance < found.distance {
                (found.distance, found.reached_by) = (distance, by);
                self.queue.push(Reverse((distance, at)));
            }
            return at;
        }
        let at = self.graph.nodes.len();
        let end = self.task.next(&node).is_none().then(|| outcome(&node));
        self.graph.nodes.push(GraphNode { node, edges: Vec::new(), end, reached_by: by, distance });
        self.graph.states += 1;
        self.known.insert(key, at);
        self.queue.push(Reverse((distance, at)));
        at
    }

    fn expand(&mut self, at: usize, progress: &mut dyn FnMut(usize) -> bool) {
        let node = self.graph.nodes[at].node.clone();
        let Some(who) = self.task.next(&node) else {
            if self.graph.nodes[at].end == Some(Outcome::Stuck) {
                let why = "nothing is wanted of anybody, and it is not over".to_owned();
                self.violated(at, Violation { property: Property::Ends, step: None, why }, Vec::new());
            }
            return;
        };
        if !self.graph.nodes[at].edges.is_empty() {
            return;
        }
        let left = self.task.states_max.saturating_sub(self.graph.states).max(1);
        let known = self.graph.states;
        let inside = Inside::search(self.task, node, who, left, &mut |states| progress(known + states));
        self.graph.complete &= inside.complete;
        self.graph.states += inside.states();
        self.graph.transitions += inside.transitions;
        self.graph.met.extend(inside.met.iter().cloned());
        for (violation, moves) in inside.violations() {
            self.violated(at, violation, moves);
        }
        for exit in inside.exits() {
            self.graph.reasons.extend(exit.reasons);
            let id = self.graph.edges.len();
            let to = self.reach(exit.node, Some(id), self.graph.nodes[at].distance + exit.moves.len());
            // Exits come with the shortest first.
            if self.graph.nodes[at].edges.iter().any(|edge| edge.to == to && edge.label == exit.label) {
                continue;
            }
            self.graph.edges.push((at, self.graph.nodes[at].edges.len()));
            self.graph.nodes[at].edges.push(Edge { id, to, label: exit.label, moves: exit.moves });
        }
    }

    fn violated(&mut self, at: usize, violation: Violation, inside: Vec<Move>) {
        let moves = [self.graph.way_to(at), inside].concat();
        let same = |found: &&mut Found| {
            found.violation.property == violation.property && found.violation.step == violation.step
        };
        match self.graph.violations.iter_mut().find(same) {
            Some(found) if found.moves.len() <= moves.len() => {}
            Some(found) => *found = Found { violation, moves },
            None => self.graph.violations.push(Found { violation, moves }),
        }
    }
}

impl Graph {
    fn new() -> Self {
        Self {
            nodes: Vec::new(),
            edges: Vec::new(),
            states: 0,
            transitions: 0,
            complete: true,
            violations: Vec::new(),
            reasons: BTreeSet::new(),
            met: BTreeSet::new(),
        }
    }

    fn edge(&self, id: usize) -> (usize, &Edge) {
        let (from, place) = self.edges[id];
        (from, &self.nodes[from].edges[place])
    }

    /// The shortest moves from the start.
    fn way_to(&self, mut at: usize) -> Vec<Move> {
        let mut ids = Vec::new();
        while let Some(id) = self.nodes[at].reached_by {
            ids.push(id);
            at = self.edge(id).0;
        }
        ids.reverse();
        self.moves(&ids)
    }

    pub(crate) fn moves(&self, edges: &[usize]) -> Vec<Move> {
        edges.iter().flat_map(|id| self.edge(*id).1.moves.iter().cloned()).collect()
    }

    pub(crate) fn length(&self, edges: &[usize]) -> usize {
        edges.iter().map(|id| self.edge(*id).1.moves.len()).sum()
    }
}
