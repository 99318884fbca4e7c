//! One actuator for any action: it moves a resource's document towards the step's target.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::{Assessment, Change, Doc, Effect, Key, Progress, Receipt, Repeats, Share},
    input::ErrorClass,
    part_way::{Weights, part_way},
};
use belay_plan::model::{AwsTarget, Others, Target};
use belay_ports::{
    AccountError, Actuator, Actuators, ApplyError, Corrupt, Fut, Permission, ReadError, RestorePoint, Scope,
};
use serde_json::{Map, Value, json};

use crate::{
    condition::Trouble,
    fault::SendFault,
    place::{COPY, RESTORED, SWITCH},
    resource::WEIGHT_MAX,
    world::{Look, World, is_builtin},
};

/// How long a caller waits for an answer that is lost.
const LOST_AFTER: Duration = Duration::from_secs(15);

/// How long a slow answer takes.
const SLOW: Duration = Duration::from_secs(12);

/// The one change of what replaces no data; of a stage, with its percentage behind.
const SET: &str = "set";

/// Every action of a plan, except those that core does by itself.
pub struct SimActuators {
    world: Arc<World>,
    read_only: bool,
}

impl SimActuators {
    pub fn new(world: Arc<World>) -> Self {
        Self { world, read_only: false }
    }

    /// Refuses everything that would change the world, before it gets there.
    pub fn read_only(world: Arc<World>) -> Self {
        Self { world, read_only: true }
    }
}

impl Actuators for SimActuators {
    fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>> {
        (!is_builtin(action)).then(|| {
            let (world, action) = (self.world.clone(), action.to_owned());
            Arc::new(SimActuator { world, action, read_only: self.read_only }) as Arc<dyn Actuator>
        })
    }

    fn verify_account<'a>(&'a self, aws: &'a AwsTarget) -> Fut<'a, Result<String, AccountError>> {
        Box::pin(async move {
            let found = self.world.inner().account.clone().or_else(|| aws.account.clone()).unwrap_or_default();
            let identity = format!("arn:aws:sts::{found}:assumed-role/belay/simulated");
            match &aws.account {
                Some(expected) if *expected != found => {
                    Err(AccountError::Wrong { expected: expected.clone(), found, identity })
                }
                _ => Ok(identity),
            }
        })
    }
}

struct SimActuator {
    world: Arc<World>,
    action: String,
    read_only: bool,
}

impl Actuator for SimActuator {
    fn observe<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Doc, ReadError>> {
        Box::pin(async move { self.look(scope, receipts).await.map(Arc::unwrap_or_clone) })
    }

