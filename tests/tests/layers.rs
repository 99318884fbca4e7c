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
    ("belay-draft", &["plan"]),
    ("belay-narrate", &["plan", "core"]),
    ("belay-report", &["plan", "core", "narrate"]),
    ("belay-ports", &["plan", "core"]),
    ("belay-engine", &["plan", "core", "ports", "narrate"]),
    ("belay-journal", &["plan", "core", "ports"]),
    ("belay-aws-catalogue", &["plan"]),
    ("belay-aws", &["plan", "core", "ports", "draft", "aws-catalogue"]),
    ("belay-local", &["plan", "core", "ports"]),
    ("belay-probes", &["plan", "core", "ports", "local"]),
    ("belay-channels", &["plan", "core", "ports", "local"]),
    ("belay-sim", &["plan", "core", "ports", "engine", "journal", "narrate"]),
    ("belay-server", &["plan", "core", "ports", "engine", "local", "probes", "channels", "report"]),
    (
        "belay",
        &[
            "plan",
            "core",
            "narrate",
            "ports",
            "engine",
            "journal",
            "aws",
            "aws-catalogue",
            "probes",
            "channels",
            "local",
            "sim",
            "server",
            "report",
            "draft",
        ],
    ),
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
    let pure = [
        "belay-plan",
        "belay-core",
        "belay-draft",
        "belay-aws-catalogue",
        "belay-ports",
        "belay-narrate",
        "belay-report",
    ];
    for package in pure {
        for impure in IMPURE {
            assert!(!dependencies[package].contains(*impure), "{package} must not depend on {impure}");
        }
    }
}

/// The packages that are built for the binary, with these arguments of Cargo's.
fn built(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "belay", "--edges", "normal", "--prefix", "none", "--format", "{lib}", "--offline"])
        .args(arguments)
        // The features of the binary alone, also where those of the workspace are built together.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).expect("cargo tree is text");
    listed.lines().filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect()
}

/// The SDK is most of what a first build takes: `cargo demo` and the commands that ask AWS for nothing do without.
#[test]
fn a_build_without_aws_has_no_sdk() {
    let of_the_sdk = |name: &String| {
        ["aws_config", "aws_credential", "aws_runtime", "aws_sdk", "aws_sig", "aws_smithy", "aws_types"]
            .iter()
            .any(|begin| name.starts_with(begin))
    };
    assert!(built(&[]).iter().any(of_the_sdk));
    let found: Vec<String> = built(&["--no-default-features"]).into_iter().filter(of_the_sdk).collect();
    assert_eq!(found, [""; 0]);
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
        // A database that leaves the target group of a proxy goes on, and the restored one is registered instead.
        let code = code.replace(".deregister_db_proxy_targets()", "");
        for call in [".delete_", ".deregister_db", ".terminate_", ".purge_"] {
            assert!(!code.contains(call), "{} makes the call {call}", path.display());
        }
    }
}

/// Files of the async crates whose code runs on blocking threads, or asks the kernel what never waits for a disk.
const MAY_BLOCK: [&str; 5] = [
    "server/src/metrics/process.rs", // /proc
    "server/src/plan_files.rs",
    "server/src/permits.rs",
    "server/src/reload.rs",
    "server/src/config.rs",
];

/// A disk that hangs, or a pipe in place of a file, would hold up a thread of the loops.
#[test]
fn async_crates_call_nothing_that_blocks() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut found = Vec::new();
    for name in ["aws", "channels", "engine", "probes", "server"] {
        sources(&crates.join(name).join("src"), &mut found);
    }
    assert!(found.len() > 100, "{found:?}");
    let is_test =
        |path: &PathBuf| path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
    for path in found.iter().filter(|path| !is_test(path) && !MAY_BLOCK.iter().any(|file| path.ends_with(file))) {
        let text = fs::read_to_string(path).expect("it is text");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for call in [
            "std::fs",
            "fs::read",
            "fs::write",
            "File::open",
            "blocking_recv",
            "std::net::TcpStream",
            "std::process::Command",
        ] {
            assert!(
                !code.contains(call),
                "{} has {call}: read files with `belay_local::files` on a blocking thread",
                path.display()
            );
        }
    }
}

/// The methods of a trait that an implementation can leave out, and therefore forget.
fn defaulted(ports: &str, name: &str) -> BTreeSet<String> {
    let begin = ports.find(&format!("pub trait {name}: ")).unwrap_or_else(|| panic!("no trait {name}"));
    let body = &ports[begin..];
    let body = &body[..body.find("\n}\n").expect("a trait ends")];
    let methods = body.split("\n    fn ").skip(1);
    let with_body = methods.filter(|method| {
        let signature = method.find(';').unwrap_or(method.len());
        method.find('{').is_some_and(|body| body < signature)
    });
    with_body.map(|method| method[..method.find(['(', '<']).expect("it has parameters")].to_owned()).collect()
}

/// What stands before another actuator or sensor and hands on only a part of it hides the rest: nothing else would tell.
#[test]
fn a_wrapper_of_a_port_forwards_every_method() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let ports: String = ["lib.rs", "actuator.rs", "sensor.rs"]
        .map(|file| fs::read_to_string(root.join("crates/ports/src").join(file)).expect("it is text"))
        .concat();
    // The port, and a method without a default: an implementation that calls another one's is a wrapper.
    let traits = [("Actuators", "verify_account"), ("Actuator", "observe"), ("Sensor", "read")];
    let mut found = Vec::new();
    for folder in ["crates", "tests"] {
        sources(&root.join(folder), &mut found);
    }
    let mut wrappers = 0;
    for path in &found {
        let text = fs::read_to_string(path).expect("it is text");
        for (name, always) in traits {
            // `look` has a default that goes through `observe`.
            let methods = defaulted(&ports, name).into_iter().filter(|method| method != "look").collect::<Vec<_>>();
            assert!(!methods.is_empty(), "{name}");
            for block in text.split(&format!("impl {name} for ")).skip(1) {
                let block = &block[..block.find("\n}\n").unwrap_or(block.len())];
                let calls = block.split(&format!(".{always}(")).count() > 1;
                if !calls || block.starts_with("Aws") {
                    continue; // a session has a method of that name, too
                }
                wrappers += 1;
                for method in &methods {
                    let given = block.contains(&format!("fn {method}(")) || block.contains(&format!("fn {method}<"));
                    let of = block.split_whitespace().next().unwrap_or_default();
                    assert!(given, "{}: {of} stands before another {name} and hides its {method}", path.display());
                }
            }
        }
    }
    assert!(wrappers >= 12, "{wrappers}");
}
