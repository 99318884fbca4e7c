//! Steps that run on this host: `command`, a program that has ended with exit code 0.
//!
//! A program cannot be asked afterwards how it went: its exit code is the answer, and the answer is kept as a receipt. When
//! Belay dies while it runs, nobody knows the outcome, and a person decides, unless the plan says that it may run twice.

mod process;
mod program;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use belay_core::{
    change::{Assessment, Change, Effect, Key, Receipt, Repeats},
    input::ErrorClass,
};
use belay_plan::{
    catalogue::{ActionSpec, Finding},
    shape::{Text, boolean, field, filled_list, map, object, pattern, text},
};
use belay_ports::{
    Actuator, ApplyError, Clock, Corrupt, Fut, Permission, ReadError, Scope, System, Typed,
    job::{self, Execution},
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// The action's name in plans.
pub const ACTION: &str = "command";

/// How long a program is taken to run where nothing has been measured.
const EXPECTED: Duration = Duration::from_secs(10);

/// What `command` takes.
fn spec() -> ActionSpec {
    let variable = Text::new("the name of an environment variable", Some("^[A-Za-z_][A-Za-z0-9_]*$"));
    ActionSpec {
        name: ACTION,
        summary: "Runs a program on the host of Belay, and waits until it has ended with exit code 0.",
        with: object([
            field(
                "argv",
                filled_list(text("a word of the command")),
                "The program, absolute or found in PATH, and its arguments, each as it is: there is no shell.",
            ),
            field("env", map(variable, text("a value")), "Environment variables. No secrets: the plan is journaled.")
                .or(json!({})),
            field(
                "directory",
                pattern("an absolute path", "^/.*$"),
                "Where it runs; the directory of Belay if left out.",
            )
            .optional(),
            field(
                "idempotent",
                boolean(),
                "Whether it may run twice: then a lost outcome is no reason to ask a person.",
            )
            .or(false),
        ]),
        to: None,
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(10 * 60),
        loses_data: false,
        resource: |_| String::new(),
        check: |with, _| {
            let program = with["argv"][0].as_str().unwrap_or_default();
            let relative = program.contains('/') && !program.starts_with('/');
            let finding = || {
                Finding::new(
                    "/with/argv/0",
                    format!("`{program}` is a relative path, and depends on where Belay was started"),
                )
                .help("give an absolute path, or the name of a program that is in PATH")
            };
            relative.then(finding).into_iter().collect()
        },
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct With {
    argv: Vec<String>,
    #[serde(default)]
    env: IndexMap<String, String>,
    directory: Option<PathBuf>,
    #[serde(default)]
    idempotent: bool,
}

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The program's file. None: there is none on this host.
    program: Option<PathBuf>,
    newest: Option<Execution>,
}

/// What a send needs.
#[derive(Debug, Serialize, Deserialize)]
struct Arguments {
    number: u32,
    program: PathBuf,
    #[serde(flatten)]
    with: With,
}

/// The programs that steps run.
#[derive(Clone)]
pub struct Programs(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    allowed: bool,
    /// Those that run, by run and step.
    running: Mutex<BTreeMap<(String, String), Arc<Notify>>>,
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("allowed", &self.0.allowed).finish_non_exhaustive()
    }
}

impl Programs {
    /// `allowed`: whether programs may be started at all. Where only reading is allowed, a program is not even run to
    /// see what it would do: nobody knows what it changes.
    pub fn new(clock: Arc<dyn Clock>, allowed: bool) -> Self {
        Self(Arc::new(Inner { clock, allowed, running: Mutex::default() }))
    }

    /// The actions that plans may use.
    pub fn specs() -> Vec<ActionSpec> {
        vec![spec()]
    }

    pub fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>> {
        (action == ACTION).then(|| Arc::new(Typed(self.clone())) as Arc<dyn Actuator>)
    }

    async fn run(&self, scope: &Scope, key: &Key, change: &Change) -> Result<Value, ApplyError> {
        let refused = |why: String| ApplyError::NoEffect { why, class: ErrorClass::Permanent };
        if !self.0.allowed {
            return Err(refused("this session may only read: Belay refused to start a program".to_owned()));
        }
        let arguments = Arguments::deserialize(&change.args)
            .map_err(|error| refused(format!("the change {} cannot be understood: {error}", change.id)))?;
        let Arguments { number, program, with } = arguments;
        let environment = program::environment(std::env::vars(), &with.env, scope, key);
        let guard = self.register(scope);
        let job = process::Job {
            program: &program,
            arguments: &with.argv[1..],
            environment,
            directory: with.directory.as_deref(),
            deadline: scope.deadline,
        };
        let ended = process::run(&job, self.0.clock.as_ref(), &guard.interrupted).await.map_err(|error| {
            let why = format!("{} could not be started: {error}", program.display());
            let class = match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::ExecutableFileBusy => ErrorClass::Transient,
                _ => ErrorClass::Permanent,
            };
            ApplyError::NoEffect { why, class }
        })?;
        Ok(json!(Execution {
            number,
            id: format!("process {}", ended.pid),
            state: ended.state(&program),
            logs: String::new()
        }))
    }

    fn register(&self, scope: &Scope) -> Registered {
        let interrupted = Arc::new(Notify::new());
        let place = place(scope);
        self.running().insert(place.clone(), interrupted.clone());
        Registered { programs: self.clone(), place, interrupted }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Arc<Notify>>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(scope: &Scope) -> (String, String) {
    (scope.run.as_ref().map(ToString::to_string).unwrap_or_default(), scope.step.clone())
}

/// A program that can be interrupted, as long as this is held.
struct Registered {
    programs: Programs,
    place: (String, String),
    interrupted: Arc<Notify>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.programs.running().remove(&self.place);
    }
}

impl System for Programs {
    type With = With;
    type State = Found;

    fn observe<'a>(
        &'a self,
        _scope: &'a Scope,
        with: With,
        receipts: &'a [Receipt],
    ) -> Fut<'a, Result<Found, ReadError>> {
        Box::pin(async move {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let name = with.argv.first().map(String::as_str).unwrap_or_default();
            Ok(Found { program: program::find(name, &path), newest: job::answered(receipts) })
        })
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &Found,
        _baseline: Option<&Found>,
        _receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        let Some(name) = with.argv.first() else { return Err(Corrupt("the command is empty".to_owned())) };
        if let (None, None) = (&now.program, &now.newest) {
            let place = if name.starts_with('/') { "that can be run" } else { "in PATH" };
            return Ok(Assessment::Failed { why: format!("on this host there is no program {name} {place}") });
        }
        let program = now.program.clone().unwrap_or_else(|| PathBuf::from(name));
        let once = if with.idempotent { "" } else { " (a lost outcome cannot be looked up)" };
        Ok(job::assess(scope, now.newest.as_ref(), || Change {
            id: job::START.to_owned(),
            title: format!("run {}{once}", program::line(&with.argv)),
            before: json!({ "execution": "none" }),
            after: json!({ "execution": "succeeded" }),
            call: "local:exec".to_owned(),
            args: json!(Arguments { number: job::number(scope), program, with: with.clone() }),
            effects: vec![Effect::StartsJob { name: name.clone() }],
            repeats: if with.idempotent { Repeats::Converges } else { Repeats::Never },
            expected: EXPECTED,
        }))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(self.run(scope, key, change))
    }

    /// None of AWS; what the program itself needs is not known.
    fn permissions(&self, _scope: &Scope, _with: &With) -> Vec<Permission> {
        Vec::new()
    }

    fn interrupt(&self, scope: &Scope) {
        if let Some(running) = self.running().get(&place(scope)) {
            running.notify_one();
        }
    }
}
