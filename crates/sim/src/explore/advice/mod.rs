//! What authors of a plan should know: findings, which a good reviewer would not let pass, and hints.

mod arithmetic;
mod data;
mod gates;
mod resources;
mod triggers;

use std::time::Duration;

use belay_core::decision::may_roll_back;
use belay_plan::{
    graph::Graph,
    model::{Name, Nature, OnFailure, Otherwise, Plan, Step},
};
use serde::Serialize;

pub(crate) use gates::periods;
pub(crate) use resources::undoes;

use super::{
    model::{Kind, Model},
    turns::Turns,
};
use crate::nature;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub rule: Rule,
    pub level: Level,
    /// Why it stays, where the plan accepts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// A JSON pointer into the plan file.
    pub pointer: String,
    /// What, and why it matters.
    pub what: String,
    /// What would be right.
    pub instead: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A flaw: the rollback fails, does harm or comes too late in a way that the plan can rule out.
    Finding,
    /// It may be meant so.
    Hint,
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
    /// Traffic goes back to data that is replaced afterwards.
    TrafficBeforeData,
    /// A person is waited for without end.
    NoDeadline,
    /// Data is lost and nobody is asked.
    LossUnasked,
    /// Nobody answers, and the run goes on without the step.
    SilenceSkips,
    /// Traffic or data is not put back, and the run goes on.
    PassedOver,
    /// A phase in which triggers fire and nothing is put back.
    NothingPutBack,
    /// Nothing says in the end that it helped.
    NoConfirmation,
    /// A gate on what another step makes healthy beside it.
    GateRaces,
    /// The interlock looks at another destination than the one that gets the traffic.
    LooksAtOtherSide,
    /// Data is lost while writers may still write.
    LossNotFenced,
    /// The fallback fails by what its step fails by.
    SameCauseAgain,
    /// Nothing begins a rollback but a person.
    NoTrigger,
    /// No trigger is answered by a rollback.
    NeverRollsBack,
    /// Two steps want different things of one resource.
    TargetsContradict,
    /// A target leaves a part of the traffic where it fails.
    PartStays,
    /// Two names may be one resource.
    OneResourceTwoNames,
    /// The run takes longer than the plan's `rto` even if nothing fails.
    RtoCannotHold,
    /// A step has less time than its action usually takes.
    TimeoutTooShort,
    /// People are given less time than they take to answer.
    DeadlineTooShort,
    /// A confirmation that is over before the trigger would fire again.
    ConfirmationTooShort,
    /// A confirmation that looks at nothing that a trigger watches.
    ConfirmsNoTrigger,
    /// The longest way through time-outs and deadlines is beyond the `rto`.
    LongestWay,
    /// The plan accepts a finding that is not there.
    AcceptsNothing,
}

impl Advice {
    /// A finding that nobody has accepted.
    pub fn is_open(&self) -> bool {
        self.level == Level::Finding && self.accepted.is_none()
    }
}

impl Rule {
    pub fn level(self) -> Level {
        match self {
            Self::NoGate
            | Self::GateNotInfluenced
            | Self::FallbackWise
            | Self::CouldRunParallel
            | Self::NoConfirmation
            | Self::LongestWay
            | Self::AcceptsNothing => Level::Hint,
            _ => Level::Finding,
        }
    }
}

pub(crate) fn advise(plan: &Plan, model: &Model) -> Vec<Advice> {
    let mut adviser = Adviser { plan, model, turns: Turns::new(plan), found: Vec::new() };
    adviser.triggers();
    adviser.objectives();
    for (index, (name, step)) in plan.steps.iter().enumerate() {
        adviser.traffic(index, name);
        adviser.sides(index, name);
        adviser.gates(name, "require", &step.require);
        adviser.gates(name, "verify", &step.verify);
        adviser.unchecked(index, name);
        adviser.half_way(index, name);
        adviser.fallback(name);
        adviser.stands_in_for_nothing(index, name);
        adviser.people(index, name);
        adviser.passed_over(index, name);
        adviser.loss(index, name);
        adviser.fence(name);
        adviser.timeout(name);
        adviser.deadline(name);
    }
    adviser.parallel();
    adviser.resources();
    adviser.confirmation();
    adviser.accepts();
    adviser.found
}

/// The findings of later phases in which a trigger may roll back, and which the searched one does not have: `plan` is whole, `searched`
/// its part in `phase`.
pub(crate) fn advise_of_later(plan: &Plan, searched: &Plan, phase: Option<&str>, known: &mut Vec<Advice>) {
    let Some(place) = phase.and_then(|phase| plan.phases.get_index_of(phase)) else { return };
    let puts_back = |plan: &Plan| plan.steps.values().any(nature::is_seen);
    for later in plan.phases.keys().skip(place + 1) {
        let there = plan.in_phase(Some(later));
        if !there.triggers.values().any(|trigger| may_roll_back(&there, trigger)) {
            continue;
        }
        let mut found = advise(&there, &Model::new(&there));
        found.retain(|advice| advice.level == Level::Finding);
        if puts_back(searched) && !puts_back(&there) {
            let what = "triggers count, and no step of it puts traffic or data back".to_owned();
            let instead = format!("let the steps take part in it: `during: [..., {later}]`");
            let (rule, pointer) = (Rule::NothingPutBack, "/steps".to_owned());
            found.push(Advice { rule, level: rule.level(), accepted: None, pointer, what, instead });
        }
        for advice in found {
            if known.iter().any(|other| other.rule == advice.rule && other.pointer == advice.pointer) {
                continue;
            }
            if advice.accepted.is_some() {
                let met = |number: usize| {
                    plan.accepts.get(number).is_some_and(|accept| Some(&accept.reason) == advice.accepted.as_ref())
                };
                known.retain(|other| {
                    let number = other.pointer.strip_prefix("/accepts/").and_then(|number| number.parse().ok());
                    !(other.rule == Rule::AcceptsNothing && number.is_some_and(met))
                });
            }
            known.push(Advice { what: format!("in the phase `{later}`: {}", advice.what), ..advice });
        }
    }
}

