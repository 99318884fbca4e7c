//! What begins a rollback, and what confirms that it helped.

use std::{collections::BTreeSet, time::Duration};

use belay_core::{decision::may_roll_back, elapsed::is_own, watch::signals_of};
use belay_plan::{
    duration,
    model::{Name, PastWindow, Signal, Trigger},
};

use super::{Adviser, Rule};
use crate::{
    causes::can_hold,
    explore::{
        times::rolling_back,
        turns::{Stand, Turn},
    },
};

/// Whether a metric that counts or measures is healthy at any value from zero on.
fn is_never_red(signal: &Signal) -> bool {
    let healthy = signal.spec["healthy"].as_str().filter(|_| signal.kind == "metric").unwrap_or_default();
    let number = |limit: &str| limit.trim().parse::<f64>().ok();
    match (healthy.strip_prefix(">="), healthy.strip_prefix('>')) {
        (Some(limit), _) => number(limit).is_some_and(|limit| limit <= 0.0),
        (None, Some(limit)) => number(limit).is_some_and(|limit| limit < 0.0),
        (None, None) => false,
    }
}

impl Adviser<'_> {
    pub(super) fn triggers(&mut self) {
        let rolls_back = |trigger: &Trigger| may_roll_back(self.plan, trigger);
        if self.plan.triggers.is_empty() {
            let what =
                "the plan has no trigger: nothing is watched, and only a person who notices rolls back".to_owned();
            self.say(Rule::NoTrigger, "/triggers".to_owned(), what, "add a trigger on what customers notice");
        } else if !self.plan.triggers.values().any(rolls_back) {
            let what =
                "no trigger of the plan is answered by a rollback: whatever fires, only a person rolls back".to_owned();
            let instead = "give one trigger a severity, scope and `fix` that `decision` answers with `roll_back`";
            self.say(Rule::NeverRollsBack, "/triggers".to_owned(), what, instead);
        }
        self.too_late();
        self.never_red();
    }

    /// A trigger that takes until the point of no return, past which nothing is rolled back.
    fn too_late(&mut self) {
        let window = self.plan.window.as_ref().filter(|window| window.past == PastWindow::Refuse);
        let Some(point) = window.and_then(|window| window.point_of_no_return) else { return };
        let late: Vec<&Name> =
            self.plan.triggers.iter().filter(|(_, of)| of.dwell >= point).map(|(name, _)| name).collect();
        for name in late {
            let what = format!(
                "`{name}` fires {} after it turns red at the earliest, and {} after the cutover nothing is rolled back any more",
                duration::format(self.plan.triggers[name].dwell),
                duration::format(point)
            );
            let instead = "a shorter `for`, or a later `point_of_no_return`";
            self.say(Rule::NeverRollsBack, format!("/triggers/{name}/for"), what, instead);
        }
    }

    /// A trigger that needs a metric to be below zero, where CloudWatch's are never.
    fn never_red(&mut self) {
        let never: Vec<Name> =
            self.plan.signals.iter().filter(|(_, signal)| is_never_red(signal)).map(|(name, _)| name.clone()).collect();
        if never.is_empty() {
            return;
        }
        let asleep = |(_, trigger): &(&Name, &Trigger)| !can_hold(&trigger.when, &never);
        let asleep: Vec<&Name> = self.plan.triggers.iter().filter(asleep).map(|(name, _)| name).collect();
        for name in asleep {
            let what = format!(
                "`{name}` never fires: {} is healthy whatever it shows, unless it is negative",
                never.join(", ")
            );
            let instead = "turn the comparison of `healthy` round, or correct its limit";
            self.say(Rule::NeverRollsBack, format!("/triggers/{name}/when"), what, instead);
        }
    }

    pub(super) fn confirmation(&mut self) {
        for (number, gate) in self.plan.confirm.iter().enumerate() {
            let pointer = format!("/confirm/{number}");
            self.gate_times(gate, &pointer);
            if self.turns.of(gate, Stand::Confirm) == Turn::Race {
                let what = format!(
                    "`{}` shows up to some minutes late what has changed, no step verifies it, and the confirmation does not \
                     wait that long",
                    gate.signal
                );
                let instead = "give it time, for example `within: 15m`, or let the step that heals it `verify` it";
                self.say(Rule::GateRaces, pointer, what, instead);
            }
        }
        if self.plan.confirm.is_empty() {
            let what = "the run ends rolled back as soon as the last step is done, whether it helped or not".to_owned();
            let instead =
                "add a `confirm` on what the triggers watch, for example `{ signal: NAME, within: 15m, for: 5m }`";
            return self.say(Rule::NoConfirmation, "/steps".to_owned(), what, instead);
        }
        // What Belay itself knows cannot stand in a gate.
        let can_confirm = |name: &&Name| !self.plan.signals.get(*name).is_some_and(is_own);
        let watched = rolling_back(self.plan).into_iter().flat_map(|(_, trigger)| signals_of(&trigger.when));
        let watched: BTreeSet<&Name> = watched.filter(can_confirm).collect();
        if !watched.is_empty() && !self.plan.confirm.iter().any(|gate| watched.contains(&gate.signal)) {
            let what = "the confirmation looks at nothing that a trigger watches: the run ends rolled back while the \
                        trigger would still fire"
                .to_owned();
            let instead = "confirm with a signal that a trigger watches";
            self.say(Rule::ConfirmsNoTrigger, "/confirm".to_owned(), what, instead);
        }
        self.dwell();
    }

    /// What is healthy for less than a trigger's dwell may be red again before it fires.
    fn dwell(&mut self) {
        for (number, gate) in self.plan.confirm.iter().enumerate() {
            let watching = rolling_back(self.plan).into_iter();
            let watching = watching.filter(|(_, trigger)| signals_of(&trigger.when).contains(&&gate.signal));
            let longest = watching.max_by_key(|(_, trigger)| trigger.dwell);
            let Some((name, dwell)) = longest.map(|(name, trigger)| (name.clone(), trigger.dwell)) else { continue };
            if gate.hold < dwell {
                let text = |time: Duration| duration::format(time);
                let what = format!(
                    "the confirmation wants `{}` healthy for {}, and the trigger `{name}` fires only after {}: the run may end \
                     rolled back in a pause between two faults",
                    gate.signal,
                    text(gate.hold),
                    text(dwell)
                );
                let instead = format!("confirm for as long as the trigger waits: `for: {}`", text(dwell));
                self.say(Rule::ConfirmationTooShort, format!("/confirm/{number}"), what, instead);
            }
        }
    }
}
