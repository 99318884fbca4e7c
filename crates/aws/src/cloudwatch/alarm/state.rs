//! What the state of an alarm says.

use std::{sync::Arc, time::Duration};

use aws_sdk_cloudwatch::types::{
    AlarmType, CompositeAlarm, EvaluationState, LogAlarm, MetricAlarm, MetricDataQuery, StateValue,
};
use belay_aws_catalogue::cloudwatch::Missing;
use belay_core::reading::Health;
use jiff::Timestamp;

use super::{data, rule};
use crate::{
    cloudwatch::timestamp,
    errors,
    sensing::{self, Finding},
};

/// What the three kinds of alarm have in common.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) kind: AlarmType,
    pub(super) value: Option<StateValue>,
    /// Absent where CloudWatch could evaluate everything, and on composite alarms.
    pub(super) evaluation: Option<EvaluationState>,
    /// Since when it has this value. `StateUpdatedTimestamp` would also move when only the reason changes.
    pub(super) since: Option<Timestamp>,
    pub(super) reason: Option<String>,
    /// What keeps its actions from being carried out. The state is the same with and without.
    pub(super) silenced: Option<String>,
    /// How it is evaluated; of metric alarms only.
    pub(super) timing: Option<Timing>,
    /// The alarms that its rule names, where it is a composite alarm.
    pub(super) children: Vec<String>,
    /// What shows whether it has data to go by; of metric alarms only.
    pub(super) metrics: Arc<[MetricDataQuery]>,
}

/// How a metric alarm is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) period: Duration,
    /// So many breaching periods,
    pub(super) datapoints: u32,
    /// of so many.
    pub(super) periods: u32,
}

impl Timing {
    fn of(alarm: &MetricAlarm) -> Option<Self> {
        // An alarm on an expression has the period of its metrics.
        let of_metrics = alarm.metrics().iter().filter_map(|query| query.metric_stat.as_ref()?.period);
        let own = alarm.metrics().iter().filter_map(|query| query.period);
        let period = alarm.period.or_else(|| of_metrics.chain(own).max())?;
        let periods = u32::try_from(alarm.evaluation_periods?).ok()?;
        let datapoints = alarm.datapoints_to_alarm.and_then(|count| u32::try_from(count).ok()).unwrap_or(periods);
        Some(Self { period: Duration::from_secs(u64::try_from(period).ok()?), datapoints, periods })
    }

    /// From the beginning of a breach until the alarm shows it at the latest: the breach begins within a period, and its data takes a
    /// while to arrive.
    pub(super) fn detects_within(self) -> Duration {
        self.period * (self.datapoints + 1) + ARRIVAL
    }
}

/// How long the data of a period usually takes to arrive, with the time to the next evaluation (CloudWatch user guide, "Evaluating an
/// alarm").
const ARRIVAL: Duration = Duration::from_secs(60);

impl State {
    /// None of the data that the alarm goes by has arrived, though its state is one: it takes missing data for a state.
    pub(super) fn is_without_data(&self) -> bool {
        self.reason.as_ref().is_some_and(|reason| reason.contains("no datapoints were received"))
    }

    /// It stands OK, and nothing yet shows whether there is data: a state that was set by hand has no reason of CloudWatch's.
    pub(super) fn may_lack_data(&self) -> bool {
        self.value == Some(StateValue::Ok) && !self.is_without_data() && !self.metrics.is_empty()
    }

    /// `missing`: what the plan takes missing data for.
    pub(super) fn finding(&self, missing: Missing) -> Finding {
        let value = self.value.as_ref().map_or("a state without a name", StateValue::as_str);
        let since = self.since.map(|since| format!(" since {since}")).unwrap_or_default();
        let reason = self.reason.as_ref().map(|reason| format!(": {}", errors::bounded(reason))).unwrap_or_default();
        let silenced = self.silenced.as_ref().map(|silenced| format!(" ({silenced})")).unwrap_or_default();
        let (health, evaluation) = match (&self.value, &self.evaluation) {
            // What was not evaluated can only add to the breach.
            (Some(StateValue::Alarm), Some(EvaluationState::PartialData)) => (Health::Unhealthy, " on partial data"),
            (_, Some(evaluation)) => {
                return Finding::unknown(format!(
                    "{value}{since}, but its evaluation is {evaluation}{reason}{silenced}"
                ));
            }
            (Some(StateValue::Ok), None) => (Health::Healthy, ""),
            (Some(StateValue::Alarm), None) => (Health::Unhealthy, ""),
            (Some(StateValue::InsufficientData), None) => (sensing::of_missing(missing), ""),
            (_, None) => (Health::Unknown, ""),
        };
        Finding::new(health, format!("{value}{evaluation}{since}{reason}{silenced}"))
    }
}

pub(super) fn from_metric(alarm: MetricAlarm, with_metrics: bool) -> Option<(String, State)> {
    let metrics = if with_metrics { data::queries(&alarm).into() } else { Arc::default() };
    let timing = Timing::of(&alarm);
    let state = State {
        kind: AlarmType::MetricAlarm,
        value: alarm.state_value,
        evaluation: alarm.evaluation_state,
        since: alarm.state_transitioned_timestamp.as_ref().and_then(timestamp),
        reason: alarm.state_reason,
        silenced: disabled(alarm.actions_enabled),
        timing,
        children: Vec::new(),
        metrics,
    };
    Some((alarm.alarm_name?, state))
}

