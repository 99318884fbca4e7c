use crate::{
    assembly::catalogue,
    exit::{Exit, Failure},
    output::Output,
};

/// Print the JSON Schema of plans, of scenarios, or of the daemon's configuration
///
/// Editors that know it complete and check plans while you type.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  belay schema > belay.schema.json
  # and as the first line of a plan:
  # yaml-language-server: $schema=belay.schema.json")]
pub(crate) struct Args {
    /// Of the daemon's configuration (`belay serve --config`)
    #[arg(long)]
    daemon: bool,
    /// Of scenarios (`belay drill --scenario`)
    #[arg(long, conflicts_with = "daemon")]
    scenario: bool,
}

impl Args {
    pub(crate) fn run(&self, output: Output) -> Result<Exit, Failure> {
        output.document(&match (self.daemon, self.scenario) {
            (true, _) => belay_server::Config::schema(),
            (_, true) => belay_sim::scenario::schema(),
            _ => belay_plan::schema(&catalogue()),
        });
        Ok(Exit::Done)
    }
}
