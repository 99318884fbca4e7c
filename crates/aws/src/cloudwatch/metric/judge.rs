//! What datapoints say: each series against the threshold, and the worst of them counts.

use std::collections::BTreeMap;

use belay_aws_catalogue::cloudwatch::{
    Missing,
    metric::{
        Spec,
        arrival::{self, Early},
    },
};
use belay_core::reading::{Health, Measured};
use belay_ports::ReadError;
use jiff::Timestamp;

use crate::{errors, sensing::Finding};

/// How many series that are not healthy are named.
const NAMED_MAX: usize = 3;

/// Datapoints by the beginning of their period, in seconds since 1970.
pub(super) type Points = BTreeMap<i64, f64>;

/// What came back for one signal.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    /// One, or several where an expression yields several. None: there is no data.
    pub(super) series: Vec<Series>,
    /// What CloudWatch has to say besides.
    pub(super) remarks: Vec<String>,
    /// Why there may be more series than these.
    pub(super) incomplete: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Series {
    pub(super) label: String,
    pub(super) points: Points,
    pub(super) flaw: Option<Flaw>,
}

/// Why there may be more datapoints than these: what is there counts, what is not may be anything.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flaw {
    pub(super) why: String,
    /// Another try may end differently.
    pub(super) may_pass: bool,
}

/// What one series says.
struct Verdict<'a> {
    series: &'a Series,
    health: Health,
    evidence: String,
}

/// What is known of one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Holds,
    Breaches,
    Missing,
    /// Its data may be on the way still.
    Open,
}

/// What the datapoints say at a moment.
pub(super) fn decide(spec: &Spec, answer: &Answer, now: Timestamp) -> Finding {
    let none = Series::default();
    let series = if answer.series.is_empty() { std::slice::from_ref(&none) } else { &answer.series };
    let mut verdicts: Vec<Verdict<'_>> = series.iter().map(|series| verdict(spec, series, now)).collect();
    // The worst first. The sort is stable: of equal ones, CloudWatch's order decides.
    verdicts.sort_by_key(|verdict| match verdict.health {
        Health::Unhealthy => 0,
        Health::Unknown => 1,
        Health::Healthy => 2,
    });
    let worst = &verdicts[0];
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
    match &worst.series.flaw {
        Some(Flaw { may_pass: true, .. }) if health == Health::Unknown => {
            Finding::Unreadable(ReadError { why: evidence, permanent: false })
        }
        Some(Flaw { may_pass: false, .. }) if health == Health::Unknown => Finding::unknown(evidence).for_good(),
        _ => Finding::new(health, evidence),
    }
}

/// The worst value of the newest period whose data has arrived.
pub(super) fn measured(spec: &Spec, answer: &Answer, now: Timestamp) -> Option<Measured> {
    let ready_s = now.as_second() - arrival::arrives_s(spec);
    let arrived = |(start_s, value): &(&i64, &f64)| **start_s + spec.period_s() <= ready_s && value.is_finite();
    let all = || answer.series.iter().flat_map(|series| series.points.iter().filter(arrived));
    let newest_s = *all().map(|(start_s, _)| start_s).max()?;
    let worst = |one: f64, other: f64| if spec.healthy.is_ceiling() { one.max(other) } else { one.min(other) };
    let value = all().filter(|(start_s, _)| **start_s == newest_s).map(|(_, value)| *value).reduce(worst)?;
    let at = Timestamp::from_second(newest_s + spec.period_s()).ok()?;
    Some(Measured {
        value,
        at,
        healthy: spec.healthy.text.clone(),
        threshold: spec.healthy.number(),
        unit: spec.unit(),
    })
}

/// `2 of 3 series unhealthy (web-1, web-2); web-1`
fn counts(verdicts: &[Verdict<'_>]) -> String {
    let worst = &verdicts[0];
    let worst_label = errors::bounded(&worst.series.label);
    let total = verdicts.len();
    let word = match worst.health {
        Health::Healthy => return format!("{total} series, all healthy; {worst_label}"),
        Health::Unhealthy => "unhealthy",
        Health::Unknown => "unknown",
    };
    let same = verdicts.iter().take_while(|verdict| verdict.health == worst.health);
    let same: Vec<_> = same.map(|verdict| verdict.series.label.as_str()).collect();
    let named = same.iter().take(NAMED_MAX).map(|label| errors::bounded(label)).collect::<Vec<_>>().join(", ");
    let more = match same.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} of {total} series {word} ({named}{more}); {worst_label}", same.len())
}

