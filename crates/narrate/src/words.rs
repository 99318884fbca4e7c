//! Words and numbers as people read them.

use std::time::Duration;

use belay_core::change::Report;
use belay_plan::model::Answer;
use serde::Serialize;
use serde_json::{Value, json};

/// `12s`, `1m 05s`, `1h 02m`, `3d 04h`: for people.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) if hours < 48 => format!("{hours}h {minutes:02}m"),
        (hours, ..) => format!("{}d {:02}h", hours / 24, hours % 24),
    }
}

/// `Belay did not run for 12m 00s`
pub fn outage(outage_s: u64, asleep: bool, clock_set_s: i64) -> String {
    let what = if asleep { "the process was suspended" } else { "Belay did not run" };
    // When the clock was set while no process ran, nothing shows how long that was.
    let time = match clock_set(clock_set_s) {
        Some(set) if !asleep => format!("an unknown time: {set}"),
        Some(set) => format!("{}; {set}", duration(Duration::from_secs(outage_s))),
        None => duration(Duration::from_secs(outage_s)),
    };
    format!("{what} for {time}")
}

/// `the clock was set back by 1h 00m`: none where it was not set.
fn clock_set(seconds: i64) -> Option<String> {
    let way = if seconds < 0 { "back" } else { "forward" };
    (seconds != 0)
        .then(|| format!("the clock was set {way} by {}", duration(Duration::from_secs(seconds.unsigned_abs()))))
}

/// What a job has left to read, on one line: the end of its output, and where there is more.
pub fn job(report: &Report) -> String {
    const CHARS_MAX: usize = 240;
    let words: Vec<&str> = report.output.split_whitespace().collect();
    let output = words.join(" ");
    let cut = output.chars().count().saturating_sub(CHARS_MAX);
    let output = match output.char_indices().nth(cut) {
        Some((from, _)) if cut > 0 => format!("...{}", &output[from..]),
        _ => output,
    };
    let logs = if report.logs.is_empty() { String::new() } else { format!("logs: {}", report.logs) };
    let parts = [output, logs].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("; ")
}

/// `rolled_back` as people write it.
pub fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// `1 step`, `3 steps`
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// An enum as the journal writes it, in words.
pub fn name(value: &impl Serialize) -> String {
    match json!(value) {
        Value::String(name) => words(&name),
        other => other.to_string(),
    }
}

/// The answer of a rule or of people.
pub fn answer(answer: Answer) -> String {
    match answer {
        Answer::Decide => "people decide".to_owned(),
        other => words(other.as_str()),
    }
}

pub(crate) fn with_why(what: &str, why: &str) -> String {
    match why.trim() {
        "" => what.to_owned(),
        why => format!("{what}: {why}"),
    }
}

/// The parts that are not empty.
pub(crate) fn joined<'p>(parts: impl IntoIterator<Item = &'p str>, between: &str) -> String {
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_the_end_of_the_output_and_the_way_to_the_rest() {
        let said = |output: &str, logs: &str| job(&Report { output: output.to_owned(), logs: logs.to_owned() });
        assert_eq!(said("stopped 3\nworkers\n", "/aws/lambda/fence"), "stopped 3 workers; logs: /aws/lambda/fence");
        assert_eq!(said("", "a"), "logs: a");
        let long = said(&format!("{} end", "é".repeat(400)), "");
        assert!(long.starts_with("...é") && long.ends_with(" end") && long.chars().count() == 243, "{long}");
    }

    #[test]
    fn durations_are_short() {
        let cases = [(400, "0s"), (12_000, "12s"), (65_000, "1m 05s"), (3_720_000, "1h 02m"), (363_600_000, "4d 05h")];
        for (ms, text) in cases {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn an_outage_shows_how_long_it_was_unless_the_clock_was_set() {
        assert_eq!(outage(720, false, 0), "Belay did not run for 12m 00s");
        assert_eq!(
            outage(720, false, -3600),
            "Belay did not run for an unknown time: the clock was set back by 1h 00m"
        );
        assert_eq!(outage(720, true, 60), "the process was suspended for 12m 00s; the clock was set forward by 1m 00s");
    }
}
