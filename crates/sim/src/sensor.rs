//! Signals that follow the world.

use std::{sync::Arc, time::Duration};

use belay_core::reading::{Health, Reading};
use belay_plan::model::Name;
use belay_ports::{Fut, Permission, Query, Sensor, Sensors};

use crate::world::World;

/// What a signal follows.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    Always(Health),
    /// Healthy while the resources of these steps are where the steps want them.
    AtTarget(Vec<Name>),
    /// Healthy while this destination of traffic is.
    Destination(String),
    /// From each time on (by the clock's monotonic time) this health; healthy before.
    Script(Vec<(Duration, Health)>),
    /// Nothing ever comes back.
    Hangs,
    /// There is no such alarm: reading it again does not help.
    Absent,
    /// Healthy until the breach, and again when all steps of one of these sets are in place; either shows so much later.
    Recovers {
        by: Vec<Vec<Name>>,
        /// A stage on the way does not count.
        whole: bool,
        shows_after: [Duration; 2],
    },
}

/// What a signal shows, whatever the state of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Healthy,
    Unhealthy,
    /// Its source answers, and has nothing to say: data or the alarm itself are missing.
    Missing,
    /// Its source cannot be read.
    Unreadable,
}

/// Every kind of signal.
pub struct SimSensors {
    world: Arc<World>,
}

impl SimSensors {
    pub fn new(world: Arc<World>) -> Self {
        Self { world }
    }
}

impl Sensors for SimSensors {
    fn sensor(&self, kind: &str) -> Option<Arc<dyn Sensor>> {
        Some(Arc::new(SimSensor { world: self.world.clone(), kind: kind.to_owned() }))
    }
}

struct SimSensor {
    world: Arc<World>,
    kind: String,
}

impl Sensor for SimSensor {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async move {
            let clock = self.world.clock();
            let taken = clock.now();
            let latency = self.world.inner().latency;
            clock.sleep(latency).await;
            if queries.iter().any(|query| self.world.rule(&query.signal) == Some(Rule::Hangs)) {
                std::future::pending::<()>().await;
            }
            queries.iter().map(|query| self.reading(query, taken)).collect()
        })
    }

    fn permissions(&self, query: &Query) -> Vec<Permission> {
        vec![Permission {
            action: "sim:Read".to_owned(),
            resource: query.signal.clone(),
            mutates: false,
            conditions: Vec::new(),
        }]
    }
}

impl SimSensor {
    fn reading(&self, query: &Query, taken: jiff::Timestamp) -> Reading {
        let shown = self.world.inner().shown(&query.signal);
        let by_chance = self.world.with_faults(crate::fault::Faults::of_reading);
        let failed = by_chance || shown == Some(Shown::Unreadable);
        let (health, evidence) = match (failed, shown) {
            (true, _) => (Health::Unknown, "the simulated API does not answer".to_owned()),
            (false, Some(Shown::Missing)) => (Health::Unknown, "there is no data".to_owned()),
            (false, Some(Shown::Healthy)) => (Health::Healthy, "by the scenario".to_owned()),
            (false, Some(Shown::Unhealthy)) => (Health::Unhealthy, "by the scenario".to_owned()),
            (false, _) => self.world.health(&query.signal),
        };
        Reading {
            signal: query.signal.clone(),
            taken,
            health,
            evidence,
            source: format!("simulated {}", self.kind),
            unreadable: failed,
            permanent: self.world.rule(&query.signal) == Some(Rule::Absent),
            measured: None,
        }
    }
}

impl World {
    fn rule(&self, signal: &str) -> Option<Rule> {
        self.inner().rules.get(signal).cloned()
    }

    fn health(&self, signal: &str) -> (Health, String) {
        let now = self.clock().now();
        match self.rule(signal) {
            Some(Rule::Always(Health::Healthy)) => (Health::Healthy, "nothing is wrong".to_owned()),
            Some(Rule::Always(health)) => (health, "it is so all the time".to_owned()),
            Some(Rule::AtTarget(steps)) => {
                let mut inner = self.inner();
                match steps.iter().find(|step| !inner.is_at_target(step, now) && !inner.is_on_the_way(step)) {
                    Some(step) => (Health::Unhealthy, format!("{step} is not in place")),
                    None => (Health::Healthy, "all is in place".to_owned()),
                }
            }
            Some(Rule::Recovers { by, whole, shows_after }) => self.recovered(&by, whole, shows_after, now),
            Some(Rule::Destination(name)) => (self.inner().health_of(&name), format!("destination {name}")),
            Some(Rule::Script(script)) => {
                let time = self.clock().monotonic();
                let last = script.iter().rev().find(|(from, _)| *from <= time);
                (last.map_or(Health::Healthy, |(_, health)| *health), "by script".to_owned())
            }
            Some(Rule::Absent) => (Health::Unknown, "there is no such alarm".to_owned()),
            Some(Rule::Hangs) | None => (Health::Unknown, "nothing is known of it".to_owned()),
        }
    }

    fn recovered(
        &self,
        by: &[Vec<Name>],
        whole: bool,
        [breaks, heals]: [Duration; 2],
        now: jiff::Timestamp,
    ) -> (Health, String) {
        let mut inner = self.inner();
        let Some(breach) = inner.breach.filter(|breach| now >= *breach + breaks) else {
            return (Health::Healthy, "nothing is wrong".to_owned());
        };
        let mut missing = None;
        let mut healed: Option<(jiff::Timestamp, &[Name])> = None;
        for steps in by.iter().filter(|steps| !steps.is_empty()) {
            let since = steps.iter().try_fold(breach, |since, step| {
                let at = inner.in_place_since(step, whole, now);
                if at.is_none() {
                    missing.get_or_insert(step);
                }
                Some(since.max(at?))
            });
            if let Some(since) = since.filter(|since| healed.is_none_or(|(earlier, _)| *since < earlier)) {
                healed = Some((since, steps));
            }
        }
        match (healed, missing) {
            (Some((since, steps)), _) if now >= since + heals => {
                (Health::Healthy, format!("{} in place", steps.join(", ")))
            }
            (None, Some(step)) => (Health::Unhealthy, format!("{step} is not in place")),
            _ => (Health::Unhealthy, "it does not show yet".to_owned()),
        }
    }
}
