//! The inside of one step, or of the confirmation: every state from where it begins to move until it is over, with an end
//! of the process at each append.

use std::collections::{BTreeSet, HashMap};

use belay_core::{
    possible::{self, VerbWord},
    run::{Phase, RunState},
};

use super::{
    coverage::{self, Met},
    ends::{Disposition, dispositions, reason},
    moves::{self, Move, Width},
    node::Node,
    play::{Clock, play},
    properties::{Property, Violation, check},
    search::{Reason, Task},
};

/// States between two words on how far it is.
const TOLD_EVERY: usize = 64;

pub(crate) struct Inside<'a, 'p> {
    task: &'a Task<'p>,
    who: Option<usize>,
    states: Vec<State>,
    known: HashMap<String, usize>,
    exits: Vec<Found>,
    by_detail: HashMap<String, usize>,
    by_outcome: HashMap<String, usize>,
    violations: Vec<(Violation, Vec<Move>)>,
    pub(crate) met: BTreeSet<Met>,
    pub(crate) transitions: usize,
    /// False when the bound on states was reached: then nothing is known of what comes to an end.
    pub(crate) complete: bool,
}

struct State {
    node: Node,
    /// The state before, and the move.
    from: Option<(usize, Move)>,
    edges: Vec<(To, Move)>,
    /// The exits that it can come to without a crash.
    comes_to: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    State(usize),
    Exit(usize),
}

/// A way out: the step is over.
struct Found {
    exit: Exit,
    /// The first exit that is the same for everybody else: the reasons of a failure apart.
    same_as: usize,
}

#[derive(Clone)]
pub(crate) struct Exit {
    pub(crate) node: Node,
    pub(crate) label: Vec<(usize, Disposition)>,
    pub(crate) moves: Vec<Move>,
    pub(crate) reasons: Vec<Reason>,
}

impl<'a, 'p> Inside<'a, 'p> {
    /// `progress` hears of the number of states now and then, and answers whether to go on.
    pub(crate) fn search(
        task: &'a Task<'p>,
        start: Node,
        who: Option<usize>,
        states_max: usize,
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Self {
        let mut inside = Self {
            task,
            who,
            states: Vec::new(),
            known: HashMap::new(),
            exits: Vec::new(),
            by_detail: HashMap::new(),
            by_outcome: HashMap::new(),
            violations: Vec::new(),
            met: BTreeSet::new(),
            transitions: 0,
            complete: true,
        };
        inside.known.insert(inside.key(&start), 0);
        inside.states.push(State { node: start, from: None, edges: Vec::new(), comes_to: BTreeSet::new() });
        let mut at = 0;
        while at < inside.states.len() {
            let is_told = at > 0 && at.is_multiple_of(TOLD_EVERY);
            if at >= states_max || (is_told && !progress(at)) {
                inside.complete = false;
                return inside;
            }
            inside.expand(at);
            at += 1;
        }
        inside.find_what_comes();
        inside.check_ends();
        inside.check_crashes();
        inside
    }

    pub(crate) fn states(&self) -> usize {
        self.states.len() - 1 // the first is the graph's
    }

    /// What was violated, each with the moves that lead there.
    pub(crate) fn violations(&self) -> impl Iterator<Item = (Violation, Vec<Move>)> + use<'_> {
        self.violations.iter().cloned()
    }

