//! The checklist of a migration, from before its cutover to the weeks after a rollback. What the state shows is done with that as
//! its evidence, the rest is for people to tick.

use belay_core::migration::Migration;
use belay_plan::{
    checklist::{Item, Part},
    model::Plan,
};
use serde::Serialize;
use utoipa::ToSchema;

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
}

/// `after`: the report of the last rollback, where there was one in this attempt.
pub fn listing(plan: &Plan, state: &Migration, after: Option<&RunReport>) -> Vec<ListedItem> {
    let listed = |of: Item<'_>, item: CheckItem, known: bool| ListedItem {
        part: of.part,
        group: shown(of.group),
        item: if known { item } else { ticked(item, &state.ticks) },
        known,
        checks: of.checks,
    };
    let every = |of: Item<'_>| match known(of.id, plan, state) {
        Some((is_done, note)) => listed(of, item(of.id, is_done, of.text, note), true),
        None => listed(of, open(of.id, of.text, looks_at(of.checks)), false),
    };
    let Some(report) = after else { return plan.checklist_items().map(every).collect() };
    let before = plan.checklist_items().filter(|of| of.part != Part::AfterRollback).map(every);
    // The report has all of the last part, and what the run left to look at before it.
    let last = report.checklist.iter().map(|item| {
        let of = plan.checklist_items().find(|of| of.part == Part::AfterRollback && of.id == item.id.as_str());
        let (part, group) = (Part::AfterRollback, shown(of.map_or("this run", |of| of.group)));
        ListedItem { part, group, item: item.clone(), known: false, checks: &[] }
    });
    before.chain(last).collect()
}

fn looks_at(checks: &[&str]) -> String {
    match checks {
        [] => String::new(),
        checks => format!("readiness checks bear on it: {}", checks.join(", ")),
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
