//! What a shape cannot see: whether the scenario fits the plan and itself.

use std::{collections::BTreeSet, time::Duration};

use belay_plan::{
    builtin::MANUAL,
    catalogue::Finding,
    duration,
    graph::Graph,
    model::{Name, Nature, Plan},
};
use serde_json::Value;

use super::{
    grammar::EVENTS,
    lower::{Breach, counted_by, part, percent, span},
    select::{self, Use, unknown_trigger},
};
use crate::{
    nature,
    rehearsal::script::{Span, horizon, is_before_cutover},
};

/// How many times as long something may take.
const TIMES_MIN: f64 = 0.01;
const TIMES_MAX: f64 = 1000.0;

/// What comes again, comes again after this at the earliest.
const EVERY_MIN: Duration = Duration::from_secs(1);

pub(crate) fn check(scenario: &Value, plan: &Plan, of: &Breach) -> Vec<Finding> {
    let given = scenario["horizon"].as_str().and_then(|text| duration::parse(text).ok());
    let horizon = given.filter(|time| !time.is_zero()).unwrap_or_else(|| horizon(plan));
    let mut check = Check { plan, horizon, of, findings: Vec::new() };
    if given.is_some_and(|time| time.is_zero()) {
        check.complain("/horizon", "a horizon of 0s leaves no time for anything", "give it time, for example `24h`");
    }
    check.breach(&scenario["breach"]);
    check.people(&scenario["people"]);
    check.deciders(&scenario["people"]);
    check.halted(&scenario["halted"]);
    check.events(&scenario["events"]);
    check.half_way(scenario);
    check.asleep(scenario);
    check.findings
}

pub(super) struct Check<'p> {
    pub(super) plan: &'p Plan,
    horizon: Duration,
    pub(super) of: &'p Breach,
    findings: Vec<Finding>,
}

/// What an event does, to be held against others.
#[derive(PartialEq)]
struct Said<'v> {
    index: usize,
    kind: &'static str,
    at: &'v Value,
    subjects: Vec<Name>,
    what: &'v Value,
}

impl<'p> Check<'p> {
    pub(super) fn complain(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<String>) {
        self.findings.push(Finding::new(pointer, message).help(help));
    }

    fn breach(&mut self, breach: &Value) {
        self.span("/breach/after", &breach["after"]);
        if let Some(name) = breach["trigger"].as_str().filter(|name| !self.plan.triggers.contains_key(*name)) {
            self.findings.push(unknown_trigger(self.plan, name, "/breach/trigger".to_owned()));
        }
        if let Some(name) = breach["phase"].as_str() {
            self.phase("/breach/phase", name);
        }
        self.share("/breach/share", &breach["share"]);
        let is_half_way = percent(&breach["share"]).is_some_and(|percent| percent < 100);
        if is_half_way && !self.plan.steps.values().any(|step| nature::of(step) == Nature::Traffic) {
            let message = "no step of this plan shifts traffic, so its cutover is not half way";
            self.complain("/breach/share", message, "leave `share` out");
        }
    }

    /// Nothing was cut over that could be half way.
    fn half_way(&mut self, scenario: &Value) {
        let cuts_over = scenario["events"].as_array().into_iter().flatten().any(|event| !event["cutover"].is_null());
        let is_half_way = percent(&scenario["breach"]["share"]).is_some_and(|percent| percent < 100);
        let phase = self.of.phase.as_deref();
        if is_half_way && !cuts_over && is_before_cutover(self.plan, phase) {
            self.complain(
                "/breach/share",
                format!("nothing is cut over yet in phase {}", phase.unwrap_or_default()),
                "leave `share` out, add an event `cutover: {}`, or let the breach come later: `breach: { phase: ... }`",
            );
        }
    }

    fn share(&mut self, pointer: &str, value: &Value) {
        let Some(percent) = percent(value).filter(|percent| !(1..=100).contains(percent)) else { return };
        let message = format!("{percent}% is no share of anything");
        self.complain(pointer, message, "give a share from 1% to 100%");
    }

    /// `1 of 3`, and what counts the targets.
    fn part(&mut self, what: &Value, pointer: &str, steps: &[Name]) {
        let Some((some, of)) = part(&what["share"]) else { return };
        let pointer = format!("{pointer}/share");
        if some == 0 || some > of {
            let message = format!("{some} of {of} targets is not possible");
            return self.complain(&pointer, message, "give at least 1, and at most as many as there are: `1 of 3`");
        }
        if let Some((signal, at_least)) =
            counted_by(self.plan, steps, of).into_iter().find(|(_, at_least)| *at_least > of)
        {
            let message = format!("`{signal}` asks for {at_least} healthy targets, and here are {of}");
            self.complain(&pointer, message, format!("give as many as there are, for example `{some} of {at_least}`"));
        }
    }

