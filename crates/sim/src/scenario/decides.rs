//! Whether what people do about the migration fits the plan: who decides incidents, phases, mutes and the cutover.

use std::collections::BTreeSet;

use belay_core::{OPERATOR, decision::rule_for, mute};
use belay_plan::{
    model::{Answer, Plan, Trigger, counts_during},
    suggest::instead_of,
};
use serde_json::Value;

use super::check::Check;
use crate::rehearsal::script::is_before_cutover;

impl Check<'_> {
    /// The entries of `people` that decide incidents.
    pub(super) fn deciders(&mut self, people: &Value) {
        for (index, entry) in people.as_array().into_iter().flatten().enumerate() {
            let pointer = format!("/people/{index}");
            let given = |keys: &[&'static str]| keys.iter().copied().find(|key| !entry[*key].is_null());
            if entry["decide"].is_null() {
                if let Some(key) = given(&["role", "trigger", "incident"]) {
                    self.complain(
                        &format!("{pointer}/{key}"),
                        format!("`{key}` is about an incident, and this entry decides none"),
                        "add `decide: roll_back` or `decide: fix_forward`",
                    );
                }
                continue;
            }
            if let Some(key) = given(&["steps", "answer"]) {
                self.complain(
                    &format!("{pointer}/{key}"),
                    format!("`decide` and `{key}` do not go together: one is about an incident, the other about steps"),
                    "make two entries of it",
                );
                continue;
            }
            self.decider(entry, &pointer);
        }
    }

    fn decider(&mut self, entry: &Value, pointer: &str) {
        if let Some(role) = entry["role"].as_str() {
            let known = roles(self.plan);
            if !known.contains(role) {
                let help = instead_of(role, "the roles of this plan", known.iter().copied());
                self.complain(&format!("{pointer}/role"), format!("unknown role `{role}`"), help);
            }
        }
        if let Some(name) = entry["trigger"].as_str() {
            self.trigger(format!("{pointer}/trigger"), name);
        }
        let named = entry["trigger"].as_str().or(self.of.trigger.as_deref());
        let Some((name, trigger)) = named.and_then(|name| self.plan.triggers.get_key_value(name)) else { return };
        let elsewhere = entry["trigger"].is_null() && self.plan.triggers.len() > 1;
        if !elsewhere && entry["decide"] != "nothing" && !asks(self.plan, trigger) {
            self.complain(
                pointer,
                format!("nobody is ever asked about an incident of {name}: its rule rolls back at once"),
                "remove the entry, or name a `trigger` whose rule leaves time to decide",
            );
        }
    }

    /// What a person asks for of their own accord.
    pub(super) fn asked(&mut self, kind: &str, what: &Value, pointer: &str) {
        match kind {
            "phase" => self.phase(pointer, what.as_str().unwrap_or_default()),
            "mute" => {
                if let Err(why) = what.as_str().map_or(Ok(()), |text| mute::time(text).map(|_| ())) {
                    self.complain(pointer, why, "for example `mute: 30m`");
                }
            }
            "cutover" if !is_before_cutover(self.plan, self.of.phase.as_deref()) => self.complain(
                pointer,
                "the cutover was made before the breach",
                "remove it, or let the breach come earlier: `breach: { phase: ... }` with a phase before `cutover`",
            ),
            _ => {}
        }
    }

    pub(super) fn phase(&mut self, pointer: &str, name: &str) {
        if self.plan.phases.contains_key(name) {
            return;
        }
        let known = self.plan.phases.keys().map(String::as_str);
        let help = match self.plan.phases.len() {
            0 => "remove it: the plan names no `phases`".to_owned(),
            _ => instead_of(name, "the phases of this plan", known),
        };
        self.complain(pointer, format!("unknown phase `{name}`"), help);
    }

    /// Nothing ends a mute that nobody has begun.
    pub(super) fn mutes(&mut self, events: &Value) {
        let has = |event: &Value, kind: &str| !event[kind].is_null();
        let events: Vec<&Value> = events.as_array().into_iter().flatten().collect();
        if events.iter().any(|event| has(event, "mute")) {
            return;
        }
        if let Some(index) = events.iter().position(|event| has(event, "unmute")) {
            let pointer = format!("/events/{index}/unmute");
            self.complain(
                &pointer,
                "nothing is muted that could be unmuted",
                "add an event `mute: 30m`, or remove this one",
            );
        }
    }

    /// A breach that its trigger does not watch for.
    pub(super) fn asleep(&mut self, scenario: &Value) {
        let events = scenario["events"].as_array();
        let moves = |event: &Value| !event["phase"].is_null() || !event["cutover"].is_null();
        let given = scenario["breach"]["trigger"].as_str().and_then(|name| self.plan.triggers.get_key_value(name));
        let Some((name, trigger)) = given.filter(|_| !events.into_iter().flatten().any(moves)) else { return };
        let phase = self.of.phase.as_deref();
        if self.plan.phases.contains_key(phase.unwrap_or_default()) && !counts_during(&trigger.during, phase) {
            self.complain(
                "/breach/trigger",
                format!("{name} sleeps in phase {}", phase.unwrap_or_default()),
                format!("it is awake during {}: say `breach: {{ phase: ... }}`", trigger.during.join(", ")),
            );
        }
    }
}

/// Every role that the plan names, and the one that stands in where it names none.
fn roles(plan: &Plan) -> BTreeSet<&str> {
    let of_rules = plan.decision.rules.iter().filter_map(|rule| rule.authority.as_ref());
    let of_decision = of_rules.chain([&plan.decision.authority]).flat_map(|authority| authority.roles());
    let of_steps = plan.steps.values().filter_map(|step| step.approve.as_ref()).map(|approve| &approve.role);
    of_decision.chain(of_steps).map(String::as_str).chain([OPERATOR]).collect()
}

/// Whether people are asked about incidents of the trigger, in some phase. Where nothing may start by itself, they always are.
fn asks(plan: &Plan, trigger: &Trigger) -> bool {
    let phases = plan.phases.keys().map(|name| Some(name.as_str())).chain(plan.phases.is_empty().then_some(None));
    let waits =
        |phase: Option<&str>| rule_for(plan, trigger, phase).1.answer != Answer::RollBack || !plan.is_served(phase);
    plan.window.is_some() || phases.filter(|phase| counts_during(&trigger.during, *phase)).any(waits)
}
