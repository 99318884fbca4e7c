//! Metric math, as far as it has to be understood before it is sent: its ids, and how it has to be asked for.

use std::collections::{BTreeSet, HashMap};

use belay_plan::{
    catalogue::{Finding, pointer},
    suggest,
};

/// The functions of metric math (User Guide, "Using metric math", 2026), to find those that are misspelled. A function
/// that resembles none of them is left to CloudWatch.
const FUNCTIONS: [&str; 45] = [
    "ABS",
    "ANOMALY_DETECTION_BAND",
    "AVG",
    "CEIL",
    "DATAPOINT_COUNT",
    "DATE",
    "DAY",
    "DB_PERF_INSIGHTS",
    "DIFF",
    "DIFF_TIME",
    "EPOCH",
    "FILL",
    "FIRST",
    "FLOOR",
    "HOUR",
    "IF",
    "INSIGHT_RULE_METRIC",
    "LAMBDA",
    "LAST",
    "LOG",
    "LOG10",
    "MAX",
    "METRICS",
    "METRIC_COUNT",
    "MIN",
    "MINUTE",
    "MONTH",
    "PERIOD",
    "RATE",
    "REMOVE_EMPTY",
    "RUNNING_SUM",
    "SEARCH",
    "SERVICE_QUOTA",
    "SLICE",
    "SORT",
    "STDDEV",
    "SUM",
    "TIME_SERIES",
    "YEAR",
    "REPEAT",
    "LINEAR",
    "ASC",
    "DESC",
    "AND",
    "OR",
];

/// Those that make of each value another one, and of none none.
const POINTWISE: [&str; 15] = [
    "ABS", "AND", "CEIL", "DATE", "DAY", "EPOCH", "FLOOR", "HOUR", "LOG", "LOG10", "MINUTE", "MONTH", "OR", "PERIOD",
    "YEAR",
];

/// One piece of an expression; all of them together are the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'e> {
    /// Letters, digits and `_`.
    Word(&'e str),
    /// With its quotes; the last one may be missing.
    Quoted(&'e str),
    Other(&'e str),
}

impl<'e> Token<'e> {
    fn text(self) -> &'e str {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Other(text) => text,
        }
    }

    /// Ids begin with a lower-case letter, functions with an upper-case one.
    fn id(self) -> Option<&'e str> {
        match self {
            Self::Word(word) if word.starts_with(|c: char| c.is_ascii_lowercase()) => Some(word),
            _ => None,
        }
    }
}

fn tokens(expression: &str) -> impl Iterator<Item = Token<'_>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = expression;
    std::iter::from_fn(move || {
        let next = rest.chars().next()?;
        let end = match next {
            '\'' | '"' => rest[1..].find(next).map_or(rest.len(), |close| close + 2),
            next if is_part(next) => rest.find(|c: char| !is_part(c)).unwrap_or(rest.len()),
            next => next.len_utf8(),
        };
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(match next {
            '\'' | '"' => Token::Quoted(text),
            next if is_part(next) => Token::Word(text),
            _ => Token::Other(text),
        })
    })
}

/// The pieces that mean something.
fn solid(expression: &str) -> Vec<Token<'_>> {
    tokens(expression).filter(|token| !token.text().trim().is_empty()).collect()
}

/// A Metrics Insights query: another language, which knows no ids.
pub fn is_insights(expression: &str) -> bool {
    matches!(solid(expression).first(), Some(Token::Word(word)) if word.eq_ignore_ascii_case("SELECT"))
}

/// `METRICS()` means every metric of the call that it is in.
pub fn takes_all_metrics(expression: &str) -> bool {
    tokens(expression).any(|token| token == Token::Word("METRICS"))
}

/// An expression with other ids. What stands in quotes is not an id.
pub fn renamed(expression: &str, ids: &HashMap<&str, String>) -> String {
    tokens(expression).map(|token| token.id().and_then(|id| ids.get(id)).map_or(token.text(), String::as_str)).collect()
}

