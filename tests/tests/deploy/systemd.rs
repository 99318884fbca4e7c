//! `deploy/systemd`: systemd understands the unit and finds it closed; it names what the daemon names.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::read;

const UNIT: &str = "deploy/systemd/belay.service";
/// In tenths, as systemd counts: 0 is closed, 100 is open. What is left is the network, and the host's root folder.
const EXPOSURE_MAX: &str = "--threshold=15";

/// The unit with the binary where this machine has one.
fn installed(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("belay.service");
    std::fs::write(&path, read(UNIT).replace("/usr/bin/belay", belay_tests::binary().to_str().unwrap())).unwrap();
    path
}

/// Runs `systemd-analyze`, and gives back what it says if it complains. Without systemd, nothing is found out.
fn analyze(arguments: &[&str], unit: &Path) -> Option<String> {
    let output = match Command::new("systemd-analyze").args(arguments).arg(unit).output() {
        Ok(output) => output,
        Err(error) => {
            // Not by a macro, whose text a test that passes keeps to itself.
            let _ = writeln!(std::io::stderr(), "PASSED OVER: {UNIT} was not checked, systemd-analyze: {error}");
            return None;
        }
    };
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let complaint = String::from_utf8_lossy(&output.stderr).contains("belay.service");
    (!output.status.success() || complaint).then_some(said)
}

fn settings<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn systemd_understands_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = installed(&folder);
    assert_eq!(analyze(&["verify", "--man=no", "--recursive-errors=no"], &unit), None);
}

#[test]
fn the_unit_is_closed_to_what_belay_does_not_need() {
    let folder = tempfile::tempdir().unwrap();
    let unit = installed(&folder);
    assert_eq!(analyze(&["security", "--offline=true", "--no-pager", EXPOSURE_MAX], &unit), None);
}

/// The check above would also pass if it checked nothing.
#[test]
fn a_unit_that_is_open_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let unit = installed(&folder);
    if analyze(&["verify", "--man=no", "--recursive-errors=no"], &unit).is_none() && which("systemd-analyze") {
        std::fs::write(&unit, "[Service]\nExecStart=/bin/true\nRestrat=always\n").unwrap();
        assert!(analyze(&["verify", "--man=no", "--recursive-errors=no"], &unit).unwrap().contains("Restrat"));
        assert!(analyze(&["security", "--offline=true", "--no-pager", EXPOSURE_MAX], &unit).is_some());
    }
}

fn which(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(program).exists())
}

#[test]
fn the_daemon_finds_what_the_unit_gives_it() {
    let unit = read(UNIT);
    let help = belay_tests::Belay::at("http://127.0.0.1:9").run(&["serve", "--help"]).stdout;
    let variables: Vec<(&str, &str)> =
        settings(&unit, "Environment").iter().map(|set| set.split_once('=').unwrap()).collect();
    assert!(!variables.is_empty());
    for (name, _) in variables.iter().filter(|(name, _)| name.starts_with("BELAY_")) {
        assert!(help.contains(name), "{name} is not one of the daemon's:\n{help}");
    }
    let state = variables.iter().find(|(name, _)| *name == "BELAY_STATE").unwrap().1;
    assert_eq!(settings(&unit, "StateDirectory"), ["belay"]);
    assert!(state.starts_with("sqlite:/var/lib/belay/"), "{state}: the only folder that can be written");
    let broken = belay_tests::Belay::at("http://127.0.0.1:9");
    broken.write("belay.yaml", "listn: here\n");
    let refused = broken.run(&["serve", "--config", "belay.yaml"]);
    assert_eq!(settings(&unit, "RestartPreventExitStatus"), [refused.code.to_string()], "{refused}");
    let users = read("deploy/systemd/belay.sysusers");
    assert_eq!(settings(&unit, "User"), ["belay"]);
    assert!(users.lines().any(|line| line.starts_with("u belay ")), "{users}");
}
