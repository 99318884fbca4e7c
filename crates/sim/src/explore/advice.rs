//! What authors of a plan should know: not errors, but what the search keeps running into.

use std::time::Duration;

use belay_plan::{
    duration,
    graph::Graph,
    model::{Gate, Name, OnFailure, Otherwise, Plan, Signal},
};
use serde::Serialize;
use serde_json::Value;

use super::model::{Kind, Model, fits, others_may_heal, symptoms};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub rule: Rule,
    /// A JSON pointer into the plan file.
    pub pointer: String,
    /// What, and why it matters.
    pub what: String,
    /// What would be right.
    pub instead: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Traffic is raised without an interlock.
    NoInterlock,
    /// Nothing checks what a step has done.
    NoGate,
    /// A gate that no signal can turn, or not in time.
    GateCannotTurn,
    /// A gate on what no step of the plan influences.
    GateNotInfluenced,
    /// A halt leaves things half put back.
    FallbackWise,
    /// A need that nothing requires.
    CouldRunParallel,
    /// Traffic and data in no order.
    TrafficBesideData,
    /// A person is waited for without end.
    NoDeadline,
    /// Data is lost and nobody is asked.
    LossUnasked,
    /// Nobody answers, and the run goes on without the step.
    SilenceSkips,
    /// Nothing says in the end that it helped.
    NoConfirmation,
}

pub(crate) fn advise(plan: &Plan, model: &Model) -> Vec<Advice> {
    let mut adviser = Adviser { plan, model, found: Vec::new() };
    for (index, (name, step)) in plan.steps.iter().enumerate() {
        adviser.traffic(index, name);
        adviser.gates(name, "require", &step.require);
        adviser.gates(name, "verify", &step.verify);
        adviser.unchecked(index, name);
        adviser.half_way(index, name);
        adviser.people(index, name);
        adviser.loss(index, name);
    }
    adviser.parallel();
    adviser.confirmation();
    adviser.found
}

struct Adviser<'a> {
    plan: &'a Plan,
    model: &'a Model,
    found: Vec<Advice>,
}

