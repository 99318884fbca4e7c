//! The steps of a plan as a graph: what comes first, what belongs together, how long it takes, how it looks.

use std::{collections::HashMap, time::Duration};

use crate::{
    builtin::{MANUAL, WAIT},
    duration,
    model::{Gate, Name, OnFailure, Otherwise, Plan, Step, Target},
    order::Order,
    visible,
};

pub use crate::svg::svg;

/// The steps of a plan by what they wait for.
#[derive(Debug)]
pub struct Graph<'p> {
    plan: &'p Plan,
    needs: Order<'p>,
    /// The needs, and each fallback behind the step that it stands in for.
    follows: Order<'p>,
}

/// The chain of steps that a run cannot be faster than.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriticalPath<'p> {
    pub steps: Vec<&'p str>,
    pub duration: Duration,
}

impl<'p> Graph<'p> {
    pub fn new(plan: &'p Plan) -> Self {
        let (mut needs, mut follows) = (Order::default(), Order::default());
        for name in plan.steps.keys() {
            needs.node(name);
            follows.node(name);
        }
        for Arrow { from, to, fallback } in arrows(plan) {
            follows.edge(to, from);
            if !fallback {
                needs.edge(to, from);
            }
        }
        Self { plan, needs, follows }
    }

    /// All steps, each behind those that it needs, a fallback behind its step; in the order of the file where there
    /// is a choice.
    pub fn order(&self) -> Vec<&'p str> {
        self.layers().into_iter().flatten().collect()
    }

    /// The same by layers: what is in one layer could start at the same time.
    pub fn layers(&self) -> Vec<Vec<&'p str>> {
        self.follows.layers()
    }

    /// These steps and all that they need, for `--only`; fallbacks of any of them come along, with what those need.
    /// In the order of [`Graph::order`]; unknown names are ignored.
    pub fn closure_of_needs(&self, names: &[Name]) -> Vec<&'p str> {
        let mut wanted: Vec<&'p str> =
            self.plan.steps.keys().filter(|name| names.contains(name)).map(String::as_str).collect();
        loop {
            let closure = self.needs.closure(wanted.iter().copied());
            let known = closure.len();
            wanted = closure.iter().copied().chain(closure.iter().filter_map(|name| self.fallback_of(name))).collect();
            wanted.sort_unstable();
            wanted.dedup();
            if wanted.len() == known {
                return self.order().into_iter().filter(|name| closure.contains(name)).collect();
            }
        }
    }

    /// The steps that name this one in their `needs`.
    pub fn dependents(&self, name: &str) -> Vec<&'p str> {
        let needing = self.plan.steps.iter().filter(|(_, step)| step.needs.iter().any(|other| other == name));
        needing.map(|(name, _)| name.as_str()).collect()
    }

    /// The step that stands in for this one when it fails.
    pub fn fallback_of(&self, name: &str) -> Option<&'p str> {
        match &self.plan.steps.get(name)?.on_failure {
            OnFailure::Fallback(fallback) => Some(fallback),
            OnFailure::Halt | OnFailure::Continue => None,
        }
    }

    /// True for a step that runs only when another has failed.
    pub fn is_fallback(&self, name: &str) -> bool {
        self.plan.steps.keys().any(|step| self.fallback_of(step) == Some(name))
    }

    /// The longest chain by these durations. Fallbacks take no part: nothing fails on the critical path.
    pub fn critical_path(&self, duration_of: impl Fn(&str) -> Duration) -> CriticalPath<'p> {
        // For each step when it ends at the earliest, and the step that it waited for last.
        let mut ends: HashMap<&str, (Duration, Option<&'p str>)> = HashMap::new();
        let mut last: Option<(&'p str, Duration)> = None;
        for name in self.order().into_iter().filter(|name| !self.is_fallback(name)) {
            let before = self.plan.steps[name].needs.iter().filter_map(|other| {
                let (end, _) = ends.get(other.as_str())?;
                Some((*end, other.as_str()))
            });
            let before = before.max_by_key(|(end, _)| *end);
            let end = before.map_or(Duration::ZERO, |(end, _)| end) + duration_of(name);
            ends.insert(name, (end, before.map(|(_, other)| other)));
            if last.is_none_or(|(_, latest)| end > latest) {
                last = Some((name, end));
            }
        }
        let duration = last.map_or(Duration::ZERO, |(_, end)| end);
        let mut steps = Vec::new();
        let mut next = last.map(|(name, _)| name);
        while let Some(name) = next {
            steps.push(name);
            next = ends[name].1;
        }
        steps.reverse();
        CriticalPath { steps, duration }
    }
}

