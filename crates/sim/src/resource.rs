//! One resource: a document that takes its time to change.

use std::sync::Arc;

use belay_core::part_way::{Weights, part_way};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

/// The largest weight that a member can have, as with load balancers.
pub(crate) const WEIGHT_MAX: u32 = 999;

#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) is: Value,
    /// Before the cutover.
    pub(crate) good: Value,
    pub(crate) becoming: Option<Becoming>,
    /// It is at a stage on the way to the target: what was put back so far shows.
    pub(crate) on_the_way: bool,
    /// When the last change has shown; of stages, the first.
    pub(crate) settled: Option<Timestamp>,
    /// When the last stage has.
    pub(crate) whole: Option<Timestamp>,
    /// What somebody else is going to do to it.
    pub(crate) later: Vec<(Timestamp, Value)>,
    pub(crate) undone: bool,
    /// Whether a member that nobody names may join it.
    pub(crate) open: bool,
    /// Told when something is done to it.
    pub(crate) stirred: Arc<Notify>,
}

#[derive(Debug, Clone)]
pub(crate) struct Becoming {
    pub(crate) doc: Value,
    pub(crate) since: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) is_stage: bool,
}

impl Resource {
    /// As it was before the cutover.
    pub(crate) fn new(good: Value) -> Self {
        let is = good.clone();
        Self {
            is,
            good,
            becoming: None,
            on_the_way: false,
            settled: None,
            whole: None,
            later: Vec::new(),
            undone: false,
            open: true,
            stirred: Arc::default(),
        }
    }

    /// Where it holds weights, so much of the traffic moves, in percent.
    pub(crate) fn cut_over(&mut self, percent: u32) {
        self.stirred.notify_waiters();
        let migrated = self.migrated();
        let weights = |doc: &Value| serde_json::from_value::<Weights>(doc.clone()).ok();
        self.is = match (weights(&self.good), weights(&migrated)) {
            (Some(good), Some(goal)) if percent < 100 => json!(part_way(&good, &goal, &|_| false, percent, WEIGHT_MAX)),
            _ => migrated,
        };
    }

    /// Somebody else undoes what was put back.
    pub(crate) fn undo_at(&mut self, at: Timestamp) {
        let undone = self.migrated();
        self.later.push((at, undone));
        self.stirred.notify_waiters();
    }

    /// Lets happen what is due, in its order.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        self.later.sort_by_key(|(at, _)| *at);
        loop {
            let ours = self.becoming.as_ref().map(|becoming| becoming.at).filter(|at| *at <= now);
            let theirs = self.later.first().map(|(at, _)| *at).filter(|at| *at <= now);
            match (ours, theirs) {
                (Some(ours), theirs) if theirs.is_none_or(|theirs| ours <= theirs) => {
                    if let Some(becoming) = self.becoming.take() {
                        if !self.on_the_way {
                            self.settled = Some(becoming.at); // the stages after the first only add to it
                        }
                        if !becoming.is_stage {
                            self.whole = Some(becoming.at);
                        }
                        self.is = becoming.doc;
                        self.on_the_way = becoming.is_stage;
                    }
                }
                (_, Some(_)) => {
                    self.is = self.later.remove(0).1;
                    self.undone = true;
                    self.on_the_way = false;
                }
                _ => return,
            }
        }
    }

    /// What the migration makes of it: the others get the traffic of those that had it. Where no other is named, the last
    /// one gets all; where there is only one, what has joined does.
    fn migrated(&self) -> Value {
        let is_weights = |good: &&Map<String, Value>| !good.is_empty() && good.values().all(Value::is_u64);
        let Some(good) = self.good.as_object().filter(is_weights) else { return self.elsewhere() };
        let total: u64 = good.values().filter_map(Value::as_u64).sum();
        let idle = good.values().any(|weight| *weight == 0);
        let last = good.len() - 1;
        let moved = |(index, (name, weight)): (usize, (&String, &Value))| {
            let gets = if idle { *weight == 0 } else { index == last && last > 0 };
            (name.clone(), json!(if gets { total } else { 0 }))
        };
        let mut moved: Map<String, Value> = good.iter().enumerate().map(moved).collect();
        if last == 0 && self.open {
            moved.insert("migrated".to_owned(), json!(total));
        }
        Value::Object(moved)
    }

    /// What holds no weights: a writer that a plan names is another one by then, a database is broken.
    fn elsewhere(&self) -> Value {
        match self.good.as_object() {
            Some(named) if !named.is_empty() && !named.contains_key("state") => {
                named.keys().map(|name| (name.clone(), json!("migrated"))).collect()
            }
            _ => json!({ "state": "broken" }),
        }
    }
}
