use serde_json::json;

use crate::{
    client::Daemon,
    commands::sent::of_migration,
    exit::{Exit, Failure},
    output::Output,
};

/// Begin a phase of the plan
///
/// Triggers, rules and steps count `during` their phases. A phase that has been before may begin again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay phase soak --reason \"all traffic is on green\"")]
pub(crate) struct Args {
    phase: String,
    /// Needed only where the daemon has several
    migration: Option<String>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let migration = client.migration(self.migration.as_deref()).await?;
        let body = json!({ "phase": self.phase, "reason": self.reason });
        let answer = match client.post(&format!("migrations/{migration}/phase"), &body).await {
            Ok(answer) => answer,
            Err(failure) => return Err(of_migration(failure, &client, &migration).await),
        };
        if output.json {
            output.document(&answer);
        } else {
            output.line(format_args!("{migration} is in phase {}", output.bold().apply_to(&self.phase)));
            if self.phase == "cutover" && answer["cutover"].is_null() {
                let mark = client.commands().line(&format!("cutover {migration}"));
                output.line(format_args!(
                    "  {} the cutover is not marked: a point of no return, and what is restored to the cutover, count from that: {mark}",
                    output.warn().apply_to("warning:")
                ));
            }
            let dry_run = client.commands().line(&format!("rollback {migration} --dry-run"));
            output.line(format_args!("  {} shows what a rollback does now", output.accent().apply_to(dry_run)));
        }
        Ok(Exit::Done)
    }
}
