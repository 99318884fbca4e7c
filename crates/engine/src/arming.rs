//! Arming: everything that can be found out beforehand is found out now, and not in the middle of a rollback.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::Arc,
    time::Duration,
};

use belay_core::{
    change::{Assessment, Baseline, BaselineEntry, Doc},
    input::{Asked, Command, Input, RefusalKind, Verb},
    migration::Migration,
    reading::Reading,
    watch::signals_of,
};
use belay_plan::{
    PlanPlaces,
    model::{Name, Plan, Step, Target},
};
use belay_ports::{AccountError, Check, CheckVerdict, Corrupt, Ports, ReadError, Scope};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::{
    capture::{CaptureError, Looking, observe_all, observe_entries},
    handle::{CommandError, Handle},
    loss::{self, Loss},
    notices::{Doubtful, doubtful},
    readiness::account::credentials,
    sampler::read_once,
    scope::{self, Unknown},
    unreadable::{UnreadableSignal, unreadable},
};

/// So long arming waits for what IAM answers, beside its other reads.
const PERMISSIONS_TIME_MAX: Duration = Duration::from_secs(10);

/// Missing permissions that a message lists; more are counted.
const LISTED_MAX: usize = 5;

/// Why a plan was not armed. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error("the baseline is of the migration {found}, not of {expected}")]
    OtherBaseline { expected: Name, found: Name },
    /// What is there now is not what was there before the cutover.
    #[error("the cutover was marked at {cutover:.0}; the baseline cannot be captured any more for: {}", steps.join(", "))]
    AfterCutover { cutover: Timestamp, steps: Vec<Name> },
    #[error("step {step} cannot be observed: {error}")]
    Unreadable { step: Name, error: ReadError },
    #[error("step {step} could not be carried out: {why}")]
    Impossible { step: Name, why: String },
    /// They would read unknown for as long as the plan is armed. `also`: what else stands against it.
    #[error("{}", one_a_line(signals, also))]
    UnreadableSignals { signals: Vec<UnreadableSignal>, also: Vec<String> },
    /// People could not be told. `also`: what else stands against it.
    #[error("{}", one_a_line(channels, also))]
    UnusableChannels { channels: Vec<String>, also: Vec<String> },
    /// A rollback would be refused by AWS in the middle.
    #[error("{}", denied(permissions).join("\n"))]
    MissingPermissions { permissions: Vec<String> },
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// How a plan is armed, where the operator has a say in it.
#[derive(Debug, Clone, Default)]
pub struct Arming {
    /// Goes before what the journal keeps.
    pub baseline: Option<Baseline>,
    /// Triggers that are red already are waited for, whatever their `red_at_arm` says.
    pub wait_for_green: bool,
    /// Signals that cannot be read for good, channels that cannot be used and permissions that IAM denies are accepted; a trigger that
    /// goes by such signals alone cannot fire.
    pub accept_unknown: bool,
    /// Where the parts of the plan stand, for what is refused.
    pub places: PlanPlaces,
}

/// A plan that was armed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Armed {
    /// What a person should know, and what did not stand against arming.
    pub warnings: Vec<String>,
}

/// Arms a plan: verifies the accounts, captures what is missing of the baseline, assesses and checks every step, reads
/// every signal, asks IAM for the permissions, and only then pins it all.
///
/// # Errors
/// [`ArmError`] with the first thing that stands against it.
pub async fn arm(
    handle: &Handle,
    ports: &Ports,
    plan: Arc<Plan>,
    sha256: &str,
    Arming { baseline, wait_for_green, accept_unknown, places }: Arming,
    asked: &Asked,
) -> Result<Armed, ArmError> {
    let snapshot = handle.snapshot();
    let state = snapshot.state.as_ref();
    let command = |baseline: Option<Arc<Baseline>>, readings| {
        let (plan, plan_sha256) = (plan.clone(), sha256.to_owned());
        let detours = ports.actuators.detours();
        asked.command(Verb::Arm { plan, plan_sha256, baseline, readings, wait_for_green, detours })
    };
    refuse_early(state, ports.clock.now(), &command(None, Vec::new()))?;
    scope::refuse_unknown(ports, &plan)?;
    scope::verify_accounts(ports, &plan).await?;
    let baseline = complete(state, ports, &plan, sha256, baseline).await?;
    let (checked, mut readings, channels, credentials) = futures::join!(
        assess(ports, &plan, &baseline, former(state), state.kept_cutover()),
        read_signals(ports, &plan, &baseline),
        doubtful(ports, &plan, &places),
        credentials(ports, &plan, (&baseline, state.kept_cutover()), PERMISSIONS_TIME_MAX)
    );
    let Assessed { mut warnings, losses } = checked?;
    let now = ports.clock.now();
    let losses = plan.signals.iter().filter_map(|(name, signal)| loss::reading(name, signal, &plan, &losses, now));
    readings.extend(losses.map(|reading| (reading.signal.clone(), reading)));
    let signals: Vec<_> = unreadable(&plan, &places, &readings).collect();
    let Doubtful { unusable: channels, unknown } = channels;
    let (denied, doubts): (Vec<_>, Vec<_>) = credentials
        .iter()
        .filter(|check| check.verdict != CheckVerdict::Go)
        .partition(|check| check.verdict == CheckVerdict::NoGo);
    let lines = |checks: &[&Check]| checks.iter().map(|check| check.line()).collect::<Vec<_>>();
    let permissions = lines(&denied);
    if !accept_unknown {
        refuse_all(&signals, &channels, &permissions)?;
    }
    warnings.extend(signals.iter().map(ToString::to_string));
    warnings.extend(channels.into_iter().chain(unknown).chain(permissions));
    warnings.extend(lines(&doubts));
    let baseline = (!baseline.steps.is_empty()).then(|| Arc::new(baseline));
    handle.command(command(baseline, of_triggers(&plan, readings))).await?;
    Ok(Armed { warnings })
}

