//! Gates that cannot turn, or only if somebody else is fast enough.

use std::time::Duration;

use belay_plan::{
    duration,
    model::{Gate, Name, Nature, Signal},
};
use serde_json::Value;

use super::{Adviser, Rule};
use crate::{
    causes::{Cause, members, target_group},
    explore::{
        model::Kind,
        sides::{Proven, matches},
        turns::{Stand, Turn, fits},
    },
    nature,
};

impl Adviser<'_> {
    pub(super) fn gates(&mut self, step: &Name, list: &str, gates: &[Gate]) {
        for (number, gate) in gates.iter().enumerate() {
            let pointer = format!("/steps/{step}/{list}/{number}");
            let interlock = list == "require";
            self.gate_times(gate, &pointer);
            let stand = if interlock { Stand::Require(step) } else { Stand::Verify(step) };
            self.turn(gate, step, stand, &pointer);
            if !interlock {
                self.influence(gate, &pointer);
            }
        }
    }

    pub(super) fn gate_times(&mut self, gate: &Gate, pointer: &str) {
        let text = |time: Duration| duration::format(time);
        let Gate { signal, within, hold } = gate;
        if !fits(gate) {
            let what = format!(
                "`{signal}` has to be healthy for {} within {}, but time begins before the first reading: this gate \
                 cannot turn",
                text(*hold),
                text(*within)
            );
            let instead = format!("give it time to turn, for example `within: {}`", text(*hold * 2));
            return self.say(Rule::GateCannotTurn, pointer.to_owned(), what, instead);
        }
        let Some((period, breaching, of)) = self.plan.signals.get(signal).and_then(periods) else { return };
        if within.is_zero() {
            return;
        }
        let memory = period * (of + 1).saturating_sub(breaching).max(1);
        if *within < memory + *hold {
            let what = format!(
                "`{signal}` looks at periods of {}, {breaching} of {of}: once it was red, it stays so for {} after the \
                 cause is gone, and `within` is {}",
                text(period),
                text(memory),
                text(*within)
            );
            let least = text(memory + *hold + period);
            self.say(Rule::GateCannotTurn, pointer.to_owned(), what, format!("give it a `within` of {least} or more"));
        }
    }

    /// Where a signal names the thing that it looks at, some step should have to do with it.
    fn influence(&mut self, gate: &Gate, pointer: &str) {
        let Some(signal) = self.plan.signals.get(&gate.signal) else { return };
        let Some(thing) = named_thing(signal) else { return };
        let mentions = |step: &belay_plan::model::Step| {
            let target = serde_json::to_value(&step.to).unwrap_or_default();
            step.resource.to_lowercase().contains(&thing.to_lowercase())
                || [&step.with, &target].iter().any(|value| mentions(value, thing))
        };
        if !self.plan.steps.values().any(mentions) {
            let what = format!("`{}` looks at {thing}, which no step of this plan changes", gate.signal);
            let instead = "wait for something that the step changes; what has to be so before belongs into `require`";
            self.say(Rule::GateNotInfluenced, pointer.to_owned(), what, instead);
        }
    }

    /// What heals its signal, and whether that comes before it is decided.
    fn turn(&mut self, gate: &Gate, step: &Name, stand: Stand<'_>, pointer: &str) {
        let Cause::Healed { by, symptom } = self.turns.cause(&gate.signal).clone() else {
            return self.beside(gate, step, stand, pointer);
        };
        let healers = by.iter().map(|steps| steps.join(" and ")).collect::<Vec<_>>().join(" or ");
        let signal = &gate.signal;
        let turn = self.turns.of(gate, stand);
        let staged = !self.plan.steps[step].stages.is_empty();
        let (rule, what, instead) = match (turn, stand) {
            _ if !fits(gate) => return,
            (Turn::Surely, _) => return,
            (Turn::Never, Stand::Verify(_)) if symptom && staged => (
                Rule::GateCannotTurn,
                format!(
                    "`{signal}` is what the trigger fires on, and after the first stage of `{step}` the rest of the \
                     traffic still goes where it fails: this gate cannot turn before the last stage"
                ),
                "let stages wait for a signal of the side that takes over, and `confirm` wait for this one".to_owned(),
            ),
            (Turn::Never, _) if symptom => (
                Rule::GateCannotTurn,
                format!(
                    "`{signal}` is what the trigger fires on, and it stays red until {healers} is in place, which does \
                     not come before this gate of `{step}`"
                ),
                "require a signal of the side that takes over; let a `verify` or `confirm` wait for this one"
                    .to_owned(),
            ),
            (Turn::Never, _) => (
                Rule::GateCannotTurn,
                format!(
                    "`{signal}` is healthy only when {healers} is in place, which comes after this gate of `{step}`"
                ),
                format!("let `{step}` wait for it (`needs`), or look at something else"),
            ),
            (Turn::Race, _) => {
                let late = by.iter().flatten().any(|healer| healer == step || self.turns.is_behind(step, healer));
                let what = if late {
                    format!(
                        "`{signal}` shows up to some minutes late that {healers} is in place, and this gate of `{step}` does not wait that long"
                    )
                } else {
                    format!(
                        "`{signal}` is healthy only when {healers} is in place, and `{step}` does not wait for that: it depends on which is faster"
                    )
                };
                let instead = if late {
                    format!("give it time, or let {healers} `verify` it")
                } else {
                    format!("say the order: `needs` in `{step}`")
                };
                (Rule::GateRaces, what, instead)
            }
        };
        self.say(rule, pointer.to_owned(), what, instead);
    }

    /// An interlock on what another step verifies that nothing orders before it.
    fn beside(&mut self, gate: &Gate, step: &Name, stand: Stand<'_>, pointer: &str) {
        let Stand::Require(_) = stand else { return };
        let of_a_group = self.plan.signals.get(&gate.signal).and_then(target_group).is_some();
        let makes = |name: &&Name| {
            let other = &self.plan.steps[*name];
            let reads = |gates: &[Gate]| gates.iter().any(|other| other.signal == gate.signal);
            // What it requires itself was there before it, and no traffic makes a target healthy.
            let cannot = reads(&other.require) || (of_a_group && nature::of(other) == Nature::Traffic);
            let beside = !self.turns.is_behind(name, step) && !self.turns.is_behind(step, name);
            reads(&other.verify) && !cannot && *name != step && beside
        };
        let Some(maker) = self.plan.steps.keys().find(makes) else { return };
        let what = format!(
            "`{}` is what `{maker}` makes healthy and verifies, and `{step}`, which requires it, does not wait for \
             `{maker}`: it depends on which is faster",
            gate.signal
        );
        self.say(Rule::GateRaces, pointer.to_owned(), what, format!("say the order: `needs: [{maker}]` in `{step}`"));
    }

    /// Whether the traffic is well where it goes is not told by the side that it leaves.
    fn verified_side(&mut self, index: usize, name: &Name) {
        let step = &self.plan.steps[index];
        let (raised, lowered) = (members(step, true), members(step, false));
        let group = |gate: &Gate| self.plan.signals.get(&gate.signal).and_then(target_group);
        let leaves = |gate: &Gate| group(gate).filter(|group| matches(group, &lowered, &raised));
        if raised.is_empty() || !step.verify.iter().all(|gate| leaves(gate).is_some()) {
            return;
        }
        let Some(looks_at) = step.verify.first().and_then(leaves) else { return };
        let what = format!("`{name}` is verified by {looks_at} alone, which its traffic leaves");
        let to = self.model.destinations(index).join(", ");
        let instead = format!("verify a signal of {to}, or one that customers notice");
        self.say(Rule::LooksAtOtherSide, format!("/steps/{name}/verify"), what, instead);
    }

    /// The interlock has to look at what gets the traffic.
    pub(super) fn sides(&mut self, index: usize, name: &Name) {
        self.verified_side(index, name);
        let Proven::OtherSide { signal, looks_at } = &self.model.steps[index].proven else { return };
        let Kind::Traffic { .. } = &self.model.steps[index].kind else { return };
        let to = self.model.destinations(index).join(", ");
        let what = format!("`{name}` gives traffic to {to}, and its interlock `{signal}` looks at {looks_at}");
        let instead = format!("require a signal of {to}, or correct `to`");
        self.say(Rule::LooksAtOtherSide, format!("/steps/{name}/require"), what, instead);
    }
}

