//! `belay report`, from a journal without a daemon.

use belay_core::{
    event::{Event, RunKind},
    id::RunId,
};
use belay_journal::SqliteJournal;
use belay_ports::{Journal, NewRecord};
use belay_server::PlanFile;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{belay, catalogue, repository, text};

const RUN: &str = "0kf3x9a2mq71";

/// A journal in which a run has begun.
fn journal(folder: &std::path::Path) {
    let file = PlanFile::load(&repository("config/examples/database-restore.yaml"), &catalogue()).unwrap();
    let plan = file.loaded.plan.clone();
    let started = Event::RunStarted {
        run: RunId(RUN.to_owned()),
        kind: RunKind::Real,
        reason: "customers cannot pay \u{1b}[2J".to_owned(),
        only: Vec::new(),
        incident: None,
        phase: None,
    };
    let events = [Event::PlanPinned { plan: plan.clone().into(), plan_sha256: "3f1c".to_owned() }, started];
    let record = |event| NewRecord { at: "2026-03-01T02:11:00Z".parse().unwrap(), actor: "tester".to_owned(), event };
    let records = events.map(record).into();
    let journal = SqliteJournal::open(folder.join("belay.db")).unwrap();
    Runtime::new().unwrap().block_on(journal.append(&plan.migration, 0, records)).unwrap();
}

#[test]
fn a_journal_is_read_without_a_daemon_in_each_format() {
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path());
    let report = |arguments: &[&str]| {
        let all = [&["report", RUN, "--state", "sqlite:belay.db"], arguments].concat();
        text(&belay(folder.path(), &all).assert().code(0).get_output().stdout)
    };
    let markdown = report(&[]);
    assert!(markdown.starts_with(&format!("# Report of run {RUN} of ")), "{markdown}");
    assert!(markdown.contains("The run is not over (running)") && !markdown.contains('\u{1b}'), "{markdown}");
    let page = report(&["--format", "html"]);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page}");
    for json in [report(&["--format", "json"]), report(&["--json"])] {
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((json["run"].as_str(), json["over"].as_bool()), (Some(RUN), Some(false)));
    }
}

#[test]
fn a_run_that_is_not_there_and_a_format_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path());
    let refused =
        |arguments: &[&str], code: i32| text(&belay(folder.path(), arguments).assert().code(code).get_output().stderr);
    let gone = refused(&["report", "000000000000", "--state", "sqlite:belay.db"], 2);
    assert!(gone.contains("there is no run or incident 000000000000 in this journal"), "{gone}");
    let format = refused(&["report", RUN, "--format", "pdf"], 2);
    assert!(format.contains("pdf") && format.contains("html"), "{format}");
    let both = refused(&["report", RUN, "--state", "sqlite:belay.db", "--url", "http://127.0.0.1:1"], 2);
    assert!(both.contains("--url"), "{both}");
}
