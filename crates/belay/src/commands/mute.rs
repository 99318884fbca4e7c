use serde_json::json;

use crate::{
    client::Daemon,
    commands::sent::of_migration,
    exit::{Exit, Failure},
    output::Output,
};

/// Let no trigger open an incident for a while
///
/// Triggers are watched and recorded all the same. It ends by itself; what still holds then opens its incident.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay mute --for 30m --reason \"the load test of tonight\"")]
pub(crate) struct Mute {
    /// Needed only where the daemon has several
    migration: Option<String>,
    /// How long, at most 4h
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: String,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

/// End a mute before its time
///
/// What still holds opens its incident.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay unmute --reason \"the load test is over\"")]
pub(crate) struct Unmute {
    /// Needed only where the daemon has several
    migration: Option<String>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

fn time(text: &str) -> Result<String, String> {
    belay_core::mute::time(text).map(|_| text.to_owned())
}

impl Mute {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let migration = client.migration(self.migration.as_deref()).await?;
        let body = json!({ "for": self.time, "reason": self.reason });
        let answer = match client.post(&format!("migrations/{migration}/mute"), &body).await {
            Ok(answer) => answer,
            Err(failure) => return Err(of_migration(failure, &client, &migration).await),
        };
        if output.json {
            output.document(&answer);
        } else {
            let until = answer["muted_until"].as_str().unwrap_or_default();
            output.line(format_args!("{migration} is muted for {}, until {until}", self.time));
            if let Some(incident) = answer["incident"]["id"].as_str() {
                output.line(format_args!(
                    "  {} incident {incident} goes on: a mute stops neither its time nor what follows at its end",
                    output.warn().apply_to("warning:")
                ));
            }
            let unmute = client.commands().line(&format!("unmute {migration} --reason \"...\""));
            output.line(format_args!("  {} ends it before", output.accent().apply_to(unmute)));
        }
        Ok(Exit::Done)
    }
}

impl Unmute {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let migration = client.migration(self.migration.as_deref()).await?;
        let body = json!({ "reason": self.reason });
        let answer = match client.post(&format!("migrations/{migration}/unmute"), &body).await {
            Ok(answer) => answer,
            Err(failure) => return Err(of_migration(failure, &client, &migration).await),
        };
        if output.json {
            output.document(&answer);
        } else {
            output.line(format_args!("{migration} is not muted any more"));
        }
        Ok(Exit::Done)
    }
}
