//! A plan as the explored world sees it: what each step's resource is like, and which gates can turn at all. It follows
//! from the plan alone, and is generic over actions.

use belay_plan::{
    builtin::{MANUAL, WAIT},
    model::{Gate, Name, Nature, OnFailure, Others, Plan, Step, Target},
};
use indexmap::IndexMap;
use serde_json::Value;

use super::{
    advice::undoes,
    sides::Proven,
    times::{TimeOut, has_no_time_to_answer},
    turns::{Stand, Turn, Turns},
};
use crate::{nature, order::Cones};

/// A weight that stands for "all of the traffic" where the plan does not say.
const WHOLE: u32 = 100;

/// What stands for the members of a resource that the plan does not name.
const THE_OTHERS: &str = "the others";

/// The sides of a resource that goes back to its baseline.
const BASELINE_SIDES: [&str; 2] = ["the known-good side", "the new side"];

pub(crate) struct Model {
    pub(crate) steps: Vec<StepModel>,
    pub(crate) resources: Vec<Resource>,
    /// For each gate of the confirmation: whether it can turn healthy.
    pub(crate) confirm: Vec<bool>,
}

pub(crate) struct StepModel {
    pub(crate) kind: Kind,
    /// For each interlock and each gate: whether it can turn healthy.
    pub(crate) require: Vec<bool>,
    pub(crate) verify: Vec<bool>,
    /// Its changes do not show before its time-out.
    pub(crate) times_out: bool,
    /// People do not answer before their deadline.
    pub(crate) unanswered: bool,
    /// What its interlocks prove of the destinations that it gives traffic to.
    pub(crate) proven: Proven,
    /// A later step takes its traffic on, as the one after a page for maintenance does.
    pub(crate) superseded: bool,
    /// The steps whose future this one's end bears on: those that need it, its fallback, and what it stands in for.
    pub(crate) concerns: Vec<usize>,
    /// What it needs, and what that needs, itself included.
    pub(crate) cone: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Manual,
    Wait,
    /// Changes that move traffic, one for each stage; a weight of None stays as it is.
    Traffic {
        resource: usize,
        target: Vec<Option<u32>>,
        /// The parts that it moves in, in percent; the last is 100.
        stages: Vec<u32>,
    },
    /// A copy beside what is there, then the switch to it. The first loses data, if the plan says that the step does.
    Replace,
    /// One change whose effect the plan does not tell.
    Set,
}

/// What several steps may share: weights of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) members: Vec<String>,
    /// As the cutover left it: no traffic where the plan wants it back, all of it elsewhere.
    pub(crate) cutover: Vec<u32>,
}

impl Kind {
    /// Whether what a stage wants is in place, once so many changes have taken effect: what is not in stages has one, whose end
    /// is that nothing remains.
    pub(crate) fn holds(&self, effective: usize, stage: usize) -> bool {
        match self {
            Self::Traffic { .. } => effective > stage,
            _ => effective >= self.changes(),
        }
    }

    /// How many changes it takes.
    pub(crate) fn changes(&self) -> usize {
        match self {
            Self::Manual | Self::Wait => 0,
            Self::Traffic { stages, .. } => stages.len(),
            Self::Set => 1,
            Self::Replace => 2,
        }
    }
}

impl Model {
    /// Gates turn that some run may see healthy.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self::turning(plan, false, &|turns, gate, stand| turns.may_turn(gate, stand))
    }

    /// Gates turn that what the run puts back heals, also those that depend on who is faster.
    pub(crate) fn lucky(plan: &Plan) -> Self {
        Self::turning(plan, false, &|turns, gate, stand| turns.of(gate, stand) >= Turn::Race)
    }

    /// The same where whoever has to be faster is not.
    pub(crate) fn unlucky(plan: &Plan) -> Self {
        Self::turning(plan, true, &|turns, gate, stand| turns.of(gate, stand) == Turn::Surely)
    }

    fn turning(plan: &Plan, unlucky: bool, turns_in_it: &dyn Fn(&Turns<'_>, &Gate, Stand<'_>) -> bool) -> Self {
        let resources = resources(plan);
        let turns = Turns::new(plan);
        let can = |gates: &[Gate], stand: Stand<'_>| -> Vec<bool> {
            gates.iter().map(|gate| turns_in_it(&turns, gate, stand)).collect()
        };
        let cones = Cones::new(plan);
        let steps = plan.steps.iter().enumerate().map(|(index, (name, step))| StepModel {
            kind: kind(step, &resources),
            require: can(&step.require, Stand::Require(name)),
            verify: can(&step.verify, Stand::Verify(name)),
            times_out: unlucky && TimeOut::of(step) == TimeOut::Usually,
            unanswered: unlucky && has_no_time_to_answer(step),
            proven: Proven::of(plan, step),
            superseded: superseded(plan, &cones, index, step),
            concerns: concerns(plan, name, step),
            cone: cones.of(index),
        });
        let steps = steps.collect();
        let confirm = can(&plan.confirm, Stand::Confirm);
        Self { steps, resources: resources.into_values().collect(), confirm }
    }

    /// The destinations that a step gives traffic to.
    pub(crate) fn destinations(&self, step: usize) -> Vec<&str> {
        let Kind::Traffic { resource, target, .. } = &self.steps[step].kind else { return Vec::new() };
        let members = &self.resources[*resource].members;
        let raised = target.iter().zip(members).filter(|(weight, _)| weight.is_some_and(|weight| weight > 0));
        raised.map(|(_, member)| member.as_str()).collect()
    }
}

