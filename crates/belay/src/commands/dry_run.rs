use std::{path::PathBuf, sync::Arc};

use belay_core::migration::Migration;
use belay_engine::{Circumstances, DryRunError, Found, Which, folded, relatives};
use belay_journal::{MemoryJournal, StateUrl};
use belay_plan::model::Plan;
use belay_ports::Access;

use crate::{
    assembly::{State, catalogue, gate, open_to_read, ports},
    commands::arm::read_baseline,
    dry_report,
    exit::{Exit, Failure},
    output::Output,
    plan_file::{self, Overlay},
    problem::{account_failure, looked_in},
};

/// Say exactly what a rollback would do now, with reads only
///
/// Every signal is read and every step is looked at in the live account. The answer is no, with exit code 3, when an
/// interlock or anything else would stop the rollback. Its AWS clients refuse every call that is not a read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay dry-run checkout.yaml
  belay dry-run checkout.yaml --baseline checkout.baseline.json
  belay dry-run checkout.yaml --only dns_back --json")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    /// These steps and the ones that they need
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// The phase of the plan; left out: the one that the journal knows, or else the first
    #[arg(long)]
    phase: Option<String>,
    /// A baseline that `belay capture` wrote, instead of the one that the journal keeps
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    state: State,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let loaded = plan_file::load(&self.plan, &self.overlay, &catalogue(), output)?;
        let given = self.baseline.as_ref().map(|path| read_baseline(path, &loaded.plan.migration)).transpose()?;
        let (kept, relatives) = on_record(&self.state.url, &loaded.plan).await?;
        let known = Circumstances::of(&loaded.plan, &kept, &relatives);
        let baseline = given.map(Arc::new).or_else(|| known.baseline.clone());
        let places = loaded.places(&self.plan.display().to_string(), &catalogue());
        let circumstances = Circumstances { baseline, places, ..known };
        let ports =
            ports(Access::ReadOnly, Arc::new(MemoryJournal::default()), Arc::new(()), gate(output)?.only_listed())?;
        let (plan, sha256) = (&loaded.plan, &loaded.sha256);
        let known = kept.phase_name().filter(|name| plan.phases.contains_key(*name));
        let which = Which { only: &self.only, phase: self.phase.as_deref().or(known) };
        let report = belay_engine::dry_run(&ports, plan, sha256, &circumstances, which).await;
        let mut report = report.map_err(failure)?;
        report.reaches = belay_server::reaches(plan).iter().map(ToString::to_string).collect();
        if report.steps.values().any(|step| step.found == Found::Uncaptured) {
            output.note(format_args!(
                "no baseline is known: {}. If a daemon has armed the plan, ask it with `belay rollback --dry-run`, or name its \
                 journal with --state",
                looked_in(&self.state.url)
            ));
        }
        if output.json {
            output.document(&report);
        }
        Ok(dry_report::answer(&report, output))
    }
}

/// What the journal knows of a migration, and of those from the same plan file. Who only looks takes no lease, and makes no file.
pub(crate) async fn on_record(url: &StateUrl, plan: &Plan) -> Result<(Migration, Vec<Arc<Migration>>), Failure> {
    let StateUrl::Sqlite(path) = url;
    if !path.exists() {
        return Ok((Migration::new(&plan.migration), Vec::new()));
    }
    let journal = open_to_read(url)?;
    let state = folded(&journal, &plan.migration).await?;
    let relatives = relatives(&journal, &plan.migration).await?;
    Ok((state, relatives))
}

pub(crate) fn failure(error: DryRunError) -> Failure {
    match error {
        DryRunError::Account(error) => account_failure(error),
        error @ (DryRunError::Unknown(_) | DryRunError::NoSuchStep { .. } | DryRunError::NoSuchPhase { .. }) => {
            Failure::new(Exit::Usage, error)
        }
    }
}
