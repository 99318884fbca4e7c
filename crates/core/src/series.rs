//! Readings around an incident, so that a report can draw them: edges alone make no chart. What is read is remembered in
//! memory; from when an incident opens or a run starts, until some minutes after both are over, it goes on record in chunks.
//!
//! What is on record is bounded: [`POINTS_MAX`] points of a signal and [`SIGNALS_MAX`] signals a chunk, a chunk a minute at most and
//! after the first half hour ever fewer, [`CHUNKS_MAX`] chunks an incident. That is enough for 30 days, and 2 MB at the very most.
//! Nothing is read for a chart alone, since CloudWatch bills each read.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use belay_plan::model::Name;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    decide::Deciding,
    event::Event,
    input::Input,
    migration::Migration,
    reading::{Measured, Reading},
    watch::{signals_of, watched},
};

/// Of one signal, in one chunk. Of more, the least and the greatest of each stretch are kept, so that no spike is lost.
pub const POINTS_MAX: usize = 60;

/// In one chunk; those of the triggers first.
pub const SIGNALS_MAX: usize = 12;

/// Of one incident.
pub const CHUNKS_MAX: u32 = 256;

/// How far back the first chunk goes.
pub const BEFORE: Duration = Duration::from_secs(30 * 60);

/// So long after an incident and its run are over, what is still read goes on record.
pub const AFTER: Duration = Duration::from_secs(5 * 60);

/// Nothing stands between a breach and the first call: the first chunk waits until that is sent.
const FIRST_AFTER: Duration = Duration::from_secs(2);

/// Between two chunks, whatever happens.
const GAP_MIN: Duration = Duration::from_secs(10);

const GAP: Duration = Duration::from_secs(60);

/// A chunk comes after this part of the time that the incident has lasted, but not sooner than [`GAP`].
const GAP_PART: u32 = 30;

/// Points in memory of one signal. When there are more, half of them are thinned out.
const REMEMBERED_MAX: usize = 360;

/// Readings of one signal on record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub signal: Name,
    /// `< 0.5`: what a healthy value is.
    pub healthy: String,
    /// The number in it.
    pub threshold: f64,
    /// Of the values and of the threshold, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub from: Timestamp,
    /// Milliseconds since `from`, and the value.
    pub points: Vec<(i64, f64)>,
}

impl Series {
    pub fn points(&self) -> impl Iterator<Item = Point> {
        let at = |ms: i64| self.from.checked_add(jiff::SignedDuration::from_millis(ms)).unwrap_or(self.from);
        self.points.iter().map(move |(ms, value)| Point { at: at(*ms), value: *value })
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub at: Timestamp,
    pub value: f64,
}

/// What the state knows of the chunks on record. The points are in the journal alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which episode they are of: when it began.
    pub begun: Timestamp,
    pub chunks: u32,
    pub last: Timestamp,
}

/// An incident with its run, or a run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    pub begun: Timestamp,
    /// None: it goes on.
    pub over: Option<Timestamp>,
}

/// At most so many points. Of each stretch, the least and the greatest stay.
pub fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(most);
    for stretch in points.chunks(points.len().div_ceil((most / 2).max(1))) {
        let by_value = |one: &&Point, other: &&Point| one.value.total_cmp(&other.value);
        let (least, greatest) = (stretch.iter().min_by(by_value), stretch.iter().max_by(by_value));
        let mut both: Vec<Point> = least.into_iter().chain(greatest).copied().collect();
        both.sort_by_key(|point| point.at);
        both.dedup_by_key(|point| point.at);
        kept.extend(both);
    }
    kept
}

impl Migration {
    /// The incident or run that is under way, or that was over a short while ago.
    pub fn episode(&self, now: Timestamp) -> Option<Episode> {
        let incident = self.incident.as_ref().or(self.past_incidents.last().map(AsRef::as_ref));
        let incident = incident.map(|incident| Episode { begun: incident.opened, over: incident.closed });
        let run = self
            .run
            .as_ref()
            .map(|run| Episode { begun: run.started, over: run.ended.filter(|_| run.state.is_over()) });
        let all = [incident, run].into_iter().flatten();
        if let Some(begun) = all.clone().filter(|one| one.over.is_none()).map(|one| one.begun).min() {
            return Some(Episode { begun, over: None });
        }
        let lately = all.filter(|one| one.over.is_some_and(|over| now < over + AFTER));
        let (begun, over) = (lately.clone().map(|one| one.begun).min()?, lately.filter_map(|one| one.over).max());
        Some(Episode { begun, over })
    }

    pub(crate) fn apply_kept(&mut self, at: Timestamp, begun: Timestamp) {
        let chunks = self.kept.filter(|kept| kept.begun == begun).map_or(0, |kept| kept.chunks);
        self.kept = Some(Kept { begun, chunks: chunks + 1, last: at });
    }

