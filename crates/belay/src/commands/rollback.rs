use serde_json::json;

use crate::{
    client::Daemon,
    exit::{Exit, Failure},
    follow::{Screen, follow_daemon, show_summary, show_waiting},
    output::Output,
};

/// Roll back an armed migration now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay rollback --reason \"customers cannot pay\" --wait
  belay rollback checkout-cutover --reason \"only the traffic\" --only dns_back,listener_back
  belay rollback --reason rehearsal --dry-run --wait")]
pub(crate) struct Args {
    /// Needed only where the daemon has several
    migration: Option<String>,
    /// Why; goes on record
    #[arg(long)]
    reason: String,
    /// These steps and the ones that they need
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Change nothing: say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Show the progress, and end when the run does: 0 when it rolled back, 4 when it did not
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let migration = client.migration(self.migration.as_deref()).await?;
        let mut body = json!({ "reason": self.reason, "dry_run": self.dry_run });
        if !self.only.is_empty() {
            body["only"] = json!(self.only);
        }
        let answer = client.post(&format!("migrations/{migration}/rollback"), &body).await?;
        let id = answer["run"].as_str().unwrap_or_default();
        if !self.wait {
            if output.json {
                output.document(&answer);
            }
            output.line(format_args!("run {id} of {migration} has begun; `belay status` shows it"));
            return Ok(Exit::Done);
        }
        let mut screen = Screen::new(output);
        let run = follow_daemon(&client, id, &mut screen, output).await;
        screen.finish();
        let run = run?;
        match run.dry_run() {
            Some(report) => Ok(crate::dry_report::answer(&report, output)),
            None => {
                show_summary(&run, None, output);
                show_waiting(&run, output);
                Ok(run.exit())
            }
        }
    }
}
