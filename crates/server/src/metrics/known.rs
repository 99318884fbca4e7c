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
