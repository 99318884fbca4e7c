//! A daemon over a simulated world, and how a test talks to it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, BodyDataStream, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use belay_journal::MemoryJournal;
use belay_local::permit::Gate;
use belay_plan::model::Plan;
use belay_ports::{Journal, Ports};
use belay_server::{BuildError, Config, Daemon, Metrics, Parts, Traces, http, load_all};
use belay_sim::{Faults, SeededEntropy, SimClock, World, ports, read_only_ports};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::catalogue::catalogue;

/// Traffic goes back when `blue_ready` is healthy; then a person does something; then `errors` confirms.
pub(crate) const CHECKOUT: &str = "
belay: 1
migration: checkout
signals:
  errors: { probe: errors }
  blue_ready: { probe: blue }
triggers:
  hurt: { when: errors, severity: minor, for: 10s }
steps:
  traffic:
    action: sim.weights
    with: { resource: lb/checkout }
    require: [{ signal: blue_ready, within: 1h }]
  by_hand: { action: manual, needs: [traffic], with: { instructions: Say so. } }
confirm: [errors]
";

/// Another migration on the same load balancer.
pub(crate) const SEARCH: &str = "
belay: 1
migration: search
signals:
  search_ready: { probe: search }
steps:
  search_traffic: { action: sim.weights, with: { resource: lb/checkout }, require: [search_ready] }
";

/// What outlives the process: the files, the world, the journal.
pub(crate) struct Ground {
    folder: TempDir,
    pub(crate) world: Arc<World>,
    pub(crate) journal: Arc<MemoryJournal>,
    ports: Ports,
    metrics: Metrics,
}

pub(crate) struct Running {
    pub(crate) ground: Ground,
    pub(crate) daemon: Daemon,
    router: Router,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Ground {
    pub(crate) fn new(plans: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in plans {
            std::fs::write(folder.path().join(name), text).expect("the folder is ours");
        }
        let clock = Arc::new(SimClock::new("2026-05-05T02:00:00Z".parse().expect("a time"), 1));
        let world = Arc::new(World::new(&all_in_one(plans), clock, Faults::none()));
        for signal in ["blue_ready", "search_ready"] {
            world.set_rule(signal, belay_sim::Rule::Always(belay_core::reading::Health::Healthy));
        }
        world.set_rule("errors", belay_sim::Rule::AtTarget(vec!["traffic".to_owned()]));
        let journal = Arc::new(MemoryJournal::default());
        let ports = ports(&world, journal.clone(), Arc::new(SeededEntropy::new(7)));
        let metrics = Metrics::new("test", ports.clock.now());
        let ports = Ports { observer: Arc::new(metrics.clone()), ..ports };
        Self { folder, world, journal, ports, metrics }
    }

    /// With another journal before its own.
    pub(crate) fn over(mut self, journal: Arc<dyn Journal>) -> Self {
        self.ports.journal = journal;
        self
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            plans: vec![self.file("*.yaml").to_str().expect("temporary paths are plain").to_owned()],
            ..Config::default()
        }
    }

    fn parts(&self, config: &Config) -> Parts {
        let (plans, unusable) = load_all(&config.plans, &catalogue());
        Parts {
            read_only: read_only_ports(&self.world, &self.ports),
            ports: self.ports.clone(),
            plans,
            unusable,
            catalogue: catalogue(),
            gate: Gate::new(config.permits.clone()),
            belay_version: "test".to_owned(),
            metrics: self.metrics.clone(),
            traces: Traces::default(),
            readiness: None,
            watch: tokio::runtime::Handle::current(),
        }
    }

    pub(crate) async fn try_start(&self, config: Config) -> Result<Daemon, BuildError> {
        let parts = self.parts(&config);
        Daemon::build(config, parts).await
    }

    pub(crate) async fn start_with(self, config: Config) -> Running {
        let daemon = self.try_start(config).await.expect("a daemon");
        Running { router: http::router(daemon.clone()), ground: self, daemon }
    }
}

