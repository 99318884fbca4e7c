//! The binary from the outside.

// What a test cannot set up, it has failed.
#![allow(clippy::unwrap_used)]

mod answers;
mod authorization;
mod checklist;
mod daemon;
mod decision_matrix;
mod demo;
mod docs;
mod drafts;
#[path = "../../../sim/tests/it/ends.rs"]
mod ends;
mod examples;
mod guard;
mod hostile;
mod init;
mod jobs;
mod kept_baselines;
mod notify;
mod offline;
mod refusals;
mod rehearsal;
mod reports;
mod reviews;
mod secrets;
mod window;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use belay_plan::catalogue::Catalogue;

/// The binary in a folder of its own, with nothing of the surrounding shell that it listens to.
fn program(folder: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_belay"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let heard = ["BELAY_", "AWS_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix));
        if heard || ["CI", "NO_COLOR", "RUST_LOG"].contains(&name.as_str()) {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).args(arguments).env("USER", "tester");
    command
}

fn belay(folder: &Path, arguments: &[&str]) -> Command {
    Command::from_std(program(folder, arguments))
}

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn examples() -> Vec<PathBuf> {
    let files = std::fs::read_dir(repository("config/examples")).expect("the examples");
    let mut found: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    found.push(repository("config/demo.yaml"));
    found.sort();
    found
}

/// As the binary has it.
fn catalogue() -> Catalogue {
    let signals = belay_aws_catalogue::signal_specs().into_iter().chain(belay_probes::Probes::specs());
    let channels = belay_aws_catalogue::channel_specs().into_iter().chain(belay_channels::Channels::specs());
    Catalogue::new(belay_aws_catalogue::action_specs().into_iter().chain(belay_local::Programs::specs()), signals)
        .with_channels(channels, belay_channels::check_text)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
