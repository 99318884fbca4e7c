//! What would be lost now: to which state of the data each step that loses data would go back. It is observed at a low pace
//! while the migration is armed and nothing runs.
//!
//! What is kept is a point in time, so the loss grows without anything being read. It is not journaled: after a restart it is
//! observed again within moments, and nothing follows from it but through the signal `loss`, whose turns are on record as those
//! of any signal.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use belay_core::{
    change::{Baseline, Doc},
    migration::Migration,
    reading::{Health, Reading},
    run::baseline_entry,
};
use belay_plan::{
    builtin::{LOSS, LossLimit},
    duration,
    model::{Name, Plan, Signal, counts_during},
};
use belay_ports::{Clock, DataOf, Ports, ReadError, RestorePoint};
use futures::FutureExt;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, task::JoinSet};
use utoipa::ToSchema;

use crate::{capture::Looking, handle::Snapshot};

/// The pause between two observations of a step.
const PACE: Duration = Duration::from_secs(60);

/// It doubles up to this while observations fail.
const PACE_MAX: Duration = Duration::from_secs(15 * 60);

/// An observation that takes longer has failed.
const TIME_MAX: Duration = Duration::from_secs(60);

/// So long after the last observation, one that failed counts for less than what was known.
const KNOWN_FOR: Duration = Duration::from_secs(5 * 60);

/// Observations that wait for the loop.
const OBSERVED_MAX: usize = 64;

/// What a step would lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub point: RestorePoint,
    pub read: Read,
}

/// How a [`RestorePoint`] came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The first observation is under way.
    NotYet,
    Observed,
    /// It could not be observed.
    Failed,
    /// No observation shows it.
    Never,
}

impl Loss {
    /// None: it is not known; the basis shows why.
    pub fn now(&self, now: Timestamp) -> Option<Duration> {
        match self.point.data {
            DataOf::Time(data) => Some(Duration::try_from(now.duration_since(data)).unwrap_or_default()),
            DataOf::Now => Some(Duration::ZERO),
            DataOf::Unknown => None,
        }
    }

    fn unknown(read: Read, why: impl Into<String>) -> Self {
        Self { point: RestorePoint::unknown(why), read }
    }

    /// Of a step, from what was observed of it while nothing runs.
    pub(crate) fn of(looking: &Looking, observed: Result<&Doc, &ReadError>) -> Self {
        let point = observed.map_err(|error| error.why.clone()).and_then(|doc| {
            let point = looking.actuator.restore_point(&looking.scope, doc);
            point.map_err(|corrupt| corrupt.0)
        });
        match point {
            Ok(Some(point)) => Self { point, read: Read::Observed },
            Ok(None) => Self::unknown(Read::Never, "its action does not show how far back it goes"),
            Err(why) => Self::unknown(Read::Failed, format!("it cannot be read: {why}")),
        }
    }

    /// Of a step that nothing of can be observed.
    pub(crate) fn unobservable() -> Self {
        Self::unknown(Read::Never, "nothing is observed of this step, so how far back it goes is not known")
    }
}

/// The same for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LossView {
    /// How much of what was written would be lost if the step ran now, in seconds; null where that is not known.
    pub now_s: Option<u64>,
    /// The plan's objective for it.
    pub rpo_s: Option<u64>,
    /// Where it is known from, or why it is not: `snapshot shop-1128 of 2026-11-28T22:00:03Z`.
    pub basis: String,
}

impl LossView {
    pub(crate) fn new(plan: &Plan, loss: &Loss, now: Timestamp) -> Self {
        Self {
            now_s: loss.now(now).map(|lost| lost.as_secs()),
            rpo_s: plan.objectives.rpo.map(|rpo| rpo.as_secs()),
            basis: loss.point.basis.clone(),
        }
    }

    /// More would be lost than the plan's objective.
    pub fn is_over(&self) -> bool {
        self.now_s.zip(self.rpo_s).is_some_and(|(now, rpo)| now > rpo)
    }
}

/// What each step that loses data would lose now.
pub(crate) fn views(snapshot: &Snapshot, now: Timestamp) -> IndexMap<Name, LossView> {
    let Some(plan) = &snapshot.state.plan else { return IndexMap::new() };
    let view = |(name, loss): (&Name, &Loss)| {
        let mut view = LossView::new(plan, loss, now);
        let during = &plan.steps.get(name)?.during;
        if !counts_during(during, snapshot.state.phase_name()) {
            view.basis = format!("{}; the step serves {} only", view.basis, during.join(", "));
        }
        Some((name.clone(), view))
    };
    snapshot.losses.iter().filter_map(view).collect()
}

