use belay_plan::visible;
use serde_json::json;

use crate::{
    client::Daemon,
    exit::{Exit, Failure},
    output::Output,
};

/// Rescue the journal of a daemon whose file was deleted or replaced
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay journal rescue   # while the daemon still runs: only it has the records")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write all records that the daemon has to a new file on its host
    Rescue,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let What::Rescue = self.what;
        let answer = self.daemon.client()?.post("journal/rescue", &json!({})).await?;
        if output.json {
            output.document(&answer);
            return Ok(Exit::Done);
        }
        let path = visible::line(answer["path"].as_str().unwrap_or_default()).into_owned();
        output.line(format_args!("{} records are in {path}", answer["records"]));
        output.line("  stop the daemon, and start it again on that file:");
        output
            .line(format_args!("  {}", output.accent().apply_to(format!("BELAY_STATE=sqlite:{path} belay serve ..."))));
        Ok(Exit::Done)
    }
}