impl Adviser<'_> {
    fn say(&mut self, rule: Rule, pointer: String, what: String, instead: impl Into<String>) {
        self.found.push(Advice { rule, pointer, what, instead: instead.into() });
    }

    fn kind(&self, index: usize) -> &Kind {
        &self.model.steps[index].kind
    }

    /// Looks at the world outside, and changes it.
    fn acts(&self, index: usize) -> bool {
        self.kind(index).changes() > 0
    }

    fn traffic(&mut self, index: usize, name: &Name) {
        let raised = self.model.destinations(index).join(", ");
        if self.plan.steps[index].require.is_empty() && !raised.is_empty() {
            let what = format!(
                "`{name}` gives {raised} traffic without an interlock: where the actuator cannot tell whether it is \
                 healthy, Belay refuses to send"
            );
            self.say(Rule::NoInterlock, format!("/steps/{name}"), what, "add a `require` on a signal that says so");
        }
    }

    fn gates(&mut self, step: &Name, list: &str, gates: &[Gate]) {
        for (number, gate) in gates.iter().enumerate() {
            let pointer = format!("/steps/{step}/{list}/{number}");
            let interlock = list == "require";
            self.gate_times(gate, &pointer);
            let red = symptoms(self.plan).contains(&gate.signal);
            if interlock && red && !others_may_heal(self.plan, step) {
                let what = format!(
                    "`{}` is what the trigger fires on, and nothing is put back before `{step}`: the interlock is red \
                     whenever the run begins, so the step never sends",
                    gate.signal
                );
                let instead =
                    "require a signal of the side that takes over; let a `verify` or `confirm` wait for this one";
                self.say(Rule::GateCannotTurn, pointer.clone(), what, instead);
            }
            if !interlock {
                self.influence(gate, &pointer);
            }
        }
    }

    fn gate_times(&mut self, gate: &Gate, pointer: &str) {
        let text = |time: Duration| duration::format(time);
        let Gate { signal, within, hold } = gate;
        if !fits(gate) {
            let what = format!(
                "`{signal}` has to be healthy for {} within {}, but time begins before the first reading: this gate \
                 cannot turn",
                text(*hold),
                text(*within)
            );
            let instead = format!("give it time to turn, for example `within: {}`", text(*hold * 2));
            return self.say(Rule::GateCannotTurn, pointer.to_owned(), what, instead);
        }
        let Some((period, breaching, of)) = self.plan.signals.get(signal).and_then(periods) else { return };
        if within.is_zero() {
            return;
        }
        let memory = period * (of + 1).saturating_sub(breaching).max(1);
        if *within < memory + *hold {
            let what = format!(
                "`{signal}` looks at periods of {}, {breaching} of {of}: once it was red, it stays so for {} after the \
                 cause is gone, and `within` is {}",
                text(period),
                text(memory),
                text(*within)
            );
            let least = text(memory + *hold + period);
            self.say(Rule::GateCannotTurn, pointer.to_owned(), what, format!("give it a `within` of {least} or more"));
        }
    }

    /// Where a signal names the thing that it looks at, some step should have to do with it.
    fn influence(&mut self, gate: &Gate, pointer: &str) {
        let Some(signal) = self.plan.signals.get(&gate.signal) else { return };
        let Some(thing) = named_thing(signal) else { return };
        let mentions = |step: &belay_plan::model::Step| {
            let target = serde_json::to_value(&step.to).unwrap_or_default();
            step.resource.to_lowercase().contains(&thing.to_lowercase())
                || [&step.with, &target].iter().any(|value| mentions(value, thing))
        };
        if !self.plan.steps.values().any(mentions) {
            let what = format!("`{}` looks at {thing}, which no step of this plan changes", gate.signal);
            let instead = "wait for something that the step changes; what has to be so before belongs into `require`";
            self.say(Rule::GateNotInfluenced, pointer.to_owned(), what, instead);
        }
    }

    fn unchecked(&mut self, index: usize, name: &Name) {
        if self.acts(index) && self.plan.steps[index].verify.is_empty() {
            let what = format!("nothing checks that `{name}` helped: it is done as soon as its target shows");
            self.say(Rule::NoGate, format!("/steps/{name}"), what, "add a `verify` on a signal that tells");
        }
    }

    fn half_way(&mut self, index: usize, name: &Name) {
        let is_fallback = Graph::new(self.plan).is_fallback(name);
        if !self.acts(index) || is_fallback || self.plan.steps[index].on_failure != OnFailure::Halt {
            return;
        }
        let dependents = Graph::new(self.plan).dependents(name);
        let after_it = |other: usize| self.model.steps[other].cone.contains(&index);
        let in_place: Vec<usize> = (0..self.model.steps.len())
            .filter(|other| *other != index && self.acts(*other) && !after_it(*other))
            .collect();
        if in_place.is_empty() || (dependents.is_empty() && *self.kind(index) != Kind::Replace) {
            return;
        }
        let names: Vec<&str> =
            in_place.iter().filter_map(|at| self.plan.steps.get_index(*at)).map(|(name, _)| name.as_str()).collect();
        let traffic: Vec<&str> = in_place.iter().flat_map(|at| self.model.destinations(*at)).collect();
        let lost = if *self.kind(index) == Kind::Replace { ", and its database is not restored" } else { "" };
        let mut what = match traffic.first() {
            Some(first) => format!("if `{name}` fails, traffic is on {first} ({}){lost}", names.join(", ")),
            None => format!("if `{name}` fails, the rollback is half way: {} may be in place{lost}", names.join(", ")),
        };
        if !dependents.is_empty() {
            what.push_str(&format!("; {} never starts", dependents.join(", ")));
        }
        let instead =
            "add a fallback: `on_failure: { fallback: STEP }`; a `manual` step that says what to do is enough";
        self.say(Rule::FallbackWise, format!("/steps/{name}"), what, instead);
    }

    fn people(&mut self, index: usize, name: &Name) {
        let by_hand = *self.kind(index) == Kind::Manual;
        let Some(approve) = &self.plan.steps[index].approve else {
            if by_hand {
                let what =
                    format!("`{name}` is done by hand, and nothing happens if nobody does it: it has no deadline");
                let instead = "say who and until when: `approve: { role: ROLE, within: 10m }`";
                self.say(Rule::NoDeadline, format!("/steps/{name}"), what, instead);
            }
            return;
        };
        let pointer = format!("/steps/{name}/approve");
        if approve.within.is_none() {
            let what =
                format!("if nobody with the role {} answers, the run waits for `{name}` without end", approve.role);
            self.say(Rule::NoDeadline, pointer.clone(), what, "give it a deadline, for example `within: 10m`");
        }
        if approve.otherwise == Otherwise::Skip && approve.within.is_some() {
            let dependents = Graph::new(self.plan).dependents(name).join(", ");
            let on = if dependents.is_empty() { String::new() } else { format!(", and {dependents} go on without it") };
            let what = format!("if nobody answers, `{name}` is skipped{on}: the run may end rolled back without it");
            self.say(Rule::SilenceSkips, pointer, what, "`otherwise: halt`, unless the rollback is whole without it");
        }
    }

    fn loss(&mut self, index: usize, name: &Name) {
        let step = &self.plan.steps[index];
        if step.loses_data && step.approve.is_none() && self.plan.objectives.rpo.is_none() {
            let what =
                format!("`{name}` loses the data written since, and nobody is asked: the plan has no `rpo` either");
            let instead = "add `approve: { role: ROLE, within: 10m }`, or an objective `rpo` beyond which Belay asks";
            self.say(Rule::LossUnasked, format!("/steps/{name}"), what, instead);
        }
        if *self.kind(index) != Kind::Replace {
            return;
        }
        for (other, (traffic, _)) in self.plan.steps.iter().enumerate() {
            let cones = [&self.model.steps[index].cone, &self.model.steps[other].cone];
            let ordered = cones[0].contains(&other) || cones[1].contains(&index);
            if let (Kind::Traffic { .. }, false) = (self.kind(other), ordered) {
                let what = format!(
                    "`{traffic}` and `{name}` do not wait for each other: traffic may go to {} while its database is \
                     not restored",
                    self.model.destinations(other).join(", ")
                );
                let instead =
                    format!("say which comes first: `needs: [{name}]` in `{traffic}`, or the other way round");
                self.say(Rule::TrafficBesideData, format!("/steps/{traffic}"), what, instead);
            }
        }
    }

    /// Needs along the critical path that neither a shared resource, nor data, nor a person explains.
    fn parallel(&mut self) {
        let graph = Graph::new(self.plan);
        let critical = graph.critical_path(|_| Duration::from_secs(60));
        for pair in critical.steps.windows(2) {
            let [first, then] = [pair[0], pair[1]];
            let (Some(before), Some(after)) = (self.plan.steps.get_index_of(first), self.plan.steps.get_index_of(then))
            else {
                continue;
            };
            let plain = |index: usize| matches!(self.kind(index), Kind::Traffic { .. } | Kind::Set);
            let (one, two) = (&self.plan.steps[before], &self.plan.steps[after]);
            let needs = two.needs.iter().position(|need| need == first);
            if let Some(number) = needs.filter(|_| plain(before) && plain(after) && one.resource != two.resource) {
                let what = format!(
                    "`{then}` waits for `{first}`, on the critical path; they act on different things, and nothing in \
                     the plan says why"
                );
                let instead = "without this need they run at the same time; keep it if the order matters";
                self.say(Rule::CouldRunParallel, format!("/steps/{then}/needs/{number}"), what, instead);
            }
        }
    }

    fn confirmation(&mut self) {
        for (number, gate) in self.plan.confirm.iter().enumerate() {
            self.gate_times(gate, &format!("/confirm/{number}"));
        }
        if self.plan.confirm.is_empty() {
            let what = "the run ends rolled back as soon as the last step is done, whether it helped or not".to_owned();
            let instead =
                "add a `confirm` on what the triggers watch, for example `{ signal: NAME, within: 15m, for: 5m }`";
            self.say(Rule::NoConfirmation, "/steps".to_owned(), what, instead);
        }
    }
}

