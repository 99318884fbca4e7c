//! A world that answers at once, behind the real engine: what is left is Belay's own time.
#![allow(dead_code, unreachable_pub)] // each benchmark uses a part of it

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use belay_core::{
    change::{Assessment, Change, Doc, Key, Receipt, Repeats},
    event::RunKind,
    input::{Asked, Verb},
    reading::{Health, Reading},
    run::RunState,
};
use belay_engine::{Arming, Engine, Handle, Options, Sampler};
use belay_journal::{MemoryJournal, SqliteJournal};
use belay_plan::model::*;
use belay_ports::{
    AccountError, Actuator, Actuators, ApplyError, Clock, Corrupt, Fut, Journal, Permission, Ports, Query, ReadError,
    Scope, Sensor, Sensors,
};
use belay_sim::{SeededEntropy, SimClock};
use indexmap::IndexMap;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::Notify};

/// On what the journal is kept.
#[derive(Debug, Clone, Copy)]
pub enum On {
    Memory,
    /// On the disk of the build, which is rarely in memory as the one for temporary files often is.
    Disk,
}

/// An engine with a plan, before anything has happened.
pub struct Stage {
    pub runtime: Arc<Runtime>,
    pub handle: Handle,
    pub world: Arc<Instant>,
    pub ports: Ports,
    plan: Arc<Plan>,
    _folder: TempDir,
}

/// What it is: each step's resource is in place or not, and the one signal is good at arming and bad from then on.
#[derive(Default)]
pub struct Instant {
    in_place: Mutex<BTreeSet<String>>,
    armed: Mutex<bool>,
    /// The signal is being read, and the answer held back.
    pub asked: Notify,
    /// Lets the answer go: it is bad.
    pub breaks: Notify,
    /// A mutating call has come.
    pub called: Notify,
}

impl Stage {
    pub fn new(runtime: &Arc<Runtime>, on: On, plan: Plan) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let journal: Arc<dyn Journal> = match on {
            On::Memory => Arc::new(MemoryJournal::default()),
            On::Disk => Arc::new(SqliteJournal::open(folder.path().join("belay.db")).expect("a journal")),
        };
        let _inside = runtime.enter();
        let world = Arc::new(Instant::default());
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new("2026-03-01T02:00:00Z".parse().expect("a time"), 1));
        let ports = Ports {
            actuators: Arc::new(Everything(world.clone())),
            sensors: Arc::new(Everything(world.clone())),
            channels: Arc::new(()),
            evidence: Arc::new(()),
            journal,
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
            observer: Arc::new(()),
        };
        let sampler = Sampler::start(ports.sensors.clone(), clock, ports.observer.clone(), Duration::from_secs(5));
        let options = Options { sampler, belay_version: "0.1.0".to_owned(), readiness: None };
        let opened = runtime.block_on(Engine::open(ports.clone(), &plan.migration, options));
        let handle = opened.expect("an empty journal opens");
        Self { runtime: runtime.clone(), handle, world, ports, plan: Arc::new(plan), _folder: folder }
    }

    pub fn arm(&self) {
        let asked = Asked::new("bench", "to measure");
        let armed = belay_engine::arm(&self.handle, &self.ports, self.plan.clone(), "abc", Arming::default(), &asked);
        self.runtime.block_on(armed).expect("it can be armed");
    }

    /// From the word to the end.
    pub fn roll_back(&self) {
        self.runtime.block_on(async {
            let verb = Verb::Rollback { kind: RunKind::Real, only: Vec::new(), pin: None };
            let command = Asked::new("bench", "to measure").command(verb);
            self.handle.command(command).await.expect("it is armed");
            let mut watch = self.handle.watch();
            let over = watch
                .wait_for(|snapshot| snapshot.state.run.as_ref().is_some_and(|run| run.state == RunState::RolledBack));
            over.await.expect("the engine runs");
        });
    }
}

/// Chains beside each other, each of steps one after the other; one trigger without dwell.
pub fn plan(chains: usize, steps_each: usize) -> Plan {
    let mut steps: IndexMap<Name, Step> = IndexMap::new();
    for number in 0..steps_each {
        for chain in 0..chains {
            let needs = number.checked_sub(1).map(|before| format!("s{chain}-{before}")).into_iter().collect();
            let name = format!("s{chain}-{number}");
            steps.insert(name.clone(), step(format!("instant:{name}"), needs));
        }
    }
    Plan {
        migration: "moving".to_owned(),
        summary: None,
        aws: AwsTarget::default(),
        objectives: Objectives::default(),
        phases: IndexMap::new(),
        signals: IndexMap::from([(
            "errors".to_owned(),
            Signal { kind: "alarm".to_owned(), spec: json!({}), aws: AwsTarget::default() },
        )]),
        triggers: IndexMap::from([("hurt".to_owned(), trigger())]),
        decision: Decision::default(),
        window: None,
        steps,
        confirm: Vec::new(),
        notify: Arc::default(),
        evidence: None,
        checklist: belay_plan::checklist::Checklist::default(),
        accepts: Vec::new(),
        overlaid: None,
    }
}