struct Adviser<'a> {
    plan: &'a Plan,
    model: &'a Model,
    turns: Turns<'a>,
    found: Vec<Advice>,
}

impl Adviser<'_> {
    fn say(&mut self, rule: Rule, pointer: String, what: String, instead: impl Into<String>) {
        self.found.push(Advice { rule, level: rule.level(), accepted: None, pointer, what, instead: instead.into() });
    }

    /// Marks what the plan accepts.
    fn accepts(&mut self) {
        for (number, accept) in self.plan.accepts.iter().enumerate() {
            let about = accept.step.as_ref().map(|step| format!("/steps/{step}"));
            let fits = |advice: &&mut Advice| {
                let here = about.as_ref().is_none_or(|about| {
                    advice
                        .pointer
                        .strip_prefix(about.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                });
                here && serde_json::json!(advice.rule) == accept.finding.as_str()
            };
            let mut met = false;
            for advice in self.found.iter_mut().filter(fits) {
                advice.accepted = Some(accept.reason.clone());
                met = true;
            }
            if !met {
                let what = format!("the plan accepts `{}`, which is not found here", accept.finding);
                let instead = "remove the entry, or correct its `finding` or `step`";
                self.say(Rule::AcceptsNothing, format!("/accepts/{number}"), what, instead);
            }
        }
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
                 healthy, the step fails until a person overrides it"
            );
            self.say(Rule::NoInterlock, format!("/steps/{name}"), what, "add a `require` on a signal that says so");
        }
    }

    fn unchecked(&mut self, index: usize, name: &Name) {
        let step = &self.plan.steps[index];
        // What the plan goes on without needs no check.
        if self.acts(index) && step.verify.is_empty() && step.on_failure != OnFailure::Continue {
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
        let moves = |at: &&usize| !self.model.destinations(**at).is_empty();
        let traffic: Vec<&str> = in_place.iter().flat_map(|at| self.model.destinations(*at)).collect();
        let moved: Vec<&str> = in_place
            .iter()
            .filter(moves)
            .filter_map(|at| self.plan.steps.get_index(*at))
            .map(|(name, _)| name.as_str())
            .collect();
        let splits = !self.model.destinations(index).is_empty();
        let lost = if *self.kind(index) == Kind::Replace { ", and its database is not restored" } else { "" };
        let mut what = match traffic.first() {
            Some(first) if splits => format!(
                "if `{name}` fails, customers are split: the traffic of {} is on {first}, and that of {name} is not",
                moved.join(", ")
            ),
            Some(first) => format!("if `{name}` fails, traffic is on {first} ({}){lost}", moved.join(", ")),
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
            } else if self.plan.steps[index].loses_data && self.plan.objectives.rpo.is_some() {
                let what = format!(
                    "where `{name}` would lose more than the `rpo` allows, Belay asks a person, and the run waits for the \
                     answer without end"
                );
                let instead = "say who answers and until when: `approve: { role: ROLE, within: 10m }`";
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
        let dependents = Graph::new(self.plan).dependents(name).join(", ");
        let aside = by_nature_aside(&self.plan.steps[index]) && dependents.is_empty();
        if approve.otherwise == Otherwise::Skip && approve.within.is_some() && !aside {
            let on = if dependents.is_empty() { String::new() } else { format!(", and {dependents} go on without it") };
            let what = format!("if nobody answers, `{name}` is skipped{on}: the run may end rolled back without it");
            self.say(Rule::SilenceSkips, pointer, what, "`otherwise: halt`, unless the rollback is whole without it");
        }
    }

    /// A rollback without this step's traffic or data is none, whatever the run calls it.
    fn passed_over(&mut self, index: usize, name: &Name) {
        let superseded = self.model.steps[index].superseded;
        if self.plan.steps[index].on_failure != OnFailure::Continue || superseded {
            return;
        }
        let without = match self.kind(index) {
            Kind::Traffic { .. } => "with its traffic where it fails",
            Kind::Replace => "without its data",
            _ => return,
        };
        let what =
            format!("if `{name}` fails, the run goes on (`on_failure: continue`) and can end rolled back {without}");
        let instead = "let it halt the run, or fall back to a step that does the same in another way";
        self.say(Rule::PassedOver, format!("/steps/{name}/on_failure"), what, instead);
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
            // What the first one makes healthy and the second one requires is a reason.
            let explained = two.require.iter().any(|gate| one.verify.iter().any(|made| made.signal == gate.signal));
            let needs = two.needs.iter().position(|need| need == first && !explained);
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
}

/// A rollback is whole without what only runs something or asks a person, if nothing waits for it.
fn by_nature_aside(step: &Step) -> bool {
    matches!(nature::of(step), Nature::Job | Nature::Person | Nature::Wait)
}
