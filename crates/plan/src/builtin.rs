//! What needs no system: two actions and a signal that Belay's core sees to itself.

use std::time::Duration;

use crate::{
    catalogue::{ActionSpec, Finding, SignalSpec, no_action_findings, no_signal_findings},
    duration,
    shape::{duration as duration_shape, field, name, object, one_of, pattern, text, words},
};

/// A person does it and says so.
pub const MANUAL: &str = "manual";

/// Lets time pass.
pub const WAIT: &str = "wait";

/// Is unhealthy when more time has gone by than planned.
pub const ELAPSED: &str = "elapsed";

/// The built-in signal.
pub fn signals() -> [SignalSpec; 1] {
    let share = pattern("a share of the expected time such as `150%`", "^[1-9][0-9]{0,3}%$");
    let at_most =
        one_of("a time such as `6h`, or a share of the expected time such as `150%`", [duration_shape(), share]);
    let of_phase = object([
        field("phase", name(), "The phase whose time counts."),
        field("at_most", at_most, "Longer is unhealthy."),
    ]);
    let since = object([
        field("since", words(["armed", "cutover"]), "From when time counts."),
        field("at_most", duration_shape(), "Longer is unhealthy."),
    ]);
    let value = one_of("{ phase, at_most } or { since, at_most }", [of_phase, since]);
    [SignalSpec {
        key: ELAPSED,
        summary: "Unhealthy when a phase, or the time since arming or the cutover, lasts longer than planned.",
        value,
        siblings: Vec::new(),
        check: no_signal_findings,
        remarks: no_signal_findings,
    }]
}

/// The built-in actions.
pub fn actions() -> [ActionSpec; 2] {
    [manual(), wait()]
}

fn manual() -> ActionSpec {
    ActionSpec {
        name: MANUAL,
        summary: "A person does it and says so with `approve`.",
        with: object([field("instructions", text("instructions for the person"), "What the person has to do.")]),
        to: None,
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(60 * 60),
        loses_data: false,
        resource: |_| String::new(),
        check: no_action_findings,
    }
}

fn wait() -> ActionSpec {
    ActionSpec {
        name: WAIT,
        summary: "Lets time pass, for example for a DNS time-to-live to run out.",
        with: object([field("for", duration_shape(), "How long to wait.")]),
        to: None,
        others: false,
        stages: false,
        default_timeout: duration::MAX,
        loses_data: false,
        resource: |_| String::new(),
        check: |with, _| match with["for"].as_str() {
            Some("0s") => vec![Finding::new("/with/for", "a wait of 0s does nothing")],
            _ => Vec::new(),
        },
    }
}
