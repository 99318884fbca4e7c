//! What an answer of Prometheus's HTTP API means.

use belay_plan::comparison::Comparison;
use serde::Deserialize;
use serde_json::Value;

use super::ANSWER_BYTES_MAX;
use crate::outcome::{Outcome, Probed, bounded};

/// How many labels of a series evidence shows.
const LABELS_MAX: usize = 8;

/// <https://prometheus.io/docs/prometheus/latest/querying/api/#format-overview>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// `asked`: `POST http://prometheus:9090/api/v1/query`.
pub(super) fn judge(healthy: &Comparison, status: u16, body: &[u8], asked: &str) -> Probed {
    match one_number(status, body, asked) {
        Ok(found) => compared(healthy, found),
        Err(outcome) => outcome.into(),
    }
}

/// The one value of an answer.
struct Found {
    value: f64,
    labels: String,
    warns: bool,
    /// What Prometheus has to say besides.
    said: String,
}

fn one_number(status: u16, body: &[u8], asked: &str) -> Result<Found, Outcome> {
    if body.len() >= ANSWER_BYTES_MAX {
        let kib = ANSWER_BYTES_MAX / 1024;
        let why = format!("the query yields more than one value: its answer has more than {kib} KiB");
        return Err(Outcome::Undecided(why));
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Err(Outcome::Unreadable(format!("{asked} answered {status}, and not as Prometheus does")));
    };
    if answer.status != "success" {
        let (kind, why) = (answer.error_type.unwrap_or_default(), answer.error.unwrap_or_default());
        let why = format!("Prometheus refused the query: {}: {}", bounded(&kind), bounded(&why));
        // "unavailable", "timeout", "canceled" and "internal" pass by themselves; the rest is the query's.
        return Err(if status == 400 { Outcome::Undecided(why) } else { Outcome::Unreadable(why) });
    }
    let said = |what: &str, texts: &[String]| texts.first().map(|text| format!("; {what}: {}", bounded(text)));
    let warning = said("Prometheus warns", &answer.warnings);
    let info = said("Prometheus remarks", &answer.infos);
    let (warns, said) = (warning.is_some(), [warning, info].into_iter().flatten().collect::<String>());
    let found = answer.data.ok_or_else(|| "the answer has no data".to_owned()).and_then(one_value);
    let (labels, value) = found.map_err(|why| Outcome::Undecided(format!("{why}{said}")))?;
    Ok(Found { value, labels, warns, said })
}

fn compared(healthy: &Comparison, found: Found) -> Probed {
    let Found { value, labels, warns, said } = found;
    let holds = healthy.holds(value);
    let not = if holds { "" } else { "not " };
    let evidence = format!("the query yields {value}{labels}, which is {not}{}{said}", healthy.text);
    let outcome = match holds {
        // A warning stands for data that is missing.
        true if warns => Outcome::Undecided(evidence),
        true => Outcome::Healthy(evidence),
        false => Outcome::Unhealthy(evidence),
    };
    outcome.measured(value, healthy)
}

/// The labels of the one series, and its value.
fn one_value(data: Data) -> Result<(String, f64), String> {
    let (labels, value) = match (data.result_type.as_str(), &data.result) {
        ("scalar", value) => (String::new(), value.clone()),
        ("vector", Value::Array(series)) => match series.as_slice() {
            [] => return Err("the query yields no value: no series matches it now".to_owned()),
            [one] => (labels(&one["metric"]), one["value"].clone()),
            several => {
                let message = format!(
                    "the query yields {} values, and one is needed (as by sum(...) or max(...)): {}, {}{}",
                    several.len(),
                    labels(&several[0]["metric"]).trim_start(),
                    labels(&several[1]["metric"]).trim_start(),
                    if several.len() > 2 { ", ..." } else { "" },
                );
                return Err(message);
            }
        },
        (other, _) => return Err(format!("the query yields a {}, and one value is needed", bounded(other))),
    };
    let Some(text) = value[1].as_str() else {
        return Err(format!("the query yields no number{labels}: a histogram, perhaps"));
    };
    match text.parse::<f64>() {
        Ok(value) if value.is_nan() => {
            Err(format!("the query yields NaN{labels}: nothing was divided by nothing, perhaps"))
        }
        Ok(value) => Ok((labels, value)),
        Err(_) => Err(format!("the query yields `{}`{labels}, which is no number", bounded(text))),
    }
}

