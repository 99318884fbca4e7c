//! What needs no system: two actions that Belay's core carries out, and two signals that Belay itself knows.

use std::time::Duration;

use crate::{
    catalogue::{ActionSpec, Finding, SignalSpec, no_action_findings, no_signal_findings},
    duration,
    model::Nature,
    shape::{duration as duration_shape, field, name, object, one_of, pattern, text, words},
};

/// A person does it and says so.
pub const MANUAL: &str = "manual";

/// Lets time pass.
pub const WAIT: &str = "wait";

/// Is unhealthy when more time has gone by than planned.
pub const ELAPSED: &str = "elapsed";

/// Is unhealthy when a step would lose more of what was written than the plan bears.
pub const LOSS: &str = "loss";

/// The built-in signals.
pub fn signals() -> [SignalSpec; 2] {
    [elapsed(), loss()]
}

/// Whether Belay itself knows what a signal of this kind shows; no sensor reads it.
pub fn is_own(kind: &str) -> bool {
    matches!(kind, ELAPSED | LOSS)
}

fn loss() -> SignalSpec {
    let at_most =
        pattern("the longest time of data that may be lost, such as `<= 10m`", "^<=? ?([0-9]+(d|h|m|s|ms))+$");
    SignalSpec {
        key: LOSS,
        summary: "Unhealthy when a step that loses data would now lose more than that.",
        value: name(),
        siblings: vec![field("healthy", at_most, "How much it may be.")],
        check: |spec| {
            let healthy = spec["healthy"].as_str().filter(|text| LossLimit::parse(text).is_none());
            let finding = |text: &str| {
                let message = format!("`{text}` is no longest time");
                Finding::new("/healthy", message).help("write it as `<= 10m`: units from the largest to the smallest")
            };
            healthy.map(finding).into_iter().collect()
        },
        remarks: no_signal_findings,
    }
}

/// How much data a step may lose, as plans write it: `<= 10m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossLimit {
    time: Duration,
    /// Whether so much is healthy still.
    inclusive: bool,
}

impl LossLimit {
    /// None: the text is no limit.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('<')?;
        let (inclusive, rest) = rest.strip_prefix('=').map_or((false, rest), |rest| (true, rest));
        let time = duration::parse(rest.trim()).ok().filter(|time| !time.is_zero())?;
        Some(Self { time, inclusive })
    }

    /// Whether a loss of so much is within it.
    pub fn holds(self, loss: Duration) -> bool {
        loss < self.time || (self.inclusive && loss == self.time)
    }

    /// A loss that grows to this is within it no more; or a moment later.
    pub fn time(self) -> Duration {
        self.time
    }
}

fn elapsed() -> SignalSpec {
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
    SignalSpec {
        key: ELAPSED,
        summary: "Unhealthy when a phase, or the time since arming or the cutover, lasts longer than planned.",
        value,
        siblings: Vec::new(),
        check: no_signal_findings,
        remarks: always_late,
    }
}

fn always_late(entry: &serde_json::Value) -> Vec<Finding> {
    let at_most = entry[ELAPSED]["at_most"].as_str().and_then(|text| duration::parse(text).ok());
    let none = at_most.filter(Duration::is_zero).map(|_| {
        let finding = Finding::new(format!("/{ELAPSED}/at_most"), "it is unhealthy from the first moment on");
        finding.help("give it a time, for example `6h`")
    });
    none.into_iter().collect()
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
        nature: Nature::Person,
        usual: None,
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
        nature: Nature::Wait,
        usual: None,
        resource: |_| String::new(),
        check: |with, _| match with["for"].as_str() {
            Some("0s") => vec![Finding::new("/with/for", "a wait of 0s does nothing")],
            _ => Vec::new(),
        },
    }
}
