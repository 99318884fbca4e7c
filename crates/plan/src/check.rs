//! What a plan means: names that must exist, orders that must be possible, numbers that must fit together.
//!
//! Works on the normal form, where null stands for what did not decode: that is skipped, never complained about twice.

use serde_json::{Map, Value};

use crate::{
    builtin::{ELAPSED, LOSS, MANUAL, WAIT},
    catalogue::{Catalogue, Finding},
    decode::{Decoded, Places, below},
    duration,
    lower::merged_aws,
    suggest::instead_of,
    syntax::Problem,
};

/// Everything wrong with the meaning of a decoded file.
pub(crate) fn check(decoded: &Decoded, catalogue: &Catalogue) -> Vec<Problem> {
    let mut checker = Checker {
        root: &decoded.value,
        places: &decoded.places,
        catalogue,
        signals: match decoded.value.get("signals") {
            Some(Value::Null) => None,
            signals => Some(signals.map(keys).unwrap_or_default()),
        },
        problems: Vec::new(),
    };
    checker.aws("");
    checker.signals();
    checker.triggers();
    checker.gates("/confirm");
    for name in keys(&decoded.value["steps"]) {
        checker.step(name);
    }
    checker.problems.extend(crate::check_steps::check(decoded, catalogue));
    checker.problems.extend(crate::check_phases::check(decoded));
    checker.problems.extend(crate::check_checklist::check(decoded));
    checker.problems.extend(crate::check_decision::check(decoded));
    checker.problems.extend(crate::check_notify::check(decoded, catalogue));
    checker.problems
}

/// The entries of an object, or nothing.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn keys(value: &Value) -> Vec<&str> {
    entries(value).map(|(key, _)| key.as_str()).collect()
}

struct Checker<'d> {
    root: &'d Value,
    places: &'d Places,
    catalogue: &'d Catalogue,
    /// None where the whole section did not decode: then any name may be right.
    signals: Option<Vec<&'d str>>,
    problems: Vec<Problem>,
}

impl<'d> Checker<'d> {
    fn at(&self, pointer: &str) -> &'d Value {
        self.root.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn duration(&self, pointer: &str) -> Option<std::time::Duration> {
        duration::parse(self.at(pointer).as_str()?).ok()
    }

