//! The sensors of data against real servers: PostgreSQL, MariaDB and Prometheus, which the tests start themselves.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // servers have the true time

mod mariadb;
mod plan;
mod postgres;
mod prometheus;
mod replicas;
mod tls;

use std::{sync::Arc, time::Duration};

use belay_core::reading::{Health, Reading};
use belay_local::permit::Gate;
use belay_plan::model::AwsTarget;
use belay_ports::{Clock, Fut, Sensor, Sensors, sensor::Query};
use belay_probes::Probes;
use belay_tests::{DataServer, wait_until};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The true time, or one that goes faster.
#[derive(Debug)]
struct Time {
    start: std::time::Instant,
    pace: u32,
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed() * self.pace
    }

    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()> {
        Box::pin(tokio::time::sleep(time / self.pace))
    }
}

/// The sensors of one daemon.
struct Watcher {
    runtime: Runtime,
    probes: Probes,
}

impl Watcher {
    fn new() -> Self {
        Self::with_pace(1)
    }

    fn with_pace(pace: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let probes = Probes::new(Arc::new(Time { start: std::time::Instant::now(), pace }), Gate::default());
        Self { runtime, probes }
    }

    fn read(&self, spec: Value) -> Reading {
        self.read_all(&[spec]).remove(0)
    }

    fn read_all(&self, specs: &[Value]) -> Vec<Reading> {
        let kind = specs[0].as_object().unwrap().keys().find(|key| *key != "healthy").unwrap();
        let sensor: Arc<dyn Sensor> = self.probes.sensor(kind).unwrap();
        let query = |spec: &Value| Query {
            signal: "data".to_owned(),
            spec: spec.clone(),
            aws: AwsTarget::default(),
            of_trigger: false,
            baseline: Arc::default(),
        };
        let queries: Vec<Query> = specs.iter().map(query).collect();
        self.runtime.block_on(sensor.read(&queries))
    }
}

/// A file with the URL in it, as a plan refers to it.
struct Secret(tempfile::NamedTempFile);

impl Secret {
    fn new(text: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self(file)
    }

    fn reference(&self) -> String {
        format!("file:{}", self.0.path().display())
    }
}

fn sql(url: &Secret, query: &str, healthy: &str) -> Value {
    json!({ "sql": { "url": url.reference(), "query": query, "timeout": "5s" }, "healthy": healthy })
}

#[track_caller]
fn assert_reads(reading: &Reading, health: Health, evidence: &str) {
    assert_eq!(reading.health, health, "{}", reading.evidence);
    assert!(reading.evidence.contains(evidence), "{evidence}: {}", reading.evidence);
    assert!(!reading.evidence.contains("s3cret"), "{}", reading.evidence);
}
