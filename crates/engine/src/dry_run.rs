//! A dry run: everything is read, nothing is sent. It says what a rollback would do now, and what would stop it.

use std::{collections::BTreeMap, fmt, time::Duration};

use belay_core::{
    change::{Assessment, Baseline, Change, Effect, Outcome, Repeats},
    proof,
    reading::{Health, Reading},
    run::{baseline_entry, missing_baseline},
    scope::included,
    support::{self, For},
};
use belay_plan::{
    duration,
    graph::Graph,
    model::{Gate, Name, Otherwise, Plan},
};
use belay_ports::{AccountError, Corrupt, Ports};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    capture::{Looking, observe_all},
    expected::{ExpectedFrom, Measured, expected, longest_hold},
    sampler::read_once,
    scope::{self, Unknown},
};

/// What a dry run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    #[schema(value_type = String)]
    pub migration: Name,
    pub plan_sha256: String,
    pub at: Timestamp,
    pub verdict: Verdict,
    /// What would stop the rollback if it began now. Empty when nothing would.
    pub stopped_by: Vec<Stop>,
    /// What a person should know, and what would not stop it.
    pub warnings: Vec<String>,
    /// In an order in which they can run; independent steps run at the same time.
    #[schema(value_type = IndexMap<String, DryStep>)]
    pub steps: IndexMap<Name, DryStep>,
    pub confirm: Vec<DryGate>,
    /// Every signal of the plan, as it reads now.
    #[schema(value_type = IndexMap<String, DrySignal>)]
    pub signals: IndexMap<Name, DrySignal>,
    #[schema(value_type = Vec<String>)]
    pub critical_path: Vec<Name>,
    /// The steps on the critical path and the confirmation.
    pub expected_s: u64,
    /// The plan's objective.
    pub rto_s: Option<u64>,
    pub within_rto: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    WouldRollBack,
    WouldStop,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldRollBack => "would_roll_back",
            Self::WouldStop => "would_stop",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stop {
    /// The step, or the part of the plan, as `window`.
    #[schema(value_type = String)]
    pub step: Name,
    pub why: String,
}

/// One step as it would go now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryStep {
    pub action: String,
    #[schema(value_type = Vec<String>)]
    pub needs: Vec<Name>,
    /// Runs only when another step has failed.
    pub fallback: bool,
    pub found: Found,
    /// What there is to say about what was found.
    pub why: String,
    /// In the order in which they would be sent.
    pub changes: Vec<DryChange>,
    /// The parts in which the traffic moves, in percent: the gates are held against after each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<u32>,
    pub require: Vec<DryGate>,
    pub verify: Vec<DryGate>,
    pub expected_s: u64,
    /// What the expected time goes by.
    #[serde(default)]
    pub expected_from: ExpectedFrom,
    /// How many runs were measured, where it goes by that.
    #[serde(default)]
    pub measured_runs: usize,
}

/// How far a step is from its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    InPlace,
    Settling,
    ToChange,
    Failed,
    Ambiguous,
    Unreadable,
    /// A person does it.
    ByHand,
    /// It only waits.
    Wait,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryChange {
    pub id: String,
    pub title: String,
    pub before: Value,
    pub after: Value,
    pub call: String,
    pub effects: Vec<Effect>,
    pub repeats: Repeats,
    pub expected_s: u64,
}

/// A gate, and what its signal reads now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryGate {
    #[serde(flatten)]
    pub gate: Gate,
    pub health: Health,
    pub evidence: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrySignal {
    pub kind: String,
    pub health: Health,
    pub evidence: String,
    pub source: String,
}

/// Why there is no dry run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DryRunError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("there is no baseline to return to for: {}", steps.join(", "))]
    NoBaseline { steps: Vec<Name> },
    #[error("the plan has no step {step}; its steps are: {}", steps.join(", "))]
    NoSuchStep { step: Name, steps: Vec<Name> },
}

