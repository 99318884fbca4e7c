//! The `alarm` signal: the state of a metric, composite or log alarm.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_sdk_cloudwatch::types::{AlarmType, CompositeAlarm, EvaluationState, LogAlarm, MetricAlarm, StateValue};
use belay_core::reading::{Health, Reading};
use belay_plan::{
    catalogue::{Finding as Defect, SignalSpec},
    model::AwsTarget,
    shape::text,
};
use belay_ports::{Clock, Fut, Permission, Query, ReadError, Sensor, sensor::READ_TIME_MAX};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{ALARM, missing_field, timestamp};
use crate::{
    budget, errors, place,
    sensing::{Deadline, Finding, Missing},
    session::Aws,
};

/// What `DescribeAlarms` takes and answers at most in one call.
const NAMES_MAX: usize = 100;

/// What the readings are from, in each place.
const SOURCE: &str = "cloudwatch";

/// What to do about an alarm of another account than the plan's.
const ELSEWHERE: &str =
    "the alarm is in another account than the plan's: give the signal an `aws:` with a `role` of that account";

/// Calls under way at the same time: enough to see thousands of alarms in seconds, inside half of the quota of 9/s.
const CONCURRENT_CALLS: usize = 4;

/// What `alarm` takes.
pub fn spec() -> SignalSpec {
    SignalSpec {
        key: ALARM,
        summary: "The state of a metric, composite or log alarm: healthy while it is OK.",
        value: text("the name of an alarm, or its ARN"),
        siblings: vec![missing_field()],
        check,
    }
}

/// An alarm's ARN: `arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arn<'a> {
    region: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> Arn<'a> {
    /// Names may hold colons.
    fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(7, ':').collect();
        let ["arn", _, "cloudwatch", region, account, "alarm", name] = parts[..] else { return None };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (is_account && !region.is_empty() && !name.is_empty()).then_some(Self { region, account, name })
    }
}

/// An ARN says where the alarm is; the signal's own `aws:` may not say anything else.
fn check(spec: &Value) -> Vec<Defect> {
    let alarm = spec[ALARM].as_str().unwrap_or_default();
    if !alarm.starts_with("arn:") {
        return Vec::new();
    }
    let Some(arn) = Arn::parse(alarm) else {
        let defect = Defect::new("/alarm", format!("`{alarm}` is not the ARN of an alarm"));
        return vec![defect.help("write `arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME`, or the name alone")];
    };
    let aws = &spec["aws"];
    let role_account = aws["role"].as_str().and_then(|role| role.split(':').nth(4));
    let said = [
        ("/aws/region", "region", aws["region"].as_str(), arn.region),
        ("/aws/account", "account", aws["account"].as_str(), arn.account),
        ("/aws/role", "role of account", role_account, arn.account),
    ];
    let contradictions = said.into_iter().filter_map(|(place, what, said, found)| {
        let said = said.filter(|said| *said != found)?;
        let defect = Defect::new(place, format!("the {what} {said} is not that of the alarm's ARN, {found}"));
        Some(defect.help("leave out what the ARN says already, or correct the ARN"))
    });
    contradictions.collect()
}

/// Where an alarm is, and its name there.
fn located<'a>(alarm: &'a str, aws: &AwsTarget) -> (AwsTarget, &'a str) {
    let Some(arn) = Arn::parse(alarm) else { return (aws.clone(), alarm) };
    // A role is of one account.
    let is_role_of_it = aws.role.as_deref().and_then(|role| role.split(':').nth(4)) == Some(arn.account);
    let target = AwsTarget {
        account: Some(arn.account.to_owned()),
        region: Some(arn.region.to_owned()),
        role: aws.role.clone().filter(|_| is_role_of_it),
        external_id: aws.external_id.clone().filter(|_| is_role_of_it),
    };
    (target, arn.name)
}

/// The sensor of `alarm`.
pub struct Alarm {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    alarm: String,
    #[serde(default)]
    missing: Missing,
}

