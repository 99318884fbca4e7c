//! The world: resources as documents, each with its own time to change.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_core::{
    change::{Change, Key, Proof, Repeats},
    reading::Health,
};
use belay_plan::model::{Name, Plan, Target};
use belay_ports::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    fault::{Faults, SendFault},
    sensor::Rule,
};

/// The world of one plan.
pub struct World {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

pub(crate) struct Inner {
    pub(crate) resources: BTreeMap<String, Resource>,
    pub(crate) steps: BTreeMap<Name, Place>,
    pub(crate) rules: BTreeMap<Name, Rule>,
    pub(crate) faults: Faults,
    /// What is known of the health of destinations; of the others nothing can be told.
    destinations: BTreeMap<String, bool>,
    calls: Vec<Call>,
    pub(crate) account: Option<String>,
    pub(crate) latency: Duration,
}

/// Where a step acts, and how.
pub(crate) struct Place {
    pub(crate) resource: String,
    pub(crate) to: Target,
    pub(crate) takes: Duration,
    pub(crate) repeats: Repeats,
}

#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) is: Value,
    /// Before the cutover.
    good: Value,
    pub(crate) becoming: Option<Becoming>,
    /// What somebody else is going to do to it.
    later: Vec<(Timestamp, Value)>,
    undone: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Becoming {
    pub(crate) doc: Value,
    pub(crate) since: Timestamp,
    pub(crate) at: Timestamp,
}

/// A mutating call as the world saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub at: Timestamp,
    pub key: Key,
    pub change: Change,
    pub took_effect: bool,
}

/// What a resource without weights is after a restore.
pub(crate) const RESTORED: &str = "restored";

impl World {
    /// The world of a plan before its cutover: every resource is where the plan wants it back.
    pub fn new(plan: &Plan, clock: Arc<dyn Clock>, faults: Faults) -> Self {
        let mut resources = BTreeMap::new();
        let mut steps = BTreeMap::new();
        let outside = plan.steps.iter().filter(|(_, step)| !is_builtin(&step.action));
        for (name, step) in outside {
            let resource = if step.resource.is_empty() { name.clone() } else { step.resource.clone() };
            let good = match &step.to {
                Target::Explicit(target) => target.clone(),
                Target::Baseline => json!({ "blue": 100, "green": 0 }),
                Target::Own => json!({ "state": "original" }),
            };
            let untouched = Resource { is: good.clone(), good, becoming: None, later: Vec::new(), undone: false };
            resources.entry(resource.clone()).or_insert(untouched);
            let takes = Duration::from_secs(if step.to == Target::Own { 120 } else { 5 });
            steps.insert(name.clone(), Place { resource, to: step.to.clone(), takes, repeats: Repeats::Converges });
        }
        let all = Rule::AtTarget(plan.steps.keys().cloned().collect());
        let inner = Inner {
            resources,
            steps,
            rules: plan.signals.keys().map(|name| (name.clone(), all.clone())).collect(),
            faults,
            destinations: BTreeMap::new(),
            calls: Vec::new(),
            account: plan.aws.account.clone(),
            latency: Duration::from_millis(40),
        };
        Self { clock, inner: Mutex::new(inner) }
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- what happens to it ----------------------------------------------------------------------------------------

    /// The migration: traffic goes to the other side, what has a state of its own breaks.
    pub fn cut_over(&self) {
        for resource in self.inner().resources.values_mut() {
            resource.is = migrated(&resource.good);
        }
    }

    /// Somebody else undoes a step's work, then or as soon as it is done.
    pub fn revert(&self, step: &str, after: Duration) {
        let at = self.clock.now() + after;
        if let Some(resource) = self.inner().resource_mut(step) {
            let undone = migrated(&resource.good);
            resource.later.push((at, undone));
        }
    }

    /// Sets what a step's resource is now.
    pub fn set(&self, step: &str, doc: Value) {
        if let Some(resource) = self.inner().resource_mut(step) {
            resource.is = doc;
        }
    }

    /// How long the changes of a step take to show.
    pub fn set_pace(&self, step: &str, takes: Duration) {
        if let Some(place) = self.inner().steps.get_mut(step) {
            place.takes = takes;
        }
    }

    pub fn set_repeats(&self, step: &str, repeats: Repeats) {
        if let Some(place) = self.inner().steps.get_mut(step) {
            place.repeats = repeats;
        }
    }

    /// Whether a destination of traffic is healthy. Of one that is never named here nothing can be told.
    pub fn set_destination(&self, name: &str, healthy: bool) {
        self.inner().destinations.insert(name.to_owned(), healthy);
    }

    pub fn set_rule(&self, signal: &str, rule: Rule) {
        self.inner().rules.insert(signal.to_owned(), rule);
    }

    /// How long every call takes.
    pub fn set_latency(&self, latency: Duration) {
        self.inner().latency = latency;
    }

    pub fn set_account(&self, account: &str) {
        self.inner().account = Some(account.to_owned());
    }

    pub fn with_faults<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        change(&mut self.inner().faults)
    }

    // --- what is seen of it ----------------------------------------------------------------------------------------

