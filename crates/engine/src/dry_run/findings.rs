//! From what was read to the document: what would stop the rollback, and what a person should know.

use std::{collections::BTreeMap, time::Duration};

use belay_core::{
    change::{Change, Effect},
    proof::{self, Interlocks},
    reading::{Health, Reading},
    watch::signals_of,
};
use belay_plan::{
    duration,
    graph::Graph,
    model::{Gate, Name, Otherwise, PastWindow, Plan},
};
use belay_ports::{CUTOVER_UNMARKED, CheckVerdict};
use indexmap::IndexMap;
use jiff::Timestamp;

use super::{
    Assessed,
    document::{DryChange, DryGate, DryRun, DrySignal, DryStep, DryTrigger, Found, Stop, Verdict},
};
use crate::{
    expected::{expected, longest_hold},
    readiness::Circumstances,
    unreadable::unreadable,
};

/// All that was read, on its way to a report.
pub(super) struct Findings<'a> {
    pub(super) plan: &'a Plan,
    pub(super) names: &'a [Name],
    pub(super) readings: &'a BTreeMap<Name, Reading>,
    pub(super) assessed: BTreeMap<Name, Assessed>,
    pub(super) at: Timestamp,
    pub(super) cutover: Option<Timestamp>,
    pub(super) circumstances: &'a Circumstances,
}

