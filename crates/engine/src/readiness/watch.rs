//! The readiness of an armed migration, evaluated again and again. During a run nothing is: the run needs the quota.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::{Baseline, Doc},
    drift::Expected,
    input::Input,
    migration::Migration,
    readiness::CheckVerdict,
    restore_test::RestoreTests,
};
use belay_plan::model::{Name, Plan};
use belay_ports::Ports;
use jiff::Timestamp;
use tokio::{sync::mpsc, task::JoinSet};

use super::{Circumstances, Evaluated, HostChecks, Readiness, evaluate};

/// The pause before the first evaluation: arming has just read all of it, and a daemon that starts has other things to read.
const FIRST: Duration = Duration::from_secs(30);

/// The pause between two evaluations.
const PACE: Duration = Duration::from_secs(5 * 60);

/// The same after one with another verdict: a single answer that was lost is no change. Only what two evaluations agree on
/// goes on record.
const PACE_IN_DOUBT: Duration = Duration::from_secs(60);

/// Dropping it stops it.
pub(crate) struct ReadinessWatch {
    ports: Ports,
    /// None: nothing is evaluated by itself.
    host: Option<Arc<dyn HostChecks>>,
    of: Option<Of>,
    last: Option<Arc<Readiness>>,
    found: mpsc::Receiver<Found>,
    task: Option<JoinSet<()>>,
}

struct Found {
    /// What has stood still after the cutover.
    stood_still: Vec<(Name, Arc<Doc>)>,
    readiness: Arc<Readiness>,
    /// The one before, or the record, has the same verdict, or there is none.
    agreed: bool,
}

/// What an evaluation holds for.
struct Of {
    plan: Arc<Plan>,
    baseline: Option<Arc<Baseline>>,
    cutover: Option<Timestamp>,
    expected: Arc<Expected>,
    restore_tests: Arc<RestoreTests>,
    /// So many channels have taken a notice.
    taking: usize,
}

fn taking(state: &Migration) -> usize {
    state.outbox.channels.values().filter(|channel| channel.last_sent.is_some()).count()
}

impl Of {
    fn is(&self, plan: &Arc<Plan>, state: &Migration) -> bool {
        Arc::ptr_eq(&self.plan, plan)
            && self.baseline.as_ref().map(Arc::as_ptr) == state.baseline.as_ref().map(Arc::as_ptr)
            && self.cutover == state.cutover
            && Arc::ptr_eq(&self.expected, &state.expected)
            && Arc::ptr_eq(&self.restore_tests, &state.restore_tests)
            && self.taking == taking(state)
    }
}

impl ReadinessWatch {
    pub(crate) fn new(ports: Ports, host: Option<Arc<dyn HostChecks>>) -> Self {
        let (_, found) = mpsc::channel(1);
        Self { ports, host, of: None, last: None, found, task: None }
    }

    /// The last evaluation of what is armed.
    pub(crate) fn last(&self) -> Option<&Arc<Readiness>> {
        self.last.as_ref()
    }

    pub(crate) fn reconcile(&mut self, state: &Migration, relatives: &[Arc<Migration>]) {
        if state.open_run().is_some() {
            return self.stop();
        }
        let Some(plan) = state.plan.as_ref().filter(|_| state.armed.is_some()) else {
            self.stop();
            (self.of, self.last) = (None, None);
            return;
        };
        let is_same = self.of.as_ref().is_some_and(|of| of.is(plan, state));
        if !is_same || self.task.is_none() {
            self.start(plan, state, relatives);
        }
    }

    fn start(&mut self, plan: &Arc<Plan>, state: &Migration, relatives: &[Arc<Migration>]) {
        let Some(host) = self.host.clone() else { return };
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(&of.plan, plan)) {
            self.last = None;
        }
        let (sender, found) = mpsc::channel(1);
        let evaluation = Evaluation {
            ports: self.ports.clone(),
            host,
            plan: plan.clone(),
            sha256: state.plan_sha256.clone(),
            circumstances: Circumstances::of(plan, state, relatives),
        };
        let mut task = JoinSet::new();
        task.spawn(evaluation.repeat(state.readiness.as_ref().map(|ready| ready.verdict), sender));
        (self.found, self.task) = (found, Some(task));
        self.of = Some(Of {
            plan: plan.clone(),
            baseline: state.baseline.clone(),
            cutover: state.cutover,
            expected: state.expected.clone(),
            restore_tests: state.restore_tests.clone(),
            taking: taking(state),
        });
    }

    pub(crate) fn stop(&mut self) {
        if self.task.take().is_some() {
            self.found.close();
            while self.found.try_recv().is_ok() {} // of before
        }
    }

    /// What the next evaluation comes to: what has stood still, and the verdict if two agree. It does not come back while nothing is evaluated.
    pub(crate) async fn next(&mut self) -> Vec<Input> {
        let Some(found) = self.found.recv().await else { return std::future::pending().await };
        let Found { stood_still, readiness, agreed } = found;
        let checked = agreed.then(|| Input::Checked(readiness.checked()));
        self.last = Some(readiness);
        let stood_still = stood_still.into_iter().map(|(step, doc)| Input::StoodStill { step, doc });
        stood_still.chain(checked).collect()
    }

    /// Somebody has evaluated the same plan meanwhile: what they saw is shown from now on.
    pub(crate) fn take(&mut self, readiness: Arc<Readiness>, state: &Migration) {
        let of_armed = state.armed.is_some() && state.plan_sha256 == readiness.plan_sha256;
        let is_newer = self.last.as_ref().is_none_or(|last| last.at <= readiness.at);
        if of_armed && is_newer {
            self.last = Some(readiness);
        }
    }
}

struct Evaluation {
    ports: Ports,
    host: Arc<dyn HostChecks>,
    plan: Arc<Plan>,
    sha256: String,
    circumstances: Circumstances,
}

impl Evaluation {
    async fn repeat(mut self, on_record: Option<CheckVerdict>, to: mpsc::Sender<Found>) {
        let mut last = on_record;
        self.ports.clock.sleep(FIRST).await;
        loop {
            let Self { ports, host, plan, sha256, circumstances } = &self;
            let began = ports.clock.monotonic();
            let Evaluated { readiness, seen, stood_still } =
                evaluate(ports, host.as_ref(), plan, sha256, circumstances).await;
            let readiness = Arc::new(readiness);
            let stood_still =
                stood_still.into_iter().filter_map(|step| Some((step.clone(), seen.get(&step)?.doc.clone())));
            let stood_still = stood_still.collect();
            let took = ports.clock.monotonic().saturating_sub(began);
            let agreed = last.is_none_or(|last| last == readiness.verdict);
            last = Some(readiness.verdict);
            self.circumstances.seen = seen;
            if to.send(Found { stood_still, readiness, agreed }).await.is_err() {
                return;
            }
            self.ports.clock.sleep(if agreed { PACE.max(took) } else { PACE_IN_DOUBT.max(took) }).await;
        }
    }
}