    pub(super) fn trigger(&mut self, pointer: String, name: &str) {
        if !self.plan.triggers.contains_key(name) {
            self.findings.push(unknown_trigger(self.plan, name, pointer));
        }
    }

    fn people(&mut self, people: &Value) {
        let mut everybody = None;
        let mut answered: BTreeSet<Name> = BTreeSet::new();
        for (index, entry) in people.as_array().into_iter().flatten().enumerate() {
            let pointer = format!("/people/{index}");
            self.span(&format!("{pointer}/after"), &entry["after"]);
            if !entry["decide"].is_null() {
                continue;
            }
            if let Some(first) = everybody {
                let message = format!("this entry is never reached: entry {first} answers everything");
                self.complain(&pointer, message, "remove it, or move it further up");
            }
            let Some(steps) = entry.get("steps") else {
                everybody.get_or_insert(index + 1);
                continue;
            };
            let pointer = format!("{pointer}/steps");
            let asked = |name: &Name| {
                let step = &self.plan.steps[name];
                step.action == MANUAL || step.approve.is_some() || step.loses_data
            };
            match select::steps(self.plan, steps, &pointer, Use::Any) {
                Ok(steps) if !steps.iter().any(asked) => self.complain(
                    &pointer,
                    "nobody is ever asked about this: it is neither `manual`, nor does it say `approve`, nor does it lose data",
                    "name a step that asks people, or remove the entry",
                ),
                Ok(steps) => {
                    if everybody.is_none() && steps.iter().all(|step| answered.contains(step)) {
                        let message = "this entry is never reached: entries before it answer for all of these steps";
                        self.complain(&pointer, message, "remove it, or move it further up");
                    }
                    answered.extend(steps);
                }
                Err(findings) => self.findings.extend(findings),
            }
        }
    }

    fn halted(&mut self, halted: &Value) {
        for (index, entry) in halted.as_array().into_iter().flatten().enumerate() {
            let pointer = format!("/halted/{index}");
            self.span(&format!("{pointer}/after"), &entry["after"]);
            let word = entry["do"].as_str().unwrap_or_default();
            let of_run = matches!(word, "resume" | "abort");
            if let Some(steps) = entry.get("steps") {
                let pointer = format!("{pointer}/steps");
                if of_run {
                    self.complain(&pointer, format!("`{word}` is about the whole run"), "leave `steps` out");
                }
                let selected = select::steps(self.plan, steps, &pointer, Use::Any);
                self.selected(selected);
            }
            match (word, entry.get("subject")) {
                ("override", None) => self.complain(
                    &pointer,
                    "`override` does not say what it overrides",
                    "add `subject`: an interlock's signal, or a destination that nothing proves healthy",
                ),
                ("override", _) | (_, None) => {}
                (_, Some(_)) => self.complain(
                    &format!("{pointer}/subject"),
                    format!("`{word}` has no subject"),
                    "leave `subject` out; only `override` has one",
                ),
            }
        }
    }

    fn events(&mut self, events: &Value) {
        let mut said: Vec<Said<'_>> = Vec::new();
        self.mutes(events);
        for (index, event) in events.as_array().into_iter().flatten().enumerate() {
            let Some(kind) = EVENTS.into_iter().find(|kind| !event[*kind].is_null()) else { continue };
            let pointer = format!("/events/{index}");
            self.moment(&format!("{pointer}/at"), &event["at"]);
            self.lasting(&format!("{pointer}/for"), &event["for"]);
            self.every(&pointer, event);
            let subjects = self.event(kind, &event[kind], &format!("{pointer}/{kind}"));
            let new = Said { index, kind, at: &event["at"], subjects, what: &event[kind] };
            self.contradiction(&said, &new);
            said.push(new);
        }
    }

    /// What it is about.
    fn event(&mut self, kind: &str, what: &Value, pointer: &str) -> Vec<Name> {
        match kind {
            "signal" | "lag" => {
                self.span(&format!("{pointer}/time"), &what["time"]);
                let pointer = format!("{pointer}/signals");
                let selected = select::signals(self.plan, &what["signals"], &pointer, self.of.trigger.as_deref());
                return self.selected(selected);
            }
            "rollback" => {
                self.only(what, pointer);
                return Vec::new();
            }
            "cutover" | "phase" | "mute" | "unmute" => {
                self.asked(kind, what, pointer);
                return Vec::new();
            }
            "kill" | "lease" => {
                self.span(&format!("{pointer}/down"), &what["down"]);
                return Vec::new();
            }
            "slow" => {
                let times = what["times"].as_f64().filter(|times| !(TIMES_MIN..=TIMES_MAX).contains(times));
                if let Some(times) = times {
                    let message = format!("{times} times as long is not possible; give a number from 0.01 to 1000");
                    self.findings.push(Finding::new(format!("{pointer}/times"), message));
                }
            }
            "takes" => {
                let (pointer, time) = (format!("{pointer}/time"), &what["time"]);
                self.span(&pointer, time);
                if span(time).is_some_and(|span| span.to.is_zero()) {
                    self.complain(&pointer, "nothing takes 0s", "give it time, for example `20m..40m`");
                }
            }
            _ => {}
        }
        let usage = if kind == "targets" { Use::Traffic } else { Use::Calls };
        let selected = select::steps(self.plan, &what["steps"], &format!("{pointer}/steps"), usage);
        let steps = self.selected(selected);
        match kind {
            "targets" => self.part(what, pointer, &steps),
            "fail" => self.share(&format!("{pointer}/share"), &what["share"]),
            _ => {}
        }
        steps
    }

