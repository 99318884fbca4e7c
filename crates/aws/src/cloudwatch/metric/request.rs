//! Many metric signals in few `GetMetricData` calls, each of them within what CloudWatch takes.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, StandardUnit};
use belay_aws_catalogue::cloudwatch::metric::{Expression, Single, Source, Spec, expression, period};
use belay_plan::model::AwsTarget;
use jiff::Timestamp;

/// What one call takes at most, and how many datapoints it answers before it goes on with another page.
const QUERIES_MAX: usize = 500;
const POINTS_MAX: i64 = 100_800;

/// A signal, with its position among all that are asked.
pub(super) type Signal<'a> = (usize, &'a Spec);

/// One call: signals of one place, over one stretch of time.
pub(super) struct Request<'a> {
    pub(super) target: &'a AwsTarget,
    pub(super) signals: Vec<Signal<'a>>,
    queries: Vec<Asked>,
    /// The query that answers each signal.
    results: Vec<usize>,
    now_s: i64,
    /// In seconds since 1970.
    pub(super) start_s: i64,
    pub(super) end_s: i64,
    /// What all periods divide. Where a call begins, the first period of each metric begins.
    step_s: i64,
    /// It has an expression that is about all metrics of its call.
    alone: bool,
    insights: bool,
}

/// One query. Signals that ask for the same share it.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    what: What,
    id: String,
    period_s: i64,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Metric(Single),
    /// With the ids of this call, and its period where no metric says one.
    Math(String, Option<i64>),
}

/// All signals in as few calls as possible.
pub(super) fn requests<'a>(
    now: Timestamp,
    asked: impl Iterator<Item = (&'a AwsTarget, Signal<'a>)>,
) -> Vec<Request<'a>> {
    let mut places: BTreeMap<&AwsTarget, Vec<Request<'a>>> = BTreeMap::new();
    for (target, signal) in asked {
        let requests = places.entry(target).or_default();
        if !requests.iter_mut().any(|request| request.takes(signal)) {
            requests.push(Request::of(target, now, signal));
        }
    }
    places.into_values().flatten().collect()
}

impl<'a> Request<'a> {
    /// A call for one signal, whatever CloudWatch will say of it.
    pub(super) fn of(target: &'a AwsTarget, now: Timestamp, signal: Signal<'a>) -> Self {
        let now_s = now.as_second();
        let mut request = Self {
            target,
            signals: Vec::new(),
            queries: Vec::new(),
            results: Vec::new(),
            now_s,
            start_s: now_s,
            end_s: 0,
            step_s: 1,
            alone: false,
            insights: false,
        };
        request.add(signal);
        request
    }

    /// Takes a signal along, if it fits.
    fn takes(&mut self, signal: Signal<'a>) -> bool {
        let expression = match &signal.1.metric {
            Source::Expression(Expression { expression, .. }) => expression.as_str(),
            Source::Single(_) => "",
        };
        if self.alone
            || expression::takes_all_metrics(expression)
            || (self.insights && expression::is_insights(expression))
        {
            return false;
        }
        let queries = self.queries.len();
        let before = (self.start_s, self.end_s, self.step_s, self.insights);
        self.add(signal);
        let fits = self.fits();
        if !fits {
            self.signals.pop();
            self.results.pop();
            self.queries.truncate(queries);
            (self.start_s, self.end_s, self.step_s, self.insights) = before;
        }
        fits
    }

    fn fits(&self) -> bool {
        let points = |query: &Asked| (self.end_s - self.start_s).unsigned_abs().div_ceil(query.period_s.unsigned_abs());
        let is_kept = |query: &Asked| self.now_s - self.start_s <= period::kept_s(query.period_s);
        self.queries.len() <= QUERIES_MAX
            && self.queries.iter().map(points).sum::<u64>() <= POINTS_MAX.unsigned_abs()
            && self.queries.iter().all(is_kept)
    }

