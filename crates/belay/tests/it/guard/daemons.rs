//! Daemons that are away, or that know of their readiness.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::channel,
};

use belay_plan::load;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{PLAN, Running, UNTIL_INPUT_ENDS};
use crate::{
    answers::{answering, migration, problem},
    catalogue, program,
};

fn armed() -> Value {
    let mut document = migration("armed");
    document["run"] = Value::Null;
    document["armed"] = json!("2026-03-01T22:00:00Z");
    document["plan_sha256"] = json!(load("shop.yaml", PLAN, &catalogue()).unwrap().sha256);
    document
}

fn guard(folder: &tempfile::TempDir, url: &str, options: &[&str], command: &[&str]) -> Running {
    std::fs::write(folder.path().join("shop.yaml"), PLAN).unwrap();
    let mut guard =
        program(folder.path(), &[&["guard", "shop.yaml", "--soak", "0s"], options, &["--"], command].concat());
    guard.env("BELAY_URL", url);
    Running::of(guard)
}

#[test]
fn without_a_daemon_no_command_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let ended = guard(&folder, "http://127.0.0.1:1", &[], &["touch", "marker"]).wait();
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    ended.says("cannot be reached");
    ended.says("the command was not started");
    assert!(!folder.path().join("marker").exists());
}

#[test]
fn a_lost_connection_ends_neither_guard_nor_the_command() {
    let away = Arc::new(AtomicBool::new(false));
    let gone = away.clone();
    let url = answering(move |path| match path {
        _ if gone.load(Ordering::SeqCst) => (502, "text/html", "<html>".to_owned()),
        "/v1/migrations/shop" => (200, "application/json", armed().to_string()),
        "/v1/migrations/shop/cutover" => {
            let mut marked = armed();
            marked["cutover"] = json!("2026-03-01T22:05:00Z");
            (200, "application/json", marked.to_string())
        }
        _ => problem(404, json!({ "type": "/problems/not_found", "detail": "no such thing" })),
    });
    let folder = tempfile::tempdir().unwrap();
    let mut guard = guard(&folder, &url, &[], UNTIL_INPUT_ENDS);
    guard.stdout.until("started");
    away.store(true, Ordering::SeqCst);
    guard.stderr.until("trying again");
    guard.end_input();
    guard.stderr.until("ended with exit code 0");
    away.store(false, Ordering::SeqCst);
    let ended = guard.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.says("the daemon answers again");
    ended.says("the cutover is marked");
}

#[test]
fn a_signal_before_the_command_ends_guard() {
    let (asked, is_asked) = channel();
    let (answer, is_answered) = channel::<()>();
    let url = answering(move |path| {
        if path == "/v1/migrations/shop" {
            return (200, "application/json", armed().to_string());
        }
        if path.ends_with("/readiness") {
            asked.send(()).unwrap();
            let _ = is_answered.recv(); // the test is over
        }
        problem(404, json!({ "type": "/problems/not_found", "detail": "no such thing" }))
    });
    let folder = tempfile::tempdir().unwrap();
    let guard = guard(&folder, &url, &[], &["touch", "marker"]);
    is_asked.recv().unwrap();
    guard.signal(Signal::TERM);
    let ended = guard.wait();
    assert_eq!(ended.code, Some(143), "{ended:#?}");
    ended.says("the command was not started");
    assert!(!folder.path().join("marker").exists());
    drop(answer);
}

fn with_readiness(readiness: Value) -> String {
    answering(move |path| match path {
        "/v1/migrations/shop/readiness" => (200, "application/json", readiness.to_string()),
        "/v1/migrations/shop" | "/v1/migrations/shop/cutover" => (200, "application/json", armed().to_string()),
        _ => problem(404, json!({ "type": "/problems/not_found", "detail": "no such thing" })),
    })
}

#[test]
fn what_is_not_ready_is_named_and_stops_the_command() {
    let check = |verdict: &str| {
        json!({
            "id": "capacity", "part": "step dns_back", "subject": "shop-blue", "verdict": verdict, "found": "1 healthy target",
            "wanted": "at least 3, as before", "cure": "scale it out", "at": "2026-03-01T22:00:00Z",
        })
    };
    for (verdict, options, code, said) in [
        ("no_go", &[][..], 3, "not ready: step dns_back: capacity of shop-blue: 1 healthy target; wanted: at least 3"),
        ("no_go", &["--accept-unknown"], 3, "shop is not ready"),
        ("unknown", &[], 3, "whether shop is ready is not known"),
        ("unknown", &["--accept-unknown"], 0, "warning: step dns_back: capacity"),
        ("warn", &[], 0, "warning: step dns_back: capacity"),
        ("go", &[], 0, "all is well"),
    ] {
        let url = with_readiness(json!({ "verdict": verdict, "checks": [check(verdict)] }));
        let folder = tempfile::tempdir().unwrap();
        let ended = guard(&folder, &url, options, &["touch", "marker"]).wait();
        assert_eq!(ended.code, Some(code), "{verdict} {options:?}: {ended:#?}");
        ended.says(said);
        assert_eq!(folder.path().join("marker").exists(), code == 0, "{verdict}");
    }
    // As `belay arm --accept-unknown` does.
    let mut signal = check("no_go");
    signal["id"] = json!("signal");
    let url = with_readiness(json!({ "verdict": "no_go", "checks": [signal] }));
    for (options, code) in [(&[][..], 3), (&["--accept-unknown"], 0)] {
        let ended = guard(&tempfile::tempdir().unwrap(), &url, options, &["true"]).wait();
        assert_eq!(ended.code, Some(code), "{ended:#?}");
    }
}
