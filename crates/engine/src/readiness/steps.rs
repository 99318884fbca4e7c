//! What the steps need: that each could be carried out, within what the plan may lose.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use belay_core::{
    change::{Assessment, Baseline, BaselineEntry, Change, Doc, Outcome},
    run::baseline_entry,
};
use belay_plan::{
    duration,
    model::{Name, Plan, Step, Target},
};
use belay_ports::{Check, Corrupt, Ports, Scope};
use futures::{StreamExt, stream};
use indexmap::IndexMap;
use jiff::Timestamp;

use super::{Circumstances, PARTS_MAX, account, late, restored, within};
use crate::{
    capture::Looking,
    drift::{self, Moved, Seen},
    expected::{Expected, expected_when_needed},
    loss::{Loss, losing},
};

pub(super) struct Evaluated {
    pub(super) checks: Vec<(String, Check)>,
    pub(super) losses: IndexMap<Name, Loss>,
    pub(super) seen: BTreeMap<Name, Seen>,
    pub(super) stood_still: Vec<Name>,
    /// How long each is expected to take; none where that is not known.
    pub(super) times: IndexMap<Name, Option<Expected>>,
    /// The steps that return to a baseline which has nothing of them.
    pub(super) uncaptured: Vec<Name>,
    /// What was observed of the steps.
    observed: Vec<(Name, Doc)>,
}

impl Evaluated {
    /// The baseline, with what arming would capture now where it has nothing: keys, roles and members are known by it.
    pub(super) fn baseline(&self, plan: &Plan, known: Option<&Baseline>, sha256: &str, at: Timestamp) -> Baseline {
        let nothing = || Baseline {
            migration: plan.migration.clone(),
            captured: at,
            plan_sha256: sha256.to_owned(),
            steps: IndexMap::new(),
        };
        let mut baseline = known.cloned().unwrap_or_else(nothing);
        for (step, doc) in &self.observed {
            if baseline_entry(known, plan, step).is_none() {
                let (action, resource) = (plan.steps[step].action.clone(), plan.steps[step].resource.clone());
                baseline.steps.insert(step.clone(), BaselineEntry { action, resource, doc: doc.clone() });
            }
        }
        baseline
    }
}

/// What was found of one step.
struct Found {
    step: Name,
    checks: Vec<Check>,
    loss: Option<Loss>,
    /// The same if the cutover came now; none where it is marked.
    at_cutover: Option<Loss>,
    /// What there would be to do; none where that is not known.
    changes: Option<Vec<Change>>,
    moved: Option<Moved>,
    /// It returns to a baseline which has nothing of it.
    uncaptured: bool,
    observed: Option<Doc>,
}

pub(super) async fn evaluate(ports: &Ports, plan: &Plan, circumstances: &Circumstances, at: Timestamp) -> Evaluated {
    // Not a closure: of one the compiler cannot tell that it may run on any thread.
    let mut parts = Vec::new();
    for step in plan.steps.keys() {
        parts.push(in_time(ports, plan, step, circumstances, at));
    }
    let found: Vec<Found> = stream::iter(parts).buffered(PARTS_MAX).collect().await;
    let losing: BTreeSet<&Name> = losing(plan).collect();
    let mut evaluated = Evaluated {
        checks: Vec::new(),
        losses: IndexMap::new(),
        seen: BTreeMap::new(),
        stood_still: Vec::new(),
        times: IndexMap::new(),
        uncaptured: Vec::new(),
        observed: Vec::new(),
    };
    for Found { step, mut checks, loss, at_cutover, changes, moved, uncaptured, observed } in found {
        evaluated.uncaptured.extend(uncaptured.then(|| step.clone()));
        evaluated.observed.extend(observed.map(|doc| (step.clone(), doc)));
        if let Some(Moved { seen, stands_still }) = moved {
            evaluated.stood_still.extend(stands_still.then(|| step.clone()));
            evaluated.seen.insert(step.clone(), seen);
        }
        let planned = &plan.steps[&step];
        if losing.contains(&step) {
            let loss = loss.unwrap_or_else(Loss::unobservable);
            checks.extend(within_rpo(plan, &planned.resource, (&loss, at_cutover.as_ref()), at));
            checks.extend(long_enough(
                plan,
                &planned.resource,
                (&loss, at_cutover.as_ref()),
                circumstances.cutover,
                at,
            ));
            evaluated.losses.insert(step.clone(), loss);
        }
        let changes = changes.as_deref().unwrap_or_default();
        let time = expected_when_needed(&step, planned, changes, &circumstances.measured);
        evaluated.times.insert(step.clone(), time);
        let part = format!("step {step}");
        evaluated.checks.extend(checks.into_iter().map(|check| (part.clone(), check)));
    }
    evaluated
}

