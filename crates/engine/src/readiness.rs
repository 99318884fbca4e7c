//! Readiness: would the net hold now? Everything that a rollback needs is looked at before it is needed, with reads only.
//!
//! [`readiness`] evaluates a plan once; `watch` does so again and again while a migration is armed and nothing runs. A check that
//! could not be made is a check as well, with the verdict `unknown`: no failure here stops anything else.

pub(crate) mod account;
mod restored;
mod signals;
mod steps;
mod times;
mod watch;

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use belay_core::{
    change::Baseline, drift::Expected, migration::Migration, readiness::Checked, restore_test::RestoreTests,
};
use belay_plan::{
    PlanPlaces, duration,
    model::{Name, Plan},
};
use belay_ports::{ChannelFault, Check, CheckVerdict, Clock, Fut, Ports, Usable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use self::watch::ReadinessWatch;
use crate::{
    drift::Seen,
    expected::{Measured, measured},
    notices::{placed, usable},
    scope,
};

/// One part of an evaluation (a step, the signals of a kind) that takes longer is unknown.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Parts that are evaluated at once.
const PARTS_MAX: usize = 16;

/// Whether a rollback would go through now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MigrationReadiness)]
pub struct Readiness {
    pub migration: Name,
    pub plan_sha256: String,
    /// The worst verdict of all checks.
    pub verdict: CheckVerdict,
    /// When it was evaluated.
    pub at: Timestamp,
    pub checks: Vec<ReadinessCheck>,
}

/// One thing that a rollback needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadinessCheck {
    /// Names the kind of check, the same every time: `signal`, `interlock`, `rto`.
    pub id: String,
    /// The part of the plan that it is about: `step db_back`, `signal errors`; empty for the plan as a whole.
    pub part: String,
    /// The resource: `checkout`, or its ARN.
    pub subject: String,
    pub verdict: CheckVerdict,
    pub found: String,
    /// What would be right. Empty where it is so, and `found` contains all there is.
    pub wanted: String,
    /// What a person does about it, as a sentence or a command. Empty for what is as wanted.
    pub cure: String,
    pub at: Timestamp,
}

impl ReadinessCheck {
    fn new(part: &str, check: Check, at: Timestamp) -> Self {
        let Check { id, subject, verdict, found, wanted, cure } = check;
        Self { id, part: part.to_owned(), subject, verdict, found, wanted, cure, at }
    }

    /// One line for a person: `step db_back: checkout: is stopped (wanted: available); start it`.
    pub fn line(&self) -> String {
        let Self { id, part, subject, verdict, found, wanted, cure, .. } = self.clone();
        let line = Check { id, subject, verdict, found, wanted, cure }.line();
        if part.is_empty() || part.ends_with(&format!(" {}", self.subject)) {
            let kind = part.split(' ').next().unwrap_or_default();
            return if kind.is_empty() { line } else { format!("{kind} {line}") };
        }
        format!("{part}: {line}")
    }
}

impl Readiness {
    fn new(plan: &Plan, sha256: &str, at: Timestamp, checks: Vec<ReadinessCheck>) -> Self {
        Self { migration: plan.migration.clone(), plan_sha256: sha256.to_owned(), verdict: worst(&checks), at, checks }
    }

    /// What is not as it should be, the worst first.
    pub fn findings(&self) -> Vec<&ReadinessCheck> {
        let mut found: Vec<_> = self.checks.iter().filter(|check| check.verdict != CheckVerdict::Go).collect();
        found.sort_by_key(|check| std::cmp::Reverse(check.verdict));
        found
    }

    pub fn count(&self, verdict: CheckVerdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    fn checked(&self) -> Checked {
        let line = |check: &ReadinessCheck| format!("{}: {}", check.verdict.word(), check.line());
        Checked { verdict: self.verdict, findings: self.findings().into_iter().map(line).collect() }
    }
}

fn worst(checks: &[ReadinessCheck]) -> CheckVerdict {
    checks.iter().map(|check| check.verdict).max().unwrap_or(CheckVerdict::Go)
}

/// What the process knows of a plan beyond its ports: who holds the roles that the plan asks for, whether the search finds it
/// sound.
pub trait HostChecks: Send + Sync {
    /// `phase`: the one that a rollback would begin in; none where the plan has no phases.
    fn checks<'a>(&'a self, plan: &'a Arc<Plan>, phase: Option<&'a str>) -> Fut<'a, Vec<Check>>;
}

