//! What all verbs of a run have in common: they are sent, what came of them is said, and the end can be waited for.

use serde_json::Value;

use crate::{
    board::{self, Act},
    client::Client,
    document::{Migration, Run},
    dry_report,
    exit::{Exit, Failure},
    follow::{Events, listen, look, show_needs, show_summary, wait_for},
    output::Output,
};

/// Whether a command ends when the run does.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Wait {
    /// Show the progress, and end when the run does: 0 when it came through, 4 when it halted or was aborted
    #[arg(long)]
    pub(crate) wait: bool,
}

/// A connection to hear what comes of a command, made before it is sent.
pub(crate) struct Listening(Option<(Events, bool)>);

impl Wait {
    pub(crate) async fn listen(self, client: &Client) -> Result<Listening, Failure> {
        Ok(Listening(if self.wait { Some(listen(client).await?) } else { None }))
    }
}

impl Listening {
    /// Waits for the end of a run, or says what came of the command: `said`, and what is next.
    pub(crate) async fn answer(
        self,
        client: &Client,
        run: &str,
        document: &Value,
        said: &[String],
        output: Output,
    ) -> Result<(Exit, Option<Run>), Failure> {
        let Some(listening) = self.0 else {
            if output.json {
                output.document(document);
            } else {
                said.iter().for_each(|line| output.line(line));
                next(client, run, output).await?;
            }
            return Ok((Exit::Done, None));
        };
        said.iter().for_each(|line| output.line(line));
        let (migration, run) = wait_for(client, listening, run, output).await?;
        if output.json {
            output.json_line(&run.document);
        }
        if let Some(report) = run.dry_run() {
            return Ok((dry_report::answer(&report, output), Some(run)));
        }
        show_summary(&run, None, None, output);
        if !run.is_over() {
            show_needs(&migration, &look(output, Some(client.commands())), output);
        }
        Ok((run.exit(), Some(run)))
    }
}

/// What waits now, and what can be done.
async fn next(client: &Client, run: &str, output: Output) -> Result<(), Failure> {
    let run = Run::read(client.get(&format!("runs/{run}")).await?)?;
    let migration = Migration::read(&client.get(&format!("migrations/{}", run.migration)).await?)?;
    let look = look(output, Some(client.commands()));
    board::draw_needs(&migration, &look).iter().for_each(|line| output.line(line));
    if !run.has_stopped() {
        output.line(
            output
                .dim()
                .apply_to(format!("  {} shows how it goes on", client.commands().line(&format!("watch {}", run.id)))),
        );
    }
    Ok(())
}

/// A refused verb, with the commands that are possible instead.
pub(crate) fn with_commands(failure: Failure, act: impl Fn(&str) -> Vec<Act>) -> Failure {
    let acts: Vec<Act> =
        failure.refused.iter().flat_map(|refused| &refused.possible).flat_map(|verb| act(verb)).collect();
    with_acts(failure, acts)
}

/// What the help says, a command that can be copied says better.
fn with_acts(failure: Failure, acts: Vec<Act>) -> Failure {
    let verb = |act: &Act| act.command.split(' ').nth(1).map(|verb| format!("`belay {verb}`"));
    let said = |help: &String| acts.iter().filter_map(verb).any(|verb| help.contains(&verb));
    let help = failure.help.filter(|help| !said(help));
    Failure { acts, help, ..failure }
}

/// A refused verb of a migration, with what is possible instead: for it, or for the run that stands in the way.
pub(crate) async fn of_migration(failure: Failure, client: &Client, migration: &str) -> Failure {
    if failure.refused.as_ref().is_none_or(|refused| refused.possible.is_empty()) {
        return failure;
    }
    let document = client.get(&format!("migrations/{migration}")).await;
    let Ok(migration) = document.and_then(|document| Migration::read(&document)) else { return failure };
    let commands = client.commands();
    match migration.open_run() {
        Some(run) => with_commands(failure, |verb| commands.of_run(verb, &run.id)),
        None => {
            let incident = migration.incident.as_ref().map(|incident| incident.id.as_str());
            with_commands(failure, |verb| commands.of_migration(verb, &migration.name, incident))
        }
    }
}