    fn look<'a>(&'a self, scope: &'a Scope, _: &'a [Receipt]) -> Fut<'a, Result<Arc<Doc>, ReadError>> {
        Box::pin(async move {
            let clock = self.world.clock();
            let latency = self.world.inner().latency;
            clock.sleep(latency).await;
            let now = clock.now();
            let mut inner = self.world.inner();
            let inner = &mut *inner;
            #[cfg(test)]
            {
                inner.looked += 1;
            }
            if let Some((why, permanent)) = inner.trouble(&scope.step).and_then(unreadable) {
                return Err(ReadError { why: why.to_owned(), permanent });
            }
            if let Some(permanent) = inner.faults.of_look(&scope.step) {
                let why = if permanent { "access denied" } else { "the simulated API does not answer" };
                return Err(ReadError { why: why.to_owned(), permanent });
            }
            let verdict = inner.has_failed(&scope.step);
            let Some(place) = inner.steps.get(&scope.step) else {
                return Err(ReadError { why: "there is no such resource".to_owned(), permanent: true });
            };
            let Some(resource) = inner.resources.get_mut(&place.resource) else {
                return Err(ReadError { why: "there is no such resource".to_owned(), permanent: true });
            };
            resource.settle(now);
            let unwatched = inner.unwatched;
            let becoming = resource.becoming.as_ref().map(|becoming| {
                let mut shown = json!({ "since": becoming.since, "left_ms": left_ms(becoming.at.duration_since(now)) });
                if unwatched {
                    shown["until"] = json!(becoming.at);
                }
                shown
            });
            if let Some(last) = inner.looks.get_mut(&scope.step)
                && last.to == scope.to
                && last.doc["is"] == resource.is
                && last.doc["verdict"] == verdict
            {
                if becoming.is_some() || !last.doc["becoming"].is_null() {
                    Arc::make_mut(&mut last.doc)["becoming"] = json!(becoming);
                }
                return Ok(last.doc.clone());
            }
            let is = resource.is.clone();
            let takes: Map<String, Value> = [COPY, SWITCH, SET]
                .map(|change| (change.to_owned(), json!(left_ms_of(place.expected(change)))))
                .into_iter()
                .collect();
            let (repeats, replaces) = (place.repeats, place.replaces);
            let proofs: Map<String, Value> = is
                .as_object()
                .into_iter()
                .chain(named(&scope.to))
                .flat_map(Map::keys)
                .map(|name| (name.clone(), json!(inner.proof(name))))
                .collect();
            let doc = json!({
                "is": is, "becoming": becoming, "proofs": proofs, "repeats": repeats, "takes_ms": takes,
                "action": self.action, "replaces": replaces, "verdict": verdict,
            });
            let doc = Arc::new(doc);
            inner.looks.insert(scope.step.clone(), Look { to: scope.to.clone(), doc: doc.clone() });
            Ok(doc)
        })
    }

    fn stirs<'a>(&'a self, scope: &'a Scope) -> Fut<'a, ()> {
        Box::pin(async move {
            let clock = self.world.clock();
            let (stirred, left) = {
                let inner = self.world.inner();
                let resource = inner.steps.get(&scope.step).and_then(|place| inner.resources.get(&place.resource));
                let Some(resource) = resource else { return };
                let may_fail = inner.faults.befall_looks() || inner.is_troubled(&scope.step);
                let left = resource.becoming.as_ref().map(|becoming| becoming.at.duration_since(clock.now()));
                if may_fail || !resource.later.is_empty() || (left.is_some() && !inner.unwatched) {
                    return;
                }
                (resource.stirred.clone().notified_owned(), left)
            };
            match left {
                Some(left) => tokio::select! {
                    biased;
                    () = stirred => {}
                    () = clock.sleep(Duration::try_from(left).unwrap_or_default()) => {}
                },
                None => stirred.await,
            }
        })
    }

    fn assess(&self, scope: &Scope, now: &Doc, _: &[Receipt]) -> Result<Assessment, Corrupt> {
        let is = &now["is"];
        if let Some(left_ms) = now["becoming"]["left_ms"].as_u64() {
            let left_s = left_ms.div_ceil(1000);
            let note = match now["becoming"]["until"].as_str() {
                Some(until) => format!("it takes until {until}"),
                None => format!("about {left_s} s left"),
            };
            return Ok(Assessment::Settling(Progress { fraction: None, note, expected_left_s: Some(left_s) }));
        }
        if now["verdict"] == true {
            return Ok(Assessment::Failed { why: "it has ended without success".to_owned() });
        }
        let target = match &scope.to {
            Target::Own if now["replaces"] == true => return Ok(restore(scope, now)),
            Target::Own if is["state"] == RESTORED => return Ok(Assessment::InPlace),
            Target::Own => json!({ "state": RESTORED }),
            Target::Baseline => {
                let entry = scope.baseline.as_ref().ok_or_else(|| Corrupt("there is no baseline".to_owned()))?;
                if entry.doc["is"] == *is {
                    return Ok(Assessment::InPlace);
                }
                entry.doc["is"].clone()
            }
            Target::Explicit(target) if target == is => return Ok(Assessment::InPlace),
            Target::Explicit(target) => match complete(target, is, scope.others) {
                Ok(target) => target,
                Err(why) => return Ok(Assessment::Failed { why }),
            },
        };
        let stages = stages(scope, is, &target);
        if *is == target || stages.first().is_some_and(|(_, first)| is == first) {
            return Ok(Assessment::InPlace);
        }
        let before = std::iter::once(is).chain(stages.iter().map(|(_, stage)| stage));
        let changes = before.zip(&stages).filter(|(before, (_, after))| *before != after);
        Ok(Assessment::Remaining(changes.map(|(before, (id, after))| set(now, id, before, after)).collect()))
    }

    /// Of the moment before the cutover, as the copy is.
    fn restore_point(&self, scope: &Scope, now: &Doc) -> Result<Option<RestorePoint>, Corrupt> {
        let replaces = now["replaces"] == true;
        let point = || match (now["is"]["state"].as_str(), scope.cutover) {
            (Some(RESTORED), _) => RestorePoint::now("it is restored already: nothing to do"),
            (_, Some(cutover)) => RestorePoint::time(cutover, format!("a copy of the cutover at {cutover:.0}")),
            (_, None) => RestorePoint::unknown("the cutover is not marked"),
        };
        Ok(replaces.then(point))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            if self.read_only {
                let why = "a dry run cannot change anything".to_owned();
                return Err(ApplyError::NoEffect { why, class: ErrorClass::Permanent });
            }
            let clock = self.world.clock();
            let latency = self.world.inner().latency;
            let (call, fault) = self.world.call(key, change);
            let no_effect =
                |why: &str, class| Err(ApplyError::NoEffect { why: format!("{why}: {}", change.call), class });
            let lost = || Err(ApplyError::OutcomeUnknown { why: format!("no answer: {}", change.call) });
            clock.sleep(latency / 2).await;
            match fault {
                Some(SendFault::Failed) => return no_effect("internal failure", ErrorClass::Transient),
                Some(SendFault::Refused) => return no_effect("not allowed", ErrorClass::Permanent),
                Some(SendFault::Expired) => return no_effect("the credentials have expired", ErrorClass::Transient),
                Some(SendFault::Throttled) => return no_effect("rate exceeded", ErrorClass::Throttled),
                Some(SendFault::Vanished) => {
                    clock.sleep(LOST_AFTER).await;
                    return lost();
                }
                Some(SendFault::Slow | SendFault::AnswerLost) | None => {}
            }
            self.world.take_effect(call, &scope.step, change);
            match fault {
                Some(SendFault::AnswerLost) => {
                    clock.sleep(LOST_AFTER).await;
                    return lost();
                }
                Some(SendFault::Slow) => clock.sleep(SLOW).await,
                _ => clock.sleep(latency / 2).await,
            }
            Ok(json!({ "call": call }))
        })
    }

    fn permissions(&self, scope: &Scope) -> Vec<Permission> {
        let permission = |action: &str, mutates| Permission {
            action: format!("sim:{action}"),
            resource: scope.step.clone(),
            mutates,
            conditions: Vec::new(),
        };
        vec![permission("Describe", false), permission("Change", true)]
    }
}