/// The world knows steps by their names alone, so one plan with the steps of all makes a world for all.
fn all_in_one(plans: &[(&str, &str)]) -> Plan {
    let mut plans =
        plans.iter().map(|(name, text)| belay_plan::load(name, text, &catalogue()).expect("a valid plan").plan);
    let mut all = plans.next().expect("a plan");
    for plan in plans {
        all.steps.extend(plan.steps);
        all.signals.extend(plan.signals);
    }
    all
}

/// A daemon with the checkout plan, armed, the cutover done.
pub(crate) async fn armed() -> Running {
    let running = disarmed().await;
    running.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    running.ground.world.cut_over();
    running
}

pub(crate) async fn disarmed() -> Running {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let config = ground.config();
    ground.start_with(config).await
}

impl Running {
    /// The process ends in order, and the next one starts.
    pub(crate) async fn restart_with(self, config: Config) -> Self {
        self.daemon.shutdown().await;
        self.ground.start_with(config).await
    }

    pub(crate) async fn restart(self) -> Self {
        let config = Config::clone(&self.daemon.config());
        self.restart_with(config).await
    }

    /// The process ends wherever it is, and the next one starts.
    pub(crate) async fn crash(self) -> Self {
        let Self { ground, daemon, router } = self;
        let config = Config::clone(&daemon.config());
        drop((daemon, router));
        // What it had started is gone before the next one looks.
        tokio::task::yield_now().await;
        ground.start_with(config).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("a router always answers");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The body of an answer that goes on, piece by piece.
    pub(crate) async fn stream(&self, request: Request<Body>) -> BodyDataStream {
        self.router.clone().oneshot(request).await.expect("a router always answers").into_body().into_data_stream()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Request::post(path).body(Body::from(body.to_owned())).expect("a request")).await
    }

    /// Rolls back, and gives the path of the run.
    pub(crate) async fn roll_back(&self) -> String {
        let answer = self.post("/v1/migrations/checkout/rollback", r#"{"reason": "customers"}"#).await;
        let run = answer.expect(StatusCode::ACCEPTED)["run"].as_str().expect("an id").to_owned();
        format!("/v1/runs/{run}")
    }

    /// What is at a path as soon as it is like this. Time jumps there.
    #[track_caller]
    pub(crate) fn until(&self, path: &str, like: impl Fn(&Value) -> bool) -> impl Future<Output = Value> {
        let waiting = async move {
            let mut snapshots = self.daemon.handle("checkout").expect("it is guarded").watch();
            loop {
                snapshots.borrow_and_update();
                let body = self.get(path).await.body;
                if like(&body) {
                    return body;
                }
                snapshots.changed().await.expect("the engine runs");
            }
        };
        async move {
            let waited = tokio::time::timeout(Duration::from_secs(6 * 3600), waiting).await;
            match waited {
                Ok(body) => body,
                Err(_) => panic!("{path} stays {:#}", self.get(path).await.body),
            }
        }
    }
}

impl Answer {
    /// Its body, if the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }

    /// Its body, if it is a problem of this kind.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, kind: &str) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{:#}", self.body);
        assert_eq!(self.body["type"], format!("/problems/{kind}"), "{:#}", self.body);
        assert_eq!(self.body["status"], status);
        assert_eq!(self.status.as_u16(), status);
        for member in ["title", "detail"] {
            assert!(self.body[member].as_str().is_some_and(|text| !text.is_empty()), "{:#}", self.body);
        }
        let known = ["type", "title", "status", "detail", "help"];
        let page = include_str!("../../PROBLEMS.md");
        let (_, section) = page.split_once(&format!("\n## {kind}\n")).expect("the page tells of it");
        let section = section.split("\n## ").next().expect("text");
        for member in self.body.as_object().expect("an object").keys().filter(|key| !known.contains(&key.as_str())) {
            assert!(section.contains(&format!("`{member}`")), "PROBLEMS.md does not say that {kind} carries {member}");
        }
        self.body
    }
}
