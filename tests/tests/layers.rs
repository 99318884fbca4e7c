//! The crates depend on each other in one direction only: `crates/ARCHITECTURE.md` says which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What each crate may know of ours, tests apart.
const ALLOWED: &[(&str, &[&str])] = &[
    ("belay-plan", &[]),
    ("belay-core", &["plan"]),
    ("belay-ports", &["plan", "core"]),
    ("belay-engine", &["plan", "core", "ports"]),
    ("belay-journal", &["plan", "core", "ports"]),
    ("belay-aws", &["plan", "core", "ports"]),
    ("belay-local", &["plan", "core", "ports"]),
    ("belay-probes", &["plan", "core", "ports", "local"]),
    ("belay-sim", &["plan", "core", "ports", "engine", "journal"]),
    ("belay-server", &["plan", "core", "ports", "engine", "local", "probes"]),
    ("belay", &["plan", "core", "ports", "engine", "journal", "aws", "probes", "local", "sim", "server"]),
];

/// What does I/O, reads clocks or draws numbers: not in the pure crates.
const IMPURE: &[&str] = &["tokio", "futures", "reqwest", "rusqlite", "axum", "rand", "uuid", "tracing"];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("it lists packages");
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    packages
        .iter()
        .map(|package| {
            let normal =
                package["dependencies"].as_array().into_iter().flatten().filter(|found| found["kind"].is_null());
            (name(package), normal.map(name).collect())
        })
        .collect()
}

#[test]
fn crates_depend_in_one_direction() {
    let dependencies = dependencies();
    for (package, found) in &dependencies {
        if ["belay-tests", "belay-killpoint", "belay-strict"].contains(&package.as_str()) {
            continue;
        }
        let (_, allowed) =
            ALLOWED.iter().find(|(name, _)| name == package).unwrap_or_else(|| panic!("{package} has no place yet"));
        for dependency in found.iter().filter_map(|name| name.strip_prefix("belay-")) {
            assert!(allowed.contains(&dependency), "{package} must not depend on belay-{dependency}");
        }
    }
    assert_eq!(ALLOWED.iter().filter(|(name, _)| !dependencies.contains_key(*name)).count(), 0);
}

#[test]
fn the_pure_crates_have_no_way_out() {
    let dependencies = dependencies();
    for package in ["belay-plan", "belay-core", "belay-ports"] {
        for impure in IMPURE {
            assert!(!dependencies[package].contains(*impure), "{package} must not depend on {impure}");
        }
    }
}

/// Every source file below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        match path.extension() {
            _ if path.is_dir() => sources(&path, found),
            Some(extension) if extension == "rs" => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn no_call_deletes_anything() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/aws/src"), &mut found);
    assert!(found.len() > 20, "{found:?}");
    for path in found.iter().filter(|path| !path.ends_with("tests.rs")) {
        let text = fs::read_to_string(path).expect("it is text");
        // Tests try the guard with a call that deletes.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for call in [".delete_", ".deregister_db", ".terminate_", ".purge_"] {
            assert!(!code.contains(call), "{} makes the call {call}", path.display());
        }
    }
}
