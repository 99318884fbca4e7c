use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::{
    board::{self, Detail},
    client::{Client, Daemon},
    document::{Migration, Run},
    dry_report,
    exit::{Exit, Failure},
    follow::{look, show_summary},
    output::Output,
};

/// Show what is guarded, and what waits for whom
///
/// The board: each migration with its triggers and how long they have held, its signals, its incident, the steps of its
/// run, and the commands that move what waits. With several migrations, what is as it should be is only counted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  belay status\n  belay status checkout-cutover --json\n  belay status 0kf3x9a2mq71                        # a run\n  belay status --alive"
)]
pub(crate) struct Args {
    /// One migration only, with every trigger and signal; or a run: how it went, or what a dry run has found
    #[arg(value_name = "MIGRATION|RUN")]
    subject: Option<String>,
    /// Only ask whether the daemon is alive and none of its loops hangs; takes no token
    #[arg(long, conflicts_with = "subject")]
    alive: bool,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        if self.alive {
            return alive(&client, output).await;
        }
        let migrations = match &self.subject {
            Some(name) => match client.get(&format!("migrations/{name}")).await {
                Ok(migration) => vec![migration],
                Err(failure) if failure.exit == Exit::Usage => {
                    let run = client.get(&format!("runs/{name}")).await;
                    return show_run(run.map_err(|_| failure)?, &client, output).await;
                }
                Err(failure) => return Err(failure),
            },
            None => client.list("migrations").await?,
        };
        if output.json {
            match (&self.subject, migrations.as_slice()) {
                (Some(_), [one]) => output.document(one),
                _ => output.document(&json!({ "items": migrations })),
            }
            return Ok(Exit::Done);
        }
        if migrations.is_empty() {
            output.line("the daemon guards nothing: start it with --plan PLAN");
        }
        let mut migrations = migrations.iter().map(Migration::read).collect::<Result<Vec<_>, _>>()?;
        migrations.sort_by_key(|migration| urgency(&migration.state));
        let look = look(output, Some(client.commands()));
        let detail = if migrations.len() > 1 { Detail::Short } else { Detail::Full };
        for (index, migration) in migrations.iter().enumerate() {
            if index > 0 {
                output.line("");
            }
            board::draw(migration, detail, &look).iter().for_each(|line| output.line(line));
        }
        Ok(Exit::Done)
    }
}

/// A run by itself: how it goes, how it went, or what a dry run has found.
async fn show_run(document: Value, client: &Client, output: Output) -> Result<Exit, Failure> {
    if output.json {
        output.document(&document);
        return Ok(Exit::Done);
    }
    let run = Run::read(document)?;
    if let Some(report) = run.dry_run() {
        dry_report::answer(&report, output);
    } else if run.has_stopped() {
        show_summary(&run, None, None, output);
    }
    if !run.is_over() {
        let migration = Migration::read(&client.get(&format!("migrations/{}", run.migration)).await?)?;
        let look = look(output, Some(client.commands()));
        board::draw(&migration, Detail::Run, &look).iter().for_each(|line| output.line(line));
    }
    Ok(Exit::Done)
}

/// What a health check asks.
async fn alive(client: &Client, output: Output) -> Result<Exit, Failure> {
    if !client.is_alive().await? {
        let hangs = "a loop of the daemon hangs, or has ended";
        return Err(Failure::message(Exit::No, hangs).help("its log says which; restart it: what is under way goes on"));
    }
    match output.json {
        true => output.document(&json!({ "alive": true })),
        false => output.line("the daemon is alive"),
    }
    Ok(Exit::Done)
}

/// Whoever reads a terminal begins at its end: what needs a person stands there.
fn urgency(state: &str) -> u8 {
    match state {
        "disarmed" => 0,
        "armed" | "rolled_back" => 1,
        "aborted" => 2,
        "rolling_back" | "confirming" => 3,
        _ => 4,
    }
}

pub(crate) fn table(output: Output) -> Table {
    let mut table = Table::new();
    if output.terminal {
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(output.page_width()).unwrap_or(u16::MAX));
    }
    if !output.colour {
        table.force_no_tty();
    }
    table
}
