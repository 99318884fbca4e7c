//! What moves a run as a whole.

use serde_json::{Value, json};

use crate::{
    client::Daemon,
    commands::sent::{Wait, with_commands},
    document::Run,
    exit::{Exit, Failure},
    output::Output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// The run's id; needed only where several are open
    run: Option<String>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

/// Hold a run: nothing new is sent until it is resumed
///
/// What is under way on AWS goes on there, and is looked at as before.
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
#[command(after_help = "Example:\n  belay resume --reason \"blue is healthy again\" --wait")]
pub(crate) struct Resume {
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    wait: Wait,
}

/// Abort a run: nothing new is sent, and it ends when the calls under way are answered
///
/// Nothing is put back: what has changed by then stays as it is, and status says what is half way.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay abort --reason \"put back by hand\"")]
pub(crate) struct Abort {
    #[command(flatten)]
    pub(crate) at: At,
    /// End when the run does: 0 when it is over, 4 when it halted before
    #[arg(long)]
    wait: bool,
}

/// Undo a rollback that was a mistake: put back what was there before it
///
/// The before-images of the run's steps are put back in a run of its own, with the same care as any other. What lost data
/// cannot be undone: it stays, and is named. The plan's interlocks prove the side that the rollback went back to: a weighted record
/// without health checks needs `belay override` for the other side.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay undo --reason \"the alarm was a false one\" --wait
  belay undo 0kf3x9a2mq71 --reason \"the wrong migration\"")]
pub(crate) struct Undo {
    /// The id of the run to undo; needed only where the daemon has several migrations
    run: Option<String>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: String,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

/// Say that people have talked a rollback or an incident over: nobody is reminded of it any more
///
/// Two days after the end, channels with the event `postmortem_due` are told that nobody has.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay postmortem 0kf3x9a2mq71 --held https://wiki.example.com/incidents/17")]
pub(crate) struct Postmortem {
    /// The id of a run, or of an incident
    #[arg(value_name = "ID")]
    id: String,
    /// Where what came of it can be read
    #[arg(long, value_name = "LINK", value_parser = crate::given::link)]
    held: String,
    /// Goes on record
    #[arg(long, default_value = "it was talked over", value_parser = crate::given::reason)]
    reason: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Hold {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let (exit, _) = self.at.send("hold", "is held: nothing new is sent", Wait { wait: false }, output).await?;
        Ok(exit)
    }
}

impl Resume {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let (exit, _) = self.at.send("resume", "goes on", self.wait, output).await?;
        Ok(exit)
    }
}

impl Abort {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let wait = Wait { wait: self.wait };
        let (exit, run) = self.at.send("abort", "is aborted: nothing new is sent", wait, output).await?;
        // That it is aborted is what was asked for.
        Ok(run.filter(Run::is_over).map_or(exit, |_| Exit::Done))
    }
}

impl Undo {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let undone = client.undoable(self.run.as_deref()).await?;
        let before = client.get(&format!("runs/{undone}")).await?;
        let listening = self.wait.listen(&client).await?;
        let answer = client.post(&format!("runs/{undone}/undo"), &json!({ "reason": self.reason })).await?;
        let run = answer["run"].as_str().unwrap_or_default();
        let mut said = vec![format!("run {run} puts back what was there before run {undone}")];
        let unproven = before["undo_unproven"].as_array().into_iter().flatten().filter_map(Value::as_str);
        said.extend(unproven.map(|why| format!("  {} {why}", output.warn().apply_to("warning:"))));
        let (exit, _) = listening.answer(&client, run, &answer, &said, output).await?;
        Ok(exit)
    }
}

impl Postmortem {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let body = json!({ "link": self.held, "reason": self.reason });
        let held = |of: String| {
            let (client, body) = (&client, &body);
            async move { client.post(&format!("{of}/postmortem"), body).await }
        };
        let answer = client.of_either(&self.id, held).await?;
        match output.json {
            true => output.document(&answer),
            false => output.line(format_args!("{} was talked over: it is on record", self.id)),
        }
        Ok(Exit::Done)
    }
}

impl At {
    async fn send(&self, verb: &str, now: &str, wait: Wait, output: Output) -> Result<(Exit, Option<Run>), Failure> {
        let client = self.daemon.client()?;
        let run = client.run(self.run.as_deref()).await?;
        let listening = wait.listen(&client).await?;
        let answer = client.post(&format!("runs/{run}/{verb}"), &json!({ "reason": self.reason })).await;
        let commands = client.commands();
        let answer = answer.map_err(|failure| with_commands(failure, |verb| commands.of_run(verb, &run)))?;
        let migration = answer["migration"].as_str().unwrap_or_default();
        listening.answer(&client, &run, &answer, &[format!("run {run} of {migration} {now}")], output).await
    }
}
