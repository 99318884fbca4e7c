//! Readings around an incident go on record in bounded chunks: what was before it, it, and some minutes after.

use std::time::Duration;

use crate::common::{Stage, plan, step};
use belay_core::{
    event::Event,
    input::{Input, Verb},
    reading::{Health, Measured, Reading},
    series::{AFTER, CHUNKS_MAX, POINTS_MAX, Point, Recorder, SIGNALS_MAX, Series, thinned},
};
use belay_plan::model::{Condition, Plan, Severity};
use jiff::Timestamp;

/// A stage with what the engine remembers beside it.
struct Watched {
    stage: Stage,
    recorder: Recorder,
}

fn watched() -> Watched {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].severity = Severity::Minor;
    plan.triggers["hurt"].dwell = Duration::ZERO;
    of(&plan)
}

fn of(plan: &Plan) -> Watched {
    let mut stage = Stage::new();
    stage.arm(plan);
    Watched { stage, recorder: Recorder::default() }
}

impl Watched {
    /// Reads a number, as the engine does: what is due goes on record in the same turn.
    fn reads(&mut self, signal: &str, value: f64) -> Vec<Series> {
        let now = self.stage.now;
        let reading = Reading {
            signal: signal.to_owned(),
            taken: now,
            health: if value < 0.5 { Health::Healthy } else { Health::Unhealthy },
            evidence: format!("{value}"),
            source: "prometheus".to_owned(),
            unreadable: false,
            permanent: false,
            measured: Some(Measured {
                value,
                at: now,
                healthy: "< 0.5".to_owned(),
                threshold: 0.5,
                unit: Some("%".to_owned()),
            }),
        };
        self.recorder.note(&reading, &self.stage.state, now);
        let chunk = self.recorder.take(&self.stage.state, now);
        self.stage.feed(Input::Reading(reading)).unwrap();
        let events = chunk.map(|chunk| self.stage.feed(chunk).unwrap()).unwrap_or_default();
        let series = events.into_iter().find_map(|event| match event {
            Event::ReadingsKept { series, .. } => Some(series),
            _ => None,
        });
        series.unwrap_or_default()
    }

    fn reads_for(&mut self, seconds: u64, every: u64, value: f64) -> Vec<Vec<Series>> {
        let mut chunks = Vec::new();
        for _ in 0..seconds / every {
            self.stage.pass(every);
            chunks.extend(Some(self.reads("errors", value)).filter(|series| !series.is_empty()));
        }
        chunks
    }
}

fn points(series: &[Series]) -> Vec<(Timestamp, f64)> {
    series[0].points().map(|point| (point.at, point.value)).collect()
}

#[test]
fn the_first_chunk_holds_what_was_before_and_comes_after_the_first_calls() {
    let mut watched = watched();
    assert_eq!(watched.reads_for(3600, 10, 0.1), Vec::<Vec<Series>>::new(), "nothing has happened");
    watched.stage.pass(10);
    assert!(watched.reads("errors", 7.25).is_empty());
    assert!(watched.stage.state.incident.is_some());
    let opened = watched.stage.now;
    watched.stage.pass(1);
    assert!(watched.reads("errors", 7.5).is_empty(), "the first calls are on their way");
    watched.stage.pass(1);
    let first = watched.reads("errors", 7.123_456_789);
    let points = points(&first);
    assert_eq!((first[0].signal.as_str(), first[0].healthy.as_str(), first[0].threshold), ("errors", "< 0.5", 0.5));
    assert_eq!(first[0].unit.as_deref(), Some("%"));
    assert!(points[0].0 >= opened - Duration::from_secs(1800) && points[0].0 < opened - Duration::from_secs(1700));
    assert!(points.len() <= POINTS_MAX && points.contains(&(opened + Duration::from_secs(1), 7.5)), "{points:?}");
    assert_eq!(points.last().unwrap().1, 7.12346);
    assert_eq!(watched.stage.replay(), watched.stage.state);
}

#[test]
fn a_chunk_a_minute_until_some_minutes_after_the_recovery() {
    let mut watched = watched();
    watched.reads_for(60, 10, 0.1);
    let during = watched.reads_for(600, 10, 7.0);
    assert_eq!(during.len(), 10, "one when it opens, then one a minute");
    assert!(during[1..].iter().all(|chunk| chunk[0].points.len() == 6), "{during:?}");
    // It heals at once, since the trigger has no dwell.
    let after = watched.reads_for(3600, 10, 0.1);
    assert!(watched.stage.state.incident.is_none());
    let last = after.iter().flat_map(|chunk| points(chunk)).map(|(at, _)| at).max().unwrap();
    let closed = watched.stage.state.past_incidents[0].closed.unwrap();
    let tail = last.duration_since(closed);
    assert!(tail <= AFTER.try_into().unwrap() && tail.as_secs() > AFTER.as_secs() as i64 - 61, "{tail:?}");
    let of_the_signal =
        watched.stage.journal.iter().filter(|record| matches!(record.event, Event::ReadingsKept { .. }));
    assert!(of_the_signal.count() <= 17);
}

