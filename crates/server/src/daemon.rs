//! The daemon: one engine a migration, over one journal and one sampler.
//!
//! A [`Daemon`] neither binds nor listens; `serve` gives it a port, and `operate` is what people may ask of it.

use std::{
    collections::BTreeMap,
    panic,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use belay_engine::{Engine, Handle, HostChecks, OpenError, Options, Sampler};
use belay_local::permit::Gate;
use belay_plan::{catalogue::Catalogue, model::Name};
use belay_ports::{Ports, ReadFailure};
use futures::future::join_all;
use tokio::{
    runtime,
    sync::{Semaphore, SemaphorePermit, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{ArmPolicy, Config},
    guard::Guard,
    health::Vitals,
    metrics::Metrics,
    plan_files::{PlanFile, PlanFileError},
    readiness::Host,
    resume,
    traces::Traces,
};

/// Each reads every signal and every resource of its plan: more at a time would take the quota that the watch needs.
const DRY_RUNS_MAX: usize = 2;

/// What the binary assembles.
pub struct Parts {
    /// What watches and rolls back.
    pub ports: Ports,
    /// What dry runs get: its clients refuse whatever is not a read.
    pub read_only: Ports,
    /// To read plan files anew.
    pub catalogue: Catalogue,
    /// What the plan files hold, one migration each.
    pub plans: Vec<PlanFile>,
    /// Plan files that cannot be used. What is live goes on without them; where nothing is, nothing starts.
    pub unusable: Vec<PlanFileError>,
    pub belay_version: String,
    /// What `/metrics` shows. To count what the engines do it has to be the observer of `ports`.
    pub metrics: Metrics,
    /// What plans may do beyond AWS, as the ports know it: a reload changes it.
    pub gate: Gate,
    /// Sends spans, if it is the observer of `ports` too. The daemon starts it, who assembles the parts closes it.
    pub traces: Traces,
    /// What the binary knows of a plan for its readiness. None: it is not evaluated by itself.
    pub readiness: Option<Arc<dyn HostChecks>>,
    /// Where the loops run, and what they start.
    pub watch: runtime::Handle,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Shown one by one.
    #[error("{} of the plan files cannot be used", .0.len())]
    PlanFiles(Vec<PlanFileError>),
    #[error(transparent)]
    Journal(#[from] ReadFailure),
    #[error("{migration} cannot be taken up: {source}")]
    Open { migration: Name, source: OpenError },
}

/// By name.
pub(crate) type Guards = Mutex<BTreeMap<Name, Arc<Guard>>>;

/// Clones share it.
#[derive(Clone)]
pub struct Daemon {
    inner: Arc<Inner>,
}

struct Inner {
    config: watch::Sender<Arc<Config>>,
    ports: Ports,
    read_only: Ports,
    catalogue: Arc<Catalogue>,
    options: Options,
    watch: runtime::Handle,
    host_checks: Arc<dyn HostChecks>,
    metrics: Metrics,
    traces: Traces,
    gate: Gate,
    guards: Arc<Guards>,
    /// One arming at a time: two must not both find a resource free.
    arming: tokio::sync::Mutex<()>,
    /// Migrations that `arm: on_start` should have armed and has not, and why not. What has ever been armed is none of
    /// them: what a person disarmed, or what was rolled back, a person arms.
    unarmed: Mutex<BTreeMap<Name, String>>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    /// Dry runs at a time.
    rehearsing: Semaphore,
    /// One reader of what the states have forgotten at a time: it folds a whole stream.
    history: tokio::sync::Mutex<()>,
    vitals: Vitals,
    /// Cancelled when the daemon stops.
    stopping: CancellationToken,
}

impl Daemon {
    /// Opens the migration of every plan, and those that the journal knows as live though their file is gone. What was
    /// under way goes on from here.
    ///
    /// # Errors
    /// [`BuildError`]: then nothing runs.
    pub async fn build(config: Config, parts: Parts) -> Result<Self, BuildError> {
        let (plans, unusable) = by_migration(parts.plans, parts.unusable);
        let streams = parts.ports.journal.streams().await?;
        if !unusable.is_empty() && !resume::any_is_live(parts.ports.journal.as_ref(), &streams).await? {
            return Err(BuildError::PlanFiles(unusable));
        }
        let Ports { sensors, clock, observer, .. } = parts.ports.clone();
        let sampler = {
            let _within = parts.watch.enter();
            Sampler::start(sensors, clock, observer, config.poll)
        };
        let config = watch::Sender::new(Arc::new(config));
        let (guards, clock) = (Arc::<Guards>::default(), parts.ports.clock.clone());
        let host = |beyond| -> Arc<dyn HostChecks> {
            let (configs, guards, clock) = (config.subscribe(), Arc::downgrade(&guards), clock.clone());
            Arc::new(Host { configs, beyond, guards, clock })
        };
        let host_checks = host(parts.readiness.clone().unwrap_or_else(|| Arc::new(())));
        let readiness = parts.readiness.map(host);
        let options = Options { sampler, belay_version: parts.belay_version, readiness };
        let inner = Inner {
            config,
            host_checks,
            ports: parts.ports,
            read_only: parts.read_only,
            catalogue: Arc::new(parts.catalogue),
            options,
            watch: parts.watch,
            metrics: parts.metrics,
            traces: parts.traces,
            gate: parts.gate,
            guards,
            arming: tokio::sync::Mutex::default(),
            unarmed: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
            rehearsing: Semaphore::new(DRY_RUNS_MAX),
            history: tokio::sync::Mutex::default(),
            vitals: Vitals::default(),
            stopping: CancellationToken::new(),
        };
        let daemon = Self { inner: Arc::new(inner) };
        daemon.start_traces();
        daemon.leave_out(unusable);
        let orphans: Vec<Name> = streams.into_iter().filter(|stream| !plans.contains_key(stream)).collect();
        for (migration, file) in plans {
            daemon.open(&migration, Some(file)).await?;
        }
        for migration in orphans {
            daemon.open_if_live(&migration).await?;
        }
        if daemon.guards().is_empty() {
            tracing::warn!("there is nothing to guard: no plan file was given, and the journal holds nothing live");
        }
        Ok(daemon)
    }

    /// Takes up one more migration.
    pub(crate) async fn open(&self, migration: &str, file: Option<PlanFile>) -> Result<(), BuildError> {
        let handle = self.open_engine(migration).await?;
        let state = handle.snapshot().state.clone();
        resume::tell(&state, file.as_ref(), self.ports().clock.now());
        let written = file.as_ref().map(|file| &file.loaded.plan);
        state.plan.as_deref().into_iter().chain(written).for_each(|plan| self.metrics().expect(plan));
        if self.config().arm == ArmPolicy::OnStart && state.plan.is_none() {
            self.set_unarmed(migration, Some("not armed yet".to_owned()));
        }
        self.guards_locked().insert(migration.to_owned(), Arc::new(Guard::new(handle, file)));
        Ok(())
    }

    async fn open_if_live(&self, migration: &str) -> Result<(), BuildError> {
        let handle = self.open_engine(migration).await?;
        if !handle.snapshot().state.is_pending() {
            handle.shutdown().await;
            return Ok(());
        }
        resume::tell(&handle.snapshot().state, None, self.ports().clock.now());
        handle.snapshot().state.plan.iter().for_each(|plan| self.metrics().expect(plan));
        self.guards_locked().insert(migration.to_owned(), Arc::new(Guard::new(handle, None)));
        Ok(())
    }

    async fn open_engine(&self, migration: &str) -> Result<Handle, BuildError> {
        let (ports, name, options) = (self.inner.ports.clone(), migration.to_owned(), self.inner.options.clone());
        self.on_the_watch(async move { Engine::open(ports, &name, options).await })
            .await
            .map_err(|source| BuildError::Open { migration: migration.to_owned(), source })
    }

    /// Does it where the loops run: what it starts stays there, and the memory that it takes is used again by them.
    pub(crate) async fn on_the_watch<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let mut working = JoinSet::new();
        working.spawn_on(work, &self.inner.watch);
        let done = working.join_next().await.expect("one was begun");
        // It ends early only where the code has failed.
        done.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()))
    }

    /// Stops every engine in order. The journal is then complete, and the next start goes on. Whoever waits for
    /// [`Daemon::stopping`] ends now.
    pub async fn shutdown(&self) {
        self.inner.stopping.cancel();
        let guards = self.guards();
        join_all(guards.iter().map(|guard| guard.handle.shutdown())).await;
    }

    /// As it is by now: SIGHUP reads it anew.
    pub fn config(&self) -> Arc<Config> {
        self.inner.config.borrow().clone()
    }

    pub(crate) fn set_config(&self, config: Config) {
        self.inner.gate.set(config.permits.clone());
        self.inner.config.send_replace(Arc::new(config));
    }

    /// Every configuration from here on.
    pub(crate) fn configs(&self) -> watch::Receiver<Arc<Config>> {
        self.inner.config.subscribe()
    }

    pub(crate) fn vitals(&self) -> &Vitals {
        &self.inner.vitals
    }

    pub(crate) fn sampler(&self) -> &Sampler {
        &self.inner.options.sampler
    }

    /// The engine of a migration.
    pub fn handle(&self, migration: &str) -> Option<Handle> {
        self.guard(migration).map(|guard| guard.handle.clone())
    }

    /// Is cancelled when the daemon stops.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.inner.stopping.clone()
    }

    pub(crate) fn ports(&self) -> &Ports {
        &self.inner.ports
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn traces(&self) -> &Traces {
        &self.inner.traces
    }

    /// Begins to send spans, if a collector is named and they are not sent yet. That it cannot is no reason not to guard.
    pub(crate) fn start_traces(&self) {
        let (config, version) = (self.config(), &self.inner.options.belay_version);
        let already = self.traces().is_on();
        let started = self.traces().start(config.otlp.as_deref(), version, self.ports().clock.clone(), self.metrics());
        let problem = started.as_ref().err().map(|why| format!("traces cannot be sent: {why}"));
        match (&problem, started) {
            (Some(why), _) => tracing::error!("{why}; correct `telemetry` or the environment"),
            (None, Ok(true)) if !already => tracing::info!(otlp = config.otlp, "traces are sent"),
            _ => {}
        }
        self.vitals().noticed().telemetry = problem;
    }

    /// A place for a dry run, while there is one.
    pub(crate) fn place_for_a_dry_run(&self) -> Option<SemaphorePermit<'_>> {
        self.inner.rehearsing.try_acquire().ok()
    }

    pub(crate) fn host_checks(&self) -> Arc<dyn HostChecks> {
        self.inner.host_checks.clone()
    }

    pub(crate) fn read_only(&self) -> &Ports {
        &self.inner.read_only
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.inner.catalogue.clone()
    }

    pub(crate) async fn one_reload_at_a_time(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.reloading.lock().await
    }

    pub(crate) async fn reading_history(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.history.lock().await
    }

    pub(crate) async fn one_arming_at_a_time(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.arming.lock().await
    }

    /// By name.
    pub(crate) fn guards(&self) -> Vec<Arc<Guard>> {
        self.guards_locked().values().cloned().collect()
    }

    pub(crate) fn guard(&self, migration: &str) -> Option<Arc<Guard>> {
        self.guards_locked().get(migration).cloned()
    }

    /// It is not guarded any more. Who still holds it may finish.
    pub(crate) fn let_go(&self, migration: &str) {
        self.guards_locked().remove(migration);
        self.set_unarmed(migration, None);
    }

    /// What `arm: on_start` still owes, by migration.
    pub(crate) fn unarmed(&self) -> BTreeMap<Name, String> {
        self.inner.unarmed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_unarmed(&self, migration: &str, why: Option<String>) {
        let mut unarmed = self.inner.unarmed.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => unarmed.insert(migration.to_owned(), why),
            None => unarmed.remove(migration),
        };
    }

    fn guards_locked(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Guard>>> {
        self.inner.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One file a migration, the first by name; the others cannot be used.
fn by_migration(
    plans: Vec<PlanFile>,
    mut unusable: Vec<PlanFileError>,
) -> (BTreeMap<Name, PlanFile>, Vec<PlanFileError>) {
    let mut found: BTreeMap<Name, PlanFile> = BTreeMap::new();
    for file in plans {
        let migration = file.loaded.plan.migration.clone();
        match found.get(&migration) {
            Some(first) => {
                let first = first.path.clone();
                unusable.push(PlanFileError::SameMigration { path: file.path, first, migration });
            }
            None => drop(found.insert(migration, file)),
        }
    }
    (found, unusable)
}
