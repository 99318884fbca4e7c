//! What people ask of the daemon, whichever way they ask: over HTTP, by a Unix signal, or by its configuration.

use std::sync::Arc;

use belay_core::{
    change::Baseline,
    event::{Event, Record},
    id::RunId,
    input::{Command, Verb},
    migration::MigrationState,
    support::{For, unsupported},
};
use belay_engine::{ArmError, CommandError, DryRun, DryRunError};
use belay_plan::model::{Name, Plan};

use crate::{
    config::Sigusr1,
    daemon::Daemon,
    guard::{Guard, shared_resource},
};

/// On record for what a Unix signal asked for: the system does not say who sent it.
const SIGNAL_ACTOR: &str = "signal";

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    #[error("the plan file cannot be used: {why}")]
    PlanFile { why: String },
    #[error("{resource} is acted on by {other} too, which is armed or rolling back")]
    ResourceTaken { resource: String, other: Name },
    #[error("the plan asks for people with the role {role}, and without tokens nobody has a role")]
    NeedsRoles { role: Name },
    #[error("the report cannot be written down: {0}")]
    Report(serde_json::Error),
    #[error(transparent)]
    Arm(#[from] ArmError),
    #[error(transparent)]
    DryRun(#[from] DryRunError),
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl Daemon {
    /// Arms the plan that the file holds now.
    pub(crate) async fn arm(
        &self,
        guard: &Arc<Guard>,
        baseline: Option<Baseline>,
        actor: &str,
        reason: &str,
    ) -> Result<(), OperateError> {
        let _turn = self.one_arming_at_a_time().await;
        self.refresh(guard).await;
        let loaded = guard.loaded().map_err(|why| OperateError::PlanFile { why })?;
        self.refuse_shared_resources(guard, &loaded.plan)?;
        // What cannot be honoured at all is said first, by arming itself: tokens would not help it.
        let honoured = unsupported(&loaded.plan, For::Guarding).is_empty();
        if let Some(role) = roles(&loaded.plan).next().filter(|_| honoured && self.config().tokens.is_empty()) {
            return Err(OperateError::NeedsRoles { role: role.clone() });
        }
        let plan = Arc::new(loaded.plan.clone());
        belay_engine::arm(&guard.handle, self.ports(), plan, &loaded.sha256, baseline, actor, reason).await?;
        self.set_unarmed(guard.name(), None);
        tracing::info!(migration = guard.name(), actor, "armed");
        Ok(())
    }

    fn refuse_shared_resources(&self, guard: &Arc<Guard>, plan: &Plan) -> Result<(), OperateError> {
        for other in self.guards().iter().filter(|other| other.name() != guard.name()) {
            let Some(live) = other.live_plan() else { continue };
            if let Some(resource) = shared_resource(plan, &live) {
                return Err(OperateError::ResourceTaken {
                    resource: resource.to_owned(),
                    other: other.name().to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Rolls back what is armed.
    pub(crate) async fn roll_back(
        &self,
        guard: &Arc<Guard>,
        only: Vec<Name>,
        actor: &str,
        reason: &str,
    ) -> Result<RunId, OperateError> {
        let run = belay_engine::rollback(&guard.handle, only, actor, reason).await?;
        tracing::info!(migration = guard.name(), actor, reason, %run, "rolling back");
        Ok(run)
    }

    /// Says what a rollback of what is armed would do, else of what the file holds, and puts it on record. Its clients
    /// cannot change anything.
    pub(crate) async fn rehearse(
        &self,
        guard: &Arc<Guard>,
        only: Vec<Name>,
        actor: &str,
        reason: &str,
    ) -> Result<(RunId, DryRun), OperateError> {
        self.refresh(guard).await;
        let state = guard.snapshot().state.clone();
        let (plan, plan_sha256) = match &state.plan {
            Some(plan) if state.armed.is_some() => (plan.clone(), state.plan_sha256.clone()),
            _ => {
                let loaded = guard.loaded().map_err(|why| OperateError::PlanFile { why })?;
                (Arc::new(loaded.plan.clone()), loaded.sha256.clone())
            }
        };
        let baseline = state.baseline.as_deref();
        let found =
            belay_engine::dry_run(self.read_only(), &plan, &plan_sha256, baseline, state.cutover, &only).await?;
        tracing::info!(migration = guard.name(), actor, verdict = %found.verdict, "dry run");
        let report = serde_json::to_value(&found).map_err(OperateError::Report)?;
        let verb = Verb::Rehearsed { plan, plan_sha256, only, report };
        let records = self.command(guard, verb, actor, reason).await?;
        let rehearsed = records.into_iter().find_map(|record| match record.event {
            Event::Rehearsed { run, .. } => Some(run),
            _ => None,
        });
        rehearsed.map(|run| (run, found)).ok_or_else(|| {
            let why = "the dry run was taken, but is not on record".to_owned();
            OperateError::Command(CommandError::Stopped { why })
        })
    }

    /// Carries out a verb.
    pub(crate) async fn command(
        &self,
        guard: &Arc<Guard>,
        verb: Verb,
        actor: &str,
        reason: &str,
    ) -> Result<Vec<Record>, OperateError> {
        let command = Command { actor: actor.to_owned(), reason: reason.to_owned(), verb };
        Ok(guard.handle.command(command).await?)
    }
}

/// What a Unix signal, or the configuration, asks of all migrations.
impl Daemon {
    /// Rolls back the armed migration. Several are only rolled back when the configuration says so: nobody can tell which
    /// one was meant.
    pub async fn roll_back_by_signal(&self) {
        let armed: Vec<Arc<Guard>> = self.guards().into_iter().filter(is_armed).collect();
        let names: Vec<&str> = armed.iter().map(|guard| guard.name()).collect();
        if armed.is_empty() {
            return tracing::error!("SIGUSR1: nothing is armed, so nothing is rolled back");
        }
        if armed.len() > 1 && self.config().sigusr1 == Sigusr1::One {
            let armed = names.join(", ");
            return tracing::error!(
                armed,
                "SIGUSR1: several migrations are armed and nothing is rolled back; use `belay rollback`, or `sigusr1: all`"
            );
        }
        for guard in &armed {
            if let Err(error) = self.roll_back(guard, Vec::new(), SIGNAL_ACTOR, "SIGUSR1").await {
                tracing::error!(migration = guard.name(), %error, "SIGUSR1: not rolled back");
            }
        }
    }

    /// Rehearses every migration and logs what was found.
    pub async fn dry_run_by_signal(&self) {
        for guard in self.guards() {
            let migration = guard.name();
            match self.rehearse(&guard, Vec::new(), SIGNAL_ACTOR, "SIGUSR2").await {
                Ok((run, found)) => log_findings(&run, &found),
                Err(error) => tracing::error!(migration, %error, "SIGUSR2: no dry run"),
            }
        }
    }

    /// `arm: on_start`: arms what has never been armed.
    pub async fn arm_on_start(&self) {
        for migration in self.unarmed().into_keys() {
            let Some(guard) = self.guard(&migration) else { continue };
            if let Err(error) = self.arm(&guard, None, "belay", "arm: on_start").await {
                tracing::error!(migration, %error, "not armed");
                self.set_unarmed(&migration, Some(error.to_string()));
            }
        }
    }
}

fn is_armed(guard: &Arc<Guard>) -> bool {
    matches!(guard.snapshot().state.state(), MigrationState::Armed | MigrationState::Incident)
}

fn log_findings(run: &RunId, found: &DryRun) {
    let DryRun { migration, verdict, expected_s, .. } = found;
    for (step, dry) in &found.steps {
        for change in &dry.changes {
            tracing::info!(migration, step, change = change.title, "SIGUSR2: would change");
        }
    }
    for stop in &found.stopped_by {
        tracing::warn!(migration, step = stop.step, why = stop.why, "SIGUSR2: would be stopped");
    }
    for warning in &found.warnings {
        tracing::warn!(migration, warning, "SIGUSR2");
    }
    tracing::info!(migration, %verdict, expected_s, %run, "SIGUSR2: dry run");
}

/// The roles that a plan asks people for.
fn roles(plan: &Plan) -> impl Iterator<Item = &Name> {
    let approvals = plan.steps.values().filter_map(|step| step.approve.as_ref()).map(|approve| &approve.role);
    approvals.chain(&plan.decision.authority)
}
