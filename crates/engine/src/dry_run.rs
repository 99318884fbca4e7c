//! A dry run: everything is read, nothing is sent. It shows what a rollback would do now, and what would stop it.

mod document;
mod findings;

use std::collections::BTreeMap;

use belay_core::{
    change::{Assessment, BaselineEntry, Change, Doc, Outcome},
    run::{baseline_entry, missing_baseline},
    scope::included,
};
use belay_plan::model::{Name, Plan, counts_during};
use belay_ports::{AccountError, Check, Corrupt, Ports, ReadError};
use indexmap::IndexMap;

pub use self::document::{DryChange, DryGate, DryRun, DrySignal, DryStep, DryTrigger, Found, Stop, Verdict};
use self::findings::Findings;
use crate::{
    capture::{Looking, observe_all},
    drift,
    loss::{self, Loss, LossView},
    notices::doubtful,
    readiness::Circumstances,
    sampler::read_once,
    scope::{self, Unknown},
};

/// Why there is no dry run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DryRunError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("the plan has no step {step}; its steps are: {}", steps.join(", "))]
    NoSuchStep { step: Name, steps: Vec<Name> },
    #[error("the plan has no phase {phase}; its phases are: {}", phases.join(", "))]
    NoSuchPhase { phase: Name, phases: Vec<Name> },
}

/// Rehearses a plan against the world as it is. `ports` should be a set that cannot mutate. Steps that return to a baseline which is
/// not there yet are shown as they are now: that is what arming would capture. What the plan does beyond AWS is not known here.
///
/// # Errors
/// [`DryRunError`] when a rollback could not even begin.
pub async fn dry_run(
    ports: &Ports,
    plan: &Plan,
    sha256: &str,
    circumstances: &Circumstances,
    which: Which<'_>,
) -> Result<DryRun, DryRunError> {
    let (baseline, cutover) = (circumstances.baseline.as_deref(), circumstances.cutover);
    let only = which.only;
    if let Some(phase) = which.phase.filter(|phase| !plan.phases.contains_key(*phase)) {
        return Err(DryRunError::NoSuchPhase {
            phase: phase.to_owned(),
            phases: plan.phases.keys().cloned().collect(),
        });
    }
    if let Some(step) = only.iter().find(|name| !plan.steps.contains_key(*name)) {
        return Err(DryRunError::NoSuchStep { step: step.clone(), steps: plan.steps.keys().cloned().collect() });
    }
    let phase = which.phase.or_else(|| plan.phases.keys().next().map(String::as_str));
    let (names, skipped) = in_phase(plan, included(plan, only), phase);
    let uncaptured = missing_baseline(plan, baseline, &|name| names.iter().any(|included| included == name));
    scope::refuse_unknown(ports, plan)?;
    scope::verify_accounts(ports, plan).await?;
    let at = ports.clock.now();
    let looks = names.iter().filter_map(|name| {
        let entry = baseline_entry(baseline, plan, name).cloned();
        Looking::new(ports, plan, name.clone(), entry, cutover)
    });
    let observed = observe_all(looks.collect()).await;
    // Signals may go by the baseline: what arming would capture stands in for one that is not there yet.
    let captured: Vec<BaselineEntry> = match cutover {
        None => observed.iter().filter_map(|(looking, doc)| entry_now(plan, looking, doc.as_ref().ok()?)).collect(),
        Some(_) => Vec::new(),
    };
    let known = baseline.into_iter().flat_map(|baseline| baseline.steps.values());
    let documents = scope::documents(known.chain(&captured));
    let queries = plan.signals.keys().filter_map(|name| scope::query(plan, &documents, name)).collect();
    let (mut readings, channels) =
        futures::join!(read_once(ports, queries), doubtful(ports, plan, &circumstances.places));
    let mut assessed = BTreeMap::new();
    let losing = loss::losing(plan).filter(|step| names.contains(step));
    let mut losses: IndexMap<Name, Loss> = losing.map(|step| (step.clone(), Loss::unobservable())).collect();
    for (looking, doc) in observed {
        let step = looking.scope.step.clone();
        if let Some(known) = losses.get_mut(&step) {
            *known = Loss::of(&looking, doc.as_ref());
        }
        let captures = uncaptured.contains(&step).then_some(plan);
        // What arming would capture now has not drifted.
        let observed = doc.as_ref().ok().filter(|_| captures.is_none());
        let drifted =
            observed.and_then(|doc| drift::check(&looking, plan, circumstances, (doc, ports.clock.monotonic())).0);
        let scope = &looking.scope;
        let altered = observed.map(|doc| drift::altered(looking.actuator.as_ref(), scope, doc)).unwrap_or_default();
        let drifted = (
            drift::with_altered(&plan.steps[&step], drifted, &altered, circumstances.cutover.is_some()),
            !altered.is_empty(),
        );
        let drifted = drift::with_who(ports, plan, &step, circumstances, drifted).await;
        let mut found = Assessed::of(looking, doc, captures);
        found.checks.extend(drifted);
        assessed.insert(step, found);
    }
    let own = plan.signals.iter().filter_map(|(name, signal)| loss::reading(name, signal, plan, &losses, at));
    readings.extend(own.map(|reading| (reading.signal.clone(), reading)));
    let loss = losses.iter().map(|(step, loss)| (step.clone(), LossView::new(plan, loss, at))).collect();
    let findings = Findings { plan, names: &names, readings: &readings, assessed, at, cutover, circumstances };
    let phase = phase.map(str::to_owned);
    let mut report = findings.report(sha256);
    report.warnings.extend(channels.unusable);
    report.warnings.extend(channels.unknown);
    Ok(DryRun { detours: ports.actuators.detours(), phase, skipped, loss, ..report })
}

