//! What `deploy/` hands out fits the binary, and is as closed as it says.

#![allow(clippy::unwrap_used)]

mod container;
#[path = "../e2e/declared.rs"]
mod declared;
mod kubernetes;
mod pipeline_lines;
mod pipelines;
mod policy;
mod systemd;

use std::path::{Path, PathBuf};

/// A path of the repository.
fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
