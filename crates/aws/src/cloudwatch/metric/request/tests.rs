use serde_json::{Value, json};

use super::*;
use crate::testing::target;

/// Noon of a day.
const NOON_S: i64 = 1_700_049_600 / 86_400 * 86_400 + 43_200;

fn single(name: &str, period: &str) -> Value {
    json!({"namespace": "N", "name": name, "stat": "Sum", "period": period, "dimensions": {"A": "b"}})
}

fn spec(metric: Value) -> Spec {
    serde_json::from_value(json!({"metric": metric, "healthy": "< 1"})).unwrap()
}

fn math(expression: &str, metrics: Value) -> Spec {
    spec(json!({"expression": expression, "metrics": metrics}))
}

fn ratio(part: &str) -> Spec {
    math(&format!("100 * {part} / requests"), json!({part: single(part, "1m"), "requests": single("Requests", "1m")}))
}

fn asked(specs: &[Spec]) -> Vec<(Vec<MetricDataQuery>, Vec<String>)> {
    let target = target();
    let now = Timestamp::from_second(NOON_S + 30).unwrap();
    let requests = requests(now, specs.iter().enumerate().map(|signal| (&target, signal)));
    let told = |request: &Request| (request.queries(), request.results().map(|(_, id)| id.to_owned()).collect());
    requests.iter().map(told).collect()
}

#[test]
fn an_expression_asks_for_its_metrics_and_returns_only_itself() {
    let requests = asked(&[ratio("errors")]);
    let (queries, results) = &requests[0];
    let told: Vec<_> = queries.iter().map(|query| (query.id(), query.expression(), query.return_data())).collect();
    assert_eq!(
        told,
        [
            (Some("q0"), None, Some(false)),
            (Some("q1"), None, Some(false)),
            (Some("q2"), Some("100 * q0 / q1"), Some(true))
        ]
    );
    assert_eq!((queries[0].metric_stat().unwrap().period(), queries[2].period()), (Some(60), None));
    assert_eq!(results, &["q2"]);
}

#[test]
fn signals_that_ask_for_the_same_share_a_query() {
    let requests = asked(&[
        ratio("errors"),
        spec(single("Requests", "1m")),
        ratio("faults"),
        ratio("errors"),
        spec(single("Requests", "5m")),
    ]);
    assert_eq!(requests.len(), 1);
    let (queries, results) = &requests[0];
    let ids: Vec<_> = queries.iter().map(|query| (query.id().unwrap(), query.return_data().unwrap())).collect();
    // Requests serves both ratios, and is a signal of its own.
    assert_eq!(ids, [("q0", false), ("q1", true), ("q2", true), ("q3", false), ("q4", true), ("q5", true)]);
    assert_eq!(results, &["q2", "q1", "q4", "q2", "q5"]);
}

#[test]
fn unit_and_account_are_asked_for() {
    let mut metric = single("M", "1m");
    metric["unit"] = json!("Bytes/Second");
    metric["account_id"] = json!("444455556666");
    let requests = asked(&[spec(metric)]);
    let query = &requests[0].0[0];
    assert_eq!(query.account_id(), Some("444455556666"));
    assert_eq!(query.metric_stat().unwrap().unit(), Some(&StandardUnit::BytesSecond));
}

#[test]
fn an_expression_without_metrics_says_its_period() {
    let search = spec(json!({"expression": "SEARCH('{N,a} M', 'Sum')", "period": "5m"}));
    assert_eq!(search.period_s(), 300);
    assert_eq!(asked(&[search])[0].0[0].period(), Some(300));
    assert_eq!(asked(&[spec(json!({"expression": "SEARCH('{N,a} M', 'Sum')"}))])[0].0[0].period(), Some(60));
}

#[test]
fn what_is_about_all_metrics_of_its_call_is_alone_in_it_with_the_ids_of_the_plan() {
    let all = math("SUM(METRICS('err'))", json!({"errors": single("E", "1m"), "result0": single("R", "1m")}));
    let requests = asked(&[spec(single("M", "1m")), all, spec(single("L", "1m"))]);
    let ids: Vec<Vec<_>> =
        requests.iter().map(|(queries, _)| queries.iter().map(|query| query.id().unwrap()).collect()).collect();
    assert_eq!(ids, [vec!["q0", "q1"], vec!["errors", "result0", "result1"]]);
    assert_eq!(requests[1].0[2].expression(), Some("SUM(METRICS('err'))"));
}

#[test]
fn a_call_has_one_metrics_insights_query() {
    let insights = |of: &str| spec(json!({"expression": format!("SELECT AVG({of}) FROM \"AWS/EC2\"")}));
    let requests = asked(&[insights("a"), spec(single("M", "1m")), insights("b")]);
    assert_eq!(requests.iter().map(|(queries, _)| queries.len()).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn calls_are_of_one_place_and_hold_500_queries() {
    let (here, there) = (target(), AwsTarget { region: Some("us-east-1".to_owned()), ..target() });
    let specs: Vec<Spec> = (0..600).map(|number| spec(single(&format!("M{number}"), "1m"))).collect();
    let slow = spec(single("S", "5m"));
    let asked = specs.iter().map(|spec| (&here, (0, spec))).chain([(&here, (0, &slow)), (&there, (0, &slow))]);
    let requests = requests(Timestamp::UNIX_EPOCH, asked);
    let sizes: Vec<_> = requests.iter().map(|request| request.signals.len()).collect();
    assert_eq!(sizes, [500, 101, 1]);
}

#[test]
fn a_call_begins_where_all_its_periods_begin() {
    let target = target();
    // Half past noon and a little: 12:31:30.
    let now = Timestamp::from_second(NOON_S + 31 * 60 + 30).unwrap();
    let (fast, slow) = (spec(single("F", "1m")), spec(single("S", "5m")));
    let one = Request::of(&target, now, (0, &fast));
    // One period that counts, and two that may be late.
    assert_eq!((one.start_s, one.end_s), (NOON_S + 28 * 60, NOON_S + 31 * 60));
    let both = requests(now, [(&target, (0, &fast)), (&target, (1, &slow))].into_iter());
    assert_eq!(both.len(), 1);
    assert_eq!((both[0].start_s, both[0].end_s), (NOON_S + 20 * 60, NOON_S + 31 * 60));
}

#[test]
fn data_that_is_kept_for_hours_is_not_asked_for_over_days() {
    let long = |period: &str, periods: &str| -> Spec {
        serde_json::from_value(json!({"metric": single("M", period), "healthy": "< 1", "datapoints": periods})).unwrap()
    };
    let sizes = |specs: &[Spec]| asked(specs).iter().map(|(queries, _)| queries.len()).collect::<Vec<_>>();
    assert_eq!(sizes(&[long("10s", "1 of 1"), long("1h", "1 of 5"), long("20s", "1 of 1")]), [2, 1]);
    assert_eq!(sizes(&[long("1m", "1 of 1"), long("1d", "1 of 20")]), [1, 1]);
    // All of it together would be more datapoints than one answer holds.
    let many: Vec<Spec> = (0..100)
        .map(|number| {
            let metric = single(&format!("M{number}"), "1m");
            serde_json::from_value(json!({"metric": metric, "healthy": "< 1", "datapoints": "1 of 999"})).unwrap()
        })
        .chain([long("1d", "1 of 3")])
        .collect();
    assert_eq!(sizes(&many), [100, 1]);
}

#[test]
fn periods_meet_at_their_common_multiple() {
    assert_eq!(common_multiple(1, 60), 60);
    assert_eq!(common_multiple(20, 30), 60);
    assert_eq!(common_multiple(300, 420), 2_100);
}
