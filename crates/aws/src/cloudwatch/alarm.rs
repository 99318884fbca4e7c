//! The `alarm` signal: the state of a metric, composite or log alarm.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use aws_sdk_cloudwatch::types::{AlarmType, CompositeAlarm, EvaluationState, LogAlarm, MetricAlarm, StateValue};
use belay_core::reading::{Health, Reading};
use belay_plan::{
    catalogue::{SignalSpec, no_signal_findings},
    model::AwsTarget,
    shape::text,
};
use belay_ports::{Clock, Fut, Permission, Query, ReadError, Sensor};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::{ALARM, missing_field, timestamp};
use crate::{
    errors, place,
    sensing::{Deadline, Finding, Missing},
    session::Aws,
};

/// What `DescribeAlarms` takes and answers at most in one call.
const NAMES_MAX: usize = 100;

/// Calls under way at the same time: enough to see thousands of alarms in seconds, inside half of the quota of 9/s.
const CONCURRENT_CALLS: usize = 4;

/// What `alarm` takes.
pub fn spec() -> SignalSpec {
    SignalSpec {
        key: ALARM,
        summary: "The state of a metric, composite or log alarm: healthy while it is OK.",
        value: text("the name of an alarm"),
        siblings: vec![missing_field()],
        check: no_signal_findings,
    }
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
}

/// The alarms of one place by name, or why they could not be read.
type Found = Result<HashMap<String, State>, String>;

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
        let deadline = Deadline::start(self.clock.as_ref());
        let specs: Vec<Result<Spec, _>> = queries.iter().map(|query| Spec::deserialize(&query.spec)).collect();
        let asked = queries.iter().zip(&specs);
        let calls = calls(asked.clone().filter_map(|(query, spec)| Some((&query.aws, &spec.as_ref().ok()?.alarm))));
        let looks: Vec<_> = calls.iter().map(|(target, names)| deadline.bound(self.look(target, names))).collect();
        let found: Vec<Found> = stream::iter(looks).buffered(CONCURRENT_CALLS).collect().await;
        let by_name: HashMap<(&AwsTarget, &str), &Found> = calls
            .iter()
            .zip(&found)
            .flat_map(|((target, names), found)| names.iter().map(move |name| ((*target, name.as_str()), found)))
            .collect();
        let readings = asked.map(|(query, spec)| {
            let finding = match spec {
                Err(error) => Finding::unknown(format!("the signal cannot be understood: {error}")),
                Ok(spec) => match by_name[&(&query.aws, spec.alarm.as_str())] {
                    Err(why) => Finding::Unreadable { why: why.clone() },
                    Ok(found) => decide(spec, found.get(&spec.alarm), &query.aws),
                },
            };
            finding.reading(query, taken, "cloudwatch")
        });
        readings.collect()
    }
}

/// Which names are asked for where, in as few calls as possible.
fn calls<'a>(alarms: impl Iterator<Item = (&'a AwsTarget, &'a String)>) -> Vec<(&'a AwsTarget, Vec<String>)> {
    let mut names: BTreeMap<&AwsTarget, BTreeSet<&String>> = BTreeMap::new();
    for (target, name) in alarms {
        names.entry(target).or_default().insert(name);
    }
    let chunks = names.into_iter().flat_map(|(target, names)| {
        let names: Vec<String> = names.into_iter().cloned().collect();
        names.chunks(NAMES_MAX).map(|chunk| (target, chunk.to_vec())).collect::<Vec<_>>()
    });
    chunks.collect()
}

/// What an alarm says. `state`: None when there is no such alarm.
fn decide(spec: &Spec, state: Option<&State>, target: &AwsTarget) -> Finding {
    let Some(state) = state else {
        return Finding::unknown(format!("there is no alarm {} in {}", spec.alarm, place::name(target)));
    };
    let value = state.value.as_ref().map_or("a state without a name", StateValue::as_str);
    let since = state.since.map(|since| format!(" since {since}")).unwrap_or_default();
    let reason = state.reason.as_ref().map(|reason| format!(": {}", errors::bounded(reason))).unwrap_or_default();
    if let Some(evaluation) = &state.evaluation {
        return Finding::unknown(format!("{value}{since}, but its evaluation is {evaluation}{reason}"));
    }
    let health = match state.value {
        Some(StateValue::Ok) => Health::Healthy,
        Some(StateValue::Alarm) => Health::Unhealthy,
        Some(StateValue::InsufficientData) => spec.missing.health(),
        _ => Health::Unknown,
    };
    Finding::new(health, format!("{value}{since}{reason}"))
}

fn from_metric(alarm: MetricAlarm) -> Option<(String, State)> {
    let since = alarm.state_transitioned_timestamp.as_ref().and_then(timestamp);
    let state =
        State { value: alarm.state_value, evaluation: alarm.evaluation_state, since, reason: alarm.state_reason };
    Some((alarm.alarm_name?, state))
}

