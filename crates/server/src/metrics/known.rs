//! Every series that is known beforehand begins at 0: the first rollback must show as an increase, and a quotient of what has not
//! happened yet must be a number.

use belay_core::event::{IncidentOutcome, RunKind, RunOutcome};
use belay_plan::model::{Answer, Plan};

use super::{word, work::Work};

const ANSWERS: [Answer; 4] = [Answer::RollBack, Answer::FixFirst, Answer::Decide, Answer::FixForward];
const INCIDENTS: [IncidentOutcome; 4] =
    [IncidentOutcome::Recovered, IncidentOutcome::RolledBack, IncidentOutcome::Aborted, IncidentOutcome::Disarmed];
const RUNS: [(RunKind, RunOutcome); 4] = [
    (RunKind::Real, RunOutcome::RolledBack),
    (RunKind::Real, RunOutcome::Aborted),
    (RunKind::Undo, RunOutcome::Undone),
    (RunKind::Undo, RunOutcome::Aborted),
];
const STEPS: [&str; 4] = ["done", "unchanged", "failed", "skipped"];
const NOTICES: [&str; 5] = ["sent", "retried", "failed", "dropped", "late"];
const SENDS: [&str; 4] = ["accepted", "throttled", "no_effect", "outcome_unknown"];

impl Work {
    /// What a migration with this plan can come to.
    pub(super) fn expect(&self, plan: &Plan) {
        let migration = ("migration", plan.migration.clone());
        for (name, trigger) in &plan.triggers {
            let severity = ("severity", word(trigger.severity));
            drop(self.fired.get_or_create(&[migration.clone(), ("trigger", name.clone()), severity]));
        }
        for answer in ANSWERS {
            drop(self.decisions.get_or_create(&[migration.clone(), ("answer", word(answer))]));
        }
        for outcome in INCIDENTS {
            drop(self.incident_time.get_or_create(&[migration.clone(), ("outcome", word(outcome))]));
        }
        for (kind, outcome) in RUNS {
            let labels = [migration.clone(), ("kind", word(kind)), ("outcome", word(outcome))];
            drop(self.run_time.get_or_create(&labels));
        }
        for channel in plan.notify.channels.keys() {
            let channel = ("channel", channel.clone());
            for outcome in NOTICES {
                drop(self.notices.get_or_create(&[channel.clone(), ("outcome", outcome.to_owned())]));
            }
            drop(self.notice_delay.get_or_create(&[channel]));
        }
        let alone = [migration];
        drop(self.reaction_time.get_or_create(&alone));
        drop(self.records.get_or_create(&alone));
        for step in plan.steps.values() {
            let action = ("action", step.action.clone());
            for outcome in STEPS {
                drop(self.step_time.get_or_create(&[action.clone(), ("outcome", outcome.to_owned())]));
            }
            for outcome in SENDS {
                drop(self.sends.get_or_create(&[action.clone(), ("outcome", outcome.to_owned())]));
            }
        }
    }

    /// What every daemon can come to.
    pub(super) fn expect_usual(&self) {
        for outcome in ["made", "sent", "failed"] {
            drop(self.spans.get_or_create(&[("outcome", outcome.to_owned())]));
        }
        for outcome in ["ok", "fail", "undelivered"] {
            drop(self.beats.get_or_create(&[("outcome", outcome.to_owned())]));
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use prometheus_client::{encoding::text::encode, registry::Registry};
    use serde_json::json;

    use super::*;

    /// A rule on `increase()` sees the first notice that fails, and the first rollback.
    #[test]
    fn what_can_happen_begins_at_zero() {
        let channel = json!({ "kind": "webhook", "spec": { "webhook": "env:HOOK" }, "events": ["incident"] });
        let plan = json!({ "migration": "shop", "steps": {}, "notify": { "channels": { "team": channel } } });
        let plan: Plan = serde_json::from_value(plan).unwrap();
        let mut registry = Registry::default();
        let work = Work::new(&mut registry, "0.1.0", Timestamp::UNIX_EPOCH);
        work.expect(&plan);
        let mut shown = String::new();
        encode(&mut shown, &registry).unwrap();
        for series in [
            r#"belay_notices_total{channel="team",outcome="failed"} 0"#,
            r#"belay_notices_total{channel="team",outcome="dropped"} 0"#,
            r#"belay_run_duration_seconds_count{migration="shop",kind="real",outcome="rolled_back"} 0"#,
        ] {
            assert!(shown.lines().any(|line| line == series), "no {series} in\n{shown}");
        }
    }
}
