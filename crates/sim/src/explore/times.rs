//! When steps begin and end by what is usual: arithmetic on the plan alone.

use std::{collections::HashMap, time::Duration};

use belay_plan::{
    builtin::{MANUAL, WAIT},
    duration,
    graph::Graph,
    model::{Gate, Name, Plan, Step},
};

use super::advice::periods;
use crate::{
    nature::Nature,
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
    /// Its changes are in place: its gates open.
    pub(crate) settled: [Duration; 2],
    pub(crate) end: [Duration; 2],
    /// What its gates take at least.
    pub(crate) least_gates: Duration,
}

pub(crate) struct Schedule<'p> {
    steps: HashMap<&'p str, Moments>,
}

impl<'p> Schedule<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        let mut steps: HashMap<&str, Moments> = HashMap::new();
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
            steps.insert(name, Moments { start: earliest, settled, end, least_gates: hold });
        }
        Self { steps }
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
        let spread = usual::of_action(&step.action);
        match () {
            () if !Nature::of(step).acts() => Self::Never,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// From the breach until a trigger fires: dwell, and what its signals usually take.
    pub(crate) detection: Duration,
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
        let detection = detection(plan);
        let longest = longest.then(|| {
            graph.critical_path(with_fallback).duration.saturating_add(detection).saturating_add(most(&plan.confirm))
        });
        Self {
            detection,
            steps: graph.critical_path(expected).duration,
            confirmation: plan.confirm.iter().map(|gate| gate.hold).max().unwrap_or_default(),
            longest,
        }
    }
}

/// The soonest that a trigger which rolls back usually fires.
fn detection(plan: &Plan) -> Duration {
    let lag = |signal: &Name| {
        let Some(signal) = plan.signals.get(signal) else { return Duration::ZERO };
        let periods = periods(signal).map_or(Duration::ZERO, |(period, breaching, _)| period * breaching);
        usual::of_signal(&signal.kind).usual.max(periods)
    };
    let of = |trigger: &belay_plan::model::Trigger| {
        let signals = belay_core::watch::signals_of(&trigger.when);
        trigger.dwell + signals.into_iter().map(lag).min().unwrap_or_default()
    };
    plan.triggers.values().map(of).min().unwrap_or_default()
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