fn superseded(plan: &Plan, cones: &Cones, index: usize, step: &Step) -> bool {
    let on_same = |other: &usize| is_traffic(&plan.steps[*other]) && key(&plan.steps[*other]) == key(step);
    let later = |other: &usize| cones.is_behind(*other, index) && on_same(other);
    is_traffic(step) && (0..plan.steps.len()).filter(later).any(|other| !undoes(step, &plan.steps[other]))
}

fn falls_back_to(step: &Step, name: &Name) -> bool {
    matches!(&step.on_failure, OnFailure::Fallback(fallback) if fallback == name)
}

fn concerns(plan: &Plan, name: &Name, step: &Step) -> Vec<usize> {
    let needing = |name: &Name| {
        let needing: Vec<usize> =
            plan.steps.values().enumerate().filter(|(_, other)| other.needs.contains(name)).map(|(at, _)| at).collect();
        needing
    };
    let mut found = needing(name);
    if let OnFailure::Fallback(fallback) = &step.on_failure {
        found.extend(plan.steps.get_index_of(fallback));
    }
    for (index, (primary, _)) in plan.steps.iter().enumerate().filter(|(_, (_, other))| falls_back_to(other, name)) {
        found.push(index);
        found.extend(needing(primary));
    }
    found
}

fn is_traffic(step: &Step) -> bool {
    nature::of(step) == Nature::Traffic
}

fn kind(step: &Step, resources: &IndexMap<String, Resource>) -> Kind {
    match step.action.as_str() {
        MANUAL => return Kind::Manual,
        WAIT => return Kind::Wait,
        _ => {}
    }
    match resources.get_full(&key(step)).filter(|_| is_traffic(step)) {
        Some((resource, _, found)) => {
            let target = found.members.iter().map(|member| weight(step, member)).collect();
            let stages = if step.stages.is_empty() { vec![WHOLE] } else { step.stages.clone() };
            Kind::Traffic { resource, target, stages }
        }
        None if step.loses_data => Kind::Replace,
        None => Kind::Set,
    }
}

fn key(step: &Step) -> String {
    let place = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{} {} {}", place(&step.aws.account), place(&step.aws.region), step.resource)
}

/// The weight that a step wants for a member; None leaves it as it is.
fn weight(step: &Step, member: &str) -> Option<u32> {
    match &step.to {
        Target::Explicit(named) => match named.get(member).and_then(Value::as_u64) {
            Some(weight) => Some(u32::try_from(weight).unwrap_or(u32::MAX)),
            None => (step.others != Some(Others::Keep)).then_some(0),
        },
        _ if member == BASELINE_SIDES[0] => Some(WHOLE),
        _ => Some(0),
    }
}

/// What is shared is told by the plan's resource keys.
fn resources(plan: &Plan) -> IndexMap<String, Resource> {
    let mut found: IndexMap<String, Resource> = IndexMap::new();
    for step in plan.steps.values().filter(|step| is_traffic(step)) {
        let mut members: Vec<String> = match &step.to {
            Target::Explicit(Value::Object(named)) => named.keys().cloned().collect(),
            _ => BASELINE_SIDES.map(str::to_owned).to_vec(),
        };
        if step.others.is_some() && step.to != Target::Baseline {
            members.push(THE_OTHERS.to_owned());
        }
        let wanted: Vec<u32> = members.iter().map(|member| weight(step, member).unwrap_or(0)).collect();
        let most = wanted.iter().copied().max().unwrap_or(0);
        // Where all shall have the same, the first has none of it now.
        let equal = wanted.len() > 1 && wanted.iter().all(|weight| *weight == most);
        let resource = found.entry(key(step)).or_insert_with(|| Resource { members: Vec::new(), cutover: Vec::new() });
        for (index, (member, weight)) in members.into_iter().zip(wanted).enumerate() {
            let dark = match () {
                // Takes traffic away and gives none: the rest has none now, or there would be nothing to put back.
                () if most == 0 => member == THE_OTHERS,
                () if equal => index == 0,
                () => weight == most,
            };
            if !resource.members.contains(&member) {
                resource.members.push(member);
                resource.cutover.push(if dark { 0 } else { WHOLE });
            }
        }
    }
    found
}
