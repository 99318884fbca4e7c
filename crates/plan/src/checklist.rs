//! What people see to around a cutover, beside what Belay does: the list of every migration, and the items of a plan's own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{Name, Plan};

/// The parts of the list, in the order of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChecklistPart)] // another schema of the daemon's interface is called Part
pub enum Part {
    Before,
    During,
    After,
    AfterRollback,
}

impl Part {
    pub const ALL: [Self; 4] = [Self::Before, Self::During, Self::After, Self::AfterRollback];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
            Self::AfterRollback => "after_rollback",
        }
    }
}

/// What a plan adds to the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checklist {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<OwnItem>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub during: Vec<OwnItem>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<OwnItem>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after_rollback: Vec<OwnItem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnItem {
    pub id: Name,
    pub text: String,
}

impl Checklist {
    pub fn of(&self, part: Part) -> &[OwnItem] {
        match part {
            Part::Before => &self.before,
            Part::During => &self.during,
            Part::After => &self.after,
            Part::AfterRollback => &self.after_rollback,
        }
    }

    pub fn is_empty(&self) -> bool {
        Part::ALL.iter().all(|part| self.of(*part).is_empty())
    }
}

/// One thing to see to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'p> {
    pub part: Part,
    pub id: &'p str,
    /// What it belongs to: `architecture`, `team`, `within days`; `plan` for a plan's own.
    pub group: &'p str,
    pub text: &'p str,
    /// The kinds of readiness checks that show it, where all of them are as wanted. The first kind has to be there; the others only
    /// contradict.
    pub checks: &'static [&'static str],
}

const fn item(
    part: Part,
    group: &'static str,
    id: &'static str,
    text: &'static str,
    checks: &'static [&'static str],
) -> Item<'static> {
    Item { part, id, group, text, checks }
}

/// The list of every migration. Ids are on record wherever somebody has ticked one, so none is ever used for something else.
pub const ITEMS: &[Item<'static>] = &{
    use Part::{After, AfterRollback, Before, During};
    [
        item(Before, "architecture", "pattern", "The pattern of the migration is chosen and written down", &[]),
        item(
            Before,
            "architecture",
            "data_sync",
            "How data stays in step until the cutover, and goes back after it, is defined",
            &[],
        ),
        item(
            Before,
            "architecture",
            "capacity",
            "The old side can carry all of the traffic again",
            &["capacity", "destination", "interlock"],
        ),
        item(Before, "architecture", "security", "Access, keys and secrets of both sides are reviewed", &[]),
        item(
            Before,
            "technical",
            "steps_documented",
            "Every step of the rollback is written down and can be carried out",
            &["step", "baseline", "supported"],
        ),
        item(
            Before,
            "technical",
            "scripts_tested",
            "Every way in which the rollback can go was searched",
            &["explore"],
        ),
        item(
            Before,
            "technical",
            "monitoring",
            "Alarms and other signals can be read",
            &["signal", "trigger", "alarm_data", "detection"],
        ),
        item(Before, "technical", "backup_verified", "A backup was restored and looked at", &["restore_test"]),
        item(
            Before,
            "technical",
            "routing_planned",
            "Where traffic goes back to, and how long clients take to follow, is known",
            &["destination", "ttl", "stickiness"],
        ),
        item(
            Before,
            "technical",
            "objectives",
            "The rollback is expected to keep its objectives",
            &["rto", "recovery_time", "rpo"],
        ),
        item(
            Before,
            "technical",
            "permissions",
            "The daemon has the permissions that the rollback takes",
            &["permission", "account", "credentials"],
        ),
        item(Before, "technical", "armed", "The migration is armed", &[]),
        item(Before, "team", "roles", "There are people for every role that approves or decides", &["people"]),
        item(Before, "team", "authority", "Everybody knows who decides, and until when", &[]),
        item(Before, "team", "templates", "The texts of the notices are read and right", &[]),
        item(Before, "team", "contacts", "Those who have to hear of it can be reached", &["channel"]),
        item(Before, "team", "drill", "The rollback was rehearsed within 30 days", &["drill"]),
        item(During, "monitoring", "watched", "Somebody watches the dashboards of both sides", &[]),
        item(During, "monitoring", "awake", "Triggers are watched, and none is muted", &[]),
        item(During, "decision points", "cutover_marked", "The cutover is marked", &[]),
        item(During, "decision points", "go_no_go", "At each decision point somebody says go or no-go", &[]),
        item(During, "decision points", "no_other_changes", "Nobody deploys or changes anything else", &[]),
        item(After, "validation", "transactions", "What customers do works from end to end", &[]),
        item(After, "validation", "data_agrees", "The data of both sides agrees: counts, sums, samples", &[]),
        item(After, "validation", "quiet", "No incident is open", &[]),
        item(After, "window", "old_side_kept", "The old side is kept whole until nobody would roll back any more", &[]),
        item(
            After,
            "window",
            "decommission",
            "Its decommissioning is scheduled for after the window, and not before",
            &[],
        ),
        item(After, "window", "disarmed", "Belay is disarmed when nobody would roll back any more", &[]),
        item(
            AfterRollback,
            "within hours",
            "teams_told",
            "Support and the teams that depend on it know where the traffic goes",
            &[],
        ),
        item(
            AfterRollback,
            "within hours",
            "new_side_kept",
            "Logs and data of the new side are kept for the search of the cause",
            &[],
        ),
        item(
            AfterRollback,
            "within days",
            "plan_corrected",
            "The plan has what was missing: a signal, a step, a threshold",
            &[],
        ),
        item(
            AfterRollback,
            "within weeks",
            "rehearsed_again",
            "The corrected plan was rehearsed before the next attempt",
            &[],
        ),
    ]
};

/// What a rollback leaves to look at, as its report lists it: these ids are taken, too.
pub const OF_A_ROLLBACK: [&str; 11] = [
    "steps_done",
    "traffic",
    "gates",
    "confirmation",
    "signals",
    "data",
    "notices",
    "all_clear",
    "clients_follow",
    "cause_understood",
    "postmortem",
];

impl Plan {
    /// The list of this migration: in the order of its parts, a plan's own items behind the others of each.
    pub fn checklist_items(&self) -> impl Iterator<Item = Item<'_>> {
        Part::ALL.into_iter().flat_map(|part| {
            let own = self.checklist.of(part).iter();
            let own = own.map(move |own| Item { part, id: &own.id, group: "plan", text: &own.text, checks: &[] });
            ITEMS.iter().filter(move |item| item.part == part).copied().chain(own)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_id_is_one_items() {
        let ids: Vec<&str> = ITEMS.iter().map(|item| item.id).chain(OF_A_ROLLBACK).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}
