//! What steps mean to each other: needs, fallbacks, and who acts on the same thing at the same time.

use indexmap::IndexMap;
use serde_json::Value;

use crate::{
    catalogue::Catalogue,
    check::entries,
    decode::{Decoded, below},
    lower::merged_aws,
    order::Order,
    suggest::instead_of,
    syntax::{Problem, Span},
};

/// Everything wrong between the steps of a decoded file.
pub(crate) fn check(decoded: &Decoded, catalogue: &Catalogue) -> Vec<Problem> {
    let mut checker = StepsChecker { decoded, edges: edges(decoded), problems: Vec::new() };
    checker.names();
    checker.named();
    checker.fallbacks();
    if checker.problems.is_empty() {
        let order = checker.order();
        checker.cycles(&order);
        checker.shared_resources(&order, catalogue);
    }
    checker.problems
}

/// `from` waits for `to`, because it needs it, or because its own failure ends only with its fallback.
struct Edge<'d> {
    from: &'d str,
    to: &'d str,
    kind: EdgeKind,
    span: Span,
}

#[derive(Clone, Copy, PartialEq)]
enum EdgeKind {
    Needs,
    Fallback,
}

fn edges(decoded: &Decoded) -> Vec<Edge<'_>> {
    let mut edges = Vec::new();
    for (from, step) in entries(&decoded.value["steps"]) {
        let pointer = below("/steps", from);
        for (index, to) in step["needs"].as_array().into_iter().flatten().enumerate() {
            if let Some(to) = to.as_str() {
                let span = decoded.places.value(&format!("{pointer}/needs/{index}"));
                edges.push(Edge { from, to, kind: EdgeKind::Needs, span });
            }
        }
        if let Some(to) = step["on_failure"]["fallback"].as_str() {
            let span = decoded.places.value(&format!("{pointer}/on_failure/fallback"));
            edges.push(Edge { from, to, kind: EdgeKind::Fallback, span });
        }
    }
    edges
}

struct StepsChecker<'d> {
    decoded: &'d Decoded,
    edges: Vec<Edge<'d>>,
    problems: Vec<Problem>,
}