/// What the three kinds of alarm have in common.
#[derive(Debug, Clone)]
struct State {
    value: Option<StateValue>,
    /// Absent where CloudWatch could evaluate everything, and on composite alarms.
    evaluation: Option<EvaluationState>,
    /// Since when it has this value. `StateUpdatedTimestamp` would also move when only the reason changes.
    since: Option<Timestamp>,
    reason: Option<String>,
    /// What keeps its actions from being carried out. The state is the same with and without.
    silenced: Option<String>,
}

/// The alarms of one place by name, or why they could not be read.
type Found = Result<HashMap<String, State>, ReadError>;

impl Alarm {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn look(&self, target: &AwsTarget, names: &[String]) -> Result<HashMap<String, State>, ReadError> {
        let client = &self.aws.clients(target).await?.cloudwatch;
        let mut pages = client
            .describe_alarms()
            .set_alarm_names(Some(names.to_vec()))
            .set_alarm_types(Some(vec![AlarmType::MetricAlarm, AlarmType::CompositeAlarm, AlarmType::LogAlarm]))
            .into_paginator()
            .page_size(i32::try_from(NAMES_MAX).unwrap_or(i32::MAX))
            .send();
        let mut found = HashMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| errors::read(error, "cloudwatch:DescribeAlarms", &place::name(target)))?;
            found.extend(page.metric_alarms.unwrap_or_default().into_iter().filter_map(from_metric));
            found.extend(page.composite_alarms.unwrap_or_default().into_iter().filter_map(from_composite));
            found.extend(page.log_alarms.unwrap_or_default().into_iter().filter_map(from_log));
        }
        Ok(found)
    }

    async fn read_all(&self, queries: &[Query]) -> Vec<Reading> {
        let taken = self.clock.now();
        let deadline = Deadline::within(self.clock.as_ref(), self.time_max(queries));
        let specs: Vec<Result<Spec, _>> = queries.iter().map(|query| Spec::deserialize(&query.spec)).collect();
        let asked = queries.iter().zip(&specs);
        let located: Vec<_> = asked
            .clone()
            .map(|(query, spec)| spec.as_ref().ok().map(|spec| located(&spec.alarm, &query.aws)))
            .collect();
        let calls = calls(located.iter().flatten().map(|(target, name)| (target, *name)));
        let looks: Vec<_> = calls.iter().map(|(target, names)| deadline.bound(self.look(target, names))).collect();
        let found: Vec<Found> = stream::iter(looks).buffered(CONCURRENT_CALLS).collect().await;
        let by_name: HashMap<(&AwsTarget, &str), &Found> = calls
            .iter()
            .zip(&found)
            .flat_map(|((target, names), found)| names.iter().map(move |name| ((*target, name.as_str()), found)))
            .collect();
        let readings = asked.zip(&located).map(|((query, spec), located)| {
            let (spec, (target, name)) = match (spec, located) {
                (Ok(spec), Some(located)) => (spec, located),
                (Err(error), _) => return Finding::not_understood(error).reading(query, taken, SOURCE),
                (Ok(_), None) => unreachable!("what is understood is located"),
            };
            let finding = match by_name[&(target, *name)] {
                Err(error)
                    if query.aws.account.as_ref().is_some_and(|account| target.account.as_ref() != Some(account)) =>
                {
                    Finding::Unreadable(ReadError { why: format!("{}; {ELSEWHERE}", error.why), ..error.clone() })
                }
                Err(error) => Finding::Unreadable(error.clone()),
                Ok(found) => decide(spec, name, found.get(*name), target),
            };
            let reading = finding.reading(query, taken, SOURCE);
            Reading { source: format!("{SOURCE} {}", place::name(target)), ..reading }
        });
        readings.collect()
    }
}

