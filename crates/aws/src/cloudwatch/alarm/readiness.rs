//! What a person should know of an alarm beforehand: how late it would show a breach, and whether it ever can. Pure.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_cloudwatch::types::AlarmType;
use belay_plan::{duration, model::AwsTarget};
use belay_ports::Check;

use super::{All, CHILDREN_DEEP, Watched, state::State};

/// Why it is not known how late an alarm shows a breach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undetected {
    /// It may show none at all.
    Never(String),
    Unknown(String),
}

/// `detects`: how late it shows a breach at most.
pub(super) fn checks(name: &str, state: &State, detects: &Result<Duration, Undetected>) -> Vec<Check> {
    vec![detection(name, state, detects)]
}

/// The alarms with metrics that an alarm goes by, each once: itself, or those that the rule of a composite alarm names, and theirs.
pub(super) fn leaves<'a>(target: &'a AwsTarget, name: &'a str, all: &'a All<'a>) -> Vec<Watched<'a>> {
    let (mut seen, mut next, mut found) = (BTreeSet::from([name]), vec![name], Vec::new());
    while let Some(name) = next.pop() {
        let Some(Ok(Some(state))) = all.get(&(target, name.to_owned())) else { continue };
        match state.kind {
            AlarmType::CompositeAlarm => {
                next.extend(state.children.iter().map(String::as_str).filter(|child| seen.insert(*child)));
            }
            _ => found.push((target, name, state)),
        }
    }
    found
}

/// How late an alarm shows a breach at most; of a composite alarm, as late as the slowest alarm that its rule names: which of them shows
/// the breach, the rule does not say.
///
/// # Errors
/// Why that is not known.
pub(super) fn detects(target: &AwsTarget, name: &str, all: &All<'_>) -> Result<Duration, Undetected> {
    use Undetected::{Never, Unknown};
    let (mut seen, mut next, mut slowest) = (BTreeSet::from([name]), vec![name], None);
    while let Some(name) = next.pop() {
        let state = match all.get(&(target, name.to_owned())) {
            Some(Ok(Some(state))) => state,
            Some(Ok(None)) => return Err(Never(format!("there is no alarm {name}, which its rule names"))),
            Some(Err(error)) => return Err(Unknown(format!("{name} could not be read: {}", error.why))),
            None => {
                return Err(Unknown(format!("{name} was not read: the rules nest deeper than {CHILDREN_DEEP} levels")));
            }
        };
        if state.kind == AlarmType::CompositeAlarm {
            next.extend(state.children.iter().map(String::as_str).filter(|child| seen.insert(*child)));
            continue;
        }
        let timing = state.timing.ok_or_else(|| Unknown(format!("CloudWatch shows no period of {name}")))?;
        slowest = slowest.max(Some(timing.detects_within()));
    }
    slowest.ok_or_else(|| Never(format!("the rule of {name} goes by no alarm of a metric")))
}