    fn only(&mut self, what: &Value, pointer: &str) {
        let Some(only) = what.get("only") else { return };
        let pointer = format!("{pointer}/only");
        let selected = select::steps(self.plan, only, &pointer, Use::Any);
        let steps = self.selected(selected);
        let graph = Graph::new(self.plan);
        if !steps.is_empty() && steps.iter().all(|step| graph.is_fallback(step)) {
            let message = format!("{} only stands in for other steps", steps.join(", "));
            self.complain(&pointer, message, "name a step that the rollback begins with, or leave `only` out");
        }
    }

    fn selected(&mut self, selected: Result<Vec<Name>, Vec<Finding>>) -> Vec<Name> {
        selected.unwrap_or_else(|findings| {
            self.findings.extend(findings);
            Vec::new()
        })
    }

    fn moment(&mut self, pointer: &str, at: &Value) {
        for (key, usage) in [("sent", Use::Calls), ("done", Use::Any)] {
            if let Some(steps) = at.get(key) {
                let selected = select::steps(self.plan, steps, &format!("{pointer}/{key}"), usage);
                self.selected(selected);
                self.span(&format!("{pointer}/after"), &at["after"]);
            }
        }
        self.span(pointer, at);
    }

    fn lasting(&mut self, pointer: &str, lasts: &Value) {
        if lasts == "0s" {
            self.complain(pointer, "what lasts 0s does nothing", "give it time, or leave `for` out: to the end");
        }
        self.span(pointer, lasts);
    }

    /// What comes again has to be over by then.
    fn every(&mut self, pointer: &str, event: &Value) {
        let time = |key: &str| event[key].as_str().and_then(|text| duration::parse(text).ok());
        let Some(every) = time("every") else { return };
        let place = format!("{pointer}/every");
        self.span(&place, &event["every"]);
        let lasts = ["slow", "takes", "fail", "signal", "lag", "targets"].iter().any(|kind| !event[*kind].is_null());
        match time("for") {
            _ if every < EVERY_MIN => self.complain(&place, "it comes again too often", "give it 1s or more"),
            None if lasts => self.complain(&place, "what lasts to the end does not come again", "add `for`"),
            Some(lasts) if lasts >= every => {
                self.complain(&place, "it comes again before it is over", "give a longer `every`, or a shorter `for`");
            }
            _ => {}
        }
    }

    /// A range that runs backwards, or what comes after the end.
    fn span(&mut self, pointer: &str, value: &Value) {
        let Some(text) = value.as_str() else { return };
        let parts: Vec<&str> = text.split("..").collect();
        if let Some(error) = parts.iter().find_map(|part| duration::parse(part).err()) {
            return self.complain(pointer, error.to_string(), "a range is two durations, for example `1m..5m`");
        }
        let Some(Span { from, to }) = span(value) else { return };
        if from > to {
            let message = format!("a range from {} to {} runs backwards", parts[0], parts[1]);
            return self.complain(pointer, message, format!("write `{}..{}`", parts[1], parts[0]));
        }
        if to > self.horizon {
            let message = format!(
                "{} is beyond the end: the horizon is {}",
                duration::format(to),
                duration::format(self.horizon)
            );
            self.complain(pointer, message, "give an earlier time, or a longer `horizon`");
        }
    }

    /// Of what begins at the same moment, nobody could say which of the two holds.
    fn contradiction(&mut self, said: &[Said<'_>], new: &Said<'_>) {
        if matches!(new.kind, "change" | "kill" | "lease" | "rollback" | "cutover" | "phase" | "mute" | "unmute") {
            return;
        }
        let same = |other: &&Said<'_>| other.kind == new.kind && other.at == new.at;
        let both = |other: &Said<'_>| new.subjects.iter().find(|name| other.subjects.contains(name)).cloned();
        if let Some((other, name)) = said.iter().filter(same).find_map(|other| Some((other, both(other)?))) {
            let message = format!("event {} says `{}` of {name} from the same moment on", other.index + 1, new.kind);
            let help = if other.what == new.what {
                "remove one of the two"
            } else {
                "say one thing only, or give one of them another `at`"
            };
            self.complain(&format!("/events/{}", new.index), message, help);
        }
    }
}
