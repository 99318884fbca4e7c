//! How long a step is expected to take: the one place that dry runs, drills and the time left of a run go by.
//!
//! What a step's changes take comes from what is on record, where the same step (by its name, action and kind of resource)
//! has been carried out before, in a rollback or a drill; else from the actuator's own default. The holding times of gates
//! come from the plan. A person's time is not known and counts for nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use belay_core::{
    change::Change,
    migration::Migration,
    past::{TIMES_MAX, Time},
    run::StepState,
};
use belay_plan::{
    duration,
    model::{Gate, Name, Plan, Step},
};
use belay_ports::{Journal, ReadFailure};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{history::folded, scope::is_builtin};

/// What the steps of a plan took, the latest first; steps that were never carried out are not in it.
pub type Measured = HashMap<Name, Vec<Took>>;

/// What a step took in one run, from its first send until its target held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Took {
    pub time: Duration,
    /// The ids of the changes that took effect in it: a restore test renames nothing. Empty: all that there are.
    pub changes: Vec<String>,
}

impl From<Duration> for Took {
    fn from(time: Duration) -> Self {
        Self { time, changes: Vec::new() }
    }
}

impl From<Time> for Took {
    fn from(Time { time, changes }: Time) -> Self {
        Self { time, changes }
    }
}

impl Took {
    fn has(&self, change: &Change) -> bool {
        self.changes.is_empty() || self.changes.contains(&change.id)
    }
}

/// Where an expected time comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedFrom {
    /// The median of what is on record.
    Measured,
    /// The actuator's own default, or the plan's waiting times alone.
    #[default]
    Default,
}

/// How long something is expected to take, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) time: Duration,
    pub(crate) from: ExpectedFrom,
    /// How many runs were measured.
    pub(crate) runs: usize,
}

/// What is on record of a plan's steps. `relatives`: migrations whose records count where `own` has none of a step.
pub fn measured<'m>(
    plan: &Plan,
    own: &'m Migration,
    relatives: impl Iterator<Item = &'m Migration> + Clone,
) -> Measured {
    let all = std::iter::once(own).chain(relatives);
    let times =
        |name: &Name, step: &Step| all.clone().map(|state| times(state, name, step)).find(|times| !times.is_empty());
    let times = |name: &Name, step: &Step| times(name, step).or_else(|| Some(vec![tested(own, name, step)?]));
    plan.steps.iter().filter_map(|(name, step)| Some((name.clone(), times(name, step)?))).collect()
}

fn times(state: &Migration, name: &str, step: &Step) -> Vec<Took> {
    let present = state.run.iter().filter(|run| run.ended.is_some());
    let runs = present.chain(state.past_runs.iter().rev().map(Arc::as_ref));
    let kept = runs.filter_map(|run| run.time_of(name, step));
    kept.chain(state.forgotten.times(name, step).cloned()).take(TIMES_MAX).map(Took::from).collect()
}

/// Where a daemon has the journal, a restore test is no run in it, and what it took is on record all the same.
fn tested(state: &Migration, name: &str, step: &Step) -> Option<Took> {
    let tested = &state.restore_tests.get(name).filter(|test| test.is_of(step))?.tested;
    Some(Took { time: Duration::from_secs(tested.took_s?), changes: tested.changes.clone() })
}

/// The other migrations that are made from the same plan file: with an overlay, or without. They are known by their names:
/// `shop` and `shop-staging`.
///
/// # Errors
/// [`ReadFailure`] when the journal cannot be read. A relative that this version does not understand counts for nothing.
pub async fn relatives(journal: &dyn Journal, migration: &str) -> Result<Vec<Arc<Migration>>, ReadFailure> {
    let extends = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'));
    let mut found = Vec::new();
    for name in journal.streams().await? {
        if !extends(&name, migration) && !extends(migration, &name) {
            continue;
        }
        let Ok(state) = folded(journal, &name).await else { continue };
        let of_file = |name: &str| {
            let plan = state.plan.as_deref();
            plan.is_some_and(|plan| plan.overlaid.as_ref().map_or(plan.migration == name, |o| o.file_migration == name))
        };
        let file = if extends(&name, migration) { migration } else { &name };
        if of_file(file) {
            found.push(Arc::new(state));
        }
    }
    Ok(found)
}

