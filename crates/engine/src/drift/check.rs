//! Drift as a check: for the readiness and the dry run.

use std::{sync::Arc, time::Duration};

use belay_core::{change::Doc, evidence::Finding};
use belay_plan::model::{OnDrift, Plan, Step};
use belay_ports::{Check, CheckVerdict, Ports, evidence::Changed};

use super::{Drift, Should};
use crate::{capture::Looking, readiness::Circumstances};

const ID: &str = "drift";

/// So long an answer is waited for: the check stands without it.
const WHO_TIME_MAX: Duration = Duration::from_secs(15);

/// Changes that are told.
const CHANGES_MAX: usize = 2;

/// What stands still for less may be one part of a cutover that goes on.
const STANDS_STILL_AFTER: Duration = Duration::from_secs(5 * 60);

/// The cutover has moved the resource, and where it should stand is still to be captured.
pub(crate) struct Moved {
    pub(crate) seen: Seen,
    /// It has been for long enough.
    pub(crate) stands_still: bool,
}

/// A resource in a state that it has had for a while.
#[derive(Debug, Clone)]
pub struct Seen {
    pub(crate) doc: Arc<Doc>,
    /// When it was first seen so, on the monotonic clock: evaluations do not come at equal distances.
    since: Duration,
}

/// Whether the resource is as it should be: before the cutover as at the baseline, after it as expected. `now`: on the monotonic
/// clock. Pure.
pub(crate) fn check(
    looking: &Looking,
    plan: &Plan,
    circumstances: &Circumstances,
    (doc, now): (&Doc, Duration),
) -> (Option<Check>, Option<Moved>) {
    let Looking { scope, actuator } = looking;
    let step = &scope.step;
    let planned = &plan.steps[step];
    let resource = planned.resource.as_str();
    let held = |should: &Should| should.drift(actuator.as_ref(), scope, planned, doc);
    let of_baseline = scope.baseline.as_ref().map(|entry| Should::Observed(Arc::new(entry.doc.clone())));
    let from_baseline = of_baseline.as_ref().map_or(Drift::NotApplicable, &held);
    // Before the cutover as well: a mistake in `expect` is to be found before the night.
    if let Some(Drift::Incomparable(why)) = Should::named(planned).as_ref().map(&held) {
        let cure = "correct `expect`: it names every member, as `to` does; then arm again";
        return (Some(not_as_expected(planned, "expect", resource, why, cure.to_owned())), None);
    }
    match Should::after_cutover(step, planned, circumstances.cutover, &circumstances.expected) {
        Some(should) => {
            let check = match (held(&should), &from_baseline) {
                (Drift::NotApplicable | Drift::Incomparable(_), _) => return (None, None),
                (Drift::None, _) => Check::go(ID, resource, "as expected after the cutover"),
                // Nothing is left to put back.
                (Drift::Changed(_), Drift::None) => Check::go(ID, resource, "as it was before the cutover"),
                (Drift::Changed(found), _) => changed(plan, planned, resource, &found),
            };
            (Some(check), None)
        }
        None => match (circumstances.cutover, from_baseline) {
            (_, Drift::NotApplicable | Drift::Incomparable(_)) => (None, None),
            (None, Drift::None) => (Some(Check::go(ID, resource, "as at the baseline")), None),
            (None, Drift::Changed(found)) => {
                let found =
                    format!("not as at the baseline, though no cutover is marked: it would take {}", found.join("; "));
                let check = Check::warn(ID, resource, found)
                    .wanted("as at the baseline until the cutover is marked")
                    .cure("if the cutover has begun, `belay cutover` marks it; else look who has changed it");
                (Some(check), None)
            }
            (Some(_), Drift::None) => {
                (Some(Check::go(ID, resource, "as at the baseline: the cutover has not moved it yet")), None)
            }
            (Some(_), Drift::Changed(_)) => {
                let before = circumstances.seen.get(step);
                let before = before.filter(|seen| held(&Should::Observed(seen.doc.clone())) == Drift::None);
                let since = before.map_or(now, |seen| seen.since);
                let stands_still = now.saturating_sub(since) >= STANDS_STILL_AFTER;
                let seen = Seen { doc: Arc::new(doc.clone()), since };
                let found =
                    "moved by the cutover; how it should stand is captured when it has stood still for five minutes";
                (Some(Check::go(ID, resource, found)), Some(Moved { seen, stands_still }))
            }
        },
    }
}

/// With what the step relies on and does not write, where that is not as at the baseline: it would send the traffic where somebody
/// has pointed it since.
pub(crate) fn with_altered(step: &Step, check: Option<Check>, altered: &[String], cut_over: bool) -> Option<Check> {
    if altered.is_empty() {
        return check;
    }
    let more = check.filter(|check| check.verdict != CheckVerdict::Go).map(|check| format!("; {}", check.found));
    let found = format!("not as at the baseline: {}{}", altered.join("; "), more.unwrap_or_default());
    let cure = match cut_over {
        false => "look who has changed it, and put it back; if it is meant, arm again before the cutover: `belay arm`",
        true => {
            "look who has changed it, and put it back before a rollback, which would send the traffic there; an armed baseline is not \
             captured anew after the cutover"
        }
    };
    Some(not_as_expected(step, ID, &step.resource, found, cure.to_owned()))
}