/// The steps of a plan that lose data.
pub(crate) fn losing(plan: &Plan) -> impl Iterator<Item = &Name> {
    plan.steps.iter().filter(|(_, step)| step.loses_data).map(|(name, _)| name)
}

/// What a signal of this kind shows. None for signals of other kinds, and until the step was observed.
pub(crate) fn reading(
    name: &Name,
    signal: &Signal,
    plan: &Plan,
    known: &IndexMap<Name, Loss>,
    now: Timestamp,
) -> Option<Reading> {
    let (step, limit) = watched(signal)?;
    let loss = known.get(step).filter(|loss| loss.read != Read::NotYet)?;
    let (health, evidence) = match (loss.now(now), loss.point.basis.as_str()) {
        (None, basis) => (Health::Unknown, format!("what {step} would lose is not known: {basis}")),
        (Some(lost), basis) if limit.holds(lost) => {
            let limit = duration::format(limit.time());
            (Health::Healthy, format!("{step} would lose no more than {limit}: {basis}"))
        }
        (Some(_), basis) => {
            let limit = duration::format(limit.time());
            (Health::Unhealthy, format!("{step} would lose more than {limit}: {basis}"))
        }
    };
    Some(Reading {
        signal: name.clone(),
        taken: now,
        health,
        evidence,
        source: plan.steps.get(step)?.action.clone(),
        unreadable: loss.read == Read::Failed,
        permanent: loss.read == Read::Never,
        measured: None,
    })
}

fn watched(signal: &Signal) -> Option<(&str, LossLimit)> {
    let step = signal.spec.get(LOSS).filter(|_| signal.kind == LOSS)?.as_str()?;
    Some((step, LossLimit::parse(signal.spec.get("healthy")?.as_str()?)?))
}

/// What is observed, and what is known. Dropping it stops it.
pub(crate) struct Losses {
    ports: Ports,
    /// What is known is of this.
    of: Option<Of>,
    known: Arc<IndexMap<Name, Loss>>,
    /// When each step was last observed.
    seen: BTreeMap<Name, Timestamp>,
    observed: mpsc::Receiver<(Name, Loss)>,
    /// One a step; none while nothing is to be observed.
    tasks: Option<JoinSet<()>>,
}

struct Of {
    plan: Arc<Plan>,
    baseline: Option<Arc<Baseline>>,
    cutover: Option<Timestamp>,
}

impl Of {
    fn is(&self, plan: &Arc<Plan>, state: &Migration) -> bool {
        Arc::ptr_eq(&self.plan, plan)
            && self.baseline.as_ref().map(Arc::as_ptr) == state.baseline.as_ref().map(Arc::as_ptr)
            && self.cutover == state.cutover
    }
}

impl Losses {
    pub(crate) fn new(ports: Ports) -> Self {
        let (_, observed) = mpsc::channel(1);
        Self { ports, of: None, known: Arc::default(), seen: BTreeMap::new(), observed, tasks: None }
    }

    /// What is known of each step that loses data; nothing where the migration is not armed.
    pub(crate) fn known(&self) -> &Arc<IndexMap<Name, Loss>> {
        &self.known
    }

    /// Observes what the state wants. During a run that is nothing: the run needs the quota, and what is known stands.
    pub(crate) fn reconcile(&mut self, state: &Migration) {
        if state.open_run().is_some() {
            return self.stop();
        }
        let Some(plan) = state.plan.as_ref().filter(|_| state.armed.is_some()) else {
            self.stop();
            self.of = None;
            if !self.known.is_empty() {
                self.known = Arc::default();
            }
            return;
        };
        let is_same = self.of.as_ref().is_some_and(|of| of.is(plan, state));
        if !is_same || self.tasks.is_none() {
            self.start(plan, state);
        }
    }

