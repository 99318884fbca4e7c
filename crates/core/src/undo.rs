//! Undoing a rollback that was a mistake: the before-images of its steps are put back.
//!
//! An undo is a run like any other, of a plan that is derived from the run it undoes and journaled whole: each step
//! returns to what was observed right before its first change, in the opposite order. Interlocks and gates of the plan
//! say when the known-good state is reached, so none of them applies; a share of traffic still rises only with proof.

use std::collections::BTreeSet;

use belay_plan::model::{Name, OnFailure, Plan, Step, Target};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::{
    change::{Baseline, BaselineEntry, Doc, Effect, Proof, Share},
    proof::rises,
    run::{Phase, Run, StepState},
    steps::MANUAL,
};

/// What undoing a run comes to.
pub(crate) struct Undoing {
    pub(crate) plan: Plan,
    pub(crate) baseline: Baseline,
    /// What stays as the run left it, each with the reason.
    pub(crate) left: Vec<String>,
}

/// None when nothing of the run can be put back.
pub(crate) fn undoing(run: &Run, at: Timestamp) -> Option<Undoing> {
    let mut steps: IndexMap<Name, Step> = IndexMap::new();
    let mut images = IndexMap::new();
    let mut left = Vec::new();
    for (name, state) in &run.steps {
        let plan = &run.plan.steps[name];
        match way_back(plan, state) {
            WayBack::None => {}
            WayBack::ByHand => drop(steps.insert(name.clone(), by_hand(plan))),
            WayBack::Barred(why) => left.push(format!("{name} ({why})")),
            WayBack::To(before) => {
                let entry =
                    BaselineEntry { action: plan.action.clone(), resource: plan.resource.clone(), doc: before.clone() };
                images.insert(name.clone(), entry);
                steps.insert(name.clone(), put_back(plan));
            }
        }
    }
    let names: Vec<Name> = steps.keys().cloned().collect();
    for name in &names {
        let needed_by = |other: &&Name| *other != name && depends_on(&run.plan, other, name);
        let needs = names.iter().filter(needed_by).cloned().collect();
        if let Some(step) = steps.get_mut(name) {
            step.needs = needs;
        }
    }
    steps.reverse();
    let baseline = Baseline {
        migration: run.plan.migration.clone(),
        captured: at,
        plan_sha256: run.plan_sha256.clone(),
        steps: images,
    };
    let plan = Plan { steps, confirm: Vec::new(), window: None, ..Plan::clone(&run.plan) };
    (!plan.steps.is_empty()).then_some(Undoing { plan, baseline, left })
}

/// What of a run an undo leaves as it is, each with the reason.
pub fn left(run: &Run) -> Vec<String> {
    let barred = run.steps.iter().filter_map(|(name, state)| match way_back(&run.plan.steps[name], state) {
        WayBack::Barred(why) => Some(format!("{name} ({why})")),
        WayBack::None | WayBack::ByHand | WayBack::To(_) => None,
    });
    barred.collect()
}

/// Destinations that an undo gives traffic to, and whose health the rollback did not see. No interlock of the plan proves that side, so a
/// person may have to take responsibility for each by name.
pub fn unproven(run: &Run) -> Vec<String> {
    let put_back =
        run.steps.iter().filter(|(name, state)| matches!(way_back(&run.plan.steps[*name], state), WayBack::To(_)));
    let mut found = Vec::new();
    for (name, state) in put_back {
        let mut seen = BTreeSet::new();
        for effect in state.sent.iter().flat_map(|change| &change.effects) {
            let Effect::Traffic { shares } = effect else { continue };
            let back = |share: &Share| Share { before: share.after, after: share.before, ..share.clone() };
            let shares: Vec<Share> = shares.iter().map(back).collect();
            for share in shares.iter().filter(|share| rises(share, &shares)) {
                let Proof::None { why } = &share.proof else { continue };
                if seen.insert(share.destination.clone()) {
                    found.push(format!(
                        "{name}: the undo halts there where nothing proves that {} is healthy (at the rollback: {why}); `belay override` \
                         takes responsibility for it",
                        share.destination
                    ));
                }
            }
        }
    }
    found
}

/// Whether an undo would do anything: `undo` is offered by this, and refused by it.
pub(crate) fn has_way_back(run: &Run) -> bool {
    let ways = run.steps.iter().map(|(name, state)| way_back(&run.plan.steps[name], state));
    ways.into_iter().any(|way| matches!(way, WayBack::ByHand | WayBack::To(_)))
}

/// How an undo takes a step back.
enum WayBack<'r> {
    /// It changed nothing, or nobody saw what was there before.
    None,
    ByHand,
    To(&'r Doc),
    Barred(&'static str),
}

fn way_back<'r>(plan: &Step, state: &'r StepState) -> WayBack<'r> {
    if plan.action == MANUAL && state.phase == Phase::Done {
        return WayBack::ByHand;
    }
    let Some(before) = state.before.as_deref().filter(|_| state.touched) else { return WayBack::None };
    kept_out(plan, state).map_or(WayBack::To(before), WayBack::Barred)
}

/// Why a step's before-image is not put back.
fn kept_out(plan: &Step, state: &StepState) -> Option<&'static str> {
    let loses = |effect: &Effect| matches!(effect, Effect::LosesData { .. });
    let changes = state.planned.iter().chain(&state.sent);
    if plan.loses_data || changes.flat_map(|change| &change.effects).any(loses) {
        return Some("it replaced data; going back would lose what was written since, and is for a person to do");
    }
    (plan.to == Target::Own).then_some("this action has no state to go back to")
}

fn put_back(plan: &Step) -> Step {
    Step {
        to: Target::Baseline,
        others: None, // what Belay itself has added had no traffic before
        require: Vec::new(),
        verify: Vec::new(),
        on_failure: OnFailure::Halt,
        approve: None,
        during: Vec::new(), // what was done is undone, whatever the phase
        stages: Vec::new(),
        ..plan.clone()
    }
}

fn by_hand(plan: &Step) -> Step {
    let done = plan.with["instructions"].as_str().unwrap_or_default();
    let with = serde_json::json!({ "instructions": format!("Undo what was done by hand: {done}") });
    Step { with, ..put_back(plan) }
}

/// Whether `step` acts after `other`: because it needs it, or stands in for it, directly or by way of others.
fn depends_on(plan: &Plan, step: &str, other: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![step];
    while let Some(name) = open.pop() {
        for earlier in before(plan, name) {
            if earlier == other {
                return true;
            }
            if seen.insert(earlier) {
                open.push(earlier);
            }
        }
    }
    false
}

/// What a step acts after: what it needs, what has stood in for that, and what it stands in for itself.
fn before<'p>(plan: &'p Plan, step: &'p str) -> impl Iterator<Item = &'p str> {
    let needs = plan.steps.get(step).into_iter().flat_map(|step| &step.needs).map(String::as_str);
    let needs = needs.flat_map(|need| [Some(need), plan.steps.get(need).and_then(fallback_of)]).flatten();
    let stood_in_for = plan.steps.iter().filter(move |(_, failed)| fallback_of(failed) == Some(step));
    needs.chain(stood_in_for.map(|(name, _)| name.as_str()))
}

fn fallback_of(step: &Step) -> Option<&str> {
    match &step.on_failure {
        OnFailure::Fallback(name) => Some(name),
        OnFailure::Halt | OnFailure::Continue => None,
    }
}