/// All that stands against arming at once: nobody is to correct one thing and then be told of the next.
fn refuse_all(signals: &[UnreadableSignal], channels: &[String], permissions: &[String]) -> Result<(), ArmError> {
    match (signals, channels, permissions) {
        ([], [], []) => Ok(()),
        ([], [], permissions) => Err(ArmError::MissingPermissions { permissions: permissions.to_vec() }),
        ([], channels, permissions) => {
            Err(ArmError::UnusableChannels { channels: channels.to_vec(), also: denied(permissions) })
        }
        (signals, channels, permissions) => Err(ArmError::UnreadableSignals {
            signals: signals.to_vec(),
            also: [channels, &denied(permissions)].concat(),
        }),
    }
}

fn denied(permissions: &[String]) -> Vec<String> {
    if permissions.is_empty() {
        return Vec::new();
    }
    let head = "the role in use lacks permissions:".to_owned();
    let more =
        permissions.len().checked_sub(LISTED_MAX).filter(|more| *more > 0).map(|more| format!("and {more} more"));
    [head].into_iter().chain(permissions.iter().take(LISTED_MAX).cloned()).chain(more).collect()
}

fn one_a_line(faults: &[impl Display], also: &[String]) -> String {
    let faults = faults.iter().map(ToString::to_string);
    faults.chain(also.iter().cloned()).collect::<Vec<_>>().join("\n")
}

/// The channels of a plan that could not be used now, each with its place and the reason. Nothing is sent.
pub async fn unusable_channels(ports: &Ports, plan: &Plan, places: &PlanPlaces) -> Vec<String> {
    doubtful(ports, plan, places).await.unusable
}

/// What core refuses whatever is found out, it refuses before AWS is asked anything.
fn refuse_early(state: &Migration, now: Timestamp, command: &Command) -> Result<(), CommandError> {
    match state.decide(now, 0, &Input::Command(command.clone())) {
        Err(refusal) if matches!(refusal.kind, RefusalKind::AlreadyRunning { .. }) => Err(refusal.into()),
        _ => Ok(()),
    }
}

/// The baseline from what is given, then what is kept, then what is there now.
async fn complete(
    state: &Migration,
    ports: &Ports,
    plan: &Plan,
    sha256: &str,
    given: Option<Baseline>,
) -> Result<Baseline, ArmError> {
    if let Some(given) = given.as_ref().filter(|given| given.migration != plan.migration) {
        return Err(ArmError::OtherBaseline { expected: plan.migration.clone(), found: given.migration.clone() });
    }
    let kept = state.kept_baseline().map(AsRef::as_ref);
    let mut steps: IndexMap<Name, BaselineEntry> = IndexMap::new();
    let mut missing = Vec::new();
    for (name, step) in &plan.steps {
        let known = [given.as_ref(), kept].into_iter().flatten().find_map(|baseline| entry_of(baseline, name, step));
        match known {
            Some(entry) => drop(steps.insert(name.clone(), entry.clone())),
            None => missing.push(name.clone()),
        }
    }
    match state.kept_cutover() {
        Some(cutover) => {
            missing.retain(|name| plan.steps[name].to == Target::Baseline);
            if !missing.is_empty() {
                return Err(ArmError::AfterCutover { cutover, steps: missing });
            }
        }
        None => steps.extend(observe_entries(ports, plan, missing, None).await?),
    }
    steps.sort_by_key(|name, _| plan.steps.get_index_of(name));
    let known = given.as_ref().or(kept).filter(|known| known.steps == steps);
    Ok(known.cloned().unwrap_or_else(|| Baseline {
        migration: plan.migration.clone(),
        captured: ports.clock.now(),
        plan_sha256: sha256.to_owned(),
        steps,
    }))
}