impl Found {
    fn nothing(step: &str) -> Self {
        Self {
            step: step.to_owned(),
            checks: Vec::new(),
            loss: None,
            at_cutover: None,
            changes: None,
            moved: None,
            uncaptured: false,
            observed: None,
        }
    }
}

async fn in_time(ports: &Ports, plan: &Plan, step: &Name, circumstances: &Circumstances, at: Timestamp) -> Found {
    let found = within(ports.clock.as_ref(), of_step(ports, plan, step, circumstances, at)).await;
    found.unwrap_or_else(|| Found { checks: vec![late("step", &plan.steps[step].resource)], ..Found::nothing(step) })
}

async fn of_step(ports: &Ports, plan: &Plan, step: &Name, circumstances: &Circumstances, at: Timestamp) -> Found {
    let planned = &plan.steps[step];
    let baseline = baseline_entry(circumstances.baseline.as_deref(), plan, step).cloned();
    let uncaptured = planned.to == Target::Baseline && baseline.is_none();
    let Some(mut looking) = Looking::new(ports, plan, step.clone(), baseline, circumstances.cutover) else {
        return Found { changes: Some(Vec::new()), ..Found::nothing(step) }; // a person's, or a wait
    };
    let resource = planned.resource.as_str();
    let doc = match looking.actuator.observe(&looking.scope, &[]).await {
        Ok(doc) => doc,
        Err(error) => {
            let check = match error.permanent {
                true => Check::no_go("step", resource, format!("cannot be observed: {}", error.why))
                    .wanted("the resource that the plan names, which these credentials may read")
                    .cure("correct the step, the resource or the permissions (`belay iam PLAN` lists them)"),
                false => Check::unknown("step", resource, format!("could not be observed: {}", error.why))
                    .wanted("an observation of the resource")
                    .cure("check again; where it stays so, look at the credentials and the network"),
            };
            let loss = Some(Loss::of(&looking, Err(&error)));
            let mut checks = vec![check];
            checks.extend(restore_tested(&looking, step, planned, circumstances, at));
            return Found { checks, loss, ..Found::nothing(step) };
        }
    };
    let mut checks = Vec::new();
    if uncaptured {
        checks.extend(circumstances.cutover.map(|cutover| {
            let found = format!("there is no baseline, and none can be captured after the cutover of {cutover:.0}");
            Check::no_go("baseline", resource, found)
                .wanted("a baseline from before the cutover")
                .cure("give the one that was captured before: --baseline FILE. `belay audit` lists those that the journal has, and `belay capture PLAN --on-record TIME -o FILE` writes one")
        }));
        // What arming would capture.
        let (action, resource) = (planned.action.clone(), planned.resource.clone());
        looking.scope.baseline = Some(BaselineEntry { action, resource, doc: doc.clone() });
    }
    let (assessed, changes) = assessed(resource, looking.actuator.assess(&looking.scope, &doc, &[]));
    checks.push(assessed);
    match looking.actuator.checks(&looking.scope, &doc) {
        Ok(found) => checks.extend(found),
        Err(Corrupt(why)) => checks.push(not_understood(resource, why)),
    }
    checks.extend(looking.actuator.readiness(&looking.scope, &doc).await);
    checks.extend(restore_tested(&looking, step, planned, circumstances, at));
    let (drift, moved) = drift::check(&looking, plan, circumstances, (&doc, ports.clock.monotonic()));
    let altered = drift::altered(looking.actuator.as_ref(), &looking.scope, &doc);
    let drift = (drift::with_altered(planned, drift, &altered, circumstances.cutover.is_some()), !altered.is_empty());
    checks.extend(drift::with_who(ports, plan, step, circumstances, drift).await);
    let loss = Some(Loss::of(&looking, Ok(&doc)));
    let at_cutover = circumstances.cutover.is_none().then(|| {
        let scope = Scope { cutover: Some(at), ..looking.scope.clone() };
        Loss::of(&Looking { scope, actuator: looking.actuator.clone() }, Ok(&doc))
    });
    Found { step: step.clone(), checks, loss, at_cutover, changes, moved, uncaptured, observed: Some(doc) }
}