impl Findings<'_> {
    pub(super) fn report(&self, sha256: &str) -> DryRun {
        let graph = Graph::new(self.plan);
        let ordered = graph.order().into_iter().filter(|name| self.names.iter().any(|included| included == name));
        let steps: IndexMap<Name, DryStep> =
            ordered.map(|name| (name.to_owned(), self.step(name, graph.is_fallback(name)))).collect();
        let path =
            graph.critical_path(|name| steps.get(name).map_or(Duration::ZERO, |s| Duration::from_secs(s.expected_s)));
        let critical_path =
            path.steps.into_iter().filter(|name| steps.contains_key(*name)).map(str::to_owned).collect();
        let expected = path.duration + longest_hold(&self.plan.confirm);
        // A fallback runs only when its step has failed: what would stop it does not stop the rollback.
        let expected_steps = steps.iter().filter(|(_, step)| !step.fallback);
        let stopped_by: Vec<Stop> = expected_steps.flat_map(|(name, step)| self.stops(name, step)).collect();
        let rto = self.plan.objectives.rto;
        DryRun {
            reaches: Vec::new(),
            detours: Vec::new(),
            phase: None,
            loss: IndexMap::new(),
            skipped: IndexMap::new(),
            migration: self.plan.migration.clone(),
            plan_sha256: sha256.to_owned(),
            at: self.at,
            verdict: if stopped_by.is_empty() { Verdict::WouldRollBack } else { Verdict::WouldStop },
            stopped_by,
            warnings: self.warnings(expected),
            steps,
            confirm: self.gates(&self.plan.confirm),
            triggers: self.triggers(),
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
        let expected = expected(name, step, changes, &self.circumstances.measured);
        DryStep {
            action: step.action.clone(),
            needs: step.needs.clone(),
            fallback,
            found,
            why,
            changes: changes.iter().map(DryChange::from).collect(),
            checks: self.assessed.get(name).map(|assessed| assessed.checks.clone()).unwrap_or_default(),
            captures: self.assessed.get(name).and_then(|assessed| assessed.captures.clone()),
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
            Found::InPlace | Found::Settling | Found::ToChange | Found::Uncaptured | Found::ByHand | Found::Wait => {}
        }
        let refuses = self.plan.window.as_ref().is_some_and(|window| window.past == PastWindow::Refuse);
        if let Some(point) = self.passed().filter(|_| refuses && self.loses_data(name)) {
            return vec![stop(format!(
                "it loses data, and the plan refuses that past the point of no return ({point:.0})"
            ))];
        }
        let mut stops: Vec<Stop> = step
            .checks
            .iter()
            .filter(|check| check.verdict == CheckVerdict::NoGo || check.id == CUTOVER_UNMARKED)
            .map(|check| stop(check.line()))
            .collect();
        if let (Found::Uncaptured, Some(cutover)) = (step.found, self.cutover) {
            stops.push(stop(format!(
                "there is no baseline, and none can be captured after the cutover, which was marked at {cutover:.0}; give the one \
                 that was captured before: --baseline FILE"
            )));
        }
        if matches!(step.found, Found::InPlace | Found::Settling) {
            return stops;
        }
        let unhealthy = step.require.iter().filter(|gate| gate.health != Health::Healthy).map(|gate| {
            let health = if gate.health == Health::Unknown { "unknown" } else { "unhealthy" };
            stop(format!("its interlock {} is {health}: {}", gate.gate.signal, gate.evidence))
        });
        stops.extend(unhealthy);
        let changes = self.assessed.get(name).map_or(&[][..], |assessed| &assessed.changes);
        let interlocks = Interlocks::of(&self.plan.steps[name]);
        stops.extend(changes.iter().filter_map(|change| match proof::check(change, &Default::default(), interlocks) {
            proof::Verdict::Fine => None,
            proof::Verdict::AllZero { why } | proof::Verdict::Unproven { why, .. } => Some(stop(why)),
        }));
        stops
    }

    /// When the point of no return was passed, if it was.
    fn passed(&self) -> Option<Timestamp> {
        let after = self.plan.window.as_ref()?.point_of_no_return?;
        self.cutover.map(|cutover| cutover + after).filter(|point| self.at >= *point)
    }

    /// What a person does by hand is not observed: the plan says whether it loses data.
    fn loses_data(&self, name: &str) -> bool {
        let step = &self.plan.steps[name];
        if matches!(step.action.as_str(), "manual" | "wait") {
            return step.loses_data;
        }
        let loses = |change: &Change| change.effects.iter().any(|effect| matches!(effect, Effect::LosesData { .. }));
        let changes = self.assessed.get(name).map_or(&[][..], |assessed| &assessed.changes);
        !changes.is_empty() && (step.loses_data || changes.iter().any(loses))
    }

    fn window(&self) -> Vec<String> {
        let opens = self.plan.window.as_ref().and_then(|window| window.opens).filter(|opens| self.at < *opens);
        let opens = opens.map(|opens| format!("the window opens at {opens}: nothing starts by itself before"));
        let Some(point) = self.passed() else { return opens.into_iter().collect() };
        let passed = format!(
            "the point of no return was passed at {point:.0}: nothing starts by itself any more, people decide"
        );
        let asks = self.plan.window.as_ref().is_some_and(|window| window.past == PastWindow::RequireApproval);
        let losing = self.names.iter().filter(|name| asks && self.loses_data(name));
        let losing =
            losing.map(|name| format!("step {name} waits for an approval: it loses data, past the point of no return"));
        opens.into_iter().chain([passed]).chain(losing).collect()
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
        let unreadable = unreadable(self.plan, &self.circumstances.places, self.readings);
        let mut warnings: Vec<String> = unreadable.map(|found| found.to_string()).collect();
        warnings.extend(self.uncaptured());
        warnings.extend(self.window());
        for (name, assessed) in &self.assessed {
            let told = assessed
                .checks
                .iter()
                .filter(|check| matches!(check.verdict, CheckVerdict::Warn | CheckVerdict::Unknown))
                .filter(|check| check.id != CUTOVER_UNMARKED);
            warnings.extend(told.map(|check| format!("step {name}: {}", check.line())));
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

    fn uncaptured(&self) -> Option<String> {
        let steps = self.assessed.iter().filter(|(_, assessed)| assessed.found == Found::Uncaptured);
        let steps: Vec<&str> = steps.map(|(name, _)| name.as_str()).collect();
        (!steps.is_empty() && self.cutover.is_none()).then(|| {
            let steps = steps.join(", ");
            format!(
                "no baseline is captured yet for {steps}: arming captures the present state; `belay capture` shows it"
            )
        })
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

    fn triggers(&self) -> IndexMap<Name, DryTrigger> {
        let signals = |when| signals_of(when).into_iter().cloned().collect();
        let triggers = self.plan.triggers.iter();
        triggers.map(|(name, trigger)| (name.clone(), DryTrigger { signals: signals(&trigger.when) })).collect()
    }

    fn signals(&self) -> IndexMap<Name, DrySignal> {
        let signals = self.plan.signals.iter().filter_map(|(name, signal)| {
            let reading = self.readings.get(name)?;
            let signal = DrySignal {
                kind: signal.kind.clone(),
                health: reading.health,
                evidence: reading.evidence.clone(),
                source: reading.source.clone(),
                permanent: reading.permanent,
            };
            Some((name.clone(), signal))
        });
        signals.collect()
    }
}