fn detection(name: &str, state: &State, detects: &Result<Duration, Undetected>) -> Check {
    const ID: &str = "detection";
    let within = match detects {
        Ok(within) => duration::format(*within),
        Err(Undetected::Never(why)) => {
            return Check::no_go(ID, name, format!("it may never show a breach: {why}"))
                .wanted("a rule that names alarms that exist")
                .cure("correct the rule of the composite alarm (`aws cloudwatch put-composite-alarm`), or name another alarm in the plan");
        }
        Err(Undetected::Unknown(why)) => {
            return Check::warn(ID, name, format!("how late it shows a breach is not known: {why}"))
                .wanted("metric alarms that can be read, or a composite alarm of such alarms alone")
                .cure("correct what the alarm goes by; else measure it in a drill, and count on no recovery time that rests on it");
        }
    };
    Check::go(
        ID,
        name,
        match state.timing {
            Some(timing) => format!(
                "shows a breach within {within} ({} of {} periods of {})",
                timing.datapoints,
                timing.periods,
                duration::format(timing.period)
            ),
            None => {
                format!("shows a breach within {within}, as the slowest of its alarms ({})", state.children.join(", "))
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_cloudwatch::types::{CompositeAlarm, Metric, MetricAlarm, MetricDataQuery, MetricStat, StateValue};
    use belay_ports::CheckVerdict;

    use super::*;
    use crate::cloudwatch::alarm::{
        data,
        state::{from_composite, from_metric},
    };

    fn found(alarm: MetricAlarm) -> Vec<Check> {
        let (name, state) = from_metric(alarm, true).expect("an alarm with a name");
        let target = AwsTarget::default();
        let all = All::from([((&target, name.clone()), Ok(Some(state.clone())))]);
        let mut found = checks(&name, &state, &detects(&target, &name, &all));
        let leaves = leaves(&target, &name, &all).into_iter();
        found.extend(leaves.filter_map(|leaf| data::check(&name, leaf, &HashMap::new())));
        found
    }

    #[test]
    fn a_composite_alarm_is_as_late_as_the_slowest_of_its_alarms() {
        let target = AwsTarget::default();
        let metric = |name: &str, period| {
            let alarm = MetricAlarm::builder().alarm_name(name).period(period).evaluation_periods(1).build();
            from_metric(alarm, true).unwrap()
        };
        let composite = |name: &str, rule: &str| {
            from_composite(CompositeAlarm::builder().alarm_name(name).alarm_rule(rule).build()).unwrap()
        };
        let found = |alarms: Vec<(String, State)>| {
            let all: All<'_> = alarms.into_iter().map(|(name, state)| ((&target, name), Ok(Some(state)))).collect();
            let state = all[&(&target, "any".to_owned())].clone().unwrap().unwrap();
            checks("any", &state, &detects(&target, "any", &all)).remove(0)
        };
        let inner = composite("inner", "ALARM(slow) OR ALARM(fast)");
        let any = composite("any", "ALARM(inner) AND NOT ALARM(fast)");
        let known = vec![any.clone(), inner.clone(), metric("slow", 300), metric("fast", 60)];
        let check = found(known);
        assert_eq!(check.found, "shows a breach within 11m, as the slowest of its alarms (inner, fast)");
        assert_eq!(check.verdict, CheckVerdict::Go);
        let check = found(vec![any, inner, metric("fast", 60)]);
        assert_eq!(check.verdict, CheckVerdict::Warn);
        assert!(check.found.starts_with("how late it shows a breach is not known: slow"), "{check:?}");
        for rule in ["TRUE", "FALSE"] {
            let check = found(vec![composite("any", rule)]);
            assert_eq!(check.verdict, CheckVerdict::NoGo, "{check:?}");
            assert!(check.found.ends_with("the rule of any goes by no alarm of a metric"), "{check:?}");
        }
        let check = found(vec![composite("any", "ALARM(any)")]);
        assert_eq!(check.verdict, CheckVerdict::NoGo, "a rule that names itself comes to an end");
    }

    #[test]
    fn the_time_to_detection_is_told() {
        let alarm = MetricAlarm::builder().alarm_name("errors").period(60).evaluation_periods(3);
        let of = |alarm: MetricAlarm| found(alarm)[0].found.clone();
        assert_eq!(of(alarm.clone().build()), "shows a breach within 5m (3 of 3 periods of 1m)");
        assert_eq!(of(alarm.datapoints_to_alarm(2).build()), "shows a breach within 4m (2 of 3 periods of 1m)");
    }

    #[test]
    fn an_expression_has_the_period_of_its_metrics() {
        let metric = MetricStat::builder().metric(Metric::builder().build()).period(300).stat("Sum").build();
        let query = MetricDataQuery::builder().id("m1").metric_stat(metric).build();
        let alarm = MetricAlarm::builder().alarm_name("rate").evaluation_periods(1).metrics(query).build();
        assert_eq!(found(alarm)[0].found, "shows a breach within 11m (1 of 1 periods of 5m)");
    }

    #[test]
    fn an_alarm_without_data_that_is_ok_all_the_same_is_told() {
        let alarm = MetricAlarm::builder().alarm_name("errors").state_value(StateValue::Ok);
        let silent = "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [NonBreaching].";
        let alarm = alarm.period(60).evaluation_periods(3);
        let checks = found(alarm.clone().state_reason(silent).build());
        assert_eq!((checks.len(), checks[1].id.as_str(), checks[1].verdict), (2, "alarm_data", CheckVerdict::Warn));
        assert_eq!(
            found(alarm.clone().state_reason("Threshold Crossed: 1 datapoint was not greater").build()).len(),
            1
        );
        // Whatever the plan takes it for.
        let waits = found(
            alarm
                .state_value(StateValue::InsufficientData)
                .state_reason("Insufficient Data: 1 datapoint was unknown.")
                .build(),
        );
        assert_eq!((waits.len(), waits[1].id.as_str(), waits[1].verdict), (2, "alarm_data", CheckVerdict::Warn));
    }
}
