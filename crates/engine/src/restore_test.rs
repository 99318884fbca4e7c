//! A restore test: the restore of one step beside what it would replace, and the step's own queries of what came of it. A backup
//! that was never restored is a hope.
//!
//! It is a run of a plan of its own, with this step alone, in a stream of its own. So each call is on record before it is sent, a lost
//! answer is looked up, and what it took is known to the migration as what its relatives took is.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::Baseline,
    reading::{Health, Reading},
    run::Run,
};
use belay_plan::model::{Gate, Name, OnFailure, Overlaid, Plan, Step, Target};
use belay_ports::{Clock, Corrupt, Endpoint, Ports, Query, ReadError, Restored};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::{
    sampler::read_once,
    scope::{self, Unknown},
};

/// The stream of a migration's tests: beside it, and after its name, as those of its overlays are.
const STREAM: &str = "-restore-test";

/// Between two questions to a database that does not answer yet: its name has to spread first.
const PACE: Duration = Duration::from_secs(5);

/// A database that was just restored is asked again for so long at least.
const PATIENCE_MIN: Duration = Duration::from_secs(2 * 60);

/// The stream in which the tests of a migration are on record where no daemon has its journal.
pub(crate) fn stream_of(migration: &str) -> Name {
    format!("{migration}{STREAM}")
}

/// What is to be tested.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreTest {
    /// Of the test alone.
    pub plan: Arc<Plan>,
    /// What it restores like.
    pub baseline: Option<Baseline>,
}

/// Why there is nothing to test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreTestError {
    #[error("the plan has no step {step}")]
    NoSuchStep { step: Name, restoring: Vec<Name> },
    #[error("step {step} restores nothing: its action is {action}")]
    NoRestore { step: Name, action: String, restoring: Vec<Name> },
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("step {step}: {why}")]
    Corrupt { step: Name, why: String },
}

/// The test of a step's restore that begins now. `cutover`: when it was marked.
///
/// # Errors
/// [`RestoreTestError`] where the step has no restore that could be tested.
pub fn restore_test(
    ports: &Ports,
    plan: &Plan,
    step: &str,
    baseline: Option<&Baseline>,
    cutover: Option<Timestamp>,
) -> Result<RestoreTest, RestoreTestError> {
    scope::refuse_unknown(ports, plan)?;
    let began = ports.clock.now();
    let with = |step: &str| {
        let scope = scope::of_step(plan, step, None, None, cutover)?;
        ports.actuators.actuator(&plan.steps[step].action)?.restore_test(&scope, began).transpose()
    };
    let restoring = || plan.steps.keys().filter(|name| with(name).is_some()).cloned().collect();
    let step = step.to_owned();
    let Some(planned) = plan.steps.get(&step) else {
        return Err(RestoreTestError::NoSuchStep { step, restoring: restoring() });
    };
    let with = match with(&step) {
        None => {
            let action = planned.action.clone();
            return Err(RestoreTestError::NoRestore { step, action, restoring: restoring() });
        }
        Some(Err(Corrupt(why))) => return Err(RestoreTestError::Corrupt { step, why }),
        Some(Ok(with)) => with,
    };
    let migration = stream_of(&plan.migration);
    let alone = Step {
        action: planned.action.clone(),
        with,
        aws: planned.aws.clone(),
        to: Target::Own,
        others: None,
        resource: planned.resource.clone(),
        needs: Vec::new(),
        require: Vec::new(),
        verify: Vec::new(),
        timeout: planned.timeout,
        retry: planned.retry.clone(),
        on_failure: OnFailure::Halt,
        loses_data: false,
        approve: None,
        fences: Vec::new(),
        during: Vec::new(),
        stages: Vec::new(),
        expect: None,
        on_drift: Default::default(),
        nature: planned.nature,
        usual: planned.usual,
    };
    let entry = baseline.and_then(|baseline| baseline.steps.get(&step));
    let baseline = baseline.zip(entry).map(|(baseline, entry)| Baseline {
        migration: migration.clone(),
        captured: baseline.captured,
        plan_sha256: baseline.plan_sha256.clone(),
        steps: IndexMap::from([(step.clone(), entry.clone())]),
    });
    let plan = Plan {
        summary: Some(format!("A restore test of step {step} of {}.", plan.migration)),
        objectives: Default::default(),
        phases: IndexMap::new(),
        signals: IndexMap::new(),
        triggers: IndexMap::new(),
        decision: Default::default(),
        window: None,
        steps: IndexMap::from([(step, alone)]),
        confirm: Vec::new(),
        evidence: None,
        notify: Default::default(),
        checklist: Default::default(),
        accepts: Vec::new(),
        overlaid: Some(Overlaid { file_migration: plan.migration.clone(), overlay: None, set: Vec::new() }),
        aws: plan.aws.clone(),
        migration,
    };
    Ok(RestoreTest { plan: Arc::new(plan), baseline })
}

