//! What a person should know of an alarm beforehand: how late it would show a breach, and whether it has data to go by. Pure.

use belay_plan::duration;
use belay_ports::Check;

use super::state::State;

pub(super) fn checks(name: &str, state: &State) -> Vec<Check> {
    detection(name, state).into_iter().chain(data(name, state)).collect()
}

fn detection(name: &str, state: &State) -> Option<Check> {
    let timing = state.timing?;
    let found = format!(
        "shows a breach within {} ({} of {} periods of {})",
        duration::format(timing.detects_within()),
        timing.datapoints,
        timing.periods,
        duration::format(timing.period)
    );
    Some(Check::go("detection", name, found))
}

fn data(name: &str, state: &State) -> Option<Check> {
    state.is_without_data().then(|| {
        Check::warn("alarm_data", name, "receives no data, and takes missing data for a state of its own")
            .wanted("data of every period: without it the alarm cannot show a breach")
            .cure("look whether its metric still exists, with the dimensions that the alarm names")
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudwatch::types::{Metric, MetricAlarm, MetricDataQuery, MetricStat, StateValue};
    use belay_ports::CheckVerdict;

    use super::*;
    use crate::cloudwatch::alarm::state::from_metric;

    fn found(alarm: MetricAlarm) -> Vec<Check> {
        let (name, state) = from_metric(alarm).expect("an alarm with a name");
        checks(&name, &state)
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
        let checks = found(alarm.clone().state_reason(silent).build());
        assert_eq!((checks.len(), checks[0].id.as_str(), checks[0].verdict), (1, "alarm_data", CheckVerdict::Warn));
        assert!(found(alarm.state_reason("Threshold Crossed: 1 datapoint was not greater").build()).is_empty());
    }
}
