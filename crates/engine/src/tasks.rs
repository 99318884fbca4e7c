//! The looks and sends under way, held against what the state wants.

use std::{
    collections::{BTreeMap, HashMap},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use belay_core::{
    change::{Assessment, Doc, Effect},
    id::RunId,
    input::{ErrorClass, Input, Look, LookFailure, SendFailure},
    run::Run,
    wants::{ApplyTask, LookTask, Task, TaskId, Wants},
};
use belay_plan::model::{AwsTarget, Name, OnDrift, Step};
use belay_ports::{AccountError, Actuator, Actuators, ApplyError, Clock, Interruption, Ports, Scope};
use futures::FutureExt;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tracing::{Instrument, Span};

use crate::drift::{self, Drift, Should};

/// Looks that have come back and wait for the loop; a look that finds it full waits.
const LOOKS_MAX: usize = 256;

/// A look that hangs for longer than this has failed.
const LOOK_TIME_MAX: Duration = Duration::from_secs(60);

const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Everything that runs for one migration. Dropping it stops all of it, as a crash would.
pub(crate) struct Tasks {
    ports: Ports,
    /// The run that the ids are of.
    run: Option<RunId>,
    looks: BTreeMap<TaskId, RunningLook>,
    looked: mpsc::Receiver<Looked>,
    looker: mpsc::Sender<Looked>,
    serial: u64,
    /// The sends that the state wants, by the id of the task.
    sends: BTreeMap<TaskId, WantedSend>,
    under_way: HashMap<tokio::task::Id, (Name, u32)>,
    set: JoinSet<Option<Input>>,
    /// The accounts that were verified since the run began.
    verified: Arc<Verified>,
}

struct RunningLook {
    serial: u64,
    abort: AbortHandle,
}

struct Looked {
    id: TaskId,
    /// An answer of a look that was stopped, and wanted again later, is not taken for one of the new look.
    serial: u64,
    input: Input,
}

/// Where the answers of one look go.
struct Answers {
    id: TaskId,
    serial: u64,
    step: Name,
    to: mpsc::Sender<Looked>,
}

impl Answers {
    async fn send(&self, result: Result<Look, LookFailure>) {
        let input = Input::Looked { step: self.step.clone(), result };
        // An error means that the loop has gone; it takes this task with it.
        let _ = self.to.send(Looked { id: self.id, serial: self.serial, input }).await;
    }
}

struct WantedSend {
    /// On the monotonic clock: later it is not sent any more.
    send_before: Duration,
    started: bool,
}

impl Tasks {
    pub(crate) fn new(ports: Ports) -> Self {
        let (looker, looked) = mpsc::channel(LOOKS_MAX);
        Self {
            ports,
            run: None,
            looks: BTreeMap::new(),
            looked,
            looker,
            serial: 0,
            sends: BTreeMap::new(),
            under_way: HashMap::new(),
            set: JoinSet::new(),
            verified: Arc::default(),
        }
    }

    /// Starts what is newly wanted, keeps what still is, stops the looks that are not. A send is never stopped: its
    /// answer matters. `since`: when the state that wants all this was decided, on the monotonic clock.
    pub(crate) fn reconcile(&mut self, wants: &Wants, run: Option<&Run>, since: Duration) {
        if self.run != wants.run {
            self.stop_looks();
            self.sends.clear();
            self.run.clone_from(&wants.run);
            self.verified = Arc::default();
            if let Some(run) = run {
                self.verify(run);
            }
        }
        let wanted = &wants.tasks;
        self.looks.retain(|id, look| {
            let keep = wanted.contains(id);
            if !keep {
                look.abort.abort();
            }
            keep
        });
        self.sends.retain(|id, _| wanted.contains(id));
        let Some(run) = run else { return };
        for id in wanted {
            if self.looks.contains_key(id) || self.sends.get(id).is_some_and(|send| send.started) {
                continue;
            }
            match run.task(*id) {
                Some(Task::Look(look)) => self.start_look(*id, look, run),
                Some(Task::Apply(apply)) => self.start_send(*id, apply, run, since),
                None => {}
            }
        }
        if run.aborting {
            self.interrupt(run, Interruption::Abort);
        }
    }

    /// A send is never dropped, but neither an abort nor a stop need wait for what can be ended.
    pub(crate) fn interrupt(&self, run: &Run, why: Interruption) {
        for (step, _) in self.under_way.values() {
            if let Ok((actuator, scope)) = prepare(&self.ports, run, step) {
                actuator.interrupt(&scope, why);
            }
        }
    }

    /// Credentials may be of another account by now. It is asked while the first looks are under way, so that the first
    /// change need not wait for the answer.
    fn verify(&mut self, run: &Run) {
        let (verified, actuators, plan) = (self.verified.clone(), self.ports.actuators.clone(), run.plan.clone());
        self.set.spawn(async move {
            for target in crate::scope::targets(&plan, actuators.as_ref()) {
                let _ = verified.admit(actuators.as_ref(), &target).await; // a send asks again, and says what is wrong
            }
            None
        });
    }

    fn start_look(&mut self, id: TaskId, look: LookTask, run: &Run) {
        self.serial += 1;
        let serial = self.serial;
        let prepared = prepare(&self.ports, run, &look.step);
        let guarded = Guarded::of(run, &look.step);
        let (clock, trace) = (self.ports.clock.clone(), Trace::of(run, &look.step));
        let answers = Answers { id, serial, step: look.step.clone(), to: self.looker.clone() };
        let abort = self.set.spawn(async move {
            look_repeatedly(clock.as_ref(), &look, prepared, guarded, answers, &trace).await;
            None
        });
        self.looks.insert(id, RunningLook { serial, abort });
    }

    /// One send for one id, and one at a time for a step: when the process was asleep, core may want the next send while
    /// the answer of the last is still out.
    fn start_send(&mut self, id: TaskId, apply: ApplyTask, run: &Run, since: Duration) {
        let send_before = since + Duration::from_millis(apply.send_within_ms);
        let busy = self.under_way.values().any(|(step, _)| *step == apply.key.step);
        let send = self.sends.entry(id).or_insert(WantedSend { send_before, started: false });
        if busy {
            return;
        }
        send.started = true;
        let (send_before, clock) = (send.send_before, self.ports.clock.clone());
        let prepared = prepare(&self.ports, run, &apply.key.step);
        let (verified, actuators) = (self.verified.clone(), self.ports.actuators.clone());
        let (step, attempt) = (apply.key.step.clone(), apply.key.attempt);
        let span = Trace::of(run, &step).send(attempt);
        let task = self.set.spawn(async move {
            let admitted = async {
                let (actuator, scope) = prepared.map_err(permanent)?;
                verified.admit(actuators.as_ref(), &scope.aws).await.map_err(not_admitted)?;
                send_once(clock.as_ref(), send_before, actuator.as_ref(), &scope, &apply).await
            };
            let result = admitted.instrument(span).await;
            Some(Input::Applied { step: apply.key.step, attempt: apply.key.attempt, result })
        });
        self.under_way.insert(task.id(), (step, attempt));
    }

    /// The next answer that somebody still wants.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            tokio::select! {
                biased;
                Some(joined) = self.set.join_next_with_id() => {
                    let (id, answer) = match joined {
                        Ok((id, answer)) => (id, answer),
                        Err(error) => (error.id(), None),
                    };
                    let Some((step, attempt)) = self.under_way.remove(&id) else { continue };
                    return answer.unwrap_or_else(|| {
                        let why = "internal error: sending this change panicked; see the daemon log".to_owned();
                        Input::Applied { step, attempt, result: Err(SendFailure::OutcomeUnknown { why }) }
                    });
                }
                Some(looked) = self.looked.recv() => {
                    if self.looks.get(&looked.id).is_some_and(|look| look.serial == looked.serial) {
                        return looked.input;
                    }
                }
            }
        }
    }

    pub(crate) fn stop_looks(&mut self) {
        std::mem::take(&mut self.looks).into_values().for_each(|look| look.abort.abort());
    }

    pub(crate) fn is_sending(&self) -> bool {
        !self.under_way.is_empty()
    }
}

