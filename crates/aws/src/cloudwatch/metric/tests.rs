use belay_core::reading::Health;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    judge::{Answer, Flaw, Points, Series, decide},
    *,
};

/// Half a minute into a period of one minute.
const NOW_S: i64 = 1_700_000_000 / 60 * 60 + 30;

/// Of a metric that is judged as it comes.
fn spec(healthy: &str, datapoints: &str, missing: &str) -> Spec {
    of(metric("p99", "1m"), healthy, datapoints, missing)
}

fn of(metric: Value, healthy: &str, datapoints: &str, missing: &str) -> Spec {
    serde_json::from_value(json!({"metric": metric, "healthy": healthy, "datapoints": datapoints, "missing": missing}))
        .unwrap()
}

/// The values of the last periods that are over, the newest first; None is a gap.
fn points(values: &[Option<f64>]) -> Points {
    let newest_s = NOW_S.div_euclid(60) * 60 - 60;
    let at = |back: usize| newest_s - 60 * i64::try_from(back).unwrap();
    values.iter().enumerate().filter_map(|(back, value)| Some((at(back), (*value)?))).collect()
}

fn series(label: &str, points: Points) -> Series {
    Series { label: label.to_owned(), points, flaw: None }
}

fn found(spec: &Spec, points: &Points) -> (Health, String) {
    judged(spec, &Answer { series: vec![series("M", points.clone())], ..Answer::default() })
}

fn judged(spec: &Spec, answer: &Answer) -> (Health, String) {
    match decide(spec, answer, Timestamp::from_second(NOW_S).unwrap()) {
        Finding::Read { health, evidence, .. } => (health, evidence),
        Finding::Unreadable(error) => panic!("{error}"),
    }
}

fn health(spec: &Spec, values: &[Option<f64>]) -> Health {
    found(spec, &points(values)).0
}

#[test]
fn a_share_of_the_periods_decides() {
    let spec = spec("<= 1.5", "2 of 3", "unknown");
    assert_eq!(health(&spec, &[Some(1.5), Some(1.0), Some(9.0)]), Health::Healthy);
    assert_eq!(health(&spec, &[Some(1.5), Some(9.0), Some(9.0)]), Health::Unhealthy);
    // Only the last three periods count.
    assert_eq!(health(&spec, &[Some(1.0), Some(1.0), Some(9.0), Some(9.0)]), Health::Healthy);
}

#[test]
fn gaps_leave_open_only_what_they_could_turn() {
    let spec = spec("<= 1", "2 of 4", "unknown");
    assert_eq!(health(&spec, &[Some(9.0), None, Some(9.0), None]), Health::Unhealthy);
    assert_eq!(health(&spec, &[Some(0.0), None, Some(0.0), Some(0.0)]), Health::Healthy);
    assert_eq!(health(&spec, &[Some(0.0), None, Some(9.0), Some(0.0)]), Health::Unknown);
    assert_eq!(health(&spec, &[]), Health::Unknown);
}

#[test]
fn missing_data_follows_the_plan() {
    let of = |missing| spec("<= 1", "2 of 3", missing);
    assert_eq!(health(&of("healthy"), &[Some(9.0), None, None]), Health::Healthy);
    assert_eq!(health(&of("unhealthy"), &[Some(0.0), None, None, None, None]), Health::Unhealthy);
    assert_eq!(health(&of("healthy"), &[]), Health::Healthy);
    assert_eq!(health(&of("unhealthy"), &[]), Health::Unhealthy);
}

#[test]
fn the_newest_periods_may_be_late_but_not_for_long() {
    let spec = spec("<= 1", "1 of 1", "unknown");
    assert_eq!(health(&spec, &[None, Some(0.0)]), Health::Healthy);
    assert_eq!(health(&spec, &[None, None, Some(9.0)]), Health::Unhealthy);
    // The third newest ended two and a half minutes ago: it is missing.
    assert_eq!(health(&spec, &[None, None, None, Some(0.0)]), Health::Unknown);
    assert_eq!(spec.periods(), 3);
}

#[test]
fn the_running_period_is_not_looked_at() {
    let mut points = points(&[Some(0.0)]);
    points.insert(NOW_S.div_euclid(60) * 60, 9.0);
    assert_eq!(found(&spec("<= 1", "1 of 1", "unknown"), &points).0, Health::Healthy);
}