/// What a test has made by now: it looks once more. Empty for a run that is no test.
///
/// # Errors
/// [`ReadError`] where that cannot be found out.
pub async fn restored(ports: &Ports, run: &Run) -> Result<Restored, ReadError> {
    let corrupt = |Corrupt(why): Corrupt| ReadError { why, permanent: true };
    let Some((name, step)) = run.plan.steps.first() else { return Ok(Restored::default()) };
    let (Some(scope), Some(actuator)) = (scope::of_run(run, name), ports.actuators.actuator(&step.action)) else {
        return Ok(Restored::default());
    };
    let doc = actuator.observe(&scope, &run.steps[name].receipts).await?;
    Ok(actuator.restored(&scope, &doc).map_err(corrupt)?.unwrap_or_default())
}

/// What a query of the step's `verify` shows of the restored database.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub signal: Name,
    /// The error: why it was not asked.
    pub reading: Result<Reading, String>,
    /// How long the last read took.
    pub took: Duration,
}

impl Answer {
    fn is_healthy(&self) -> bool {
        self.reading.as_ref().is_ok_and(|reading| reading.health == Health::Healthy)
    }
}

/// Whether the answers prove the restore: at least one query was asked, and all that were are healthy.
pub fn proved(answers: &[Answer]) -> bool {
    let mut asked = answers.iter().filter(|answer| answer.reading.is_ok()).peekable();
    asked.peek().is_some() && asked.all(Answer::is_healthy)
}

/// Asks the restored database what the step's `verify` asks the one in its place. What cannot be redirected is not asked: it would be
/// production that answers.
pub async fn ask(ports: &Ports, plan: &Plan, step: &str, at: &Endpoint) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    let gates = plan.steps.get(step).map(|step| step.verify.as_slice()).unwrap_or_default();
    for gate in gates {
        if answers.iter().all(|answer| answer.signal != gate.signal) {
            answers.push(ask_one(ports, plan, gate, at).await);
        }
    }
    answers
}

async fn ask_one(ports: &Ports, plan: &Plan, gate: &Gate, at: &Endpoint) -> Answer {
    let signal = gate.signal.clone();
    let not_asked = |why: String| Answer { signal: signal.clone(), reading: Err(why), took: Duration::ZERO };
    let Some((kind, query)) = scope::query(plan, &scope::documents(std::iter::empty()), &signal) else {
        return not_asked("Belay itself knows it; it is of no database".to_owned());
    };
    let redirected = ports.sensors.sensor(&kind).map(|sensor| sensor.redirected(&query, at));
    let query = match redirected.unwrap_or_else(|| Err(format!("this Belay cannot read {kind}"))) {
        Ok(query) => query,
        Err(why) => return not_asked(format!("{kind}: {why}")),
    };
    until_decided(ports, &kind, query, gate.within.max(PATIENCE_MIN)).await
}

/// A database that does not answer says nothing of its data: it is asked again for a while.
async fn until_decided(ports: &Ports, kind: &str, query: Query, within: Duration) -> Answer {
    let (clock, signal): (&dyn Clock, _) = (ports.clock.as_ref(), query.signal.clone());
    let began = clock.monotonic();
    loop {
        let asked = clock.monotonic();
        let mut readings = read_once(ports, vec![(kind.to_owned(), query.clone())]).await;
        let now = clock.monotonic();
        let took = now.saturating_sub(asked);
        let reading = readings.remove(&signal).ok_or_else(|| "it was not read".to_owned());
        let decided = |reading: &Reading| reading.health != Health::Unknown || reading.permanent;
        if reading.as_ref().map_or(true, decided) || now.saturating_sub(began) >= within {
            return Answer { signal, reading, took };
        }
        clock.sleep(PACE).await;
    }
}