fn from_composite(alarm: CompositeAlarm) -> Option<(String, State)> {
    let since = alarm.state_transitioned_timestamp.as_ref().and_then(timestamp);
    let state = State { value: alarm.state_value, evaluation: None, since, reason: alarm.state_reason };
    Some((alarm.alarm_name?, state))
}

fn from_log(alarm: LogAlarm) -> Option<(String, State)> {
    let since = alarm.state_transitioned_timestamp.as_ref().and_then(timestamp);
    let state =
        State { value: alarm.state_value, evaluation: alarm.evaluation_state, since, reason: alarm.state_reason };
    Some((alarm.alarm_name?, state))
}

impl Sensor for Alarm {
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
mod tests {
    use super::*;
    use crate::{
        session::Access,
        testing::{Still, aws, endpoint, http, target},
    };

    fn state(value: &str) -> State {
        State {
            value: Some(StateValue::from(value)),
            evaluation: None,
            since: Some("2026-01-31T02:11:07Z".parse().unwrap()),
            reason: Some("Threshold Crossed".to_owned()),
        }
    }

    fn decided(state: Option<&State>, missing: Missing) -> (Health, String) {
        match decide(&Spec { alarm: "errors".to_owned(), missing }, state, &target()) {
            Finding::Read { health, evidence } => (health, evidence),
            Finding::Unreadable { why } => panic!("{why}"),
        }
    }

    #[test]
    fn the_state_of_an_alarm_is_its_health() {
        let (health, evidence) = decided(Some(&state("ALARM")), Missing::Healthy);
        assert_eq!(health, Health::Unhealthy);
        assert_eq!(evidence, "ALARM since 2026-01-31T02:11:07Z: Threshold Crossed");
        assert_eq!(decided(Some(&state("OK")), Missing::Unhealthy).0, Health::Healthy);
        assert_eq!(decided(Some(&state("PERPLEXED")), Missing::Healthy).0, Health::Unknown);
    }

    #[test]
    fn missing_data_follows_the_plan() {
        let insufficient = state("INSUFFICIENT_DATA");
        assert_eq!(decided(Some(&insufficient), Missing::Unknown).0, Health::Unknown);
        assert_eq!(decided(Some(&insufficient), Missing::Healthy).0, Health::Healthy);
        assert_eq!(decided(Some(&insufficient), Missing::Unhealthy).0, Health::Unhealthy);
    }

    #[test]
    fn an_evaluation_that_went_wrong_is_not_believed() {
        for evaluation in ["PARTIAL_DATA", "EVALUATION_FAILURE", "EVALUATION_ERROR"] {
            let evaluation = Some(EvaluationState::from(evaluation));
            let (health, evidence) = decided(Some(&State { evaluation, ..state("OK") }), Missing::Healthy);
            assert_eq!(health, Health::Unknown, "{evidence}");
        }
    }

    #[test]
    fn an_alarm_that_does_not_exist_is_unknown_whatever_the_plan_says_of_missing_data() {
        let (health, evidence) = decided(None, Missing::Healthy);
        assert_eq!(health, Health::Unknown);
        assert_eq!(evidence, "there is no alarm errors in 111122223333/eu-west-1");
    }

    #[test]
    fn calls_are_merged_by_place_and_hold_a_hundred_names() {
        let (here, there) = (target(), AwsTarget { region: Some("us-east-1".to_owned()), ..target() });
        let names: Vec<String> = (0..250).map(|number| format!("alarm-{number:03}")).collect();
        let twice = names.iter().chain(&names).map(|name| (&here, name));
        let calls = calls(twice.chain([(&there, &names[0])]));
        let sizes: Vec<_> = calls.iter().map(|(target, names)| (target.region.as_deref(), names.len())).collect();
        let (eu, us) = (Some("eu-west-1"), Some("us-east-1"));
        assert_eq!(sizes, [(eu, 100), (eu, 100), (eu, 50), (us, 1)]);
    }

    #[tokio::test]
    async fn a_call_that_fails_blinds_all_its_alarms_and_says_why() {
        let endpoint = endpoint(http("500 Internal Server Error", "")).await;
        let sensor = Alarm::new(aws(Access::ReadOnly, &endpoint).await, Arc::new(Still { wakes: false }));
        let query = |alarm: &str| Query {
            signal: alarm.to_owned(),
            spec: serde_json::json!({"alarm": alarm, "missing": "healthy"}),
            aws: AwsTarget { account: None, ..target() },
            baseline: Vec::new(),
        };
        let readings = sensor.read(&[query("errors"), query("latency")]).await;
        assert_eq!(readings.iter().map(|reading| reading.signal.as_str()).collect::<Vec<_>>(), ["errors", "latency"]);
        for reading in readings {
            assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
            assert!(reading.evidence.contains("cloudwatch:DescribeAlarms"), "{}", reading.evidence);
            assert_eq!(reading.source, "cloudwatch default-account/eu-west-1");
        }
    }
}