    fn start(&mut self, plan: &Arc<Plan>, state: &Migration) {
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(&of.plan, plan)) {
            self.known = Arc::default();
            self.seen.clear();
        }
        let (sender, observed) = mpsc::channel(OBSERVED_MAX);
        let mut tasks = JoinSet::new();
        let mut known = IndexMap::new();
        for step in losing(plan) {
            let entry = baseline_entry(state.baseline.as_deref(), plan, step).cloned();
            let loss = match Looking::new(&self.ports, plan, step.clone(), entry, state.cutover) {
                Some(looking) => {
                    tasks.spawn(observe(self.ports.clock.clone(), looking, sender.clone()));
                    // What was known a moment ago stands until it is observed anew.
                    let known = self.known.get(step).cloned();
                    known.unwrap_or_else(|| Loss::unknown(Read::NotYet, "not observed yet"))
                }
                None => Loss::unobservable(),
            };
            known.insert(step.clone(), loss);
        }
        if *self.known != known {
            self.known = Arc::new(known);
        }
        (self.observed, self.tasks) = (observed, Some(tasks));
        self.of = Some(Of { plan: plan.clone(), baseline: state.baseline.clone(), cutover: state.cutover });
    }

    pub(crate) fn stop(&mut self) {
        if self.tasks.take().is_some() {
            self.observed.close();
            while self.observed.try_recv().is_ok() {} // of before
        }
    }

    /// Takes what is observed next. It does not come back while nothing is.
    pub(crate) async fn next(&mut self) {
        match self.observed.recv().await {
            Some((step, loss)) => self.take(step, loss),
            None => std::future::pending().await,
        }
    }

    fn take(&mut self, step: Name, loss: Loss) {
        let now = self.ports.clock.now();
        if loss.read == Read::Failed {
            let age = self.seen.get(&step).map(|at| Duration::try_from(now.duration_since(*at)).unwrap_or_default());
            // One answer that did not come is no reason to forget what was there a moment ago.
            if age.is_some_and(|age| age < KNOWN_FOR) {
                return;
            }
        } else {
            self.seen.insert(step.clone(), now);
        }
        if self.known.get(&step) != Some(&loss) {
            Arc::make_mut(&mut self.known).insert(step, loss);
        }
    }

    /// What the signals show now that go by it. Nothing during a run.
    pub(crate) fn readings(&self, now: Timestamp) -> Vec<Reading> {
        let Some(of) = self.observed_of() else { return Vec::new() };
        let signals = of.plan.signals.iter();
        signals.filter_map(|(name, signal)| reading(name, signal, &of.plan, &self.known, now)).collect()
    }

    fn observed_of(&self) -> Option<&Of> {
        self.of.as_ref().filter(|_| self.tasks.is_some() && !self.known.is_empty())
    }

    /// When the next signal turns by itself.
    pub(crate) fn turns(&self, now: Timestamp) -> Option<Timestamp> {
        let plan = &self.observed_of()?.plan;
        let turn = |signal: &Signal| {
            let (step, limit) = watched(signal)?;
            let DataOf::Time(data) = self.known.get(step)?.point.data else { return None };
            Some(data + limit.time() + Duration::from_millis(1)).filter(|turns| *turns > now)
        };
        plan.signals.values().filter_map(turn).min()
    }
}

/// Observes one step for as long as nobody stops it.
async fn observe(clock: Arc<dyn Clock>, mut looking: Looking, to: mpsc::Sender<(Name, Loss)>) {
    let mut pace = PACE;
    loop {
        let began = clock.monotonic();
        let observed = observe_once(clock.as_ref(), &looking).await;
        let took = clock.monotonic().saturating_sub(began);
        pace = if observed.is_ok() { PACE } else { (pace * 2).min(PACE_MAX) };
        let loss = Loss::of(&looking, observed.as_deref());
        let is_over = loss.read == Read::Never;
        if to.send((looking.scope.step.clone(), loss)).await.is_err() || is_over {
            return;
        }
        looking.scope.previous = observed.ok().or(looking.scope.previous.take());
        clock.sleep(pace.max(took)).await;
    }
}

async fn observe_once(clock: &dyn Clock, looking: &Looking) -> Result<Arc<Doc>, ReadError> {
    tokio::select! {
        biased;
        observed = AssertUnwindSafe(looking.actuator.look(&looking.scope, &[])).catch_unwind() => {
            observed.unwrap_or_else(|_| {
                let why = "internal error: observing this step panicked; see the daemon log".to_owned();
                Err(ReadError { why, permanent: true })
            })
        }
        () = clock.sleep(TIME_MAX) => {
            Err(ReadError { why: "no answer within a minute".to_owned(), permanent: false })
        }
    }
}
