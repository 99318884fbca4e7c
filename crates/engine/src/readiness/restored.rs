//! Whether what a step restores was ever restored: a backup that was not is a hope.

use std::{sync::Arc, time::Duration};

use belay_core::{
    migration::Migration,
    restore_test::{RestoreOutcome, RestoreTest, RestoreTests},
};
use belay_plan::{
    duration,
    model::{Name, Plan, Step},
};
use belay_ports::Check;
use jiff::{SignedDuration, Timestamp};

use crate::restore_test::stream_of;

const ID: &str = "restore_test";

/// A test that is older counts for little: the data has grown, and settings have changed since then.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The last test of each step: in the migration's own stream, where a daemon keeps it, or in that of its tests.
pub(super) fn on_record(plan: &Plan, state: &Migration, relatives: &[Arc<Migration>]) -> RestoreTests {
    let beside = relatives.iter().filter(|relative| relative.name == stream_of(&plan.migration));
    let all = std::iter::once(&state.restore_tests).chain(beside.map(|relative| &relative.restore_tests));
    let mut found = RestoreTests::new();
    for (step, test) in all.flat_map(|tests| tests.iter()) {
        if found.get(step).is_none_or(|known| known.at < test.at) {
            found.insert(step.clone(), test.clone());
        }
    }
    found
}

/// Of a step that restores something which could be restored beside production.
pub(super) fn check(name: &Name, step: &Step, tests: &RestoreTests, at: Timestamp) -> Check {
    let subject = step.resource.as_str();
    let wanted = "a restore test within 30 days that looked at the data";
    let cure = format!("`belay check PLAN --prove-restore {name}` restores it beside production");
    let Some(RestoreTest { at: tested_at, tested, .. }) = tests.get(name).filter(|test| test.is_of(step)) else {
        return Check::warn(ID, subject, "was never restored in a test").wanted(wanted).cure(cure);
    };
    let took = tested.took_s.map(|took| format!(" within {}", duration::format(Duration::from_secs(took))));
    let took = took.unwrap_or_default();
    let (found, is_old) = (&tested.found, at.duration_since(*tested_at) > AGE_MAX);
    match tested.outcome {
        RestoreOutcome::Failed => {
            Check::no_go(ID, subject, format!("its last test, at {tested_at:.0}, failed: {found}"))
                .wanted(wanted)
                .cure(format!("correct what it found; then {cure}"))
        }
        RestoreOutcome::Proved if !is_old => {
            Check::go(ID, subject, format!("was restored beside production at {tested_at:.0}{took}: {found}"))
        }
        RestoreOutcome::Proved => Check::warn(
            ID,
            subject,
            format!("was last restored in a test at {tested_at:.0}{took}, more than 30 days ago"),
        )
        .wanted(wanted)
        .cure(cure),
        RestoreOutcome::Restored => {
            Check::warn(ID, subject, format!("was restored beside production at {tested_at:.0}{took}: {found}"))
                .wanted(wanted)
                .cure(format!("add a `sql` signal to `verify` of the step; then {cure}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use belay_core::restore_test::RestoreTested;
    use belay_ports::CheckVerdict;
    use serde_json::json;

    use super::*;

    fn step(resource: &str) -> Step {
        let step = json!({
            "action": "rds.restore", "with": {}, "to": "own", "resource": resource, "timeout": "1h",
            "retry": { "attempts": 1, "backoff_min": "1s", "backoff_max": "2s" }, "on_failure": "halt",
        });
        serde_json::from_value(step).unwrap()
    }

    fn days(count: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * count)
    }

    fn test(outcome: RestoreOutcome, at: Timestamp) -> RestoreTest {
        let tested = RestoreTested {
            action: "rds.restore".to_owned(),
            resource: "rds:shop".to_owned(),
            outcome,
            found: "orders: 4211 rows".to_owned(),
            took_s: Some(754),
            changes: Vec::new(),
        };
        RestoreTest { at, by: "ann".to_owned(), tested }
    }

    #[test]
    fn a_backup_that_was_never_restored_lately_is_a_hope() {
        use CheckVerdict::{Go, NoGo, Warn};
        use RestoreOutcome::{Failed, Proved, Restored};
        for (of, outcome, on, verdict, part) in [
            (
                "rds:shop",
                Proved,
                30,
                Go,
                "restored beside production at 1970-01-31T00:00:00Z within 12m34s: orders: 4211 rows",
            ),
            ("rds:shop", Proved, 29, Warn, "more than 30 days ago"),
            ("rds:shop", Restored, 59, Warn, "restored beside production"),
            ("rds:shop", Failed, 1, NoGo, "failed: orders: 4211 rows"),
            ("rds:other", Proved, 59, Warn, "never restored"),
        ] {
            let tests = RestoreTests::from([("db_back".to_owned(), test(outcome, days(on)))]);
            let check = check(&"db_back".to_owned(), &step(of), &tests, days(60));
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert!(check.found.contains(part), "{check:?}");
            assert_eq!(check.cure.contains("--prove-restore db_back"), verdict != Go, "{check:?}");
        }
        let never = check(&"db_back".to_owned(), &step("rds:shop"), &RestoreTests::new(), days(1));
        assert_eq!((never.verdict, never.found.as_str()), (Warn, "was never restored in a test"));
    }

    /// Without a daemon a test is on record in a stream of its own.
    #[test]
    fn the_latest_test_counts_whichever_stream_has_it() {
        let plan: Plan = serde_json::from_value(json!({ "migration": "shop", "steps": {} })).unwrap();
        let with = |name: &str, on: i64| {
            let mut state = Migration::new(name);
            let test = test(RestoreOutcome::Proved, days(on));
            state.restore_tests = Arc::new(RestoreTests::from([("db_back".to_owned(), test)]));
            state
        };
        for (own, beside, latest) in [(3, 5, 5), (5, 3, 5)] {
            let relatives = [with("shop-restore-test", beside), with("shop-staging", 9)].map(Arc::new);
            assert_eq!(on_record(&plan, &with("shop", own), &relatives)["db_back"].at, days(latest));
        }
    }
}
