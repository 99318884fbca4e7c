//! The world: resources as documents, each with its own time to change.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_core::change::{Change, Key, Repeats};
use belay_plan::model::{Name, Nature, Plan, Target};
use belay_ports::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    actuator::is_stage,
    chance::Chance,
    channel::Inbox,
    condition::{Condition, Trouble},
    fault::{Faults, SendFault},
    nature,
    place::{Pace, Place, stand_ins},
    resource::{Becoming, Resource},
    sensor::Rule,
    spread::Spread,
};

/// The world of one plan.
pub struct World {
    clock: Arc<dyn Clock>,
    inbox: Arc<Inbox>,
    inner: Mutex<Inner>,
}

pub(crate) struct Inner {
    pub(crate) resources: BTreeMap<String, Resource>,
    pub(crate) steps: BTreeMap<Name, Place>,
    pub(crate) rules: BTreeMap<Name, Arc<Rule>>,
    pub(crate) faults: Faults,
    /// What is known of the health of destinations, and of the others that are not named.
    pub(crate) destinations: BTreeMap<String, bool>,
    pub(crate) other_destinations: Option<bool>,
    calls: Vec<Call>,
    /// The steps of those, and of them the ones whose last call is going to come to nothing.
    called: BTreeSet<Name>,
    pub(crate) doomed: BTreeSet<Name>,
    /// What befalls only a share of the calls, befalls them by this.
    pub(crate) shares: RefCell<Chance>,
    /// Whose credentials are there; None: those of every account that is asked for.
    pub(crate) account: Option<String>,
    pub(crate) latency: Duration,
    /// What is not as usual, in the order in which it began, under the numbers of those who began it.
    pub(crate) conditions: Vec<(usize, Condition)>,
    /// Those of them that something has met: a call, a reading, a look at a destination.
    pub(crate) met: RefCell<BTreeSet<usize>>,
    /// By step: what the last look at it has found.
    pub(crate) looks: BTreeMap<Name, Look>,
    /// Nobody watches how far a change has come: a look only has to find its end.
    pub(crate) unwatched: bool,
    /// How often a step was looked at.
    #[cfg(test)]
    pub(crate) looked: usize,
    /// Since when it goes wrong.
    pub(crate) breach: Option<Timestamp>,
    /// Steps that nothing in the world belongs to: since when they are done.
    pub(crate) told: BTreeMap<Name, Timestamp>,
    /// Steps that the run goes on without, where nothing in the world shows that they are missing.
    pub(crate) passed_over: BTreeSet<Name>,
    /// By step: those that are as good as it, if they are done.
    pub(crate) stand_ins: BTreeMap<Name, Vec<Name>>,
}

/// What a look at a step has found. The next one finds the same, but for the time that is left, as long as the resource is what it was.
pub(crate) struct Look {
    pub(crate) to: Target,
    pub(crate) doc: Arc<Value>,
}

