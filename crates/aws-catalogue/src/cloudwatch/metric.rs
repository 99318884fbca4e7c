//! What `metric` takes, and what can be found wrong with it before CloudWatch is asked.

pub mod arrival;
pub mod expression;
pub mod period;
pub mod statistic;

use std::time::Duration;

use belay_plan::{
    catalogue::{Finding as Defect, SignalSpec, pointer},
    comparison::Comparison,
    duration,
    shape::{Field, Text, duration as duration_shape, field, filled_map, map, object, one_of, pattern, text, words},
};
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

use crate::cloudwatch::{METRIC, Missing, missing_field};

/// The id of a metric inside an expression, as CloudWatch has it.
const METRIC_ID: Text =
    Text::new("a metric id (a lower-case letter, then letters, digits and `_`)", Some("^[a-z][A-Za-z0-9_]{0,254}$"));

const DIMENSION: Text = Text::new("the name of a dimension", None);
const COMPARISON: &str = "^(<|<=|>|>=) ?-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$";
const SHARE: &str = "^[1-9][0-9]{0,2} of [1-9][0-9]{0,2}$";

/// What data can be put with (API reference, MetricDatum).
pub const UNITS: [&str; 27] = [
    "Bits",
    "Bits/Second",
    "Bytes",
    "Bytes/Second",
    "Count",
    "Count/Second",
    "Gigabits",
    "Gigabits/Second",
    "Gigabytes",
    "Gigabytes/Second",
    "Kilobits",
    "Kilobits/Second",
    "Kilobytes",
    "Kilobytes/Second",
    "Megabits",
    "Megabits/Second",
    "Megabytes",
    "Megabytes/Second",
    "Microseconds",
    "Milliseconds",
    "None",
    "Percent",
    "Seconds",
    "Terabits",
    "Terabits/Second",
    "Terabytes",
    "Terabytes/Second",
];

/// Where neither the expression nor its metrics say a period.
const PERIOD: Duration = Duration::from_secs(60);

