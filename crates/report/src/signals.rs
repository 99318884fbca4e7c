//! The strip of signals around the incident, made of the edges that are on record.

use std::collections::BTreeMap;

use belay_core::{
    event::{Event, RunKind, StepEvent},
    reading::Health,
    series::{self, Point, Series},
    watch::signals_of,
};
use belay_plan::model::Name;
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    course::Course,
    model::{Listing, ReadingGap, ReadingPoint, SignalBand, SignalReadings, SignalRow, SignalStrip, StripMark},
    shown,
};

const ROWS_MAX: usize = 40;
const BANDS_MAX: usize = 200;
const MARKS_MAX: usize = 40;
/// So much is shown before and after, at least; otherwise a tenth of what is between.
const MARGIN: SignedDuration = SignedDuration::from_mins(2);
/// Where readings are on record: a chart shows what was usual before, and that it stays well.
const CHART_MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// A cutover that was marked so long before belongs to the picture; readings are on record from then on.
const CUTOVER_SHOWN: SignedDuration = SignedDuration::from_mins(30);
/// A chart has about as many pixels.
const POINTS_MAX: usize = 600;

pub(crate) fn strip(course: &Course) -> SignalStrip {
    let run = &course.run;
    let first = course.told().first().map_or(run.started, |record| record.at);
    let last = course.ended().unwrap_or(course.as_of);
    let is_charted = course.records.iter().any(|record| matches!(record.event, Event::ReadingsKept { .. }));
    let least = if is_charted { CHART_MARGIN } else { MARGIN };
    let margin = least.max(last.duration_since(first) / 10);
    // Before it was armed nothing was read.
    let armed = course.armed().map_or(Timestamp::MIN, |record| record.at);
    let from = first.saturating_sub(margin).unwrap_or(first).max(armed.min(first));
    // Whoever reviews it asks first what the cutover changed.
    let cutover = course.before().into_iter().find(|record| matches!(record.event, Event::CutoverMarked));
    let near = cutover.map(|record| record.at).filter(|at| first.duration_since(*at) <= CUTOVER_SHOWN);
    let from = near.map_or(from, |at| from.min(at));
    let to = last.saturating_add(margin).unwrap_or(last).min(course.as_of).max(last);
    let used = used(course);
    let mut bands = bands(course, (from, to), &used);
    let mut readings = readings(course, (from, to));
    let rows = used.iter().take(ROWS_MAX).map(|(name, used_by)| SignalRow {
        signal: shown(name),
        used_by: shown(used_by.join(" and ")),
        bands: Listing::of(bands.remove(name).unwrap_or_default(), BANDS_MAX),
        readings: readings.remove(name),
    });
    let rows: Vec<SignalRow> = rows.collect();
    SignalStrip {
        from,
        to,
        left_out: used.len() - rows.len(),
        rows,
        marks: Listing::of(marks(course, from), MARKS_MAX),
    }
}

/// The signals of the incident's triggers (of all triggers where a person has asked for the run), of the gates of the run's steps and of its confirmation.
fn used(course: &Course) -> IndexMap<Name, Vec<&'static str>> {
    let mut used: IndexMap<Name, Vec<&'static str>> = IndexMap::new();
    let mut note = |name: &Name, by: &'static str| {
        let by_now = used.entry(name.clone()).or_default();
        if !by_now.contains(&by) {
            by_now.push(by);
        }
    };
    let plan = course.plan();
    let fired = course.incident.iter().flat_map(|incident| &incident.triggers);
    let watched = plan.triggers.keys().filter(|_| course.incident.is_none() && course.run.kind == RunKind::Real);
    for trigger in fired.chain(watched) {
        let when = plan.triggers.get(trigger).map(|trigger| signals_of(&trigger.when));
        when.into_iter().flatten().for_each(|name| note(name, "trigger"));
    }
    for step in course.run.steps.keys().filter_map(|name| plan.steps.get(name)) {
        step.require.iter().chain(&step.verify).for_each(|gate| note(&gate.signal, "gate"));
    }
    plan.confirm.iter().for_each(|gate| note(&gate.signal, "confirmation"));
    used
}

/// What is on record of each signal that shows a number. Chunks may have been written after the run.
fn readings(course: &Course, (from, to): (Timestamp, Timestamp)) -> BTreeMap<Name, SignalReadings> {
    let mut found: BTreeMap<Name, (&Series, Vec<Point>)> = BTreeMap::new();
    for record in course.records {
        let Event::ReadingsKept { series, .. } = &record.event else { continue };
        for one in series {
            let (last, points) = found.entry(one.signal.clone()).or_insert_with(|| (one, Vec::new()));
            *last = one;
            points.extend(one.points().filter(|point| (from..=to).contains(&point.at)));
        }
    }
    let charted = found.into_iter().filter_map(|(name, (last, mut points))| {
        points.sort_by_key(|point| point.at);
        let values = || points.iter().map(|point| point.value);
        let (least, greatest) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
        let kept = series::thinned(&points, POINTS_MAX);
        let readings = SignalReadings {
            healthy: shown(&last.healthy),
            besides: besides(course, &name).map(shown),
            gaps: gaps(course, &points),
            threshold: last.threshold,
            unit: last.unit.as_deref().or_else(|| unit(course, &name)).map(shown),
            least,
            greatest,
            left_out: points.len() - kept.len(),
            points: kept.into_iter().map(|Point { at, value }| ReadingPoint { at, value }).collect(),
        };
        Some((name, readings))
    });
    charted.collect()
}