/// Of a step that restores something, whether it can be observed now or not.
fn restore_tested(
    looking: &Looking,
    step: &Name,
    planned: &Step,
    circumstances: &Circumstances,
    at: Timestamp,
) -> Option<Check> {
    matches!(looking.actuator.restore_test(&looking.scope, at), Ok(Some(_)))
        .then(|| restored::check(step, planned, &circumstances.restore_tests, at))
}

fn assessed(resource: &str, assessment: Result<Assessment, Corrupt>) -> (Check, Option<Vec<Change>>) {
    let go = |found: String| Check::go("step", resource, found);
    match assessment {
        Ok(Assessment::InPlace | Assessment::Over(Outcome { failure: None, .. })) => {
            (go("is where the step would bring it".to_owned()), Some(Vec::new()))
        }
        Ok(Assessment::Differs { why }) => {
            let check = Check::warn("step", resource, format!("is where the step would bring it, but: {why}"))
                .wanted("the same without this difference: a run would stop at it and ask")
                .cure("set it right before the cutover");
            (check, Some(Vec::new()))
        }
        Ok(Assessment::Settling(progress)) => (go(format!("is changing now: {}", progress.note)), None),
        Ok(Assessment::Remaining(changes)) => {
            let titles: Vec<&str> = changes.iter().map(|change| change.title.as_str()).collect();
            (go(format!("the step would do this: {}", titles.join(", "))), Some(changes))
        }
        Ok(Assessment::Failed { why } | Assessment::Over(Outcome { failure: Some(why), .. })) => {
            let check = Check::no_go("step", resource, format!("the target cannot be reached: {why}"))
                .wanted("a target that the step can reach from here")
                .cure("correct the resource or the step before the cutover");
            (check, None)
        }
        Ok(Assessment::Ambiguous { why }) => {
            let check = Check::no_go("step", resource, format!("a person has to look at it: {why}"))
                .wanted("a state that has one explanation: else the step stops and asks")
                .cure("settle it before the cutover");
            (check, None)
        }
        Err(Corrupt(why)) => (not_understood(resource, why), None),
    }
}

fn not_understood(resource: &str, why: String) -> Check {
    Check::no_go("step", resource, why)
        .wanted("a step, an observation and a baseline that this version of Belay reads")
        .cure("correct the step in the plan, or capture the baseline anew before the cutover: `belay arm`")
}

/// `at_cutover`: what counts from the cutover is known before it only as if it came now.
fn within_rpo(plan: &Plan, resource: &str, (loss, at_cutover): (&Loss, Option<&Loss>), at: Timestamp) -> Option<Check> {
    let (loss, condition) = match at_cutover.filter(|_| loss.now(at).is_none()) {
        Some(at_cutover) => (at_cutover, "if the cutover came now, "),
        None => (loss, ""),
    };
    let rpo = plan.objectives.rpo?;
    let wanted = format!("no more than {} (rpo)", duration::format(rpo));
    let basis = &loss.point.basis;
    Some(match loss.now(at) {
        None => Check::unknown("rpo", resource, format!("what would be lost is not known: {basis}"))
            .wanted(wanted)
            .cure("set right what keeps it from being known, or give the step a source whose time is known"),
        Some(lost) => {
            let found =
                format!("{condition}{} would be lost: {basis}", duration::format(Duration::from_secs(lost.as_secs())));
            match lost > rpo {
                true => Check::no_go("rpo", resource, found)
                    .wanted(wanted)
                    .cure("let the step go back to a later point (a newer snapshot, a later time), or correct `objectives.rpo`"),
                false => Check::go("rpo", resource, found).wanted(wanted),
            }
        }
    })
}