#[test]
fn what_is_not_a_number_is_missing() {
    let spec = spec("<= 1", "1 of 1", "unknown");
    assert_eq!(health(&spec, &[Some(f64::NAN), Some(f64::NAN), Some(f64::NAN)]), Health::Unknown);
}

#[test]
fn the_evidence_says_what_was_seen() {
    let (_, evidence) = found(&spec("<= 1.5", "2 of 3", "unknown"), &points(&[Some(2.25), Some(1.0), None, Some(1.0)]));
    assert_eq!(evidence, "1 of 3 periods are not <= 1.5, 1 without data; latest 2.25 at 2023-11-14T22:12:00Z");
    let (_, evidence) = found(&spec("<= 1.5", "1 of 1", "unknown"), &points(&[]));
    assert_eq!(evidence, "0 of 1 periods are not <= 1.5, 1 without data; no data");
}

#[test]
fn the_unit_of_the_plan_is_shown() {
    let spec = |unit: &str, stat: &str| {
        let mut metric = metric(stat, "1m");
        metric["unit"] = json!(unit);
        of(metric, "<= 1.5", "1 of 1", "unknown")
    };
    let evidence = |unit: &str| found(&spec(unit, "p99"), &points(&[Some(2.25)])).1;
    assert_eq!(evidence("Seconds"), "1 of 1 periods are not <= 1.5 s; latest 2.25 s at 2023-11-14T22:12:00Z");
    assert_eq!(evidence("Percent"), "1 of 1 periods are not <= 1.5%; latest 2.25% at 2023-11-14T22:12:00Z");
    assert_eq!(evidence("Count/Second"), "1 of 1 periods are not <= 1.5/s; latest 2.25/s at 2023-11-14T22:12:00Z");
    assert_eq!(evidence("Count"), "1 of 1 periods are not <= 1.5; latest 2.25 at 2023-11-14T22:12:00Z");
    assert_eq!(spec("Milliseconds", "p99").unit().as_deref(), Some("ms"));
    assert_eq!(spec("Milliseconds", "SampleCount").unit(), None);
    assert_eq!(spec("Milliseconds", "PR(:300)").unit().as_deref(), Some("%"));
}

fn several(values: &[(&str, Option<f64>)]) -> Answer {
    let series = values.iter().map(|(label, value)| series(label, points(&[*value])));
    Answer { series: series.collect(), ..Answer::default() }
}

#[test]
fn of_several_series_the_worst_counts_and_is_named() {
    let spec = spec("<= 1", "1 of 1", "unknown");
    let one = |value: f64| Some(value);
    let (health, evidence) = judged(&spec, &several(&[("a", one(0.0)), ("b", one(9.0)), ("c", None)]));
    assert_eq!(health, Health::Unhealthy);
    assert!(
        evidence.starts_with("1 of 3 series unhealthy (b); b: 1 of 1 periods are not <= 1; latest 9 at"),
        "{evidence}"
    );
    let (health, evidence) = judged(&spec, &several(&[("a", one(0.0)), ("c", None)]));
    assert_eq!(health, Health::Unknown);
    assert!(evidence.starts_with("1 of 2 series unknown (c); c: 0 of 1 periods"), "{evidence}");
    let (health, evidence) = judged(&spec, &several(&[("a", one(0.0)), ("b", one(1.0))]));
    assert_eq!(health, Health::Healthy);
    assert!(evidence.starts_with("2 series, all healthy; a: 0 of 1 periods"), "{evidence}");
    let many: Vec<String> = (0..5).map(|number| format!("web-{number}")).collect();
    let many: Vec<_> = many.iter().map(|label| (label.as_str(), one(9.0))).collect();
    let (_, evidence) = judged(&spec, &several(&many));
    assert!(evidence.starts_with("5 of 5 series unhealthy (web-0, web-1, web-2 and 2 more); web-0: "), "{evidence}");
}

