//! Readiness, as the daemon knows it: who holds the roles that a plan asks for, and an evaluation on demand.

use std::{
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use belay_engine::{Circumstances, HostChecks, Readiness, readiness};
use belay_plan::model::{Authority, Name, Plan};
use belay_ports::{Check, Clock, Fut};
use indexmap::IndexSet;
use jiff::SignedDuration;
use tokio::sync::watch;

use crate::{
    auth::Tokens,
    config::Config,
    daemon::{Daemon, Guards},
    guard::Guard,
    operate::OperateError,
};

/// An evaluation that is younger answers for whoever asks: it takes the quota that the watch needs.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(10);

/// As long an evaluation is evidence for the checklist: twice the pace of the watch.
const EVIDENCE_FOR: SignedDuration = SignedDuration::from_mins(10);

/// So long the checklist waits for an evaluation.
const LIST_WAITS: Duration = Duration::from_secs(30);

/// So many people are asked for who have one of these roles.
pub(crate) struct Needed {
    pub(crate) roles: Vec<Name>,
    pub(crate) people: usize,
    /// Without tokens, whoever is on this machine has every role: enough where one person suffices.
    pub(crate) anybody: bool,
    /// Where the plan asks for them, as JSON pointers.
    pub(crate) places: Vec<String>,
}

/// What a plan asks of people: approvals with their quorum, decisions with their authority.
pub(crate) fn needed(plan: &Plan) -> Vec<Needed> {
    let approvals = plan.steps.iter().filter_map(|(name, step)| {
        let approve = step.approve.as_ref()?;
        Some(Needed {
            roles: vec![approve.role.clone()],
            people: usize::try_from(approve.quorum).unwrap_or(usize::MAX),
            anybody: false,
            places: vec![format!("/steps/{name}/approve/role")],
        })
    });
    let rules = plan.decision.rules.iter().enumerate();
    let rules = rules.filter_map(|(index, rule)| Some((format!("/decision/rules/{index}"), rule.authority.as_ref()?)));
    let authorities = rules.chain([("/decision".to_owned(), &plan.decision.authority)]).flat_map(|(of, authority)| {
        let all = matches!(authority, Authority::AllOf { .. });
        let list = format!("{of}/authority{}", if all { "/all" } else { "" });
        let together = all.then(|| {
            let roles: IndexSet<&Name> = authority.roles().iter().collect();
            let roles = roles.into_iter().cloned().collect();
            Needed { roles, people: authority.roles().len(), anybody: false, places: vec![list.clone()] }
        });
        let one_each = authority.roles().iter().enumerate().map(move |(index, role)| Needed {
            roles: vec![role.clone()],
            people: 1,
            anybody: !all,
            places: vec![format!("{list}/{index}")],
        });
        one_each.chain(together)
    });
    let mut needed: Vec<Needed> = Vec::new();
    for one in approvals.chain(authorities) {
        match needed.iter_mut().find(|known| known.roles == one.roles) {
            Some(known) => known.add(one),
            None => needed.push(one),
        }
    }
    needed
}

impl Needed {
    /// The same people are asked for elsewhere, too.
    fn add(&mut self, other: Self) {
        self.people = self.people.max(other.people);
        self.anybody &= other.anybody;
        self.places.extend(other.places);
    }

    /// How many people have one of the roles; none where the tokens do not matter.
    pub(crate) fn found(&self, tokens: &Tokens) -> Option<usize> {
        (!(self.anybody && tokens.is_empty())).then(|| tokens.people_with(&self.roles))
    }

    pub(crate) fn role(&self) -> String {
        self.roles.join(" or ")
    }

    fn check(&self, tokens: &Tokens) -> Check {
        let role = self.role();
        match self.found(tokens) {
            None => Check::go("people", role, "without tokens, every user of this machine has the role"),
            Some(found) if found >= self.people => {
                Check::go("people", role, format!("the daemon's tokens give it to {found}")).wanted(self.wanted())
            }
            Some(found) => Check::no_go("people", role, format!("the daemon's tokens give it to {found}"))
                .wanted(self.wanted())
                .cure("give it to more people under `tokens` in the daemon's configuration: `belay token NAME --role ROLE`"),
        }
    }

    fn wanted(&self) -> String {
        format!("at least {}", self.people)
    }
}

/// Whether there are the people that a plan asks for.
pub fn people(plan: &Plan, tokens: &Tokens) -> Vec<Check> {
    needed(plan).iter().map(|needed| needed.check(tokens)).collect()
}

/// The same where nobody knows the daemon's tokens.
pub fn people_unknown(plan: &Plan) -> Vec<Check> {
    let unknown = |needed: &Needed| {
        Check::unknown(
            "people",
            needed.role(),
            "who has the role is not known: the daemon's configuration was not read",
        )
        .wanted(needed.wanted())
        .cure("name it: `BELAY_CONFIG=FILE belay check PLAN`; or ask the daemon: `belay status`")
    };
    needed(plan).iter().map(unknown).collect()
}

/// What the daemon knows, and what the binary knows beyond that.
pub(crate) struct Host {
    pub(crate) configs: watch::Receiver<Arc<Config>>,
    pub(crate) beyond: Arc<dyn HostChecks>,
    /// The engines that ask are among them.
    pub(crate) guards: Weak<Guards>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Host {
    /// Of the `belay guard` that runs the migration's command.
    fn of_pipeline(&self, migration: &str) -> Option<Check> {
        let guards = self.guards.upgrade()?;
        let guard = guards.lock().unwrap_or_else(PoisonError::into_inner).get(migration).cloned()?;
        guard.pipeline.check(&guard.snapshot().state, self.clock.as_ref())
    }
}

impl HostChecks for Host {
    fn checks<'a>(&'a self, plan: &'a Arc<Plan>, phase: Option<&'a str>) -> Fut<'a, Vec<Check>> {
        Box::pin(async move {
            let mut checks = people(plan, &self.configs.borrow().tokens);
            checks.extend(self.of_pipeline(&plan.migration));
            checks.extend(self.beyond.checks(plan, phase).await);
            checks
        })
    }
}

