//! Alarms: their states, and what `DescribeAlarms` refuses.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CloudWatch, invalid};
use crate::{
    answer::Answered,
    input::Input,
    page::page,
    world::{Place, Thing, World},
};

/// API reference, DescribeAlarms: names a call, and records a page.
const NAMES_MAX: usize = 100;
const RECORDS_MAX: i64 = 100;

/// An alarm: `Alarm::metric("shop-5xx").turns("ALARM", at)`.
#[derive(Debug, Clone)]
pub struct Alarm {
    name: String,
    /// As `AlarmTypes` names it.
    kind: &'static str,
    /// In order of time; before the first it is `OK`.
    states: Vec<(Timestamp, String)>,
    evaluation: Option<&'static str>,
    actions: bool,
}

impl Alarm {
    pub fn metric(name: &str) -> Self {
        Self::of_type(name, "MetricAlarm")
    }

    pub fn composite(name: &str) -> Self {
        Self::of_type(name, "CompositeAlarm")
    }

    pub fn log(name: &str) -> Self {
        Self::of_type(name, "LogAlarm")
    }

    fn of_type(name: &str, kind: &'static str) -> Self {
        Self { name: name.to_owned(), kind, states: Vec::new(), evaluation: None, actions: true }
    }

    /// From this moment on it is in this state.
    #[must_use]
    pub fn turns(mut self, state: &str, at: Timestamp) -> Self {
        self.states.push((at, state.to_owned()));
        self
    }

    /// `PARTIAL_DATA`, `EVALUATION_FAILURE` or `EVALUATION_ERROR`.
    #[must_use]
    pub fn evaluated(mut self, evaluation: &'static str) -> Self {
        self.evaluation = Some(evaluation);
        self
    }

    /// Its actions are switched off, which changes nothing about its state.
    #[must_use]
    pub fn without_actions(mut self) -> Self {
        self.actions = false;
        self
    }

    fn shown(&self, place: &Place, now: Timestamp) -> Value {
        let since = self.states.iter().rev().find(|(at, _)| *at <= now);
        let (at, state) = since.map_or((Timestamp::UNIX_EPOCH, "OK"), |(at, state)| (*at, state.as_str()));
        let mut shown = json!({
            "AlarmName": self.name, "AlarmArn": place.arn("cloudwatch", &format!("alarm:{}", self.name)),
            "StateValue": state, "StateReason": format!("the alarm is {state}"), "ActionsEnabled": self.actions,
            // Updated with each evaluation; what a reader wants is the transition.
            "StateUpdatedTimestamp": now.to_string(), "StateTransitionedTimestamp": at.to_string(),
            "EvaluationState": self.evaluation,
        });
        if self.kind == "CompositeAlarm" {
            shown["AlarmRule"] = json!("ALARM(other)");
        }
        shown
    }
}

impl Thing for Alarm {
    fn enter(self, world: &mut World) {
        world.cloudwatch.alarms.push(self);
    }
}

impl CloudWatch {
    /// An alarm is in this state from now on.
    pub fn turn(&mut self, alarm: &str, state: &str, now: Timestamp) {
        let found = self.alarms.iter_mut().find(|found| found.name == alarm);
        found.unwrap_or_else(|| panic!("there is no alarm {alarm}")).states.push((now, state.to_owned()));
    }

    /// Only metric alarms are answered unless `AlarmTypes` names the others. One bad name, or a type that the partition does
    /// not know, refuses the whole call (API reference, DescribeAlarms).
    pub(super) fn describe_alarms(&self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let known = "AlarmNames AlarmNamePrefix AlarmTypes StateValue ActionPrefix MaxRecords NextToken ChildrenOfAlarmName \
                     ParentsOfAlarmName";
        let input = input.only(known)?;
        let texts = |name: &str| -> Vec<&str> {
            input.0[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let (names, types) = (texts("AlarmNames"), texts("AlarmTypes"));
        if names.len() > NAMES_MAX {
            return Err(invalid("alarmNames", "Member must have length less than or equal to 100"));
        }
        if let Some(number) = names.iter().position(|name| name.is_empty() || name.chars().count() > 255) {
            let at = format!("alarmNames.{}.member", number + 1);
            return Err(invalid(&at, "Member must have length less than or equal to 255"));
        }
        if types.iter().any(|wanted| self.unknown_types.contains(wanted)) {
            return Err(invalid("alarmTypes", "Member must satisfy enum value set: [CompositeAlarm, MetricAlarm]"));
        }
        let most = input.0["MaxRecords"].as_i64().unwrap_or(50);
        if !(1..=RECORDS_MAX).contains(&most) {
            return Err(invalid("maxRecords", "Member must have value less than or equal to 100"));
        }
        let prefix = input.text("AlarmNamePrefix");
        let listed = |alarm: &&Alarm| {
            let of_type = if types.is_empty() { alarm.kind == "MetricAlarm" } else { types.contains(&alarm.kind) };
            of_type
                && (names.is_empty() || names.contains(&alarm.name.as_str()))
                && prefix.is_none_or(|prefix| alarm.name.starts_with(prefix))
        };
        let mut found: Vec<&Alarm> = self.alarms.iter().filter(listed).collect();
        found.sort_by_key(|alarm| &alarm.name);
        let (found, token) = page(found, place.page, Some(most), input.text("NextToken"))?;
        let of = |kind: &str| -> Vec<Value> {
            found.iter().filter(|alarm| alarm.kind == kind).map(|alarm| alarm.shown(place, now)).collect()
        };
        Ok(json!({
            "MetricAlarms": of("MetricAlarm"), "CompositeAlarms": of("CompositeAlarm"), "LogAlarms": of("LogAlarm"),
            "NextToken": token,
        }))
    }
}
