//! What a plan says of its phases: each is one that there is, and each is served by a step.

use serde_json::Value;

use crate::{
    builtin::ELAPSED,
    check::entries,
    decode::{Decoded, below},
    duration,
    suggest::instead_of,
    syntax::Problem,
};

pub(crate) fn check(decoded: &Decoded) -> Vec<Problem> {
    let root = &decoded.value;
    // Null: the section did not decode, so any name may be right.
    if root.get("phases").is_some_and(Value::is_null) {
        return Vec::new();
    }
    let phases: Vec<&str> = entries(&root["phases"]).map(|(name, _)| name.as_str()).collect();
    let mut checker = Checker { decoded, phases, problems: Vec::new() };
    for section in ["triggers", "steps"] {
        for (name, _) in entries(&root[section]) {
            checker.during(&format!("{}/during", below(&format!("/{section}"), name)));
        }
    }
    for index in 0..root["decision"]["rules"].as_array().map_or(0, Vec::len) {
        checker.during(&format!("/decision/rules/{index}/during"));
    }
    for (name, signal) in entries(&root["signals"]).filter(|(_, signal)| signal[ELAPSED].is_object()) {
        checker.elapsed(&format!("{}/{ELAPSED}", below("/signals", name)), &signal[ELAPSED]);
    }
    for (name, phase) in entries(&root["phases"]) {
        if phase["expected"].as_str().is_some_and(|text| duration::parse(text).is_ok_and(|time| time.is_zero())) {
            let message = format!("phase `{name}` is over before it begins");
            let pointer = format!("{}/expected", below("/phases", name));
            checker.complain(
                &pointer,
                message,
                "write how long it is planned to take, for example `4h`, or leave it out",
            );
        }
    }
    checker.served();
    checker.problems
}

struct Checker<'d> {
    decoded: &'d Decoded,
    phases: Vec<&'d str>,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn complain(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(self.decoded.places.value(pointer), message).help(help));
    }

    fn during(&mut self, list: &str) {
        let names = self.decoded.value.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
        for (index, name) in names.iter().enumerate() {
            let (Some(phase), pointer) = (name.as_str(), format!("{list}/{index}")) else { continue };
            if self.phase(&pointer, phase) && names[..index].contains(name) {
                self.complain(&pointer, format!("phase `{phase}` is listed twice"), "once is enough");
            }
        }
    }

    fn phase(&mut self, pointer: &str, name: &str) -> bool {
        if self.phases.contains(&name) {
            return true;
        }
        let help = match self.phases.is_empty() {
            true => {
                "name the phases of the migration: `phases: { backfill: { expected: 4h }, cutover: {} }`".to_owned()
            }
            false => instead_of(name, "the phases of this plan", self.phases.iter().copied()),
        };
        self.complain(pointer, format!("unknown phase `{name}`"), help);
        false
    }

    fn elapsed(&mut self, pointer: &str, elapsed: &Value) {
        let Some(phase) = elapsed["phase"].as_str() else { return };
        if !self.phase(&format!("{pointer}/phase"), phase) {
            return;
        }
        let share = elapsed["at_most"].as_str().is_some_and(|text| text.ends_with('%'));
        if share && self.decoded.value["phases"][phase]["expected"].is_null() {
            let message = format!("phase `{phase}` has no expected time to take a share of");
            let help = format!("write `phases: {{ {phase}: {{ expected: 4h }} }}`, or `at_most` as a time");
            self.complain(&format!("{pointer}/at_most"), message, help);
        }
    }

    /// A rollback in a phase without a step would do nothing.
    fn served(&mut self) {
        let steps = &self.decoded.value["steps"];
        if steps.is_null() {
            return;
        }
        let serves = |step: &Value, phase: &str| {
            step["during"].as_array().is_none_or(|during| during.iter().any(|name| name.is_null() || name == phase))
        };
        // A step that only stands in for others does nothing as long as none of them has failed.
        let stands_in: Vec<&str> =
            entries(steps).filter_map(|(_, step)| step["on_failure"]["fallback"].as_str()).collect();
        let acts: Vec<&Value> =
            entries(steps).filter(|(name, _)| !stands_in.contains(&name.as_str())).map(|(_, step)| step).collect();
        let unserved: Vec<&str> =
            self.phases.iter().copied().filter(|phase| !acts.iter().any(|step| serves(step, phase))).collect();
        for phase in unserved {
            let message = format!("no step serves phase `{phase}`: a rollback in it would do nothing");
            let help = format!("add `{phase}` to `during` of the steps that roll it back, or leave `during` out");
            self.complain(&below("/phases", phase), message, help);
        }
    }
}
