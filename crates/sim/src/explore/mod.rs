//! Every way in which a run of a plan can go, over the real core: `EXPLORE.md` says what is explored, what is abstracted,
//! and what is proven.

mod advice;
mod ends;
mod inside;
mod model;
mod moves;
mod node;
mod people;
mod play;
mod properties;
mod report;
mod search;
mod timeline;
mod world;

#[cfg(test)]
mod brute;
#[cfg(test)]
mod doctored;
#[cfg(test)]
mod fixture;
#[cfg(test)]
#[allow(clippy::print_stdout, reason = "the counts are worth reading")]
mod flaws;
#[cfg(test)]
#[allow(clippy::print_stdout, reason = "the counts are worth reading")]
mod tests;

use belay_core::{
    input::Refusal,
    run::RunState,
    support::{For, unsupported},
};
use belay_plan::{graph::Graph, model::Plan};

pub use self::{
    advice::{Advice, Rule},
    ends::{Disposition, Outcome},
    properties::Property,
    report::{EndReport, Failure, Proof, Report, Verdict},
    timeline::Happening,
};

use self::{
    ends::End,
    model::Model,
    moves::Move,
    node::Node,
    people::{all_goes_well, way_out},
    search::Task,
    timeline::timeline,
};

/// So many ends are described one by one; more are only counted.
pub const ENDS_LISTED: usize = 40;

/// Searches every way in which a run of the plan can go, until there is no more, or `states_max` states have been seen.
/// `progress` hears of the number of states now and then.
///
/// # Errors
/// A [`Refusal`] where core does not begin a run of the plan at all.
pub fn explore(plan: &Plan, states_max: usize, progress: &mut dyn FnMut(usize)) -> Result<Report, Refusal> {
    let (played, left_out) = executed(plan);
    let explorer = Explorer { plan: &played, written: plan, model: Model::new(&played), states_max };
    explorer.report(left_out, progress)
}

/// The plan without what this version parses and does not execute.
fn executed(plan: &Plan) -> (Plan, Vec<String>) {
    let left_out = unsupported(plan, For::Running);
    let mut played = plan.clone();
    played.window = None;
    for step in played.steps.values_mut() {
        (step.expect, step.on_drift) = (None, None);
    }
    let say = |part: String| {
        format!(
            "`{part}`: this version does not execute it, and refuses to arm a plan that has it; searched without it"
        )
    };
    (played, left_out.into_iter().map(say).collect())
}

struct Explorer<'a> {
    plan: &'a Plan,
    /// With everything that is not executed.
    written: &'a Plan,
    model: Model,
    states_max: usize,
}

