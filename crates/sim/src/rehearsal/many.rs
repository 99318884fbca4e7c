//! Many plays of one rehearsal, and what they come to together.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use belay_plan::model::Name;
use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::{Outcome, PlayError, Rehearsal, Report, StepReport};

/// Plays with each of `runs` seeds from `first` on, on so many threads; the reports in the order of the seeds.
///
/// # Errors
/// The first [`PlayError`] by seed.
pub fn play_all(rehearsal: &Rehearsal, first: u64, runs: u64, threads: usize) -> Result<Vec<Report>, PlayError> {
    let next = AtomicU64::new(0);
    let play = || {
        let mut played = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= runs {
                return played;
            }
            let seed = first.wrapping_add(number);
            played.push((number, rehearsal.play(seed).map(|played| played.report)));
        }
    };
    let mut reports: Vec<(u64, Result<Report, PlayError>)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(play)).collect();
        // A thread that panicked has found a bug: the panic goes on here.
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|bug| std::panic::resume_unwind(bug)))
            .collect()
    });
    reports.sort_by_key(|(number, _)| *number);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// What many plays come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    pub runs: usize,
    pub within_objectives: usize,
    /// From 0.0 to 1.0.
    pub share_within_objectives: f64,
    /// Of those within the objectives: runs in which people approved a loss beyond `rpo`.
    pub loss_approved: usize,
    pub outcomes: BTreeMap<Outcome, Counted>,
    /// In seconds, of the runs that came so far.
    pub detection: Option<Quantiles>,
    pub decision: Option<Quantiles>,
    pub recovery: Option<Quantiles>,
    pub confidence: Option<Quantiles>,
    pub total: Option<Quantiles>,
    pub data_lost: Option<Quantiles>,
    /// In the order of the plan.
    pub steps: IndexMap<Name, StepDistribution>,
    /// The seed to look at first: of a run that did not roll back, or else of the longest.
    pub worst_seed: Option<u64>,
    /// What the scenario has in store and nothing met in any of the runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
}

/// One step over many plays: what it took where it was begun, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepDistribution {
    pub took: Option<Quantiles>,
    pub waited: Option<Quantiles>,
    /// Whose answer it waited for, and how long; and how long for its interlocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    pub people: Option<Quantiles>,
    pub interlocks: Option<Quantiles>,
    pub changed: Option<Quantiles>,
    pub verified: Option<Quantiles>,
    /// From the breach.
    pub began: Option<Quantiles>,
    pub ended: Option<Quantiles>,
    /// In how many runs it failed, of those its fallback was put in its place, and in how many it was skipped.
    pub failed: usize,
    pub fell_back: usize,
    pub skipped: usize,
    /// In how many runs it lay on the way that took longest.
    pub critical: usize,
    /// The step that took longest at p95.
    pub longest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub runs: usize,
    /// One of them.
    pub seed: u64,
    /// How that one ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// By the nearest-rank method: each of them is a time that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    pub p50_s: f64,
    pub p95_s: f64,
    pub worst_s: f64,
}

impl Quantiles {
    fn of(times: impl Iterator<Item = Duration>) -> Option<Self> {
        let mut times: Vec<Duration> = times.collect();
        times.sort_unstable();
        let rank = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times.get(rank.max(1) - 1).map(|time| (time.as_secs_f64() * 1000.0).round() / 1000.0)
        };
        Some(Self { p50_s: rank(0.5)?, p95_s: rank(0.95)?, worst_s: rank(1.0)? })
    }
}

fn steps(reports: &[Report]) -> IndexMap<Name, StepDistribution> {
    let names: IndexSet<&Name> = reports.iter().flat_map(|report| report.steps.keys()).collect();
    let of = |name: &Name| {
        let played: Vec<&StepReport> = reports.iter().filter_map(|report| report.steps.get(name)).collect();
        let time = |time: fn(&StepReport) -> Option<Duration>| Quantiles::of(played.iter().copied().filter_map(time));
        let count = |phase: &str| played.iter().filter(|step| step.phase == phase).count();
        StepDistribution {
            took: time(|step| step.took),
            waited: time(|step| step.waited),
            asked: played.iter().find_map(|step| step.asked.clone()),
            people: time(|step| step.people),
            interlocks: time(|step| step.interlocks),
            began: time(|step| step.began),
            ended: time(|step| step.ended),
            changed: time(|step| step.changed),
            verified: time(|step| step.verified),
            failed: count("failed"),
            fell_back: played.iter().filter(|step| step.fell_back).count(),
            skipped: count("skipped"),
            critical: played.iter().filter(|step| step.critical).count(),
            longest: false,
        }
    };
    let mut steps: IndexMap<Name, StepDistribution> = names.into_iter().map(|name| (name.clone(), of(name))).collect();
    let p95_s = |step: &StepDistribution| step.took.map_or(0.0, |took| took.p95_s);
    if let Some(longest) = steps.values_mut().max_by(|one, two| p95_s(one).total_cmp(&p95_s(two))) {
        longest.longest = longest.took.is_some();
    }
    steps
}

/// Counts and orders the reports of many plays.
pub fn distribution(reports: &[Report]) -> Distribution {
    let mut outcomes: BTreeMap<Outcome, Counted> = BTreeMap::new();
    for report in reports {
        let first = || Counted { runs: 0, seed: report.seed, why: report.why.clone() };
        outcomes.entry(report.outcome).or_insert_with(first).runs += 1;
    }
    let of = |time: fn(&Report) -> Option<Duration>| Quantiles::of(reports.iter().filter_map(time));
    let failed = reports.iter().find(|report| report.outcome != Outcome::RolledBack);
    let longest = || reports.iter().max_by_key(|report| (report.times.total, std::cmp::Reverse(report.seed)));
    let within_objectives = reports.iter().filter(|report| report.verdict.within_objectives).count();
    Distribution {
        runs: reports.len(),
        within_objectives,
        share_within_objectives: within_objectives as f64 / reports.len().max(1) as f64,
        loss_approved: reports.iter().filter(|report| report.verdict.loss_approved).count(),
        outcomes,
        detection: of(|report| report.times.detection),
        decision: of(|report| report.times.decision),
        recovery: of(|report| report.times.recovery),
        confidence: of(|report| report.times.confidence),
        total: of(|report| report.times.total),
        data_lost: of(|report| report.times.data_lost),
        steps: steps(reports),
        worst_seed: failed.or_else(longest).map(|report| report.seed),
        unmet: reports.first().map_or_else(Vec::new, |first| {
            let everywhere = |what: &&String| reports.iter().all(|report| report.unmet.contains(what));
            first.unmet.iter().filter(everywhere).cloned().collect()
        }),
    }
}
