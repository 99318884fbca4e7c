//! What datapoints say: each series against the threshold, and the worst of them counts.

use std::collections::BTreeMap;

use belay_core::reading::Health;
use jiff::Timestamp;

use super::{LATE_MAX, Spec};
use crate::{
    errors,
    sensing::{Finding, Missing},
};

/// How many series that are not healthy are named.
const NAMED_MAX: usize = 3;

/// Datapoints by the beginning of their period, in seconds since 1970.
pub(super) type Points = BTreeMap<i64, f64>;

/// What came back for one signal.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    /// One, or several where an expression yields several; each with its label. None: there is no data.
    pub(super) series: Vec<(String, Points)>,
    /// What CloudWatch has to say besides.
    pub(super) remarks: Vec<String>,
    /// Why there may be more series than these.
    pub(super) incomplete: Option<String>,
}

/// What one series says.
struct Verdict {
    health: Health,
    evidence: String,
}

/// What the datapoints say at a moment.
pub(super) fn decide(spec: &Spec, answer: &Answer, now: Timestamp) -> Finding {
    let none = (String::new(), Points::new());
    let series = if answer.series.is_empty() { std::slice::from_ref(&none) } else { &answer.series };
    let mut verdicts: Vec<(&str, Verdict)> =
        series.iter().map(|(label, points)| (label.as_str(), verdict(spec, points, now))).collect();
    // The worst first. The sort is stable: of equal ones, CloudWatch's order decides.
    verdicts.sort_by_key(|(_, verdict)| match verdict.health {
        Health::Unhealthy => 0,
        Health::Unknown => 1,
        Health::Healthy => 2,
    });
    let worst = &verdicts[0].1;
    let mut health = worst.health;
    let mut evidence = match verdicts.len() {
        1 => worst.evidence.clone(),
        _ => format!("{}: {}", counts(&verdicts), worst.evidence),
    };
    if answer.series.is_empty() && spec.period_s() < 60 {
        evidence.push_str(" (periods under 1m have data only for high-resolution metrics)");
    }
    for remark in &answer.remarks {
        evidence.push_str(&format!("; CloudWatch says: {}", errors::bounded(remark)));
    }
    if let Some(why) = &answer.incomplete {
        evidence.push_str(&format!("; but there may be more series: {}", errors::bounded(why)));
        health = if health == Health::Healthy { Health::Unknown } else { health };
    }
    Finding::new(health, evidence)
}

/// `3 series, 2 of them unhealthy: web-1, web-2; web-1`
fn counts(verdicts: &[(&str, Verdict)]) -> String {
    let (worst_label, worst) = &verdicts[0];
    let worst_label = errors::bounded(worst_label);
    let total = verdicts.len();
    let word = match worst.health {
        Health::Healthy => return format!("{total} series, all healthy; {worst_label}"),
        Health::Unhealthy => "unhealthy",
        Health::Unknown => "unknown",
    };
    let same: Vec<_> =
        verdicts.iter().take_while(|(_, verdict)| verdict.health == worst.health).map(|(label, _)| *label).collect();
    let named = same.iter().take(NAMED_MAX).map(|label| errors::bounded(label)).collect::<Vec<_>>().join(", ");
    let more = match same.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} of {total} series {word} ({named}{more}); {worst_label}", same.len())
}

fn verdict(spec: &Spec, points: &Points, now: Timestamp) -> Verdict {
    let period_s = spec.period_s();
    let late_s = i64::try_from(LATE_MAX.as_secs()).unwrap_or(0);
    let now_s = now.as_second();
    let value = |start_s: &i64| points.get(start_s).copied().filter(|value| !value.is_nan());
    // The newest period that is over; those without data that may only be late are passed over.
    let mut newest_s = now_s.div_euclid(period_s) * period_s - period_s;
    while value(&newest_s).is_none() && now_s - (newest_s + period_s) < late_s {
        newest_s -= period_s;
    }
    let looked_at: Vec<i64> = (0_i64..).take(spec.datapoints.of).map(|back| newest_s - back * period_s).collect();
    let values: Vec<f64> = looked_at.iter().filter_map(value).collect();
    let missing = looked_at.len() - values.len();
    let breaching = values.iter().filter(|value| !spec.healthy.holds(**value)).count();
    let (breaching_at_least, breaching_at_most) = match spec.missing {
        Missing::Healthy => (breaching, breaching),
        Missing::Unhealthy => (breaching + missing, breaching + missing),
        Missing::Unknown => (breaching, breaching + missing),
    };
    let health = match spec.datapoints.breaching {
        enough if breaching_at_least >= enough => Health::Unhealthy,
        enough if breaching_at_most < enough => Health::Healthy,
        _ => Health::Unknown,
    };
    let latest = looked_at.iter().find_map(|start_s| Some((value(start_s)?, Timestamp::from_second(*start_s).ok()?)));
    let latest = latest.map_or_else(|| "no data".to_owned(), |(value, start)| format!("latest {value} at {start}"));
    let gaps = if missing == 0 { String::new() } else { format!(", {missing} without data") };
    let (of, healthy) = (looked_at.len(), &spec.healthy.text);
    Verdict { health, evidence: format!("{breaching} of {of} periods are not {healthy}{gaps}; {latest}") }
}