/// Rehearses a plan against the world as it is. `ports` should be a set that cannot mutate. `only`: those steps and what
/// they need; empty for all. `measured`: what the steps took before.
///
/// # Errors
/// [`DryRunError`] when a rollback could not even begin.
pub async fn dry_run(
    ports: &Ports,
    plan: &Plan,
    sha256: &str,
    baseline: Option<&Baseline>,
    cutover: Option<Timestamp>,
    only: &[Name],
    measured: &Measured,
) -> Result<DryRun, DryRunError> {
    if let Some(step) = only.iter().find(|name| !plan.steps.contains_key(*name)) {
        return Err(DryRunError::NoSuchStep { step: step.clone(), steps: plan.steps.keys().cloned().collect() });
    }
    let names = included(plan, only);
    let steps = missing_baseline(plan, baseline, &|name| names.iter().any(|included| included == name));
    if !steps.is_empty() {
        return Err(DryRunError::NoBaseline { steps });
    }
    scope::refuse_unknown(ports, plan)?;
    scope::verify_accounts(ports, plan).await?;
    let at = ports.clock.now();
    let queries = plan.signals.keys().filter_map(|name| scope::query(plan, baseline, name)).collect();
    let looks = names.iter().filter_map(|name| {
        let entry = baseline_entry(baseline, plan, name).cloned();
        Looking::new(ports, plan, name.clone(), entry, cutover)
    });
    let (readings, observed) = futures::join!(read_once(ports, queries), observe_all(looks.collect()));
    let mut assessed: BTreeMap<Name, Assessed> = BTreeMap::new();
    for (looking, doc) in observed {
        let found = match doc {
            Ok(doc) => assess(looking.actuator.assess(&looking.scope, &doc, &[])),
            Err(error) => Assessed { found: Found::Unreadable, why: error.why, changes: Vec::new() },
        };
        assessed.insert(looking.scope.step, found);
    }
    let rehearsal = Rehearsal { plan, names: &names, readings: &readings, assessed, at, measured };
    Ok(rehearsal.report(sha256))
}

struct Assessed {
    found: Found,
    why: String,
    changes: Vec<Change>,
}

fn assess(assessment: Result<Assessment, Corrupt>) -> Assessed {
    let found = |found, why: String| Assessed { found, why, changes: Vec::new() };
    match assessment {
        Ok(Assessment::InPlace | Assessment::Over(Outcome { failure: None, .. })) => {
            found(Found::InPlace, String::new())
        }
        Ok(Assessment::Differs { why }) => found(Found::InPlace, why),
        Ok(Assessment::Settling(progress)) => found(Found::Settling, progress.note),
        Ok(Assessment::Remaining(changes)) => Assessed { found: Found::ToChange, why: String::new(), changes },
        Ok(Assessment::Failed { why } | Assessment::Over(Outcome { failure: Some(why), .. })) => {
            found(Found::Failed, why)
        }
        Ok(Assessment::Ambiguous { why }) => found(Found::Ambiguous, why),
        Err(Corrupt(why)) => found(Found::Unreadable, why),
    }
}

/// All that was read, on its way to a report.
struct Rehearsal<'a> {
    plan: &'a Plan,
    names: &'a [Name],
    readings: &'a BTreeMap<Name, Reading>,
    assessed: BTreeMap<Name, Assessed>,
    at: Timestamp,
    measured: &'a Measured,
}

