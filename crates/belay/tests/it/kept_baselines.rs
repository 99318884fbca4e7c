//! A baseline that another one has replaced is still in the journal: `belay audit` lists it, and `belay capture` writes it to a file.

use std::sync::Arc;

use belay_core::{
    change::{Baseline, BaselineEntry},
    event::Event,
};
use belay_journal::SqliteJournal;
use belay_ports::{Journal, NewRecord};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{belay, repository, text};

const PLAN: &str = "config/examples/blue-green-web.yaml";
const MIGRATION: &str = "web-cutover";

fn baseline(captured: &str, blue: u32) -> Baseline {
    let entry = BaselineEntry {
        action: "route53.weights".to_owned(),
        resource: "route53:Z0123456789ABC/checkout.example.com/A".to_owned(),
        doc: json!({ "blue": blue }),
    };
    Baseline {
        migration: MIGRATION.to_owned(),
        captured: captured.parse().unwrap(),
        plan_sha256: "3f1c".to_owned(),
        steps: [("dns_back".to_owned(), entry)].into_iter().collect(),
    }
}

/// Armed, cut over, disarmed, and armed again after the cutover.
fn journal(folder: &std::path::Path) {
    let captured = [baseline("2026-03-01T02:11:00.4Z", 100), baseline("2026-03-02T09:00:00Z", 0)];
    let record = |baseline: Baseline| NewRecord {
        at: baseline.captured,
        actor: "tester".to_owned(),
        event: Event::BaselineCaptured { baseline: Arc::new(baseline) },
    };
    let journal = SqliteJournal::open(folder.join("belay.db")).unwrap();
    Runtime::new().unwrap().block_on(journal.append(MIGRATION, 0, captured.map(record).into())).unwrap();
}

#[test]
fn the_baseline_of_before_is_listed_and_written_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path());
    let listed = text(&belay(folder.path(), &["audit"]).assert().code(0).get_output().stdout);
    for at in ["2026-03-01T02:11:00Z", "2026-03-02T09:00:00Z"] {
        assert!(listed.contains(&format!("  baseline of {at}: dns_back")), "{listed}");
    }
    let plan = repository(PLAN).display().to_string();
    // The time as messages show it.
    let arguments = ["capture", &plan, "--on-record", "2026-03-01T02:11:00Z", "-o", "before.json"];
    let told = text(&belay(folder.path(), &arguments).assert().code(0).get_output().stdout);
    assert!(told.contains("the baseline of 1 step is in before.json"), "{told}");
    let written: Value = serde_json::from_slice(&std::fs::read(folder.path().join("before.json")).unwrap()).unwrap();
    assert_eq!(written["steps"]["dns_back"]["doc"]["blue"], 100, "{written:#}");

    let arguments = ["capture", &plan, "--on-record", "2026-02-01T00:00:00Z"];
    let refused = text(&belay(folder.path(), &arguments).assert().code(3).get_output().stderr);
    assert!(refused.contains("no baseline of web-cutover was captured by 2026-02-01T00:00:00Z"), "{refused}");
    assert!(refused.contains("the journal has those of 2026-03-01T02:11:00Z, 2026-03-02T09:00:00Z"), "{refused}");
}
