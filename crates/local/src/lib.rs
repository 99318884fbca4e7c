//! This host: the action `command`, a program that has ended with exit code 0, and files and secrets that people name.
//! [`mask`] keeps those secrets out of what services answer.
//!
//! A program cannot be asked afterwards how it went: its exit code is the answer, and the answer is kept as a receipt. When
//! Belay dies while it runs, nobody knows the outcome, and a person decides, unless the plan says that it may run twice.

mod family;
pub mod files;
pub mod mask;
mod output;
pub mod permit;
mod process;
mod program;
pub mod secrets;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_core::{
    change::{Assessment, Change, Effect, Key, Progress, Receipt, Repeats},
    input::ErrorClass,
};
use belay_plan::{
    catalogue::{ActionSpec, Finding},
    model::Nature,
    shape::{Text, boolean, field, filled_list, map, object, pattern, text},
};
use belay_ports::{
    Actuator, ApplyError, Clock, Corrupt, Fut, Interruption, Permission, ReadError, Scope, System, Typed,
    job::{self, Execution},
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    family::Mark,
    output::Secrets,
    permit::Gate,
    process::{Job, Meaning},
};

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
        nature: Nature::Job,
        usual: None,
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
    /// The program's file. None: it cannot be run on this host.
    program: Option<PathBuf>,
    /// Why it cannot be run.
    #[serde(default)]
    problem: String,
    /// Processes of an earlier try, which Belay did not see end.
    #[serde(default)]
    left: Vec<i32>,
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
    gate: Gate,
    running: Mutex<Running>,
}

/// The programs that run, by run and step, each with why it is to end.
type Running = BTreeMap<(String, String), watch::Sender<Option<Interruption>>>;

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("allowed", &self.0.allowed).finish_non_exhaustive()
    }
}

impl Programs {
    /// `allowed`: whether programs may be started at all. Where only reading is allowed, a program is not even run to
    /// see what it would do: nobody knows what it changes.
    /// `gate`: which of them.
    pub fn new(clock: Arc<dyn Clock>, allowed: bool, gate: Gate) -> Self {
        Self(Arc::new(Inner { clock, allowed, gate, running: Mutex::default() }))
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
        self.0.gate.judge(&permit::run_of(&scope.step, &with.argv)).map_err(refused)?;
        let job = Job {
            program: program.clone(),
            arguments: with.argv.into_iter().skip(1).collect(),
            environment: program::environment(program::own_environment(), &with.env, scope, key),
            directory: with.directory,
            mark: mark(scope),
            deadline: scope.deadline,
        };
        let secrets = Secrets::of(program::own_environment(), self.0.gate.secrets().known());
        let guard = self.register(scope);
        let ended = process::run(job, self.0.clock.as_ref(), guard.interrupted.subscribe(), &secrets).await;
        let ended = ended.map_err(|error| {
            let why = format!("{} could not be started: {error}", program.display());
            let class = match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::ExecutableFileBusy => ErrorClass::Transient,
                _ => ErrorClass::Permanent,
            };
            ApplyError::NoEffect { why, class }
        })?;
        match ended.meaning(&program) {
            Meaning::Over(state) => {
                let id = format!("process {}", ended.pid);
                Ok(json!(Execution { number, id, state, logs: String::new() }))
            }
            Meaning::Unknown { why } => Err(ApplyError::OutcomeUnknown { why }),
        }
    }

    fn register(&self, scope: &Scope) -> Registered {
        let (interrupted, _) = watch::channel(None);
        let place = place(scope);
        self.running().insert(place.clone(), interrupted.clone());
        Registered { programs: self.clone(), place, interrupted }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(scope: &Scope) -> (String, String) {
    (scope.run.as_ref().map(ToString::to_string).unwrap_or_default(), scope.step.clone())
}

/// What all processes of a step's program have in their environment.
fn mark(scope: &Scope) -> Mark {
    let (run, step) = place(scope);
    Mark::new([(program::RUN, &run), (program::STEP, &step)])
}

/// A program that can be interrupted, as long as this is held.
struct Registered {
    programs: Programs,
    place: (String, String),
    interrupted: watch::Sender<Option<Interruption>>,
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
        scope: &'a Scope,
        with: With,
        receipts: &'a [Receipt],
    ) -> Fut<'a, Result<Found, ReadError>> {
        Box::pin(async move {
            // The first try has nothing before it; without a person's word there is no second one but of what may run twice.
            let earlier = scope.run.is_some() && (scope.tries > 1 || with.idempotent);
            let mark = earlier.then(|| mark(scope));
            let look = move || {
                let path = std::env::var_os("PATH").unwrap_or_default();
                (program::locate(&with, &path), mark.map(|mark| mark.carriers()).unwrap_or_default())
            };
            let (located, left) = tokio::task::spawn_blocking(look).await.map_err(|error| ReadError {
                why: format!("the look at the program failed: {error}"),
                permanent: true,
            })?;
            let problem = located.as_ref().err().cloned().unwrap_or_default();
            Ok(Found { program: located.ok(), problem, left, newest: job::answered(receipts) })
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
        let once = if with.idempotent { "" } else { " (a lost outcome cannot be looked up)" };
        let program = now.program.clone().unwrap_or_else(|| PathBuf::from(name));
        let assessment = job::assess(scope, now.newest.as_ref(), || Change {
            id: job::START.to_owned(),
            title: format!("run {}{once}", program::line(&with.argv)),
            before: json!({ "execution": "none" }),
            after: json!({ "execution": "succeeded" }),
            call: "local:exec".to_owned(),
            args: json!(Arguments { number: job::number(scope), program, with: with.clone() }),
            effects: vec![Effect::StartsJob { name: name.clone() }],
            keeps: None,
            repeats: if with.idempotent { Repeats::Converges } else { Repeats::Never },
            expected: EXPECTED,
        });
        Ok(match assessment {
            Assessment::Remaining(_) if now.program.is_none() => Assessment::Failed { why: now.problem.clone() },
            Assessment::Remaining(_) if !now.left.is_empty() => left_running(name, &now.left),
            assessment => assessment,
        })
    }

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(self.run(scope, key, change))
    }

    /// None of AWS; what the program itself needs is not known.
    fn permissions(&self, _scope: &Scope, _with: &With) -> Vec<Permission> {
        Vec::new()
    }

    fn interrupt(&self, scope: &Scope, why: Interruption) {
        if let Some(running) = self.running().get(&place(scope)) {
            running.send_if_modified(|told| {
                let first = told.is_none();
                told.get_or_insert(why);
                first
            });
        }
    }
}

/// Two of them at once are never what was wanted, also where it may run twice.
fn left_running(name: &str, left: &[i32]) -> Assessment {
    let pids = left.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let note =
        format!("{name} of an earlier try still runs, as process {pids}: it is waited for, or ended with `kill`");
    Assessment::Settling(Progress { fraction: None, note, expected_left_s: None })
}

/// Closes this process to the programs that it starts: they run as the same user, and could otherwise read its environment
/// and its memory, where its secrets are. It also leaves no core dump.
///
/// # Errors
/// The system refuses it.
#[cfg(target_os = "linux")]
pub fn close_to_children() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Only Linux has a way to do it.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn close_to_children() -> io::Result<()> {
    Ok(())
}