/// What a span says of the run that it belongs to. `otel.step_began` tells the times apart when a step is tried again.
struct Trace {
    migration: String,
    incident: Option<String>,
    run: String,
    step: String,
    began: Option<String>,
}

impl Trace {
    fn of(run: &Run, step: &str) -> Self {
        Self {
            migration: run.plan.migration.clone(),
            incident: run.incident.as_ref().map(ToString::to_string),
            run: run.id.to_string(),
            step: step.to_owned(),
            began: run.steps.get(step).and_then(|step| step.started).map(|at| at.to_string()),
        }
    }

    fn look(&self) -> Span {
        let Self { migration, incident, run, step, began } = self;
        tracing::info_span!(parent: None, "look", migration, incident, run, step, otel.step_began = began)
    }

    fn send(&self, attempt: u32) -> Span {
        let Self { migration, incident, run, step, began } = self;
        tracing::info_span!(parent: None, "send", migration, incident, run, step, attempt, otel.step_began = began)
    }
}

/// The accounts of one run that the credentials were found to be of. Nothing is changed in an account before it is among
/// them.
#[derive(Default)]
struct Verified(tokio::sync::Mutex<Vec<AwsTarget>>);

impl Verified {
    async fn admit(&self, actuators: &dyn Actuators, target: &AwsTarget) -> Result<(), AccountError> {
        if *target == AwsTarget::default() {
            return Ok(()); // it reaches into no account
        }
        // Whoever comes meanwhile waits for the same answer.
        let mut verified = self.0.lock().await;
        if !verified.contains(target) {
            actuators.verify_account(target).await?;
            verified.push(target.clone());
        }
        Ok(())
    }
}

