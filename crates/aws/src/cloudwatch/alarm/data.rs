//! Whether the metrics that an alarm goes by have data: one that has none stands OK for ever where missing data is no breach.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_cloudwatch::{
    error::SdkError,
    operation::get_metric_data::GetMetricDataError,
    primitives::DateTime,
    types::{Metric, MetricAlarm, MetricDataQuery, MetricStat, StateValue},
};
use belay_plan::{duration, model::AwsTarget};
use belay_ports::{Check, ReadError};
use jiff::Timestamp;

use super::{Watched, read::Place, state::State};
use crate::{cloudwatch::is_request_wrong, errors, place};

/// The IAM action.
pub(super) const CALL: &str = "cloudwatch:GetMetricData";

const ID: &str = "alarm_data";

/// Data of the last three hours at least is looked for, of three evaluations where they take longer. Whatever the period of the alarm, an
/// hour is enough to see that there is some.
const BACK_MIN: Duration = Duration::from_secs(3 * 3600);
const EVALUATIONS: u32 = 3;
const PERIOD_MIN_S: i32 = 3600;

/// Of one call: CloudWatch takes 500 queries, and an alarm has 20 metrics at most.
pub(super) const ALARMS_MAX: usize = 25;

/// Data that was seen counts for so long: each look is paid.
const LASTS: Duration = Duration::from_secs(3600);

/// Whether there is data, or why that is not known.
pub(super) type Found = Result<bool, String>;

/// The alarms whose data was seen, and when: on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<(AwsTarget, String), Duration>>);

impl Seen {
    pub(super) fn lately(&self, target: &AwsTarget, name: &str, now: Duration) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&(target.clone(), name.to_owned())).is_some_and(|at| now < *at + LASTS)
    }

    pub(super) fn keep(&self, target: &AwsTarget, name: &str, now: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((target.clone(), name.to_owned()), now);
    }
}

/// The metrics of an alarm. An expression has the data of its metrics; FILL would show some where there is none.
pub(super) fn queries(alarm: &MetricAlarm) -> Vec<MetricDataQuery> {
    let period = |own: Option<i32>| own.unwrap_or(PERIOD_MIN_S).max(PERIOD_MIN_S);
    if let Some(name) = alarm.metric_name() {
        let metric = Metric::builder().set_namespace(alarm.namespace.clone()).metric_name(name);
        let metric = metric.set_dimensions(alarm.dimensions.clone()).build();
        let stat = alarm.statistic.as_ref().map(|stat| stat.as_str()).or(alarm.extended_statistic());
        let stat =
            MetricStat::builder().metric(metric).period(period(alarm.period)).stat(stat.unwrap_or("SampleCount"));
        return vec![MetricDataQuery::builder().id("m").metric_stat(stat.set_unit(alarm.unit.clone()).build()).build()];
    }
    let of_metrics: Vec<_> =
        alarm.metrics().iter().filter(|query| query.metric_stat.is_some()).map(|query| shown(query, period)).collect();
    match (of_metrics.as_slice(), alarm.metrics()) {
        // A query of its own: Metrics Insights, SEARCH.
        ([], [query]) => vec![shown(query, period)],
        _ => of_metrics,
    }
}

fn shown(query: &MetricDataQuery, period: impl Fn(Option<i32>) -> i32) -> MetricDataQuery {
    let mut query = query.clone();
    query.return_data = Some(true);
    match &mut query.metric_stat {
        Some(stat) => stat.period = Some(period(stat.period)),
        None => query.period = Some(period(query.period)),
    }
    query
}