/// Nothing.
impl HostChecks for () {
    fn checks<'a>(&'a self, _plan: &'a Arc<Plan>, _phase: Option<&'a str>) -> Fut<'a, Vec<Check>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// Where a migration stands: what an evaluation goes by beside the plan.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    pub baseline: Option<Arc<Baseline>>,
    /// The phase that the migration is in, or else the one that it is about; none where the plan has no phases.
    pub phase: Option<Name>,
    /// The plan is watched already: a trigger that is red then keeps nothing from being armed.
    pub armed: bool,
    /// When the cutover was marked.
    pub cutover: Option<Timestamp>,
    /// What the steps took before.
    pub measured: Measured,
    /// What was captured after the cutover.
    pub expected: Arc<Expected>,
    /// What the evaluation before saw of resources whose state is still to be captured.
    pub seen: BTreeMap<Name, Seen>,
    /// When each step was last carried out in a drill, if ever.
    pub drilled: Vec<(Name, Option<Timestamp>)>,
    /// The last restore test of each step.
    pub restore_tests: RestoreTests,
    /// When each channel that does not fail took its last notice, as the plan has it now.
    pub taken: BTreeMap<Name, Timestamp>,
    /// Where the parts of the plan stand, where its file is at hand.
    pub places: PlanPlaces,
}

impl Circumstances {
    /// As the journal knows them. `relatives`: see [`measured`].
    pub fn of(plan: &Plan, state: &Migration, relatives: &[Arc<Migration>]) -> Self {
        let restore_tests = restored::on_record(plan, state, relatives);
        let relatives = relatives.iter().map(AsRef::as_ref);
        let phase = state.phase_name().filter(|name| plan.phases.contains_key(*name)).or(plan.usual_phase());
        Self {
            baseline: state.kept_baseline().cloned(),
            phase: phase.map(str::to_owned),
            armed: state.armed.is_some(),
            cutover: state.kept_cutover(),
            expected: state.expected.clone(),
            seen: BTreeMap::new(),
            measured: measured(plan, state, relatives.clone()),
            drilled: times::drilled(plan, std::iter::once(state).chain(relatives)),
            restore_tests,
            taken: taken(plan, state),
            places: PlanPlaces::default(),
        }
    }
}

/// What the journal knows of the same channels: their names alone prove nothing.
fn taken(plan: &Plan, state: &Migration) -> BTreeMap<Name, Timestamp> {
    let known = state.plan.as_ref().map(|plan| &plan.notify.channels);
    let same = |name: &Name| {
        let known = known.and_then(|known| known.get(name));
        plan.notify.channels.get(name).zip(known).is_some_and(|(asked, known)| asked.leads_where(known))
    };
    let working = state.outbox.channels.iter().filter(|(name, channel)| channel.failing.is_none() && same(name));
    working.filter_map(|(name, channel)| Some((name.clone(), channel.last_sent?))).collect()
}

/// Evaluates the readiness of a plan. Reads only; it takes up to a few minutes where AWS answers slowly.
pub async fn readiness(
    ports: &Ports,
    host: &dyn HostChecks,
    plan: &Arc<Plan>,
    sha256: &str,
    circumstances: &Circumstances,
) -> Readiness {
    evaluate(ports, host, plan, sha256, circumstances).await.readiness
}

/// An evaluation, and what it saw of resources whose state after the cutover is still to be captured.
pub(crate) struct Evaluated {
    pub(crate) readiness: Readiness,
    pub(crate) seen: BTreeMap<Name, Seen>,
    /// Of these, what has stood still for long enough.
    pub(crate) stood_still: Vec<Name>,
}

pub(crate) async fn evaluate(
    ports: &Ports,
    host: &dyn HostChecks,
    plan: &Arc<Plan>,
    sha256: &str,
    circumstances: &Circumstances,
) -> Evaluated {
    let at = ports.clock.now();
    let done = |checks: Vec<(String, Check)>| {
        let checks = checks.into_iter().map(|(part, check)| ReadinessCheck::new(&part, check, at));
        let readiness = Readiness::new(plan, sha256, at, checks.collect());
        Evaluated { readiness, seen: BTreeMap::new(), stood_still: Vec::new() }
    };
    let of_plan = |check: Check| (String::new(), check);
    let phase = circumstances.phase.as_deref();
    if let Err(unknown) = scope::refuse_unknown(ports, plan) {
        let check = Check::no_go("supported", &plan.migration, unknown.to_string())
            .wanted("a Belay that has every action and signal of the plan")
            .cure("correct the name in the plan, or use a version of Belay that has it");
        return done(vec![of_plan(check)]);
    }
    let accounts = account::verify(ports, plan).await;
    if accounts.iter().any(|check| check.verdict != CheckVerdict::Go) {
        // Nothing is read in an account that is not the plan's.
        let own = within(ports.clock.as_ref(), host.checks(plan, phase)).await;
        let own = own.unwrap_or_else(|| vec![late("host", &plan.migration)]);
        let drill = times::drill(plan, &circumstances.drilled, at);
        return done(accounts.into_iter().chain(drill).chain(own).map(of_plan).collect());
    }
    let (evaluated, channels, own) = futures::join!(
        steps::evaluate(ports, plan, circumstances, at),
        usable(ports, plan),
        within(ports.clock.as_ref(), host.checks(plan, phase)),
    );
    let baseline = evaluated.baseline(plan, circumstances.baseline.as_deref(), sha256, at);
    let (credentials, signals) = futures::join!(
        account::credentials(ports, plan, (&baseline, circumstances.cutover), TIME_MAX),
        signals::evaluate(ports, plan, (&baseline, circumstances), &evaluated.losses, at),
    );
    let signals::Evaluated { checks: signals, detects } = signals;
    let own = own.unwrap_or_else(|| vec![late("host", &plan.migration)]);
    let mut checks: Vec<(String, Check)> = accounts.into_iter().chain(credentials).map(of_plan).collect();
    checks.extend(signals);
    checks.extend(baseline_on_record(plan, circumstances, &evaluated.uncaptured, at).map(of_plan));
    let times = times::evaluate(plan, (&evaluated.times, &detects), circumstances, at);
    checks.extend(evaluated.checks.clone());
    let channels = channels.into_iter();
    checks.extend(channels.map(|(name, usable)| (format!("channel {name}"), channel(name, usable, circumstances))));
    checks.extend(times.into_iter().chain(own).map(of_plan));
    let steps::Evaluated { seen, stood_still, .. } = evaluated;
    Evaluated { seen, stood_still, ..done(checks) }
}