    /// Every mutating call that reached the world, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.inner().calls.clone()
    }

    /// What every resource is now.
    pub fn resources(&self) -> BTreeMap<String, Value> {
        let now = self.clock.now();
        let mut inner = self.inner();
        let settled = inner.resources.iter_mut().map(|(name, resource)| {
            resource.settle(now);
            (name.clone(), resource.is.clone())
        });
        settled.collect()
    }

    /// Whether a step's resource is where the step wants it, with nothing under way.
    pub fn is_at_target(&self, step: &str) -> bool {
        let now = self.clock.now();
        self.inner().is_at_target(step, now)
    }

    /// Whether somebody else has ever undone a step's work.
    pub fn was_undone(&self, step: &str) -> bool {
        self.inner().resource_mut(step).is_some_and(|resource| resource.undone)
    }

    // --- for the actuator ------------------------------------------------------------------------------------------

    /// A call has arrived. Answers what befalls it.
    pub(crate) fn call(&self, key: &Key, change: &Change) -> (usize, Option<SendFault>) {
        let at = self.clock.now();
        let mut inner = self.inner();
        inner.calls.push(Call { at, key: key.clone(), change: change.clone(), took_effect: false });
        let number = inner.calls.len() - 1;
        let fault = inner.faults.of_send(&key.step);
        (number, fault)
    }

    /// The call takes effect: from now on the resource is on its way.
    pub(crate) fn take_effect(&self, call: usize, step: &str, change: &Change) {
        let now = self.clock.now();
        let mut inner = self.inner();
        inner.calls[call].took_effect = true;
        let undone = inner.faults.of_effect();
        let Some(takes) = inner.steps.get(step).map(|place| place.takes) else { return };
        let Some(resource) = inner.resource_mut(step) else { return };
        resource.settle(now);
        let at = now + takes;
        resource.becoming = Some(Becoming { doc: change.args["doc"].clone(), since: now, at });
        if let Some(after) = undone {
            let undone = migrated(&resource.good);
            resource.later.push((at + after, undone));
        }
    }
}

impl Inner {
    pub(crate) fn resource_mut(&mut self, step: &str) -> Option<&mut Resource> {
        self.resources.get_mut(&self.steps.get(step)?.resource)
    }

    pub(crate) fn is_at_target(&mut self, step: &str, now: Timestamp) -> bool {
        let Some(place) = self.steps.get(step) else { return true };
        let to = place.to.clone();
        let Some(resource) = self.resource_mut(step) else { return true };
        resource.settle(now);
        let is = &resource.is;
        resource.becoming.is_none()
            && match &to {
                Target::Baseline => *is == resource.good,
                Target::Own => is["state"] == RESTORED || *is == resource.good,
                Target::Explicit(Value::Object(named)) => named.iter().all(|(name, weight)| is[name] == *weight),
                Target::Explicit(other) => is == other,
            }
    }

    pub(crate) fn proof(&self, destination: &str) -> Proof {
        match self.destinations.get(destination) {
            Some(true) => Proof::Healthy { evidence: format!("{destination} is healthy") },
            Some(false) => Proof::Unhealthy { evidence: format!("{destination} does not answer") },
            None => Proof::None { why: format!("nothing watches {destination}") },
        }
    }

    pub(crate) fn health_of(&self, destination: &str) -> Health {
        match self.destinations.get(destination) {
            Some(true) => Health::Healthy,
            Some(false) => Health::Unhealthy,
            None => Health::Unknown,
        }
    }
}

impl Resource {
    /// Lets happen what is due, in its order.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        self.later.sort_by_key(|(at, _)| *at);
        loop {
            let ours = self.becoming.as_ref().map(|becoming| becoming.at).filter(|at| *at <= now);
            let theirs = self.later.first().map(|(at, _)| *at).filter(|at| *at <= now);
            match (ours, theirs) {
                (Some(ours), theirs) if theirs.is_none_or(|theirs| ours <= theirs) => {
                    if let Some(becoming) = self.becoming.take() {
                        self.is = becoming.doc;
                    }
                }
                (_, Some(_)) => {
                    self.is = self.later.remove(0).1;
                    self.undone = true;
                }
                _ => return,
            }
        }
    }
}

/// Core does these two by itself: nothing in the world belongs to them.
pub(crate) fn is_builtin(action: &str) -> bool {
    matches!(action, "manual" | "wait")
}

/// What the migration makes of a good resource: the last weight gets what the others had.
fn migrated(good: &Value) -> Value {
    match good.as_object() {
        Some(weights) if !weights.is_empty() && weights.values().all(Value::is_u64) => {
            let total: u64 = weights.values().filter_map(Value::as_u64).sum();
            let mut moved: serde_json::Map<String, Value> = weights
                .iter()
                .map(|(name, weight)| (name.clone(), json!(if weight == 0 { total } else { 0 })))
                .collect();
            if moved.values().all(|weight| weight == 0) {
                moved.insert("migrated".to_owned(), json!(total));
            }
            Value::Object(moved)
        }
        _ => json!({ "state": "broken" }),
    }
}
