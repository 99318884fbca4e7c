//! The breach of a drill, at the sensor: what a fired trigger looks at reads unhealthy until it has opened an incident and
//! people are no longer asked about that. From then on the true sensors count again, so gates and confirmation are as real as
//! the steps.
//!
//! It goes by the state of the migration alone. So it is on from the record that begins the drill and off from the record
//! that begins the run, to the reading, and a process that takes the drill up again goes on with it.

use std::sync::{Arc, Mutex, PoisonError};

use belay_core::{
    event::Record,
    migration::Migration,
    reading::{Health, Reading},
    watch::signals_of,
};
use belay_plan::model::Name;
use belay_ports::{Clock, Endpoint, Fut, Observer, Permission, Query, Sensor, Sensors, SignalReadiness};

/// What such a reading says of itself, wherever it shows.
pub const INJECTED: &str = "injected by the drill";

/// Stands between the engine and the sensors of one migration, and watches what goes on record there.
#[derive(Clone, Default)]
pub struct Injection {
    signals: Arc<Mutex<Vec<Name>>>,
}

impl Injection {
    /// The sensors, with the breach before them.
    pub fn before(&self, sensors: Arc<dyn Sensors>, clock: Arc<dyn Clock>) -> Arc<dyn Sensors> {
        Arc::new(Injecting { injection: self.clone(), sensors, clock })
    }

    fn signals(&self) -> Vec<Name> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Injection {
    fn recorded(&self, _records: &[Record], state: &Migration) {
        let trigger = state.breached().and_then(|name| state.plan.as_ref()?.triggers.get(name));
        let signals = trigger.map(|trigger| signals_of(&trigger.when).into_iter().cloned().collect());
        *self.signals.lock().unwrap_or_else(PoisonError::into_inner) = signals.unwrap_or_default();
    }
}

struct Injecting {
    injection: Injection,
    sensors: Arc<dyn Sensors>,
    clock: Arc<dyn Clock>,
}

impl Sensors for Injecting {
    fn sensor(&self, kind: &str) -> Option<Arc<dyn Sensor>> {
        let sensor = self.sensors.sensor(kind)?;
        let (injection, clock) = (self.injection.clone(), self.clock.clone());
        Some(Arc::new(Breached { injection, sensor, clock }))
    }
}

struct Breached {
    injection: Injection,
    sensor: Arc<dyn Sensor>,
    clock: Arc<dyn Clock>,
}

impl Sensor for Breached {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async move {
            let signals = self.injection.signals();
            if signals.is_empty() {
                return self.sensor.read(queries).await;
            }
            let taken = self.clock.now();
            let is_injected = |query: &&Query| signals.contains(&query.signal);
            let true_ones: Vec<Query> = queries.iter().filter(|query| !is_injected(query)).cloned().collect();
            let mut readings = match true_ones.is_empty() {
                true => Vec::new(),
                false => self.sensor.read(&true_ones).await,
            }
            .into_iter();
            let reading = |query: &Query| match is_injected(&query) {
                true => Some(injected(query, taken)),
                false => readings.next(),
            };
            queries.iter().map_while(reading).collect()
        })
    }

    fn time_max(&self, queries: &[Query]) -> std::time::Duration {
        self.sensor.time_max(queries)
    }

    /// What is injected costs nothing to read often, and a breach is to be seen at once.
    fn pace(&self, query: &Query) -> std::time::Duration {
        match self.injection.signals().contains(&query.signal) {
            true => std::time::Duration::ZERO,
            false => self.sensor.pace(query),
        }
    }

    fn readiness<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<SignalReadiness>> {
        self.sensor.readiness(queries)
    }

    fn redirected(&self, query: &Query, to: &Endpoint) -> Result<Query, String> {
        self.sensor.redirected(query, to)
    }

    fn permissions(&self, query: &Query) -> Vec<Permission> {
        self.sensor.permissions(query)
    }
}

fn injected(query: &Query, taken: jiff::Timestamp) -> Reading {
    Reading {
        signal: query.signal.clone(),
        taken,
        health: Health::Unhealthy,
        evidence: INJECTED.to_owned(),
        source: "drill".to_owned(),
        unreadable: false,
        permanent: false,
        measured: None,
    }
}