/// Why a look fails for as long as a trouble lasts, and whether for good.
fn unreadable(trouble: Trouble) -> Option<(&'static str, bool)> {
    match trouble {
        Trouble::Throttled => Some(("rate exceeded", false)),
        Trouble::Expired => Some(("the credentials have expired", false)),
        Trouble::Denied => Some(("access denied", true)),
        Trouble::Broken => Some(("internal failure", false)),
        Trouble::Unanswered => Some(("the simulated API does not answer", false)),
        Trouble::AnswerLost | Trouble::Verdict => None,
    }
}

fn left_ms(time: jiff::SignedDuration) -> u64 {
    left_ms_of(Duration::try_from(time).unwrap_or_default())
}

fn left_ms_of(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn named(target: &Target) -> Option<&Map<String, Value>> {
    match target {
        Target::Explicit(Value::Object(named)) => Some(named),
        _ => None,
    }
}

/// The whole target: what the plan names, and what becomes of the members that it does not.
fn complete(target: &Value, is: &Value, others: Option<Others>) -> Result<Value, String> {
    let (Some(named), Some(present)) = (target.as_object(), is.as_object()) else { return Ok(target.clone()) };
    let mut whole = present.clone();
    for (name, weight) in &mut whole {
        match (named.get(name), others) {
            (Some(wanted), _) => *weight = wanted.clone(),
            (None, Some(Others::Keep)) => {}
            (None, Some(Others::Zero)) => *weight = json!(0),
            (None, None) => return Err(format!("the target does not say what becomes of {name}; set `others`")),
        }
    }
    for (name, weight) in named {
        whole.entry(name.clone()).or_insert_with(|| weight.clone());
    }
    Ok(Value::Object(whole))
}

/// The document after each stage that is ahead, with the id of its change. What holds no weights goes in one.
fn stages(scope: &Scope, is: &Value, target: &Value) -> Vec<(String, Value)> {
    let weights = |doc: &Value| serde_json::from_value::<Weights>(doc.clone()).ok();
    let Some(stages) = &scope.stages else { return vec![(SET.to_owned(), target.clone())] };
    let before = scope.before.as_ref().map_or(is, |before| &before["is"]);
    let (Some(before), Some(goal)) = (weights(before), weights(target)) else {
        return vec![(SET.to_owned(), target.clone())];
    };
    let kept = |member: &str| {
        scope.others == Some(Others::Keep) && named(&scope.to).is_some_and(|named| !named.contains_key(member))
    };
    let stage = |percent: &u32| match percent {
        100.. => (SET.to_owned(), target.clone()),
        _ => (format!("{SET}_{percent}"), json!(part_way(&before, &goal, &kept, *percent, WEIGHT_MAX))),
    };
    stages.ahead.iter().map(stage).collect()
}

/// One change to another document. Where it holds weights, it moves traffic.
fn set(now: &Doc, id: &str, is: &Value, target: &Value) -> Change {
    let weight = |doc: &Value, name: &str| doc[name].as_u64().and_then(|weight| u32::try_from(weight).ok());
    let names: Vec<&String> = target.as_object().into_iter().flat_map(Map::keys).collect();
    let shares: Vec<Share> = names
        .iter()
        .filter_map(|name| {
            let after = weight(target, name)?;
            let proof = serde_json::from_value(now["proofs"][name.as_str()].clone()).ok()?;
            let before = weight(is, name).unwrap_or(0);
            Some(Share { destination: (*name).clone(), before, after, proof })
        })
        .collect();
    let moves: Vec<String> = shares
        .iter()
        .filter(|share| share.before != share.after)
        .map(|share| format!("{} {} -> {}", share.destination, share.before, share.after))
        .collect();
    let weights = !shares.is_empty() && shares.len() == names.len();
    let what = if weights { moves.join(", ") } else { format!("{is} -> {target}") };
    let effects = if weights { vec![Effect::Traffic { shares }] } else { Vec::new() };
    change(now, id, what, is, target, effects)
}

/// A restore goes in two: a copy beside what is broken, then the switch to it.
fn restore(scope: &Scope, now: &Doc) -> Assessment {
    let state = |state: &str| json!({ "state": state });
    let is = &now["is"];
    let copy = |is: &Value| {
        // The copy is of the moment before the cutover.
        let loss = vec![Effect::LosesData { since: scope.cutover }];
        change(now, COPY, "restore a copy beside it".to_owned(), is, &state("copied"), loss)
    };
    let outage = || vec![Effect::Outage { expected: Duration::from_secs(30) }];
    let switch = || change(now, SWITCH, "switch to the copy".to_owned(), &state("copied"), &state(RESTORED), outage());
    match is["state"].as_str() {
        Some(RESTORED) => Assessment::InPlace,
        Some("copied") => Assessment::Remaining(vec![switch()]),
        Some("lost") => Assessment::Failed { why: "there is nothing left to restore it from".to_owned() },
        _ => Assessment::Remaining(vec![copy(is), switch()]),
    }
}

/// `set` of `set_50`
fn kind_of(id: &str) -> &str {
    id.split('_').next().unwrap_or(id)
}

/// Whether a change goes only a part of the way.
pub(crate) fn is_stage(id: &str) -> bool {
    id != kind_of(id)
}

fn change(now: &Doc, id: &str, title: String, before: &Value, after: &Value, effects: Vec<Effect>) -> Change {
    Change {
        id: id.to_owned(),
        title,
        before: before.clone(),
        after: after.clone(),
        call: format!("simulated {}", now["action"].as_str().unwrap_or(id)),
        args: json!({ "doc": after }),
        effects,
        keeps: None,
        repeats: serde_json::from_value(now["repeats"].clone()).unwrap_or(Repeats::Converges),
        expected: Duration::from_millis(now["takes_ms"][kind_of(id)].as_u64().unwrap_or(0)),
    }
}
