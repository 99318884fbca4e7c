//! A state as text, so that a start folds only the records behind it.
//!
//! A snapshot is never the truth: it is dropped where it was written by another version, or does not read back as the same
//! state; then the records are folded from the first. It is written only where it reads back as what it was made of.

use std::{ops::DerefMut, sync::Arc};

use belay_plan::model::Plan;
use serde::{Deserialize, Serialize};

use crate::{
    change::Baseline, drift::Expected, event::EVENT_VERSION, migration::Migration, relations::Relations, run::Run,
};

/// Goes up when a state is written otherwise, or when the same records fold to another one, within one release.
const SNAPSHOT_VERSION: u32 = 1;

/// What stands in for the plan of a run in the text.
const NO_PLAN: &str = r#"{"migration":"","steps":{}}"#;

/// What wrote it. Another release folds the records once, from the first.
#[derive(PartialEq, Serialize, Deserialize)]
struct Version {
    release: String,
    snapshot: u32,
    event: u32,
}

#[derive(Serialize, Deserialize)]
struct Snapshot {
    version: Version,
    /// What the runs share, each once: so the states before and after it take the same memory.
    plans: Vec<Arc<Plan>>,
    baselines: Vec<Arc<Baseline>>,
    expected: Vec<Arc<Expected>>,
    /// Of the migration itself, of its run, and of each past run.
    shared: Vec<Shared>,
    state: Migration,
}

/// Places in the lists.
#[derive(Serialize, Deserialize)]
struct Shared {
    plan: Option<usize>,
    baseline: Option<usize>,
    expected: usize,
}

impl Snapshot {
    fn share(&mut self, plan: Option<&Arc<Plan>>, baseline: Option<&Arc<Baseline>>, expected: &Arc<Expected>) {
        let plan = plan.map(|plan| place(&mut self.plans, plan));
        let baseline = baseline.map(|baseline| place(&mut self.baselines, baseline));
        let expected = place(&mut self.expected, expected);
        self.shared.push(Shared { plan, baseline, expected });
    }
}

fn place<T: PartialEq>(known: &mut Vec<Arc<T>>, one: &Arc<T>) -> usize {
    known.iter().position(|known| Arc::ptr_eq(known, one) || known == one).unwrap_or_else(|| {
        known.push(one.clone());
        known.len() - 1
    })
}

impl Migration {
    /// None: it would not read back the same.
    pub fn to_snapshot(&self) -> Option<String> {
        let mut snapshot = Snapshot {
            version: version(),
            plans: Vec::new(),
            baselines: Vec::new(),
            expected: Vec::new(),
            shared: Vec::new(),
            state: self.clone(),
        };
        snapshot.share(self.plan.as_ref(), self.baseline.as_ref(), &self.expected);
        for run in self.run.iter().chain(self.past_runs.iter().map(AsRef::as_ref)) {
            snapshot.share(Some(&run.plan), run.baseline.as_ref(), &run.expected);
        }
        let none: Arc<Plan> = serde_json::from_str(NO_PLAN).ok()?;
        let state = &mut snapshot.state;
        (state.plan, state.baseline, state.expected) = (None, None, Arc::default());
        for mut run in runs(state) {
            (run.plan, run.baseline, run.expected) = (none.clone(), None, Arc::default());
        }
        let text = serde_json::to_string(&snapshot).ok()?;
        (Self::of_snapshot(&text).as_ref() == Some(self)).then_some(text)
    }

    /// None for what this version did not write.
    pub fn of_snapshot(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Written {
            version: Version,
        }
        let written: Written = serde_json::from_str(text).ok()?;
        if written.version != version() {
            return None;
        }
        let Snapshot { plans, baselines, expected, shared, mut state, .. } = serde_json::from_str(text).ok()?;
        let mut shared = shared.into_iter();
        let own = shared.next()?;
        let at = |place: Option<usize>| place.map_or(Some(None), |place| plans.get(place).cloned().map(Some));
        let baseline = |place: Option<usize>| place.map_or(Some(None), |place| baselines.get(place).cloned().map(Some));
        state.plan = at(own.plan)?;
        state.baseline = baseline(own.baseline)?;
        state.expected = expected.get(own.expected)?.clone();
        for mut run in runs(&mut state) {
            let of_run = shared.next()?;
            run.plan = plans.get(of_run.plan?)?.clone();
            run.baseline = baseline(of_run.baseline)?;
            run.expected = expected.get(of_run.expected)?.clone();
            run.relations = match run.steps.is_empty() {
                true => Arc::default(),
                false => Arc::new(Relations::new(&run.plan, &run.steps)),
            };
        }
        Some(state)
    }
}

fn version() -> Version {
    Version { release: env!("CARGO_PKG_VERSION").to_owned(), snapshot: SNAPSHOT_VERSION, event: EVENT_VERSION }
}

fn runs(state: &mut Migration) -> impl Iterator<Item = impl DerefMut<Target = Run>> {
    state.run.iter_mut().chain(state.past_runs.iter_mut().map(Arc::make_mut))
}
