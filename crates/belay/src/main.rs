//! `belay`: the command line and the assembly of the parts, nothing else.

mod assembly;
#[cfg_attr(not(feature = "aws"), path = "without_aws.rs")]
mod aws;
mod board;
mod cli;
mod client;
mod clock;
mod commands;
mod comparison;
mod demo;
mod document;
mod dry_report;
mod exit;
mod exploration;
mod follow;
mod given;
mod help;
mod interrupt;
mod logs;
mod output;
mod paint;
mod panics;
mod plan_file;
#[cfg(test)]
mod printed;
mod problem;
mod soundness;
mod text;
mod threads;

use std::process::ExitCode;

use belay_plan::visible;
use belay_server::Traces;
use clap::{FromArgMatches, error::ContextValue};
use serde_json::json;

use crate::{cli::Cli, exit::Exit, output::Output};

/// Shows help, or what is wrong with the command line: with `--json` as JSON, too.
fn usage(mut error: clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit()
    }
    let visible = |value: &ContextValue| match value {
        ContextValue::String(word) => Some(ContextValue::String(visible::line(word).into_owned())),
        _ => None,
    };
    let words: Vec<_> = error.context().filter_map(|(kind, value)| Some((kind, visible(value)?))).collect();
    for (kind, word) in words {
        error.insert(kind, word);
    }
    let text = error.render().to_string();
    // What stands behind `--` is of another program.
    if std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json") {
        let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let document =
            json!({ "error": { "exit": Exit::Usage as u8, "kind": Exit::Usage, "what": what, "help": text } });
        Output::detect(true).json_line(&document);
    }
    // Without clap's colours: the words of the command line stand between them.
    Output::detect(false).drawn_note(text.trim_end());
    std::process::exit(error.exit_code())
}

fn main() -> ExitCode {
    let cli = cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    // Wrong usage ends here, with exit code 2; so does help, with 0.
    let cli = cli.unwrap_or_else(|error| usage(error));
    let output = Output::detect(cli.command.wants_json());
    let traces = Traces::default();
    let colour = output.colour_errors();
    let log = logs::start(cli.log_format, cli.command.usual_logs(), colour, cli.command.is_daemon(), traces.clone());
    if let Err(error) = belay_local::close_to_children() {
        tracing::warn!(%error, "programs that Belay starts could read its memory: the system refused to close it to them");
    }
    let runtime = match threads::of_command(cli.command.is_daemon()) {
        Ok(runtime) => runtime,
        Err(error) => {
            output.failure(&error.into());
            return ExitCode::from(Exit::Unexpected as u8);
        }
    };
    let done = runtime.block_on(cli.command.run(output, traces, log.lost()));
    // A question at the terminal that nobody answers any more must not hold the process up.
    runtime.shutdown_background();
    let (code, failure) = match done {
        Ok(code) => (code, None),
        Err(failure) => (failure.exit as u8, Some(failure)),
    };
    log.close(move || {
        if let Some(failure) = failure {
            output.failure(&failure);
        }
    });
    ExitCode::from(code)
}