    fn complain(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(self.places.value(pointer), message).help(help));
    }

    fn findings(&mut self, pointer: &str, findings: Vec<Finding>) {
        for finding in findings {
            let span = self.places.value(&format!("{pointer}{}", finding.pointer));
            self.problems.push(finding.at(span));
        }
    }

    fn signals(&mut self) {
        for (name, spec) in entries(&self.root["signals"]) {
            let pointer = below("/signals", name);
            self.aws(&pointer);
            let known = self.catalogue.signals.iter().find(|known| !spec[known.key].is_null());
            if let Some(known) = known {
                // A defect elsewhere in the signal hides nothing; what was not decoded has had its error.
                let mut findings = (known.check)(spec);
                findings.retain(|finding| self.places.is_reliable(&format!("{pointer}{}", finding.pointer)));
                self.findings(&pointer, findings);
            }
            if let Some(step) = spec[LOSS].as_str() {
                self.loss(&below(&pointer, LOSS), step);
            }
        }
    }

    /// What a step would lose is known of those that lose data.
    fn loss(&mut self, pointer: &str, name: &str) {
        let steps = &self.root["steps"];
        if steps.is_null() {
            return;
        }
        let loses = |step: &Value| match step["action"].as_str().and_then(|action| self.catalogue.action(action)) {
            Some(spec) => spec.loses_data() || step["loses_data"] == true,
            None => true, // it has its own error
        };
        let losing: Vec<&str> = entries(steps).filter(|(_, step)| loses(step)).map(|(name, _)| name.as_str()).collect();
        if losing.contains(&name) {
            if [MANUAL, WAIT].iter().any(|action| steps[name]["action"] == *action) {
                let message = format!("nothing is observed of step `{name}`, so what it would lose is never known");
                self.complain(pointer, message, "watch a step that restores data, or leave the signal out");
            }
            return;
        }
        let message = match keys(steps).contains(&name) {
            true => format!("step `{name}` loses no data, so there is no loss to watch"),
            false => format!("unknown step `{name}`"),
        };
        let help = match losing.is_empty() {
            true => "no step of this plan loses data; write `loses_data: true` at one that does".to_owned(),
            false => instead_of(name, "the steps of this plan that lose data", losing),
        };
        self.complain(pointer, message, help);
    }

    /// A role belongs to an account: that of another one could never pass the account guard.
    fn aws(&mut self, pointer: &str) {
        let own = self.at(&format!("{pointer}/aws"));
        let (Some(role), Some(account)) =
            (own["role"].as_str(), merged_aws(&self.root["aws"], own)["account"].as_str().map(str::to_owned))
        else {
            return;
        };
        let role_account = role.split(':').nth(4).unwrap_or_default();
        if role_account != account {
            let message = format!("the role belongs to account {role_account}, but the account here is {account}");
            self.complain(&format!("{pointer}/aws/role"), message, "name a role of the account that is acted in");
        }
    }

    fn triggers(&mut self) {
        for name in keys(&self.root["triggers"]) {
            self.condition(&format!("{}/when", below("/triggers", name)));
        }
    }

    fn condition(&mut self, pointer: &str) {
        match self.at(pointer) {
            Value::String(signal) => self.signal(pointer, signal),
            Value::Object(condition) => {
                let (list, least) = match condition.get("at_least") {
                    Some(at_least) => (format!("{pointer}/at_least/of"), at_least["n"].as_u64()),
                    None => (format!("{pointer}/{}", keys_of(condition)), None),
                };
                let length = self.at(&list).as_array().map_or(0, Vec::len);
                if let Some(n) = least.filter(|n| *n > length as u64 && length > 0) {
                    let message = format!("at least {n} of {length} can never be true");
                    self.complain(
                        &format!("{pointer}/at_least/n"),
                        message,
                        format!("give a number from 1 to {length}"),
                    );
                }
                for index in 0..length {
                    self.condition(&format!("{list}/{index}"));
                }
            }
            _ => {}
        }
    }

    fn signal(&mut self, pointer: &str, name: &str) {
        if let Some(signals) = &self.signals
            && !signals.contains(&name)
        {
            let help = instead_of(name, "the signals of this plan", signals.iter().copied());
            self.complain(pointer, format!("unknown signal `{name}`"), help);
        }
    }

    fn gates(&mut self, list: &str) {
        let mut seen: Vec<String> = Vec::new();
        for index in 0..self.at(list).as_array().map_or(0, Vec::len) {
            let mut pointer = format!("{list}/{index}");
            if !self.at(&pointer).is_string() {
                self.gate_times(&pointer);
                pointer.push_str("/signal");
            }
            let Some(signal) = self.at(&pointer).as_str().map(str::to_owned) else { continue };
            self.signal(&pointer, &signal);
            let of_signal = &self.root["signals"][&signal];
            if !of_signal[ELAPSED].is_null() {
                let message = format!("`{signal}` shows time that has gone by, which no step brings back");
                self.complain(&pointer, message, "let a trigger watch it");
            }
            if !of_signal[LOSS].is_null() {
                let message =
                    format!("`{signal}` shows what a rollback would lose, which is not read while one is under way");
                let help =
                    "let a trigger watch it; where a step would lose more than `objectives.rpo`, it asks a person";
                self.complain(&pointer, message, help);
            }
            // One would pass or fail for the other.
            if seen.contains(&signal) {
                let message = format!("`{signal}` is in this list already");
                self.complain(&pointer, message, "give one entry the longer `for` and `within`");
            }
            seen.push(signal);
        }
    }

    fn gate_times(&mut self, pointer: &str) {
        let (within, hold) = (format!("{pointer}/within"), format!("{pointer}/for"));
        if let (Some(within), Some(hold_for)) = (self.duration(&within), self.duration(&hold))
            && hold_for > within
        {
            let (hold_for, within) = (duration::format(hold_for), duration::format(within));
            let message = format!("healthy for {hold_for} cannot be seen within {within}");
            self.complain(&hold, message, format!("give a `within` of {hold_for} or longer, or a shorter `for`"));
        }
    }

    fn step(&mut self, name: &str) {
        let pointer = below("/steps", name);
        self.aws(&pointer);
        self.gates(&format!("{pointer}/require"));
        self.gates(&format!("{pointer}/verify"));
        self.timings(&pointer);
        self.stages(&format!("{pointer}/stages"));
        let step = self.at(&pointer);
        let Some(spec) = step["action"].as_str().and_then(|action| self.catalogue.action(action)) else { return };
        if spec.loses_data() && step["loses_data"] == false {
            let message = format!("`{}` always loses the data written since", spec.name);
            self.complain(&format!("{pointer}/loses_data"), message, "write `loses_data: true`, or leave it out");
        }
        if spec.to.is_none() && step["on_drift"] == "halt" {
            let message = format!("`{}` has no state that could drift", spec.name);
            self.complain(&format!("{pointer}/on_drift"), message, "leave it out: there is nothing to halt for");
        }
        let (with, to) = (format!("{pointer}/with"), format!("{pointer}/to"));
        if self.places.is_sound(&with) && self.places.is_sound(&to) {
            let target = Some(&step["to"]).filter(|to| to.is_object());
            let findings = (spec.check)(&step["with"], target);
            self.findings(&pointer, findings);
        }
        let expect = format!("{pointer}/expect");
        if self.places.is_sound(&with) && self.places.is_sound(&expect) && step["expect"].is_object() {
            let findings = (spec.check)(&step["with"], Some(&step["expect"])).into_iter();
            // What is wrong with the rest was said of the target.
            let of_it = findings.filter_map(|finding| {
                let below = finding.pointer.strip_prefix("/to")?;
                Some(Finding { pointer: format!("/expect{below}"), ..finding })
            });
            self.findings(&pointer, of_it.collect());
        }
    }

    fn timings(&mut self, pointer: &str) {
        let timeout = format!("{pointer}/timeout");
        if self.duration(&timeout).is_some_and(|timeout| timeout.is_zero()) {
            self.complain(
                &timeout,
                "a timeout of 0s leaves no time for anything",
                "give the step time, for example `5m`",
            );
        }
        let backoff = format!("{pointer}/retry/backoff");
        let Some((least, most)) = self.at(&backoff).as_str().and_then(|text| text.split_once("..")) else { return };
        match (duration::parse(least), duration::parse(most)) {
            (Ok(least_wait), Ok(most_wait)) if least_wait > most_wait => {
                let message = format!("a back-off from {least} to {most} runs backwards");
                self.complain(&backoff, message, format!("write `{most}..{least}`"));
            }
            (Ok(_), Ok(_)) => {}
            (Err(error), _) | (_, Err(error)) => {
                self.complain(&backoff, error.to_string(), "a back-off is two durations, for example `1s..30s`");
            }
        }
    }
}

impl Checker<'_> {
    /// Every stage goes further than the one before, and the last one all the way.
    fn stages(&mut self, pointer: &str) {
        let Some(stages) = self.at(pointer).as_array().filter(|_| self.places.is_sound(pointer)) else { return };
        let mut before = 0;
        for (index, percent) in stages.iter().filter_map(Value::as_u64).enumerate() {
            if percent <= before {
                let message = format!("a stage of {percent}% after one of {before}%: stages only go forward");
                self.complain(&format!("{pointer}/{index}"), message, "give rising percentages, as `[10, 50, 100]`");
            }
            before = percent;
        }
        if let Some(last) = stages.len().checked_sub(1).filter(|_| before != 100) {
            let message = format!("the last stage is {before}%: the step would never get to its target");
            self.complain(&format!("{pointer}/{last}"), message, "end the list with 100");
        }
    }
}

fn keys_of(condition: &Map<String, Value>) -> &str {
    condition.keys().next().map_or("", String::as_str)
}
