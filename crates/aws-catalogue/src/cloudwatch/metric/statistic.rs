//! The statistics that CloudWatch knows: the User Guide's "CloudWatch statistics definitions" (2026).

use belay_plan::suggest::closest;

use super::arrival::Early;

/// Those without a parameter.
const PLAIN: [&str; 6] = ["SampleCount", "Sum", "Average", "Minimum", "Maximum", "IQM"];

/// Percentile, trimmed mean, winsorized mean, trimmed count and trimmed sum: `p99`, `tm98.5`.
const UP_TO: [&str; 5] = ["p", "tm", "wm", "tc", "ts"];

/// The same, and the percentile rank, with both bounds: `TM(2%:98%)`, `PR(:300)`.
const BETWEEN: [&str; 5] = ["TM", "WM", "TC", "TS", "PR"];

/// What people call them elsewhere.
const ALIASES: [(&str, &str); 6] = [
    ("avg", "Average"),
    ("mean", "Average"),
    ("max", "Maximum"),
    ("min", "Minimum"),
    ("count", "SampleCount"),
    ("median", "p50"),
];

const DECIMALS_MAX: usize = 10;
const ALL: &str = "statistics are SampleCount, Sum, Average, Minimum, Maximum, IQM, p99, tm98, wm98, tc98, ts98, TM(2%:98%), \
     WM(...), TC(...), TS(...) and PR(:300)";

/// What a value tells as long as not all data of its period has arrived.
pub fn early(stat: &str) -> Early {
    let family = stat.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    match family {
        "SampleCount" | "Sum" | "Maximum" | "tc" | "ts" | "TC" | "TS" => Early::AtLeast,
        "Minimum" => Early::AtMost,
        _ => Early::Estimate,
    }
}

pub fn is_extreme(stat: &str) -> bool {
    ["Minimum", "Maximum"].contains(&stat)
}

/// What is wrong with a statistic, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    pub help: String,
}

/// Whether CloudWatch knows the statistic.
pub fn check(stat: &str) -> Result<(), Wrong> {
    judged(stat).unwrap_or_else(|| {
        let help = meant(stat).map_or_else(|| ALL.to_owned(), |meant| format!("did you mean `{meant}`?"));
        Err(Wrong { message: format!("CloudWatch has no statistic `{stat}`"), help })
    })
}

/// None: it looks like no statistic at all.
fn judged(stat: &str) -> Option<Result<(), Wrong>> {
    if PLAIN.contains(&stat) {
        return Some(Ok(()));
    }
    let family = stat.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let parameter = &stat[family.len()..];
    if UP_TO.contains(&family) && parameter.starts_with(|c: char| c.is_ascii_digit()) {
        let percent = parameter.parse::<f64>().ok().filter(|_| is_plain(parameter));
        let least = if family == "p" { 0.0 } else { f64::MIN_POSITIVE };
        return Some(match percent.is_some_and(|percent| (least..=100.0).contains(&percent)) {
            true => Ok(()),
            false => Err(Wrong {
                message: format!("`{stat}` is no statistic: {parameter} is no percentage"),
                help: format!(
                    "write for example `{family}99` or `{family}99.9`: up to 100, at most ten decimal places"
                ),
            }),
        });
    }
    let bounds = parameter.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let bounds = bounds.filter(|_| BETWEEN.contains(&family))?;
    Some(between(family, bounds).map_err(|why| Wrong {
        message: format!("`{stat}` is no statistic: {why}"),
        help: match family {
            "PR" => "write for example `PR(:300)`, `PR(100:300)` or `PR(100:)`".to_owned(),
            _ => format!("write for example `{family}(2%:98%)`, `{family}(:95%)` or `{family}(100:300)`"),
        },
    }))
}

/// Digits, and at most ten decimal places.
fn is_plain(number: &str) -> bool {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(decimals) && decimals.len() <= DECIMALS_MAX
}