/// The newest periods that decide, count. The data of some may be on the way: then those before them do, back to the newest
/// whose data has arrived.
fn verdict<'a>(spec: &Spec, series: &'a Series, now: Timestamp) -> Verdict<'a> {
    let (period_s, now_s) = (spec.period_s(), now.as_second());
    let ready_s = now_s - arrival::arrives_s(spec);
    let value = |start_s: i64| series.points.get(&start_s).copied().filter(|value| !value.is_nan());
    let early = arrival::early(spec);
    let period = |start_s: i64| {
        let has_arrived = start_s + period_s <= ready_s;
        match value(start_s).map(|value| spec.healthy.holds(value)) {
            Some(holds) if has_arrived || tells(early, spec.healthy.is_ceiling(), holds) => {
                if holds {
                    Period::Holds
                } else {
                    Period::Breaches
                }
            }
            None if has_arrived && series.flaw.is_none() => Period::Missing,
            _ => Period::Open,
        }
    };
    let of = i64::try_from(spec.datapoints.of).unwrap_or(i64::MAX);
    // The newest period that is over.
    let mut newest_s = now_s.div_euclid(period_s) * period_s - period_s;
    loop {
        let starts: Vec<i64> = (0..of).map(|back| newest_s - back * period_s).collect();
        let periods: Vec<Period> = starts.iter().map(|start_s| period(*start_s)).collect();
        let health = health(spec, &periods);
        let is_last = newest_s + period_s <= ready_s;
        let may_change = periods[0] == Period::Open || (health == Health::Unknown && periods.contains(&Period::Open));
        if is_last || !may_change {
            let health = if health == Health::Healthy && series.flaw.is_some() { Health::Unknown } else { health };
            let latest =
                starts.iter().find_map(|start_s| Some((value(*start_s)?, Timestamp::from_second(*start_s).ok()?)));
            return Verdict { series, health, evidence: evidence(spec, series, &periods, latest) };
        }
        newest_s -= period_s;
    }
}

/// Whether a value that is to change yet decides already.
fn tells(early: Early, ceiling: bool, holds: bool) -> bool {
    match early {
        Early::Estimate => true,
        Early::AtLeast => ceiling != holds,
        Early::AtMost => ceiling == holds,
        Early::Nothing => false,
    }
}

fn count(periods: &[Period], wanted: Period) -> usize {
    periods.iter().filter(|period| **period == wanted).count()
}

fn health(spec: &Spec, periods: &[Period]) -> Health {
    let count = |wanted| count(periods, wanted);
    let (breaching, missing) = (count(Period::Breaches), count(Period::Missing));
    let (at_least, at_most) = match spec.missing {
        Missing::Healthy => (breaching, breaching),
        Missing::Unhealthy => (breaching + missing, breaching + missing),
        Missing::Unknown => (breaching, breaching + missing),
    };
    match spec.datapoints.breaching {
        enough if at_least >= enough => Health::Unhealthy,
        enough if at_most + count(Period::Open) < enough => Health::Healthy,
        _ => Health::Unknown,
    }
}

fn evidence(spec: &Spec, series: &Series, periods: &[Period], latest: Option<(f64, Timestamp)>) -> String {
    let count = |wanted, what: &str| match count(periods, wanted) {
        0 => String::new(),
        number => format!(", {number} {what}"),
    };
    let with_unit = |number: &str| match spec.unit().as_deref() {
        None => number.to_owned(),
        Some(unit) if unit.starts_with(['%', '/']) => format!("{number}{unit}"),
        Some(unit) => format!("{number} {unit}"),
    };
    let (breaching, of, healthy) =
        (self::count(periods, Period::Breaches), periods.len(), with_unit(&spec.healthy.text));
    let missing = count(Period::Missing, "without data");
    let open = count(Period::Open, if series.flaw.is_some() { "not known" } else { "whose data may still arrive" });
    let latest = latest.map_or_else(
        || "no data".to_owned(),
        |(value, start)| format!("latest {} at {start}", with_unit(&value.to_string())),
    );
    let flaw = series.flaw.as_ref().map(|flaw| format!("; {}", flaw.why)).unwrap_or_default();
    format!("{breaching} of {of} periods are not {healthy}{missing}{open}; {latest}{flaw}")
}
