//! CloudWatch: the state of an alarm, and a metric against a threshold.

use belay_plan::{
    catalogue::{Finding, SignalSpec, no_signal_findings, pointer},
    duration,
    shape::{
        Field, Shape, Text, duration as duration_shape, field, filled_map, map, object, one_of, pattern, text, words,
    },
};
use serde_json::{Value, json};

/// The id of a metric inside an expression, as CloudWatch has it.
const METRIC_ID: Text =
    Text::new("a metric id (a lower-case letter, then letters, digits and `_`)", Some("^[a-z][A-Za-z0-9_]{0,254}$"));

const DIMENSION: Text = Text::new("the name of a dimension", None);

/// What `alarm` and `metric` take.
pub fn signal_specs() -> [SignalSpec; 2] {
    [
        SignalSpec {
            key: "alarm",
            summary: "The state of a metric, composite or log alarm: healthy while it is OK.",
            value: text("the name of an alarm"),
            siblings: vec![missing()],
            check: no_signal_findings,
            remarks: no_signal_findings,
        },
        SignalSpec {
            key: "metric",
            summary: "A metric, or an expression over metrics, against a threshold.",
            value: metric(),
            siblings: vec![
                field("healthy", pattern("a comparison such as `<= 1.5`", COMPARISON), "What a healthy value is."),
                field("datapoints", pattern("a share such as `3 of 5`", SHARE), "Unhealthy when so many breach.")
                    .or("1 of 1"),
                missing(),
            ],
            check,
            remarks: no_signal_findings,
        },
    ]
}

const COMPARISON: &str = "^(<|<=|>|>=) ?-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$";
const SHARE: &str = "^[1-9][0-9]{0,2} of [1-9][0-9]{0,2}$";
const STATISTIC: &str = "^(SampleCount|Sum|Average|Minimum|Maximum|IQM\
    |p(100|[0-9]{1,2}([.][0-9]{1,10})?)|(tm|wm|tc|ts)[0-9]{1,2}([.][0-9]{1,10})?|(TM|WM|TC|TS|PR)[(].+[)])$";

/// What a reading without data means.
fn missing() -> Field {
    field("missing", words(["unknown", "healthy", "unhealthy"]), "What missing data reads as.").or("unknown")
}

fn metric() -> Shape {
    let expression = object([
        field("expression", text("a metric math expression"), "A CloudWatch metric math expression over the ids."),
        field("metrics", filled_map(METRIC_ID, object(single())), "The metrics by the ids that the expression uses."),
    ]);
    one_of("{ namespace, name, stat, period, dimensions } or { expression, metrics }", [object(single()), expression])
}

fn single() -> [Field; 5] {
    [
        field("namespace", pattern("a namespace such as `AWS/RDS`", "^[^:].{0,254}$"), "The namespace."),
        field("name", text("the name of a metric"), "The metric."),
        field("stat", pattern("a statistic such as `Sum`, `Average` or `p99`", STATISTIC), "The statistic."),
        field("period", duration_shape(), "The length of a period.").or("1m"),
        field("dimensions", map(DIMENSION, text("the value of a dimension")), "The dimensions.").or(json!({})),
    ]
}

fn check(spec: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let metrics = spec["metric"]["metrics"].as_object();
    let singles: Vec<(String, &Value)> = match metrics {
        Some(metrics) => metrics.iter().map(|(id, metric)| (pointer(&["metric", "metrics", id]), metric)).collect(),
        None => vec![("/metric".to_owned(), &spec["metric"])],
    };
    for (place, metric) in &singles {
        let period = &metric["period"];
        if !is_period(period) {
            let finding =
                Finding::new(format!("{place}/period"), format!("CloudWatch has no period of {}", plain(period)));
            findings.push(finding.help("periods are 10s, 20s, 30s and whole minutes up to 1d"));
        } else if singles[0].1["period"].is_string() && *period != singles[0].1["period"] {
            let message = "the metrics of one expression must share one period";
            findings.push(
                Finding::new(format!("{place}/period"), message)
                    .help(format!("the first one has {}", plain(&singles[0].1["period"]))),
            );
        }
    }
    if let Some((breaching, looked_at)) = spec["datapoints"].as_str().and_then(share)
        && breaching > looked_at
    {
        let message = format!("{breaching} of {looked_at} can never breach");
        findings
            .push(Finding::new("/datapoints", message).help(format!("write for example `{looked_at} of {looked_at}`")));
    }
    findings
}

fn share(text: &str) -> Option<(u32, u32)> {
    let (breaching, looked_at) = text.split_once(" of ")?;
    Some((breaching.parse().ok()?, looked_at.parse().ok()?))
}

fn is_period(period: &Value) -> bool {
    let seconds = period.as_str().and_then(|text| duration::parse(text).ok()).map_or(0, |period| period.as_secs());
    matches!(seconds, 10 | 20 | 30) || (seconds > 0 && seconds.is_multiple_of(60) && seconds <= 86_400)
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