    /// The signals that charts are made of: of the triggers that fired, of the gates of the run and its confirmation, of all triggers.
    fn charted(&self) -> Vec<&Name> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let incident = self.incident.as_ref().or(self.past_incidents.last().map(AsRef::as_ref));
        let fired = incident.map(|incident| incident.triggers.as_slice()).unwrap_or_default();
        let fired = fired.iter().filter_map(|name| plan.triggers.get(name));
        let mut names: Vec<&Name> = fired.flat_map(|trigger| signals_of(&trigger.when)).collect();
        if let Some(run) = &self.run {
            let steps = run.steps.keys().filter_map(|name| run.plan.steps.get(name));
            names.extend(steps.flat_map(|step| step.require.iter().chain(&step.verify)).map(|gate| &gate.signal));
            names.extend(run.plan.confirm.iter().map(|gate| &gate.signal));
        }
        names.extend(watched(plan));
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        names
    }
}

impl Deciding {
    pub(crate) fn readings_kept(&mut self, begun: Timestamp, series: &[Series], left_out: usize) {
        if self.state.episode(self.now).is_some_and(|episode| episode.begun == begun) {
            self.emit(Event::ReadingsKept { begun, series: series.to_vec(), left_out });
        }
    }
}

/// What was read lately, in memory. After a restart it begins anew.
#[derive(Debug, Default)]
pub struct Recorder(BTreeMap<Name, Remembered>);

#[derive(Debug)]
struct Remembered {
    healthy: String,
    threshold: f64,
    unit: Option<String>,
    points: Vec<Point>,
}

impl Remembered {
    fn new(measured: &Measured) -> Self {
        let Measured { healthy, threshold, unit, .. } = measured.clone();
        Self { healthy, threshold, unit, points: Vec::new() }
    }

    fn is_of(&self, measured: &Measured) -> bool {
        self.healthy == measured.healthy && self.unit == measured.unit
    }
}

impl Recorder {
    /// Remembers the number that a reading rests on.
    pub fn note(&mut self, reading: &Reading, state: &Migration, now: Timestamp) {
        let Some(measured) = &reading.measured else { return };
        let (Some(value), true) = (rounded(measured.value), measured.threshold.is_finite()) else { return };
        let point = Point { at: measured.at, value };
        let known = self.0.entry(reading.signal.clone()).or_insert_with(|| Remembered::new(measured));
        if !known.is_of(measured) {
            *known = Remembered::new(measured);
        }
        match known.points.last_mut() {
            // The same period read once more; its data may have changed.
            Some(last) if last.at == point.at => *last = point,
            // The wall clock was set back.
            Some(last) if last.at > point.at => known.points = vec![point],
            _ => known.points.push(point),
        }
        if known.points.len() > REMEMBERED_MAX {
            known.points = thinned(&known.points, REMEMBERED_MAX / 2);
        }
        if state.episode(now).is_none() {
            known.points.retain(|point| point.at + BEFORE >= now);
        }
    }

    /// When the next chunk is due.
    pub fn due(&self, state: &Migration, now: Timestamp) -> Option<Timestamp> {
        let episode = state.episode(now)?;
        self.0.values().find(|known| !known.points.is_empty())?;
        let Some(last) = state.kept else { return Some(episode.begun + FIRST_AFTER) };
        if last.last > now {
            return Some(now); // the wall clock was set back
        }
        let at = match last {
            kept if kept.begun != episode.begun => episode.begun + FIRST_AFTER,
            kept if kept.chunks >= CHUNKS_MAX => return None,
            kept => match episode.over.filter(|over| kept.last < *over) {
                Some(over) => over,
                None => kept.last + GAP.max(kept.last.duration_since(kept.begun).unsigned_abs() / GAP_PART),
            },
        };
        Some(at.max(last.last + GAP_MIN))
    }

    /// The chunk that is due. What it holds is not remembered any more.
    pub fn take(&mut self, state: &Migration, now: Timestamp) -> Option<Input> {
        self.due(state, now).filter(|due| *due <= now)?;
        let begun = state.episode(now)?.begun;
        let is_first = state.kept.is_none_or(|kept| kept.begun != begun);
        let mut series = Vec::new();
        let mut left_out = 0;
        for name in state.charted() {
            let Some(known) = self.0.get_mut(name) else { continue };
            let mut points = std::mem::take(&mut known.points);
            points.retain(|point| !is_first || point.at + BEFORE >= begun);
            let Some(from) = points.first().map(|point| point.at) else { continue };
            if series.len() == SIGNALS_MAX {
                left_out += 1;
                continue;
            }
            let ms = |at: Timestamp| at.as_millisecond() - from.as_millisecond();
            let points = thinned(&points, POINTS_MAX).iter().map(|point| (ms(point.at), point.value)).collect();
            let (healthy, threshold, unit) = (known.healthy.clone(), known.threshold, known.unit.clone());
            series.push(Series { signal: name.clone(), healthy, threshold, unit, from, points });
        }
        // What no chart is made of, such as signals of an earlier plan, is never due again.
        self.0.values_mut().for_each(|known| known.points.clear());
        (!series.is_empty()).then_some(Input::ReadingsKept { begun, series, left_out })
    }
}

/// To six digits: no chart shows more. None for what is no number.
fn rounded(value: f64) -> Option<f64> {
    format!("{value:.5e}").parse().ok().filter(|value: &f64| value.is_finite())
}
