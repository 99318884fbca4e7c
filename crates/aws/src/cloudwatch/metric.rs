//! The `metric` signal: a metric, or an expression over metrics, against a threshold.

mod calls;
mod judge;
mod request;

use std::{sync::Arc, time::Duration};

use belay_aws_catalogue::cloudwatch::{
    Missing,
    metric::{Spec, arrival},
};
use belay_core::reading::Reading;
use belay_plan::duration;
use belay_ports::{Check, Clock, Detects, Fut, Permission, Query, Sensor, SignalReadiness};
use serde::Deserialize;

use self::judge::{Answer, Series};
use crate::{
    sensing::{Deadline, Finding},
    session::Aws,
};

/// The sensor of `metric`.
pub struct Metric {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl Metric {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn read_all(&self, queries: &[Query]) -> Vec<Reading> {
        let taken = self.clock.now();
        let deadline = Deadline::start(self.clock.as_ref());
        let specs: Vec<Result<Spec, _>> = queries.iter().map(|query| Spec::deserialize(&query.spec)).collect();
        let asked = queries.iter().zip(&specs).map(|(query, spec)| (&query.aws, spec.as_ref().ok()));
        let answers = calls::read(&self.aws, &deadline, taken, asked).await;
        let readings = queries.iter().zip(&specs).zip(answers).map(|((query, spec), answer)| {
            let measured = match (spec, &answer) {
                (Ok(spec), Ok(answer)) => judge::measured(spec, answer, taken),
                _ => None,
            };
            let finding = match (spec, answer) {
                (Err(error), _) => Finding::not_understood(error),
                (_, Err(finding)) => finding,
                (Ok(spec), Ok(answer)) => judge::decide(spec, &answer, taken),
            };
            Reading { measured, ..finding.reading(query, taken, "cloudwatch") }
        });
        readings.collect()
    }

    async fn check_all(&self, queries: &[Query]) -> Vec<SignalReadiness> {
        // Each metric asked for is paid, so only those are asked of which the reading does not show it.
        fn hides(spec: &&Spec) -> bool {
            spec.missing == Missing::Healthy
        }
        let deadline = Deadline::start(self.clock.as_ref());
        // That one cannot be understood, the reading shows.
        let specs: Vec<Option<Spec>> = queries.iter().map(|query| Spec::deserialize(&query.spec).ok()).collect();
        let asked = queries.iter().zip(&specs).map(|(query, spec)| (&query.aws, spec.as_ref().filter(hides)));
        let answers = calls::read(&self.aws, &deadline, self.clock.now(), asked).await;
        let found = queries.iter().zip(&specs).zip(answers).map(|((query, spec), answer)| {
            let Some(spec) = spec else { return SignalReadiness::default() };
            let mut found = detection(&query.signal, spec);
            found.checks.extend(without_data(&query.signal, spec, &answer));
            found
        });
        found.collect()
    }
}

/// Missing data counts as healthy, so the reading does not show that none has arrived. None: some has, or that is not known, which the
/// reading shows.
fn without_data(signal: &str, spec: &Spec, answer: &Result<Answer, Finding>) -> Option<Check> {
    let Answer { series, incomplete: None, .. } = answer.as_ref().ok()? else { return None };
    let is_empty = |series: &Series| series.flaw.is_none() && series.points.values().all(|value| value.is_nan());
    if !series.iter().all(is_empty) {
        return None;
    }
    let asked = duration::format(Duration::from_secs((spec.periods() * spec.period_s()).unsigned_abs()));
    let found = format!(
        "no data point has arrived in the last {asked}, and `missing: healthy` takes that for healthy: it is not known whether it \
         can fire"
    );
    let metrics: Vec<String> = spec.metrics().map(|of| format!("{} of {}", of.name, of.namespace)).collect();
    let metrics = if metrics.is_empty() { "the metrics of its expression".to_owned() } else { metrics.join(", ") };
    let cure = format!(
        "look whether CloudWatch has {metrics} with these dimensions (`aws cloudwatch list-metrics`), or make what it counts happen \
         in a rehearsal"
    );
    Some(
        Check::warn("metric_data", signal, found).wanted("a data point, so that it has been seen to arrive").cure(cure),
    )
}

/// The breach begins within a period; so many periods have to breach, and the data of the last takes a while to arrive.
fn detection(signal: &str, spec: &Spec) -> SignalReadiness {
    let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let (period, breaching) = (seconds(spec.period_s()), spec.datapoints.breaching);
    let periods = u32::try_from(breaching).unwrap_or(u32::MAX).saturating_add(1);
    let within = period.saturating_mul(periods) + seconds(arrival::arrives_s(spec));
    let found = format!(
        "shows a breach within {} ({} of {} periods of {})",
        duration::format(within),
        breaching,
        spec.datapoints.of,
        duration::format(period)
    );
    SignalReadiness { checks: vec![Check::go("detection", signal, found)], detects: Detects::Within(within) }
}

impl Sensor for Metric {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(self.read_all(queries))
    }

    fn readiness<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<SignalReadiness>> {
        Box::pin(self.check_all(queries))
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
#[cfg(test)]
mod wire;
