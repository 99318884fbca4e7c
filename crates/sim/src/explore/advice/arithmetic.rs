//! Times that do not fit each other, whatever happens.

use std::time::Duration;

use belay_plan::{
    duration,
    model::{Name, OnFailure},
};

use super::{Adviser, Rule};
use crate::{
    explore::times::{Lengths, TimeOut, has_no_time_to_answer},
    rehearsal::{script::ANSWER, usual},
};

fn text(time: Duration) -> String {
    duration::format(Duration::from_secs(time.as_secs()))
}

impl Adviser<'_> {
    /// What a run takes at least, and at most, beside the recovery time objective.
    pub(super) fn objectives(&mut self) {
        let Some(rto) = self.plan.objectives.rto else { return };
        let Lengths { trigger, detection, decision, steps, confirmation, longest } = Lengths::new(self.plan);
        let usual = detection.saturating_add(decision).saturating_add(steps).saturating_add(confirmation);
        if usual > rto {
            let trigger = trigger.map_or_else(|| "the trigger".to_owned(), |trigger| format!("`{trigger}`"));
            let decision = match decision {
                Duration::ZERO => String::new(),
                time => format!("{} for people to decide, ", text(time)),
            };
            let what = format!(
                "the `rto` is {}, and a rollback in which nothing fails usually takes {}: {} until {trigger} fires, {decision}{} for \
                 the steps, {} of confirmation",
                text(rto),
                text(usual),
                text(detection),
                text(steps),
                text(confirmation)
            );
            let instead = "shorten what takes longest, or set an `rto` that can be kept";
            return self.say(Rule::RtoCannotHold, "/objectives/rto".to_owned(), what, instead);
        }
        if let Some(longest) = longest.filter(|longest| *longest > rto) {
            let what = format!(
                "the `rto` is {}; through time-outs, deadlines and fallbacks a run can take {} and still end rolled back",
                text(rto),
                text(longest)
            );
            let instead = "set `timeout` and `within` to what is still of use";
            self.say(Rule::LongestWay, "/objectives/rto".to_owned(), what, instead);
        }
    }

    /// A step that is given less time than its action takes fails in every usual run.
    pub(super) fn timeout(&mut self, name: &Name) {
        let step = &self.plan.steps[name];
        let usual = usual::of_step(step).usual;
        if TimeOut::of(step) == TimeOut::Usually {
            let then = match &step.on_failure {
                OnFailure::Halt => "the run halts".to_owned(),
                OnFailure::Continue => "the run goes on without it".to_owned(),
                OnFailure::Fallback(other) => format!("its fallback `{other}` takes over"),
            };
            let what = format!(
                "`{name}` has {}, and `{}` usually takes {}: in a usual run it fails, and {then}",
                text(step.timeout),
                step.action,
                text(usual)
            );
            let most = usual::of_step(step).most;
            let instead = format!("give it time: `timeout: {}` or more", text(most));
            self.say(Rule::TimeoutTooShort, format!("/steps/{name}/timeout"), what, instead);
        }
    }

    /// Silence is all that there can be within so short a time.
    pub(super) fn deadline(&mut self, name: &Name) {
        let step = &self.plan.steps[name];
        let Some(approve) = step.approve.as_ref().filter(|_| has_no_time_to_answer(step)) else { return };
        let what = format!(
            "people ({}) have {} to answer about `{name}`; one who is called takes {} or more, so nobody answers in time",
            approve.role,
            text(approve.within.unwrap_or_default()),
            text(ANSWER)
        );
        let instead = "give them time: `within: 10m`".to_owned();
        self.say(Rule::DeadlineTooShort, format!("/steps/{name}/approve/within"), what, instead);
    }
}