#[test]
fn what_cloudwatch_says_besides_is_evidence() {
    let spec = spec("<= 1", "1 of 1", "unknown");
    let dropped = Answer { remarks: vec!["a division by zero".to_owned()], ..several(&[("a", Some(0.0))]) };
    let (health, evidence) = judged(&spec, &dropped);
    assert_eq!(health, Health::Healthy);
    assert!(evidence.ends_with("; CloudWatch says: a division by zero"), "{evidence}");
    // What was not told may be unhealthy; what was told stays so.
    let cut = |value: f64| Answer { incomplete: Some("too many".to_owned()), ..several(&[("a", Some(value))]) };
    let (health, evidence) = judged(&spec, &cut(0.0));
    assert_eq!(health, Health::Unknown);
    assert!(evidence.ends_with("; but there may be more series: too many"), "{evidence}");
    assert_eq!(judged(&spec, &cut(9.0)).0, Health::Unhealthy);
}

#[test]
fn no_series_at_all_is_missing_data() {
    let (health, evidence) = judged(&spec("<= 1", "1 of 1", "unhealthy"), &Answer::default());
    assert_eq!(
        (health, evidence.as_str()),
        (Health::Unhealthy, "0 of 1 periods are not <= 1, 1 without data; no data")
    );
    let metric = json!({"namespace": "N", "name": "M", "stat": "Sum", "period": "10s"});
    let fast: Spec = serde_json::from_value(json!({"metric": metric, "healthy": "< 1"})).unwrap();
    let (_, evidence) = judged(&fast, &Answer::default());
    assert!(evidence.ends_with("(periods under 1m have data only for high-resolution metrics)"), "{evidence}");
}

#[test]
fn a_value_that_only_grows_counts_early_where_it_decides() {
    let ceiling = of(metric("Sum", "1m"), "<= 5", "1 of 1", "unknown");
    // Of the newest two periods only a part may have arrived.
    assert_eq!(health(&ceiling, &[Some(9.0), Some(0.0), Some(0.0)]), Health::Unhealthy);
    assert_eq!(health(&ceiling, &[Some(0.0), Some(9.0), Some(0.0)]), Health::Unhealthy);
    assert_eq!(health(&ceiling, &[Some(0.0), Some(0.0), Some(9.0)]), Health::Unhealthy);
    assert_eq!(health(&ceiling, &[Some(0.0), Some(0.0), Some(0.0)]), Health::Healthy);
    assert_eq!(health(&ceiling, &[Some(0.0), Some(0.0)]), Health::Unknown);
    let floor = of(metric("SampleCount", "1m"), ">= 100", "1 of 1", "unknown");
    assert_eq!(health(&floor, &[Some(60.0), Some(90.0), Some(120.0)]), Health::Healthy);
    assert_eq!(health(&floor, &[Some(110.0), Some(90.0), Some(0.0)]), Health::Healthy);
    assert_eq!(health(&floor, &[Some(60.0), Some(90.0), Some(90.0)]), Health::Unhealthy);
}

/// The extreme may come with the rest of the data, and each period is read once.
#[test]
fn an_extreme_counts_early_where_it_decides() {
    let ceiling = of(metric("Maximum", "1m"), "<= 5", "1 of 1", "unknown");
    assert_eq!(health(&ceiling, &[Some(9.0), Some(0.0), Some(0.0)]), Health::Unhealthy);
    assert_eq!(health(&ceiling, &[Some(0.0), Some(0.0), Some(9.0)]), Health::Unhealthy);
    assert_eq!(health(&ceiling, &[Some(0.0), Some(0.0), Some(0.0)]), Health::Healthy);
    let least = of(metric("Minimum", "1m"), ">= 5", "1 of 1", "unknown");
    assert_eq!(health(&least, &[Some(9.0), Some(9.0), Some(0.0)]), Health::Unhealthy);
    assert_eq!(health(&least, &[Some(0.0), Some(9.0), Some(9.0)]), Health::Unhealthy);
    // It may fall yet.
    let least = of(metric("Minimum", "1m"), "<= 5", "1 of 1", "unknown");
    assert_eq!(health(&least, &[Some(9.0), Some(9.0), Some(0.0)]), Health::Healthy);
    // It may grow yet.
    let most = of(metric("Maximum", "1m"), ">= 5", "1 of 1", "unknown");
    assert_eq!(health(&most, &[Some(0.0), Some(0.0), Some(9.0)]), Health::Healthy);
}

