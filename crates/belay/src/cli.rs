//! The command line as clap sees it. Each command is a file in `commands/`.

use clap::{Parser, Subcommand, builder::Styles};

use crate::{
    commands::{
        arm, audit, capture, completions, cutover, decide, demo, disarm, dry_run, graph, rollback, run, run_verbs,
        schema, serve, status, step_verbs, validate,
    },
    exit::{Exit, Failure},
    logs::LogFormat,
    output::Output,
};

const STYLES: Styles = Styles::styled();

const AFTER: &str = "\
Try it without AWS and without any set-up:
  belay demo

Roll back right now, without a daemon:
  belay dry-run checkout.yaml
  belay run checkout.yaml --reason \"errors after the cutover\"

Guard a cutover:
  belay serve --plan checkout.yaml
  belay arm && belay cutover

Exit codes:
  0 done                    4 the rollback halted, failed or was aborted
  1 unexpected              5 refused (wrong account, not allowed, wrong state, no baseline, lease held)
  2 usage or invalid plan   6 the daemon cannot be reached
  3 the answer is no (a dry run that would be stopped, a broken audit)";

/// A safety net for migrations on AWS: it watches a cutover, and puts things back when it goes wrong.
#[derive(Debug, Parser)]
#[command(version, styles = STYLES, after_help = AFTER, max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// How logs look; they go to standard error, and RUST_LOG says which
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT", help_heading = "Logs")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Validate(validate::Args),
    Schema(schema::Args),
    Graph(graph::Args),
    Capture(capture::Args),
    DryRun(dry_run::Args),
    Run(run::Args),
    Demo(demo::Args),
    Serve(serve::Args),
    Status(status::Args),
    Arm(arm::Args),
    Disarm(disarm::Args),
    Cutover(cutover::Args),
    Rollback(rollback::Args),
    Decide(decide::Args),
    Approve(step_verbs::Approve),
    Override(step_verbs::Override),
    Retry(step_verbs::Retry),
    Skip(step_verbs::Skip),
    Hold(run_verbs::Hold),
    Resume(run_verbs::Resume),
    Abort(run_verbs::Abort),
    Audit(audit::Args),
    Completions(completions::Args),
}

impl Command {
    pub(crate) async fn run(self, output: Output) -> Result<Exit, Failure> {
        match self {
            Self::Validate(args) => args.run(output),
            Self::Schema(args) => args.run(output),
            Self::Graph(args) => args.run(output),
            Self::Completions(args) => args.run(output),
            Self::Capture(args) => args.run(output).await,
            Self::DryRun(args) => args.run(output).await,
            Self::Run(args) => args.run(output).await,
            Self::Demo(args) => args.run(output).await,
            Self::Serve(args) => args.run(output).await,
            Self::Status(args) => args.run(output).await,
            Self::Arm(args) => args.run(output).await,
            Self::Disarm(args) => args.run(output).await,
            Self::Cutover(args) => args.run(output).await,
            Self::Rollback(args) => args.run(output).await,
            Self::Decide(args) => args.run(output).await,
            Self::Approve(args) => args.run(output).await,
            Self::Override(args) => args.run(output).await,
            Self::Retry(args) => args.run(output).await,
            Self::Skip(args) => args.run(output).await,
            Self::Hold(args) => args.run(output).await,
            Self::Resume(args) => args.run(output).await,
            Self::Abort(args) => args.run(output).await,
            Self::Audit(args) => args.run(output).await,
        }
    }

    /// Whether standard output belongs to a program.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Schema(_) | Self::Graph(_) | Self::Completions(_) | Self::Serve(_) => false,
            Self::Validate(args) => args.json,
            Self::Capture(args) => args.json,
            Self::DryRun(args) => args.json,
            Self::Run(args) => args.json,
            Self::Demo(args) => args.json,
            Self::Status(args) => args.daemon.json,
            Self::Arm(args) => args.daemon.json,
            Self::Disarm(args) => args.daemon.json,
            Self::Cutover(args) => args.daemon.json,
            Self::Rollback(args) => args.daemon.json,
            Self::Decide(args) => args.daemon.json,
            Self::Approve(args) => args.at.daemon.json,
            Self::Override(args) => args.at.daemon.json,
            Self::Retry(args) => args.at.daemon.json,
            Self::Skip(args) => args.at.daemon.json,
            Self::Hold(args) => args.at.daemon.json,
            Self::Resume(args) => args.at.daemon.json,
            Self::Abort(args) => args.at.daemon.json,
            Self::Audit(args) => args.json,
        }
    }

    /// What is logged unless RUST_LOG says otherwise: a daemon tells what it does, a command shows it.
    pub(crate) fn usual_logs(&self) -> &'static str {
        match self {
            Self::Serve(_) => "info",
            _ => "warn",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
