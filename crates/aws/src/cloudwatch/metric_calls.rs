//! Many metric signals in few `GetMetricData` calls. Each metric asked for is paid, however the calls are cut.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_cloudwatch::{
    Client,
    error::SdkError,
    operation::get_metric_data::GetMetricDataError,
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, StatusCode},
};
use belay_plan::model::AwsTarget;
use belay_ports::ReadError;
use futures::future::join_all;
use jiff::Timestamp;

use super::metric::{Points, Single, Source, Spec};
use crate::{
    errors, place,
    sensing::{Deadline, Finding},
    session::Aws,
};

/// What one call takes at most.
const QUERIES_MAX: usize = 500;

/// Signals of one place and period, few enough for one call.
struct Batch<'a> {
    target: &'a AwsTarget,
    period_s: i64,
    /// Each with its position among all that are asked.
    signals: Vec<(usize, &'a Spec)>,
}

/// What came back for one id: one series, or several where an expression searches.
#[derive(Debug, Default)]
struct Answer {
    /// By label.
    series: BTreeMap<String, Points>,
    /// Why it is not to be believed.
    flaw: Option<String>,
}

type Answers = HashMap<String, Answer>;

/// The datapoints of each signal, or what it is without them. A signal without a spec is not asked.
pub(super) async fn read<'a>(
    aws: &Aws,
    deadline: &Deadline<'_>,
    now: Timestamp,
    asked: impl Iterator<Item = (&'a AwsTarget, Option<&'a Spec>)>,
) -> Vec<Result<Points, Finding>> {
    let asked: Vec<_> = asked.collect();
    let batches = batches(&asked);
    let answers = join_all(batches.iter().map(|batch| read_batch(aws, deadline, now, batch))).await;
    let mut points: Vec<_> = asked.iter().map(|_| Err(Finding::unknown("it was not asked"))).collect();
    for (position, answer) in answers.into_iter().flatten() {
        points[position] = answer;
    }
    points
}

fn batches<'a>(asked: &[(&'a AwsTarget, Option<&'a Spec>)]) -> Vec<Batch<'a>> {
    let mut batches: BTreeMap<(&AwsTarget, i64), Vec<Batch<'a>>> = BTreeMap::new();
    for (position, (target, spec)) in asked.iter().enumerate() {
        let Some(spec) = *spec else { continue };
        let period_s = spec.period_s();
        let of_kind = batches.entry((target, period_s)).or_default();
        let fits = |batch: &&mut Batch| {
            batch.signals.iter().map(|(_, spec)| queries_of(spec)).sum::<usize>() + queries_of(spec) <= QUERIES_MAX
        };
        match of_kind.last_mut().filter(fits) {
            Some(batch) => batch.signals.push((position, spec)),
            None => of_kind.push(Batch { target, period_s, signals: vec![(position, spec)] }),
        }
    }
    batches.into_values().flatten().collect()
}

fn queries_of(spec: &Spec) -> usize {
    match &spec.metric {
        Source::Single(_) => 1,
        Source::Expression { metrics, .. } => metrics.len() + 1,
    }
}

/// One call for the whole batch. If AWS finds fault with the request, one call each, so that a single bad expression
/// does not blind its neighbours.
async fn read_batch(
    aws: &Aws,
    deadline: &Deadline<'_>,
    now: Timestamp,
    batch: &Batch<'_>,
) -> Vec<(usize, Result<Points, Finding>)> {
    let signals = batch.signals.as_slice();
    let clients = match deadline.bound(async { Ok(aws.clients(batch.target).await?) }).await {
        Ok(clients) => clients,
        Err(why) => return unreadable(signals, &why),
    };
    let client = &clients.cloudwatch;
    let whole = deadline.bound(async { Ok(ask(client, now, batch.period_s, signals).await) }).await;
    match whole {
        Ok(Ok(answers)) => points(signals, answers),
        Ok(Err(error)) if signals.len() > 1 && is_request_wrong(&error) => {
            let alone = signals.chunks(1).map(|signal| async move {
                let ask = async {
                    ask(client, now, batch.period_s, signal).await.map_err(|error| read_error(error, batch.target))
                };
                match deadline.bound(ask).await {
                    Ok(answers) => points(signal, answers),
                    Err(why) => unreadable(signal, &why),
                }
            });
            join_all(alone).await.into_iter().flatten().collect()
        }
        Ok(Err(error)) => unreadable(signals, &read_error(error, batch.target).why),
        Err(why) => unreadable(signals, &why),
    }
}

