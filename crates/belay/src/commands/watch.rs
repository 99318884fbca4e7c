use crate::{
    client::{Client, Daemon},
    exit::{Exit, Failure},
    follow::{Followed, Screen, Subject, follow_daemon, listen},
    output::Output,
};

/// Watch what happens, live, until Ctrl-C
///
/// Each event as a line, and below them the board on a terminal. A daemon that is restarted is found again, and what
/// happened meanwhile is shown then. With --json: each record of the journal as a line.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay watch
  belay watch checkout-cutover
  belay watch --json | jq 'select(.event.type == \"trigger_fired\")'")]
pub(crate) struct Args {
    /// Only this migration, or that of this run
    #[arg(value_name = "MIGRATION|RUN")]
    subject: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let subject = subject(&client, self.subject.as_deref()).await?;
        let listening = listen(&client).await?;
        let mut screen = Screen::new(output, Some(client.commands()));
        let followed = follow_daemon(&client, listening, &subject, &mut screen, output).await;
        screen.finish();
        match followed? {
            Followed::Stopped(..) | Followed::Interrupted => Ok(Exit::Done),
        }
    }
}

async fn subject(client: &Client, named: Option<&str>) -> Result<Subject, Failure> {
    let migrations = client.list("migrations").await?; // also: the daemon is there
    let Some(name) = named else { return Ok(Subject::All) };
    if migrations.iter().any(|migration| migration["name"] == name) {
        return Ok(Subject::Migration(name.to_owned()));
    }
    let run = client.get(&format!("runs/{name}")).await;
    let migration = run.ok().and_then(|run| run["migration"].as_str().map(str::to_owned));
    migration.map(Subject::Migration).ok_or_else(|| {
        let names: Vec<&str> = migrations.iter().filter_map(|migration| migration["name"].as_str()).collect();
        Failure::message(Exit::Usage, format!("there is no migration and no run {name}"))
            .help(format!("this daemon guards: {}", names.join(", ")))
    })
}
