use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    client::Daemon,
    exit::{Exit, Failure},
    follow::{Run, Waiting, waiting_line},
    output::Output,
    text,
};

/// Show what is guarded, and what waits for whom
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  belay status\n  belay status checkout-cutover --json")]
pub(crate) struct Args {
    /// One migration only, with the steps of its run
    migration: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let migrations = match &self.migration {
            Some(name) => vec![client.get(&format!("migrations/{name}")).await?],
            None => client.list("migrations").await?,
        };
        if output.json {
            match (&self.migration, migrations.as_slice()) {
                (Some(_), [one]) => output.document(one),
                _ => output.document(&json!({ "items": migrations })),
            }
            return Ok(Exit::Done);
        }
        if migrations.is_empty() {
            output.line("the daemon guards nothing: start it with --plan PLAN");
        }
        for migration in &migrations {
            show(migration, output)?;
        }
        Ok(Exit::Done)
    }
}

fn show(migration: &Value, output: Output) -> Result<(), Failure> {
    let text = |key: &str| migration[key].as_str().unwrap_or_default();
    let state = text("state");
    let style = match state {
        "armed" | "rolled_back" => output.good(),
        "incident" | "halted" | "aborted" => output.bad(),
        "disarmed" => output.dim(),
        _ => output.warn(),
    };
    let plan = text("plan_sha256").get(..12).unwrap_or("none armed yet");
    output.line(format_args!(
        "{}  {}  {}",
        output.bold().apply_to(text("name")),
        style.apply_to(text::words(state)),
        output.dim().apply_to(format_args!("plan {plan}")),
    ));
    if !migration["pending_plan"].is_null() {
        output.line("  the plan file was changed since: `belay arm` takes it over");
    }
    for waiting in Vec::<Waiting>::deserialize(&migration["waiting_for"])? {
        output.line(waiting_line(&waiting, output));
    }
    if !migration["run"].is_null() {
        let run = Run::read(migration["run"].clone())?;
        output.line(format_args!("  run {} ({}): {}", run.id, text::words(&run.state), run.reason));
        output.line(steps(&run, output));
    }
    Ok(())
}

fn steps(run: &Run, output: Output) -> Table {
    let mut table = table(output);
    table.set_header(["step", "phase", "attempt", "what"]);
    for (name, step) in &run.steps {
        let colour = match step.phase.as_str() {
            "done" | "unchanged" => Color::Green,
            "failed" | "blocked" => Color::Red,
            "pending" | "skipped" => Color::DarkGrey,
            _ => Color::Yellow,
        };
        let phase = Cell::new(text::words(&step.phase));
        let phase = if output.colour { phase.fg(colour) } else { phase };
        table.add_row([Cell::new(name), phase, Cell::new(step.attempt), Cell::new(step.what())]);
    }
    table
}

pub(crate) fn table(output: Output) -> Table {
    let mut table = Table::new();
    if output.terminal {
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    }
    if !output.colour {
        table.force_no_tty();
    }
    table
}