fn is_request_wrong(error: &SdkError<GetMetricDataError>) -> bool {
    errors::code(error).is_some_and(|code| code.starts_with("InvalidParameter") || code.starts_with("Validation"))
}

fn read_error(error: SdkError<GetMetricDataError>, target: &AwsTarget) -> ReadError {
    errors::read(error, "cloudwatch:GetMetricData", &place::name(target))
}

fn unreadable(signals: &[(usize, &Spec)], why: &str) -> Vec<(usize, Result<Points, Finding>)> {
    signals.iter().map(|(position, _)| (*position, Err(Finding::Unreadable { why: why.to_owned() }))).collect()
}

async fn ask(
    client: &Client,
    now: Timestamp,
    period_s: i64,
    signals: &[(usize, &Spec)],
) -> Result<Answers, SdkError<GetMetricDataError>> {
    let periods = signals.iter().map(|(_, spec)| spec.periods()).max().unwrap_or(0);
    let end_s = now.as_second().div_euclid(period_s) * period_s;
    let queries = signals.iter().flat_map(|(position, spec)| queries(*position, spec)).collect();
    let mut pages = client
        .get_metric_data()
        .set_metric_data_queries(Some(queries))
        .start_time(DateTime::from_secs(end_s.saturating_sub(periods.saturating_mul(period_s))))
        .end_time(DateTime::from_secs(end_s))
        .into_paginator()
        .send();
    let mut answers = Answers::new();
    while let Some(page) = pages.next().await {
        for result in page?.metric_data_results.unwrap_or_default() {
            take(&mut answers, result, period_s);
        }
    }
    Ok(answers)
}

/// Adds a page's part of a series to what came before. Only the last page's status counts.
fn take(answers: &mut Answers, result: MetricDataResult, period_s: i64) {
    let Some(id) = result.id else { return };
    let answer = answers.entry(id).or_default();
    let series = answer.series.entry(result.label.unwrap_or_default()).or_default();
    let starts =
        result.timestamps.unwrap_or_default().into_iter().map(|time| time.secs().div_euclid(period_s) * period_s);
    series.extend(starts.zip(result.values.unwrap_or_default()));
    answer.flaw = match result.status_code {
        None | Some(StatusCode::Complete) => None,
        Some(status) => {
            let messages = result.messages.unwrap_or_default().into_iter().filter_map(|message| message.value);
            let messages = messages.collect::<Vec<_>>().join("; ");
            Some(format!("CloudWatch answered {status}: {}", errors::bounded(&messages)))
        }
    };
}

fn points(signals: &[(usize, &Spec)], mut answers: Answers) -> Vec<(usize, Result<Points, Finding>)> {
    let take = |(position, _): &(usize, &Spec)| {
        let answer = answers.remove(&signal_id(*position)).unwrap_or_default();
        let points = match (answer.flaw, answer.series.len()) {
            (Some(flaw), _) => Err(Finding::unknown(flaw)),
            (None, 0 | 1) => Ok(answer.series.into_values().next().unwrap_or_default()),
            (None, many) => Err(Finding::unknown(format!(
                "the expression yields {many} series; make one of them, for example with SUM"
            ))),
        };
        (*position, points)
    };
    signals.iter().map(take).collect()
}

/// Ids have to be unique in a call, and begin with a lower-case letter.
fn signal_id(position: usize) -> String {
    format!("s{position}")
}

fn queries(position: usize, spec: &Spec) -> Vec<MetricDataQuery> {
    let id = signal_id(position);
    match &spec.metric {
        Source::Single(single) => vec![metric(id, single, spec.period_s(), true)],
        Source::Expression { expression, metrics } => {
            let ids: HashMap<&str, String> =
                metrics.keys().enumerate().map(|(number, name)| (name.as_str(), format!("{id}m{number}"))).collect();
            let inputs =
                metrics.iter().map(|(name, single)| metric(ids[name.as_str()].clone(), single, spec.period_s(), false));
            let result =
                MetricDataQuery::builder().id(id).expression(renamed(expression, &ids)).return_data(true).build();
            inputs.chain([result]).collect()
        }
    }
}

fn metric(id: String, single: &Single, period_s: i64, return_data: bool) -> MetricDataQuery {
    let dimensions = single.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let metric = Metric::builder()
        .namespace(&single.namespace)
        .metric_name(&single.name)
        .set_dimensions(Some(dimensions.collect()))
        .build();
    let period_s = i32::try_from(period_s).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(metric).period(period_s).stat(&single.stat).build();
    MetricDataQuery::builder().id(id).metric_stat(stat).return_data(return_data).build()
}