    /// The ways out, the shortest first.
    pub(crate) fn exits(&self) -> impl Iterator<Item = Exit> + use<'_> {
        self.exits.iter().map(|found| found.exit.clone())
    }

    fn key(&self, node: &Node) -> String {
        let own = match self.who {
            Some(step) => node.step_key(step),
            None => node.confirm_key(),
        };
        format!("{own} {:?} {:?}", node.run().state, node.world.weights)
    }

    fn is_out(&self, node: &Node) -> bool {
        match self.who {
            Some(step) => !node.is_active(step) || node.run().state != RunState::Running,
            None => node.run().state != RunState::Confirming,
        }
    }

    fn expand(&mut self, at: usize) {
        let node = self.states[at].node.clone();
        let made = match self.who {
            Some(step) => moves::of_step(&node, self.task.model, step, Width::Ordered),
            None => moves::of_confirmation(&node, self.task.model, Width::Ordered),
        };
        if made.is_empty() {
            self.violated(at, &[], Property::Ends, "nothing moves it".to_owned());
        }
        for made in made.into_iter().chain(moves::crashes(&node)) {
            self.transitions += 1;
            let Some(played) = play(&node, self.task.model, &made, Clock::Own) else {
                let why = match made {
                    Move::Pass { .. } => "waits, and nothing ends this wait",
                    Move::Say { .. } => "waits for a person whose word is not taken",
                    _ => "does not take what happens",
                };
                self.violated(at, &[made], Property::Ends, why.to_owned());
                continue;
            };
            self.met.extend(coverage::met(&played.events));
            for violation in check(self.task.plan, self.task.model, (&node, &made), &played.events, &played.node) {
                let moves = [self.way_to(at), vec![made.clone()]].concat();
                self.violations.push((violation, moves));
            }
            let to = self.reach(at, &node, played.node, &made);
            if matches!(made, Move::Say { .. }) && to == To::State(at) {
                self.violated(
                    at,
                    std::slice::from_ref(&made),
                    Property::Ends,
                    "waits for a person whose word changes nothing".to_owned(),
                );
            }
            self.states[at].edges.push((to, made));
        }
    }

    fn reach(&mut self, from: usize, before: &Node, node: Node, made: &Move) -> To {
        if !self.is_out(&node) {
            let key = self.key(&node);
            if let Some(&known) = self.known.get(&key) {
                return To::State(known);
            }
            let at = self.states.len();
            self.known.insert(key, at);
            let from = Some((from, made.clone()));
            self.states.push(State { node, from, edges: Vec::new(), comes_to: BTreeSet::new() });
            return To::State(at);
        }
        let (was, is) = (dispositions(before), dispositions(&node));
        let changed = (0..is.len()).filter(|step| was[*step] != is[*step]);
        let label: Vec<(usize, Disposition)> = changed.filter_map(|step| Some((step, is[step]?))).collect();
        let failures: Vec<_> = label.iter().filter_map(|(step, _)| Some((*step, reason(&node, *step)?))).collect();
        let weights = &node.world.weights;
        let outcome = format!("{label:?} {:?} {weights:?}", node.run().state);
        let detail = format!("{outcome} {failures:?}");
        if let Some(&known) = self.by_detail.get(&detail) {
            return To::Exit(known);
        }
        let same_as = *self.by_outcome.entry(outcome).or_insert(self.exits.len());
        let reasons = failures.into_iter().map(|(step, (code, touched))| {
            let code = serde_json::to_value(code).ok();
            let code = code.and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default();
            Reason { step, code, touched }
        });
        let reasons = reasons.collect();
        let moves = [self.way_to(from), vec![made.clone()]].concat();
        self.by_detail.insert(detail, self.exits.len());
        self.exits.push(Found { exit: Exit { node, label, moves, reasons }, same_as });
        To::Exit(self.exits.len() - 1)
    }

    fn way_to(&self, mut at: usize) -> Vec<Move> {
        let mut moves = Vec::new();
        while let Some((from, made)) = &self.states[at].from {
            moves.push(made.clone());
            at = *from;
        }
        moves.reverse();
        moves
    }

    fn violated(&mut self, at: usize, then: &[Move], property: Property, why: String) {
        let name = self.who.map_or("the confirmation", |step| self.states[at].node.name(step));
        let violation = Violation { property, step: self.who, why: format!("{name} {why}") };
        self.violations.push((violation, [self.way_to(at), then.to_vec()].concat()));
    }

    /// Backwards from the exits, until nothing is added.
    fn find_what_comes(&mut self) {
        let mut grows = true;
        while grows {
            grows = false;
            for at in (0..self.states.len()).rev() {
                let mut comes_to = std::mem::take(&mut self.states[at].comes_to);
                let known = comes_to.len();
                for (to, made) in &self.states[at].edges {
                    match to {
                        _ if matches!(made, Move::Crash { .. }) => {}
                        To::Exit(exit) => _ = comes_to.insert(*exit),
                        To::State(next) => comes_to.extend(&self.states[*next].comes_to),
                    }
                }
                grows |= comes_to.len() > known;
                self.states[at].comes_to = comes_to;
            }
        }
    }

    /// Each state has a way out, and whoever is waited for has a verb.
    fn check_ends(&mut self) {
        for at in 0..self.states.len() {
            if self.states[at].comes_to.is_empty() {
                self.violated(at, &[], Property::Ends, "never comes to an end".to_owned());
            }
            let Some(step) = self.who else { continue };
            let node = &self.states[at].node;
            let state = node.step(step);
            let verbs = possible::of_step(node.run(), state);
            if state.phase == Phase::AwaitingApproval && !verbs.contains(&VerbWord::Approve) {
                self.violated(at, &[], Property::Ends, "waits for a person who has no verb for it".to_owned());
            }
        }
    }

    /// Where a crash leads, nothing can come of it that could not have come without it.
    fn check_crashes(&mut self) {
        for at in 0..self.states.len() {
            let crashes: Vec<(To, Move)> =
                self.states[at].edges.iter().filter(|(_, made)| matches!(made, Move::Crash { .. })).cloned().collect();
            for (to, made) in crashes {
                let after = match to {
                    To::State(next) => self.states[next].comes_to.clone(),
                    To::Exit(exit) => BTreeSet::from([exit]),
                };
                let same = |exit: &usize| self.exits[*exit].same_as;
                let own: BTreeSet<usize> = self.states[at].comes_to.iter().map(same).collect();
                let new = after.into_iter().find(|exit| !own.contains(&same(exit)));
                if let Some(new) = new {
                    let way = match to {
                        To::State(next) => self.way_on(next, new),
                        To::Exit(_) => Vec::new(),
                    };
                    let why = "comes to an end after a crash that it could not come to without".to_owned();
                    self.violated(at, &[vec![made], way].concat(), Property::Crash, why);
                    return;
                }
            }
        }
    }

    /// The shortest moves from a state to an exit, without a crash.
    fn way_on(&self, start: usize, exit: usize) -> Vec<Move> {
        let mut ways: Vec<(usize, Vec<Move>)> = vec![(start, Vec::new())];
        let mut seen = BTreeSet::from([start]);
        let mut next = 0;
        while let Some((at, way)) = ways.get(next).cloned() {
            next += 1;
            for (to, made) in self.states[at].edges.iter().filter(|(_, made)| !matches!(made, Move::Crash { .. })) {
                let way = [way.clone(), vec![made.clone()]].concat();
                match to {
                    To::Exit(found) if *found == exit => return way,
                    To::State(to) if seen.insert(*to) => ways.push((*to, way)),
                    _ => {}
                }
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use belay_plan::model::Target;

    use super::*;
    use crate::explore::{fixture, model::Model};

    /// Three states in a row; where a crash leads from the first, only the last exit can be come to.
    #[test]
    fn an_end_that_only_a_crash_leads_to_is_seen() {
        let plan = fixture::plan([("a", fixture::step("sim.set", Target::Own))]);
        let model = Model::new(&plan);
        let task = Task { plan: &plan, model: &model, order: vec![0], states_max: 100 };
        let node = Node::start(&plan, &model).unwrap().0;
        let pass = || Move::Pass { step: Some(0) };
        let crash = || Move::Crash { effects: Vec::new() };
        let state = |edges: Vec<(To, Move)>| State { node: node.clone(), from: None, edges, comes_to: BTreeSet::new() };
        let exit = |same_as| Found {
            exit: Exit { node: node.clone(), label: Vec::new(), moves: Vec::new(), reasons: Vec::new() },
            same_as,
        };
        let mut inside = Inside {
            task: &task,
            who: Some(0),
            states: vec![
                state(vec![(To::Exit(0), pass()), (To::State(1), crash())]),
                state(vec![(To::State(2), pass())]),
                state(vec![(To::Exit(1), pass())]),
            ],
            known: HashMap::new(),
            exits: vec![exit(0), exit(1)],
            by_detail: HashMap::new(),
            by_outcome: HashMap::new(),
            violations: Vec::new(),
            met: BTreeSet::new(),
            transitions: 0,
            complete: true,
        };
        inside.find_what_comes();
        inside.check_crashes();
        let (violation, moves) = &inside.violations[0];
        assert_eq!(violation.property, Property::Crash);
        assert_eq!(moves, &[crash(), pass(), pass()]);
        // The same end by another reason is no other end.
        inside.violations.clear();
        inside.exits[1].same_as = 0;
        inside.check_crashes();
        assert!(inside.violations.is_empty());
    }
}
