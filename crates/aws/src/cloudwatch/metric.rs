//! The `metric` signal: a metric, or an expression over metrics, against a threshold.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_core::reading::{Health, Reading};
use belay_plan::{
    catalogue::{Finding as Defect, SignalSpec, pointer},
    duration,
    shape::{Field, Shape, Text, duration as duration_shape, field, filled_map, map, object, one_of, pattern, text},
};
use belay_ports::{Clock, Fut, Permission, Query, Sensor};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

use super::{METRIC, metric_calls, missing_field};
use crate::{
    sensing::{Deadline, Finding, Missing},
    session::Aws,
};

/// The newest period is skipped as long as it has no data and ended less than this long ago: metrics arrive late, those
/// of a load balancer by up to two minutes.
const LATE_MAX: Duration = Duration::from_secs(120);

/// The id of a metric inside an expression, as CloudWatch has it.
const METRIC_ID: Text =
    Text::new("a metric id (a lower-case letter, then letters, digits and `_`)", Some("^[a-z][A-Za-z0-9_]{0,254}$"));

const DIMENSION: Text = Text::new("the name of a dimension", None);
const COMPARISON: &str = "^(<|<=|>|>=) ?-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$";
const SHARE: &str = "^[1-9][0-9]{0,2} of [1-9][0-9]{0,2}$";
const STATISTIC: &str = "^(SampleCount|Sum|Average|Minimum|Maximum|IQM\
    |p(100|[0-9]{1,2}([.][0-9]{1,10})?)|(tm|wm|tc|ts)[0-9]{1,2}([.][0-9]{1,10})?|(TM|WM|TC|TS|PR)[(].+[)])$";

/// What `metric` takes.
pub fn spec() -> SignalSpec {
    let expression = object([
        field("expression", text("a metric math expression"), "A CloudWatch metric math expression over the ids."),
        field("metrics", filled_map(METRIC_ID, object(single())), "The metrics by the ids that the expression uses."),
    ]);
    SignalSpec {
        key: METRIC,
        summary: "A metric, or an expression over metrics, against a threshold.",
        value: one_of(
            "{ namespace, name, stat, period, dimensions } or { expression, metrics }",
            [object(single()), expression],
        ),
        siblings: vec![
            field("healthy", pattern("a comparison such as `<= 1.5`", COMPARISON), "What a healthy value is."),
            field("datapoints", pattern("a share such as `3 of 5`", SHARE), "Unhealthy when so many breach.")
                .or("1 of 1"),
            missing_field(),
        ],
        check,
    }
}

fn single() -> [Field; 5] {
    let namespace = pattern("a namespace such as `AWS/RDS`", "^[^:].{0,254}$");
    let statistic = pattern("a statistic such as `Sum`, `Average` or `p99`", STATISTIC);
    let dimensions: Shape = map(DIMENSION, text("the value of a dimension"));
    [
        field("namespace", namespace, "The namespace."),
        field("name", text("the name of a metric"), "The metric."),
        field("stat", statistic, "The statistic."),
        field("period", duration_shape(), "The length of a period.").or("1m"),
        field("dimensions", dimensions, "The dimensions.").or(json!({})),
    ]
}

fn check(spec: &Value) -> Vec<Defect> {
    let mut defects = Vec::new();
    let metrics = spec["metric"]["metrics"].as_object();
    let singles: Vec<(String, &Value)> = match metrics {
        Some(metrics) => metrics.iter().map(|(id, metric)| (pointer(&["metric", "metrics", id]), metric)).collect(),
        None => vec![("/metric".to_owned(), &spec["metric"])],
    };
    for (place, metric) in &singles {
        let period = &metric["period"];
        let place = format!("{place}/period");
        if !is_period(period) {
            let defect = Defect::new(place, format!("CloudWatch has no period of {}", plain(period)));
            defects.push(defect.help("periods are 10s, 20s, 30s and whole minutes up to 1d"));
        } else if singles[0].1["period"].is_string() && *period != singles[0].1["period"] {
            let defect = Defect::new(place, "the metrics of one expression must share one period");
            defects.push(defect.help(format!("the first one has {}", plain(&singles[0].1["period"]))));
        }
    }
    if let Some(share) = spec["datapoints"].as_str().and_then(share)
        && share.breaching > share.of
    {
        let message = format!("{} of {} can never breach", share.breaching, share.of);
        defects.push(Defect::new("/datapoints", message).help(format!("write for example `{0} of {0}`", share.of)));
    }
    defects
}