#[test]
fn a_filled_value_counts_when_the_data_has_had_its_time() {
    let filled = |healthy: &str| {
        of(json!({"expression": "FILL(m, 0)", "metrics": {"m": metric("Sum", "1m")}}), healthy, "1 of 1", "unknown")
    };
    // What was not put yet shows as the fill value: no period is missed, and no floor fires for it.
    for values in [[0.0, 0.0, 9.0], [9.0, 0.0, 9.0]] {
        assert_eq!(health(&filled("<= 5"), &values.map(Some)), Health::Unhealthy);
        assert_eq!(health(&filled(">= 5"), &values.map(Some)), Health::Healthy);
    }
    let (_, evidence) = found(&filled("<= 5"), &points(&[Some(0.0), Some(0.0), Some(9.0)]));
    assert_eq!(evidence, "1 of 1 periods are not <= 5; latest 9 at 2023-11-14T22:10:00Z");
}

#[test]
fn a_period_whose_data_may_still_arrive_is_not_missing() {
    let spec = of(metric("p99", "1m"), "<= 1", "2 of 2", "unhealthy");
    assert_eq!(health(&spec, &[Some(9.0), None, Some(0.0), Some(0.0)]), Health::Healthy);
    assert_eq!(health(&spec, &[None, None, None, None]), Health::Unhealthy);
}

#[test]
fn a_metric_of_short_periods_is_missing_soon() {
    let spec = of(metric("Average", "10s"), "<= 1", "1 of 1", "unhealthy");
    let at = |seconds_ago: i64| Points::from([((NOW_S - seconds_ago).div_euclid(10) * 10, 0.0)]);
    assert_eq!(found(&spec, &at(30)).0, Health::Healthy);
    assert_eq!(found(&spec, &at(110)).0, Health::Unhealthy);
    assert_eq!(spec.periods(), 4);
}

fn flawed(value: f64, status: &str, may_pass: bool) -> Series {
    let flaw = Some(Flaw { why: format!("CloudWatch answered {status}"), may_pass });
    Series { flaw, ..series("flawed", points(&[Some(value)])) }
}

#[test]
fn a_flaw_caps_a_verdict_and_does_not_replace_it() {
    let spec = spec("<= 1", "1 of 1", "healthy");
    let now = Timestamp::from_second(NOW_S).unwrap();
    let of = |series: Vec<Series>| decide(&spec, &Answer { series, ..Answer::default() }, now);
    let whole = |value: f64| series("whole", points(&[Some(value)]));
    // A breach is certain, whichever series it is in.
    for breach in
        [vec![flawed(0.0, "InternalError", true), whole(9.0)], vec![flawed(9.0, "PartialData", true), whole(0.0)]]
    {
        let Finding::Read { health, evidence, .. } = of(breach) else { panic!("it was read") };
        assert_eq!(health, Health::Unhealthy, "{evidence}");
    }
    // Nothing else is, and missing data is not the plan's to judge.
    for series in [
        vec![flawed(0.0, "PartialData", true), whole(0.0)],
        vec![Series { points: Points::new(), ..flawed(0.0, "InternalError", true) }],
    ] {
        let Finding::Unreadable(error) = of(series) else { panic!("it is unreadable") };
        assert!(error.why.contains("CloudWatch answered") && !error.permanent, "{}", error.why);
    }
    let forbidden = of(vec![Series { points: Points::new(), ..flawed(0.0, "Forbidden", false) }]);
    let Finding::Read { health: Health::Unknown, permanent: true, evidence } = forbidden else {
        panic!("{forbidden:?}")
    };
    assert_eq!(evidence, "0 of 1 periods are not <= 1, 1 not known; no data; CloudWatch answered Forbidden");
}

fn metric(stat: &str, period: &str) -> Value {
    json!({"namespace": "N", "name": "M", "stat": stat, "period": period, "dimensions": {}})
}

#[test]
fn the_time_to_detection_is_told() {
    let found = |period, share| {
        detection("errors", &of(metric("p99", period), "<= 1", share, "unknown")).checks.remove(0).found
    };
    assert_eq!(found("1m", "1 of 1"), "shows a breach within 4m (1 of 1 periods of 1m)");
    assert_eq!(found("1m", "3 of 5"), "shows a breach within 6m (3 of 5 periods of 1m)");
    assert_eq!(found("10s", "1 of 1"), "shows a breach within 50s (1 of 1 periods of 10s)");
}
