//! Configuration and plan files, looked at again: on SIGHUP all of them, and each plan file whenever its status is asked
//! for or it is to be armed. What is armed stays as it was armed; a changed file shows as pending.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use belay_core::migration::Migration;
use belay_plan::{Loaded, PlanPlaces};
use futures::future::join_all;
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    config::{ArmPolicy, Config, ConfigError},
    daemon::Daemon,
    guard::Guard,
    plan_files::{self, PlanFile, PlanFileError},
};

/// How long a plan file, or the configuration, may take to be read.
const READ_MAX: Duration = Duration::from_secs(3);
/// All of them.
const READ_ALL_MAX: Duration = Duration::from_secs(30);

impl Daemon {
    /// Looks at one plan file again, one at a time, and gives what is in it now: nothing that was read before this was asked.
    ///
    /// # Errors
    /// Why it cannot be used, in words; also when its disk does not answer in time.
    pub(crate) async fn refresh(&self, guard: &Arc<Guard>) -> Result<Arc<Loaded>, String> {
        let reading = async {
            let turn = guard.reading.clone().lock_owned().await;
            let (guard, catalogue) = (guard.clone(), self.catalogue());
            let read = spawn_blocking(move || {
                guard.refresh(&catalogue);
                drop(turn);
                guard.loaded()
            });
            read.await.unwrap_or_else(|_| Err("Belay is stopping".to_owned()))
        };
        match timeout(READ_MAX, reading).await {
            Ok(read) => read,
            Err(_) => {
                let path = guard.path().unwrap_or_default();
                let why =
                    format!("{} was not read within {} s: does its disk answer?", path.display(), READ_MAX.as_secs());
                guard.set_problem(&why);
                Err(why)
            }
        }
    }

    /// What SIGHUP asks for: [`Daemon::read_again`], then arms what `arm: on_start` still should.
    pub async fn reload(&self) {
        self.read_again().await;
        self.arm_on_start().await;
    }

    /// Reads the configuration and every plan file again, as a start would: takes up what the globs name by now, and lets go
    /// of what they do not name any more, if nothing of it is live.
    pub(crate) async fn read_again(&self) {
        let _turn = self.one_reload_at_a_time().await;
        self.read_config_again().await;
        join_all(self.guards().iter().map(|guard| self.refresh(guard))).await;
        let (globs, catalogue) = (self.config().all_plans(), self.catalogue());
        // Whose file can be used has been looked at.
        let settled: BTreeSet<PathBuf> = self.guards().iter().filter_map(|guard| guard.usable_path()).collect();
        let reading = spawn_blocking(move || {
            let named = plan_files::find(&globs);
            let new = named.iter().filter(|path| !settled.contains(*path));
            let new: Vec<_> = new.map(|path| PlanFile::load(path, &catalogue)).collect();
            (named.iter().map(|path| canonical(path)).collect::<BTreeSet<_>>(), new)
        });
        let Ok(Ok((named, new))) = timeout(READ_ALL_MAX, reading).await else {
            let limit = READ_ALL_MAX.as_secs();
            tracing::error!(
                "the plan files were not read within {limit} s: does their disk answer? All stays as it was"
            );
            return;
        };
        let mut left_out = Vec::new();
        for file in new {
            if let Err(error) = match file {
                Ok(file) => self.take_up(file).await,
                Err(error) => Err(error),
            } {
                left_out.push(error);
            }
        }
        // What a guard says of its own file need not be said twice.
        left_out.retain(|error| !self.guards().iter().any(|guard| guard.path().as_deref() == Some(error.path())));
        self.leave_out(left_out);
        self.let_go_of_others(&named).await;
        tracing::info!(guarding = self.guards().len(), "everything has been read again");
    }

    async fn read_config_again(&self) {
        let before = self.config();
        let traced = self.traces().is_on();
        let reading = spawn_blocking(move || before.load_again(traced));
        let problem = match timeout(READ_MAX, reading).await {
            Err(_) => {
                let limit = READ_MAX.as_secs();
                let why = format!("the configuration was not read within {limit} s: does its disk answer?");
                tracing::error!("{why} It stays as it was");
                Some(why)
            }
            Ok(Err(_)) => return, // Belay is stopping
            Ok(Ok(Ok((config, later)))) => {
                for key in later {
                    tracing::warn!(key, "it has changed in the configuration, and takes a restart");
                }
                self.take_over(config);
                None
            }
            Ok(Ok(Err(error))) => {
                tracing::error!("{error}; the configuration stays as it was");
                if let ConfigError::Invalid { diagnostics, .. } = &error {
                    diagnostics.iter().for_each(|diagnostic| tracing::error!("{}", diagnostic.render(false)));
                }
                Some(format!("{error}; the last one that was valid holds"))
            }
        };
        self.vitals().noticed().config = problem;
    }

    fn take_over(&self, config: Config) {
        let guards = self.guards();
        let states: Vec<Arc<Migration>> = guards.iter().map(|guard| guard.snapshot().state.clone()).collect();
        match config.arm {
            ArmPolicy::Manual => states.iter().for_each(|state| self.set_unarmed(&state.name, None)),
            ArmPolicy::OnStart => {
                let unarmed = self.unarmed();
                let owed = states.iter().filter(|state| state.plan.is_none() && !unarmed.contains_key(&state.name));
                owed.for_each(|state| self.set_unarmed(&state.name, Some("not armed yet".to_owned())));
            }
        }
        self.set_config(config);
        self.start_traces();
        for guard in &guards {
            if let Some(Err(error)) =
                guard.live_plan().map(|plan| self.refuse_missing_people(&plan, &PlanPlaces::default()))
            {
                tracing::error!(migration = guard.name(), "{error}: nobody could approve or decide");
            }
        }
    }

    /// A file that was not known before: of a new migration, or of a known one whose file has moved.
    async fn take_up(&self, file: PlanFile) -> Result<(), PlanFileError> {
        let migration = file.loaded.plan.migration.clone();
        let path = file.path.display().to_string();
        match self.guard(&migration) {
            Some(guard) if guard.loaded().is_err() => {
                guard.set_file(file);
                tracing::info!(migration, path, "this is its plan file now");
            }
            Some(guard) => {
                let first = guard.path().unwrap_or_default();
                return Err(PlanFileError::SameMigration { path: file.path, first, migration });
            }
            None => match self.open(&migration, Some(file)).await {
                Ok(()) => tracing::info!(migration, path, "a new plan file"),
                Err(error) => tracing::error!(migration, path, %error, "it could not be taken up"),
            },
        }
        Ok(())
    }

    /// Migrations whose file is gone, guards another one now, or is not named any more. What is live goes on with the plan
    /// that was armed; of the rest nothing is left to guard.
    async fn let_go_of_others(&self, named: &BTreeSet<PathBuf>) {
        let _turn = self.one_arming_at_a_time().await;
        for guard in self.guards() {
            let keeps = |path: PathBuf| named.contains(&canonical(&path)) && !guard.file_is_anothers();
            if guard.path().is_some_and(keeps) {
                continue;
            }
            let migration = guard.name();
            if guard.snapshot().state.is_pending() {
                tracing::warn!(migration, "its plan file is gone; it goes on with the plan that was armed");
                continue;
            }
            guard.handle.shutdown().await;
            self.let_go(migration);
            tracing::info!(migration, "its plan file is gone, and nothing of it is live: it is not guarded any more");
        }
    }
}

/// `./a.yaml` and `a.yaml` are one file; one that is not there has the name that it had.
fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
