//! Every way in which a run of a plan can go, over the real core: `EXPLORE.md` says what is explored, what is abstracted,
//! and what is proven.

mod advice;
mod consequences;
mod coverage;
mod decision_replay;
mod decisions;
mod ends;
mod incident_ends;
mod inside;
mod model;
mod moves;
mod node;
mod people;
mod play;
mod properties;
mod replay;
mod report;
mod rests;
mod search;
mod sides;
mod timeline;
mod times;
mod turns;
mod world;

#[cfg(test)]
mod brute;
#[cfg(test)]
mod doctored;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
#[allow(clippy::print_stdout, reason = "the counts are worth reading")]
mod flaws;
#[cfg(test)]
#[allow(clippy::print_stdout, reason = "the counts are worth reading")]
mod tests;

use std::collections::BTreeSet;

use belay_core::{input::Refusal, run::RunState};
use belay_plan::{
    graph::Graph,
    model::{Name, OnDrift, Plan, Step},
};

pub use self::{
    advice::{Advice, Level, Rule},
    consequences::{Consequence, Customers, Data, EndGroup, Writers},
    coverage::{Coverage, FallbackMet, GateMet},
    decisions::incidents,
    ends::{Disposition, Outcome},
    incident_ends::{IncidentEnd, IncidentWays, WayToDecide, When},
    properties::Property,
    replay::Replay,
    report::{EndReport, Failure, Proof, Report, Verdict},
    timeline::Happening,
};

use self::{
    ends::End,
    model::Model,
    moves::Move,
    node::Node,
    people::{acts_max, all_goes_well, is_stuck, way_out},
    search::Task,
    timeline::timeline,
};

/// Why a run fails that could succeed.
const RACE: &str = "a gate waits for what another step heals beside it, or for less time than that takes to show; or a step, \
                    or a person, has less time than it usually takes. When that is too late, the run does not end rolled back";

/// So many ends are described one by one; more are only counted.
pub const ENDS_LISTED: usize = 40;

/// Searches every way in which a run of the plan can go, until there is no more, or `states_max` states have been seen.
/// `progress` hears of the number of states now and then, and answers whether to go on.
///
/// # Errors
/// A [`Refusal`] where core does not begin a run of the plan at all.
pub fn explore(plan: &Plan, states_max: usize, progress: &mut dyn FnMut(usize) -> bool) -> Result<Report, Refusal> {
    let (played, left_out) = executed(plan);
    let explorer =
        Explorer { plan: &played, written: plan, model: Model::new(plan), lucky: Model::lucky(plan), states_max };
    explorer.report(left_out, progress)
}

/// The same from the trigger on: `plan` is whole, and its triggers fire in `phase`.
///
/// # Errors
/// As [`explore`].
pub fn explore_from_triggers(
    plan: &Plan,
    phase: Option<&str>,
    states_max: usize,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Report, Refusal> {
    let searched = plan.in_phase(phase);
    let mut report = explore(&searched, states_max, progress)?;
    advice::advise_of_later(plan, &searched, phase, &mut report.advice);
    report.incidents = incidents(plan, phase, progress);
    if report.incidents.iter().any(|ways| !ways.complete) {
        report.complete = false;
        if report.verdict != Verdict::Refuted {
            report.verdict = Verdict::Bounded;
        }
    }
    Ok(report)
}

/// The plan without what the search leaves out, and what that is.
fn executed(plan: &Plan) -> (Plan, Vec<String>) {
    let halts = plan.steps.iter().filter(|(_, step)| step.on_drift == OnDrift::Halt);
    let left_out = halts.map(|(name, _)| {
        format!("`steps.{name}.on_drift`: that somebody changes the resource is not searched; the step would wait for an approval")
    });
    let left_out = left_out.collect();
    let mut played = plan.clone();
    played.window = None;
    // Who is told changes nothing of what happens.
    played.notify = std::sync::Arc::default();
    // The search begins with the run: what is only watched would be carried along in every state.
    played.triggers.clear();
    let gates = |step: &Step| -> Vec<Name> {
        step.require.iter().chain(&step.verify).map(|gate| gate.signal.clone()).collect()
    };
    let read: BTreeSet<Name> =
        plan.steps.values().flat_map(gates).chain(plan.confirm.iter().map(|gate| gate.signal.clone())).collect();
    played.signals.retain(|name, _| read.contains(name));
    for step in played.steps.values_mut() {
        (step.expect, step.on_drift) = (None, OnDrift::Proceed);
    }
    (played, left_out)
}

struct Explorer<'a> {
    plan: &'a Plan,
    /// With everything that is not searched.
    written: &'a Plan,
    model: Model,
    /// In which a gate turns only by what the run puts back.
    lucky: Model,
    states_max: usize,
}

