//! Every way of saying no has its exit code, and says what to do next.

use std::{fs, path::Path};

use belay_journal::SqliteJournal;
use serde_json::{Value, json};

use crate::{belay, text};

const PLAN: &str = "\
belay: 1
migration: shop
aws: { account: \"111122223333\", region: eu-west-1 }
steps:
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    to: { blue: 100, green: 0 }
";

fn with_plan(plan: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    folder
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], code: i32, why: &str) -> Value {
    let mut command = belay(folder, arguments);
    // Nobody listens on the discard port: AWS is out of reach.
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_ACCESS_KEY_ID", "test");
    command.env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_EC2_METADATA_DISABLED", "true");
    let done = command.assert().code(code).get_output().clone();
    let said = text(&done.stderr);
    assert!(said.contains(why), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error:")).count(), 1, "once: {said}");
    serde_json::from_slice(&done.stdout).unwrap_or_default()
}

#[test]
fn wrong_usage_is_told_to_programs_too() {
    let folder = with_plan(PLAN);
    let error = refused(folder.path(), &["run", "plan.yaml", "--json"], 2, "--reason");
    assert_eq!((&error["error"]["exit"], &error["error"]["kind"]), (&2.into(), &"usage".into()));
    assert!(error["error"]["help"].as_str().unwrap().contains("--reason"), "{error}");
}

#[test]
fn a_baseline_of_another_migration() {
    let folder = with_plan(PLAN);
    let other = json!({ "migration": "stock", "captured": "2026-03-01T22:00:00Z", "plan_sha256": "00", "steps": {} });
    fs::write(folder.path().join("b.json"), other.to_string()).unwrap();
    for command in [&["dry-run", "plan.yaml"][..], &["run", "plan.yaml", "--reason", "r"]] {
        let arguments = [command, &["--baseline", "b.json"]].concat();
        refused(folder.path(), &arguments, 5, "is of the migration stock, not of shop");
    }
    assert!(!folder.path().join("belay.db").exists(), "nothing has begun");
}

#[test]
fn a_journal_that_is_new() {
    let folder = with_plan(PLAN);
    refused(folder.path(), &["run", "plan.yaml", "--reason", "r"], 5, "new journal belay.db");
}

#[test]
fn an_account_that_cannot_be_verified() {
    let folder = with_plan(PLAN);
    for arguments in [&["dry-run", "plan.yaml"][..], &["capture", "plan.yaml"], &["run", "plan.yaml", "--reason", "r"]]
    {
        refused(folder.path(), arguments, 5, "which AWS account");
    }
}

#[test]
fn a_lease_that_somebody_holds() {
    let folder = with_plan(PLAN);
    let _held = SqliteJournal::open(folder.path().join("belay.db")).unwrap();
    let error = refused(folder.path(), &["run", "plan.yaml", "--reason", "r", "--json"], 5, "is in use by process");
    assert_eq!((&error["error"]["exit"], &error["error"]["kind"]), (&5.into(), &"refused".into()));
    assert!(error["error"]["what"].as_str().unwrap().contains("is in use by"));
}

#[test]
fn a_step_that_the_plan_does_not_have() {
    let folder = with_plan(PLAN);
    refused(folder.path(), &["dry-run", "plan.yaml", "--only", "dns"], 2, "the plan has no step dns");
    refused(folder.path(), &["run", "plan.yaml", "--only", "dns", "--reason", "r"], 2, "the plan has no step dns");
}

#[test]
fn files_that_are_not_there() {
    let folder = with_plan(PLAN);
    refused(folder.path(), &["validate", "nowhere.yaml"], 2, "nowhere.yaml cannot be read");
    refused(folder.path(), &["audit"], 2, "there is no journal at");
    refused(folder.path(), &["dry-run", "plan.yaml", "--baseline", "b.json"], 2, "b.json cannot be read");
    refused(folder.path(), &["serve", "--config", "belay.yaml"], 2, "belay.yaml cannot be read");
}

#[test]
fn a_capture_does_not_write_over_another() {
    let folder = with_plan(PLAN);
    fs::write(folder.path().join("b.json"), "{}").unwrap();
    refused(folder.path(), &["capture", "plan.yaml", "-o", "b.json"], 5, "b.json is there already");
}

#[test]
fn a_daemon_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["status"][..], &["arm"], &["rollback", "--reason", "r"], &["hold", "--reason", "r"]] {
        let arguments = [arguments, &["--url", "http://127.0.0.1:9"]].concat();
        let error = refused(folder.path(), &[&arguments[..], &["--json"]].concat(), 6, "cannot be reached");
        assert_eq!(error["error"]["why"].as_array().unwrap().len(), 1, "why is said once: {error}");
    }
    refused(folder.path(), &["status", "--url", "nonsense"], 2, "is not a URL");
    // As a daemon's configuration writes an address.
    refused(
        folder.path(),
        &["status", "--url", "127.0.0.1:9"],
        6,
        "the daemon at http://127.0.0.1:9 cannot be reached",
    );
}