/// One arrow of a drawing.
pub(crate) struct Arrow<'p> {
    pub(crate) from: &'p str,
    pub(crate) to: &'p str,
    pub(crate) fallback: bool,
}

/// All arrows between steps: what comes first points at what comes next.
pub(crate) fn arrows(plan: &Plan) -> Vec<Arrow<'_>> {
    let mut arrows = Vec::new();
    for (name, step) in &plan.steps {
        arrows.extend(step.needs.iter().map(|other| Arrow { from: other, to: name, fallback: false }));
        if let OnFailure::Fallback(other) = &step.on_failure {
            arrows.push(Arrow { from: name, to: other, fallback: true });
        }
    }
    arrows
}

/// The steps that no other step comes after in a run without failures: the confirmation waits for these.
pub(crate) fn last_steps(plan: &Plan) -> Vec<&str> {
    let graph = Graph::new(plan);
    let names = plan.steps.keys().map(String::as_str);
    names.filter(|name| graph.dependents(name).is_empty() && !graph.is_fallback(name)).collect()
}

/// What a drawing says about a step, below its name.
pub(crate) fn card(step: &Step) -> Vec<String> {
    let mut lines = vec![step.action.clone()];
    match &step.to {
        Target::Baseline => lines.push("to baseline".to_owned()),
        Target::Explicit(target) => lines.push(format!("to {}", members(target))),
        Target::Own => {}
    }
    if let Some(approve) = &step.approve {
        let silence = match (approve.within, approve.otherwise) {
            (None, _) => ", no deadline".to_owned(),
            (Some(within), Otherwise::Halt) => format!(" within {}, or halts", duration::format(within)),
            (Some(within), Otherwise::Skip) => format!(" within {}, or is skipped", duration::format(within)),
        };
        lines.push(format!("approved by {} {}{silence}", approve.quorum, approve.role));
    }
    if !step.stages.is_empty() {
        let stages: Vec<String> = step.stages.iter().map(u32::to_string).collect();
        lines.push(format!("in stages: {} %", stages.join(", ")));
    }
    lines.extend(step.require.iter().map(|gate| format!("require {}", gate_text(gate))));
    lines.extend(step.verify.iter().map(|gate| format!("verify {}", gate_text(gate))));
    if step.loses_data {
        lines.push("loses data".to_owned());
    }
    // People and plain waits take the time that they take.
    if !matches!(step.action.as_str(), MANUAL | WAIT) {
        lines.push(format!("time-out {}", duration::format(step.timeout)));
    }
    lines.push(match &step.on_failure {
        OnFailure::Halt => "on failure: halt".to_owned(),
        OnFailure::Continue => "on failure: continue".to_owned(),
        OnFailure::Fallback(fallback) => format!("on failure: {fallback}"),
    });
    lines
}

/// `blue 100, green 0`: of an ARN the name in it, which is what people know a member by.
fn members(target: &serde_json::Value) -> String {
    let member = |(member, weight): (&String, &serde_json::Value)| {
        let name = member.strip_prefix("arn:").and_then(|arn| arn.split('/').nth(1)).unwrap_or(member);
        format!("{name} {weight}")
    };
    target.as_object().into_iter().flatten().map(member).collect::<Vec<_>>().join(", ")
}

/// `customer_errors for 1m within 5m`
pub(crate) fn gate_text(gate: &Gate) -> String {
    let mut text = gate.signal.clone();
    if !gate.hold.is_zero() {
        text.push_str(&format!(" for {}", duration::format(gate.hold)));
    }
    if !gate.within.is_zero() {
        text.push_str(&format!(" within {}", duration::format(gate.within)));
    }
    text
}

/// A Mermaid flowchart. Steps get a prefix, because `end` and some other names are words of Mermaid.
pub fn mermaid(plan: &Plan) -> String {
    let mut lines = vec!["flowchart TD".to_owned()];
    for (name, step) in &plan.steps {
        let card = card(step).iter().map(|line| escape_mermaid(line)).collect::<Vec<_>>().join("<br/>");
        lines.push(format!("  step_{name}[\"<b>{name}</b><br/>{card}\"]"));
    }
    if !plan.confirm.is_empty() {
        let gates = plan.confirm.iter().map(gate_text).collect::<Vec<_>>().join("<br/>");
        lines.push(format!("  confirm([\"<b>confirm</b><br/>{gates}\"])"));
    }
    for Arrow { from, to, fallback } in arrows(plan) {
        let line = if fallback { "-. on failure .->" } else { "-->" };
        lines.push(format!("  step_{from} {line} step_{to}"));
    }
    if !plan.confirm.is_empty() {
        lines.extend(last_steps(plan).iter().map(|name| format!("  step_{name} --> confirm")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn escape_mermaid(text: &str) -> String {
    visible::line(text).replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}
