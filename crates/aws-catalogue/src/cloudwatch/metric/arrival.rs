//! When the data of a period has arrived, and what a value tells before.
//!
//! Metrics come late, and not all at once: the newest periods have no data yet, or a part of it. Each period is read once as
//! long as no gate waits, so a value that is still to change must not be taken for the last word.

use super::{
    Expression, Source, Spec,
    expression::{self, Call},
    period, statistic,
};

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

/// From the end of a period until its data is there: those of a load balancer take up to two minutes.
const ARRIVES_S: i64 = 120;

/// High-resolution metrics are put as they are measured, so a few periods are enough; but so is no call of a publisher.
const PERIODS_LATE: i64 = 3;
const ARRIVES_AT_LEAST_S: i64 = 10;
const ARRIVES_AT_MOST_S: i64 = 60;

/// Namespaces whose metrics come later, from periods of that length on: estimated charges are computed several times a day
/// ("Create a billing alarm"), the storage metrics of S3 once a day ("Metrics and dimensions").
const LATE: [(&str, i64, i64); 2] = [("AWS/Billing", 0, 12 * HOUR_S), ("AWS/S3", DAY_S, 36 * HOUR_S)];

/// What the value of a period tells as long as not all of its data has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// About what it will be: an average, a percentile. It is judged as it comes.
    Estimate,
    /// A part of what it will be: a sum, a count, a maximum. It only grows, but for sums of values below zero, which are rare.
    AtLeast,
    /// The same of a minimum, which only falls.
    AtMost,
    /// Nothing: FILL puts a value where none has arrived, SUM leaves out what has not.
    Nothing,
}

/// In seconds: a period that has ended this long ago has its data, or has none.
pub fn arrives_s(spec: &Spec) -> i64 {
    let period_s = spec.period_s();
    let usual = match period_s < period::MINUTE_S {
        true => (PERIODS_LATE * period_s).clamp(ARRIVES_AT_LEAST_S, ARRIVES_AT_MOST_S),
        false => ARRIVES_S,
    };
    let late = |(namespace, from_s, late_s): &(&str, i64, i64)| {
        let is_of_it = spec.metrics().any(|single| single.namespace == *namespace);
        (is_of_it && period_s >= *from_s).then_some(*late_s)
    };
    LATE.iter().filter_map(late).max().unwrap_or(usual)
}

pub fn early(spec: &Spec) -> Early {
    match &spec.metric {
        Source::Single(single) => statistic::early(&single.stat),
        Source::Expression(math) => of_expression(math),
    }
}

fn of_expression(Expression { expression, metrics, .. }: &Expression) -> Early {
    if let Some(single) = metrics.get(expression.trim()) {
        return statistic::early(&single.stat);
    }
    match expression::calls(expression).as_slice() {
        // The series as they are.
        [Call::Search(Some(stat))] if expression::is_one_call(expression) => statistic::early(stat),
        [Call::Select(aggregate)] => match aggregate.to_ascii_uppercase().as_str() {
            "AVG" => Early::Estimate,
            "COUNT" | "SUM" | "MAX" => Early::AtLeast,
            "MIN" => Early::AtMost,
            _ => Early::Nothing,
        },
        calls => {
            // Whatever arithmetic makes of it: an extreme may grow then, or fall.
            let is_estimate = |stat: &str| statistic::early(stat) == Early::Estimate || statistic::is_extreme(stat);
            let searches = calls.iter().all(|call| match call {
                Call::Pointwise => true,
                Call::Search(stat) => stat.is_some_and(is_estimate),
                Call::Select(_) | Call::Other(_) => false,
            });
            let all = searches && metrics.values().all(|single| is_estimate(&single.stat));
            if all { Early::Estimate } else { Early::Nothing }
        }
    }
}

