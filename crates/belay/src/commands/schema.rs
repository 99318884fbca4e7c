use crate::{
    assembly::catalogue,
    exit::{Exit, Failure},
    output::Output,
};

/// Print the JSON Schema of plans
///
/// Editors that know it complete and check plans while you type.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  belay schema > belay.schema.json
  # and as the first line of a plan:
  # yaml-language-server: $schema=belay.schema.json")]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(&self, output: Output) -> Result<Exit, Failure> {
        output.document(&belay_plan::schema(&catalogue()));
        Ok(Exit::Done)
    }
}
