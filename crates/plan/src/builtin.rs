//! The two actions that need no system: Belay's core carries them out itself.

use std::time::Duration;

use crate::{
    catalogue::{ActionSpec, Finding, no_action_findings},
    duration,
    shape::{duration as duration_shape, field, object, text},
};

/// A person does it and says so.
pub const MANUAL: &str = "manual";

/// Lets time pass.
pub const WAIT: &str = "wait";

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
