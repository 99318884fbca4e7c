mod simulated;

use std::path::PathBuf;

use crate::{
    exit::{Exit, Failure},
    output::Output,
};

/// Rehearse a plan: play a breach and its rollback, and measure them against the objectives
///
/// With --simulate the whole plan is played by the real engine in a simulated world, in virtual time: no AWS, no set-up. The
/// answer is no, with exit code 3, when a run does not roll back, or not within the plan's objectives.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay drill checkout.yaml --simulate
  belay drill checkout.yaml --simulate --scenario restore-takes-twice-as-long.yaml --seed 7
  belay drill checkout.yaml --simulate --runs 1000 --svg recovery.svg")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    simulated: simulated::Simulated,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        self.simulated.run(&self.plan, output)
    }
}
