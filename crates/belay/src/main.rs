//! `belay`: the command line and the assembly of the parts, nothing else.

mod assembly;
mod board;
mod cli;
mod client;
mod clock;
mod commands;
mod demo;
mod document;
mod dry_report;
mod exit;
mod follow;
mod help;
mod interrupt;
mod logs;
mod output;
mod panics;
mod plan_file;
mod problem;
mod text;

use std::{num::NonZero, process::ExitCode, thread};

use belay_server::Traces;
use clap::FromArgMatches;

use crate::{cli::Cli, exit::Exit, output::Output};

/// Belay mostly waits: more threads than this, on a large machine, would only take memory. And not only one, so that
/// whatever is slow holds nothing else up.
const THREADS_MIN: usize = 2;
const THREADS_MAX: usize = 4;

fn main() -> ExitCode {
    // Wrong usage ends here, with exit code 2.
    let cli = Cli::from_arg_matches(&cli::command().get_matches()).unwrap_or_else(|error| error.exit());
    let output = Output::detect(cli.command.wants_json());
    let threads = thread::available_parallelism().map_or(THREADS_MIN, NonZero::get).clamp(THREADS_MIN, THREADS_MAX);
    let traces = Traces::default();
    let colour = output.colour_errors();
    let log = logs::start(cli.log_format, cli.command.usual_logs(), colour, cli.command.is_daemon(), traces.clone());
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.failure(&error.into());
            return ExitCode::from(Exit::Unexpected as u8);
        }
    };
    let done = runtime.block_on(cli.command.run(output, traces, log.lost()));
    // A question at the terminal that nobody answers any more must not hold the process up.
    runtime.shutdown_background();
    let (exit, failure) = match done {
        Ok(exit) => (exit, None),
        Err(failure) => (failure.exit, Some(failure)),
    };
    log.close(move || {
        if let Some(failure) = failure {
            output.failure(&failure);
        }
    });
    ExitCode::from(exit as u8)
}