/// How long a step takes when all goes well. `changes`: what there is to do.
pub(crate) fn expected(name: &str, step: &Step, changes: &[Change], measured: &Measured) -> Expected {
    let wait = match step.with["for"].as_str() {
        Some(text) if is_builtin(&step.action) => duration::parse(text).unwrap_or_default(),
        _ => Duration::ZERO,
    };
    let nothing_to_do = changes.is_empty() && !is_builtin(&step.action);
    let interlocks = if nothing_to_do { &[][..] } else { &step.require };
    let (calls, runs) = match measured.get(name).filter(|times| !nothing_to_do && !times.is_empty()) {
        Some(times) => (median(times) + unmeasured(times, changes), times.len()),
        None => (changes.iter().map(|change| change.expected).sum(), 0),
    };
    let from = if runs > 0 { ExpectedFrom::Measured } else { ExpectedFrom::Default };
    // What was measured has the gates between the stages in it.
    let rounds = if runs > 0 { 1 } else { rounds(step, changes.len()) };
    let gates = (longest_hold(interlocks) + longest_hold(&step.verify)) * rounds;
    Expected { time: gates + calls + wait, from, runs }
}

/// How long a step takes that has something to do when it comes to it, though it may be in place now. `changes`: what there would be
/// to do now. None where neither a run nor the changes show it.
pub(crate) fn expected_when_needed(
    name: &str,
    step: &Step,
    changes: &[Change],
    measured: &Measured,
) -> Option<Expected> {
    match measured.get(name).filter(|times| !times.is_empty()) {
        Some(times) => {
            let calls = median(times) + unmeasured(times, changes);
            let time = calls + longest_hold(&step.require) + longest_hold(&step.verify);
            Some(Expected { time, from: ExpectedFrom::Measured, runs: times.len() })
        }
        // How long a wait takes stands in the plan; how long a person takes does not.
        None if changes.is_empty() && step.action != "wait" => None,
        None => Some(expected(name, step, changes, measured)),
    }
}

/// What is left of a step whose changes are not all in effect.
pub(crate) fn expected_left(
    name: &str,
    step: &Step,
    state: &StepState,
    spent: Duration,
    measured: &Measured,
) -> Duration {
    let open: Vec<Change> =
        state.planned.iter().filter(|change| !state.effective.contains(&change.id)).cloned().collect();
    let none = Measured::new();
    // What was measured is of the step as a whole, so it says nothing of its second half.
    let measured = if state.effective.is_empty() { measured } else { &none };
    // Before the first look nobody knows what is to do: most likely what was to do before.
    let unseen = state.planned.is_empty().then(|| measured.get(name)).flatten().map(|times| median(times));
    let holds = |calls: Duration| longest_hold(&step.require) + calls + longest_hold(&step.verify);
    let time = unseen.map_or_else(|| expected(name, step, &open, measured).time, holds);
    time.saturating_sub(spent).max(longest_hold(&step.verify))
}

/// How often the gates of a step have to hold: with stages, after each change.
pub(crate) fn rounds(step: &Step, changes: usize) -> u32 {
    if step.stages.is_empty() { 1 } else { u32::try_from(changes.max(1)).unwrap_or(u32::MAX) }
}

pub(crate) fn longest_hold(gates: &[Gate]) -> Duration {
    gates.iter().map(|gate| gate.hold).max().unwrap_or_default()
}

/// What the changes take by default that none of the runs has made.
fn unmeasured(times: &[Took], changes: &[Change]) -> Duration {
    let missing = changes.iter().filter(|change| !times.iter().any(|took| took.has(change)));
    missing.map(|change| change.expected).sum()
}

/// Of an even number the longer one in the middle: rather too long than too short.
fn median(times: &[Took]) -> Duration {
    let mut sorted: Vec<Duration> = times.iter().map(|took| took.time).collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let seconds = |times: &[u64]| times.iter().map(|time| Duration::from_secs(*time).into()).collect::<Vec<Took>>();
        assert_eq!(median(&seconds(&[90, 10, 20])), Duration::from_secs(20));
        assert_eq!(median(&seconds(&[30, 10])), Duration::from_secs(30));
        assert_eq!(median(&[]), Duration::ZERO);
    }

    #[test]
    fn a_change_that_no_run_has_made_counts_by_its_default() {
        let change = |id: &str, seconds| Change {
            id: id.to_owned(),
            title: String::new(),
            before: serde_json::Value::Null,
            after: serde_json::Value::Null,
            call: String::new(),
            args: serde_json::Value::Null,
            effects: Vec::new(),
            keeps: None,
            repeats: belay_core::change::Repeats::Converges,
            expected: Duration::from_secs(seconds),
        };
        let changes = [change("restore", 900), change("rename", 180)];
        let took = |changes: &[&str]| Took {
            time: Duration::from_secs(600),
            changes: changes.iter().map(|id| (*id).to_owned()).collect(),
        };
        let of = |times: &[Took]| unmeasured(times, &changes).as_secs();
        assert_eq!(of(&[took(&["restore"])]), 180, "of a restore test");
        assert_eq!(of(&[took(&["restore"]), took(&["restore", "rename"])]), 0);
        assert_eq!(of(&[took(&[])]), 0);
    }
}