fn between(family: &str, bounds: &str) -> Result<(), String> {
    let Some((low, high)) = bounds.split_once(':') else { return Err("it needs `LOW:HIGH`".to_owned()) };
    if low.is_empty() && high.is_empty() {
        return Err("it has neither bound".to_owned());
    }
    let given = || [low, high].into_iter().filter(|bound| !bound.is_empty());
    let percents = given().filter(|bound| bound.ends_with('%')).count();
    if percents > 0 && family == "PR" {
        return Err("the bounds of a percentile rank are values of the metric".to_owned());
    }
    if percents > 0 && percents < given().count() {
        return Err("its bounds are either both percentages or both values".to_owned());
    }
    let value = |bound: &str| {
        let digits = bound.trim_end_matches('%');
        let number = digits.parse().ok().filter(|_| is_plain(digits.trim_start_matches('-')));
        let number: f64 = number.ok_or_else(|| format!("{bound} is no number"))?;
        match percents > 0 && !(0.0..=100.0).contains(&number) {
            true => Err(format!("{bound} is no percentage")),
            false => Ok(number),
        }
    };
    let low = if low.is_empty() { f64::NEG_INFINITY } else { value(low)? };
    let high = if high.is_empty() { f64::INFINITY } else { value(high)? };
    if low < high { Ok(()) } else { Err("its low bound is not below its high bound".to_owned()) }
}

fn meant(stat: &str) -> Option<String> {
    let alias = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(stat)).map(|(_, meant)| *meant);
    let plain = || PLAIN.into_iter().find(|plain| plain.eq_ignore_ascii_case(stat)).or_else(|| closest(stat, PLAIN));
    let respelled = || {
        let cases = [stat.to_ascii_lowercase(), stat.to_ascii_uppercase()];
        cases.into_iter().find(|stat| judged(stat) == Some(Ok(())))
    };
    alias.or_else(plain).map(ToOwned::to_owned).or_else(respelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statistic_is_known() {
        let known = [
            "SampleCount",
            "Sum",
            "Average",
            "Minimum",
            "Maximum",
            "IQM",
            "p0",
            "p0.0",
            "p50",
            "p99",
            "p99.9",
            "p100",
            "p99.9999999999",
            "tm98",
            "wm98.5",
            "tc90",
            "ts90",
            "TM(2%:98%)",
            "TM(:95%)",
            "TM(5%:)",
            "TM(150:1000)",
            "TM(:0.5)",
            "WM(10%:90%)",
            "TC(0.005:0.030)",
            "TS(80%:)",
            "PR(:300)",
            "PR(100:2000)",
            "PR(2000:)",
        ];
        for stat in known {
            assert_eq!(check(stat), Ok(()), "{stat}");
        }
    }

    #[test]
    fn what_is_no_statistic_says_what_would_be_right() {
        let cases = [
            ("average", "CloudWatch has no statistic `average`", "did you mean `Average`?"),
            ("Avg", "CloudWatch has no statistic `Avg`", "did you mean `Average`?"),
            ("Maximun", "CloudWatch has no statistic `Maximun`", "did you mean `Maximum`?"),
            ("P99", "CloudWatch has no statistic `P99`", "did you mean `p99`?"),
            ("tm(2%:98%)", "CloudWatch has no statistic `tm(2%:98%)`", "did you mean `TM(2%:98%)`?"),
            ("median", "CloudWatch has no statistic `median`", "did you mean `p50`?"),
            ("p101", "`p101` is no statistic: 101 is no percentage", "`p99` or `p99.9`"),
            ("p1e1", "`p1e1` is no statistic: 1e1 is no percentage", "`p99`"),
            ("tm0", "`tm0` is no statistic: 0 is no percentage", "`tm99`"),
            ("p99.99999999999", "is no percentage", "at most ten decimal places"),
            ("p", "CloudWatch has no statistic `p`", "statistics are"),
            ("TM(98%:2%)", "its low bound is not below its high bound", "`TM(2%:98%)`"),
            ("TM(2%:300)", "either both percentages or both values", "`TM(100:300)`"),
            ("TM(:)", "it has neither bound", "`TM(2%:98%)`"),
            ("TM(2%)", "it needs `LOW:HIGH`", "`TM(2%:98%)`"),
            ("TM(2%:120%)", "120% is no percentage", "`TM(2%:98%)`"),
            ("PR(2%:98%)", "the bounds of a percentile rank are values of the metric", "`PR(:300)`"),
            ("PR(a:b)", "a is no number", "`PR(100:300)`"),
            ("Perplexity", "CloudWatch has no statistic `Perplexity`", "statistics are SampleCount"),
        ];
        for (stat, message, help) in cases {
            let wrong = check(stat).unwrap_err();
            assert!(wrong.message.contains(message) && wrong.help.contains(help), "{stat}: {wrong:?}");
        }
    }
}
