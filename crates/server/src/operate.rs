//! What people ask of the daemon, whichever way they ask: over HTTP, by a Unix signal, or by its configuration.

use std::sync::Arc;

use belay_core::{
    event::{Event, Record},
    id::RunId,
    input::{Asked, Verb},
    migration::MigrationState,
};
use belay_engine::{ArmError, Armed, Arming, Circumstances, CommandError, DryRun, DryRunError, RunError, Which};
use belay_plan::{
    Loaded, PlanPlaces,
    model::{Name, Plan},
};

use crate::{
    config::Sigusr1,
    daemon::Daemon,
    guard::{Guard, shared_resource},
    permits::reaches,
    readiness::needed,
};

/// On record for what a Unix signal asked for: the system does not say who sent it.
const SIGNAL_ACTOR: &str = "signal";

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    #[error("the plan file cannot be used: {why}")]
    PlanFile { why: String },
    #[error("the plan file is not permitted: {why}")]
    NotPermitted { why: String },
    #[error("the daemon's plan file {path} has the SHA-256 {found}, not {expected}: it is not what was reviewed")]
    OtherPlan { expected: String, found: String, path: String },
    #[error("{resource} is acted on by {other} too, which is armed or rolling back")]
    ResourceTaken { resource: String, other: Name },
    /// `also`: what else stands against arming.
    #[error("the plan asks for people whom the daemon's tokens do not name:\n{}", [&.shortages[..], &.also[..]].concat().join("\n"))]
    NeedsRoles { roles: Vec<Name>, shortages: Vec<String>, also: Vec<String> },
    #[error("as many dry runs as there may be are under way already")]
    Busy,
    #[error("the report cannot be written down: {0}")]
    Report(serde_json::Error),
    #[error(transparent)]
    Arm(#[from] ArmError),
    #[error(transparent)]
    DryRun(#[from] DryRunError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// On whose word a plan is armed.
#[derive(Debug)]
pub(crate) enum Word {
    /// A person's, who may have reviewed it with this hash.
    Person { plan_sha256: Option<String> },
    /// The configuration's: nobody has asked for this very plan.
    Nobody,
}

impl Daemon {
    /// Arms the plan that the file holds now.
    pub(crate) async fn arm(
        &self,
        guard: &Arc<Guard>,
        arming: Arming,
        word: &Word,
        asked: &Asked,
    ) -> Result<Armed, OperateError> {
        let _turn = self.one_arming_at_a_time().await;
        let loaded = self.refresh(guard).await.map_err(|why| OperateError::PlanFile { why })?;
        self.refuse_unpermitted(guard, &loaded, word)?;
        self.refuse_shared_resources(guard, &loaded.plan)?;
        let places = self.places(guard, &loaded);
        if let Err(mut refused) = self.refuse_missing_people(&loaded.plan, &places) {
            if let OperateError::NeedsRoles { also, .. } = &mut refused
                && !arming.accept_unknown
            {
                *also = belay_engine::unusable_channels(self.ports(), &loaded.plan, &places).await;
            }
            return Err(refused);
        }
        let arming = Arming { places, ..arming };
        let plan = Arc::new(loaded.plan.clone());
        let (handle, ports, sha256, asked) =
            (guard.handle.clone(), self.ports().clone(), loaded.sha256.clone(), asked.clone());
        let arm = async move { belay_engine::arm(&handle, &ports, plan, &sha256, arming, &asked).await };
        let mut armed = self.on_the_watch(arm).await?;
        let changeable =
            |who| format!("{who} can change the plan file, and a plan is code; what is armed stays as it is");
        armed.warnings.extend(guard.others().map(changeable));
        for warning in &armed.warnings {
            tracing::warn!(migration = guard.name(), warning, "armed, with a warning");
        }
        self.set_unarmed(guard.name(), None);
        Ok(armed)
    }

    fn refuse_unpermitted(&self, guard: &Guard, loaded: &Loaded, word: &Word) -> Result<(), OperateError> {
        let not_permitted = |why| OperateError::NotPermitted { why };
        match word {
            Word::Person { plan_sha256: Some(expected) } if !expected.eq_ignore_ascii_case(&loaded.sha256) => {
                let path = guard.path().map(|path| path.display().to_string()).unwrap_or_default();
                return Err(OperateError::OtherPlan { expected: expected.clone(), found: loaded.sha256.clone(), path });
            }
            Word::Person { .. } => {}
            Word::Nobody => {
                let changeable = |who| {
                    not_permitted(format!("{who} can change the file, so it is not armed without a person's word"))
                };
                guard.others().map_or(Ok(()), |who| Err(changeable(who)))?;
                self.judge_unasked(&loaded.plan).map_err(not_permitted)?;
            }
        }
        self.judge(&loaded.plan).map_err(not_permitted)
    }

    /// Where the parts of a plan stand in its file.
    fn places(&self, guard: &Guard, loaded: &Loaded) -> PlanPlaces {
        let path = guard.path().unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        loaded.places(&name, &self.catalogue())
    }

    /// Nobody is to find out in the middle of a rollback that there is nobody who may approve.
    pub(crate) fn refuse_missing_people(&self, plan: &Plan, places: &PlanPlaces) -> Result<(), OperateError> {
        let config = self.config();
        let (mut roles, mut shortages) = (Vec::new(), Vec::new());
        for needed in needed(plan) {
            let Some(found) = needed.found(&config.tokens).filter(|found| *found < needed.people) else { continue };
            let places: Vec<String> = needed.places.iter().map(|pointer| places.value(pointer)).collect();
            let people = |count: usize| if count == 1 { "1 person".to_owned() } else { format!("{count} people") };
            let (asked, role) = (people(needed.people), needed.role());
            let has = if found == 1 { "1 person has it".to_owned() } else { format!("{found} people have it") };
            shortages.push(format!("{} asks for {asked} with the role {role}, and {has}", places.join(", ")));
            roles.extend(needed.roles);
        }
        roles.sort_unstable();
        roles.dedup();
        if shortages.is_empty() { Ok(()) } else { Err(OperateError::NeedsRoles { roles, shortages, also: Vec::new() }) }
    }

    /// Why nobody could approve or decide what is live: its roles were taken from the tokens since it was armed.
    pub(crate) fn missing_people(&self, guard: &Guard) -> Option<String> {
        let plan = guard.live_plan()?;
        self.refuse_missing_people(&plan, &PlanPlaces::default()).err().map(|error| error.to_string())
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
        asked: &Asked,
    ) -> Result<RunId, OperateError> {
        let (handle, ports, asked) = (guard.handle.clone(), self.ports().clone(), asked.clone());
        let run = async move { belay_engine::rollback(&handle, &ports, only, &asked).await };
        Ok(self.on_the_watch(run).await?)
    }

    /// Puts back what was there before a run.
    pub(crate) async fn undo(&self, guard: &Arc<Guard>, run: RunId, asked: &Asked) -> Result<RunId, OperateError> {
        let _turn = self.one_arming_at_a_time().await;
        if let Some(undone) = guard.snapshot().state.find_run(&run) {
            self.refuse_shared_resources(guard, &undone.plan)?;
        }
        let undo = belay_engine::undo(&guard.handle, self.ports(), run.clone(), asked).await?;
        Ok(undo)
    }

    /// Says what a rollback of what is armed would do, else of what the file holds, and puts it on record. Its clients
    /// cannot change anything.
    pub(crate) async fn rehearse(
        &self,
        guard: &Arc<Guard>,
        only: Vec<Name>,
        asked: &Asked,
    ) -> Result<(RunId, DryRun), OperateError> {
        let _place = self.place_for_a_dry_run().ok_or(OperateError::Busy)?;
        let fresh = self.refresh(guard).await;
        let state = guard.snapshot().state.clone();
        let (plan, plan_sha256, places) = match &state.plan {
            // The file may have changed since.
            Some(plan) if state.armed.is_some() => (plan.clone(), state.plan_sha256.clone(), PlanPlaces::default()),
            _ => {
                let loaded = fresh.map_err(|why| OperateError::PlanFile { why })?;
                self.judge(&loaded.plan).map_err(|why| OperateError::NotPermitted { why })?;
                (Arc::new(loaded.plan.clone()), loaded.sha256.clone(), self.places(guard, &loaded))
            }
        };
        let known = Circumstances::of(&plan, &state, &guard.snapshot().relatives);
        let circumstances = Circumstances { places, ..known };
        let which = Which { only: &only, phase: state.phase_name().filter(|name| plan.phases.contains_key(*name)) };
        let mut found = belay_engine::dry_run(self.read_only(), &plan, &plan_sha256, &circumstances, which).await?;
        found.reaches = reaches(&plan).iter().map(ToString::to_string).collect();
        tracing::info!(migration = guard.name(), actor = asked.actor, verdict = %found.verdict, "dry run");
        let report = serde_json::to_value(&found).map_err(OperateError::Report)?;
        let verb = Verb::Rehearsed { plan, plan_sha256, only, report };
        let records = self.command(guard, verb, asked).await?;
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
        asked: &Asked,
    ) -> Result<Vec<Record>, OperateError> {
        Ok(guard.handle.command(asked.command(verb)).await?)
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
            if let Err(error) = self.roll_back(guard, Vec::new(), &Asked::new(SIGNAL_ACTOR, "SIGUSR1")).await {
                tracing::error!(migration = guard.name(), %error, "SIGUSR1: not rolled back");
            }
        }
    }

    /// Rehearses every migration and logs what was found.
    pub async fn dry_run_by_signal(&self) {
        for guard in self.guards() {
            let migration = guard.name();
            match self.rehearse(&guard, Vec::new(), &Asked::new(SIGNAL_ACTOR, "SIGUSR2")).await {
                Ok((run, found)) => log_findings(&run, &found),
                Err(error) => tracing::error!(migration, %error, "SIGUSR2: no dry run"),
            }
        }
    }

    /// `arm: on_start`: arms what has never been armed.
    pub async fn arm_on_start(&self) {
        for migration in self.unarmed().into_keys() {
            let Some(guard) = self.guard(&migration) else { continue };
            if let Err(error) =
                self.arm(&guard, Arming::default(), &Word::Nobody, &Asked::new("belay", "arm: on_start")).await
            {
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