/// What else of an answer has to be right, beside the number: an answer in time can have the wrong status.
fn besides(course: &Course, name: &str) -> Option<String> {
    let signal = course.plan().signals.get(name).filter(|signal| signal.kind == "http")?;
    let of = |status: &Value| match status {
        Value::Array(all) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
        one => one.to_string(),
    };
    let status = Some(&signal.spec["http"]["status"]).filter(|status| !status.is_null());
    status.map(|status| format!("status {}", of(status)))
}

/// Where readings are missing over a restart: what was read last before it was not on record yet.
fn gaps(course: &Course, points: &[Point]) -> Vec<ReadingGap> {
    let resumed = course.records.iter().filter(|record| matches!(record.event, Event::WatchResumed { .. }));
    let resumed: Vec<Timestamp> = resumed.map(|record| record.at).collect();
    let apart = |pair: &[Point]| pair[1].at.duration_since(pair[0].at);
    let mut usual: Vec<SignedDuration> = points.windows(2).map(apart).collect();
    usual.sort_unstable();
    let Some(usual) = usual.get(usual.len() / 2).copied() else { return Vec::new() };
    let lost = points.windows(2).filter(|pair| {
        let restarted = resumed.iter().any(|at| pair[0].at < *at && *at <= pair[1].at);
        restarted && apart(pair) > usual.saturating_mul(2)
    });
    lost.map(|pair| ReadingGap { from: pair[0].at, to: pair[1].at }).collect()
}

/// An earlier version kept no unit: `http` compares the time of an answer in milliseconds with a limit in any unit.
fn unit(course: &Course, name: &str) -> Option<&'static str> {
    let signal = course.plan().signals.get(name).filter(|signal| signal.kind == "http")?;
    (!signal.spec["http"]["within"].is_null()).then_some("ms")
}

fn bands(
    course: &Course,
    (from, to): (Timestamp, Timestamp),
    used: &IndexMap<Name, Vec<&'static str>>,
) -> BTreeMap<Name, Vec<SignalBand>> {
    let mut bands: BTreeMap<Name, Vec<SignalBand>> = used.keys().map(|name| (name.clone(), Vec::new())).collect();
    let turn = |bands: &mut Vec<SignalBand>, at: Timestamp, health: Health, evidence: &str| {
        if let Some(last) = bands.last_mut().filter(|last| last.health == health) {
            last.evidence = shown(evidence);
            return;
        }
        if let Some(last) = bands.last_mut() {
            last.to = at;
        }
        // What ended before the strip begins is not shown.
        if bands.last().is_some_and(|last| last.to <= from) {
            bands.pop();
        }
        bands.push(SignalBand { from: at.max(from), to, health, evidence: shown(evidence) });
    };
    for record in course.records.iter().take_while(|record| record.at <= to) {
        match &record.event {
            Event::SignalTurned { signal, to: health, evidence, .. } => {
                if let Some(bands) = bands.get_mut(signal) {
                    turn(bands, record.at, *health, evidence);
                }
            }
            Event::PlanPinned { plan, .. } => {
                let read = bands.iter_mut().filter(|(name, _)| plan.signals.contains_key(*name));
                read.for_each(|(_, bands)| turn(bands, record.at, Health::Unknown, "not read yet"));
            }
            Event::WatchResumed { .. } => {
                bands.values_mut().for_each(|bands| turn(bands, record.at, Health::Unknown, "not read yet"));
            }
            _ => {}
        }
    }
    for bands in bands.values_mut() {
        // The last one shows what was read last, also where it was read at the very end.
        let last = bands.pop();
        bands.retain(|band| band.from < band.to);
        bands.extend(last);
        bands.dedup_by(|next, last| {
            let same = next.health == last.health;
            if same {
                (last.to, last.evidence) = (next.to, next.evidence.clone());
            }
            same
        });
    }
    bands
}

fn is_mark(event: &Event) -> bool {
    use StepEvent::{Done, Failed, Started, Unchanged};
    match event {
        Event::CutoverMarked
        | Event::IncidentOpened { .. }
        | Event::Decided { .. }
        | Event::RunStarted { .. }
        | Event::UndoStarted { .. }
        | Event::RunHalted { .. } => true,
        Event::Step { what, .. } => matches!(what, Started { .. } | Done | Unchanged | Failed { .. }),
        _ => false,
    }
}

fn marks(course: &Course, from: Timestamp) -> Vec<StripMark> {
    let mark = |at: Timestamp, text: String| StripMark { at, text: shown(text) };
    let mut marks = Vec::new();
    for record in course.before().into_iter().filter(|record| record.at >= from) {
        marks.push(mark(record.at, course.narrated(record).in_brief()));
    }
    if let Some(breach) = course.breach {
        marks.push(mark(breach, "breach".to_owned()));
    }
    for record in course.told() {
        if is_mark(&record.event) {
            marks.push(mark(record.at, course.narrated(record).in_brief()));
        }
    }
    if let Some(recovered) = course.recovered() {
        marks.push(mark(recovered, "recovery: the last step ends".to_owned()));
    }
    if let Some(ended) = course.ended() {
        let text = match (course.still_fired(), course.confirmed()) {
            (Some(still_fired), _) => format!("the run ends; {still_fired}"),
            (None, Some(_)) => "the run ends, confirmed".to_owned(),
            (None, None) if !course.has_run => "the incident ends".to_owned(),
            (None, None) => "the run ends".to_owned(),
        };
        marks.push(mark(ended, text));
    }
    marks.sort_by_key(|mark| mark.at);
    marks
}
