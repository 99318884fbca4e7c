//! One guarded migration: its engine, and its plan file as it is on disk now.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use belay_engine::{Handle, Readiness, Snapshot};
use belay_plan::{
    Loaded,
    catalogue::Catalogue,
    model::{Plan, Step},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{pipeline::Pipeline, plan_files::PlanFile};

pub(crate) struct Guard {
    pub(crate) handle: Handle,
    on_disk: Mutex<OnDisk>,
    /// Held while the file is read: a disk that hangs holds one thread, however many ask.
    pub(crate) reading: Arc<tokio::sync::Mutex<()>>,
    /// The last evaluation for somebody who asked.
    evaluated: Mutex<Option<Arc<Readiness>>>,
    /// The `belay guard` that runs the migration's command, if any.
    pub(crate) pipeline: Pipeline,
}

/// What the plan file says now. What is armed is in the journal, and does not change with the file.
#[derive(Debug, Clone)]
pub(crate) struct OnDisk {
    /// The last that could be used; None when there was none at the start.
    file: Option<PlanFile>,
    /// Why what is on disk now cannot be used.
    problem: Option<String>,
    /// It guards another migration by now.
    anothers: bool,
}

impl Guard {
    pub(crate) fn new(handle: Handle, file: Option<PlanFile>) -> Self {
        let problem = file.is_none().then(|| "there is no plan file for it that can be used".to_owned());
        let on_disk = Mutex::new(OnDisk { file, problem, anothers: false });
        Self { handle, on_disk, reading: Arc::default(), evaluated: Mutex::default(), pipeline: Pipeline::default() }
    }

    pub(crate) fn name(&self) -> &str {
        self.handle.migration()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.handle.snapshot()
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.lock().file.as_ref().map(|file| file.path.clone())
    }

    /// The plan that the file holds, or why it cannot be used.
    pub(crate) fn loaded(&self) -> Result<Arc<Loaded>, String> {
        match &*self.lock() {
            OnDisk { file: Some(file), problem: None, .. } => Ok(file.loaded.clone()),
            OnDisk { problem, .. } => Err(problem.clone().unwrap_or_default()),
        }
    }

    /// The file could not be looked at.
    pub(crate) fn set_problem(&self, why: &str) {
        why.clone_into(self.lock().problem.get_or_insert_default());
    }

    /// The path of a file that can be used.
    pub(crate) fn usable_path(&self) -> Option<PathBuf> {
        self.loaded().ok().and_then(|_| self.path())
    }

    /// What was its file guards another migration by now.
    pub(crate) fn file_is_anothers(&self) -> bool {
        self.lock().anothers
    }

    /// Who else than root and the user of Belay can write to the file, if anybody can.
    pub(crate) fn others(&self) -> Option<String> {
        self.lock().file.as_ref().and_then(|file| file.others.clone())
    }

    /// When the file was last written.
    pub(crate) fn modified(&self) -> Option<Timestamp> {
        self.lock().file.as_ref().and_then(|file| file.modified)
    }

    pub(crate) fn set_file(&self, file: PlanFile) {
        *self.lock() = OnDisk { file: Some(file), problem: None, anothers: false };
    }

    /// Looks at the file again. Blocks on the disk.
    pub(crate) fn refresh(&self, catalogue: &Catalogue) {
        let Some(before) = self.lock().file.clone() else { return };
        let (migration, path) = (self.name(), before.path.display());
        let (problem, anothers) = match before.load_again(catalogue) {
            Ok(file) if file.loaded.plan.migration != migration => {
                (format!("{path} guards {} now", file.loaded.plan.migration), true)
            }
            Ok(file) => {
                if file.loaded.sha256 != before.loaded.sha256 {
                    tracing::info!(migration, %path, "the plan file has changed; it counts from the next `belay arm` on");
                }
                return self.set_file(file);
            }
            Err(error) => {
                if self.lock().problem.as_ref() != Some(&error.to_string()) {
                    error.log();
                }
                (error.to_string(), false)
            }
        };
        let mut on_disk = self.lock();
        if anothers && on_disk.problem.as_ref() != Some(&problem) {
            tracing::error!(migration, "{problem}");
        }
        (on_disk.problem, on_disk.anothers) = (Some(problem), anothers);
    }

    /// Why what is on disk now cannot be used, if it cannot.
    pub(crate) fn file_problem(&self) -> Option<String> {
        self.lock().problem.clone()
    }

    /// The plan that acts or may act by itself: the armed one, or that of the run under way.
    pub(crate) fn live_plan(&self) -> Option<Arc<Plan>> {
        let state = self.snapshot().state.clone();
        let running = state.open_run().map(|run| run.plan.clone());
        running.or_else(|| state.plan.clone().filter(|_| state.armed.is_some()))
    }

    /// The latest evaluation of a plan, whether the watch or somebody's question made it.
    pub(crate) fn evaluated(&self, plan_sha256: &str) -> Option<Arc<Readiness>> {
        let asked = self.evaluated.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let watched = self.snapshot().readiness.clone();
        let of_plan = |found: &Arc<Readiness>| found.plan_sha256 == plan_sha256;
        [asked, watched].into_iter().flatten().filter(of_plan).max_by_key(|found| found.at)
    }

    pub(crate) fn keep_evaluated(&self, found: Arc<Readiness>) {
        *self.evaluated.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    fn lock(&self) -> MutexGuard<'_, OnDisk> {
        self.on_disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A resource that both plans act on.
pub(crate) fn shared_resource<'p>(one: &'p Plan, other: &Plan) -> Option<&'p str> {
    let same = |a: &Step, b: &Step| {
        let accounts = (&a.aws.account, &b.aws.account);
        // The same name in another account is another thing; where an account is not named, nobody can know.
        let elsewhere = matches!(accounts, (Some(a), Some(b)) if a != b);
        !a.resource.is_empty() && a.resource == b.resource && !elsewhere
    };
    one.steps
        .values()
        .find(|step| other.steps.values().any(|other| same(step, other)))
        .map(|step| step.resource.as_str())
}

/// The parts in which one plan is not the other: `window`, `steps.dns_back`. Empty when only what is no part of the plan
/// differs, such as a comment.
pub(crate) fn differences(one: &Plan, other: &Plan) -> Vec<String> {
    let (one, other) = (json!(one), json!(other));
    let mut found = Vec::new();
    for key in keys(&one, &other) {
        let parts = (&one[&key], &other[&key]);
        match parts {
            (one, other) if one == other => {}
            (Value::Object(_), Value::Object(_)) if NAMED.contains(&key.as_str()) => {
                let names = keys(parts.0, parts.1).into_iter().filter(|name| parts.0[name] != parts.1[name]);
                found.extend(names.map(|name| format!("{key}.{name}")));
            }
            _ => found.push(key),
        }
    }
    found
}

/// Parts of a plan that have names.
const NAMED: [&str; 4] = ["signals", "triggers", "steps", "notify"];

/// Of both objects, in order, each once.
fn keys(one: &Value, other: &Value) -> Vec<String> {
    let of = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default();
    let mut keys: Vec<String> = of(one);
    let more: Vec<String> = of(other);
    keys.extend(more.into_iter().filter(|key| one.get(key).is_none()));
    keys
}
