//! Metrics: data that comes late, and of the newest periods in parts; what `GetMetricData` takes and answers.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CloudWatch, expression, invalid};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    world::{Place, Thing, World},
};

/// API reference, GetMetricData: queries a call.
const QUERIES_MAX: usize = 500;

/// A metric with one value a minute: `Metric::of("AWS/ApplicationELB", "Errors").value(0.0).from(at, 50.0)`.
#[derive(Debug, Clone)]
pub struct Metric {
    namespace: String,
    name: String,
    dimensions: BTreeMap<String, String>,
    /// In order of time; None: nothing is published.
    values: Vec<(Timestamp, Option<f64>)>,
    /// From the end of a period to the moment at which all of its data is there.
    late: Duration,
    high_resolution: bool,
    /// `InternalError`, `PartialData` or `Forbidden`.
    status: Option<&'static str>,
}

/// The values of periods, by their beginning in seconds since 1970.
pub(super) type Series = BTreeMap<i64, f64>;

impl Metric {
    pub fn of(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions: BTreeMap::new(),
            values: Vec::new(),
            late: Duration::ZERO,
            high_resolution: false,
            status: None,
        }
    }

    #[must_use]
    pub fn dimension(mut self, name: &str, value: &str) -> Self {
        self.dimensions.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What is published each minute, from the beginning of all time.
    #[must_use]
    pub fn value(self, value: f64) -> Self {
        self.from(Timestamp::UNIX_EPOCH, value)
    }

    /// The same from a moment on.
    #[must_use]
    pub fn from(mut self, at: Timestamp, value: f64) -> Self {
        self.values.push((at, Some(value)));
        self
    }

    /// Nothing is published from a moment on: a load balancer without traffic.
    #[must_use]
    pub fn silent_from(mut self, at: Timestamp) -> Self {
        self.values.push((at, None));
        self
    }

    /// Its data comes so late (load balancers and databases: a minute or two); of the last periods a part is there.
    #[must_use]
    pub fn late_by(mut self, late: Duration) -> Self {
        self.late = late;
        self
    }

    #[must_use]
    pub fn high_resolution(mut self) -> Self {
        self.high_resolution = true;
        self
    }

    #[must_use]
    pub fn answered(mut self, status: &'static str) -> Self {
        self.status = Some(status);
        self
    }

    /// Of a period, what is there by now. `Sum` and `SampleCount` count what was published so far.
    fn at(&self, begin_s: i64, period_s: i64, stat: &str, now: Timestamp) -> Option<f64> {
        let begin = Timestamp::from_second(begin_s).ok()?;
        let end = begin + Duration::from_secs(period_s.unsigned_abs());
        let value = self.values.iter().rev().find(|(at, _)| *at <= begin).and_then(|(_, value)| *value)?;
        let counts = matches!(stat, "Sum" | "SampleCount");
        let whole = if counts { value * period_s as f64 / 60.0 } else { value };
        match now {
            now if now >= end + self.late => Some(whole),
            now if now < end + self.late / 2 => None,
            _ if counts => Some(whole / 2.0),
            _ => Some(whole),
        }
    }

    fn is(&self, wanted: &Value) -> bool {
        let dimensions: BTreeMap<&str, &str> = wanted["Dimensions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|found| Some((found["Name"].as_str()?, found["Value"].as_str()?)))
            .collect();
        let own: BTreeMap<&str, &str> =
            self.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        wanted["Namespace"] == self.namespace && wanted["MetricName"] == self.name && dimensions == own
    }
}

impl Thing for Metric {
    fn enter(self, world: &mut World) {
        world.cloudwatch.metrics.push(self);
    }
}

/// The stretch of time that is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start_s: i64,
    pub(super) end_s: i64,
}

impl Span {
    pub(super) fn periods(self, period_s: i64) -> impl Iterator<Item = i64> {
        let first = self.start_s.div_euclid(period_s) * period_s;
        (0..).map(move |number| first + number * period_s).take_while(move |begin| *begin < self.end_s)
    }
}

