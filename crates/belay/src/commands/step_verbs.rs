//! What moves one step of a run.

use serde_json::{Value, json};

use crate::{
    board::{Act, Commands},
    client::{Client, Daemon},
    commands::sent::{Wait, with_commands},
    document::{Run, Step},
    exit::{Exit, Failure},
    output::Output,
    text,
};

#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// The step's name in the plan; left out, the commands for each that waits are shown
    step: Option<String>,
    /// The run's id; needed only where several are open
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Why; goes on record
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

/// Approve a step that waits for a person, or deny it
///
/// For a `manual` step it says that its work is done. Where the plan asks for a role or for several people, status says who
/// is missing.
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
    signal: Option<String>,
}

/// Try a failed step again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay retry dns_back --reason \"the permission is there now\" --wait")]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) at: At,
}

/// Go on without a step
///
/// The steps that need it go on as if it had been done: be sure that it is, or that it need not be.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay skip dns_back --reason \"done by hand\"")]
pub(crate) struct Skip {
    #[command(flatten)]
    pub(crate) at: At,
}

impl Approve {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let (answer, now) =
            if self.deny { ("deny", "your no is on record") } else { ("approve", "your yes is on record") };
        self.at.send("approve", json!({ "answer": answer, "reason": self.at.reason }), now, output).await
    }
}

impl Override {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let Some(signal) = &self.signal else {
            let client = self.at.daemon.client()?;
            return Err(self.at.which(&client, "override").await?);
        };
        let body = json!({ "signal": signal, "reason": self.at.reason });
        self.at.send("override", body, &format!("{signal} is overridden"), output).await
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
        let Some(step) = &self.step else { return Err(self.which(&client, verb).await?) };
        let reason = text::quoted(&self.reason);
        let command = |id: &str| format!("{verb} {step} --run {id} --reason {reason}");
        let run = client.run(self.run.as_deref(), command).await?;
        let listening = self.wait.listen(&client).await?;
        let answer = match client.post(&format!("runs/{run}/steps/{step}/{verb}"), &body).await {
            Ok(answer) => answer,
            Err(failure) => return Err(instead(failure, &client, &run, step).await),
        };
        let said = format!("step {step} of run {run}: {now}");
        let (exit, _) = listening.answer(&client, &run, &answer, &said, output).await?;
        Ok(exit)
    }

    /// The steps that could be meant, each with its command.
    async fn which(&self, client: &Client, verb: &str) -> Result<Failure, Failure> {
        let reason = text::quoted(&self.reason);
        let run = client.run(self.run.as_deref(), |id| format!("{verb} --run {id} --reason {reason}")).await?;
        let run = Run::read(client.get(&format!("runs/{run}")).await?)?;
        let acts = acts(&run, verb, &client.commands());
        let failure = Failure::message(Exit::Usage, format!("which step of run {} is meant?", run.id));
        Ok(match acts.is_empty() {
            true => failure.help(format!("none waits for `{verb}`; the steps are {}", names(&run))),
            false => Failure { acts, ..failure.help("one of these:") },
        })
    }
}

/// A refusal, with the commands that move this step. That a step is not there is said with the names of those that are.
async fn instead(failure: Failure, client: &Client, run: &str, step: &str) -> Failure {
    let document = client.get(&format!("runs/{run}")).await.and_then(Run::read);
    let Ok(run) = document else { return failure };
    if !run.steps.contains_key(step) {
        return failure.help(format!("the steps of run {} are: {}", run.id, names(&run)));
    }
    let subjects = run.steps.get(step).map(Step::subjects).unwrap_or_default();
    with_commands(failure, |verb| client.commands().of_step(verb, &run.id, step, &subjects))
}

/// The commands of a verb, for the steps that can take it.
fn acts(run: &Run, verb: &str, commands: &Commands) -> Vec<Act> {
    let takes = |step: &&Step| match verb {
        "approve" => step.phase == "awaiting_approval",
        "retry" => step.phase == "failed",
        "override" => matches!(step.phase.as_str(), "failed" | "requiring") && !step.subjects().is_empty(),
        _ => !matches!(step.phase.as_str(), "done" | "unchanged" | "skipped"),
    };
    let steps = run.steps.iter().filter(|(_, step)| takes(step));
    steps.flat_map(|(name, step)| commands.of_step(verb, &run.id, name, &step.subjects())).collect()
}

fn names(run: &Run) -> String {
    run.steps.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}