/// A metric's period, and how many of how many periods breach.
pub(crate) fn periods(signal: &Signal) -> Option<(Duration, u32, u32)> {
    let of = |value: &Value| duration::parse(value.as_str()?).ok();
    let whole = signal.spec.get(&signal.kind)?;
    let single = of(&whole["period"]);
    let members = whole["metrics"].as_object().into_iter().flat_map(|metrics| metrics.values());
    let period = single.or_else(|| members.filter_map(|metric| of(&metric["period"])).max())?;
    let share = signal.spec["datapoints"].as_str().and_then(|text| text.split_once(" of "));
    let number = |text: &str| text.trim().parse().ok();
    let (breaching, of) = share.and_then(|(m, n)| Some((number(m)?, number(n)?))).unwrap_or((1, 1));
    Some((period, breaching, of))
}

/// The one thing that a signal's settings name: `{ target_group: blue, at_least: 2 }`.
fn named_thing(signal: &Signal) -> Option<&str> {
    let settings = signal.spec.get(&signal.kind)?.as_object()?;
    let known = ["instance", "target_group", "cluster", "service"];
    settings.iter().find(|(key, _)| known.contains(&key.as_str())).and_then(|(_, value)| value.as_str())
}

fn mentions(value: &Value, thing: &str) -> bool {
    match value {
        Value::String(text) => text.to_lowercase().contains(&thing.to_lowercase()),
        Value::Array(items) => items.iter().any(|item| mentions(item, thing)),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.eq_ignore_ascii_case(thing) || mentions(value, thing))
        }
        _ => false,
    }
}
