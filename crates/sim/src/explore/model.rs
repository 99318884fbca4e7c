//! A plan as the explored world sees it: what each step's resource is like, and which gates can turn at all. It follows
//! from the plan alone, and is generic over actions.

use std::collections::BTreeSet;

use belay_plan::{
    builtin::{MANUAL, WAIT},
    model::{Condition, Gate, Name, OnFailure, Others, Plan, Step, Target},
};
use indexmap::IndexMap;
use serde_json::Value;

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
    pub(crate) fn new(plan: &Plan) -> Self {
        let resources = resources(plan);
        let symptoms = symptoms(plan);
        let steps = plan.steps.iter().map(|(name, step)| {
            let healed = others_may_heal(plan, name);
            let require = step.require.iter().map(|gate| fits(gate) && (healed || !symptoms.contains(&gate.signal)));
            StepModel {
                kind: kind(step, &resources),
                require: require.collect(),
                verify: step.verify.iter().map(fits).collect(),
                concerns: concerns(plan, name, step),
                cone: cone(plan, name),
            }
        });
        let steps = steps.collect();
        let confirm = plan.confirm.iter().map(fits).collect();
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

/// A gate opens before its first reading, so what has to hold for the whole of `within` cannot.
pub(crate) fn fits(gate: &Gate) -> bool {
    gate.hold.is_zero() || gate.hold < gate.within
}

/// What is red whenever a trigger of the plan fires: it stays so until something has been put back.
pub(crate) fn symptoms(plan: &Plan) -> BTreeSet<Name> {
    let mut triggers = plan.triggers.values().map(|trigger| surely_red(&trigger.when));
    let first = triggers.next().unwrap_or_default();
    triggers.fold(first, |common, red| common.intersection(&red).cloned().collect())
}

fn surely_red(condition: &Condition) -> BTreeSet<Name> {
    match condition {
        Condition::Signal(name) => BTreeSet::from([name.clone()]),
        Condition::All(parts) => parts.iter().flat_map(surely_red).collect(),
        Condition::Any(parts) | Condition::AtLeast { of: parts, .. } => {
            let mut parts = parts.iter().map(surely_red);
            let first = parts.next().unwrap_or_default();
            parts.fold(first, |common, red| common.intersection(&red).cloned().collect())
        }
    }
}

/// Whether some other step may have changed something before this one's interlocks are decided: one that does not wait
/// for it.
pub(crate) fn others_may_heal(plan: &Plan, step: &Name) -> bool {
    let index = plan.steps.get_index_of(step);
    let waits_for_it = |other: &Name| index.is_some_and(|index| cone(plan, other).contains(&index));
    plan.steps.iter().any(|(other, found)| other != step && found.action != WAIT && !waits_for_it(other))
}

/// A step with what it needs, and what that needs; a fallback comes after its step.
fn cone(plan: &Plan, step: &Name) -> Vec<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![step];
    while let Some(name) = open.pop() {
        if let (Some(index), Some(step)) = (plan.steps.get_index_of(name), plan.steps.get(name))
            && found.insert(index)
        {
            open.extend(&step.needs);
            open.extend(plan.steps.iter().filter(|(_, other)| falls_back_to(other, name)).map(|(other, _)| other));
        }
    }
    found.into_iter().collect()
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

/// They return to a baseline without weights: what is registered (which these steps prove healthy by themselves), and who
/// writes. A plan does not tell.
const WITHOUT_WEIGHTS: [&str; 2] = ["alb.targets", "rds.failover"];

fn is_traffic(step: &Step) -> bool {
    match &step.to {
        Target::Baseline => !WITHOUT_WEIGHTS.contains(&step.action.as_str()),
        Target::Explicit(Value::Object(members)) => !members.is_empty() && members.values().all(Value::is_u64),
        Target::Explicit(_) | Target::Own => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn red(condition: &Condition) -> Vec<Name> {
        surely_red(condition).into_iter().collect()
    }

    #[test]
    fn what_is_surely_red_follows_from_the_condition() {
        let signal = |name: &str| Condition::Signal(name.to_owned());
        assert_eq!(red(&Condition::All(vec![signal("a"), signal("b")])), ["a", "b"]);
        assert!(red(&Condition::Any(vec![signal("a"), signal("b")])).is_empty());
        let both = Condition::All(vec![signal("c"), signal("a")]);
        assert_eq!(red(&Condition::Any(vec![signal("a"), both])), ["a"]);
    }
}