/// Which names are asked for where, in as few calls as possible.
fn calls<'a>(alarms: impl Iterator<Item = (&'a AwsTarget, &'a str)>) -> Vec<(&'a AwsTarget, Vec<String>)> {
    let mut names: BTreeMap<&AwsTarget, BTreeSet<&str>> = BTreeMap::new();
    for (target, name) in alarms {
        names.entry(target).or_default().insert(name);
    }
    let chunks = names.into_iter().flat_map(|(target, names)| {
        let names: Vec<String> = names.into_iter().map(ToOwned::to_owned).collect();
        names.chunks(NAMES_MAX).map(|chunk| (target, chunk.to_vec())).collect::<Vec<_>>()
    });
    chunks.collect()
}

/// What an alarm says. `state`: None when there is no such alarm.
fn decide(spec: &Spec, name: &str, state: Option<&State>, target: &AwsTarget) -> Finding {
    let Some(state) = state else {
        return Finding::unknown(format!("there is no alarm {name} in {}", place::name(target))).for_good();
    };
    let value = state.value.as_ref().map_or("a state without a name", StateValue::as_str);
    let since = state.since.map(|since| format!(" since {since}")).unwrap_or_default();
    let reason = state.reason.as_ref().map(|reason| format!(": {}", errors::bounded(reason))).unwrap_or_default();
    let silenced = state.silenced.as_ref().map(|silenced| format!(" ({silenced})")).unwrap_or_default();
    if let Some(evaluation) = &state.evaluation {
        return Finding::unknown(format!("{value}{since}, but its evaluation is {evaluation}{reason}{silenced}"));
    }
    let health = match state.value {
        Some(StateValue::Ok) => Health::Healthy,
        Some(StateValue::Alarm) => Health::Unhealthy,
        Some(StateValue::InsufficientData) => spec.missing.health(),
        _ => Health::Unknown,
    };
    Finding::new(health, format!("{value}{since}{reason}{silenced}"))
}

fn from_metric(alarm: MetricAlarm) -> Option<(String, State)> {
    let state = State {
        value: alarm.state_value,
        evaluation: alarm.evaluation_state,
        since: alarm.state_transitioned_timestamp.as_ref().and_then(timestamp),
        reason: alarm.state_reason,
        silenced: disabled(alarm.actions_enabled),
    };
    Some((alarm.alarm_name?, state))
}

fn from_composite(alarm: CompositeAlarm) -> Option<(String, State)> {
    let reason = alarm.actions_suppressed_reason.filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(": {}", errors::bounded(&reason))).unwrap_or_default();
    let suppressed = alarm.actions_suppressed_by.map(|by| format!("its actions are suppressed by {by}{reason}"));
    let state = State {
        value: alarm.state_value,
        evaluation: None,
        since: alarm.state_transitioned_timestamp.as_ref().and_then(timestamp),
        reason: alarm.state_reason,
        silenced: disabled(alarm.actions_enabled).or(suppressed),
    };
    Some((alarm.alarm_name?, state))
}

fn from_log(alarm: LogAlarm) -> Option<(String, State)> {
    let state = State {
        value: alarm.state_value,
        evaluation: alarm.evaluation_state,
        since: alarm.state_transitioned_timestamp.as_ref().and_then(timestamp),
        reason: alarm.state_reason,
        silenced: disabled(alarm.actions_enabled),
    };
    Some((alarm.alarm_name?, state))
}

fn disabled(actions_enabled: Option<bool>) -> Option<String> {
    (actions_enabled == Some(false)).then(|| "its actions are disabled".to_owned())
}

impl Sensor for Alarm {
    /// Thousands of alarms take as long as Belay's share of the quota lasts.
    fn time_max(&self, queries: &[Query]) -> Duration {
        let calls = queries.len().div_ceil(NAMES_MAX);
        READ_TIME_MAX + budget::pace("CloudWatch", "DescribeAlarms") * u32::try_from(calls).unwrap_or(u32::MAX)
    }

    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(self.read_all(queries))
    }

    /// On `*`: composite alarms can be read in no other way, and which alarms are composite is not known beforehand.
    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        vec![Permission {
            action: "cloudwatch:DescribeAlarms".to_owned(),
            resource: "*".to_owned(),
            mutates: false,
            conditions: Vec::new(),
        }]
    }
}

#[cfg(test)]
mod tests;
