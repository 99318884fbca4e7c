//! The binary that is built without AWS: `cargo test --workspace --no-default-features --test without_aws`.

#![cfg(not(feature = "aws"))]
// What a test cannot set up, it has failed.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;

fn belay(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belay"));
    command.current_dir(folder).env_clear().args(arguments);
    command
}

fn config(path: &str) -> String {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    folder.join(path).display().to_string()
}

#[test]
fn what_asks_aws_for_nothing_works() {
    let folder = tempfile::tempdir().unwrap();
    let plan = config("examples/blue-green-web.yaml");
    for arguments in [
        &["validate", &plan][..],
        &["graph", &plan],
        &["explore", &plan, "--max-states", "20"],
        &["drill", &plan, "--simulate"],
        &["demo", "--json"],
    ] {
        belay(folder.path(), arguments).assert().code(0);
    }
    // Plans name what they name in every build.
    let schema = belay(folder.path(), &["schema"]).assert().code(0).get_output().clone();
    assert_eq!(String::from_utf8(schema.stdout).unwrap(), fs::read_to_string(config("belay.schema.json")).unwrap());
}

#[test]
fn what_needs_aws_names_the_build_that_has_it_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let plan = config("examples/told-in-time.yaml");
    for arguments in [
        &["init"][..],
        &["check", &plan],
        &["dry-run", &plan],
        &["capture", &plan],
        &["iam", &plan],
        &["notify", &plan, "--send-test"],
        &["drill", &plan, "--reason", "a test"],
        &["run", &plan, "--reason", "a test"],
        &["serve", "--plan", &plan],
    ] {
        let done = belay(folder.path(), arguments).assert().code(2).get_output().clone();
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(told.contains("this belay was built without AWS"), "{arguments:?}: {told}");
        assert!(told.contains("cargo build --release"), "{arguments:?}: {told}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?}");
    }
}