fn permanent(why: String) -> SendFailure {
    SendFailure::NoEffect { why, class: ErrorClass::Permanent }
}

fn not_admitted(error: AccountError) -> SendFailure {
    let class = match error {
        AccountError::Wrong { .. } => ErrorClass::Permanent,
        AccountError::Unverified { .. } => ErrorClass::Transient,
    };
    SendFailure::NoEffect { why: error.to_string(), class }
}

type Prepared = Result<(Arc<dyn Actuator>, Scope), String>;

/// What a resource should be before the step's first send, where the plan wants a person's word if it is not.
struct Guarded {
    /// None where that is not known: then only what the step relies on is held against the baseline.
    should: Option<Should>,
    step: Step,
}

impl Guarded {
    fn of(run: &Run, name: &str) -> Option<Self> {
        let step = run.plan.steps.get(name).filter(|step| step.on_drift == OnDrift::Halt)?;
        let untouched = run.steps.get(name).is_some_and(|state| state.before.is_none());
        let should = Should::after_cutover(name, step, run.cutover, &run.expected);
        untouched.then(|| Self { should, step: step.clone() })
    }

    /// With what somebody has changed since, for the person who is asked.
    fn mark(&self, actuator: &dyn Actuator, scope: &Scope, now: &Doc, assessment: Assessment) -> Assessment {
        let Assessment::Remaining(mut changes) = assessment else { return assessment };
        let mut found = match self.should.as_ref().map(|should| should.drift(actuator, scope, &self.step, now)) {
            Some(Drift::Changed(found)) => found,
            // Whether somebody has changed it is not known, so a person decides.
            Some(Drift::Incomparable(why)) => vec![why],
            Some(Drift::None | Drift::NotApplicable) | None => Vec::new(),
        };
        found.extend(drift::altered(actuator, scope, now));
        if let Some(first) = changes.first_mut().filter(|_| !found.is_empty()) {
            first.effects.push(Effect::Overwrites { found });
        }
        Assessment::Remaining(changes)
    }
}

fn prepare(ports: &Ports, run: &Run, step: &str) -> Prepared {
    let scope = crate::scope::of_run(run, step).ok_or_else(|| format!("the plan has no step {step}"))?;
    let action = &run.plan.steps[step].action;
    let actuator = ports.actuators.actuator(action).ok_or_else(|| format!("this Belay has no action {action}"))?;
    Ok((actuator, scope))
}