/// A mutating call as the world saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub at: Timestamp,
    pub key: Key,
    pub change: Change,
    pub took_effect: bool,
}

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
            let open = step.to == Target::Baseline || step.others.is_some();
            resources.entry(resource.clone()).or_insert(Resource { open, ..Resource::new(good) });
            let pace = Pace::Each(Duration::from_secs(if step.to == Target::Own { 120 } else { 5 }));
            let (repeats, replaces) = (Repeats::Converges, nature::of(step) == Nature::Data);
            steps.insert(name.clone(), Place { resource, to: step.to.clone(), pace, repeats, replaces });
        }
        let all = Arc::new(Rule::AtTarget(plan.steps.keys().cloned().collect()));
        let inner = Inner {
            resources,
            steps,
            rules: plan.signals.keys().map(|name| (name.clone(), all.clone())).collect(),
            faults,
            destinations: BTreeMap::new(),
            other_destinations: None,
            calls: Vec::new(),
            called: BTreeSet::new(),
            doomed: BTreeSet::new(),
            shares: RefCell::new(Chance::new(0)),
            account: None,
            latency: Duration::from_millis(40),
            conditions: Vec::new(),
            met: RefCell::default(),
            looks: BTreeMap::new(),
            unwatched: false,
            #[cfg(test)]
            looked: 0,
            breach: None,
            told: BTreeMap::new(),
            passed_over: BTreeSet::new(),
            stand_ins: stand_ins(plan),
        };
        Self { inbox: Arc::new(Inbox::new(clock.clone())), clock, inner: Mutex::new(inner) }
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// What people were told.
    pub fn inbox(&self) -> Arc<Inbox> {
        self.inbox.clone()
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a change after which a look may find something else although the resource is what it was.
    fn inner_changed(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner();
        inner.looks.clear();
        inner.resources.values().for_each(|resource| resource.stirred.notify_waiters());
        inner
    }

    // --- what happens to it ----------------------------------------------------------------------------------------

    /// The migration: traffic goes to the other side, what has a state of its own breaks.
    pub fn cut_over(&self) {
        self.cut_over_to(100);
    }

    /// The same, with so much of the traffic on the other side, in percent.
    pub fn cut_over_to(&self, percent: u32) {
        for resource in self.inner().resources.values_mut() {
            resource.cut_over(percent);
        }
    }

    /// The same of what these steps put back, and of nothing else.
    pub fn change<'n>(&self, steps: impl IntoIterator<Item = &'n Name>) {
        let mut inner = self.inner_changed();
        for step in steps {
            let resource = inner.steps.get(step).map(|place| place.resource.clone());
            if let Some(resource) = resource.and_then(|name| inner.resources.get_mut(&name)) {
                resource.cut_over(100);
            }
        }
    }

    /// What was cut over turns out to be bad: from now on signals show it.
    pub fn breach(&self) {
        let now = self.clock.now();
        self.inner().breach = Some(now);
    }

    /// From now on this is not as usual, until [`World::end`] with the same number.
    pub fn begin(&self, number: usize, condition: Condition) {
        self.inner_changed().conditions.push((number, condition));
    }

    pub fn end(&self, number: usize) {
        self.inner_changed().conditions.retain(|(other, _)| *other != number);
    }

    /// Whether something has met the condition with this number.
    pub(crate) fn was_met(&self, number: usize) -> bool {
        self.inner().met.borrow().contains(&number)
    }

    /// Whether anything of a step has been put back, or is on its way.
    pub(crate) fn is_put_back(&self, step: &str) -> bool {
        let now = self.clock.now();
        let mut inner = self.inner();
        let on_the_way = inner.resource_mut(step).is_some_and(|resource| resource.becoming.is_some());
        on_the_way || inner.is_on_the_way(step) || inner.is_at_target(step, now)
    }

    /// A step that nothing in the world belongs to is done.
    pub fn tell_done(&self, step: &str) {
        let now = self.clock.now();
        self.inner().told.entry(step.to_owned()).or_insert(now);
    }

    /// The run goes on without a step, and nothing in the world shows that.
    pub(crate) fn pass_over(&self, step: &str) {
        self.inner().passed_over.insert(step.to_owned());
    }

    /// Somebody else undoes a step's work, then or as soon as it is done.
    pub fn revert(&self, step: &str, after: Duration) {
        let at = self.clock.now() + after;
        if let Some(resource) = self.inner().resource_mut(step) {
            resource.undo_at(at);
        }
    }

    /// Sets what a step's resource is now.
    pub fn set(&self, step: &str, doc: Value) {
        if let Some(resource) = self.inner().resource_mut(step) {
            resource.is = doc;
            resource.stirred.notify_waiters();
        }
    }

    /// How long each change of a step takes to show.
    pub fn set_pace(&self, step: &str, takes: Duration) {
        if let Some(place) = self.inner_changed().steps.get_mut(step) {
            place.pace = Pace::Each(takes);
        }
    }

    /// How long all changes of a step take together, drawn anew for each.
    pub fn draw_pace(&self, step: &str, usual: Spread, chance: Chance) {
        if let Some(place) = self.inner_changed().steps.get_mut(step) {
            place.pace = Pace::Drawn { usual, chance };
        }
    }

    pub fn set_repeats(&self, step: &str, repeats: Repeats) {
        if let Some(place) = self.inner_changed().steps.get_mut(step) {
            place.repeats = repeats;
        }
    }

    /// Whether a destination of traffic is healthy. Of one that is never named here nothing can be told.
    pub fn set_destination(&self, name: &str, healthy: bool) {
        self.inner_changed().destinations.insert(name.to_owned(), healthy);
    }

    /// The same for every destination that is not named.
    pub fn set_every_destination(&self, healthy: bool) {
        self.inner_changed().other_destinations = Some(healthy);
    }

    pub fn set_rule(&self, signal: &str, rule: Rule) {
        self.inner().rules.insert(signal.to_owned(), Arc::new(rule));
    }

    /// Which calls are the ones, where something befalls a share of them.
    pub(crate) fn set_shares(&self, chance: Chance) {
        self.inner().shares = RefCell::new(chance);
    }

    /// How long every call takes.
    pub fn set_latency(&self, latency: Duration) {
        self.inner().latency = latency;
    }

    /// Nobody watches how far a change has come.
    pub(crate) fn leave_unwatched(&self) {
        self.inner().unwatched = true;
    }

    pub fn set_account(&self, account: &str) {
        self.inner().account = Some(account.to_owned());
    }

    pub fn with_faults<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        change(&mut self.inner_changed().faults)
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

    /// Whether nothing changes any more unless somebody does something.
    pub(crate) fn is_at_rest(&self) -> bool {
        let now = self.clock.now();
        self.inner().resources.values_mut().all(|resource| {
            resource.settle(now);
            resource.becoming.is_none() && resource.later.is_empty()
        })
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
        inner.called.insert(key.step.clone());
        inner.calls.push(Call { at, key: key.clone(), change: change.clone(), took_effect: false });
        let number = inner.calls.len() - 1;
        let standing = inner.trouble(&key.step).and_then(SendFault::of);
        let fault = standing.or_else(|| inner.faults.of_send(&key.step));
        (number, fault)
    }

    /// The call takes effect: from now on the resource is on its way.
    pub(crate) fn take_effect(&self, call: usize, step: &str, change: &Change) {
        let now = self.clock.now();
        let mut inner = self.inner();
        inner.calls[call].took_effect = true;
        let undone = inner.faults.of_effect();
        let Some(takes) = inner.takes(step, change) else { return };
        let fails = inner.trouble(step) == Some(Trouble::Verdict);
        match fails {
            true => inner.doomed.insert(step.to_owned()),
            false => inner.doomed.remove(step),
        };
        let Some(resource) = inner.resource_mut(step) else { return };
        resource.settle(now);
        let at = now + takes;
        let doc = if fails { resource.is.clone() } else { change.args["doc"].clone() };
        resource.becoming = Some(Becoming { doc, since: now, at, is_stage: is_stage(&change.id) });
        resource.stirred.notify_waiters();
        if let Some(after) = undone {
            resource.undo_at(at + after);
        }
    }
}

impl Inner {
    /// Whether anything was ever called for a step.
    pub(crate) fn is_called(&self, step: &str) -> bool {
        self.called.contains(step)
    }
}

/// Core does these two by itself: nothing in the world belongs to them.
pub(crate) fn is_builtin(action: &str) -> bool {
    matches!(action, "manual" | "wait")
}