/// The alarms of one place, in one call; one by one where CloudWatch does not take a value of it.
pub(super) async fn look<'a>(
    place: &Place<'_>,
    alarms: &[(&'a str, &'a State)],
    now: Timestamp,
) -> Vec<(&'a str, Found)> {
    match ask(place, alarms, now).await {
        Err(Failure::Wrong(_)) if alarms.len() > 1 => {
            let mut found = Vec::new();
            for one in alarms {
                let looked = ask(place, std::slice::from_ref(one), now).await;
                found.push((one.0, looked.map(|with| !with.is_empty()).map_err(Failure::why)));
            }
            found
        }
        Err(error) => {
            let why = error.why();
            alarms.iter().map(|(name, _)| (*name, Err(why.clone()))).collect()
        }
        Ok(with) => alarms.iter().enumerate().map(|(at, (name, _))| (*name, Ok(with.contains(&at)))).collect(),
    }
}

enum Failure {
    Wrong(ReadError),
    Other(ReadError),
}

impl Failure {
    fn of(error: SdkError<GetMetricDataError>, target: &AwsTarget) -> Self {
        let wrong = is_request_wrong(&error);
        let error = errors::read(error, CALL, &place::name(target));
        if wrong { Self::Wrong(error) } else { Self::Other(error) }
    }

    fn why(self) -> String {
        match self {
            Self::Wrong(error) | Self::Other(error) => error.why,
        }
    }
}

/// Which of them have data, by position.
async fn ask(place: &Place<'_>, alarms: &[(&str, &State)], now: Timestamp) -> Result<BTreeSet<usize>, Failure> {
    let queries = alarms.iter().enumerate().flat_map(|(at, (_, state))| {
        state.metrics.iter().enumerate().map(move |(number, query)| {
            let mut query = query.clone();
            query.id = Some(format!("a{at}_{number}"));
            query
        })
    });
    let back = alarms.iter().map(|(_, state)| back(state)).max().unwrap_or(BACK_MIN);
    let start = now.as_second().saturating_sub(i64::try_from(back.as_secs()).unwrap_or(i64::MAX));
    let asked = place.client.get_metric_data().set_metric_data_queries(Some(queries.collect()));
    let asked = asked.start_time(DateTime::from_secs(start)).end_time(DateTime::from_secs(now.as_second()));
    let mut pages = asked.into_paginator().send();
    let mut with = BTreeSet::new();
    loop {
        let page = place.deadline.bound(async { Ok(pages.next().await) }).await.map_err(Failure::Other)?;
        let Some(page) = page else { return Ok(with) };
        let page = page.map_err(|error| Failure::of(error, place.target))?;
        let filled = page.metric_data_results().iter().filter(|result| !result.values().is_empty());
        with.extend(
            filled.filter_map(|result| result.id()?.strip_prefix('a')?.split_once('_')?.0.parse::<usize>().ok()),
        );
    }
}

fn back(state: &State) -> Duration {
    state.timing.map_or(BACK_MIN, |timing| (timing.period * timing.periods * EVALUATIONS).max(BACK_MIN))
}

/// Of an alarm, by one that it goes by: itself, or where it is a composite alarm, one of those that its rule names.
pub(super) fn check(
    name: &str,
    (target, leaf, state): Watched<'_>,
    data: &HashMap<(&AwsTarget, &str), Found>,
) -> Option<Check> {
    let found = match (&state.value, data.get(&(target, leaf))) {
        // A plan may take it for healthy.
        (Some(StateValue::InsufficientData), _) => {
            "has too little data to be OK or in ALARM (INSUFFICIENT_DATA)".to_owned()
        }
        _ if state.is_without_data() => "receives no data, and takes missing data for a state of its own".to_owned(),
        (_, Some(Ok(false))) => {
            format!("is OK, and no data has arrived for it in the last {}", duration::format(back(state)))
        }
        (_, Some(Err(why))) => format!("may receive no data: whether it does could not be read: {why}"),
        _ => return None,
    };
    let found = if leaf == name { found } else { format!("{leaf}, which its rule names, {found}") };
    Some(
        Check::warn(ID, name, found)
            .wanted("data of every period: without it the alarm cannot show a breach")
            .cure("look whether its metric still exists, with the dimensions that the alarm names"),
    )
}
