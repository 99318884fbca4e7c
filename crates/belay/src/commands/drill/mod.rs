mod report;
mod staged;

use std::path::PathBuf;

use crate::{
    exit::{Exit, Failure},
    output::Output,
    plan_file::Overlay,
};

/// Rehearse a plan for real, in staging: break it, roll back, and measure against the objectives
///
/// The drill arms the plan (which captures the baseline), waits until the cutover of staging has been made, and then
/// begins the breach. With --fire the signals of a trigger read unhealthy until it has opened an incident; from then on
/// the true signals count, so interlocks, gates and confirmation are real, and so is every change. What was measured goes
/// on record, and dry runs go by it from then on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay drill checkout.yaml --overlay staging --fire customers_hurt --reason \"before the cutover\"
  belay drill checkout.yaml --overlay staging --reason \"only the rollback\" --put-back
  belay drill checkout.yaml --set steps.dns_back.with.zone=Z0STAGING --reason \"another zone\" --json")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    #[command(flatten)]
    staged: staged::Staged,
    /// JSON lines on standard output, and nothing else: each record as it happens, the report as the last
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        self.staged.run(&self.plan, &self.overlay, output).await
    }
}