/// A baseline of another resource, or by another action, is never used.
fn entry_of<'b>(baseline: &'b Baseline, name: &str, step: &Step) -> Option<&'b BaselineEntry> {
    baseline.steps.get(name).filter(|entry| entry.resource == step.resource && entry.action == step.action)
}

/// The baseline of the attempt that is over.
fn former(state: &Migration) -> Option<&Baseline> {
    state.baseline.as_deref().filter(|_| state.is_attempt_over())
}

/// A baseline that is captured after a cutover shows the new side. After a disarm by mistake, the warning names the known-good state.
fn not_as_before(
    Looking { scope, actuator }: &Looking,
    doc: &Doc,
    new: &Baseline,
    former: &Baseline,
) -> Option<String> {
    let entry = former.steps.get(&scope.step).filter(|_| scope.to == Target::Baseline)?;
    let own = new.steps.get(&scope.step)?;
    if own == entry || own.resource != entry.resource || own.action != entry.action {
        return None;
    }
    let scope = Scope { baseline: Some(entry.clone()), ..scope.clone() };
    let Ok(Assessment::Remaining(changes)) = actuator.assess(&scope, doc, &[]) else { return None };
    let titles: Vec<&str> = changes.iter().map(|change| change.title.as_str()).collect();
    Some(format!(
        "step {}: its baseline is new, and is not the state of {:.0}, which the attempt before went back to; to restore that one: {}. \
         If that is the known-good state: `belay capture PLAN --on-record {:.0} -o FILE`, then `belay arm --baseline FILE`",
        scope.step,
        former.captured,
        titles.join(", "),
        former.captured
    ))
}

/// What was found of all steps together.
struct Assessed {
    warnings: Vec<String>,
    /// Of the steps that lose data.
    losses: IndexMap<Name, Loss>,
}

/// A step that could never succeed is found out now: a snapshot that is gone, a member that the target does not name, a
/// database that RDS would not rename.
async fn assess(
    ports: &Ports,
    plan: &Plan,
    baseline: &Baseline,
    former: Option<&Baseline>,
    cutover: Option<Timestamp>,
) -> Result<Assessed, ArmError> {
    let looks = plan
        .steps
        .keys()
        .filter_map(|name| Looking::new(ports, plan, name.clone(), baseline.steps.get(name).cloned(), cutover));
    let mut warnings = Vec::new();
    let mut losses: IndexMap<Name, Loss> =
        loss::losing(plan).map(|step| (step.clone(), Loss::unobservable())).collect();
    for (looking, observed) in observe_all(looks.collect()).await {
        let Looking { scope, actuator } = &looking;
        let step = scope.step.clone();
        let impossible = |why: String| ArmError::Impossible { step: step.clone(), why };
        let doc = observed.map_err(|error| ArmError::Unreadable { step: step.clone(), error })?;
        if let Some(known) = losses.get_mut(&step) {
            *known = Loss::of(&looking, Ok(&doc));
        }
        match actuator.assess(scope, &doc, &[]) {
            Ok(Assessment::Failed { why }) | Err(Corrupt(why)) => return Err(impossible(why)),
            Ok(_) => {}
        }
        for check in actuator.checks(scope, &doc).map_err(|Corrupt(why)| impossible(why))? {
            match check.verdict {
                CheckVerdict::NoGo => return Err(impossible(check.line())),
                CheckVerdict::Warn | CheckVerdict::Unknown => warnings.push(format!("step {step}: {}", check.line())),
                CheckVerdict::Go => {}
            }
        }
        warnings.extend(former.and_then(|former| not_as_before(&looking, &doc, baseline, former)));
    }
    Ok(Assessed { warnings, losses })
}

async fn read_signals(ports: &Ports, plan: &Plan, baseline: &Baseline) -> BTreeMap<Name, Reading> {
    let documents = scope::documents(baseline.steps.values());
    let queries = plan.signals.keys().filter_map(|name| scope::query(plan, &documents, name));
    read_once(ports, queries.collect()).await
}

/// The readings that `red_at_arm` goes by.
fn of_triggers(plan: &Plan, mut readings: BTreeMap<Name, Reading>) -> Vec<Reading> {
    let names: BTreeSet<&Name> = plan.triggers.values().flat_map(|trigger| signals_of(&trigger.when)).collect();
    names.into_iter().filter_map(|name| readings.remove(name)).collect()
}