/// An expression with other ids. What stands in quotes is not an id.
fn renamed(expression: &str, ids: &HashMap<&str, String>) -> String {
    let mut text = String::new();
    let mut quote = None;
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = match quote.is_none() && is_part(next) {
            true => rest.find(|c: char| !is_part(c)).unwrap_or(rest.len()),
            false => next.len_utf8(),
        };
        let (token, after) = rest.split_at(end);
        match quote {
            Some(open) if next == open => quote = None,
            None if matches!(next, '\'' | '"') => quote = Some(next),
            _ => {}
        }
        let id = ids.get(token).filter(|_| quote.is_none());
        text.push_str(id.map_or(token, String::as_str));
        rest = after;
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::target;

    fn single(period: &str) -> serde_json::Value {
        json!({"namespace": "N", "name": "M", "stat": "Sum", "period": period, "dimensions": {"A": "b"}})
    }

    fn spec(metric: serde_json::Value) -> Spec {
        serde_json::from_value(json!({"metric": metric, "healthy": "< 1"})).unwrap()
    }

    fn ratio() -> Spec {
        let metrics = json!({"errors": single("1m"), "requests": single("1m")});
        spec(json!({"expression": "100 * errors / requests", "metrics": metrics}))
    }

    #[test]
    fn ids_are_renamed_outside_of_quotes_only() {
        let ids = HashMap::from([("errors", "s0m0".to_owned()), ("e", "s0m1".to_owned())]);
        let cases = [
            ("100 * errors / e", "100 * s0m0 / s0m1"),
            ("SUM(errors)+SUM(METRICS('errors'))", "SUM(s0m0)+SUM(METRICS('errors'))"),
            ("my_errors + errors2 + 1e3", "my_errors + errors2 + 1e3"),
            ("SEARCH(\"e\", 'e', 300)", "SEARCH(\"e\", 'e', 300)"),
            ("IF(e > 0, \"ä'\" , e)", "IF(s0m1 > 0, \"ä'\" , s0m1)"),
        ];
        for (expression, expected) in cases {
            assert_eq!(renamed(expression, &ids), expected);
        }
    }

    #[test]
    fn an_expression_asks_for_its_metrics_and_returns_only_itself() {
        let queries = queries(3, &ratio());
        let told: Vec<_> = queries.iter().map(|query| (query.id(), query.expression(), query.return_data())).collect();
        assert_eq!(
            told,
            [
                (Some("s3m0"), None, Some(false)),
                (Some("s3m1"), None, Some(false)),
                (Some("s3"), Some("100 * s3m0 / s3m1"), Some(true))
            ]
        );
        assert_eq!(queries[0].metric_stat().unwrap().period(), Some(60));
    }

    #[test]
    fn batches_are_of_one_place_and_period_and_hold_500_queries() {
        let (here, there) = (target(), AwsTarget { region: Some("us-east-1".to_owned()), ..target() });
        let (ratio, slow) = (ratio(), spec(single("5m")));
        let asked: Vec<_> = (0..200)
            .map(|_| (&here, Some(&ratio)))
            .chain([(&here, None), (&here, Some(&slow)), (&there, Some(&slow))])
            .collect();
        let sizes: Vec<_> = batches(&asked).iter().map(|batch| (batch.period_s, batch.signals.len())).collect();
        assert_eq!(sizes, [(60, 166), (60, 34), (300, 1), (300, 1)]);
    }

    #[test]
    fn pages_are_put_together_and_the_last_status_counts() {
        let page = |second, value, status| {
            MetricDataResult::builder()
                .id("s0")
                .label("M")
                .timestamps(DateTime::from_secs(second))
                .values(value)
                .status_code(status)
                .build()
        };
        let spec = ratio();
        let signals = [(0, &spec)];
        let mut answers = Answers::new();
        take(&mut answers, page(120, 1.0, StatusCode::PartialData), 60);
        take(&mut answers, page(185, 2.0, StatusCode::Complete), 60);
        assert_eq!(points(&signals, answers), [(0, Ok(Points::from([(120, 1.0), (180, 2.0)])))]);
        let mut flawed = Answers::new();
        take(&mut flawed, page(120, 1.0, StatusCode::Forbidden), 60);
        assert!(points(&signals, flawed)[0].1.is_err());
        let mut several = Answers::new();
        take(&mut several, page(120, 1.0, StatusCode::Complete), 60);
        take(&mut several, MetricDataResult::builder().id("s0").label("other").build(), 60);
        assert!(points(&signals, several)[0].1.is_err());
        assert_eq!(points(&signals, Answers::new()), [(0, Ok(Points::new()))]);
    }
}
