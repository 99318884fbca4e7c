//! Time: whether the rollback is expected to end within the objective, and whether it was rehearsed lately.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_core::{
    decision::{may_roll_back, rule_for},
    migration::Migration,
    watch::signals_of,
};
use belay_plan::{
    duration,
    graph::Graph,
    model::{Answer, Name, Plan, Step, Trigger},
};
use belay_ports::{Check, Detects};
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};

use super::Circumstances;
use crate::expected::{Expected, ExpectedFrom, longest_hold};

/// A rehearsal that is older counts for little: what it rehearsed has changed since.
const DRILL_AGE_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What measures a step, and rehearses it.
const DRILL: &str = "a drill in staging: add `overlays:` to the plan where it has none (config/README.md#overlays), then `belay drill PLAN \
                     --overlay NAME --fire TRIGGER --reason TEXT`";

pub(super) fn evaluate(
    plan: &Plan,
    (times, detects): (&IndexMap<Name, Option<Expected>>, &BTreeMap<Name, Detects>),
    circumstances: &Circumstances,
    at: Timestamp,
) -> Vec<Check> {
    let phase = circumstances.phase.as_deref();
    let of_phase = plan.in_phase(phase);
    let mut checks = vec![within_rto(&of_phase, times)];
    checks.extend(recovery(plan, rollback(&of_phase, times).0, &leads(&of_phase, phase, detects)));
    checks.extend(drill(plan, &circumstances.drilled, at));
    checks
}

/// How long after the begin of a breach the triggers that may roll back begin the rollback at the latest.
#[derive(Default)]
struct Leads<'p> {
    /// The quickest first.
    known: Vec<(&'p Name, Duration)>,
    /// Those of which it is not known, each with the signal.
    unknown: Vec<(&'p Name, &'p Name)>,
}

/// Until the signals of a trigger show the breach, its dwell, and the time that people have to fix or to decide.
fn leads<'p>(plan: &'p Plan, phase: Option<&str>, detects: &BTreeMap<Name, Detects>) -> Leads<'p> {
    let rolls_back = plan.triggers.iter().filter(|(_, trigger)| may_roll_back(plan, trigger));
    let lead = |trigger: &'p Trigger| {
        let mut shown = Duration::ZERO;
        for signal in signals_of(&trigger.when) {
            match detects.get(signal).copied().unwrap_or_default() {
                Detects::AtOnce => {}
                Detects::Within(within) => shown = shown.max(within),
                Detects::Unknown => return Err(signal),
            }
        }
        let (_, rule) = rule_for(plan, trigger, phase.or(plan.usual_phase()));
        let decided = rule.timebox.filter(|_| rule.answer != Answer::RollBack).unwrap_or_default();
        Ok(shown + trigger.dwell + decided)
    };
    let mut leads = Leads::default();
    for (name, trigger) in rolls_back {
        match lead(trigger) {
            Ok(lead) => leads.known.push((name, lead)),
            Err(signal) => leads.unknown.push((name, signal)),
        }
    }
    leads.known.sort_by_key(|(_, lead)| *lead);
    leads
}

/// How long the steps and the confirmation take, with the steps that count.
fn rollback<'p>(plan: &'p Plan, times: &IndexMap<Name, Option<Expected>>) -> (Duration, Vec<&'p str>) {
    let path = Graph::new(plan)
        .critical_path(|name| times.get(name).copied().flatten().map_or(Duration::ZERO, |step| step.time));
    (path.duration + longest_hold(&plan.confirm), path.steps)
}