impl Explorer<'_> {
    fn report(&self, left_out: Vec<String>, progress: &mut dyn FnMut(usize)) -> Result<Report, Refusal> {
        let start = Node::start(self.plan, &self.model)?.0;
        let graph = self.search((0..self.plan.steps.len()).collect(), start.clone(), progress);
        let ends = ends::list(&graph, self.plan.steps.len(), ENDS_LISTED);
        let ends: Vec<(EndReport, Vec<Move>)> =
            ends.into_iter().map(|(end, moves)| (self.end(&end, &moves), moves)).collect();
        let properties = Property::ALL.map(|property| self.proof(property, &graph, &start, &ends)).to_vec();
        let verdict = match () {
            () if properties.iter().any(|proof| proof.verdict == Verdict::Refuted) => Verdict::Refuted,
            () if graph.complete => Verdict::Proven,
            () => Verdict::Bounded,
        };
        let name = |step: usize| self.plan.steps.get_index(step).map_or_else(String::new, |(name, _)| name.clone());
        let failures = graph.reasons.iter();
        Ok(Report {
            migration: self.plan.migration.clone(),
            verdict,
            complete: graph.complete,
            states: graph.states,
            transitions: graph.transitions,
            states_max: self.states_max,
            properties,
            ends_count: u64::try_from(ends::count(&graph)).unwrap_or(u64::MAX),
            ends: ends.into_iter().map(|(end, _)| end).collect(),
            failures: failures
                .map(|reason| Failure { step: name(reason.step), code: reason.code.clone(), touched: reason.touched })
                .collect(),
            advice: advice::advise(self.plan, &self.model),
            not_explored: left_out,
        })
    }

    fn search(&self, order: Vec<usize>, start: Node, progress: &mut dyn FnMut(usize)) -> search::Graph {
        Task { plan: self.written, model: &self.model, order, states_max: self.states_max }.run(start, progress)
    }

    fn proof(&self, property: Property, graph: &search::Graph, start: &Node, ends: &[(EndReport, Vec<Move>)]) -> Proof {
        let found = match property {
            Property::Succeeds => self.fails_at_best(start),
            _ => self.shortest(property, graph, start).or_else(|| {
                let stuck = ends.iter().find(|(end, _)| property == Property::Ends && end.way_out.is_none());
                stuck.map(|(end, moves)| (format!("no verb leads on to rolled back: {}", end.words), moves.clone()))
            }),
        };
        let counter_example = found.as_ref().map(|(_, moves)| timeline(self.plan, &self.model, moves).0);
        let verdict = match (&found, graph.complete) {
            (Some(_), _) => Verdict::Refuted,
            (None, true) => Verdict::Proven,
            (None, false) if property == Property::Succeeds => Verdict::Proven,
            (None, false) => Verdict::Bounded,
        };
        Proof { property, claim: property.claim(), verdict, why: found.map(|(why, _)| why), counter_example }
    }

    /// The best run that there can be, if it does not end rolled back.
    fn fails_at_best(&self, start: &Node) -> Option<(String, Vec<Move>)> {
        let (end, moves) = all_goes_well(start, &self.model, true);
        (end.run().state != RunState::RolledBack).then(|| {
            let words = self.words(&End { outcome: ends::outcome(&end), steps: ends::dispositions(&end) });
            (format!("even if all goes well, the run does not end rolled back: {words}"), moves)
        })
    }

    /// The shortest way to a violation: with the step that it is about, and what that needs, moving before all others.
    fn shortest(&self, property: Property, graph: &search::Graph, start: &Node) -> Option<(String, Vec<Move>)> {
        let violated = |graph: &search::Graph| {
            let of = graph.violations.iter().filter(|found| found.violation.property == property);
            of.min_by_key(|found| found.moves.len()).cloned()
        };
        let steps: Vec<usize> = graph
            .violations
            .iter()
            .filter(|found| found.violation.property == property)
            .filter_map(|found| found.violation.step)
            .collect();
        let first = violated(graph)?;
        let shorter = steps.into_iter().filter_map(|step| {
            let cone = &self.model.steps[step].cone;
            let others = (0..self.model.steps.len()).filter(|other| !cone.contains(other));
            let order = cone.iter().copied().chain(others).collect();
            violated(&self.search(order, start.clone(), &mut |_| {}))
        });
        let found = shorter.chain([first]).min_by_key(|found| found.moves.len())?;
        Some((found.violation.why, found.moves))
    }

    fn end(&self, end: &End, moves: &[Move]) -> EndReport {
        let last = timeline(self.plan, &self.model, moves).1;
        let is_fallback = |name: &String| Graph::new(self.plan).is_fallback(name);
        let idle = |name| if is_fallback(name) { Disposition::NotNeeded } else { Disposition::NotStarted };
        let steps = self.plan.steps.keys().zip(&end.steps);
        EndReport {
            outcome: end.outcome,
            steps: steps.map(|(name, what)| (name.clone(), what.unwrap_or_else(|| idle(name)))).collect(),
            words: self.words(end),
            way_out: last.and_then(|last| way_out(&last, &self.model)),
            happenings: moves.len(),
        }
    }

    /// An end as a person would tell it.
    fn words(&self, end: &End) -> String {
        let are = |wanted: &[Disposition]| -> Vec<&str> {
            let steps = self.plan.steps.keys().zip(&end.steps);
            steps
                .filter(|(_, what)| what.is_some_and(|what| wanted.contains(&what)))
                .map(|(name, _)| name.as_str())
                .collect()
        };
        let mut parts = Vec::new();
        for (what, text) in [
            (Disposition::Failed, "failed"),
            (Disposition::PassedOver, "failed and passed over"),
            (Disposition::FellBack, "failed, its fallback took over"),
            (Disposition::Skipped, "skipped"),
            (Disposition::Waits, "waits for a person"),
            (Disposition::Blocked, "never started"),
        ] {
            let steps = are(&[what]);
            if !steps.is_empty() {
                parts.push(format!("{}: {text}", steps.join(", ")));
            }
        }
        let missing = |index: usize| {
            !matches!(end.steps[index], Some(Disposition::InPlace | Disposition::NotNeeded | Disposition::FellBack))
        };
        let in_place = (0..end.steps.len()).filter(|index| end.steps[*index] == Some(Disposition::InPlace));
        let mut traffic: Vec<&str> = in_place.flat_map(|index| self.model.destinations(index)).collect();
        traffic.sort_unstable();
        traffic.dedup();
        if !traffic.is_empty() && !parts.is_empty() {
            parts.push(format!("traffic is on {}", traffic.join(", ")));
        }
        let data = (0..end.steps.len())
            .filter(|index| missing(*index) && self.model.steps[*index].kind == model::Kind::Replace);
        let data: Vec<&str> =
            data.filter_map(|index| self.plan.steps.get_index(index)).map(|(name, _)| name.as_str()).collect();
        if !data.is_empty() {
            parts.push(format!("the data of {} is not restored", data.join(", ")));
        }
        let outcome = match end.outcome {
            Outcome::RolledBack => "rolled back",
            Outcome::Halted => "halted",
            Outcome::NotConfirmed => "halted: everything is in place, but the confirmation did not hold",
            Outcome::Waiting => "goes no further",
            Outcome::Stuck => "stuck",
        };
        if parts.is_empty() { outcome.to_owned() } else { format!("{outcome}; {}", parts.join("; ")) }
    }
}
