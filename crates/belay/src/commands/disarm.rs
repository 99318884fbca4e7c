use serde_json::json;

use crate::{
    client::Daemon,
    commands::sent::of_migration,
    exit::{Exit, Failure},
    output::Output,
};

/// Disarm a migration: it is not watched any more
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay disarm --reason \"the cutover holds\"")]
pub(crate) struct Args {
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
        let answer = client.post(&format!("migrations/{migration}/disarm"), &json!({ "reason": self.reason })).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Err(of_migration(failure, &client, &migration).await),
        };
        if output.json {
            output.document(&answer);
        } else {
            output.line(format_args!("{migration} is {}: nothing watches it", output.warn().apply_to("disarmed")));
            let next = client.commands().line(&format!("arm {migration}"));
            output.line(format_args!("  {} guards it again", output.accent().apply_to(next)));
        }
        Ok(Exit::Done)
    }
}