/// What `metric` takes.
pub fn spec() -> SignalSpec {
    let expression = object([
        field(
            "expression",
            text("a metric math expression"),
            "Metric math over the ids, with SEARCH and all other functions, or a Metrics Insights query. Where it yields \
             several series, each of them has to be healthy.",
        ),
        field(
            "metrics",
            filled_map(METRIC_ID, object(single())),
            "The metrics by the ids that the expression uses, all of one period.",
        )
        .optional(),
        field("period", duration_shape(), "The length of a period, for an expression without metrics; left out: 1m.")
            .optional(),
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
        remarks,
    }
}

fn single() -> [Field; 7] {
    let namespace = pattern("a namespace such as `AWS/RDS`", "^[^:].{0,254}$");
    [
        field("namespace", namespace, "The namespace."),
        field("name", text("the name of a metric"), "The metric."),
        field(
            "stat",
            text("a statistic such as `Sum`, `Average` or `p99`"),
            "The statistic: SampleCount, Sum, Average, Minimum, Maximum, IQM, p99, tm98, TM(2%:98%), PR(:300), and so on.",
        ),
        field(
            "period",
            duration_shape(),
            "The length of a period: whole minutes, and for high-resolution metrics also 1s, 5s, 10s, 20s and 30s.",
        )
        .or("1m"),
        field(
            "dimensions",
            map(DIMENSION, text("the value of a dimension")),
            "The dimensions, all of them: CloudWatch knows a metric only by its whole set.",
        )
        .or(json!({})),
        field(
            "unit",
            words(UNITS),
            "Takes only data that was put with this unit; left out: all. CloudWatch does not convert.",
        )
        .optional(),
        field(
            "account_id",
            pattern("an account's twelve digits, in quotes", "^[0-9]{12}$"),
            "Another account, whose metrics the signal's account sees as a monitoring account (CloudWatch cross-account \
             observability).",
        )
        .optional(),
    ]
}

fn check(spec: &Value) -> Vec<Defect> {
    let mut defects = Vec::new();
    let metric = &spec["metric"];
    let singles: Vec<(String, &Value)> = match (metric["metrics"].as_object(), metric["expression"].as_str()) {
        (Some(metrics), _) => {
            metrics.iter().map(|(id, metric)| (pointer(&["metric", "metrics", id]), metric)).collect()
        }
        (None, Some(_)) => Vec::new(),
        (None, None) => vec![("/metric".to_owned(), metric)],
    };
    for (place, single) in &singles {
        if let Some(Err(wrong)) = single["stat"].as_str().map(statistic::check) {
            defects.push(Defect::new(format!("{place}/stat"), wrong.message).help(wrong.help));
        }
    }
    if let Some(expression) = metric["expression"].as_str() {
        let ids: Vec<&str> = metric["metrics"].as_object().into_iter().flatten().map(|(id, _)| id.as_str()).collect();
        defects.extend(expression::check(expression, &ids));
    }
    let period_s = check_periods(metric, &singles, &mut defects);
    if let Some(share) = spec["datapoints"].as_str().and_then(share) {
        let looked_at = i64::try_from(share.of).unwrap_or(i64::MAX);
        if share.breaching > share.of {
            let message = format!("{} of {} can never breach", share.breaching, share.of);
            defects.push(Defect::new("/datapoints", message).help(format!("write for example `{0} of {0}`", share.of)));
        } else if let Some((message, help)) = period_s.and_then(|period_s| period::too_many(looked_at, period_s)) {
            defects.push(Defect::new("/datapoints", message).help(help));
        }
    }
    defects
}

/// A breach that shows late is to be known when the plan is written.
fn remarks(spec: &Value) -> Vec<Defect> {
    let Ok(signal) = Spec::deserialize(spec) else { return Vec::new() };
    let Some(because) = arrival::delay(&signal) else { return Vec::new() };
    let shown = |seconds: i64| duration::format(Duration::from_secs(seconds.unsigned_abs()));
    let (arrives_s, period_s) = (arrival::arrives_s(&signal), signal.period_s());
    let place = match &signal.metric {
        Source::Single(_) => "/metric/stat",
        Source::Expression(_) => "/metric/expression",
    };
    let message = format!("a period counts {} after its end, when its data has arrived: {because}", shown(arrives_s));
    // From the first bad value to the end of its period, to its arrival, to the next read.
    let help = format!("expect a breach to show up to {} after it begins", shown(arrives_s + 2 * period_s));
    vec![Defect::new(place, message).help(help)]
}

/// The one period of a signal, in seconds, if it has one.
fn check_periods(metric: &Value, singles: &[(String, &Value)], defects: &mut Vec<Defect>) -> Option<i64> {
    let own = metric["expression"].is_string().then(|| ("/metric".to_owned(), metric));
    let written = own.iter().chain(singles).filter_map(|(place, of)| Some((place, of["period"].as_str()?)));
    let mut first: Option<&str> = None;
    for (place, text) in written {
        let place = format!("{place}/period");
        if !period::is_known(seconds(text)?) {
            let defect = Defect::new(place, format!("CloudWatch has no period of {text}"));
            defects.push(defect.help(period::ALL));
        } else if let Some(first) = first.filter(|first| seconds(first) != seconds(text)) {
            let defect = Defect::new(place, "the metrics of one expression must share one period");
            defects.push(defect.help(format!("the first one has {first}")));
        }
        first = first.or(Some(text));
    }
    let period_s = first.map_or(i64::try_from(PERIOD.as_secs()).ok(), seconds)?;
    let searches = metric["expression"].as_str().map(expression::search_periods_s).unwrap_or_default();
    if let Some(other_s) = searches.into_iter().find(|search_s| *search_s != period_s) {
        let message = format!("it searches with a period of {other_s} s, but the signal's period is {period_s} s");
        let help = "write the same period at both places, or leave out the third argument of SEARCH";
        defects.push(Defect::new("/metric/expression", message).help(help));
    }
    Some(period_s).filter(|period_s| period::is_known(*period_s))
}

fn seconds(text: &str) -> Option<i64> {
    let period = duration::parse(text).ok()?;
    // A fraction of a second is no period.
    if period.subsec_nanos() == 0 { i64::try_from(period.as_secs()).ok() } else { Some(0) }
}

/// The signal's entry.
#[derive(Debug, Deserialize)]
pub struct Spec {
    pub metric: Source,
    pub healthy: Comparison,
    #[serde(default = "one_of_one", deserialize_with = "as_share")]
    pub datapoints: Share,
    #[serde(default)]
    pub missing: Missing,
}

impl Spec {
    /// The unit of what is read, where the plan names it: `ms`. A count is a number.
    pub fn unit(&self) -> Option<String> {
        let Source::Single(single) = &self.metric else { return None };
        // How many samples, or which part of them, whatever these are.
        match single.stat.as_str() {
            "SampleCount" => None,
            stat if stat.starts_with("PR(") => Some("%".to_owned()),
            _ => single.unit.as_deref().and_then(shown_unit),
        }
    }
}

/// CloudWatch's unit as people write it.
fn shown_unit(unit: &str) -> Option<String> {
    let (of, per) = match unit.strip_suffix("/Second") {
        Some(of) => (of, "/s"),
        None => (unit, ""),
    };
    let short = match of {
        "Count" | "None" => "",
        "Seconds" => "s",
        "Milliseconds" => "ms",
        "Microseconds" => "µs",
        "Percent" => "%",
        "Bytes" => "B",
        "Kilobytes" => "kB",
        "Megabytes" => "MB",
        "Gigabytes" => "GB",
        "Terabytes" => "TB",
        "Bits" => "bit",
        "Kilobits" => "kbit",
        "Megabits" => "Mbit",
        "Gigabits" => "Gbit",
        "Terabits" => "Tbit",
        other => other,
    };
    Some(format!("{short}{per}")).filter(|unit| !unit.is_empty())
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Source {
    Expression(Expression),
    Single(Single),
}

#[derive(Debug, Deserialize)]
pub struct Expression {
    pub expression: String,
    #[serde(default)]
    pub metrics: IndexMap<String, Single>,
    #[serde(default, with = "duration::text::option")]
    period: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Single {
    pub namespace: String,
    pub name: String,
    pub stat: String,
    #[serde(with = "duration::text")]
    period: Duration,
    #[serde(default)]
    pub dimensions: IndexMap<String, String>,
    #[serde(default)]
    pub unit: Option<String>,
    #[serde(default)]
    pub account_id: Option<String>,
}

/// Unhealthy when `breaching` of the last `of` periods breach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub breaching: usize,
    pub of: usize,
}

fn one_of_one() -> Share {
    Share { breaching: 1, of: 1 }
}

fn share(text: &str) -> Option<Share> {
    let (breaching, of) = text.split_once(" of ")?;
    Some(Share { breaching: breaching.parse().ok()?, of: of.parse().ok()? })
}

fn as_share<'de, D: Deserializer<'de>>(from: D) -> Result<Share, D::Error> {
    let text = String::deserialize(from)?;
    share(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not a share")))
}

impl Spec {
    /// In seconds, at least 1. The metrics of one expression share it.
    pub fn period_s(&self) -> i64 {
        let period = match &self.metric {
            Source::Single(single) => single.period,
            Source::Expression(expression) => {
                let of_metrics = || expression.metrics.values().map(|single| single.period).max();
                expression.period.or_else(of_metrics).unwrap_or(PERIOD)
            }
        };
        i64::try_from(period.as_secs()).unwrap_or(0).max(1)
    }

    /// The metrics that it is about, as far as they are named.
    pub fn metrics(&self) -> impl Iterator<Item = &Single> {
        let (single, several) = match &self.metric {
            Source::Single(single) => (Some(single), None),
            Source::Expression(expression) => (None, Some(expression.metrics.values())),
        };
        single.into_iter().chain(several.into_iter().flatten())
    }

    /// How many periods have to be asked for: those that are looked at, and those that may be late.
    pub fn periods(&self) -> i64 {
        let late = arrival::arrives_s(self).unsigned_abs().div_ceil(self.period_s().unsigned_abs());
        i64::try_from(self.datapoints.of as u64 + late).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests;