fn changed(plan: &Plan, step: &Step, resource: &str, found: &[String]) -> Check {
    let found = format!("not as expected after the cutover: to bring it back would take {}", found.join("; "));
    let phase = if plan.phases.is_empty() { "" } else { ", or begin the next phase (`belay phase`)" };
    let cure = format!("look who has changed it; if it is meant, name it in `expect` and arm again{phase}");
    not_as_expected(step, ID, resource, found, cure)
}

fn not_as_expected(step: &Step, id: &str, resource: &str, found: String, cure: String) -> Check {
    match step.on_drift {
        OnDrift::Proceed => Check::warn(id, resource, found).wanted("as expected").cure(cure),
        OnDrift::Halt => {
            Check::no_go(id, resource, found).wanted("as expected: else the step waits for an approval").cure(cure)
        }
    }
}

/// Adds who has changed the resource since the cutover, or else the baseline; since the baseline, too, where something is `altered` since
/// then. It adds text alone: whatever comes of the question, the verdict is the same.
pub(crate) async fn with_who(
    ports: &Ports,
    plan: &Plan,
    step: &str,
    circumstances: &Circumstances,
    (check, altered): (Option<Check>, bool),
) -> Option<Check> {
    let check = check?;
    if check.verdict == CheckVerdict::Go {
        return Some(check);
    }
    let captured = circumstances.baseline.as_ref().map(|baseline| baseline.captured);
    let since = if altered { captured.or(circumstances.cutover) } else { circumstances.cutover.or(captured) };
    let Some(since) = since else { return Some(check) };
    let who = match plan.evidence.as_ref().and_then(|evidence| evidence.cloudtrail) {
        None => {
            "who has changed it is asked of CloudTrail where the plan has `evidence: { cloudtrail: 30m }`".to_owned()
        }
        Some(_) => {
            let changed = Changed { step: &plan.steps[step], since, until: ports.clock.now() };
            let answer = tokio::select! {
                biased;
                gathered = ports.evidence.changes(changed) => Some(gathered),
                () = ports.clock.sleep(WHO_TIME_MAX) => None,
            };
            match answer {
                None => format!("who has changed it is not known: no answer within {} s", WHO_TIME_MAX.as_secs()),
                Some(gathered) if gathered.findings.is_empty() => {
                    let notes = gathered.notes.join("; ");
                    let notes = if notes.is_empty() { "nothing is on record" } else { &notes };
                    format!("who has changed it is not known: {notes}")
                }
                Some(gathered) => {
                    let told: Vec<String> = gathered.findings.iter().take(CHANGES_MAX).map(told).collect();
                    match gathered.findings.len().saturating_sub(CHANGES_MAX) {
                        0 => format!("changed by {}", told.join(" and by ")),
                        more => format!("changed by {}, and {more} more", told.join(" and by ")),
                    }
                }
            }
        }
    };
    Some(Check { found: format!("{}; {who}", check.found), ..check })
}

/// `alice at 2026-03-01T10:00:00Z (ModifyListener)`
fn told(finding: &Finding) -> String {
    let Finding { at, what, who, .. } = finding;
    format!("{} at {at:.0} ({what})", who.as_deref().unwrap_or("somebody unknown"))
}

#[cfg(test)]
mod tests {
    use belay_core::change::Doc;
    use serde_json::json;

    use super::*;

    fn step(on_drift: &str) -> Step {
        let step: Doc = json!({
            "action": "route53.weights", "with": {}, "to": "baseline", "resource": "dns", "timeout": "1h", "on_drift": on_drift,
            "retry": { "attempts": 1, "backoff_min": "1s", "backoff_max": "2s" }, "on_failure": "halt",
        });
        serde_json::from_value(step).unwrap()
    }

    #[test]
    fn what_the_step_relies_on_is_drift_whatever_the_weights_are() {
        let altered = ["blue leads to 198.51.100.9, not to 192.0.2.1".to_owned()];
        let as_expected = || Some(Check::go(ID, "dns", "as expected after the cutover"));
        assert_eq!(with_altered(&step("proceed"), as_expected(), &[], false), as_expected());
        let found = with_altered(&step("proceed"), as_expected(), &altered, false).unwrap();
        assert_eq!(
            (found.verdict, found.found.as_str()),
            (CheckVerdict::Warn, "not as at the baseline: blue leads to 198.51.100.9, not to 192.0.2.1",)
        );
        let moved = Check::warn(ID, "dns", "it would take blue 0 -> 100").wanted("as expected").cure("look");
        let both = with_altered(&step("halt"), Some(moved), &altered, true).unwrap();
        assert_eq!(both.verdict, CheckVerdict::NoGo);
        assert!(both.found.ends_with("not to 192.0.2.1; it would take blue 0 -> 100"), "{both:?}");
    }
}
