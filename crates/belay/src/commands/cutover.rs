use serde_json::json;

use crate::{
    client::Daemon,
    commands::sent::of_migration,
    exit::{Exit, Failure},
    output::Output,
};

/// Mark that the cutover begins
///
/// The mark is what `from: { time: cutover }` and the window of a plan count from.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay arm && belay cutover && ./shift-the-traffic.sh")]
pub(crate) struct Args {
    /// Needed only where the daemon has several
    migration: Option<String>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let migration = client.migration(self.migration.as_deref()).await?;
        let reason = self.reason.as_deref().unwrap_or("marked at the command line");
        let answer = client.post(&format!("migrations/{migration}/cutover"), &json!({ "reason": reason })).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Err(of_migration(failure, &client, &migration).await),
        };
        if output.json {
            output.document(&answer);
        } else {
            output.line(format_args!("the cutover of {migration} is marked"));
            let commands = client.commands();
            output.line(format_args!(
                "  {} shows what happens; {} rolls back by hand",
                output.accent().apply_to(commands.line(&format!("watch {migration}"))),
                output.accent().apply_to(commands.line(&format!("rollback {migration} --reason \"...\" --wait"))),
            ));
        }
        Ok(Exit::Done)
    }
}
