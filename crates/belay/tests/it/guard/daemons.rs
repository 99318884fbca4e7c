//! Daemons that are away, or that know of their readiness.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::{Receiver, Sender, channel},
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

/// Asked to arm, it answers when it may.
fn slow_to_arm() -> (String, Receiver<()>, Sender<()>) {
    let (asked, is_asked) = channel();
    let (answer, may_answer) = channel::<()>();
    let url = answering(move |path| match path {
        "/v1/migrations/shop" => {
            let mut disarmed = armed();
            (disarmed["state"], disarmed["armed"]) = (json!("disarmed"), Value::Null);
            (200, "application/json", disarmed.to_string())
        }
        "/v1/migrations/shop/arm" => {
            asked.send(()).unwrap();
            let _ = may_answer.recv(); // the test is over
            (200, "application/json", armed().to_string())
        }
        _ => problem(404, json!({ "type": "/problems/not_found", "detail": "no such thing" })),
    });
    (url, is_asked, answer)
}

#[test]
fn a_signal_while_the_daemon_arms_waits_for_its_answer() {
    let report = |folder: &tempfile::TempDir| -> Value {
        serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap()
    };
    let options = ["--report", "report.json"];
    let (url, is_asked, answer) = slow_to_arm();
    let folder = tempfile::tempdir().unwrap();
    let cancelled = guard(&folder, &url, &options, &["touch", "marker"]);
    is_asked.recv().unwrap();
    cancelled.signal(Signal::TERM);
    cancelled.stderr.until("waiting for the daemon's answer to `arm`");
    answer.send(()).unwrap();
    let ended = cancelled.wait();
    assert_eq!(ended.code, Some(143), "{ended:#?}");
    ended.says("the command was not started");
    ended.says("shop stays armed");
    assert_eq!((&report(&folder)["state"], &report(&folder)["unanswered"]), (&json!("armed"), &Value::Null));

    // Whoever does not wait for the answer either is told that it may be armed.
    let (url, is_asked, answer) = slow_to_arm();
    let folder = tempfile::tempdir().unwrap();
    let cancelled = guard(&folder, &url, &options, &["touch", "marker"]);
    is_asked.recv().unwrap();
    cancelled.signal(Signal::TERM);
    cancelled.stderr.until("waiting for the daemon's answer to `arm`");
    cancelled.signal(Signal::TERM);
    let ended = cancelled.wait();
    assert_eq!(ended.code, Some(143), "{ended:#?}");
    ended.says("asked to `arm`, and its answer did not come: it may have done so. belay status shop");
    assert_eq!(report(&folder)["unanswered"], "arm");
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

#[test]
fn an_old_baseline_is_not_kept_in_silence() {
    let of = |captured: &str, armed_at: Value, cutover: Value| {
        let mut document = armed();
        (document["armed"], document["cutover"]) = (armed_at, cutover);
        document["baseline"] = json!({ "captured": captured });
        let url = answering(move |path| match path {
            "/v1/migrations/shop" | "/v1/migrations/shop/arm" => (200, "application/json", document.to_string()),
            _ => problem(404, json!({ "type": "/problems/not_found", "detail": "no such thing" })),
        });
        guard(&tempfile::tempdir().unwrap(), &url, &[], &["true"]).wait()
    };
    let (now, days_ago) = (json!("2026-03-01T22:00:00Z"), json!("2026-02-26T22:01:00Z"));
    for (armed, cutover, cure) in [
        (Value::Null, Value::Null, "belay capture PLAN -o FILE"),
        (now.clone(), Value::Null, "belay capture PLAN -o FILE"),
        (now, days_ago, "belay disarm shop --reason"),
    ] {
        let ended = of("2026-02-26T22:00:00Z", armed, cutover);
        assert_eq!(ended.code, Some(5), "{ended:#?}");
        ended.says("3d 00h old");
        ended.says(cure);
        ended.says("the command was not started");
    }
    let ended = of("2026-03-01T21:00:00Z", json!("2026-03-01T22:00:00Z"), json!("2026-03-01T21:30:00Z"));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.says("1h 01m old, captured at 2026-03-01T21:00:00Z");
    ended.says("this goes on with that attempt");
}
