use serde_json::json;

use crate::{
    client::Daemon,
    commands::sent::{Wait, of_migration},
    exit::{Exit, Failure},
    output::Output,
};

/// Roll back an armed migration now
///
/// It skips the decision, never the interlocks, approvals or the window of the plan.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay rollback --reason \"customers cannot pay\" --wait
  belay rollback --reason \"only the traffic\" --only dns_back,listener_back
  belay rollback --dry-run --wait")]
pub(crate) struct Args {
    /// Needed only where the daemon has several
    migration: Option<String>,
    /// Why; goes on record. A dry run needs none
    #[arg(long, value_parser = crate::given::reason, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// These steps and the ones that they need
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Change nothing: say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let migration = client.migration(self.migration.as_deref()).await?;
        let mut body = json!({ "reason": self.reason.as_deref().unwrap_or("dry run"), "dry_run": self.dry_run });
        if !self.only.is_empty() {
            body["only"] = json!(self.only);
        }
        let listening = self.wait.listen(&client).await?;
        let answer = client.post(&format!("migrations/{migration}/rollback"), &body).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Err(of_migration(failure, &client, &migration).await),
        };
        let run = answer["run"].as_str().unwrap_or_default();
        let said = match self.dry_run {
            true => format!("run {run} says what a rollback of {migration} would do now; nothing is changed"),
            false => format!("run {run} rolls {migration} back"),
        };
        let report = client.commands().line(&format!("status {run}"));
        let mut said = vec![said];
        if self.dry_run && !self.wait.wait {
            said.push(format!("  {} shows what it has found", output.accent().apply_to(report)));
        }
        let (exit, _) = listening.answer(&client, run, &answer, &said, output).await?;
        Ok(exit)
    }
}
