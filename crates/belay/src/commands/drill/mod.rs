mod report;
mod simulated;
mod staged;

use std::path::PathBuf;

use crate::{
    exit::{Exit, Failure},
    output::Output,
    plan_file::Overlay,
};

/// Rehearse a plan, in staging or in simulation: break it, roll back, and measure against the objectives
///
/// With --simulate the whole plan is played by the real engine in a simulated world, in virtual time: no AWS, no set-up. What
/// drills and rollbacks measured before is how long its steps take there.
///
/// Otherwise it is for real. The drill arms the plan (which captures the baseline), waits until the cutover of staging has been
/// made, and then begins the breach. With --fire the signals of a trigger read unhealthy until it has opened an incident; from
/// then on the true signals count, so interlocks, gates and confirmation are real, and so is every change. What was measured
/// goes on record, and dry runs go by it from then on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay drill checkout.yaml --simulate
  belay drill checkout.yaml --simulate --scenario daemon-is-killed.yaml
  belay drill checkout.yaml --simulate --runs 1000 --svg recovery.svg
  belay drill checkout.yaml --overlay staging --fire hurt --reason \"change 4711\"
  belay drill checkout.yaml --overlay staging --reason \"rehearsal\" --put-back
  belay drill checkout.yaml --set steps.dns_back.with.zone=Z0 --reason \"staging\"")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    #[command(flatten, next_help_heading = "In simulation")]
    simulated: simulated::Simulated,
    #[command(flatten, next_help_heading = "For real")]
    staged: staged::Staged,
    /// JSON on standard output, and nothing else: for real, each record as it happens and the report as the last line; in
    /// simulation, one document
    #[arg(long, help_heading = "Options")]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        if self.simulated.is_wanted() {
            return self.simulated.run(&self.plan, &self.overlay, &self.staged, output).await;
        }
        self.staged.run(&self.plan, &self.overlay, output).await
    }
}
