//! When steps begin and end by what is usual: arithmetic on the plan alone.

use std::{collections::HashMap, time::Duration};

use belay_core::decision::{may_roll_back, rule_for};
use belay_plan::{
    builtin::{MANUAL, WAIT},
    duration,
    graph::Graph,
    model::{Answer, Condition, Gate, Name, OnFailure, Otherwise, Plan, Step, Trigger, counts_during},
};

use super::advice::periods;
use crate::{
    nature,
    rehearsal::{script::ANSWER, usual},
};

/// A person who is not given a deadline has answered by then.
const PERSON: Duration = Duration::from_secs(30 * 60);

/// A poll before a change shows, and one before it is seen.
pub(crate) const POLLS: Duration = Duration::from_secs(10);

/// The earliest and the latest moment, from the begin of the run, when nothing fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moments {
    pub(crate) start: Duration,
    /// The earliest start where steps that the run goes on without fail at once.
    pub(crate) soonest: Duration,
    /// Its changes are in place: its gates open.
    pub(crate) settled: [Duration; 2],
    pub(crate) end: [Duration; 2],
    /// What its gates take at least.
    pub(crate) least_gates: Duration,
}

pub(crate) struct Schedule<'p> {
    steps: HashMap<&'p str, Moments>,
    /// The same of the confirmation.
    confirms: Duration,
}

impl<'p> Schedule<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        let mut steps: HashMap<&str, Moments> = HashMap::new();
        let mut over: HashMap<&str, Duration> = HashMap::new();
        for name in Graph::new(plan).order() {
            let step = &plan.steps[name];
            let after = |which: usize| {
                let needed = step.needs.iter().filter_map(|need| steps.get(need.as_str()));
                needed.map(|moments| moments.end[which]).max().unwrap_or_default()
            };
            let [earliest, latest] = [after(0), after(1)];
            let takes = usual(step);
            let settled = [earliest + takes[0], latest.saturating_add(asked(step)).saturating_add(takes[1])];
            let hold = step.verify.iter().map(|gate| gate.hold).max().unwrap_or_default();
            let within = step.verify.iter().map(|gate| gate.within).max().unwrap_or_default();
            let end = [settled[0] + hold, settled[1].saturating_add(within)];
            let soonest =
                step.needs.iter().filter_map(|need| over.get(need.as_str())).max().copied().unwrap_or_default();
            let may_fail = step.on_failure != OnFailure::Halt || skips(step);
            over.insert(name, if may_fail { soonest } else { soonest + takes[0] + hold });
            steps.insert(name, Moments { start: earliest, soonest, settled, end, least_gates: hold });
        }
        let graph = Graph::new(plan);
        let confirms = over.iter().filter(|(name, _)| !graph.is_fallback(name)).map(|(_, time)| *time).max();
        Self { steps, confirms: confirms.unwrap_or_default() }
    }

    /// When the confirmation begins at the earliest.
    pub(crate) fn confirms(&self) -> Duration {
        self.confirms
    }

    pub(crate) fn of(&self, step: &str) -> Moments {
        self.steps.get(step).copied().unwrap_or_default()
    }
}

/// The least and the most that a step's own changes usually take.
fn usual(step: &Step) -> [Duration; 2] {
    match step.action.as_str() {
        MANUAL => [Duration::ZERO; 2],
        WAIT => [waits(step); 2],
        _ => {
            let spread = usual::of_step(step);
            [spread.least, spread.most]
        }
    }
}

/// What a step's time-out means for a usual run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeOut {
    /// It is longer than the action takes at most.
    Never,
    /// Shorter than that: some runs reach it.
    Sometimes,
    /// Shorter than the action usually takes.
    Usually,
}

impl TimeOut {
    pub(crate) fn of(step: &Step) -> Self {
        let spread = usual::of_step(step);
        match () {
            () if !nature::acts(step) => Self::Never,
            () if step.timeout < spread.usual => Self::Usually,
            () if step.timeout < spread.most + POLLS => Self::Sometimes,
            () => Self::Never,
        }
    }
}

/// Whether people are given no more time than one takes who is called.
pub(crate) fn has_no_time_to_answer(step: &Step) -> bool {
    step.approve.as_ref().and_then(|approve| approve.within).is_some_and(|within| within <= ANSWER)
}

/// Whether the run goes on without a step that nobody approves in time.
pub(crate) fn skips(step: &Step) -> bool {
    step.approve.as_ref().is_some_and(|approve| approve.otherwise == Otherwise::Skip)
}

/// What a `wait` waits.
pub(crate) fn waits(step: &Step) -> Duration {
    step.with["for"].as_str().and_then(|text| duration::parse(text).ok()).unwrap_or_default()
}

/// The most that people take who are asked about a step.
fn asked(step: &Step) -> Duration {
    match &step.approve {
        Some(approve) => approve.within.unwrap_or(PERSON),
        None if step.action == MANUAL => step.timeout.min(PERSON),
        None => Duration::ZERO,
    }
}