impl Daemon {
    /// Evaluates the readiness of what is armed, else of what the file holds. Its clients cannot change anything.
    pub(crate) async fn readiness(&self, guard: &Arc<Guard>) -> Result<Arc<Readiness>, OperateError> {
        let (plan, plan_sha256) = self.plan_to_evaluate(guard).await?;
        match self.known_readiness(guard, &plan_sha256, FRESH_FOR) {
            Some(known) => Ok(known),
            None => self.evaluate(guard, plan, plan_sha256).await,
        }
    }

    /// As evidence: of the last minutes, where there is one; else it is made, but not while a run needs the quota.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn readiness_as_evidence(&self, guard: &Arc<Guard>) -> Result<Arc<Readiness>, String> {
        let (plan, plan_sha256) = self.plan_to_evaluate(guard).await.map_err(|error| error.to_string())?;
        if let Some(known) = self.known_readiness(guard, &plan_sha256, EVIDENCE_FOR) {
            return Ok(known);
        }
        if guard.snapshot().state.open_run().is_some() {
            return Err("a run is under way, which needs the quota of AWS".to_owned());
        }
        tokio::select! {
            biased;
            found = self.evaluate(guard, plan, plan_sha256) => found.map_err(|error| error.to_string()),
            () = self.ports().clock.sleep(LIST_WAITS) => {
                Err(format!("it takes longer than {} s; `belay check` waits for it", LIST_WAITS.as_secs()))
            }
        }
    }

    /// Younger than that, and not of before the migration was armed or cut over.
    pub(crate) fn known_readiness(
        &self,
        guard: &Guard,
        plan_sha256: &str,
        younger_than: SignedDuration,
    ) -> Option<Arc<Readiness>> {
        let (found, now) = (guard.evaluated(plan_sha256)?, self.ports().clock.now());
        let state = guard.snapshot().state.clone();
        let of_now = state.armed.is_none_or(|at| at <= found.at) && state.cutover.is_none_or(|at| at < found.at);
        let of_now = of_now && guard.pipeline.since().is_none_or(|since| since < found.at);
        let holds = of_now && now.duration_since(found.at) < younger_than;
        holds.then_some(found)
    }

    /// The armed plan, else that of the file.
    pub(crate) async fn plan_to_evaluate(&self, guard: &Arc<Guard>) -> Result<(Arc<Plan>, String), OperateError> {
        let fresh = self.refresh(guard).await;
        let state = guard.snapshot().state.clone();
        if let Some(plan) = state.plan.as_ref().filter(|_| state.armed.is_some()) {
            return Ok((plan.clone(), state.plan_sha256.clone()));
        }
        let loaded = fresh.map_err(|why| OperateError::PlanFile { why })?;
        self.judge(&loaded.plan).map_err(|why| OperateError::NotPermitted { why })?;
        Ok((Arc::new(loaded.plan.clone()), loaded.sha256.clone()))
    }

    async fn evaluate(
        &self,
        guard: &Arc<Guard>,
        plan: Arc<Plan>,
        plan_sha256: String,
    ) -> Result<Arc<Readiness>, OperateError> {
        let _place = self.place_for_a_dry_run().ok_or(OperateError::Busy)?;
        let snapshot = guard.snapshot();
        let circumstances = Circumstances::of(&plan, &snapshot.state, &snapshot.relatives);
        let host = self.host_checks();
        let found = readiness(self.read_only(), host.as_ref(), &plan, &plan_sha256, &circumstances).await;
        let found = Arc::new(found);
        guard.keep_evaluated(found.clone());
        if snapshot.state.armed.is_some() {
            guard.handle.note_readiness(found.clone()).await;
        }
        Ok(found)
    }
}