pub(super) fn from_composite(alarm: CompositeAlarm) -> Option<(String, State)> {
    let reason = alarm.actions_suppressed_reason.filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(": {}", errors::bounded(&reason))).unwrap_or_default();
    let suppressed = alarm.actions_suppressed_by.map(|by| format!("its actions are suppressed by {by}{reason}"));
    let state = State {
        kind: AlarmType::CompositeAlarm,
        value: alarm.state_value,
        evaluation: None,
        since: alarm.state_transitioned_timestamp.as_ref().and_then(timestamp),
        reason: alarm.state_reason,
        silenced: disabled(alarm.actions_enabled).or(suppressed),
        timing: None,
        children: alarm.alarm_rule.as_deref().map(rule::children).unwrap_or_default(),
        metrics: Arc::default(),
    };
    Some((alarm.alarm_name?, state))
}

pub(super) fn from_log(alarm: LogAlarm) -> Option<(String, State)> {
    let state = State {
        kind: AlarmType::LogAlarm,
        value: alarm.state_value,
        evaluation: alarm.evaluation_state,
        since: alarm.state_transitioned_timestamp.as_ref().and_then(timestamp),
        reason: alarm.state_reason,
        silenced: disabled(alarm.actions_enabled),
        timing: None,
        children: Vec::new(),
        metrics: Arc::default(),
    };
    Some((alarm.alarm_name?, state))
}

fn disabled(actions_enabled: Option<bool>) -> Option<String> {
    (actions_enabled == Some(false)).then(|| "its actions are disabled".to_owned())
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudwatch::types::ActionsSuppressedBy;

    use super::*;

    fn state(value: &str) -> State {
        State {
            kind: AlarmType::MetricAlarm,
            value: Some(StateValue::from(value)),
            evaluation: None,
            since: Some("2026-01-31T02:11:07Z".parse().unwrap()),
            reason: Some("Threshold Crossed".to_owned()),
            silenced: None,
            timing: None,
            children: Vec::new(),
            metrics: Arc::default(),
        }
    }

    fn decided(state: &State, missing: Missing) -> (Health, String) {
        match state.finding(missing) {
            Finding::Read { health, evidence, permanent: false } => (health, evidence),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_state_of_an_alarm_is_its_health() {
        let (health, evidence) = decided(&state("ALARM"), Missing::Healthy);
        assert_eq!(health, Health::Unhealthy);
        assert_eq!(evidence, "ALARM since 2026-01-31T02:11:07Z: Threshold Crossed");
        assert_eq!(decided(&state("OK"), Missing::Unhealthy).0, Health::Healthy);
        assert_eq!(decided(&state("PERPLEXED"), Missing::Healthy).0, Health::Unknown);
    }

    #[test]
    fn missing_data_follows_the_plan() {
        let insufficient = state("INSUFFICIENT_DATA");
        assert_eq!(decided(&insufficient, Missing::Unknown).0, Health::Unknown);
        assert_eq!(decided(&insufficient, Missing::Healthy).0, Health::Healthy);
        assert_eq!(decided(&insufficient, Missing::Unhealthy).0, Health::Unhealthy);
    }

    #[test]
    fn an_evaluation_that_went_wrong_is_not_believed() {
        for value in ["OK", "ALARM", "INSUFFICIENT_DATA"] {
            for evaluation in ["PARTIAL_DATA", "EVALUATION_FAILURE", "EVALUATION_ERROR", "BRAND_NEW"] {
                let found = State { evaluation: Some(EvaluationState::from(evaluation)), ..state(value) };
                let (health, evidence) = decided(&found, Missing::Healthy);
                match (value, evaluation) {
                    // A breach in the part that was evaluated is a breach.
                    ("ALARM", "PARTIAL_DATA") => {
                        assert_eq!(health, Health::Unhealthy);
                        assert_eq!(evidence, "ALARM on partial data since 2026-01-31T02:11:07Z: Threshold Crossed");
                    }
                    _ => assert_eq!(health, Health::Unknown, "{evidence}"),
                }
            }
        }
    }

    #[test]
    fn silenced_actions_are_told_and_change_no_state() {
        let silenced = State { silenced: disabled(Some(false)), ..state("ALARM") };
        let (health, evidence) = decided(&silenced, Missing::Unknown);
        assert_eq!(health, Health::Unhealthy);
        assert_eq!(evidence, "ALARM since 2026-01-31T02:11:07Z: Threshold Crossed (its actions are disabled)");
        let suppressed = CompositeAlarm::builder()
            .alarm_name("both")
            .actions_enabled(true)
            .actions_suppressed_by(ActionsSuppressedBy::Alarm)
            .actions_suppressed_reason("Actions suppressed by deploy")
            .build();
        let (_, state) = from_composite(suppressed).unwrap();
        let silenced = "its actions are suppressed by Alarm: Actions suppressed by deploy";
        assert_eq!(state.silenced.as_deref(), Some(silenced));
    }

    #[test]
    fn a_log_alarm_has_an_evaluation_of_its_own() {
        let alarm = LogAlarm::builder().alarm_name("logs").state_value(StateValue::Ok);
        let partial = alarm.clone().evaluation_state(EvaluationState::PartialData).build();
        let health = |alarm: LogAlarm| decided(&from_log(alarm).unwrap().1, Missing::Unknown).0;
        assert_eq!((health(alarm.build()), health(partial)), (Health::Healthy, Health::Unknown));
    }
}
