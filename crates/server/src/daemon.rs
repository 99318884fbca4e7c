//! The daemon: one engine a migration, over one journal and one sampler.
//!
//! A [`Daemon`] neither binds nor listens; `serve` gives it a port, and `operate` is what people may ask of it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use belay_engine::{Engine, Handle, OpenError, Options, Sampler};
use belay_plan::{catalogue::Catalogue, model::Name};
use belay_ports::{Ports, ReadFailure};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{ArmPolicy, Config},
    guard::Guard,
    metrics::Metrics,
    plan_files::PlanFile,
};

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
    pub belay_version: String,
    /// What `/metrics` shows. To count what the engines do it has to be the observer of `ports`.
    pub metrics: Metrics,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{first} and {second} both guard the migration {migration}: one migration has one plan")]
    SameMigration { migration: Name, first: PathBuf, second: PathBuf },
    #[error(transparent)]
    Journal(#[from] ReadFailure),
    #[error("{migration} cannot be taken up: {source}")]
    Open { migration: Name, source: OpenError },
}

/// Clones share it.
#[derive(Clone)]
pub struct Daemon {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    ports: Ports,
    read_only: Ports,
    catalogue: Arc<Catalogue>,
    options: Options,
    metrics: Metrics,
    guards: Mutex<BTreeMap<Name, Arc<Guard>>>,
    /// One arming at a time: two must not both find a resource free.
    arming: tokio::sync::Mutex<()>,
    /// Migrations that `arm: on_start` should have armed and has not, and why not. What has ever been armed is none of
    /// them: what a person disarmed, or what was rolled back, a person arms.
    unarmed: Mutex<BTreeMap<Name, String>>,
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
        let plans = by_migration(parts.plans)?;
        let Ports { sensors, clock, observer, .. } = parts.ports.clone();
        let sampler = Sampler::start(sensors, clock, observer, config.poll);
        let options = Options { sampler, belay_version: parts.belay_version };
        let streams = parts.ports.journal.streams().await?;
        let inner = Inner {
            config,
            ports: parts.ports,
            read_only: parts.read_only,
            catalogue: Arc::new(parts.catalogue),
            options,
            metrics: parts.metrics,
            guards: Mutex::default(),
            arming: tokio::sync::Mutex::default(),
            unarmed: Mutex::default(),
            stopping: CancellationToken::new(),
        };
        let daemon = Self { inner: Arc::new(inner) };
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
        tracing::info!(migration, state = ?state.state(), "guarding");
        if self.config().arm == ArmPolicy::OnStart && state.plan.is_none() {
            self.set_unarmed(migration, Some("not armed yet".to_owned()));
        }
        self.guards_locked().insert(migration.to_owned(), Arc::new(Guard::new(handle, file)));
        Ok(())
    }

    async fn open_if_live(&self, migration: &str) -> Result<(), BuildError> {
        let handle = self.open_engine(migration).await?;
        if !handle.snapshot().state.is_live() {
            handle.shutdown().await;
            return Ok(());
        }
        tracing::warn!(migration, "its plan file is gone; it goes on with the plan that was armed");
        self.guards_locked().insert(migration.to_owned(), Arc::new(Guard::new(handle, None)));
        Ok(())
    }

    async fn open_engine(&self, migration: &str) -> Result<Handle, BuildError> {
        Engine::open(self.inner.ports.clone(), migration, self.inner.options.clone())
            .await
            .map_err(|source| BuildError::Open { migration: migration.to_owned(), source })
    }

    /// Stops every engine in order. The journal is then complete, and the next start goes on. Whoever waits for
    /// [`Daemon::stopping`] ends now.
    pub async fn shutdown(&self) {
        self.inner.stopping.cancel();
        let guards = self.guards();
        join_all(guards.iter().map(|guard| guard.handle.shutdown())).await;
    }

    pub fn config(&self) -> &Config {
        &self.inner.config
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

    pub(crate) fn sampler(&self) -> &Sampler {
        &self.inner.options.sampler
    }

    pub(crate) fn read_only(&self) -> &Ports {
        &self.inner.read_only
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.inner.catalogue.clone()
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

fn by_migration(plans: Vec<PlanFile>) -> Result<BTreeMap<Name, PlanFile>, BuildError> {
    let mut found: BTreeMap<Name, PlanFile> = BTreeMap::new();
    for file in plans {
        let migration = file.loaded.plan.migration.clone();
        if let Some(first) = found.get(&migration) {
            return Err(BuildError::SameMigration { migration, first: first.path.clone(), second: file.path });
        }
        found.insert(migration, file);
    }
    Ok(found)
}