fn within_rto(plan: &Plan, times: &IndexMap<Name, Option<Expected>>) -> Check {
    let (expected, path) = rollback(plan, times);
    let of_plan = plan.steps.keys().filter_map(|name| Some((name.clone(), *times.get(name)?)));
    let times: IndexMap<Name, Option<Expected>> = of_plan.collect();
    let known = times.values().flatten();
    let is_measured = known.clone().count() > 0 && known.clone().all(|step| step.from == ExpectedFrom::Measured);
    let source = if is_measured { "measured" } else { "by defaults" };
    let uncounted: Vec<&str> = times.iter().filter(|(_, step)| step.is_none()).map(|(name, _)| name.as_str()).collect();
    let mut found = format!("the rollback is expected to take {} ({source})", duration::format(whole(expected)));
    if !uncounted.is_empty() {
        let uncounted = uncounted.join(", ");
        // No time at all is no expectation.
        found = match expected.is_zero() {
            true => format!("how long the rollback takes is not known: {uncounted} was never measured"),
            false => format!("{found}, without what was never measured: {uncounted}"),
        };
    }
    let Some(rto) = plan.objectives.rto else {
        return Check::go("rto", &plan.migration, format!("{found}; the plan has no objective for it (rto)"));
    };
    let wanted = format!("at most {} (rto)", duration::format(rto));
    match expected > rto {
        true => Check::no_go("rto", &plan.migration, found)
            .wanted(wanted)
            .cure(format!("shorten the critical path ({}), or correct `objectives.rto`", path.join(" -> "))),
        // What is in place shows nothing of how long it takes to bring it back.
        false if !uncounted.is_empty() => Check::warn("rto", &plan.migration, found).wanted(wanted).cure(DRILL),
        false => Check::go("rto", &plan.migration, found).wanted(wanted),
    }
}

/// The objective is held against the time from the breach to the confirmed rollback.
fn recovery(plan: &Plan, rollback: Duration, leads: &Leads<'_>) -> Option<Check> {
    const ID: &str = "recovery_time";
    let rto = plan.objectives.rto?;
    let untold = leads.unknown.first().map(|(trigger, signal)| {
        format!("how late trigger {trigger} begins a rollback is not known, because that of signal {signal} is not")
    });
    let wanted = || format!("at most {} (rto)", duration::format(rto));
    const SHOWN: &str =
        "let the signal go by what has a known time to detection (its check `detection`), or add a trigger that does";
    let (Some(quickest), Some(slowest)) = (leads.known.first(), leads.known.last()) else {
        return Some(Check::unknown(ID, &plan.migration, untold?).wanted(wanted()).cure(SHOWN));
    };
    let too_late = |(_, lead): &(&Name, Duration)| *lead + rollback > rto;
    let found = |(trigger, lead): &(&Name, Duration)| {
        format!(
            "{} from a breach to its confirmed rollback: trigger {trigger} begins it within {}",
            duration::format(whole(*lead + rollback)),
            duration::format(whole(*lead))
        )
    };
    let wanted = wanted();
    let cure = "let alarms evaluate shorter periods, shorten `for` of the trigger or the time for a decision, or correct `objectives.rto`";
    Some(if too_late(quickest) {
        Check::no_go(ID, &plan.migration, found(quickest)).wanted(wanted).cure(cure)
    } else if too_late(slowest) {
        let found = format!("{}; the quickest trigger is {}", found(slowest), quickest.0);
        Check::warn(ID, &plan.migration, found).wanted(wanted).cure(cure)
    } else if let Some(untold) = untold {
        Check::warn(ID, &plan.migration, format!("{}; {untold}", found(slowest))).wanted(wanted).cure(SHOWN)
    } else {
        Check::go(ID, &plan.migration, found(slowest)).wanted(wanted)
    })
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
            let wanted = "every step carried out in a drill within 30 days";
            Some(Check::warn("drill", &plan.migration, found).wanted(wanted).cure(DRILL))
        }
    }
}

/// When each step was last carried out in a drill: by its name and action.
pub(super) fn drilled<'m>(
    plan: &Plan,
    states: impl Iterator<Item = &'m Migration> + Clone,
) -> Vec<(Name, Option<Timestamp>)> {
    let last = |name: &Name, step: &Step| {
        let in_state = |state: &'m Migration| {
            let kept = state.run.iter().chain(state.past_runs.iter().map(Arc::as_ref));
            kept.filter_map(|run| run.drilled(name, step)).max().max(state.forgotten.drilled(name, step))
        };
        states.clone().filter_map(in_state).max()
    };
    plan.steps.iter().map(|(name, step)| (name.clone(), last(name, step))).collect()
}