/// Why a breach is not seen at once, where it is not: for a person who writes a plan.
pub fn delay(spec: &Spec) -> Option<String> {
    let ceiling = spec.healthy.is_ceiling();
    let because = match (early(spec), &spec.metric) {
        (Early::Estimate, _) => return None,
        (Early::AtLeast, _) if ceiling => return None,
        (Early::AtLeast, _) => "until then it may be too low",
        (Early::AtMost, _) if !ceiling => return None,
        (Early::AtMost, _) => "until then it may be too high",
        (Early::Nothing, Source::Expression(math)) if expression::fills(&math.expression) => {
            "until then FILL shows its fill value"
        }
        (Early::Nothing, _) => "until then the expression may have any value",
    };
    Some(because.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn single(namespace: &str, stat: &str, period: &str) -> Value {
        json!({"namespace": namespace, "name": "M", "stat": stat, "period": period})
    }

    fn spec(metric: Value, healthy: &str) -> Spec {
        serde_json::from_value(json!({"metric": metric, "healthy": healthy})).unwrap()
    }

    fn math(expression: &str, stat: &str) -> Value {
        json!({"expression": expression, "metrics": {"m": single("N", stat, "1m")}})
    }

    #[test]
    fn lateness_belongs_to_the_period_and_the_namespace() {
        let of = |namespace: &str, period: &str| arrives_s(&spec(single(namespace, "Average", period), "< 1"));
        assert_eq!(["1s", "5s", "10s", "20s", "30s"].map(|period| of("N", period)), [10, 15, 30, 60, 60]);
        assert_eq!(["1m", "5m", "1d"].map(|period| of("AWS/ApplicationELB", period)), [120; 3]);
        assert_eq!((of("AWS/Billing", "6h"), of("AWS/S3", "1d"), of("AWS/S3", "1m")), (43_200, 129_600, 120));
        let mut expression = math("a / b", "Sum");
        expression["metrics"] = json!({"a": single("N", "Sum", "6h"), "b": single("AWS/Billing", "Maximum", "6h")});
        assert_eq!(arrives_s(&spec(expression, "< 1")), 43_200, "the latest counts");
    }

    #[test]
    fn what_an_early_value_tells_belongs_to_how_it_comes_about() {
        let cases = [
            (single("N", "Sum", "1m"), Early::AtLeast),
            (single("N", "SampleCount", "1m"), Early::AtLeast),
            (single("N", "Maximum", "1m"), Early::AtLeast),
            (single("N", "tc90", "1m"), Early::AtLeast),
            (single("N", "TS(10%:)", "1m"), Early::AtLeast),
            (single("N", "Minimum", "1m"), Early::AtMost),
            (single("N", "Average", "1m"), Early::Estimate),
            (single("N", "p99", "1m"), Early::Estimate),
            (math("m", "Sum"), Early::AtLeast),
            (math("100 * m", "Average"), Early::Estimate),
            (math("ABS(m) + CEIL(m)", "p99"), Early::Estimate),
            (math("100 * m", "Maximum"), Early::Estimate),
            (math("m", "Minimum"), Early::AtMost),
            (math("100 * m", "Sum"), Early::Nothing),
            (math("FILL(m, 0)", "Average"), Early::Nothing),
            (math("FILL(m, REPEAT)", "p99"), Early::Nothing),
            (math("SUM(METRICS())", "Average"), Early::Nothing),
            (math("IF(m > 1, 1, 0)", "Average"), Early::Nothing),
            (json!({"expression": "SEARCH('{N,Host} Load', 'Sum')"}), Early::AtLeast),
            (json!({"expression": "SEARCH('{N,Host} Load', 'Average', 60)"}), Early::Estimate),
            (json!({"expression": "100 * SEARCH('{N,Host} Load', 'Average')"}), Early::Estimate),
            (json!({"expression": "100 * SEARCH('{N,Host} Load', 'Sum')"}), Early::Nothing),
            (json!({"expression": "MAX(SEARCH('{N,Host} Load', 'Average'))"}), Early::Nothing),
            (json!({"expression": "SELECT AVG(Load) FROM N"}), Early::Estimate),
            (json!({"expression": "SELECT MIN(Load) FROM N"}), Early::AtMost),
            (json!({"expression": "SELECT MAX(Load) FROM N"}), Early::AtLeast),
            (json!({"expression": "select sum(Load) from N"}), Early::AtLeast),
            (json!({"expression": "SELECT COUNT(Load) FROM SCHEMA(N, Host)"}), Early::AtLeast),
        ];
        for (metric, expected) in cases {
            assert_eq!(early(&spec(metric.clone(), "< 1")), expected, "{metric}");
        }
    }

    #[test]
    fn only_a_breach_that_shows_late_has_a_delay() {
        let of = |metric: Value, healthy: &str| delay(&spec(metric, healthy));
        assert_eq!(of(single("N", "Sum", "1m"), "<= 5"), None);
        assert_eq!(of(single("N", "p99", "1m"), "< 5"), None);
        assert_eq!(of(single("N", "Maximum", "1m"), "<= 5"), None);
        assert_eq!(of(single("N", "Minimum", "1m"), ">= 5"), None);
        assert_eq!(of(single("N", "Minimum", "1m"), "<= 5").as_deref(), Some("until then it may be too high"));
        assert_eq!(of(single("N", "Sum", "1m"), ">= 5").as_deref(), Some("until then it may be too low"));
        let filled = of(math("FILL(m, 0)", "Sum"), "<= 5");
        assert_eq!(filled.as_deref(), Some("until then FILL shows its fill value"));
    }
}
