//! Which signals that measure errors or latency were compared with the plan's limits, and how that ended.

use std::fmt;

use belay_core::reading::Health;
use belay_plan::model::Signal;
use serde_json::Value;

use crate::{course::Course, model::RunReport};

/// What a metric, an alarm or a query is called that measures errors.
const ERRORS: [&str; 8] = ["error", "4xx", "5xx", "5..", "failed", "failure", "exception", "faultrate"];
const LATENCY: [&str; 6] = ["latency", "duration", "responsetime", "response_time", "response-time", "slow"];

/// After a confirmation that held.
#[derive(Default)]
pub(crate) struct Compared {
    /// What errors, and what latency was compared by.
    pub(crate) by: [By; 2],
    /// The signals of either that are unhealthy at the last reading.
    pub(crate) unhealthy: Vec<String>,
}

#[derive(Default)]
pub(crate) struct By {
    confirmed: Vec<String>,
    last_read: Vec<String>,
}

impl By {
    pub(crate) fn is_empty(&self) -> bool {
        self.confirmed.is_empty() && self.last_read.is_empty()
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.confirmed.is_empty(), self.last_read.is_empty()) {
            (false, _) => write!(f, "the confirmation has held ({})", self.confirmed.join(", ")),
            (true, false) => write!(f, "healthy at the last reading ({})", self.last_read.join(", ")),
            (true, true) => f.write_str("no signal of the confirmation or of a trigger measures it: look at it"),
        }
    }
}

pub(crate) fn compared(course: &Course, report: &RunReport) -> Compared {
    let mut compared = Compared::default();
    for row in &report.signals.rows {
        let name = row.signal.as_str();
        let Some(signal) = course.plan().signals.get(name) else { continue };
        let measured = measured(name, signal);
        let band = row.bands.items.last();
        let last = band.map(|band| band.health);
        let is_confirmed = course.plan().confirm.iter().any(|gate| gate.signal == name);
        // What the confirmation found healthy may have turned since.
        let since = band.zip(course.ended()).is_some_and(|(band, ended)| band.from >= ended);
        if measured.contains(&true) && last == Some(Health::Unhealthy) && (since || !is_confirmed) {
            compared.unhealthy.push(name.to_owned());
        }
        for (by, _) in compared.by.iter_mut().zip(measured).filter(|(_, measured)| *measured) {
            match (is_confirmed, last) {
                (true, _) => by.confirmed.push(name.to_owned()),
                (false, Some(Health::Healthy)) => by.last_read.push(name.to_owned()),
                _ => {}
            }
        }
    }
    compared
}

/// Whether a signal measures errors, and whether it measures latency, as far as the plan shows it. The status of a page, of
/// targets or of a database measures neither.
fn measured(name: &str, signal: &Signal) -> [bool; 2] {
    let spec = &signal.spec[&signal.kind];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let keys = |value: &Value| value.as_object().into_iter().flat_map(|map| map.keys()).cloned().collect::<Vec<_>>();
    let mut words = vec![name.to_owned()];
    match signal.kind.as_str() {
        "alarm" => words.push(text(spec)),
        "metric" => {
            words.extend([text(&spec["name"]), text(&spec["expression"])]);
            words.extend(keys(&spec["metrics"]));
            let metrics = spec["metrics"].as_object().into_iter().flat_map(|metrics| metrics.values());
            words.extend(metrics.map(|metric| text(&metric["name"])));
        }
        "prometheus" | "sql" => words.push(text(&spec["query"])),
        // One number of a body, or the time of the answer; the signal's name does not show what is compared.
        "http" => words = keys(&spec["body_json"]),
        _ => return [false, false],
    }
    let words = words.join(" ").to_ascii_lowercase();
    let has = |wanted: &[&str]| wanted.iter().any(|word| words.contains(word));
    [has(&ERRORS), has(&LATENCY) || (signal.kind == "http" && !spec["within"].is_null())]
}