#[cfg(test)]
mod tests {
    use belay_ports::CheckVerdict;
    use serde_json::json;

    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Two triggers: `page` waits for a minute, `errors` for what the plan says. A wait of two minutes is all that is rolled back.
    fn plan(rto: Option<&str>, decision: &serde_json::Value) -> Plan {
        let trigger = |signal: &str, dwell: &str| {
            json!({
                "when": { "signal": signal }, "for": dwell, "severity": "critical", "scope": "isolated", "fix": "unknown",
                "red_at_arm": "refuse",
            })
        };
        let step = json!({
            "action": "wait", "with": { "for": "2m" }, "to": "own", "resource": "wait", "timeout": "1h",
            "retry": { "attempts": 1, "backoff_min": "1s", "backoff_max": "2s" }, "on_failure": "halt",
        });
        let plan = json!({
            "migration": "shop", "objectives": { "rto": rto }, "decision": { "rules": [decision] }, "steps": { "pause": step },
            "triggers": { "slow": trigger("errors", "3m"), "quick": trigger("page", "1m") },
        });
        serde_json::from_value(plan).unwrap()
    }

    /// CloudWatch shows errors within four minutes; the page shows it at once.
    fn check(rto: Option<&str>, decision: &serde_json::Value) -> Option<Check> {
        check_with(rto, decision, &[("errors", Detects::Within(seconds(4 * 60)))])
    }

    fn check_with(rto: Option<&str>, decision: &serde_json::Value, detects: &[(&str, Detects)]) -> Option<Check> {
        let plan = plan(rto, decision);
        let times = plan.steps.iter().map(|(name, step)| {
            (name.clone(), crate::expected::expected_when_needed(name, step, &[], &crate::Measured::new()))
        });
        let times = times.collect();
        let detects = detects.iter().map(|(signal, detects)| ((*signal).to_owned(), *detects)).collect();
        evaluate(&plan, (&times, &detects), &Circumstances::default(), Timestamp::UNIX_EPOCH)
            .into_iter()
            .find(|check| check.id == "recovery_time")
    }

    /// From the breach: detection, dwell, and the rollback of two minutes.
    #[test]
    fn the_objective_is_held_against_the_time_from_the_breach_to_the_confirmed_rollback() {
        let at_once = json!({ "do": "roll_back" });
        for (rto, verdict, found) in [
            ("9m", CheckVerdict::Go, "9m from a breach to its confirmed rollback: trigger slow begins it within 7m"),
            ("8m59s", CheckVerdict::Warn, "trigger slow begins it within 7m; the quickest trigger is quick"),
            ("3m", CheckVerdict::Warn, "the quickest trigger is quick"),
            (
                "2m59s",
                CheckVerdict::NoGo,
                "3m from a breach to its confirmed rollback: trigger quick begins it within 1m",
            ),
        ] {
            let check = check(Some(rto), &at_once).unwrap();
            assert_eq!((check.verdict, check.wanted), (verdict, format!("at most {rto} (rto)")), "{}", check.found);
            assert!(check.found.contains(found), "{rto}: {}", check.found);
            assert_eq!(check.cure.is_empty(), verdict == CheckVerdict::Go);
        }
        assert_eq!(check(None, &at_once), None, "there is nothing to hold it against");
    }

    /// An alarm that may never fire is no quick one.
    #[test]
    fn a_signal_of_unknown_delay_makes_the_recovery_time_unknown() {
        let at_once = json!({ "do": "roll_back" });
        let unknown = |signals: &[&str]| {
            let detects: Vec<_> = signals.iter().map(|signal| (*signal, Detects::Unknown)).collect();
            check_with(Some("9m"), &at_once, &detects).unwrap()
        };
        let all = unknown(&["errors", "page"]);
        assert_eq!(all.verdict, CheckVerdict::Unknown);
        let found = "how late trigger slow begins a rollback is not known, because that of signal errors is not";
        assert_eq!(all.found, found);
        let one = unknown(&["errors"]);
        assert_eq!(one.verdict, CheckVerdict::Warn);
        assert!(one.found.starts_with("3m from a breach") && one.found.ends_with(found), "{one:?}");
    }

    #[test]
    fn the_time_that_people_have_counts_and_a_trigger_that_comes_to_no_rollback_does_not() {
        let check = |decision: serde_json::Value| check(Some("9m"), &decision);
        let asked = check(json!({ "do": "decide", "timebox": "30m" })).unwrap();
        assert_eq!(asked.verdict, CheckVerdict::NoGo);
        assert!(asked.found.starts_with("33m from a breach"), "{}", asked.found);
        assert_eq!(check(json!({ "do": "fix_forward" })), None);
        assert_eq!(check(json!({ "do": "decide" })), None, "nothing follows where nobody decides");
    }
}