/// Looks, and looks again for as long as nobody stops it: soon at first, then every 1% of the time gone. A look that takes
/// long, as AWS throttles, is followed by a pause of the same length: the others need the quota, too.
async fn look_repeatedly(
    clock: &dyn Clock,
    look: &LookTask,
    prepared: Prepared,
    guarded: Option<Guarded>,
    answers: Answers,
    trace: &Trace,
) {
    let (actuator, mut scope) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return answers.send(Err(LookFailure { why, permanent: true })).await,
    };
    if let Some(wait) = look.not_before.and_then(|at| Duration::try_from(at.duration_since(clock.now())).ok()) {
        clock.sleep(wait).await;
    }
    let pace = actuator.pace().clamp(FIRST_PAUSE, look.pause_max);
    loop {
        let began = clock.monotonic();
        let looked = look_once(clock, actuator.as_ref(), &scope, look, guarded.as_ref()).instrument(trace.look()).await;
        let took = clock.monotonic().saturating_sub(began);
        scope.previous = looked.as_ref().ok().map(|look| look.doc.clone());
        let is_calm =
            looked.as_ref().is_ok_and(|look| matches!(look.assessment, Assessment::InPlace | Assessment::Settling(_)));
        answers.send(looked).await;
        let gone = Duration::try_from(clock.now().duration_since(look.since)).unwrap_or_default();
        let pause = |gone: Duration| (gone / 100).max(took).clamp(pace, look.pause_max);
        let (mut due, mut waited) = (pause(gone), Duration::ZERO);
        if is_calm {
            let from = clock.monotonic();
            actuator.stirs(&scope).await;
            waited = clock.monotonic().saturating_sub(from);
            // The looks that would have found the same are left out; the next one comes when it would have come after them.
            while due + took < waited {
                due += took + pause(gone + due + took);
            }
        }
        clock.sleep(due.saturating_sub(waited)).await;
    }
}

async fn look_once(
    clock: &dyn Clock,
    actuator: &dyn Actuator,
    scope: &Scope,
    look: &LookTask,
    guarded: Option<&Guarded>,
) -> Result<Look, LookFailure> {
    let observed = async {
        let doc = actuator
            .look(scope, &look.receipts)
            .await
            .map_err(|error| LookFailure { why: error.why, permanent: error.permanent })?;
        let assessment = actuator
            .assess(scope, &doc, &look.receipts)
            .map_err(|corrupt| LookFailure { why: corrupt.0, permanent: true })?;
        let assessment = match guarded {
            Some(guarded) => guarded.mark(actuator, scope, &doc, assessment),
            None => assessment,
        };
        Ok(Look { doc, assessment, stage: look.stage })
    };
    tokio::select! {
        biased;
        looked = AssertUnwindSafe(observed).catch_unwind() => looked.unwrap_or_else(|_| {
            let why = "internal error: observing this step panicked; see the daemon log".to_owned();
            Err(LookFailure { why, permanent: true })
        }),
        () = clock.sleep(LOOK_TIME_MAX) => {
            Err(LookFailure { why: "no answer within a minute".to_owned(), permanent: false })
        }
    }
}

/// Sends one change, once; or not at all, if the time for it has run out.
async fn send_once(
    clock: &dyn Clock,
    send_before: Duration,
    actuator: &dyn Actuator,
    scope: &Scope,
    apply: &ApplyTask,
) -> Result<serde_json::Value, SendFailure> {
    if clock.monotonic() > send_before {
        let why = "it was not sent: too much time has passed since it was decided".to_owned();
        return Err(SendFailure::NoEffect { why, class: ErrorClass::Transient });
    }
    actuator.apply(scope, &apply.key, &apply.change).await.map_err(|error| match error {
        ApplyError::NoEffect { why, class } => SendFailure::NoEffect { why, class },
        ApplyError::Declined { why, body } => SendFailure::Declined { why, body },
        ApplyError::OutcomeUnknown { why } => SendFailure::OutcomeUnknown { why },
    })
}