impl Rehearsal<'_> {
    fn report(&self, sha256: &str) -> DryRun {
        let graph = Graph::new(self.plan);
        let ordered = graph.order().into_iter().filter(|name| self.names.iter().any(|included| included == name));
        let steps: IndexMap<Name, DryStep> =
            ordered.map(|name| (name.to_owned(), self.step(name, graph.is_fallback(name)))).collect();
        let path =
            graph.critical_path(|name| steps.get(name).map_or(Duration::ZERO, |s| Duration::from_secs(s.expected_s)));
        let critical_path =
            path.steps.into_iter().filter(|name| steps.contains_key(*name)).map(str::to_owned).collect();
        let expected = path.duration + longest_hold(&self.plan.confirm);
        let refused = support::unsupported(self.plan, For::Running).into_iter().map(|part| Stop {
            why: format!("this version of Belay does not execute {part}, and refuses to run the plan"),
            step: part,
        });
        // A fallback runs only when its step has failed: what would stop it does not stop the rollback.
        let expected_steps = steps.iter().filter(|(_, step)| !step.fallback);
        let stopped_by: Vec<Stop> =
            refused.chain(expected_steps.flat_map(|(name, step)| self.stops(name, step))).collect();
        let rto = self.plan.objectives.rto;
        DryRun {
            migration: self.plan.migration.clone(),
            plan_sha256: sha256.to_owned(),
            at: self.at,
            verdict: if stopped_by.is_empty() { Verdict::WouldRollBack } else { Verdict::WouldStop },
            stopped_by,
            warnings: self.warnings(expected),
            steps,
            confirm: self.gates(&self.plan.confirm),
            signals: self.signals(),
            critical_path,
            expected_s: expected.as_secs(),
            rto_s: rto.map(|rto| rto.as_secs()),
            within_rto: rto.map(|rto| expected <= rto),
        }
    }

    fn step(&self, name: &str, fallback: bool) -> DryStep {
        let step = &self.plan.steps[name];
        let (found, why, changes) = match (self.assessed.get(name), step.action.as_str()) {
            (Some(assessed), _) => (assessed.found, assessed.why.clone(), assessed.changes.as_slice()),
            (None, "manual") => {
                (Found::ByHand, step.with["instructions"].as_str().unwrap_or_default().to_owned(), &[][..])
            }
            (None, _) => (Found::Wait, String::new(), &[][..]),
        };
        let expected = expected(name, step, changes, self.measured);
        DryStep {
            action: step.action.clone(),
            needs: step.needs.clone(),
            fallback,
            found,
            why,
            changes: changes.iter().map(dry_change).collect(),
            stages: step.stages.clone(),
            require: self.gates(&step.require),
            verify: self.gates(&step.verify),
            expected_s: expected.time.as_secs(),
            expected_from: expected.from,
            measured_runs: expected.runs,
        }
    }

    /// What would stop this step if it began now. Gates after it are not asked: they are to become healthy by it.
    fn stops(&self, name: &str, step: &DryStep) -> Vec<Stop> {
        let stop = |why: String| Stop { step: name.to_owned(), why };
        let why = step.why.as_str();
        match step.found {
            Found::Failed => return vec![stop(format!("the target cannot be reached: {why}"))],
            Found::Ambiguous => return vec![stop(format!("a person has to look at it: {why}"))],
            Found::Unreadable => return vec![stop(format!("it cannot be read: {why}"))],
            Found::InPlace | Found::Settling => return Vec::new(),
            Found::ToChange | Found::ByHand | Found::Wait => {}
        }
        let unhealthy = step.require.iter().filter(|gate| gate.health != Health::Healthy).map(|gate| {
            let health = if gate.health == Health::Unknown { "unknown" } else { "unhealthy" };
            stop(format!("its interlock {} is {health}: {}", gate.gate.signal, gate.evidence))
        });
        let mut stops: Vec<Stop> = unhealthy.collect();
        let changes = self.assessed.get(name).map_or(&[][..], |assessed| &assessed.changes);
        let interlocked = !step.require.is_empty();
        stops.extend(changes.iter().filter_map(|change| {
            match proof::check(change, &Default::default(), interlocked) {
                proof::Verdict::Fine => None,
                proof::Verdict::AllZero { why } | proof::Verdict::Unproven { why, .. } => Some(stop(why)),
            }
        }));
        stops
    }

    /// Whose word a step will wait for.
    fn approval(&self, name: &str) -> Option<String> {
        let step = &self.plan.steps[name];
        let by_hand = step.action == "manual";
        let Some(asked) = &step.approve else {
            return by_hand.then(|| format!("step {name} waits for a person, for as long as it takes"));
        };
        let changes = self.assessed.get(name).map_or(by_hand || step.action == "wait", |a| !a.changes.is_empty());
        let within = asked.within.map_or_else(
            || "for as long as it takes".to_owned(),
            |within| {
                let otherwise = if asked.otherwise == Otherwise::Skip { "goes on without it" } else { "halts" };
                format!("for {}, and then {otherwise}", duration::format(within))
            },
        );
        changes.then(|| format!("step {name} waits for {} with the role {} {within}", asked.quorum, asked.role))
    }

    fn warnings(&self, expected: Duration) -> Vec<String> {
        let refused = support::unsupported(self.plan, For::Running);
        let mut warnings: Vec<String> = support::unsupported(self.plan, For::Guarding)
            .into_iter()
            .filter(|part| !refused.contains(part))
            .map(|part| format!("this version of Belay does not execute {part}"))
            .collect();
        for (name, assessed) in &self.assessed {
            let objectives = &self.plan.objectives;
            let losses =
                assessed.changes.iter().filter_map(|change| proof::loses_too_much(objectives, change, self.at));
            warnings.extend(losses.map(|why| format!("step {name} waits for an approval: {why}")));
            warnings.extend(self.too_slow(name, &assessed.changes));
        }
        warnings.extend(self.names.iter().filter_map(|name| self.approval(name)));
        let confirming = longest_hold(&self.plan.confirm);
        if let Some(confidence) = self.plan.objectives.confidence.filter(|confidence| confirming > *confidence) {
            let (confirming, confidence) = (duration::format(confirming), duration::format(confidence));
            warnings.push(format!(
                "the confirmation takes at least {confirming}; the plan's objective for it is {confidence} (confidence)"
            ));
        }
        if let Some(rto) = self.plan.objectives.rto.filter(|rto| expected > *rto) {
            let (expected, rto) = (duration::format(expected), duration::format(rto));
            warnings.push(format!("the rollback is expected to take {expected}; the plan's rto is {rto}"));
        }
        warnings
    }

    /// A step whose changes usually take longer than it has.
    fn too_slow(&self, name: &str, changes: &[Change]) -> Option<String> {
        let (timeout, usual) = (self.plan.steps[name].timeout, changes.iter().map(|change| change.expected).sum());
        (timeout < usual).then(|| {
            let (timeout, usual) = (duration::format(timeout), duration::format(usual));
            format!("step {name} usually takes {usual}, and its timeout is {timeout}: give it a longer `timeout`")
        })
    }

    fn gates(&self, gates: &[Gate]) -> Vec<DryGate> {
        let gate = |gate: &Gate| {
            let reading = self.readings.get(&gate.signal);
            DryGate {
                gate: gate.clone(),
                health: reading.map_or(Health::Unknown, |reading| reading.health),
                evidence: reading.map_or("not read".to_owned(), |reading| reading.evidence.clone()),
            }
        };
        gates.iter().map(gate).collect()
    }

    fn signals(&self) -> IndexMap<Name, DrySignal> {
        let signals = self.plan.signals.iter().filter_map(|(name, signal)| {
            let reading = self.readings.get(name)?;
            let signal = DrySignal {
                kind: signal.kind.clone(),
                health: reading.health,
                evidence: reading.evidence.clone(),
                source: reading.source.clone(),
            };
            Some((name.clone(), signal))
        });
        signals.collect()
    }
}

fn dry_change(change: &Change) -> DryChange {
    DryChange {
        id: change.id.clone(),
        title: change.title.clone(),
        before: change.before.clone(),
        after: change.after.clone(),
        call: change.call.clone(),
        effects: change.effects.clone(),
        repeats: change.repeats,
        expected_s: change.expected.as_secs(),
    }
}
