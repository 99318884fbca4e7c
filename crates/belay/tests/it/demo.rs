//! The demo, as somebody who has just built Belay sees it.

use std::time::Duration;

use serde_json::Value;

use crate::{belay, text};

/// The demo takes about ten seconds; longer than this is broken.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn it_rolls_back_without_aws_and_without_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let done = belay(folder.path(), &["demo"]).timeout(PATIENCE).assert().code(0).get_output().clone();
    let shown = text(&done.stdout);
    for part in [
        "simulated",
        "customers_hurt: FIRED",
        "database_back: done",
        "rolled back",
        " from the breach)",
        "Timeline",
        "What next",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours on a pipe");
    assert!(!shown.contains('┆'), "Belay's own line breaks are not marked as those of others: {shown}");
    assert_eq!(text(&done.stderr), "");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn programs_get_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let done = belay(folder.path(), &["demo", "--json"]).timeout(PATIENCE).assert().code(0).get_output().clone();
    let lines: Vec<Value> = text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["event"]["type"] == "trigger_fired"));
    let run = lines.last().unwrap();
    assert_eq!(run["state"], "rolled_back");
    assert_eq!(run["steps"]["dns_back"]["phase"], "done");
}
