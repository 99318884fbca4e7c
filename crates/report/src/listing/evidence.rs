//! What the readiness checks show of an item. Pure.

use belay_core::readiness::CheckVerdict;
use belay_plan::{checklist::Item, model::Plan};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Shown, shown, words};

/// Checks that an item lists, the worst first; more are counted.
const CHECKS_MAX: usize = 10;

/// Checks that its note contains.
const NOTED_MAX: usize = 2;

/// An evaluation of the readiness, as far as the list goes by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    pub at: Timestamp,
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its kind.
    pub id: String,
    /// Of a step, and not of the plan as a whole, a signal or a channel.
    pub of_step: bool,
    pub verdict: CheckVerdict,
    /// What was found, and what a person does about it, as one line.
    pub line: String,
}

/// What the readiness checks of an item show.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ItemEvidence {
    /// The worst of the checks.
    pub verdict: CheckVerdict,
    /// When they were made.
    pub at: Timestamp,
    /// The worst first.
    pub checks: Vec<ItemCheck>,
    pub left_out: usize,
    /// What the item is about was checked at all: where all is `go`, it is done.
    pub proves: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ItemCheck {
    pub id: Shown,
    pub verdict: CheckVerdict,
    pub found: Shown,
}

impl ItemEvidence {
    /// With the note of the item. None: no check bears on it.
    pub(super) fn of(item: &Item<'_>, plan: &Plan, evaluated: &Evaluated) -> Option<(Self, String)> {
        let first = *item.checks.first()?;
        let mut found: Vec<&Check> = evaluated.checks.iter().filter(|check| bears(item, check)).collect();
        found.sort_by_key(|check| std::cmp::Reverse(check.verdict));
        let verdict = found.first()?.verdict;
        let note = note(&found, verdict, evaluated.at);
        // Without an objective there is nothing to keep.
        let has_objective = plan.objectives.rto.is_some() || plan.objectives.rpo.is_some();
        let proves = found.iter().any(|check| check.id == first) && (first != "rto" || has_objective);
        let listed = found.iter().take(CHECKS_MAX).map(|check| ItemCheck {
            id: shown(&check.id),
            verdict: check.verdict,
            found: shown(&check.line),
        });
        let (checks, left_out) = (listed.collect(), found.len().saturating_sub(CHECKS_MAX));
        Some((Self { verdict, at: evaluated.at, checks, left_out, proves }, note))
    }

    pub(super) fn shows_it(&self) -> bool {
        self.proves && self.verdict == CheckVerdict::Go
    }
}

/// What keeps a step from being carried out is of many kinds, each of a system.
fn bears(item: &Item<'_>, check: &Check) -> bool {
    let stands_in_the_way = check.of_step && check.verdict >= CheckVerdict::Unknown;
    item.checks.contains(&check.id.as_str()) || stands_in_the_way && item.checks.contains(&"step")
}

/// `2 checks are go at 2026-03-01T10:00:00Z: errors: healthy: ...`, or what is not go. The worst are first.
fn note(found: &[&Check], worst: CheckVerdict, at: Timestamp) -> String {
    if worst == CheckVerdict::Go {
        let are = if found.len() == 1 { "is" } else { "are" };
        let lines = found.iter().map(|check| check.line.clone());
        return format!("{} {are} go at {at:.0}: {}", words::count(found.len(), "check"), some(lines));
    }
    let bad = found.iter().filter(|check| check.verdict != CheckVerdict::Go);
    let lines = bad.map(|check| format!("{}: {}", check.verdict.word(), check.line));
    format!("checked at {at:.0}: {}", some(lines))
}

fn some(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    let told = lines.iter().take(NOTED_MAX).map(String::as_str).collect::<Vec<_>>().join("; ");
    match lines.len().saturating_sub(NOTED_MAX) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use belay_plan::{catalogue::Catalogue, checklist::ITEMS};

    use super::*;

    const PLAN: &str =
        "belay: 1\nmigration: shop\nsteps: { people: { action: manual, with: { instructions: Do it. } } }\n";

    fn found(item: &str, plan: &str, checks: &[(&str, CheckVerdict)]) -> Option<(bool, String)> {
        let plan =
            belay_plan::load("plan.yaml", plan, &Catalogue::new(Vec::new(), Vec::new())).expect("a valid plan").plan;
        let checks = checks.iter().map(|(id, verdict)| Check {
            id: (*id).to_owned(),
            of_step: *id == "renamable",
            verdict: *verdict,
            line: format!("{id}: found"),
        });
        let evaluated = Evaluated { at: "2026-05-05T02:00:00Z".parse().unwrap(), checks: checks.collect() };
        let item = ITEMS.iter().find(|one| one.id == item).expect("an item");
        ItemEvidence::of(item, &plan, &evaluated).map(|(evidence, note)| (evidence.shows_it(), note))
    }

    #[test]
    fn all_checks_of_an_item_have_to_be_go_and_what_it_is_about_was_checked() {
        use CheckVerdict::{Go, NoGo, Unknown, Warn};
        let shows = |item: &str, checks: &[(&str, CheckVerdict)]| found(item, PLAN, checks).map(|(shows, _)| shows);
        assert_eq!(shows("capacity", &[("capacity", Go), ("interlock", Go), ("signal", NoGo)]), Some(true));
        assert_eq!(shows("capacity", &[("interlock", Go)]), Some(false), "health is no capacity");
        for verdict in [Warn, Unknown, NoGo] {
            assert_eq!(shows("capacity", &[("capacity", Go), ("destination", verdict)]), Some(false));
        }
        assert_eq!(shows("capacity", &[("signal", Go)]), None);
        assert_eq!(shows("pattern", &[("step", Go)]), None, "that is for people alone");
        // What a system finds of a step stands in its way, whatever it is called.
        assert_eq!(shows("steps_documented", &[("step", Go), ("renamable", Warn)]), Some(true));
        assert_eq!(shows("steps_documented", &[("step", Go), ("renamable", NoGo)]), Some(false));
    }

    #[test]
    fn without_an_objective_there_is_nothing_to_keep() {
        let checks = [("rto", CheckVerdict::Go)];
        assert_eq!(found("objectives", PLAN, &checks).map(|(shows, _)| shows), Some(false));
        let with = format!("{PLAN}objectives: {{ rto: 5m }}\n");
        assert_eq!(found("objectives", &with, &checks).map(|(shows, _)| shows), Some(true));
    }

    #[test]
    fn a_note_has_the_worst_first_and_an_end() {
        use CheckVerdict::{Go, NoGo, Warn};
        let note = |checks: &[(&str, CheckVerdict)]| found("monitoring", PLAN, checks).expect("evidence").1;
        let at = "2026-05-05T02:00:00Z";
        assert_eq!(note(&[("signal", Go)]), format!("1 check is go at {at}: signal: found"));
        assert_eq!(
            note(&[("signal", Go), ("signal", Go), ("signal", Go)]),
            format!("3 checks are go at {at}: signal: found; signal: found; and 1 more")
        );
        assert_eq!(
            note(&[("signal", Go), ("detection", Warn), ("alarm_data", NoGo)]),
            format!("checked at {at}: no-go: alarm_data: found; warn: detection: found")
        );
    }
}