/// Of a step whose baseline is not there yet.
fn entry_now(plan: &Plan, looking: &Looking, doc: &Doc) -> Option<BaselineEntry> {
    let step = plan.steps.get(&looking.scope.step).filter(|_| looking.scope.baseline.is_none())?;
    Some(BaselineEntry { action: step.action.clone(), resource: step.resource.clone(), doc: doc.clone() })
}

/// The steps that the phase has, and why it does not have the others.
fn in_phase(plan: &Plan, included: Vec<Name>, phase: Option<&str>) -> (Vec<Name>, IndexMap<Name, String>) {
    let (names, others): (Vec<Name>, Vec<Name>) = included.into_iter().partition(|name| plan.takes_part(name, phase));
    let why = |name: Name| {
        let during = &plan.steps[&name].during;
        let why = match counts_during(during, phase) {
            true => "the step that it stands in for is skipped".to_owned(),
            false => format!("it serves {}", during.join(", ")),
        };
        (name, why)
    };
    (names, others.into_iter().map(why).collect())
}

/// Which steps, and in which phase.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which<'a> {
    /// These and what they need; empty: all.
    pub only: &'a [Name],
    /// None: the first one of the plan.
    pub phase: Option<&'a str>,
}

/// What was found of one step.
struct Assessed {
    found: Found,
    why: String,
    changes: Vec<Change>,
    checks: Vec<Check>,
    captures: Option<Doc>,
}

impl Assessed {
    fn new(found: Found, why: impl Into<String>) -> Self {
        Self { found, why: why.into(), changes: Vec::new(), checks: Vec::new(), captures: None }
    }

    /// `captures`: the plan, where the present state stands in for a baseline that is not there yet, as arming would
    /// capture it.
    fn of(mut looking: Looking, doc: Result<Doc, ReadError>, captures: Option<&Plan>) -> Self {
        let doc = match doc {
            Ok(doc) => doc,
            Err(error) => return Self::new(Found::Unreadable, error.why),
        };
        if let Some(plan) = captures {
            let step = &plan.steps[&looking.scope.step];
            let (action, resource) = (step.action.clone(), step.resource.clone());
            looking.scope.baseline = Some(BaselineEntry { action, resource, doc: doc.clone() });
        }
        let Looking { scope, actuator } = &looking;
        let mut found = Self::from(actuator.assess(scope, &doc, &[]));
        match actuator.checks(scope, &doc) {
            Ok(checks) => found.checks = checks,
            Err(Corrupt(why)) => return Self::new(Found::Unreadable, why),
        }
        if captures.is_some() && found.found == Found::InPlace {
            found.found = Found::Uncaptured;
            found.captures = Some(doc);
        }
        found
    }
}

impl From<Result<Assessment, Corrupt>> for Assessed {
    fn from(assessment: Result<Assessment, Corrupt>) -> Self {
        match assessment {
            Ok(Assessment::InPlace | Assessment::Over(Outcome { failure: None, .. })) => Self::new(Found::InPlace, ""),
            Ok(Assessment::Differs { why }) => Self::new(Found::InPlace, why),
            Ok(Assessment::Settling(progress)) => Self::new(Found::Settling, progress.note),
            Ok(Assessment::Remaining(changes)) => Self { changes, ..Self::new(Found::ToChange, "") },
            Ok(Assessment::Failed { why } | Assessment::Over(Outcome { failure: Some(why), .. })) => {
                Self::new(Found::Failed, why)
            }
            Ok(Assessment::Ambiguous { why }) => Self::new(Found::Ambiguous, why),
            Err(Corrupt(why)) => Self::new(Found::Unreadable, why),
        }
    }
}
