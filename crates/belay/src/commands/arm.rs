use std::{fs, path::PathBuf};

use belay_core::change::Baseline;
use serde_json::{Value, json};

use crate::{
    client::{Daemon, reason_body},
    commands::sent::of_migration,
    exit::{Exit, Failure},
    output::Output,
    text,
};

/// Arm a migration: capture the baseline, and watch from now on
///
/// Arm before the cutover: what is observed now is what a rollback returns to. The plan is pinned as it is; arm again
/// after editing it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  belay arm\n  belay arm checkout-cutover --reason \"change 4711\"")]
pub(crate) struct Args {
    /// Needed only where the daemon has several
    migration: Option<String>,
    /// A baseline that `belay capture` wrote, instead of what is there now
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Arm although a trigger is red: it fires only after it has been green. `belay rollback` works at once
    #[arg(long)]
    wait_for_green: bool,
    /// Why; goes on record
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let mut body = reason_body(self.reason.as_deref());
        if let Some(path) = &self.baseline {
            body["baseline"] = json!(read_baseline(path)?);
        }
        if self.wait_for_green {
            body["wait_for_green"] = json!(true);
        }
        let client = self.daemon.client()?;
        let migration = client.migration(self.migration.as_deref(), "arm").await?;
        let answer = client.post(&format!("migrations/{migration}/arm"), &body).await;
        let answer = answer.map_err(|failure| of_migration(failure, &client, &migration))?;
        if output.json {
            output.document(&answer);
        } else {
            output.line(format_args!("{migration} is {}", output.good().apply_to("armed")));
            let watched = [count(&answer["triggers"], "trigger"), count(&answer["signals"], "signal")];
            output.line(format_args!("  {} are watched from now on", watched.join(" and ")));
            let next = client.commands().line(&format!("cutover {migration}"));
            output.line(format_args!("  next: {} when the cutover begins", output.accent().apply_to(next)));
        }
        Ok(Exit::Done)
    }
}

fn count(of: &Value, noun: &str) -> String {
    text::count(of.as_object().map_or(0, |members| members.len()), noun)
}

/// A baseline from a file that `belay capture` wrote.
pub(crate) fn read_baseline(path: &PathBuf) -> Result<Baseline, Failure> {
    let read = || -> anyhow::Result<Baseline> { Ok(serde_json::from_str(&fs::read_to_string(path)?)?) };
    read().map_err(|error| {
        Failure::new(Exit::Usage, error.context(format!("the baseline {} cannot be read", path.display())))
            .help("`belay capture PLAN -o FILE` writes one")
    })
}
