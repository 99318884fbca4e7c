//! What moves one step of a run.

use serde_json::{Value, json};

use crate::{
    client::Daemon,
    exit::{Exit, Failure},
    output::Output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// The step's name in the plan
    step: String,
    /// The run's id; needed only where several are open
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Why; goes on record
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

/// Approve a step that waits for a person, or deny it
///
/// For a `manual` step it says that its work is done.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay approve stop_writers --reason \"the workers are at zero\"
  belay approve db_back --deny --reason \"too much would be lost\"")]
pub(crate) struct Approve {
    #[command(flatten)]
    pub(crate) at: At,
    /// The answer is no: the step fails
    #[arg(long)]
    deny: bool,
}

/// Take responsibility for an interlock that holds a step up
///
/// Names the signal, or the destination that nothing proves healthy. It goes on record under your name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay override dns_back blue_ready --reason \"seen with my own eyes\"")]
pub(crate) struct Override {
    #[command(flatten)]
    pub(crate) at: At,
    /// The signal or destination
    signal: String,
}

/// Try a failed step again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay retry dns_back --reason \"the permission is there now\"")]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) at: At,
}

/// Go on without a step
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay skip dns_back --reason \"done by hand\"")]
pub(crate) struct Skip {
    #[command(flatten)]
    pub(crate) at: At,
}

impl Approve {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let (answer, now) = if self.deny { ("deny", "denied") } else { ("approve", "approved") };
        self.at.send("approve", json!({ "answer": answer, "reason": self.at.reason }), now, output).await
    }
}

impl Override {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let body = json!({ "signal": self.signal, "reason": self.at.reason });
        self.at.send("override", body, &format!("{} is overridden", self.signal), output).await
    }
}

impl Retry {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        self.at.send("retry", json!({ "reason": self.at.reason }), "tried again", output).await
    }
}

impl Skip {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        self.at.send("skip", json!({ "reason": self.at.reason }), "skipped", output).await
    }
}

impl At {
    async fn send(&self, verb: &str, body: Value, now: &str, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let run = client.run(self.run.as_deref()).await?;
        let answer = client.post(&format!("runs/{run}/steps/{}/{verb}", self.step), &body).await?;
        if output.json {
            output.document(&answer);
        } else {
            output.line(format_args!("step {} of run {run}: {now}", self.step));
        }
        Ok(Exit::Done)
    }
}
