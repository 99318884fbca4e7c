//! The checklist of a migration, from before its cutover to the weeks after a rollback. What the state or the readiness checks show
//! is done with that as its evidence, the rest is for people to tick.

mod evidence;

use belay_core::{migration::Migration, readiness::CheckVerdict};
use belay_plan::{
    checklist::{Item, Part},
    model::Plan,
};
use serde::Serialize;
use utoipa::ToSchema;

pub use self::evidence::{Check, Evaluated, ItemCheck, ItemEvidence};
use crate::{
    RunReport, Shown,
    checklist::{item, open, ticked},
    model::CheckItem,
    shown, words,
};

/// An item with its place on the list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ListedItem {
    pub part: Part,
    /// What it belongs to: `architecture`, `team`, `within days`; `plan` for a plan's own, `this run` for what a rollback left.
    pub group: Shown,
    #[serde(flatten)]
    pub item: CheckItem,
    /// Only Belay knows it: nobody ticks it.
    pub known: bool,
    /// The kinds of readiness checks that bear on it.
    #[schema(value_type = Vec<String>)]
    pub checks: &'static [&'static str],
    /// What these show; none where nothing was evaluated, or no check is of these kinds.
    pub evidence: Option<ItemEvidence>,
}

/// `after`: the report of the last rollback, where there was one in this attempt. `evaluated`: the readiness of the same plan.
pub fn listing(
    plan: &Plan,
    state: &Migration,
    after: Option<&RunReport>,
    evaluated: Option<&Evaluated>,
) -> Vec<ListedItem> {
    let every = |of: Item<'_>| every(&of, plan, state, evaluated);
    let Some(report) = after else { return plan.checklist_items().map(every).collect() };
    let before = plan.checklist_items().filter(|of| of.part != Part::AfterRollback).map(every);
    // The report has all of the last part, and what the run left to look at before it.
    let last = report.checklist.iter().map(|item| {
        let of = plan.checklist_items().find(|of| of.part == Part::AfterRollback && of.id == item.id.as_str());
        let (part, group) = (Part::AfterRollback, shown(of.map_or("this run", |of| of.group)));
        ListedItem { part, group, item: item.clone(), known: false, checks: &[], evidence: None }
    });
    before.chain(last).collect()
}

fn every(of: &Item<'_>, plan: &Plan, state: &Migration, evaluated: Option<&Evaluated>) -> ListedItem {
    let listed = |item: CheckItem, known: bool, evidence| ListedItem {
        part: of.part,
        group: shown(of.group),
        item,
        known,
        checks: of.checks,
        evidence,
    };
    if let Some((is_done, note)) = known(of.id, plan, state) {
        return listed(item(of.id, is_done, of.text, note), true, None);
    }
    let person = |note: String| ticked(open(of.id, of.text, note), &state.ticks);
    match evaluated.and_then(|evaluated| ItemEvidence::of(of, plan, evaluated)) {
        None => listed(person(looks_at(of.checks, evaluated.is_some())), false, None),
        Some((evidence, note)) if evidence.shows_it() => {
            listed(item(of.id, true, of.text, note), false, Some(evidence))
        }
        Some((evidence, note)) if evidence.verdict == CheckVerdict::NoGo => {
            // It stays on record, and counts again once the check does not contradict it.
            let contradicted = person(String::new()).ticked;
            let note = match &contradicted {
                Some(tick) => format!("{note}; ticked by {}, which this contradicts: {}", tick.by, tick.reason),
                None => note,
            };
            let open = open(of.id, of.text, note);
            listed(CheckItem { ticked: contradicted, ..open }, false, Some(evidence))
        }
        Some((evidence, note)) => listed(person(note), false, Some(evidence)),
    }
}

fn looks_at(checks: &[&str], is_evaluated: bool) -> String {
    match (checks, is_evaluated) {
        ([], _) => String::new(),
        (checks, false) => format!("readiness checks bear on it: {}", checks.join(", ")),
        (checks, true) => format!("the plan has nothing that these readiness checks are about: {}", checks.join(", ")),
    }
}

/// What the state shows by itself, and its evidence.
fn known(id: &str, plan: &Plan, state: &Migration) -> Option<(bool, String)> {
    Some(match id {
        "armed" => match state.armed {
            Some(at) => (true, format!("at {at:.0}, plan {}", state.plan_sha256.get(..12).unwrap_or_default())),
            None => (false, "`belay arm` captures the baseline and begins to watch".to_owned()),
        },
        "cutover_marked" => match state.cutover {
            Some(at) => (true, format!("at {at:.0}")),
            None => (false, "`belay cutover` marks it".to_owned()),
        },
        "awake" => match (state.armed, &state.muted) {
            (None, _) => (false, "nothing is watched: the migration is not armed".to_owned()),
            (Some(_), Some(mute)) => (false, format!("muted until {:.0} by {}: {}", mute.until, mute.by, mute.reason)),
            (Some(_), None) => (true, format!("{} watched", words::count(plan.triggers.len(), "trigger"))),
        },
        "quiet" => match (state.cutover, &state.incident) {
            (_, Some(incident)) => {
                (false, format!("incident {} is open: {}", incident.id, incident.triggers.join(", ")))
            }
            (None, None) => (false, "the cutover is not marked yet".to_owned()),
            (Some(_), None) => (true, "no incident is open".to_owned()),
        },
        "disarmed" => match (state.cutover, state.armed) {
            (Some(_), None) => (true, "nothing is watched any more".to_owned()),
            (Some(_), Some(_)) => (false, "`belay disarm --reason \"...\"`, when the window is over".to_owned()),
            (None, _) => (false, "the cutover is not marked yet".to_owned()),
        },
        _ => return None,
    })
}