/// How long a run takes without failures, from the breach on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// The trigger whose rollback begins last.
    pub(crate) trigger: Option<Name>,
    /// From the breach until it fires: dwell, and what its signals usually take.
    pub(crate) detection: Duration,
    /// What its rule gives people, if the rollback follows in the end.
    pub(crate) decision: Duration,
    /// The steps, as long as they usually take.
    pub(crate) steps: Duration,
    /// What the confirmation holds at least.
    pub(crate) confirmation: Duration,
    /// The longest way through time-outs, deadlines, gates and fallbacks; None: something has no end.
    pub(crate) longest: Option<Duration>,
}

impl Lengths {
    pub(crate) fn new(plan: &Plan) -> Self {
        let graph = Graph::new(plan);
        let expected = |name: &str| {
            let step = &plan.steps[name];
            let takes = match step.action.as_str() {
                MANUAL => Duration::ZERO,
                WAIT => waits(step),
                _ => usual::of_step(step).usual,
            };
            takes + step.verify.iter().map(|gate| gate.hold).max().unwrap_or_default()
        };
        let longest = plan.steps.values().all(|step| longest_of(step).is_some());
        let with_fallback = |name: &str| {
            let mut time = Duration::ZERO;
            let mut seen: Vec<&str> = Vec::new();
            let mut next = Some(name);
            while let Some(name) = next.filter(|name| !seen.contains(name)) {
                time = time.saturating_add(plan.steps.get(name).and_then(longest_of).unwrap_or_default());
                seen.push(name);
                next = graph.fallback_of(name);
            }
            time
        };
        let most = |gates: &[Gate]| gates.iter().map(|gate| gate.within).max().unwrap_or_default();
        let (trigger, [detection, decision]) =
            before(plan).map_or_else(Default::default, |(name, times)| (Some(name), times));
        let before = detection.saturating_add(decision);
        let longest = longest.then(|| {
            graph.critical_path(with_fallback).duration.saturating_add(before).saturating_add(most(&plan.confirm))
        });
        Self {
            trigger,
            detection,
            decision,
            steps: graph.critical_path(expected).duration,
            confirmation: plan.confirm.iter().map(|gate| gate.hold).max().unwrap_or_default(),
            longest,
        }
    }
}

/// Of the trigger that takes longest from the breach to the rollback that answers it: until it fires, and what people have to
/// decide. Triggers that never roll back do not count, where others do.
fn before(plan: &Plan) -> Option<(Name, [Duration; 2])> {
    let of = |(name, trigger): (&Name, &Trigger)| {
        let detection = trigger.dwell.saturating_add(shows(plan, &trigger.when));
        let phases = plan.phases.keys().map(|phase| Some(phase.as_str())).chain(plan.phases.is_empty().then_some(None));
        let phases = phases.filter(|phase| counts_during(&trigger.during, *phase));
        let rules = phases.map(|phase| rule_for(plan, trigger, phase).1);
        let asks = rules.filter(|rule| rule.answer != Answer::RollBack && rule.then != Some(Answer::FixForward));
        (name.clone(), [detection, asks.filter_map(|rule| rule.timebox).max().unwrap_or_default()])
    };
    rolling_back(plan).into_iter().map(of).max_by_key(|(_, [detection, decision])| detection.saturating_add(*decision))
}

/// The triggers that are answered by a rollback; all of them where none is.
pub(crate) fn rolling_back(plan: &Plan) -> Vec<(&Name, &Trigger)> {
    let any = plan.triggers.values().any(|trigger| may_roll_back(plan, trigger));
    plan.triggers.iter().filter(|(_, trigger)| !any || may_roll_back(plan, trigger)).collect()
}

/// How late a condition usually shows a breach.
fn shows(plan: &Plan, when: &Condition) -> Duration {
    let of = |conditions: &[Condition]| -> Vec<Duration> {
        let mut times: Vec<Duration> = conditions.iter().map(|condition| shows(plan, condition)).collect();
        times.sort_unstable();
        times
    };
    match when {
        Condition::Signal(name) => {
            let Some(signal) = plan.signals.get(name) else { return Duration::ZERO };
            let periods = periods(signal).map_or(Duration::ZERO, |(period, breaching, _)| period * breaching);
            usual::of_signal(&signal.kind).usual.max(periods)
        }
        Condition::Any(of_these) => of(of_these).first().copied().unwrap_or_default(),
        Condition::All(of_these) => of(of_these).last().copied().unwrap_or_default(),
        Condition::AtLeast { n, of: of_these } => {
            let nth = usize::try_from(*n).unwrap_or(usize::MAX).saturating_sub(1);
            of(of_these).get(nth).copied().unwrap_or_default()
        }
    }
}

/// Interlocks, approval, changes of each stage, gates. None: a person without a deadline.
fn longest_of(step: &Step) -> Option<Duration> {
    let most = |gates: &[Gate]| gates.iter().map(|gate| gate.within).max().unwrap_or_default();
    let asked = match &step.approve {
        Some(approve) => approve.within?,
        None if step.action == MANUAL => return None,
        None => Duration::ZERO,
    };
    let own = match step.action.as_str() {
        MANUAL => Duration::ZERO,
        WAIT => waits(step),
        _ => step.timeout,
    };
    let parts = u32::try_from(step.stages.len().max(1)).unwrap_or(1);
    let part = own.saturating_add(most(&step.require)).saturating_add(most(&step.verify));
    Some(asked.saturating_add(part.saturating_mul(parts)))
}