#[test]
fn a_month_is_bounded_and_its_end_is_on_record() {
    let mut watched = watched();
    watched.stage.pass(60);
    let mut chunks = watched.reads_for(30 * 86_400, 300, 7.0).len();
    assert!((150..=CHUNKS_MAX as usize).contains(&chunks), "{chunks}");
    watched.stage.pass(300);
    chunks += watched.reads_for(600, 10, 0.1).len();
    assert!(chunks <= CHUNKS_MAX as usize);
    let mut events = watched.stage.journal.iter().filter_map(|record| match &record.event {
        Event::ReadingsKept { series, .. } => Some(series),
        _ => None,
    });
    assert!(events.clone().all(|series| series[0].points.len() <= POINTS_MAX));
    let last = events.next_back().unwrap();
    assert_eq!(last[0].points.last().unwrap().1, 0.1, "the recovery is there");
}

#[test]
fn the_next_incident_has_chunks_of_its_own_and_a_restart_goes_on() {
    let mut watched = watched();
    watched.reads_for(130, 10, 7.0);
    let first = watched.stage.state.kept.unwrap();
    assert_eq!(first.begun, watched.stage.state.incident.as_ref().unwrap().opened);
    // Whatever was in memory is gone; the count is in the state.
    watched.recorder = Recorder::default();
    watched.stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    assert_eq!(watched.stage.replay(), watched.stage.state);
    watched.reads_for(60, 10, 7.0);
    assert_eq!(watched.stage.state.kept.unwrap().chunks, first.chunks + 1);
    watched.reads_for(3600, 10, 0.1);
    watched.reads_for(60, 10, 7.0);
    let second = watched.stage.state.kept.unwrap();
    assert!(second.begun > first.begun && second.chunks <= 2, "{second:?}");
}

#[test]
fn a_run_that_a_person_asked_for_has_its_readings_too() {
    let mut watched = watched();
    watched.reads_for(60, 10, 0.1);
    watched.stage.command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: None }).unwrap();
    let chunks = watched.reads_for(60, 10, 0.1);
    assert_eq!(chunks[0][0].points.len(), 7, "what was before, and one more");
}

#[test]
fn more_signals_than_there_is_place_for_are_counted() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    let signal = plan.signals["errors"].clone();
    let names: Vec<String> = (0..SIGNALS_MAX + 3).map(|number| format!("s{number:02}")).collect();
    names.iter().for_each(|name| {
        plan.signals.insert(name.clone(), signal.clone());
    });
    plan.triggers["hurt"].when = Condition::Any(names.iter().cloned().map(Condition::Signal).collect());
    plan.triggers["hurt"].dwell = Duration::ZERO;
    let mut watched = of(&plan);
    names.iter().for_each(|name| {
        watched.reads(name, 7.0);
    });
    watched.stage.pass(3);
    let kept = watched.reads("s00", 7.0);
    assert_eq!(kept.len(), SIGNALS_MAX);
    let Event::ReadingsKept { left_out, .. } = &watched.stage.journal.last().unwrap().event else { panic!() };
    assert_eq!(*left_out, 3);
}

#[test]
fn what_is_no_number_is_not_kept_and_a_clock_set_back_begins_anew() {
    let mut watched = watched();
    watched.stage.pass(10);
    for value in [f64::NEG_INFINITY, f64::NAN, f64::INFINITY] {
        watched.reads("errors", value);
    }
    assert!(watched.stage.state.incident.is_some());
    watched.stage.pass(10);
    assert_eq!(points(&watched.reads("errors", 7.0)).len(), 1);
    watched.stage.pass(20);
    watched.reads("errors", 8.0);
    watched.stage.now -= Duration::from_secs(3600);
    let chunk = watched.reads("errors", 9.0);
    assert_eq!(points(&chunk), [(watched.stage.now, 9.0)], "its chunk does not wait for an hour");
}

#[test]
fn thinning_loses_no_spike_and_no_order() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let value = |second: i64| {
        if second == 777 {
            99.0
        } else if second == 333 {
            -99.0
        } else {
            f64::from((second % 7) as i32)
        }
    };
    let points: Vec<Point> = (0..1000).map(|second| Point { at: at(second), value: value(second) }).collect();
    let thin = thinned(&points, 60);
    assert!(thin.len() <= 60 && thin.len() > 40, "{}", thin.len());
    assert!(thin.is_sorted_by_key(|point| point.at));
    for spike in [333, 777] {
        assert!(thin.contains(&points[spike]));
    }
    assert_eq!(thinned(&points[..60], 60), points[..60]);
}