/// Whether the step can still go back now, and when the last rollback begins: backups have a retention, and a backtrack has its window.
fn long_enough(
    plan: &Plan,
    resource: &str,
    (loss, at_cutover): (&Loss, Option<&Loss>),
    cutover: Option<Timestamp>,
    at: Timestamp,
) -> Option<Check> {
    let until = [Some(loss), at_cutover].into_iter().flatten().find_map(|loss| loss.point.until)?;
    let needed = account::until(plan, cutover, at);
    if until <= at {
        return Some(
            Check::no_go("restore_window", resource, format!("the step could go back until {until:.0}, which is over"))
                .wanted(format!("until the last rollback is over, at {needed:.0}"))
                .cure("restore from a snapshot that nobody deletes, or from a later point in time"),
        );
    }
    plan.window.as_ref()?.point_of_no_return?;
    let found = format!("the step can go back until {until:.0}");
    let wanted = format!("until the last rollback is over, at {needed:.0}");
    Some(match until < needed {
        true => Check::warn("restore_window", resource, found).wanted(wanted).cure(
            "lengthen the retention of automated backups or the backtrack window before the cutover, restore from a snapshot that \
             nobody deletes, or shorten `window`",
        ),
        false => Check::go("restore_window", resource, found).wanted(wanted),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_retention_that_ends_before_the_window_is_a_warning() {
        let at = Timestamp::UNIX_EPOCH;
        let hours = |count: u64| Duration::from_secs(count * 60 * 60);
        let mut plan: Plan = serde_json::from_value(json!({ "migration": "shop", "steps": {} })).unwrap();
        let loss = |until| Loss {
            point: belay_ports::RestorePoint::time(at, "the cutover").until(until),
            read: crate::loss::Read::Observed,
        };
        let (day, unknown) = (loss(Some(at + hours(24))), Loss::unobservable());
        assert_eq!(
            long_enough(&plan, "rds:shop", (&day, None), None, at),
            None,
            "without a window no time is asked for"
        );
        let over = long_enough(&plan, "rds:shop", (&loss(Some(at)), None), None, at).unwrap();
        assert_eq!((over.id.as_str(), over.verdict), ("restore_window", belay_ports::CheckVerdict::NoGo));
        plan.window = Some(belay_plan::model::Window {
            point_of_no_return: Some(hours(23)),
            past: belay_plan::model::PastWindow::Refuse,
            opens: None,
        });
        let check = |plan: &Plan| long_enough(plan, "rds:shop", (&unknown, Some(&day)), None, at).unwrap();
        assert_eq!(check(&plan).verdict, belay_ports::CheckVerdict::Go);
        plan.window.as_mut().unwrap().point_of_no_return = Some(hours(24));
        let found = check(&plan);
        assert_eq!((found.id.as_str(), found.verdict), ("restore_window", belay_ports::CheckVerdict::Warn));
        assert_eq!(
            found.line(),
            "rds:shop: the step can go back until 1970-01-02T00:00:00Z (wanted: until the last rollback is over, at \
             1970-01-02T01:00:00Z); lengthen the retention of automated backups or the backtrack window before the cutover, restore from \
             a snapshot that nobody deletes, or shorten `window`"
        );
        assert_eq!(long_enough(&plan, "rds:shop", (&loss(None), None), None, at), None);
    }

    /// Before arming, what a restore needs (its key, its roles) is known from what was just observed.
    #[test]
    fn what_arming_would_capture_stands_in_for_the_baseline() {
        let step = |resource: &str| {
            json!({
                "action": "rds.restore", "with": {}, "to": "own", "resource": resource, "timeout": "1h",
                "retry": { "attempts": 1, "backoff_min": "1s", "backoff_max": "2s" }, "on_failure": "halt",
            })
        };
        let steps = json!({ "db": step("rds:shop"), "other": step("rds:other") });
        let plan: Plan = serde_json::from_value(json!({ "migration": "shop", "steps": steps })).unwrap();
        let evaluated = Evaluated {
            checks: Vec::new(),
            losses: IndexMap::new(),
            seen: BTreeMap::new(),
            stood_still: Vec::new(),
            times: IndexMap::new(),
            uncaptured: Vec::new(),
            observed: vec![("db".to_owned(), json!("now")), ("other".to_owned(), json!("now"))],
        };
        let docs = |baseline: &Baseline| {
            baseline.steps.iter().map(|(step, entry)| (step.clone(), entry.doc.clone())).collect::<Vec<_>>()
        };
        let of = |step: &str, doc: &str| (step.to_owned(), json!(doc));
        let at = Timestamp::UNIX_EPOCH;
        let captured = evaluated.baseline(&plan, None, "abc", at);
        assert_eq!(docs(&captured), [of("db", "now"), of("other", "now")]);
        let entry = BaselineEntry { action: "rds.restore".into(), resource: "rds:shop".into(), doc: json!("before") };
        let steps = IndexMap::from([("db".to_owned(), entry)]);
        let known = Baseline { steps, ..captured };
        assert_eq!(docs(&evaluated.baseline(&plan, Some(&known), "abc", at)), [of("db", "before"), of("other", "now")]);
    }
}
