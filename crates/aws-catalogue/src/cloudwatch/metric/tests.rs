use serde_json::{Value, json};

use super::spec;

fn metric(stat: &str, period: &str) -> Value {
    json!({"namespace": "N", "name": "M", "stat": stat, "period": period, "dimensions": {}})
}

#[test]
fn what_shows_late_is_remarked() {
    let remarks = |metric: Value, healthy: &str| {
        let entry = json!({"metric": metric, "healthy": healthy, "datapoints": "1 of 1", "missing": "unknown"});
        let found = (spec().remarks)(&entry).into_iter();
        found.map(|remark| (remark.pointer, remark.message, remark.help.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(remarks(metric("Sum", "1m"), "<= 5"), []);
    assert_eq!(
        remarks(metric("Sum", "1m"), ">= 5"),
        [(
            "/metric/stat".to_owned(),
            "a period counts 2m after its end, when its data has arrived: until then it may be too low".to_owned(),
            "expect a breach to show up to 4m after it begins".to_owned()
        )]
    );
    let filled = json!({"expression": "FILL(m, 0)", "metrics": {"m": metric("Sum", "1m")}});
    assert!(remarks(filled, "<= 5")[0].1.ends_with("until then FILL shows its fill value"));
}

fn defects(entry: Value) -> Vec<(String, String)> {
    (spec().check)(&entry).into_iter().map(|defect| (defect.pointer, defect.message)).collect()
}

fn pointers(entry: Value) -> Vec<String> {
    defects(entry).into_iter().map(|(pointer, _)| pointer).collect()
}

#[test]
fn wrong_periods_shares_and_statistics_are_found() {
    let found = |stat, period, share| pointers(json!({"metric": metric(stat, period), "datapoints": share}));
    assert!(found("Sum", "30s", "3 of 5").is_empty());
    assert!(found("TM(2%:98%)", "1s", "3 of 5").is_empty());
    assert_eq!(found("average", "45s", "5 of 3"), ["/metric/stat", "/metric/period", "/datapoints"]);
    assert_eq!(found("Sum", "1500ms", "1 of 1"), ["/metric/period"]);
    assert_eq!(found("Sum", "30s", "1 of 999"), ["/datapoints"]);
    assert_eq!(found("Sum", "1d", "1 of 999"), ["/datapoints"]);
}

#[test]
fn the_parts_of_an_expression_have_to_fit_each_other() {
    let entry = |expression: &str, metrics: Value, period: Value| {
        let mut metric = json!({"expression": expression, "metrics": metrics, "period": period});
        metric.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        json!({"metric": metric, "datapoints": "1 of 1"})
    };
    let two = || json!({"a": metric("Sum", "1m"), "b": metric("max", "5m")});
    assert_eq!(
        pointers(entry("a + c", two(), Value::Null)),
        ["/metric/metrics/b/stat", "/metric/expression", "/metric/metrics/b", "/metric/metrics/b/period"]
    );
    let one = || json!({"a": metric("Sum", "5m")});
    assert!(pointers(entry("a", one(), json!("300s"))).is_empty());
    assert_eq!(pointers(entry("a", one(), json!("1m"))), ["/metric/metrics/a/period"]);
    let search = "SEARCH('{N,a} M', 'Sum', 300)";
    assert!(pointers(entry(search, Value::Null, json!("5m"))).is_empty());
    assert_eq!(
        defects(entry(search, Value::Null, Value::Null)),
        [(
            "/metric/expression".to_owned(),
            "it searches with a period of 300 s, but the signal's period is 60 s".to_owned()
        )]
    );
    assert_eq!(pointers(entry("SEARCH('{N,a} M', 'Sum')", Value::Null, json!("7s"))), ["/metric/period"]);
}
