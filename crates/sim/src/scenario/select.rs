//! Which steps and signals of a plan are meant.

use belay_core::{elapsed::is_own, watch::signals_of};
use belay_plan::{
    catalogue::Finding,
    model::{Name, Plan, Step, Target},
    suggest::{instead_of, quoted},
};
use serde_json::Value;

use crate::world::is_builtin;

/// What is going to be done to the steps, which not every step allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Their calls: nobody calls anything for `manual` and `wait`.
    Calls,
    /// Their destinations: what has no weights has none.
    Traffic,
    /// Anything.
    Any,
}

impl Use {
    fn fits(self, step: &Step) -> bool {
        match self {
            Self::Any => true,
            Self::Calls => !is_builtin(&step.action),
            Self::Traffic => !is_builtin(&step.action) && step.to != Target::Own,
        }
    }

    fn does(self) -> &'static str {
        match self {
            Self::Traffic => "gives traffic to anybody",
            Self::Calls | Self::Any => "sends a call",
        }
    }

    fn why_not(self, name: &str, step: &Step) -> (String, &'static str) {
        match self {
            Self::Traffic => {
                (format!("`{name}` ({}) gives no traffic to anybody", step.action), "name a step that shifts weights")
            }
            _ => (
                format!("no call is sent for `{name}` ({})", step.action),
                "of people, `people` says how long they take; a `wait` takes what the plan says",
            ),
        }
    }
}

/// A selection of steps: `all`, a name, names, or all of an action. What is not decoded selects nothing, without a word.
pub(crate) fn steps(plan: &Plan, value: &Value, pointer: &str, usage: Use) -> Result<Vec<Name>, Vec<Finding>> {
    let fitting = |of: &dyn Fn(&Step) -> bool| -> Vec<Name> {
        plan.steps.iter().filter(|(_, step)| usage.fits(step) && of(step)).map(|(name, _)| name.clone()).collect()
    };
    if let Some(action) = value.get("action") {
        let actions = names(action);
        let selected = fitting(&|step| actions.contains(&step.action.as_str()));
        return non_empty(selected, || {
            let known = plan.steps.values().map(|step| step.action.as_str());
            let help = instead_of(actions.first().unwrap_or(&""), "the actions of this plan", unique(known));
            Finding::new(pointer, format!("no step of this plan has the action {}", quoted(actions.clone(), " or ")))
                .help(help)
        });
    }
    if value == "all" && !plan.steps.contains_key("all") {
        let nothing =
            || Finding::new(pointer, format!("this selects nothing: the plan has no step that {}", usage.does()));
        return non_empty(fitting(&|_| true), nothing);
    }
    let mut findings = Vec::new();
    for (place, name) in named(value, pointer) {
        match plan.steps.get(name) {
            Some(step) if usage.fits(step) => {}
            Some(step) => {
                let (message, help) = usage.why_not(name, step);
                findings.push(Finding::new(place, message).help(help));
            }
            None => {
                let help = instead_of(name, "the steps of this plan", plan.steps.keys().map(String::as_str));
                findings.push(Finding::new(place, format!("unknown step `{name}`")).help(help));
            }
        }
    }
    if findings.is_empty() { Ok(names(value).into_iter().map(str::to_owned).collect()) } else { Err(findings) }
}

/// A selection of signals. `breached`: the trigger of the breach.
pub(crate) fn signals(
    plan: &Plan,
    value: &Value,
    pointer: &str,
    breached: Option<&str>,
) -> Result<Vec<Name>, Vec<Finding>> {
    if let Some(kind) = value.get("kind") {
        let kinds = names(kind);
        let of_kind = plan.signals.iter().filter(|(_, signal)| kinds.contains(&signal.kind.as_str()));
        return non_empty(of_kind.map(|(name, _)| name.clone()).collect(), || {
            let known = plan.signals.values().map(|signal| signal.kind.as_str());
            let help = instead_of(kinds.first().unwrap_or(&""), "the kinds of this plan", unique(known));
            Finding::new(pointer, format!("no signal of this plan is of the kind {}", quoted(kinds.clone(), " or ")))
                .help(help)
        });
    }
    if let Some(trigger) = value.get("trigger").and_then(Value::as_str) {
        let name = if trigger == "breached" { breached } else { Some(trigger) };
        let found = name.and_then(|name| plan.triggers.get(name));
        return match found {
            Some(trigger) => Ok(signals_of(&trigger.when).into_iter().cloned().collect()),
            None => Err(vec![unknown_trigger(plan, trigger, format!("{pointer}/trigger"))]),
        };
    }
    if value == "all" && !plan.signals.contains_key("all") {
        let nothing = || Finding::new(pointer, "this selects nothing: the plan has no signals");
        return non_empty(plan.signals.keys().cloned().collect(), nothing);
    }
    let finding = |(place, name): (String, &str)| match plan.signals.get(name) {
        Some(signal) if is_own(signal) => Some(
            Finding::new(
                place,
                format!("no sensor reads `{name}` ({}), so no event changes what it shows", signal.kind),
            )
            .help(
                "it follows from the times of arming, phase and cutover; `breach: { after: 20m }` lets more time pass",
            ),
        ),
        Some(_) => None,
        None => {
            let help = instead_of(name, "the signals of this plan", plan.signals.keys().map(String::as_str));
            Some(Finding::new(place, format!("unknown signal `{name}`")).help(help))
        }
    };
    let findings: Vec<Finding> = named(value, pointer).into_iter().filter_map(finding).collect();
    if findings.is_empty() { Ok(names(value).into_iter().map(str::to_owned).collect()) } else { Err(findings) }
}

pub(crate) fn unknown_trigger(plan: &Plan, name: &str, pointer: String) -> Finding {
    if plan.triggers.is_empty() {
        return Finding::new(pointer, "this plan has no triggers").help("leave it out: a person notices the breach");
    }
    let help = instead_of(name, "the triggers of this plan", plan.triggers.keys().map(String::as_str));
    Finding::new(pointer, format!("unknown trigger `{name}`")).help(help)
}

fn non_empty(selected: Vec<Name>, nothing: impl FnOnce() -> Finding) -> Result<Vec<Name>, Vec<Finding>> {
    if selected.is_empty() { Err(vec![nothing()]) } else { Ok(selected) }
}

/// One name, or a list of them.
fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// The same, each with its place.
fn named<'v>(value: &'v Value, pointer: &str) -> Vec<(String, &'v str)> {
    let place = |index: usize| if value.is_array() { format!("{pointer}/{index}") } else { pointer.to_owned() };
    names(value).into_iter().enumerate().map(|(index, name)| (place(index), name)).collect()
}

fn unique<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut found: Vec<&str> = names.collect();
    found.sort_unstable();
    found.dedup();
    found
}