impl<'d> StepsChecker<'d> {
    fn steps(&self) -> impl Iterator<Item = (&'d String, &'d Value)> + use<'d> {
        entries(&self.decoded.value["steps"])
    }

    fn names(&mut self) {
        let names: Vec<&str> = self.steps().map(|(name, _)| name.as_str()).collect();
        for (index, edge) in self.edges.iter().enumerate() {
            let problem = |message: String| Problem::new(edge.span.clone(), message);
            if !names.contains(&edge.to) {
                let others = names.iter().copied().filter(|name| *name != edge.from);
                let help = instead_of(edge.to, "the other steps of this plan", others);
                self.problems.push(problem(format!("unknown step `{}`", edge.to)).help(help));
            } else if edge.from == edge.to {
                let verb = if edge.kind == EdgeKind::Needs { "needs" } else { "falls back to" };
                self.problems.push(problem(format!("`{}` {verb} itself", edge.from)).help("remove it"));
            } else if self.edges[..index].iter().any(|other| (other.from, other.to) == (edge.from, edge.to)) {
                let message = format!("`{}` names `{}` twice", edge.from, edge.to);
                self.problems.push(problem(message).help("once is enough"));
            }
        }
    }

    /// Steps that are named for what the search finds, and not for their order.
    fn named(&mut self) {
        let names: Vec<&str> = self.steps().map(|(name, _)| name.as_str()).collect();
        let mut named: Vec<(String, &str)> = Vec::new();
        for (name, step) in entries(&self.decoded.value["steps"]) {
            let fences = step["fences"].as_array().into_iter().flatten().enumerate();
            let pointer = below("/steps", name);
            named.extend(fences.filter_map(|(index, to)| Some((format!("{pointer}/fences/{index}"), to.as_str()?))));
        }
        let accepts = self.decoded.value["accepts"].as_array().into_iter().flatten().enumerate();
        named.extend(
            accepts.filter_map(|(index, entry)| Some((format!("/accepts/{index}/step"), entry["step"].as_str()?))),
        );
        for (pointer, to) in named.into_iter().filter(|(_, to)| !names.contains(to)) {
            let help = instead_of(to, "the steps of this plan", names.iter().copied());
            let problem = Problem::new(self.decoded.places.value(&pointer), format!("unknown step `{to}`"));
            self.problems.push(problem.help(help));
        }
    }

    /// A fallback runs only when its step has failed, so nothing else may wait for it, and it stands in for one step.
    fn fallbacks(&mut self) {
        let mut stands_in_for: IndexMap<&str, &str> = IndexMap::new();
        for edge in self.edges.iter().filter(|edge| edge.kind == EdgeKind::Fallback && edge.from != edge.to) {
            if let Some(first) = stands_in_for.get(edge.to) {
                let message = format!("`{}` is already the fallback of `{first}`", edge.to);
                let help = "a fallback stands in for one step: give each its own";
                self.problems.push(Problem::new(edge.span.clone(), message).help(help));
            } else {
                stands_in_for.insert(edge.to, edge.from);
            }
        }
        for edge in self.edges.iter().filter(|edge| edge.kind == EdgeKind::Needs) {
            if let Some(step) = stands_in_for.get(edge.to).filter(|step| **step != edge.from) {
                let message = format!("`{}` is a fallback: it runs only when `{step}` has failed", edge.to);
                let help = format!("need `{step}`: that is also met when its fallback succeeds");
                self.problems.push(Problem::new(edge.span.clone(), message).help(help));
            }
        }
    }

    fn order(&self) -> Order<'d> {
        let mut order = Order::default();
        for (name, _) in self.steps() {
            order.node(name);
        }
        for edge in &self.edges {
            order.edge(edge.from, edge.to);
        }
        order
    }

    fn cycles(&mut self, order: &Order<'d>) {
        for cycle in order.cycles() {
            let edge = self.edges.iter().find(|edge| cycle[..2] == [edge.from, edge.to]);
            let span = edge.map_or(0..0, |edge| edge.span.clone());
            let message = format!("these steps form a cycle: {}", cycle.join(" -> "));
            let help = "read `->` as needs, or falls back to; take one of them out";
            self.problems.push(Problem::new(span, message).help(help));
        }
    }

    /// Two steps that act on one thing at the same time would fight.
    fn shared_resources(&mut self, order: &Order<'d>, catalogue: &Catalogue) {
        let mut first_on: IndexMap<(String, String), Vec<&str>> = IndexMap::new();
        for (name, step) in self.steps() {
            let pointer = below("/steps", name);
            let spec = step["action"].as_str().and_then(|action| catalogue.action(action));
            let Some(spec) = spec.filter(|_| self.decoded.places.is_sound(&pointer)) else { continue };
            let resource = (spec.resource)(&step["with"]);
            if resource.is_empty() {
                continue;
            }
            let aws = merged_aws(&self.decoded.value["aws"], &step["aws"]);
            let place = format!("{} {}", aws["account"], aws["region"]);
            let earlier = first_on.entry((place, resource)).or_default();
            let ordered = |other: &&str| {
                order.closure([name.as_str()]).contains(other) || order.closure([*other]).contains(name.as_str())
            };
            if let Some(other) =
                earlier.iter().find(|other| !ordered(other) && meet(step, &self.decoded.value["steps"][*other]))
            {
                let message = format!("`{name}` and `{other}` act on the same thing, and neither waits for the other");
                let help = format!("order them, for example `needs: [{other}]`, or make them one step");
                self.problems.push(Problem {
                    related: Some((self.decoded.places.key(&below("/steps", other)), "the other one")),
                    ..Problem::new(self.decoded.places.key(&pointer), message).help(help)
                });
            }
            earlier.push(name);
        }
    }
}

/// Whether there may be a phase in which both run.
fn meet(one: &Value, other: &Value) -> bool {
    let during = |step: &Value| step["during"].as_array().filter(|during| !during.is_empty()).cloned();
    during(one).zip(during(other)).is_none_or(|(one, other)| one.iter().any(|phase| other.contains(phase)))
}