impl Explorer<'_> {
    fn report(&self, left_out: Vec<String>, progress: &mut dyn FnMut(usize) -> bool) -> Result<Report, Refusal> {
        let start = Node::start(self.plan, &self.model)?.0;
        let graph = self.search((0..self.plan.steps.len()).collect(), start.clone(), progress);
        let ends = ends::list(&graph, self.plan.steps.len(), ENDS_LISTED);
        let ends: Vec<(EndReport, Vec<Move>)> = ends
            .into_iter()
            .map(|(end, moves)| (self.end(&end, &moves, &mut || progress(graph.states)), moves))
            .collect();
        let properties = Property::ALL.map(|property| self.proof(property, &graph, &start, &ends)).to_vec();
        let verdict = match () {
            () if properties.iter().any(|proof| proof.verdict == Verdict::Refuted) => Verdict::Refuted,
            () if properties.iter().any(|proof| proof.verdict == Verdict::Bounded) => Verdict::Bounded,
            () => Verdict::Proven,
        };
        let ends: Vec<EndReport> = ends.into_iter().map(|(end, _)| end).collect();
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
            groups: consequences::grouped(&ends),
            ends,
            failures: failures
                .map(|reason| Failure { step: name(reason.step), code: reason.code.clone(), touched: reason.touched })
                .collect(),
            coverage: Coverage::of(self.plan, &graph.met),
            advice: advice::advise(self.written, &self.model),
            incidents: Vec::new(),
            not_explored: left_out,
        })
    }

    fn search(&self, order: Vec<usize>, start: Node, progress: &mut dyn FnMut(usize) -> bool) -> search::Graph {
        Task { plan: self.written, model: &self.model, order, states_max: self.states_max }.run(start, progress)
    }

    fn proof(&self, property: Property, graph: &search::Graph, start: &Node, ends: &[(EndReport, Vec<Move>)]) -> Proof {
        let found = match property {
            Property::Succeeds => self.fails_when_all_goes_well(start),
            _ => self.shortest(property, graph, start).or_else(|| {
                let stuck = ends.iter().find(|(end, _)| property == Property::Ends && end.stuck);
                stuck.map(|(end, moves)| (format!("no verb leads on: {}", end.words), moves.clone()))
            }),
        };
        let counter_example = found.as_ref().map(|(_, moves)| timeline(self.plan, &self.model, moves).0);
        let replay = found.as_ref().and_then(|(_, moves)| {
            replay::replay((self.written, &self.lucky), (self.plan, &self.model), property.claim(), moves)
        });
        let unknown = ends.iter().map(|(end, _)| end).find(|end| property == Property::Ends && end.way_out.is_none());
        let why = found.as_ref().map(|(why, _)| why.clone()).or_else(|| {
            unknown.map(|end| match end.acts_tried {
                0 => format!("there was no time to look for a way out: {}", end.words),
                acts => format!("no way out found within {acts} acts: {}", end.words),
            })
        });
        let verdict = match (&found, graph.complete) {
            (Some(_), _) => Verdict::Refuted,
            (None, _) if unknown.is_some() => Verdict::Bounded,
            (None, true) => Verdict::Proven,
            (None, false) if property == Property::Succeeds => Verdict::Proven,
            (None, false) => Verdict::Bounded,
        };
        let (assumes, rests_on) = match &found {
            None => (rests::assumes(self.written, &self.model, property), rests::rests_on(self.written, property)),
            Some(_) => (Vec::new(), Vec::new()),
        };
        let verdict = if verdict == Verdict::Proven && !assumes.is_empty() { Verdict::Assumed } else { verdict };
        Proof { property, claim: property.claim(), verdict, why, assumes, rests_on, counter_example, replay }
    }

    /// The best run that there can be, if it does not end rolled back; also where whoever has to be faster is not.
    fn fails_when_all_goes_well(&self, start: &Node) -> Option<(String, Vec<Move>)> {
        let unlucky = Model::unlucky(self.written);
        [(&self.lucky, "even if all goes well, the run does not end rolled back"), (&unlucky, RACE)]
            .into_iter()
            .find_map(|(model, why)| {
                let (end, moves) = all_goes_well(start, model, true);
                (end.run().state != RunState::RolledBack).then(|| {
                    let words = self.words(&End { outcome: ends::outcome(&end), steps: ends::dispositions(&end) });
                    (format!("{why}: {words}"), moves)
                })
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
        if !graph.complete {
            return Some((first.violation.why, first.moves)); // whoever set a bound does not wait for more searches
        }
        let shorter = steps.into_iter().filter_map(|step| {
            let cone = &self.model.steps[step].cone;
            let others = (0..self.model.steps.len()).filter(|other| !cone.contains(other));
            let order = cone.iter().copied().chain(others).collect();
            violated(&self.search(order, start.clone(), &mut |_| true))
        });
        let found = shorter.chain([first]).min_by_key(|found| found.moves.len())?;
        Some((found.violation.why, found.moves))
    }

    /// `go_on`: whether there is time left to look for a way out of it.
    fn end(&self, end: &End, moves: &[Move], go_on: &mut dyn FnMut() -> bool) -> EndReport {
        let last = timeline(self.plan, &self.model, moves).1;
        let is_fallback = |name: &String| Graph::new(self.plan).is_fallback(name);
        let idle = |name| if is_fallback(name) { Disposition::NotNeeded } else { Disposition::NotStarted };
        let steps = self.plan.steps.keys().zip(&end.steps);
        let mut in_time = true;
        let mut asked = || {
            in_time &= go_on();
            in_time
        };
        let way_out = last.as_ref().and_then(|last| way_out(last, &self.lucky, &mut asked));
        EndReport {
            outcome: end.outcome,
            steps: steps.map(|(name, what)| (name.clone(), what.unwrap_or_else(|| idle(name)))).collect(),
            consequence: Consequence::of(self.written, &self.model, end, last.as_ref()),
            words: self.words(end),
            stuck: last.as_ref().is_some_and(is_stuck),
            acts_tried: if in_time { acts_max(&self.model) } else { 0 },
            way_out,
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
        let moves = |index: &usize| matches!(self.model.steps[*index].kind, model::Kind::Traffic { .. });
        let name = |index: usize| self.plan.steps.get_index(index).map(|(name, _)| name.as_str());
        let not_back = (0..end.steps.len()).filter(|index| missing(*index) && moves(index));
        let not_back: Vec<&str> = not_back.filter_map(name).collect();
        if !traffic.is_empty() && !parts.is_empty() {
            let on = traffic.join(", ");
            parts.push(match not_back.as_slice() {
                [] => format!("traffic is on {on}"),
                names => {
                    let back = (0..end.steps.len())
                        .filter(|index| end.steps[*index] == Some(Disposition::InPlace) && moves(index));
                    let back: Vec<&str> = back.filter_map(name).collect();
                    format!(
                        "traffic of {} is on {on}, and that of {} is not put back",
                        back.join(", "),
                        names.join(", ")
                    )
                }
            });
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
