//! Whether an answer is as it should be.

use std::{collections::BTreeMap, time::Duration};

use belay_plan::duration::format as duration_format;
use jiff::Timestamp;
use serde_json::Value;

use super::{BODY_BYTES_MAX, spec::Spec};
use crate::{
    outcome::{Limit, Outcome},
    tls::{self, Certificate},
};

/// How much of a header evidence shows.
const HEADER_CHARS_MAX: usize = 100;

/// What a page answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By the names of those that matter, in lower case.
    pub(super) headers: BTreeMap<String, String>,
    /// At most as much of it as the request wants.
    pub(crate) body: Vec<u8>,
    pub(super) certificate: Option<Certificate>,
    pub(super) took: Duration,
    /// What was sent along and must not be shown, wherever the answer repeats it.
    pub(crate) secrets: Vec<String>,
}

/// `asked`: `GET https://www.example.com/`.
pub(super) fn judge(spec: &Spec, answer: &Answer, asked: &str, now: Timestamp) -> Outcome {
    let answered = format!("{asked} answered {} in {} ms", answer.status, answer.took.as_millis());
    let wanted = spec.statuses();
    if !wanted.contains(&answer.status) {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        return Outcome::Unhealthy(format!("{answered}, wanted {}", wanted.join(" or ")));
    }
    if let Some(within) = spec.within.filter(|within| answer.took > *within) {
        return Outcome::Unhealthy(format!("{answered}, wanted within {}", duration_format(within)));
    }
    if !spec.body_json.is_empty() && answer.body.len() == BODY_BYTES_MAX {
        return Outcome::Undecided(format!("{answered}, but its body has 64 KiB or more: too long for `body_json`"));
    }
    match headers(spec, answer).and_then(|headers| Ok([headers, body(spec, answer)?].concat())) {
        Err(why) => Outcome::Unhealthy(format!("{answered}, but {why}")),
        Ok(mut good) => match tls::judge(answer.certificate, spec.certificate_days_left, now) {
            Err(why) => Outcome::Unhealthy(format!("{answered}, but {why}")),
            Ok(certificate) => {
                good.extend(certificate);
                let good: String = good.iter().map(|good| format!(", and {good}")).collect();
                Outcome::Healthy(format!("{answered}{good}"))
            }
        },
    }
}

/// The number that a chart shows: how long the answer took where the plan limits that, else the first number in its body.
pub(super) fn measured(spec: &Spec, answer: &Answer) -> Option<(f64, Limit)> {
    if let Some(within) = spec.within {
        let healthy = format!("within {}", duration_format(within));
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        return Some((ms(answer.took), Limit { healthy, threshold: ms(within), unit: Some("ms") }));
    }
    let json: Value = match spec.body_json.is_empty() {
        true => return None,
        false => serde_json::from_slice(&answer.body).ok()?,
    };
    spec.body_json.iter().find_map(|(path, wanted)| wanted.measured(path, &json))
}

fn headers(spec: &Spec, answer: &Answer) -> Result<Vec<String>, String> {
    let judged = spec.header_matches().map(|(name, regex)| match answer.headers.get(&name.to_ascii_lowercase()) {
        None => Err(format!("it has no header {name}")),
        Some(value) if regex.is_match(value) => Ok(format!("its header {name} matches `{regex}`")),
        Some(value) => {
            let shown: String = value.chars().take(HEADER_CHARS_MAX).collect();
            Err(format!("its header {name} is `{shown}`, which does not match `{regex}`"))
        }
    });
    judged.collect()
}

fn body(spec: &Spec, answer: &Answer) -> Result<Vec<String>, String> {
    let text = String::from_utf8_lossy(&answer.body);
    let whose = if answer.body.len() == BODY_BYTES_MAX { "the first 64 KiB of its body do" } else { "its body does" };
    let mut good = Vec::new();
    if let Some(wanted) = &spec.body_contains {
        match text.contains(wanted) {
            true => good.push(format!("its body contains `{wanted}`")),
            false => return Err(format!("{whose} not contain `{wanted}`")),
        }
    }
    if let Some(wanted) = &spec.body_matches {
        match wanted.is_match(&text) {
            true => good.push(format!("its body matches `{wanted}`")),
            false => return Err(format!("{whose} not match `{wanted}`")),
        }
    }
    if !spec.body_json.is_empty() {
        let json: Value =
            serde_json::from_slice(&answer.body).map_err(|error| format!("its body is no JSON: {error}"))?;
        for (path, wanted) in &spec.body_json {
            good.push(wanted.judge(path, &json)?);
        }
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_that_takes_too_long_is_not_healthy() {
        let spec = json!({ "url": "https://shop.test/", "status": 200, "timeout": "5s", "within": "800ms" });
        let spec = Spec::deserialize(spec).unwrap();
        let judged = |took_ms| {
            let answer = Answer { status: 200, took: Duration::from_millis(took_ms), ..Answer::default() };
            judge(&spec, &answer, "GET https://shop.test/", Timestamp::UNIX_EPOCH)
        };
        assert_eq!(judged(800), Outcome::Healthy("GET https://shop.test/ answered 200 in 800 ms".to_owned()));
        assert_eq!(
            judged(801),
            Outcome::Unhealthy("GET https://shop.test/ answered 200 in 801 ms, wanted within 800ms".to_owned())
        );
    }

    #[test]
    fn a_chart_shows_how_long_an_answer_took_or_the_first_number_of_its_body() {
        let number = |spec: Value| {
            let spec = Spec::deserialize(spec).unwrap();
            let body = json!({ "state": "up", "queue": 7 }).to_string().into_bytes();
            let answer = Answer { status: 503, took: Duration::from_millis(801), body, ..Answer::default() };
            measured(&spec, &answer).map(|(value, limit)| (value, limit.healthy, limit.threshold))
        };
        let spec = |key: &str, value: Value| {
            let mut spec = json!({ "url": "https://shop.test/", "status": 200, "timeout": "5s" });
            spec[key] = value;
            spec
        };
        assert_eq!(number(spec("within", json!("800ms"))), Some((801.0, "within 800ms".to_owned(), 800.0)));
        let body = json!({ "$.state": "== \"up\"", "$.queue": "< 5" });
        assert_eq!(number(spec("body_json", body)), Some((7.0, "< 5".to_owned(), 5.0)));
        assert_eq!(number(spec("body_json", json!({ "$.state": "== \"up\"" }))), None);
        assert_eq!(number(spec("status", json!(200))), None);
    }
}
