//! What moves one step of a run.

use serde_json::{Value, json};

use crate::{
    board::Act,
    client::{Client, Daemon, IF_NONE_IS_OPEN},
    commands::sent::{Wait, with_commands},
    document::{Run, Step},
    exit::{Exit, Failure},
    given,
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
    #[arg(long, value_parser = crate::given::reason)]
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

/// Take responsibility for an interlock that blocks a step
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
            return Err(match &self.at.step {
                Some(step) => self.at.which_subject(&client, step).await?,
                None => self.at.which(&client, "override").await?,
            });
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
        let run = client.run_of_step(self.run.as_deref(), step).await?;
        let listening = self.wait.listen(&client).await?;
        let answer = match client.post(&format!("runs/{run}/steps/{step}/{verb}"), &body).await {
            Ok(answer) => answer,
            Err(failure) => return Err(instead(failure, &client, &run, step).await),
        };
        let said = format!("step {step} of run {run}: {now}");
        let (exit, _) = listening.answer(&client, &run, &answer, &[said], output).await?;
        Ok(exit)
    }

    /// The steps that could be meant, each with its command.
    async fn which(&self, client: &Client, verb: &str) -> Result<Failure, Failure> {
        let runs = match &self.run {
            Some(id) => vec![client.get(&format!("runs/{id}")).await?],
            None => client.open_runs().await?,
        };
        let runs = runs.into_iter().map(Run::read).collect::<Result<Vec<_>, _>>()?;
        if runs.is_empty() {
            return Ok(Failure::message(Exit::Refused, "there is no open run").help(IF_NONE_IS_OPEN));
        }
        let acts: Vec<Act> = runs.iter().flat_map(|run| self.acts(run, verb)).collect();
        let of = if let [run] = runs.as_slice() { format!(" of run {}", run.id) } else { String::new() };
        let failure = Failure::message(Exit::Usage, format!("which step{of} is meant?"));
        let names = runs.iter().map(names).collect::<Vec<_>>().join(", ");
        Ok(match acts.is_empty() {
            true => failure.help(format!("none waits for `{verb}`; the steps are {names}")),
            false => Failure { acts, ..failure.help("one of these:") },
        })
    }

    /// The interlocks and destinations of a step that could be meant, each with its command.
    async fn which_subject(&self, client: &Client, step: &str) -> Result<Failure, Failure> {
        let id = client.run_of_step(self.run.as_deref(), step).await?;
        let run = Run::read(client.get(&format!("runs/{id}")).await?)?;
        let Some(state) = run.steps.get(step) else {
            return Ok(Failure::message(Exit::Usage, format!("run {id} has no step {step}"))
                .help(format!("its steps are: {}", names(&run))));
        };
        let act = |subject: String| Act { command: given::with(&self.in_run(&[&subject], &id)), label: subject };
        let acts: Vec<Act> = state.subjects().into_iter().map(act).collect();
        let failure = Failure::message(Exit::Usage, format!("which signal or destination of step {step} is meant?"));
        let phase = text::words(&state.phase);
        Ok(match acts.is_empty() {
            true => failure.help(format!("the step is {phase}: nothing holds it up that can be overridden")),
            false => Failure { acts, ..failure.help("one of these:") },
        })
    }

    /// The commands of a verb, for the steps that can take it.
    fn acts(&self, run: &Run, verb: &str) -> Vec<Act> {
        let act = |step: &Step, words: &[&str]| Act {
            label: format!("{}, {}", run.migration, text::words(&step.phase)),
            command: given::with(&self.in_run(words, &run.id)),
        };
        let steps = run.steps.iter().filter(|(_, step)| step.takes(verb));
        let acts = steps.flat_map(|(name, step)| match verb {
            "override" => step.subjects().iter().map(|subject| act(step, &[name, subject])).collect(),
            _ => vec![act(step, &[name])],
        });
        acts.collect()
    }

    /// Words that name the run, if that is not given yet.
    fn in_run<'w>(&self, words: &[&'w str], id: &'w str) -> Vec<&'w str> {
        let run = if self.run.is_none() { &["--run", id][..] } else { &[] };
        [words, run].concat()
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

fn names(run: &Run) -> String {
    run.steps.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}