/// What is wrong with an expression over metrics of these ids. Pointers are from the signal's entry.
pub fn check(expression: &str, metrics: &[&str]) -> Vec<Finding> {
    const PLACE: &str = "/metric/expression";
    if is_insights(expression) {
        let unused = |id: &&str| {
            let message = format!("a Metrics Insights query cannot use `{id}`");
            Finding::new(pointer(&["metric", "metrics", id]), message).help("leave it out")
        };
        return metrics.iter().map(unused).collect();
    }
    let mut findings = flaws(expression).into_iter().map(|flaw| Finding::new(PLACE, flaw)).collect::<Vec<_>>();
    let used: BTreeSet<&str> = tokens(expression).filter_map(Token::id).collect();
    for id in used.iter().filter(|id| !metrics.contains(*id)) {
        let help = suggest::instead_of(id, "the metrics of this expression", metrics.iter().copied());
        findings.push(Finding::new(PLACE, format!("`{id}` is not among the metrics of this expression")).help(help));
    }
    for pair in solid(expression).windows(2) {
        if let [Token::Word(word), Token::Other("(")] = pair
            && pair[0].id().is_none()
            && !FUNCTIONS.contains(word)
            && let Some(meant) = suggest::closest(word, FUNCTIONS)
        {
            let finding = Finding::new(PLACE, format!("metric math has no function `{word}`"));
            findings.push(finding.help(format!("did you mean `{meant}`?")));
        }
    }
    if !takes_all_metrics(expression) {
        for id in metrics.iter().filter(|id| !used.contains(*id)) {
            let undefined = used.iter().copied().filter(|used| !metrics.contains(used));
            let help = match suggest::closest(id, undefined) {
                Some(written) => format!("the expression has `{written}`; write the same name at both places"),
                None => "leave it out: every metric that is asked for is paid".to_owned(),
            };
            let place = pointer(&["metric", "metrics", id]);
            findings.push(Finding::new(place, format!("the expression does not use `{id}`")).help(help));
        }
    }
    findings
}

/// Quotes and brackets that do not match.
fn flaws(expression: &str) -> Option<String> {
    let mut open = Vec::new();
    for token in tokens(expression) {
        match token {
            Token::Quoted(text) if text.len() < 2 || !text.ends_with(&text[..1]) => {
                return Some(format!("the quote before `{}` is not closed", text[1..].trim()));
            }
            Token::Other("(") => open.push(")"),
            Token::Other("[") => open.push("]"),
            Token::Other(close @ (")" | "]")) if open.pop() != Some(close) => {
                return Some(format!("there is a `{close}` too many"));
            }
            _ => {}
        }
    }
    open.pop().map(|missing| format!("there is a `{missing}` missing"))
}

/// A function that an expression calls, as far as it matters for values whose data has not all arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'e> {
    Pointwise,
    /// With its statistic, where that stands in quotes of its own.
    Search(Option<&'e str>),
    /// A Metrics Insights query, with its aggregate function.
    Select(&'e str),
    Other(&'e str),
}

/// The functions of an expression, in order.
pub fn calls<'e>(expression: &'e str) -> Vec<Call<'e>> {
    let solid = solid(expression);
    if is_insights(expression) {
        return vec![Call::Select(solid.get(1).copied().map_or("", Token::text))];
    }
    let call = |(position, token): (usize, &Token<'e>)| match *token {
        Token::Word("SEARCH") => Some(Call::Search(match solid.get(position + 1..position + 5) {
            Some([Token::Other("("), Token::Quoted(_), Token::Other(","), Token::Quoted(stat)]) => {
                Some(stat.trim_matches(['\'', '"']))
            }
            _ => None,
        })),
        Token::Word(word) if POINTWISE.contains(&word) => Some(Call::Pointwise),
        Token::Word(word) if word.starts_with(|c: char| c.is_ascii_uppercase()) => Some(Call::Other(word)),
        _ => None,
    };
    solid.iter().enumerate().filter_map(call).collect()
}

/// Whether it is a call and nothing else: `SEARCH(...)`.
pub fn is_one_call(expression: &str) -> bool {
    let solid = solid(expression);
    let opens = |token: &&Token<'_>| **token == Token::Other("(");
    matches!(solid.as_slice(), [Token::Word(_), Token::Other("("), .., Token::Other(")")])
        && solid.iter().filter(opens).count() == 1
}

/// Whether it puts values where there is no data.
pub fn fills(expression: &str) -> bool {
    tokens(expression).any(|token| token == Token::Word("FILL"))
}