fn step(resource: String, needs: Vec<Name>) -> Step {
    Step {
        action: "instant.set".to_owned(),
        with: json!({}),
        aws: AwsTarget::default(),
        to: Target::Explicit(json!("there")),
        others: None,
        resource,
        needs,
        require: Vec::new(),
        verify: Vec::new(),
        timeout: Duration::from_secs(600),
        retry: Retry { attempts: 3, backoff_min: Duration::from_secs(1), backoff_max: Duration::from_secs(30) },
        on_failure: OnFailure::Halt,
        loses_data: false,
        approve: None,
        stages: Vec::new(),
        expect: None,
        on_drift: OnDrift::Proceed,
        fences: Vec::new(),
        during: Vec::new(),
        nature: None,
        usual: None,
    }
}

fn trigger() -> Trigger {
    Trigger {
        when: Condition::Signal("errors".to_owned()),
        dwell: Duration::ZERO,
        severity: Severity::Critical,
        scope: TriggerScope::SystemWide,
        fix: Fix::Unknown,
        if_unknown: None,
        red_at_arm: RedAtArm::Refuse,
        problem: None,
        customer_facing: None,
        during: Vec::new(),
    }
}

struct Everything(Arc<Instant>);

impl Actuators for Everything {
    fn actuator(&self, _action: &str) -> Option<Arc<dyn Actuator>> {
        Some(Arc::new(Set(self.0.clone())))
    }

    fn verify_account<'a>(&'a self, _aws: &'a AwsTarget) -> Fut<'a, Result<String, AccountError>> {
        Box::pin(async { Ok("arn:aws:iam::111122223333:user/bench".to_owned()) })
    }
}

impl Sensors for Everything {
    fn sensor(&self, _kind: &str) -> Option<Arc<dyn Sensor>> {
        Some(Arc::new(Errors(self.0.clone())))
    }
}

struct Set(Arc<Instant>);

impl Actuator for Set {
    fn observe<'a>(&'a self, scope: &'a Scope, _: &'a [Receipt]) -> Fut<'a, Result<Doc, ReadError>> {
        Box::pin(async move { Ok(json!(self.0.in_place.lock().expect("no panics").contains(&scope.step))) })
    }

    fn assess(&self, _: &Scope, now: &Doc, _: &[Receipt]) -> Result<Assessment, Corrupt> {
        if *now == json!(true) {
            return Ok(Assessment::InPlace);
        }
        Ok(Assessment::Remaining(vec![Change {
            id: "set".to_owned(),
            title: "here -> there".to_owned(),
            before: json!("here"),
            after: json!("there"),
            call: "instant:Set".to_owned(),
            args: json!({ "to": "there" }),
            effects: Vec::new(),
            keeps: None,
            repeats: Repeats::Converges,
            expected: Duration::ZERO,
        }]))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _: &'a Key, _: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            self.0.called.notify_one();
            self.0.in_place.lock().expect("no panics").insert(scope.step.clone());
            Ok(json!({}))
        })
    }

    fn permissions(&self, _: &Scope) -> Vec<Permission> {
        Vec::new()
    }
}

struct Errors(Arc<Instant>);

impl Sensor for Errors {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async move {
            let armed = std::mem::replace(&mut *self.0.armed.lock().expect("no panics"), true);
            let health = if armed { Health::Unhealthy } else { Health::Healthy };
            if armed {
                self.0.asked.notify_one();
                self.0.breaks.notified().await;
            }
            let reading = |query: &Query| Reading {
                signal: query.signal.clone(),
                taken: "2026-03-02T02:00:00Z".parse().expect("a time"),
                health,
                evidence: "it was asked".to_owned(),
                source: "instant".to_owned(),
                unreadable: false,
                permanent: false,
                measured: None,
            };
            queries.iter().map(reading).collect()
        })
    }

    fn permissions(&self, _: &Query) -> Vec<Permission> {
        Vec::new()
    }
}
