//! What a proof rests on beside the plan: what only the night can show.

use std::time::Duration;

use belay_plan::{
    duration,
    model::{Name, Plan, Step},
};

use super::{
    model::{Kind, Model},
    properties::Property,
    sides::Proven,
    times::TimeOut,
    turns::{Stand, Turns},
};
use crate::{nature::is_fence, order::Cones, rehearsal::usual};

fn text(time: Duration) -> String {
    duration::format(Duration::from_secs(time.as_secs()))
}

/// What is taken to be so, although the plan leaves room for it not to be: the property is then not proven, but assumed.
pub(super) fn assumes(plan: &Plan, model: &Model, property: Property) -> Vec<String> {
    let steps = || plan.steps.iter().zip(&model.steps).enumerate();
    match property {
        Property::Proof => {
            steps().filter_map(|(index, ((name, _), step))| unmatched(model, index, name, &step.proven)).collect()
        }
        Property::Succeeds => plan.steps.iter().filter_map(|(name, step)| in_time(name, step)).collect(),
        _ => Vec::new(),
    }
}

/// What interlocks are taken to prove, where nothing in the plan says that they look at the destinations.
fn unmatched(model: &Model, index: usize, name: &Name, proven: &Proven) -> Option<String> {
    let Proven::Assumed(signals) = proven else { return None };
    if !matches!(model.steps[index].kind, Kind::Traffic { .. }) {
        return None;
    }
    let to = model.destinations(index).join(", ");
    Some(format!("{} of `{name}` shows that {to} is healthy", signals.join(", ")))
}

fn in_time(name: &Name, step: &Step) -> Option<String> {
    let most = usual::of_step(step).most;
    (TimeOut::of(step) == TimeOut::Sometimes).then(|| {
        format!(
            "`{name}` is over within its time-out of {}: `{}` can take {}",
            text(step.timeout),
            step.action,
            text(most)
        )
    })
}

/// What every plan of this kind needs of the world and of people.
pub(super) fn rests_on(plan: &Plan, property: Property) -> Vec<String> {
    match property {
        Property::Succeeds => {
            signals(plan).chain(plan.steps.iter().filter_map(|(name, step)| answers(name, step))).collect()
        }
        Property::Loss => {
            plan.steps.iter().filter(|(_, step)| step.loses_data).flat_map(|(name, _)| loss(plan, name)).collect()
        }
        _ => Vec::new(),
    }
}

/// Signals that have to show in time that a step is in place.
fn signals(plan: &Plan) -> std::vec::IntoIter<String> {
    let turns = Turns::new(plan);
    let mut found: Vec<String> = Vec::new();
    let of_steps =
        plan.steps.iter().flat_map(|(name, step)| step.verify.iter().map(move |gate| (gate, Stand::Verify(name))));
    for (gate, stand) in of_steps.chain(plan.confirm.iter().map(|gate| (gate, Stand::Confirm))) {
        let Some((lag, by)) = turns.rests_on_lag(gate, stand) else { continue };
        let steps = by.iter().map(|set| set.join(" and ")).collect::<Vec<_>>().join(" or ");
        let what = format!("`{}` shows within {} that {steps} is in place", gate.signal, text(lag));
        if !found.contains(&what) {
            found.push(what);
        }
    }
    found.into_iter()
}

fn answers(name: &Name, step: &Step) -> Option<String> {
    let approve = step.approve.as_ref()?;
    let within = approve.within.map_or(String::new(), |within| format!(" within {}", text(within)));
    Some(match approve.quorum {
        1 => format!("1 person ({}) approves `{name}`{within}", approve.role),
        more => format!("{more} people ({}) approve `{name}`{within}", approve.role),
    })
}

/// What is lost is what the plan and its people allow if nobody writes any more, and if it is measured right.
fn loss(plan: &Plan, data: &Name) -> Vec<String> {
    let cones = Cones::new(plan);
    let index = |name: &Name| plan.steps.get_index_of(name);
    let before = |name: &Name| index(data).zip(index(name)).is_some_and(|(data, fence)| cones.is_behind(data, fence));
    let fences = plan.steps.iter().filter(|(name, step)| before(name) && is_fence(name, step, Some(data)));
    let mut found: Vec<String> = fences
        .map(|(name, step)| {
            let since = if step.fences.is_empty() { "by its name and settings" } else { "as the plan says (`fences`)" };
            format!("`{name}` stops everything that writes to what `{data}` replaces, {since}")
        })
        .collect();
    if let Some(rpo) = plan.objectives.rpo {
        found.push(format!(
            "what `{data}` would lose is measured right, so that more than {} is asked about",
            text(rpo)
        ));
    }
    found
}
