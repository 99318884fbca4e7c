//! What each step of a run took, whom it waited for, and which steps made the run as long as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use belay_core::{
    OPERATOR,
    event::{Event, Record, StepEvent},
    run::{Phase, Run, StepState},
};
use belay_plan::model::{Name, OnFailure, counts_during};
use indexmap::IndexMap;
use jiff::Timestamp;

use super::report::{StepReport, between};

pub(super) fn of_run(run: &Run, breach: Option<Timestamp>, records: &[Record]) -> IndexMap<Name, StepReport> {
    let (waits, critical) = (Waits::of(records), critical(run));
    let step = |(name, step): (&Name, &Arc<StepState>)| {
        let time = |from: Option<Timestamp>, to: Option<Timestamp>| Some(between(from?, to?));
        let (took, sent) = (time(step.started, step.ended), step.first_sent);
        let people = waits.people.get(name).copied();
        let role = run.plan.steps[name].approve.as_ref().map_or(OPERATOR, |approve| approve.role.as_str());
        let report = StepReport {
            phase: step.phase.as_str(),
            fell_back: fell_back(run, name, step),
            critical: critical.contains(name),
            began: time(breach, step.started),
            ended: time(breach, step.ended),
            took,
            waited: time(step.started, sent.or(step.ended)),
            asked: people.map(|_| role.to_owned()),
            people,
            interlocks: waits.interlocks.get(name).copied(),
            changed: time(sent, step.settled.or(step.ended)),
            verified: time(step.settled, step.ended),
            sends: step.attempt,
        };
        (name.clone(), report)
    };
    let acts = |(name, _): &(&Name, _)| counts_during(&run.plan.steps[*name].during, run.phase.as_deref());
    run.steps.iter().filter(acts).map(step).collect()
}

fn fell_back(run: &Run, name: &Name, step: &StepState) -> bool {
    let OnFailure::Fallback(fallback) = &run.plan.steps[name].on_failure else { return false };
    let stands_in = |other: &Arc<StepState>| matches!(other.phase, Phase::Done | Phase::Unchanged);
    step.phase == Phase::Failed && run.steps.get(fallback).is_some_and(stands_in)
}

/// From the step that ended last, each time to what it waited for longest.
fn critical(run: &Run) -> BTreeSet<Name> {
    let ended = |name: &&Name| run.steps.get(*name).and_then(|step| step.ended.filter(|_| step.started.is_some()));
    let mut found = BTreeSet::new();
    let mut next = run.steps.keys().filter(|name| ended(name).is_some()).max_by_key(ended);
    while let Some(name) = next {
        found.insert(name.clone());
        let stood_in_for = run
            .plan
            .steps
            .iter()
            .filter(|(_, other)| matches!(&other.on_failure, OnFailure::Fallback(fallback) if fallback == name));
        let before = run.plan.steps[name].needs.iter().chain(stood_in_for.map(|(primary, _)| primary));
        next = before.filter(|earlier| ended(earlier).is_some() && !found.contains(*earlier)).max_by_key(ended);
    }
    found
}

/// How long steps waited for people and for interlocks, all times that they asked together.
#[derive(Default)]
struct Waits {
    people: BTreeMap<Name, Duration>,
    interlocks: BTreeMap<Name, Duration>,
}

impl Waits {
    fn of(records: &[Record]) -> Self {
        let mut waits = Self::default();
        let mut asked: BTreeMap<&Name, Timestamp> = BTreeMap::new();
        let mut opened: BTreeMap<&Name, Timestamp> = BTreeMap::new();
        for Record { at, event, .. } in records {
            let Event::Step { step, what } = event else { continue };
            let over = |since: &mut BTreeMap<&Name, Timestamp>, sum: &mut BTreeMap<Name, Duration>| {
                if let Some(since) = since.remove(step) {
                    *sum.entry(step.clone()).or_default() += between(since, *at);
                }
            };
            match what {
                StepEvent::ApprovalAwaited { .. } => {
                    asked.entry(step).or_insert(*at);
                }
                StepEvent::RequireOpened => {
                    opened.entry(step).or_insert(*at);
                }
                StepEvent::Approved => over(&mut asked, &mut waits.people),
                StepEvent::RequirePassed => over(&mut opened, &mut waits.interlocks),
                StepEvent::Done | StepEvent::Failed { .. } | StepEvent::Skipped { .. } | StepEvent::Reset => {
                    over(&mut asked, &mut waits.people);
                    over(&mut opened, &mut waits.interlocks);
                }
                _ => {}
            }
        }
        waits
    }
}
