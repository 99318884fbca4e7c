use super::*;

/// Two minutes and more after the beginning of a period of one minute: nothing is late any more.
const NOW_S: i64 = 1_700_000_000 / 60 * 60 + 30;

fn spec(healthy: &str, datapoints: &str, missing: &str) -> Spec {
    let metric = json!({"namespace": "N", "name": "M", "stat": "Sum", "period": "1m", "dimensions": {}});
    serde_json::from_value(json!({"metric": metric, "healthy": healthy, "datapoints": datapoints, "missing": missing}))
        .unwrap()
}

/// The values of the last periods that are over, the newest first; None is a gap.
fn points(values: &[Option<f64>]) -> Points {
    let newest_s = NOW_S.div_euclid(60) * 60 - 60;
    let at = |back: usize| newest_s - 60 * i64::try_from(back).unwrap();
    values.iter().enumerate().filter_map(|(back, value)| Some((at(back), (*value)?))).collect()
}

fn found(spec: &Spec, points: &Points) -> (Health, String) {
    match decide(spec, points, Timestamp::from_second(NOW_S).unwrap()) {
        Finding::Read { health, evidence } => (health, evidence),
        Finding::Unreadable { why } => panic!("{why}"),
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
    let (_, evidence) = found(&spec("<= 1.5", "2 of 3", "unknown"), &points(&[Some(2.25), None, Some(1.0)]));
    assert_eq!(evidence, "1 of 3 periods are not <= 1.5, 1 without data; latest 2.25 at 2023-11-14T22:12:00Z");
    let (_, evidence) = found(&spec("<= 1.5", "1 of 1", "unknown"), &points(&[]));
    assert_eq!(evidence, "0 of 1 periods are not <= 1.5, 1 without data; no data");
}

#[test]
fn every_operator_compares() {
    let cases = [
        ("< 1", [true, false, false]),
        ("<=1", [true, true, false]),
        ("> 1e0", [false, false, true]),
        (">= 1", [false, true, true]),
    ];
    for (text, expected) in cases {
        let comparison = comparison(text).unwrap();
        assert_eq!([0.5, 1.0, 1.5].map(|value| comparison.holds(value)), expected, "{text}");
    }
    assert_eq!(comparison("= 1"), None);
    assert_eq!(comparison("< one"), None);
}

#[test]
fn wrong_periods_and_shares_are_found() {
    let metric =
        |period: &str| json!({"namespace": "N", "name": "M", "stat": "Sum", "period": period, "dimensions": {}});
    let pointers = |spec: Value| check(&spec).into_iter().map(|defect| defect.pointer).collect::<Vec<_>>();
    assert!(pointers(json!({"metric": metric("30s"), "datapoints": "3 of 5"})).is_empty());
    assert_eq!(pointers(json!({"metric": metric("45s"), "datapoints": "5 of 3"})), ["/metric/period", "/datapoints"]);
    let metrics = json!({"a": metric("1m"), "b": metric("5m")});
    assert_eq!(
        pointers(json!({"metric": {"expression": "a + b", "metrics": metrics}, "datapoints": "1 of 1"})),
        ["/metric/metrics/b/period"]
    );
}
