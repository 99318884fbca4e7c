//! What begins a rollback, and what confirms that it helped.

use std::{collections::BTreeSet, time::Duration};

use belay_core::{decision::may_roll_back, elapsed::is_own, watch::signals_of};
use belay_plan::{
    duration,
    model::{Name, Trigger},
};

use super::{Adviser, Rule};
use crate::explore::{
    times::rolling_back,
    turns::{Stand, Turn},
};

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