fn is_period(period: &Value) -> bool {
    let seconds = period.as_str().and_then(|text| duration::parse(text).ok()).map_or(0, |period| period.as_secs());
    matches!(seconds, 10 | 20 | 30) || (seconds > 0 && seconds.is_multiple_of(60) && seconds <= 86_400)
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The sensor of `metric`.
pub struct Metric {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

/// The signal's entry.
#[derive(Debug, Deserialize)]
pub(super) struct Spec {
    pub(super) metric: Source,
    #[serde(deserialize_with = "as_comparison")]
    healthy: Comparison,
    #[serde(default = "one_of_one", deserialize_with = "as_share")]
    datapoints: Share,
    #[serde(default)]
    missing: Missing,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Source {
    Expression { expression: String, metrics: IndexMap<String, Single> },
    Single(Single),
}

#[derive(Debug, Deserialize)]
pub(super) struct Single {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) stat: String,
    #[serde(with = "duration::text")]
    period: Duration,
    #[serde(default)]
    pub(super) dimensions: IndexMap<String, String>,
}

/// Datapoints by the beginning of their period, in seconds since 1970.
pub(super) type Points = BTreeMap<i64, f64>;

#[derive(Debug, Clone, PartialEq)]
struct Comparison {
    /// As the plan has it: `<= 1.5`.
    text: String,
    operator: Operator,
    threshold: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// Unhealthy when `breaching` of the last `of` periods breach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    breaching: usize,
    of: usize,
}

fn one_of_one() -> Share {
    Share { breaching: 1, of: 1 }
}

fn comparison(text: &str) -> Option<Comparison> {
    let operators =
        [("<=", Operator::AtMost), (">=", Operator::AtLeast), ("<", Operator::Below), (">", Operator::Above)];
    let (operator, threshold) =
        operators.iter().find_map(|(word, operator)| Some((*operator, text.strip_prefix(word)?)))?;
    Some(Comparison { text: text.to_owned(), operator, threshold: threshold.trim().parse().ok()? })
}

fn share(text: &str) -> Option<Share> {
    let (breaching, of) = text.split_once(" of ")?;
    Some(Share { breaching: breaching.parse().ok()?, of: of.parse().ok()? })
}

fn as_comparison<'de, D: Deserializer<'de>>(from: D) -> Result<Comparison, D::Error> {
    let text = String::deserialize(from)?;
    comparison(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not a comparison")))
}

fn as_share<'de, D: Deserializer<'de>>(from: D) -> Result<Share, D::Error> {
    let text = String::deserialize(from)?;
    share(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not a share")))
}

impl Comparison {
    fn holds(&self, value: f64) -> bool {
        match self.operator {
            Operator::Below => value < self.threshold,
            Operator::AtMost => value <= self.threshold,
            Operator::Above => value > self.threshold,
            Operator::AtLeast => value >= self.threshold,
        }
    }
}

impl Spec {
    /// In seconds, at least 1. The metrics of one expression share it.
    pub(super) fn period_s(&self) -> i64 {
        let period = match &self.metric {
            Source::Single(single) => Some(single.period),
            Source::Expression { metrics, .. } => metrics.values().map(|single| single.period).max(),
        };
        period.and_then(|period| i64::try_from(period.as_secs()).ok()).unwrap_or(0).max(1)
    }

    /// How many periods have to be asked for: those that are looked at, and those that may be late.
    pub(super) fn periods(&self) -> i64 {
        let period_s = u64::try_from(self.period_s()).unwrap_or(1);
        let periods = self.datapoints.of as u64 + LATE_MAX.as_secs().div_ceil(period_s);
        i64::try_from(periods).unwrap_or(i64::MAX)
    }
}

/// What the datapoints say at a moment.
fn decide(spec: &Spec, points: &Points, now: Timestamp) -> Finding {
    let period_s = spec.period_s();
    let late_s = i64::try_from(LATE_MAX.as_secs()).unwrap_or(0);
    let now_s = now.as_second();
    let value = |start_s: &i64| points.get(start_s).copied().filter(|value| !value.is_nan());
    // The newest period that is over; those without data that may only be late are passed over.
    let mut newest_s = now_s.div_euclid(period_s) * period_s - period_s;
    while value(&newest_s).is_none() && now_s - (newest_s + period_s) < late_s {
        newest_s -= period_s;
    }
    let looked_at: Vec<i64> = (0_i64..).take(spec.datapoints.of).map(|back| newest_s - back * period_s).collect();
    let values: Vec<f64> = looked_at.iter().filter_map(value).collect();
    let missing = looked_at.len() - values.len();
    let breaching = values.iter().filter(|value| !spec.healthy.holds(**value)).count();
    let (breaching_at_least, breaching_at_most) = match spec.missing {
        Missing::Healthy => (breaching, breaching),
        Missing::Unhealthy => (breaching + missing, breaching + missing),
        Missing::Unknown => (breaching, breaching + missing),
    };
    let health = match spec.datapoints.breaching {
        enough if breaching_at_least >= enough => Health::Unhealthy,
        enough if breaching_at_most < enough => Health::Healthy,
        _ => Health::Unknown,
    };
    let latest = looked_at.iter().find_map(|start_s| Some((value(start_s)?, Timestamp::from_second(*start_s).ok()?)));
    let latest = latest.map_or_else(|| "no data".to_owned(), |(value, start)| format!("latest {value} at {start}"));
    let gaps = if missing == 0 { String::new() } else { format!(", {missing} without data") };
    let (of, healthy) = (looked_at.len(), &spec.healthy.text);
    Finding::new(health, format!("{breaching} of {of} periods are not {healthy}{gaps}; {latest}"))
}

impl Metric {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn read_all(&self, queries: &[Query]) -> Vec<Reading> {
        let taken = self.clock.now();
        let deadline = Deadline::start(self.clock.as_ref());
        let specs: Vec<Result<Spec, String>> = queries
            .iter()
            .map(|query| {
                Spec::deserialize(&query.spec).map_err(|error| format!("the signal cannot be understood: {error}"))
            })
            .collect();
        let asked = queries.iter().zip(&specs).map(|(query, spec)| (&query.aws, spec.as_ref().ok()));
        let answers = metric_calls::read(&self.aws, &deadline, taken, asked).await;
        let readings = queries.iter().zip(&specs).zip(answers).map(|((query, spec), answer)| {
            let finding = match (spec, answer) {
                (Err(why), _) => Finding::unknown(why.clone()),
                (_, Err(finding)) => finding,
                (Ok(spec), Ok(points)) => decide(spec, &points, taken),
            };
            finding.reading(query, taken, "cloudwatch")
        });
        readings.collect()
    }
}

impl Sensor for Metric {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(self.read_all(queries))
    }

    /// Each metric asked for is paid, and a new value comes once a period.
    fn pace(&self, query: &Query) -> Duration {
        let period_s = Spec::deserialize(&query.spec).map_or(0, |spec| spec.period_s());
        Duration::from_secs(u64::try_from(period_s).unwrap_or(0))
    }

    /// `GetMetricData` has no resource-level permissions.
    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        vec![Permission {
            action: "cloudwatch:GetMetricData".to_owned(),
            resource: "*".to_owned(),
            mutates: false,
            conditions: Vec::new(),
        }]
    }
}

#[cfg(test)]
mod tests;
