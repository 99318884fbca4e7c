//! What a plan's decision means: rules that can be reached, times that fit together, a window that is one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    check::entries,
    decode::{Decoded, below},
    duration,
    lower::rules_of,
    model::{Fix, Rule, Severity, Situation, TriggerScope},
    syntax::Problem,
};

/// The role of a token that may read, and do nothing else.
const VIEWER: &str = "viewer";

pub(crate) fn check(decoded: &Decoded) -> Vec<Problem> {
    let mut checker = Checker { decoded, problems: Vec::new() };
    let rules = &decoded.value["decision"]["rules"];
    for index in 0..rules.as_array().map_or(0, Vec::len) {
        checker.times(&format!("/decision/rules/{index}"));
        checker.readers(&format!("/decision/rules/{index}/authority"));
    }
    checker.readers("/decision/authority");
    for (name, _) in entries(&decoded.value["steps"]) {
        checker.reader(&format!("{}/approve/role", below("/steps", name)));
    }
    if decoded.places.is_sound("/decision/rules")
        && !rules.is_null()
        && let Ok(rules) = rules_of(&decoded.value["decision"])
    {
        checker.order(&rules);
    }
    checker.problems
}

struct Checker<'d> {
    decoded: &'d Decoded,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn at(&self, pointer: &str) -> &Value {
        self.decoded.value.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn complain(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(self.decoded.places.value(pointer), message).help(help));
    }

    /// Roles whose word is asked for.
    fn readers(&mut self, authority: &str) {
        for list in [authority.to_owned(), format!("{authority}/all")] {
            for index in 0..self.at(&list).as_array().map_or(0, Vec::len) {
                self.reader(&format!("{list}/{index}"));
            }
        }
    }

    /// Somebody who may only read cannot answer.
    fn reader(&mut self, role: &str) {
        if self.at(role) == VIEWER {
            let message = "the role `viewer` only reads: nobody could answer with it";
            self.complain(role, message, "name `operator`, or a role of your own, for example `incident_commander`");
        }
    }

    fn times(&mut self, rule: &str) {
        let Some(answer) = self.at(&format!("{rule}/do")).as_str().map(str::to_owned) else { return };
        let (timebox, then) = (format!("{rule}/timebox"), format!("{rule}/then"));
        let waits = matches!(answer.as_str(), "fix_first" | "decide");
        let none =
            self.at(&timebox).as_str().is_some_and(|text| duration::parse(text).is_ok_and(|time| time.is_zero()));
        if waits && none {
            let message = "the time is over before people are asked";
            self.complain(
                &timebox,
                message,
                "give people some time, for example `15m`, or let the rule say `do: roll_back`",
            );
        }
        if !waits && !self.at(&timebox).is_null() {
            let help = "remove it, or let the rule say `do: fix_first` or `do: decide`";
            self.complain(&timebox, format!("`{answer}` has no timebox"), help);
        }
        if !self.at(&then).is_null() {
            match answer.as_str() {
                "decide" if self.at(&timebox).is_null() => {
                    let message = "`then` follows at the end of a timebox, and there is none";
                    self.complain(&then, message, "add a `timebox`, for example `15m`");
                }
                "decide" => {}
                "fix_first" => {
                    let message = "`fix_first` ends in a rollback if the trigger still holds";
                    self.complain(&then, message, "remove it, or let the rule say `do: decide`");
                }
                _ => self.complain(&then, format!("`{answer}` is the answer already"), "remove it"),
            }
        }
    }

    /// There are few enough situations to go through all of them.
    fn order(&mut self, rules: &[Rule]) {
        let mut reached = vec![false; rules.len()];
        let phases: Vec<&str> = entries(&self.decoded.value["phases"]).map(|(name, _)| name.as_str()).collect();
        let problems: BTreeSet<Option<&str>> = rules.iter().map(|rule| rule.problem.as_deref()).chain([None]).collect();
        for situation in situations(&problems, &phases) {
            if let Some(index) = rules.iter().position(|rule| rule.matches(&situation)) {
                reached[index] = true;
            }
        }
        let Some(last) = rules.len().checked_sub(1) else { return };
        // A rule of an unknown phase has its error where the phase is named.
        let known = |rule: &Rule| rule.during.iter().all(|phase| phases.contains(&phase.as_str()));
        for index in (0..=last).filter(|index| !reached[*index] && known(&rules[*index])) {
            let message = "this rule is never reached: the rules before it match all that it matches";
            self.complain(&format!("/decision/rules/{index}"), message, "remove it, or move it further up");
        }
        if !rules[last].is_catch_all() {
            let message = "the last rule must match everything, so that every incident gets an answer";
            let answer = rules[last].answer.as_str();
            let help = format!("add a last rule without conditions, for example `- {{ do: {answer} }}`");
            self.complain(&format!("/decision/rules/{last}"), message, help);
        }
    }
}

/// Every situation that a trigger can describe.
fn situations<'p>(
    problems: &'p BTreeSet<Option<&'p str>>,
    phases: &'p [&'p str],
) -> impl Iterator<Item = Situation<'p>> {
    let severities = [Severity::Critical, Severity::Major, Severity::Minor];
    let scopes = [TriggerScope::SystemWide, TriggerScope::Isolated];
    let fixes = [Fix::Short, Fix::Medium, Fix::Long, Fix::Unknown];
    let kinds = severities
        .into_iter()
        .flat_map(move |severity| scopes.map(|scope| (severity, scope)))
        .flat_map(move |(severity, scope)| fixes.map(|fix| (severity, scope, fix)));
    kinds.flat_map(move |(severity, scope, fix)| {
        let phases = phases.iter().copied().map(Some).chain(phases.is_empty().then_some(None));
        phases.flat_map(move |phase| {
            problems.iter().map(move |problem| Situation { problem: *problem, severity, scope, fix, phase })
        })
    })
}
