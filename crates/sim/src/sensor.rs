//! Signals that follow the world.

use std::{sync::Arc, time::Duration};

use belay_core::reading::{Health, Reading};
use belay_plan::model::Name;
use belay_ports::{Fut, Permission, Query, Sensor, Sensors};
use jiff::Timestamp;

use crate::world::{Inner, World};

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
            let readings: Option<Vec<Reading>> = {
                let (now, time) = (clock.now(), clock.monotonic());
                let mut inner = self.world.inner();
                queries.iter().map(|query| self.reading(&mut inner, query, taken, now, time)).collect()
            };
            match readings {
                Some(readings) => readings,
                None => std::future::pending().await,
            }
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
    /// None: it never comes back.
    fn reading(
        &self,
        inner: &mut Inner,
        query: &Query,
        taken: Timestamp,
        now: Timestamp,
        time: Duration,
    ) -> Option<Reading> {
        let rule = inner.rules.get(&query.signal).cloned();
        if rule.as_deref() == Some(&Rule::Hangs) {
            return None;
        }
        let shown = inner.shown(&query.signal);
        let by_chance = inner.faults.of_reading();
        let failed = by_chance || shown == Some(Shown::Unreadable);
        let (health, evidence) = match (failed, shown) {
            (true, _) => (Health::Unknown, "the simulated API does not answer".to_owned()),
            (false, Some(Shown::Missing)) => (Health::Unknown, "there is no data".to_owned()),
            (false, Some(Shown::Healthy)) => (Health::Healthy, "by the scenario".to_owned()),
            (false, Some(Shown::Unhealthy)) => (Health::Unhealthy, "by the scenario".to_owned()),
            (false, _) => inner.health(&query.signal, rule.as_deref(), now, time),
        };
        Some(Reading {
            signal: query.signal.clone(),
            taken,
            health,
            evidence,
            source: format!("simulated {}", self.kind),
            unreadable: failed,
            permanent: rule.as_deref() == Some(&Rule::Absent),
            measured: None,
        })
    }
}

impl Inner {
    /// `time`: by the monotonic clock.
    fn health(&mut self, signal: &str, rule: Option<&Rule>, now: Timestamp, time: Duration) -> (Health, String) {
        match rule {
            Some(Rule::Always(Health::Healthy)) => (Health::Healthy, "nothing is wrong".to_owned()),
            Some(Rule::Always(health)) => (*health, "it is so all the time".to_owned()),
            Some(Rule::AtTarget(steps)) => {
                match steps.iter().find(|step| !self.is_at_target(step, now) && !self.is_on_the_way(step)) {
                    Some(step) => (Health::Unhealthy, format!("{step} is not in place")),
                    None => (Health::Healthy, "all is in place".to_owned()),
                }
            }
            Some(Rule::Recovers { by, whole, shows_after }) => {
                let lag = self.breach.and_then(|_| self.lag(signal));
                self.recovered(by, *whole, lag.map_or(*shows_after, |lag| [lag, lag]), now)
            }
            Some(Rule::Destination(name)) => (self.health_of(name), format!("destination {name}")),
            Some(Rule::Script(script)) => {
                let last = script.iter().rev().find(|(from, _)| *from <= time);
                (last.map_or(Health::Healthy, |(_, health)| *health), "by script".to_owned())
            }
            Some(Rule::Absent) => (Health::Unknown, "there is no such alarm".to_owned()),
            Some(Rule::Hangs) | None => (Health::Unknown, "nothing is known of it".to_owned()),
        }
    }

    fn recovered(
        &mut self,
        by: &[Vec<Name>],
        whole: bool,
        [breaks, heals]: [Duration; 2],
        now: Timestamp,
    ) -> (Health, String) {
        let Some(breach) = self.breach.filter(|breach| now >= *breach + breaks) else {
            return (Health::Healthy, "nothing is wrong".to_owned());
        };
        let mut missing = None;
        let mut healed: Option<(Timestamp, &[Name])> = None;
        for steps in by {
            let (mut since, mut holds) = (None, true);
            for step in steps {
                match self.in_place_since(step, whole, now) {
                    Some(at) => since = since.max(Some(at.max(breach))),
                    None if self.passed_over.contains(step) => {}
                    None => {
                        missing.get_or_insert(step);
                        holds = false;
                    }
                }
            }
            // What was only passed over heals nothing.
            missing = missing.or_else(|| steps.first().filter(|_| since.is_none()));
            let since = since.filter(|_| holds);
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