/// ` for {instance="a:80", job="shop"}`
fn labels(metric: &Value) -> String {
    let all = metric.as_object();
    let shown = all.into_iter().flatten().take(LABELS_MAX).map(|(name, value)| {
        let value = value.as_str().unwrap_or_default();
        format!("{}={:?}", bounded(name), bounded(value))
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = if all.is_some_and(|all| all.len() > LABELS_MAX) { ", ..." } else { "" };
    if shown.is_empty() { String::new() } else { format!(" for {{{shown}{more}}}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(status: u16, body: Value) -> Outcome {
        let healthy = Comparison::parse("< 0.5").unwrap();
        judge(&healthy, status, body.to_string().as_bytes(), "POST http://p/api/v1/query").outcome
    }

    fn vector(series: Value) -> Value {
        json!({ "status": "success", "data": { "resultType": "vector", "result": series } })
    }

    #[test]
    fn one_value_is_compared() {
        let scalar = json!({ "status": "success", "data": { "resultType": "scalar", "result": [1.5, "0.25"] } });
        assert_eq!(judged(200, scalar), Outcome::Healthy("the query yields 0.25, which is < 0.5".to_owned()));
        let one = vector(json!([{ "metric": { "job": "shop" }, "value": [1.5, "0.5"] }]));
        let evidence = "the query yields 0.5 for {job=\"shop\"}, which is not < 0.5";
        assert_eq!(judged(200, one), Outcome::Unhealthy(evidence.to_owned()));
        let infinite = vector(json!([{ "metric": {}, "value": [1.5, "+Inf"] }]));
        assert_eq!(judged(200, infinite), Outcome::Unhealthy("the query yields inf, which is not < 0.5".to_owned()));
    }

    #[test]
    fn what_is_not_one_number_is_unknown() {
        let two = json!([{ "metric": { "a": "1" }, "value": [1, "0"] }, { "metric": { "a": "2" }, "value": [1, "0"] }]);
        for (result, why) in [
            (json!([]), "the query yields no value: no series matches it now"),
            (
                two,
                "the query yields 2 values, and one is needed (as by sum(...) or max(...)): for {a=\"1\"}, for {a=\"2\"}",
            ),
            (
                json!([{ "metric": {}, "value": [1, "NaN"] }]),
                "the query yields NaN: nothing was divided by nothing, perhaps",
            ),
            (json!([{ "metric": {}, "histogram": [1, {}] }]), "the query yields no number: a histogram, perhaps"),
        ] {
            assert_eq!(judged(200, vector(result)), Outcome::Undecided(why.to_owned()));
        }
        let matrix = json!({ "status": "success", "data": { "resultType": "matrix", "result": [] } });
        let why = "the query yields a matrix, and one value is needed";
        assert_eq!(judged(200, matrix), Outcome::Undecided(why.to_owned()));
    }

    #[test]
    fn a_warning_lets_nothing_be_healthy() {
        let with = |value: &str| {
            let mut body = vector(json!([{ "metric": {}, "value": [1, value] }]));
            body["warnings"] = json!(["one store did not answer"]);
            judged(200, body)
        };
        let said = "; Prometheus warns: one store did not answer";
        assert_eq!(with("0"), Outcome::Undecided(format!("the query yields 0, which is < 0.5{said}")));
        assert_eq!(with("1"), Outcome::Unhealthy(format!("the query yields 1, which is not < 0.5{said}")));
    }

    #[test]
    fn a_refusal_is_told() {
        let error = |kind: &str| json!({ "status": "error", "errorType": kind, "error": "x" });
        let bad = Outcome::Undecided("Prometheus refused the query: bad_data: x".to_owned());
        assert_eq!(judged(400, error("bad_data")), bad);
        assert_eq!(
            judged(503, error("timeout")),
            Outcome::Unreadable("Prometheus refused the query: timeout: x".to_owned())
        );
        assert_eq!(
            judged(502, json!("<html>")),
            Outcome::Unreadable("POST http://p/api/v1/query answered 502, and not as Prometheus does".to_owned())
        );
    }
}