impl CloudWatch {
    pub(super) fn get_metric_data(&self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("MetricDataQueries StartTime EndTime NextToken ScanBy MaxDatapoints LabelOptions")?;
        let queries = input.0["MetricDataQueries"].as_array().map_or(&[][..], Vec::as_slice);
        if queries.is_empty() || queries.len() > QUERIES_MAX {
            return Err(invalid("metricDataQueries", "Member must have length between 1 and 500"));
        }
        let time = |name: &str| input.wanted(name)?.parse().map_err(|_| invalid(name, "Member must be a timestamp"));
        let (start, end): (Timestamp, Timestamp) = (time("StartTime")?, time("EndTime")?);
        if start >= end {
            let message = "The parameter StartTime must be less than the parameter EndTime.";
            return Err(Refusal::bad("ValidationError", message));
        }
        let span = Span { start_s: start.as_second(), end_s: end.as_second() };
        let mut series: BTreeMap<&str, (i64, Series)> = BTreeMap::new();
        let mut results = Vec::new();
        for query in queries {
            let query = Input(query).only("Id MetricStat Expression ReturnData Period AccountId Label")?;
            let id = query.wanted("Id")?;
            let (period_s, points, status) = match query.text("Expression") {
                Some(text) => {
                    let period_s = query.0["Period"].as_i64();
                    let (period_s, points) = expression::evaluate(text, &series, span, period_s)?;
                    (period_s, points, None)
                }
                None => self.stat(Input(&query.0["MetricStat"]), span, now)?,
            };
            if query.0["ReturnData"] != false {
                results.push((id, points.clone(), status));
            }
            series.insert(id, (period_s, points));
        }
        answer(results, place, input)
    }

    fn stat(
        &self,
        stat: Input<'_>,
        span: Span,
        now: Timestamp,
    ) -> Result<(i64, Series, Option<&'static str>), Refusal> {
        let stat = stat.only("Metric Period Stat Unit")?;
        let period_s = stat.0["Period"].as_i64().unwrap_or(0);
        if period_s < 1 || (period_s >= 60 && period_s % 60 != 0) {
            return Err(invalid("metricStat.period", "Member must be 1, 5, 10, 20, 30 or a multiple of 60"));
        }
        let name = stat.wanted("Stat")?;
        let Some(metric) = self.metrics.iter().find(|metric| metric.is(&stat.0["Metric"])) else {
            return Ok((period_s, Series::new(), None));
        };
        let is_kept = period_s >= 60 || metric.high_resolution;
        let periods = span.periods(period_s).filter(|_| is_kept);
        let points = periods.filter_map(|begin_s| Some((begin_s, metric.at(begin_s, period_s, name, now)?)));
        Ok((period_s, points.collect(), metric.status))
    }
}

/// The newest first, in pages: a series that goes on in the next one is `PartialData` until then.
fn answer(results: Vec<(&str, Series, Option<&str>)>, place: &Place, input: Input<'_>) -> Answered {
    let size = place.page * 20;
    let from: usize = input.text("NextToken").and_then(|token| token.parse().ok()).unwrap_or(0);
    let (mut at, mut shown, mut more) = (0, Vec::new(), false);
    for (id, points, status) in results {
        let (first, last) = (at, at + points.len().max(1));
        at = last;
        if last <= from || first >= from + size {
            more |= first >= from + size;
            continue;
        }
        let inside = points.iter().rev().enumerate().filter(|(number, _)| {
            let number = first + number;
            number >= from && number < from + size
        });
        let (times, values): (Vec<Value>, Vec<f64>) = inside
            .map(|(_, (begin_s, value))| {
                let at = Timestamp::from_second(*begin_s).expect("a period of this century");
                (json!(at.to_string()), *value)
            })
            .unzip();
        let goes_on = last > from + size;
        more |= goes_on;
        let status = if goes_on { "PartialData" } else { status.unwrap_or("Complete") };
        shown.push(json!({ "Id": id, "Label": id, "Timestamps": times, "Values": values, "StatusCode": status }));
    }
    let token = more.then(|| (from + size).to_string());
    Ok(json!({ "MetricDataResults": shown, "Messages": [], "NextToken": token }))
}
