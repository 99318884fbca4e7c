//! Plan files, looked at again: on SIGHUP all of them, and each whenever its status is asked for or it is to be armed.
//! What is armed stays as it was armed; a changed file shows as pending.

use std::{path::PathBuf, sync::Arc};

use crate::{
    daemon::Daemon,
    guard::Guard,
    plan_files::{self, PlanFile, PlanFileError},
};

impl Daemon {
    /// Looks at one plan file again.
    pub(crate) async fn refresh(&self, guard: &Arc<Guard>) {
        let (guard, catalogue) = (guard.clone(), self.catalogue());
        // It only fails when the runtime is going away.
        let _ = tokio::task::spawn_blocking(move || guard.refresh(&catalogue)).await;
    }

    /// Looks at every plan file again, takes up those that the globs name by now, and arms what `arm: on_start` still
    /// should.
    pub async fn reload(&self) {
        let guards = self.guards();
        for guard in &guards {
            self.refresh(guard).await;
        }
        let known: Vec<PathBuf> = guards.iter().filter_map(|guard| guard.path()).collect();
        let (globs, catalogue) = (self.config().plans.clone(), self.catalogue());
        let reading = tokio::task::spawn_blocking(move || {
            let new = plan_files::find(&globs).into_iter().filter(|path| !known.contains(path));
            new.map(|path| PlanFile::load(&path, &catalogue)).collect::<Vec<_>>()
        });
        for file in reading.await.unwrap_or_default() {
            match file {
                Ok(file) => self.take_up(file).await,
                Err(error) => tell(&error),
            }
        }
        self.arm_on_start().await;
    }

    /// A file that was not known before: of a new migration, or of a known one whose file has moved.
    async fn take_up(&self, file: PlanFile) {
        let migration = file.loaded.plan.migration.clone();
        let path = file.path.display().to_string();
        match self.guard(&migration) {
            Some(guard) if guard.loaded().is_err() => {
                guard.set_file(file);
                tracing::info!(migration, path, "this is its plan file now");
            }
            Some(guard) => {
                let first = guard.path().unwrap_or_default();
                tracing::error!(migration, path, first = %first.display(), "left out: one migration has one plan");
            }
            None => match self.open(&migration, Some(file)).await {
                Ok(()) => tracing::info!(migration, path, "a new plan file"),
                Err(error) => tracing::error!(migration, path, %error, "it could not be taken up"),
            },
        }
    }
}

fn tell(error: &PlanFileError) {
    tracing::error!("{error}");
    if let PlanFileError::Invalid { diagnostics, .. } = error {
        for diagnostic in diagnostics {
            tracing::error!("{}", diagnostic.render(false));
        }
    }
}