/// Which state a rollback goes back to: a baseline that was kept may be that of another release. `uncaptured`: the steps that return
/// to a baseline which has nothing of them; after the cutover each has a check of its own.
fn baseline_on_record(plan: &Plan, circumstances: &Circumstances, uncaptured: &[Name], at: Timestamp) -> Option<Check> {
    const ID: &str = "baseline";
    let known = circumstances.baseline.as_deref().filter(|baseline| !baseline.steps.is_empty());
    if !uncaptured.is_empty() && circumstances.cutover.is_none() {
        let what = match known {
            None => "no baseline is on record".to_owned(),
            Some(_) => format!("the baseline on record has nothing of {}", uncaptured.join(", ")),
        };
        let found = format!("{what}; the present state is taken as known-good");
        let check = Check::warn(ID, &plan.migration, found)
            .wanted("a baseline that was captured while the system was known to be good")
            .cure("`belay arm` captures it before the cutover; or `belay capture PLAN -o FILE`, then `belay check PLAN --baseline FILE`");
        return Some(check);
    }
    let baseline = known?;
    let age = Duration::try_from(at.duration_since(baseline.captured)).unwrap_or_default().as_secs();
    let age = duration::format(Duration::from_secs(age));
    Some(Check::go(ID, &plan.migration, format!("captured at {:.0}, {age} ago", baseline.captured)))
}

fn channel(name: Name, usable: Result<Usable, Vec<ChannelFault>>, known: &Circumstances) -> Check {
    let places = &known.places;
    match usable {
        Ok(usable) if usable != Usable::Exists && known.taken.contains_key(&name) => {
            let found = format!("it took a notice at {:.0}", known.taken[&name]);
            Check::go("channel", name, found)
        }
        Ok(Usable::Exists) => Check::go("channel", name, "what it leads to exists; nothing was sent"),
        Ok(Usable::Unknown(why)) => {
            Check::warn("channel", name, format!("it is not known whether what it leads to exists: {why}"))
                .wanted("the role may look at it")
                .cure("attach what `belay iam PLAN` prints, or try it: `belay notify PLAN --send-test`")
        }
        // That the host is there, only a notice shows.
        Ok(Usable::Unasked) => {
            Check::warn("channel", name, "its secret and address are well formed; it has taken no notice of the daemon's yet")
                .wanted("a notice that it has taken: of the event `armed`, or of a drill")
                .cure("`belay notify PLAN --send-test` sends one and shows the answer; this check goes by what the daemon has sent")
        }
        Err(faults) => Check::no_go("channel", &name, format!("cannot be used: {}", placed(&name, &faults, places)))
            .wanted("a channel that can be used: else nobody is told through it")
            .cure("correct its secret or address; `belay notify PLAN --send-test` tries it"),
    }
}

/// None: it took too long.
async fn within<T>(clock: &dyn Clock, work: impl Future<Output = T>) -> Option<T> {
    within_time(clock, TIME_MAX, work).await
}

async fn within_time<T>(clock: &dyn Clock, time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = clock.sleep(time) => None,
    }
}

fn late(id: &str, subject: &str) -> Check {
    later_than(TIME_MAX, id, subject)
}

fn later_than(time: Duration, id: &str, subject: &str) -> Check {
    Check::unknown(id, subject, format!("not evaluated within {} s", time.as_secs()))
        .wanted(format!("an answer within {} s", time.as_secs()))
        .cure("check again; where it stays so, look at the network and at other tools that use up the account's API quota")
}
