//! Readings around an incident go on record beside everything: after the first calls, and whatever crashes.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::{Event, StepEvent},
    reading::{Health, Measured, Reading},
    run::RunState,
    series::Series,
};
use belay_journal::AppendFault;
use belay_plan::model::Plan;
use belay_ports::{Endpoint, Fut, Permission, Query, Sensor, Sensors, SignalReadiness};
use belay_sim::Faults;

use crate::{
    plans::{gate, plan, weights},
    scene::{Scene, virtually},
};

/// The signals of the world as an error rate.
struct Rates(Arc<dyn Sensors>);

struct Rate(Arc<dyn Sensor>);

impl Sensors for Rates {
    fn sensor(&self, kind: &str) -> Option<Arc<dyn Sensor>> {
        Some(Arc::new(Rate(self.0.sensor(kind)?)))
    }
}

impl Sensor for Rate {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async move {
            let rate = |reading: Reading| {
                let value = if reading.health == Health::Healthy { 0.1 } else { 7.0 };
                let measured =
                    Measured { value, at: reading.taken, healthy: "< 0.5".to_owned(), threshold: 0.5, unit: None };
                Reading { measured: Some(measured), ..reading }
            };
            self.0.read(queries).await.into_iter().map(rate).collect()
        })
    }

    fn time_max(&self, queries: &[Query]) -> Duration {
        self.0.time_max(queries)
    }

    fn pace(&self, query: &Query) -> Duration {
        self.0.pace(query)
    }

    fn readiness<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<SignalReadiness>> {
        self.0.readiness(queries)
    }

    fn redirected(&self, query: &Query, to: &Endpoint) -> Result<Query, String> {
        self.0.redirected(query, to)
    }

    fn permissions(&self, query: &Query) -> Vec<Permission> {
        self.0.permissions(query)
    }
}

fn scene() -> Scene {
    let plan = Plan { confirm: vec![gate("in_place", 900, 60)], ..plan([("dns", weights())]) };
    let mut scene = Scene::new(plan, 1, Faults::none());
    scene.ports.sensors = Arc::new(Rates(scene.ports.sensors.clone()));
    scene
}

fn kept(scene: &Scene) -> Vec<Vec<Series>> {
    let records = scene.witness.records();
    let series = records.iter().filter_map(|record| match &record.event {
        Event::ReadingsKept { series, .. } => Some(series.clone()),
        _ => None,
    });
    series.collect()
}

/// The values of a signal that are on record.
fn values(scene: &Scene, signal: &str) -> Vec<f64> {
    let all = kept(scene).into_iter().flatten().filter(|series| series.signal == signal);
    all.flat_map(|series| series.points).map(|(_, value)| value).collect()
}

#[test]
fn they_stand_behind_the_first_call_and_hold_the_breach_and_the_recovery() {
    virtually(async {
        let scene = scene();
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until_run(&handle, RunState::RolledBack).await;
        scene.until(&handle, |_| values(&scene, "in_place").last() == Some(&0.1)).await;
        let rates = values(&scene, "in_place");
        assert!(rates.contains(&7.0), "{rates:?}");
        let records = scene.witness.records();
        let place = |what: &dyn Fn(&Event) -> bool| records.iter().position(|record| what(&record.event)).unwrap();
        let sent = place(&|event| matches!(event, Event::Step { what: StepEvent::Accepted { .. }, .. }));
        assert!(sent < place(&|event| matches!(event, Event::ReadingsKept { .. })), "{:#?}", scene.transcript());
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn without_numbers_nothing_is_kept() {
    virtually(async {
        let scene = Scene::new(plan([("dns", weights())]), 1, Faults::none());
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until_run(&handle, RunState::RolledBack).await;
        scene.clock.sleep(Duration::from_secs(900)).await;
        assert_eq!(kept(&scene), Vec::<Vec<Series>>::new());
    });
}

/// Armed, cut over, rolled back, and the recovery is on record. Gives the number of appends that this took.
async fn recovered(scene: &Scene, crash_at: Option<u64>) -> u64 {
    let handle = scene.open().await;
    scene.arm(&handle).await.unwrap();
    let before = scene.journal.appends();
    scene.world.cut_over();
    let handle = match crash_at {
        Some(append) => {
            scene.journal.fail_at(before + append, AppendFault::CrashAfter);
            scene.journal.crashed().await;
            drop(handle);
            scene.journal.restart();
            scene.open().await
        }
        None => handle,
    };
    scene.until_run(&handle, RunState::RolledBack).await;
    scene.until(&handle, |_| values(scene, "in_place").last() == Some(&0.1)).await;
    scene.assert_sound(Some(&handle.snapshot().state));
    scene.journal.appends() - before
}

#[test]
fn a_crash_at_any_append_keeps_no_chunk_twice() {
    let appends = virtually(async { recovered(&scene(), None).await });
    assert!(appends > 5, "{appends}");
    for append in 1..=appends {
        virtually(async {
            let scene = scene();
            recovered(&scene, Some(append)).await;
            let mut starts: Vec<_> =
                kept(&scene).into_iter().flatten().map(|series| (series.signal, series.from)).collect();
            let count = starts.len();
            starts.sort();
            starts.dedup();
            assert_eq!(starts.len(), count, "{append}: {:#?}", scene.transcript());
        });
    }
}
