//! Alarms, and what they watch.

use aws_sdk_cloudwatch::types::{CompositeAlarm, Dimension, LogAlarm, MetricAlarm};
use belay_draft::inventory::Alarm;
use belay_ports::ReadError;

use super::{Discovery, Found};
use crate::{
    cloudwatch::{alarm_types, is_request_wrong},
    errors,
};

const CALL: &str = "cloudwatch:DescribeAlarms";

/// Of 100 alarms each; at Belay's half of the quota they take 23 s.
const CALLS_MAX: usize = 100;

const PAGE: i32 = 100;

impl Discovery {
    /// All alarms of the region.
    ///
    /// # Errors
    /// [`ReadError`] of the call.
    pub async fn alarms(&self) -> Result<Found<Alarm>, ReadError> {
        match self.alarms_of(true).await {
            Ok(found) => Ok(found),
            // Older regions and partitions do not know alarms on logs.
            Err((_, true)) => self.alarms_of(false).await.map_err(|(error, _)| error),
            Err((error, false)) => Err(error),
        }
    }

    /// The error, and whether CloudWatch did not take a value of the call.
    async fn alarms_of(&self, log_alarms: bool) -> Result<Found<Alarm>, (ReadError, bool)> {
        let asked = self.clients.cloudwatch.describe_alarms().set_alarm_types(Some(alarm_types(log_alarms)));
        let mut pages = asked.into_paginator().page_size(PAGE).send();
        let mut items = Vec::new();
        for _ in 0..CALLS_MAX {
            let Some(page) = pages.next().await else { return Ok(Found { items, notes: Vec::new() }) };
            let page = page.map_err(|error| {
                let wrong = is_request_wrong(&error);
                (errors::read(error, CALL, "*"), wrong)
            })?;
            items.extend(page.metric_alarms.unwrap_or_default().into_iter().filter_map(of_metric));
            items.extend(page.composite_alarms.unwrap_or_default().into_iter().filter_map(of_composite));
            items.extend(page.log_alarms.unwrap_or_default().into_iter().filter_map(of_logs));
            self.tell(format_args!("CloudWatch: {} alarms so far", items.len()));
            if page.next_token.is_none() {
                return Ok(Found { items, notes: Vec::new() });
            }
        }
        let note = format!(
            "only the first {} alarms were looked at: Belay makes at most {CALLS_MAX} calls for this",
            items.len()
        );
        Ok(Found { items, notes: vec![note] })
    }
}

fn of_metric(alarm: MetricAlarm) -> Option<Alarm> {
    let pair = |dimension: Dimension| Some((dimension.name?, dimension.value?));
    let mut dimensions: Vec<(String, String)> =
        alarm.dimensions.unwrap_or_default().into_iter().filter_map(pair).collect();
    let mut period = alarm.period;
    let mut metric = alarm.metric_name.map(|name| [alarm.namespace.unwrap_or_default(), name].join(" "));
    for query in alarm.metrics.unwrap_or_default() {
        period = period.max(query.period);
        let Some(stat) = query.metric_stat else { continue };
        period = period.max(stat.period);
        let Some(of) = stat.metric else { continue };
        dimensions.extend(of.dimensions.unwrap_or_default().into_iter().filter_map(pair));
        let called = [of.namespace.unwrap_or_default(), of.metric_name.unwrap_or_default()].join(" ");
        metric.get_or_insert(format!("Metric math over {called}"));
    }
    let periods = alarm.evaluation_periods.zip(period);
    let looks_at_s = periods.and_then(|(count, period)| u64::try_from(i64::from(count) * i64::from(period)).ok());
    Some(Alarm {
        name: alarm.alarm_name?,
        arn: alarm.alarm_arn.unwrap_or_default(),
        state: alarm.state_value.map(|state| state.as_str().to_owned()),
        metric: Some(metric.unwrap_or_else(|| "Metric math".to_owned()).trim().to_owned()),
        dimensions,
        looks_at_s,
        rule: None,
    })
}

fn of_composite(alarm: CompositeAlarm) -> Option<Alarm> {
    Some(Alarm {
        name: alarm.alarm_name?,
        arn: alarm.alarm_arn.unwrap_or_default(),
        state: alarm.state_value.map(|state| state.as_str().to_owned()),
        rule: Some(alarm.alarm_rule.unwrap_or_default()),
        ..Alarm::default()
    })
}

fn of_logs(alarm: LogAlarm) -> Option<Alarm> {
    Some(Alarm {
        name: alarm.alarm_name?,
        arn: alarm.alarm_arn.unwrap_or_default(),
        state: alarm.state_value.map(|state| state.as_str().to_owned()),
        ..Alarm::default()
    })
}
