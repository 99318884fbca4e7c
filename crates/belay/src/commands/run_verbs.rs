//! What moves a run as a whole.

use serde_json::json;

use crate::{
    client::Daemon,
    exit::{Exit, Failure},
    output::Output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// The run's id; needed only where several are open
    run: Option<String>,
    /// Why; goes on record
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

/// Hold a run: nothing new is sent until it is resumed
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay hold --reason \"the network team looks at it first\"")]
pub(crate) struct Hold {
    #[command(flatten)]
    pub(crate) at: At,
}

/// Resume a run that was held or has halted
///
/// A halted run tries again what failed, or its confirmation.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay resume --reason \"blue is healthy again\"")]
pub(crate) struct Resume {
    #[command(flatten)]
    pub(crate) at: At,
}

/// Abort a run: nothing new is sent, and it ends when the calls under way are answered
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay abort --reason \"put back by hand\"")]
pub(crate) struct Abort {
    #[command(flatten)]
    pub(crate) at: At,
}

impl Hold {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        self.at.send("hold", "held", output).await
    }
}

impl Resume {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        self.at.send("resume", "resumed", output).await
    }
}

impl Abort {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        self.at.send("abort", "aborting", output).await
    }
}

impl At {
    async fn send(&self, verb: &str, now: &str, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let run = client.run(self.run.as_deref()).await?;
        let answer = client.post(&format!("runs/{run}/{verb}"), &json!({ "reason": self.reason })).await?;
        if output.json {
            output.document(&answer);
        } else {
            output.line(format_args!("run {run}: {now}"));
        }
        Ok(Exit::Done)
    }
}
