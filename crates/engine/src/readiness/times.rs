//! Time: whether the rollback is expected to end within the objective, and whether it was rehearsed lately.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::RunKind,
    migration::Migration,
    run::{Phase, Run},
};
use belay_plan::{
    duration,
    graph::Graph,
    model::{Name, Plan},
};
use belay_ports::Check;
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};

use super::Circumstances;
use crate::expected::{Expected, ExpectedFrom, longest_hold};

/// A rehearsal that is older counts for little: what it rehearsed has changed since.
const DRILL_AGE_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) fn evaluate(
    plan: &Plan,
    times: &IndexMap<Name, Option<Expected>>,
    circumstances: &Circumstances,
    at: Timestamp,
) -> Vec<Check> {
    let mut checks = vec![within_rto(&plan.in_phase(circumstances.phase.as_deref()), times)];
    checks.extend(drill(plan, &circumstances.drilled, at));
    checks
}

fn within_rto(plan: &Plan, times: &IndexMap<Name, Option<Expected>>) -> Check {
    let path = Graph::new(plan)
        .critical_path(|name| times.get(name).copied().flatten().map_or(Duration::ZERO, |step| step.time));
    let expected = path.duration + longest_hold(&plan.confirm);
    let of_plan = plan.steps.keys().filter_map(|name| Some((name.clone(), *times.get(name)?)));
    let times: IndexMap<Name, Option<Expected>> = of_plan.collect();
    let known = times.values().flatten();
    let is_measured = known.clone().count() > 0 && known.clone().all(|step| step.from == ExpectedFrom::Measured);
    let source = if is_measured { "measured" } else { "by defaults" };
    let uncounted: Vec<&str> = times.iter().filter(|(_, step)| step.is_none()).map(|(name, _)| name.as_str()).collect();
    let mut found = format!("the rollback is expected to take {} ({source})", duration::format(whole(expected)));
    if !uncounted.is_empty() {
        found = format!("{found}, without what was never measured: {}", uncounted.join(", "));
    }
    let Some(rto) = plan.objectives.rto else {
        return Check::go("rto", &plan.migration, format!("{found}; the plan has no objective for it (rto)"));
    };
    let wanted = format!("at most {} (rto)", duration::format(rto));
    match expected > rto {
        true => Check::no_go("rto", &plan.migration, found)
            .wanted(wanted)
            .cure(format!("shorten the critical path ({}), or correct `objectives.rto`", path.steps.join(" -> "))),
        // What is in place shows nothing of how long it takes to bring it back.
        false if !uncounted.is_empty() => Check::warn("rto", &plan.migration, found)
            .wanted(wanted)
            .cure("a drill measures it: `belay drill PLAN --overlay NAME --fire TRIGGER --reason TEXT`"),
        false => Check::go("rto", &plan.migration, found).wanted(wanted),
    }
}

fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

pub(super) fn drill(plan: &Plan, drilled: &[(Name, Option<Timestamp>)], at: Timestamp) -> Option<Check> {
    let lately = |time: &Option<Timestamp>| time.is_some_and(|time| at.duration_since(time) <= DRILL_AGE_MAX);
    let missing: Vec<&str> = drilled.iter().filter(|(_, time)| !lately(time)).map(|(name, _)| name.as_str()).collect();
    let oldest = drilled.iter().filter_map(|(_, time)| *time).min();
    match (missing.is_empty(), oldest) {
        (true, None) => None, // the plan has no steps
        (true, Some(oldest)) => Some(Check::go(
            "drill",
            &plan.migration,
            format!("every step was carried out in a drill since {oldest:.0}"),
        )),
        (false, _) => {
            let found = format!("not carried out in a drill within 30 days: {}", missing.join(", "));
            let cure = "rehearse it in staging: `belay drill PLAN --overlay NAME --fire TRIGGER --reason TEXT`";
            Some(Check::warn("drill", &plan.migration, found).cure(cure))
        }
    }
}

/// When each step was last carried out in a drill: by its name and action.
pub(super) fn drilled<'m>(
    plan: &Plan,
    states: impl Iterator<Item = &'m Migration> + Clone,
) -> Vec<(Name, Option<Timestamp>)> {
    let runs = states.flat_map(|state| state.run.iter().chain(state.past_runs.iter().map(Arc::as_ref)));
    let drills = runs.filter(|run| run.kind == RunKind::Drill);
    let last = |name: &Name| {
        let carried_out = |run: &Run| {
            let same = run.plan.steps.get(name).is_some_and(|then| then.action == plan.steps[name].action);
            let over = run.steps.get(name).is_some_and(|step| matches!(step.phase, Phase::Done | Phase::Unchanged));
            (same && over).then_some(run.ended).flatten()
        };
        drills.clone().filter_map(carried_out).max()
    };
    plan.steps.keys().map(|name| (name.clone(), last(name))).collect()
}
