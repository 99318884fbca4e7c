//! The command line as clap sees it. Each command is a file in `commands/`.

use belay_server::Traces;
use clap::{CommandFactory, Parser, Subcommand, builder::Styles};

use crate::{
    commands::{
        arm, audit, capture, check, checklist, completions, cutover, decide, demo, disarm, drill, dry_run, explore,
        graph, guard, iam, init, journal, man, mute, notify, phase, report, rollback, run, run_verbs, schema, serve,
        status, step_verbs, token, validate, watch,
    },
    exit::{Exit, Failure},
    help,
    logs::{LogFormat, Lost},
    output::Output,
};

const STYLES: Styles = Styles::styled();

/// A safety net for migrations on AWS: it watches a cutover, and puts things back when it goes wrong.
#[derive(Debug, Parser)]
#[command(version, styles = STYLES, max_term_width = 110)]
pub(crate) struct Cli {
    /// How logs look; they go to standard error, and RUST_LOG says which
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// As it is parsed, helped with, completed and documented.
pub(crate) fn command() -> clap::Command {
    help::complete(Cli::command())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Validate(validate::Args),
    Schema(schema::Args),
    Graph(graph::Args),
    Iam(iam::Args),
    Capture(capture::Args),
    Check(check::Args),
    DryRun(dry_run::Args),
    Explore(explore::Args),
    Notify(notify::Args),
    Drill(drill::Args),
    Run(run::Args),
    Demo(demo::Args),
    Serve(serve::Args),
    Status(status::Args),
    Watch(watch::Args),
    Guard(guard::Args),
    Arm(arm::Args),
    Disarm(disarm::Args),
    Cutover(cutover::Args),
    Phase(phase::Args),
    Mute(mute::Mute),
    Unmute(mute::Unmute),
    Rollback(rollback::Args),
    Decide(decide::Args),
    Approve(step_verbs::Approve),
    Override(step_verbs::Override),
    Retry(step_verbs::Retry),
    Skip(step_verbs::Skip),
    Hold(run_verbs::Hold),
    Resume(run_verbs::Resume),
    Abort(run_verbs::Abort),
    Undo(run_verbs::Undo),
    Report(report::Args),
    Postmortem(run_verbs::Postmortem),
    Audit(audit::Args),
    Checklist(checklist::Args),
    Journal(journal::Args),
    Token(token::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Its exit code: one of Belay's, or that of the program that it guards.
    pub(crate) async fn run(self, output: Output, traces: Traces, lost: Lost) -> Result<u8, Failure> {
        let done = match self {
            Self::Guard(args) => return Ok(args.run(output).await),
            Self::Validate(args) => args.run(output),
            Self::Schema(args) => args.run(output),
            Self::Graph(args) => args.run(output),
            Self::Explore(args) => args.run(output),
            Self::Iam(args) => args.run(output).await,
            Self::Completions(args) => args.run(output),
            Self::Man(args) => args.run(output),
            Self::Token(args) => args.run(output),
            Self::Init(args) => args.run(output).await,
            Self::Capture(args) => args.run(output).await,
            Self::Check(args) => args.run(output).await,
            Self::DryRun(args) => args.run(output).await,
            Self::Notify(args) => args.run(output).await,
            Self::Drill(args) => args.run(output).await,
            Self::Run(args) => args.run(output).await,
            Self::Demo(args) => args.run(output).await,
            Self::Serve(args) => args.run(output, traces, lost).await,
            Self::Status(args) => args.run(output).await,
            Self::Watch(args) => args.run(output).await,
            Self::Arm(args) => args.run(output).await,
            Self::Disarm(args) => args.run(output).await,
            Self::Cutover(args) => args.run(output).await,
            Self::Phase(args) => args.run(output).await,
            Self::Mute(args) => args.run(output).await,
            Self::Unmute(args) => args.run(output).await,
            Self::Rollback(args) => args.run(output).await,
            Self::Decide(args) => args.run(output).await,
            Self::Approve(args) => args.run(output).await,
            Self::Override(args) => args.run(output).await,
            Self::Retry(args) => args.run(output).await,
            Self::Skip(args) => args.run(output).await,
            Self::Hold(args) => args.run(output).await,
            Self::Resume(args) => args.run(output).await,
            Self::Abort(args) => args.run(output).await,
            Self::Undo(args) => args.run(output).await,
            Self::Report(args) => args.run(output).await,
            Self::Postmortem(args) => args.run(output).await,
            Self::Audit(args) => args.run(output).await,
            Self::Checklist(args) => args.run(output).await,
            Self::Journal(args) => args.run(output).await,
        };
        done.map(|exit: Exit| exit as u8)
    }

    /// Whether standard output belongs to a program.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Schema(_)
            | Self::Graph(_)
            | Self::Iam(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Serve(_)
            | Self::Guard(_) => false,
            Self::Validate(args) => args.json,
            Self::Init(args) => args.json,
            Self::Capture(args) => args.json,
            Self::Check(args) => args.json,
            Self::DryRun(args) => args.json,
            Self::Notify(args) => args.json,
            Self::Explore(args) => args.json,
            Self::Drill(args) => args.json,
            Self::Run(args) => args.json,
            Self::Demo(args) => args.json,
            Self::Status(args) => args.daemon.json,
            Self::Watch(args) => args.daemon.json,
            Self::Arm(args) => args.daemon.json,
            Self::Disarm(args) => args.daemon.json,
            Self::Cutover(args) => args.daemon.json,
            Self::Phase(args) => args.daemon.json,
            Self::Mute(args) => args.daemon.json,
            Self::Unmute(args) => args.daemon.json,
            Self::Rollback(args) => args.daemon.json,
            Self::Decide(args) => args.daemon.json,
            Self::Approve(args) => args.at.daemon.json,
            Self::Override(args) => args.at.daemon.json,
            Self::Retry(args) => args.at.daemon.json,
            Self::Skip(args) => args.at.daemon.json,
            Self::Hold(args) => args.at.daemon.json,
            Self::Resume(args) => args.at.daemon.json,
            Self::Abort(args) => args.at.daemon.json,
            Self::Undo(args) => args.daemon.json,
            Self::Report(args) => args.wants_json(),
            Self::Postmortem(args) => args.daemon.json,
            Self::Token(args) => args.json,
            Self::Audit(args) => args.json,
            Self::Checklist(args) => args.daemon.json,
            Self::Journal(args) => args.daemon.json,
        }
    }

    /// What is logged unless RUST_LOG says otherwise: a daemon tells what it does, a command shows it.
    /// Whether it goes on for as long as the machine does, with nobody at a terminal.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self, Self::Serve(_))
    }

    pub(crate) fn usual_logs(&self) -> &'static str {
        match self {
            Self::Serve(_) => "info",
            // Why credentials cannot be had is in the error itself.
            _ => "warn,belay::edges=off,aws_config=off",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        command().debug_assert();
    }
}
