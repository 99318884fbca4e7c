//! What actuators and sensors are told of a plan.

use std::{collections::BTreeMap, sync::Arc};

use belay_core::{
    change::{Baseline, BaselineEntry},
    elapsed::is_own,
    id::RunId,
    run::Run,
    watch::names,
};
use belay_plan::model::{AwsTarget, Name, Plan, Step};
use belay_ports::{AccountError, Actuators, Ports, Query, Scope, Stages};
use jiff::Timestamp;
use serde_json::Value;

/// The scope of one step. None for a step that the plan does not have.
pub(crate) fn of_step(
    plan: &Plan,
    step: &str,
    run: Option<RunId>,
    baseline: Option<BaselineEntry>,
    cutover: Option<Timestamp>,
) -> Option<Scope> {
    let found = plan.steps.get(step)?;
    Some(Scope {
        migration: plan.migration.clone(),
        step: step.to_owned(),
        run,
        tries: 0,
        deadline: None,
        aws: found.aws.clone(),
        with: found.with.clone(),
        to: found.to.clone(),
        others: found.others,
        baseline,
        cutover,
        stages: stages(found, 0),
        timeout: found.timeout,
        objectives: plan.objectives.clone(),
        interlocks: found.require.iter().map(|gate| gate.signal.clone()).collect(),
        before: None,
        sent: Vec::new(),
        previous: None,
    })
}

fn stages(step: &Step, present: usize) -> Option<Stages> {
    let ahead = step.stages.get(present..).filter(|ahead| !ahead.is_empty())?;
    Some(Stages { ahead: ahead.to_vec() })
}

/// The same for a step of a run, from what the run has pinned.
pub(crate) fn of_run(run: &Run, step: &str) -> Option<Scope> {
    let scope = of_step(&run.plan, step, Some(run.id.clone()), run.baseline_of(step).cloned(), run.cutover)?;
    let state = run.steps.get(step)?;
    let stages = stages(&run.plan.steps[step], state.stage);
    let (before, sent) = (state.before.clone(), state.sends.clone());
    Some(Scope { tries: state.tries, deadline: state.deadline, stages, before, sent, ..scope })
}

/// The documents of a baseline by their resources, as the queries of all signals share them.
pub(crate) fn documents<'b>(entries: impl Iterator<Item = &'b BaselineEntry>) -> Arc<[(String, Value)]> {
    entries.map(|entry| (entry.resource.clone(), entry.doc.clone())).collect()
}

/// What to ask for a signal. None for a signal that the plan does not have, and for one that Belay itself knows.
pub(crate) fn query(plan: &Plan, baseline: &Arc<[(String, Value)]>, name: &Name) -> Option<(String, Query)> {
    let signal = plan.signals.get(name).filter(|signal| !is_own(signal))?;
    let query = Query {
        signal: name.clone(),
        spec: signal.spec.clone(),
        aws: signal.aws.clone(),
        of_trigger: plan.triggers.values().any(|trigger| names(&trigger.when, name)),
        baseline: baseline.clone(),
    };
    Some((signal.kind.clone(), query))
}

/// The queries of one plan, each made once: whoever wants the same signal again, wants the same query.
#[derive(Default)]
pub(crate) struct Queries {
    plan: Option<Arc<Plan>>,
    baseline: Option<Arc<Baseline>>,
    documents: Arc<[(String, Value)]>,
    made: BTreeMap<Name, (String, Arc<Query>)>,
}

impl Queries {
    /// From now on of this plan and this baseline.
    pub(crate) fn are_of(&mut self, plan: &Arc<Plan>, baseline: Option<&Arc<Baseline>>) {
        let same_plan = self.plan.as_ref().is_some_and(|known| Arc::ptr_eq(known, plan));
        if !same_plan || self.baseline.as_ref().map(Arc::as_ptr) != baseline.map(Arc::as_ptr) {
            let documents = documents(baseline.into_iter().flat_map(|baseline| baseline.steps.values()));
            *self = Self { plan: Some(plan.clone()), baseline: baseline.cloned(), documents, made: BTreeMap::new() };
        }
    }

    /// None for a signal that the plan does not have.
    pub(crate) fn of(&mut self, name: &Name) -> Option<(String, Arc<Query>)> {
        if !self.made.contains_key(name) {
            let (kind, query) = query(self.plan.as_deref()?, &self.documents, name)?;
            self.made.insert(name.clone(), (kind, Arc::new(query)));
        }
        self.made.get(name).cloned()
    }
}

/// Every account that the plan reaches into, once, in the order of the plan. What names neither account nor region (a
/// manual step, a probe in a plan without `aws:`) reaches into none.
pub(crate) fn targets(plan: &Plan, actuators: &dyn Actuators) -> Vec<AwsTarget> {
    let steps = plan.steps.values().filter(|step| actuators.actuator(&step.action).is_some()).map(|step| &step.aws);
    let mut found: Vec<AwsTarget> = Vec::new();
    for target in steps.chain(plan.signals.values().map(|signal| &signal.aws)) {
        if *target != AwsTarget::default() && !found.contains(target) {
            found.push(target.clone());
        }
    }
    found
}

/// The credentials must be of the accounts that the plan names, before anything else is read there.
pub(crate) async fn verify_accounts(ports: &Ports, plan: &Plan) -> Result<(), AccountError> {
    for target in targets(plan, ports.actuators.as_ref()) {
        ports.actuators.verify_account(&target).await?;
    }
    Ok(())
}

/// A part of the plan that this build has no code for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    #[error("step {step}: this Belay has no action {action}")]
    Action { step: Name, action: String },
    #[error("signal {signal}: this Belay has no signal of the kind {kind}")]
    Sensor { signal: Name, kind: String },
}

/// Core does these two by itself.
pub(crate) fn is_builtin(action: &str) -> bool {
    matches!(action, "manual" | "wait")
}

pub(crate) fn refuse_unknown(ports: &Ports, plan: &Plan) -> Result<(), Unknown> {
    for (name, step) in &plan.steps {
        if !is_builtin(&step.action) && ports.actuators.actuator(&step.action).is_none() {
            return Err(Unknown::Action { step: name.clone(), action: step.action.clone() });
        }
    }
    for (name, signal) in plan.signals.iter().filter(|(_, signal)| !is_own(signal)) {
        if ports.sensors.sensor(&signal.kind).is_none() {
            return Err(Unknown::Sensor { signal: name.clone(), kind: signal.kind.clone() });
        }
    }
    Ok(())
}