    fn add(&mut self, signal: Signal<'a>) {
        let (_, spec) = signal;
        let period_s = spec.period_s();
        let result = match &spec.metric {
            Source::Single(single) => self.query(What::Metric(single.clone()), period_s, None),
            Source::Expression(math) => self.add_expression(math, period_s),
        };
        self.signals.push(signal);
        self.results.push(result);
        let end_s = self.now_s.div_euclid(period_s) * period_s;
        self.step_s = common_multiple(self.step_s, period_s);
        self.start_s = self.start_s.min(end_s.saturating_sub(spec.periods().saturating_mul(period_s)));
        self.start_s = self.start_s.div_euclid(self.step_s) * self.step_s;
        self.end_s = self.end_s.max(end_s);
    }

    fn add_expression(&mut self, math: &Expression, period_s: i64) -> usize {
        let Expression { expression, metrics, .. } = math;
        self.alone = expression::takes_all_metrics(expression);
        self.insights |= expression::is_insights(expression);
        let mut ids = HashMap::new();
        for (name, single) in metrics {
            // METRICS('cpu') goes by the ids of the plan.
            let own = self.alone.then(|| name.clone());
            let metric = self.query(What::Metric(single.clone()), period_s, own);
            ids.insert(name.as_str(), self.queries[metric].id.clone());
        }
        let own = self.alone.then(|| {
            let candidates = (0..).map(|number| format!("result{number}"));
            candidates.into_iter().find(|id| !metrics.contains_key(id)).expect("one of them is free")
        });
        let explicit_s = metrics.is_empty().then_some(period_s);
        self.query(What::Math(expression::renamed(expression, &ids), explicit_s), period_s, own)
    }

    /// The position of a query: a new one, or the same of another signal.
    fn query(&mut self, what: What, period_s: i64, own_id: Option<String>) -> usize {
        let same = self.queries.iter().position(|asked| asked.what == what && own_id.is_none());
        same.unwrap_or_else(|| {
            let id = own_id.unwrap_or_else(|| format!("q{}", self.queries.len()));
            self.queries.push(Asked { what, id, period_s });
            self.queries.len() - 1
        })
    }

    /// The id of the query that answers each of its signals.
    pub(super) fn results(&self) -> impl Iterator<Item = (Signal<'a>, &str)> {
        self.signals.iter().copied().zip(self.results.iter().map(|result| self.queries[*result].id.as_str()))
    }

    /// By the ids of its queries, their periods in seconds.
    pub(super) fn periods_s(&self) -> HashMap<&str, i64> {
        self.queries.iter().map(|query| (query.id.as_str(), query.period_s)).collect()
    }

    pub(super) fn queries(&self) -> Vec<MetricDataQuery> {
        // What serves an expression only need not come back.
        let returned: HashSet<usize> = self.results.iter().copied().collect();
        self.queries.iter().enumerate().map(|(number, asked)| asked.query(returned.contains(&number))).collect()
    }
}

impl Asked {
    fn query(&self, returned: bool) -> MetricDataQuery {
        let query = MetricDataQuery::builder().id(&self.id).return_data(returned);
        let seconds = |period_s: i64| i32::try_from(period_s).unwrap_or(i32::MAX);
        match &self.what {
            What::Math(expression, period_s) => query.expression(expression).set_period(period_s.map(seconds)).build(),
            What::Metric(single) => {
                let dimensions = single.dimensions.iter();
                let dimensions = dimensions.map(|(name, value)| Dimension::builder().name(name).value(value).build());
                let metric = Metric::builder()
                    .namespace(&single.namespace)
                    .metric_name(&single.name)
                    .set_dimensions(Some(dimensions.collect()))
                    .build();
                let unit = single.unit.as_deref().map(StandardUnit::from);
                let stat = MetricStat::builder().metric(metric).period(seconds(self.period_s)).stat(&single.stat);
                query.metric_stat(stat.set_unit(unit).build()).set_account_id(single.account_id.clone()).build()
            }
        }
    }
}

fn common_multiple(one: i64, other: i64) -> i64 {
    let (mut divisor, mut rest) = (one, other);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (one / divisor).saturating_mul(other)
}

#[cfg(test)]
mod tests;