/// A metric's period, and how many of how many periods breach.
fn periods(signal: &Signal) -> Option<(Duration, u32, u32)> {
    let of = |value: &Value| duration::parse(value.as_str()?).ok();
    let whole = signal.spec.get(&signal.kind)?;
    let single = of(&whole["period"]);
    let members = whole["metrics"].as_object().into_iter().flat_map(|metrics| metrics.values());
    let period = single.or_else(|| members.filter_map(|metric| of(&metric["period"])).max())?;
    let share = signal.spec["datapoints"].as_str().and_then(|text| text.split_once(" of "));
    let number = |text: &str| text.trim().parse().ok();
    let (breaching, of) = share.and_then(|(m, n)| Some((number(m)?, number(n)?))).unwrap_or((1, 1));
    Some((period, breaching, of))
}

/// The one thing that a signal's settings name: `{ target_group: blue, at_least: 2 }`.
fn named_thing(signal: &Signal) -> Option<&str> {
    let settings = signal.spec.get(&signal.kind)?.as_object()?;
    let known = ["instance", "target_group", "cluster", "service"];
    settings.iter().find(|(key, _)| known.contains(&key.as_str())).and_then(|(_, value)| value.as_str())
}

fn mentions(value: &Value, thing: &str) -> bool {
    match value {
        Value::String(text) => text.to_lowercase().contains(&thing.to_lowercase()),
        Value::Array(items) => items.iter().any(|item| mentions(item, thing)),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.eq_ignore_ascii_case(thing) || mentions(value, thing))
        }
        _ => false,
    }
}