/// The periods, in seconds, that its searches are written with: `SEARCH('...', 'Average', 300)`.
pub fn search_periods_s(expression: &str) -> Vec<i64> {
    let period = |window: &[Token]| match window {
        [
            Token::Word("SEARCH"),
            Token::Other("("),
            Token::Quoted(_),
            Token::Other(","),
            Token::Quoted(_),
            Token::Other(","),
            Token::Word(period),
        ] => period.parse().ok(),
        _ => None,
    };
    solid(expression).windows(7).filter_map(period).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_renamed_outside_of_quotes_only() {
        let ids = HashMap::from([("errors", "q0".to_owned()), ("e", "q1".to_owned())]);
        let cases = [
            ("100 * errors / e", "100 * q0 / q1"),
            ("SUM(errors)+SUM(METRICS('errors'))", "SUM(q0)+SUM(METRICS('errors'))"),
            ("my_errors + errors2 + 1e3", "my_errors + errors2 + 1e3"),
            ("SEARCH(\"e\", 'e', 300)", "SEARCH(\"e\", 'e', 300)"),
            ("IF(e > 0, \"ä'\" , e)", "IF(q1 > 0, \"ä'\" , q1)"),
        ];
        for (expression, expected) in cases {
            assert_eq!(renamed(expression, &ids), expected);
        }
    }

    fn complaints(expression: &str, metrics: &[&str]) -> Vec<(String, String)> {
        let findings = check(expression, metrics).into_iter();
        findings
            .map(|found| (found.pointer, format!("{}: {}", found.message, found.help.unwrap_or_default())))
            .collect()
    }

    #[test]
    fn good_expressions_have_no_findings() {
        let cases: [(&str, &[&str]); 9] = [
            ("100 * errors / requests", &["errors", "requests"]),
            ("IF(FILL(m1, 0) > 1e3 AND m2 < 0.5, 1, 0)", &["m1", "m2"]),
            ("SUM(METRICS('err'))", &["errors", "other_errors"]),
            ("SUM([m1, m2])", &["m1", "m2"]),
            ("SEARCH('{AWS/EC2,InstanceId} MetricName=\"CPUUtilization\" id', 'Average', 300)", &[]),
            ("MAX(SEARCH(\"{A,b} c\", 'Maximum'))", &[]),
            ("SELECT AVG(CPUUtilization) FROM SCHEMA(\"AWS/EC2\", InstanceId) GROUP BY InstanceId", &[]),
            ("ANOMALY_DETECTION_BAND(m1, 2)", &["m1"]),
            ("NEW_FUNCTION_OF_NEXT_YEAR(m1)", &["m1"]),
        ];
        for (expression, metrics) in cases {
            assert_eq!(complaints(expression, metrics), [], "{expression}");
        }
    }

    #[test]
    fn ids_and_functions_that_do_not_fit_are_found_at_their_place() {
        let at = |place: &str, what: &str| (place.to_owned(), what.to_owned());
        let (expression, errors) = ("/metric/expression", "/metric/metrics/errors");
        assert_eq!(
            complaints("100 * erors / requests", &["errors", "requests"]),
            [
                at(expression, "`erors` is not among the metrics of this expression: did you mean `errors`?"),
                at(
                    errors,
                    "the expression does not use `errors`: the expression has `erors`; write the same name at both places"
                ),
            ]
        );
        assert_eq!(
            complaints("requests", &["errors", "requests"]),
            [at(errors, "the expression does not use `errors`: leave it out: every metric that is asked for is paid")]
        );
        assert_eq!(
            complaints("SUMM(errors)", &["errors"]),
            [at(expression, "metric math has no function `SUMM`: did you mean `SUM`?")]
        );
        assert_eq!(
            complaints("select avg(a) from b", &["errors"]),
            [at(errors, "a Metrics Insights query cannot use `errors`: leave it out")]
        );
        for (wrong, message) in [
            ("SUM(errors", "there is a `)` missing: "),
            ("errors) / 2", "there is a `)` too many: "),
            ("SUM([errors)]", "there is a `)` too many: "),
            ("errors + SEARCH('a, 3", "the quote before `a, 3` is not closed: "),
        ] {
            assert_eq!(complaints(wrong, &["errors"])[0], at(expression, message), "{wrong}");
        }
    }

    #[test]
    fn what_has_to_be_asked_for_alone_is_told() {
        assert!(takes_all_metrics("SUM(METRICS())") && !takes_all_metrics("SEARCH('METRICS()', 'Sum', 60)"));
        assert!(is_insights(" select 1") && !is_insights("selected / 2"));
    }

    #[test]
    fn searches_tell_their_periods() {
        assert_eq!(search_periods_s("SUM(SEARCH('a', 'Sum', 60)) / SUM(SEARCH( 'b' ,'Sum', 300))"), [60, 300]);
        assert!(search_periods_s("SEARCH('a', 'Sum')").is_empty());
    }
}
