//! What the client makes of answers that a daemon in its right mind does not give, or gives only seldom.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{belay, text};

/// A server that answers by the path alone: status, type, body. It ends with the process of the test.
pub(crate) fn answering(answer: impl Fn(&str) -> (u16, &'static str, String) + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever has asked and gone is no matter.
            let _ = serve(stream, &answer);
        }
    });
    url
}

fn serve(mut stream: TcpStream, answer: &impl Fn(&str) -> (u16, &'static str, String)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    reader.take(length.unwrap_or(0)).read_to_end(&mut Vec::new())?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, kind, body) = answer(path);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[track_caller]
fn said_by(url: &str, arguments: &[&str], code: i32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let done = belay(folder.path(), arguments).env("BELAY_URL", url).assert().code(code).get_output().clone();
    text(&done.stdout) + &text(&done.stderr)
}

pub(crate) fn problem(status: u16, body: Value) -> (u16, &'static str, String) {
    (status, "application/problem+json", body.to_string())
}

pub(crate) fn run(state: &str) -> Value {
    let step = json!({
        "phase": "failed", "action": "route53.weights", "needs": [], "attempt": 1, "waiting_for": [], "why": "no permission",
        "possible": ["retry", "skip"], "changes": [], "require": [], "verify": [], "progress": null, "overrides": [], "since": "2026-03-01T22:00:00Z",
        "started": null, "ended": null, "deadline": null,
    });
    json!({
        "id": "0kf3x9a2mq71", "migration": "shop", "kind": "real", "state": state, "reason": "r", "actor": "ada", "only": [],
        "started": "2026-03-01T22:00:00Z", "ended": null, "why": "dns_back failed", "aborting": false, "expected_left_s": null,
        "steps": { "dns_back": step }, "confirm": [], "undoable": false,
        "waiting_for": [{ "reason": "failed: no permission", "verbs": ["retry", "skip"], "step": "dns_back" }],
    })
}

pub(crate) fn migration(state: &str) -> Value {
    json!({
        "name": "shop", "state": state, "plan_sha256": null, "pending_plan": null, "summary": null, "armed": null, "cutover": null,
        "triggers": {}, "signals": {}, "blind": {}, "incident": null, "run": run(state), "waiting_for": [], "faults": [],
        "poll_s": 5.0, "seq": 9, "now": "2026-03-01T22:01:00Z",
    })
}

#[test]
fn who_is_not_known_is_told_where_a_token_goes() {
    let url = answering(|_| problem(401, json!({ "type": "/problems/unauthorized", "detail": "no bearer token" })));
    assert!(said_by(&url, &["status"], 5).contains("put your token into BELAY_TOKEN"));
    let folder = tempfile::tempdir().unwrap();
    let wrong = belay(folder.path(), &["status"]).env("BELAY_URL", &url).env("BELAY_TOKEN", "wrong").assert().code(5);
    assert!(text(&wrong.get_output().stderr).contains("does not know"));
    let broken = belay(folder.path(), &["status"]).env("BELAY_URL", &url).env("BELAY_TOKEN", "a\nb").assert().code(2);
    assert!(text(&broken.get_output().stderr).contains("does not hold a token"));
}

#[test]
fn a_refused_verb_names_the_commands_that_are_possible() {
    let url = answering(|path| match path {
        "/v1/runs/0kf3x9a2mq71" => (200, "application/json", run("halted").to_string()),
        _ => problem(
            409,
            json!({
                "type": "/problems/wrong_state", "detail": "step dns_back is failed", "state": "failed", "possible": ["retry", "skip"],
            }),
        ),
    });
    let said = said_by(&url, &["approve", "dns_back", "--run", "0kf3x9a2mq71", "--reason", "r"], 5);
    assert!(said.contains("belay retry dns_back --run 0kf3x9a2mq71 --reason \"...\""), "{said}");
    assert!(said.contains("belay skip dns_back --run 0kf3x9a2mq71 --reason \"...\""), "{said}");
}

#[test]
fn without_a_step_the_commands_for_each_are_shown() {
    let url = answering(|path| match path {
        "/v1/runs" => (200, "application/json", json!({ "items": [run("halted")], "next": null }).to_string()),
        _ => (200, "application/json", run("halted").to_string()),
    });
    let said = said_by(&url, &["retry", "--reason", "r"], 2);
    assert!(said.contains("which step of run 0kf3x9a2mq71 is meant?"), "{said}");
    assert!(said.contains("belay retry --reason r dns_back --run 0kf3x9a2mq71"), "{said}");
    let said = said_by(&url, &["approve", "--reason", "r"], 2);
    assert!(said.contains("none waits for `approve`"), "the daemon does not offer it: {said}");
    let said = said_by(&url, &["override", "dns_back", "--reason", "r"], 2);
    assert!(said.contains("which signal or destination of step dns_back is meant?"), "{said}");
}

/// Two open runs; both have `big`, and one alone has `small`.
fn two_runs() -> String {
    let run_of = |id: &str, migration: &str, steps: &[&str]| {
        let mut run = run("running");
        let mut step = run["steps"]["dns_back"].take();
        step["phase"] = json!("awaiting_approval");
        step["possible"] = json!(["approve", "skip"]);
        run["id"] = json!(id);
        run["migration"] = json!(migration);
        run["steps"] = steps.iter().map(|name| ((*name).to_owned(), step.clone())).collect();
        run
    };
    let runs =
        json!({ "items": [run_of("r1", "shop", &["big"]), run_of("r2", "stock", &["big", "small"])], "next": null });
    answering(move |path| match path {
        "/v1/runs" => (200, "application/json", runs.to_string()),
        // The verb arrives where it was sent to.
        _ => problem(409, json!({ "type": "/problems/wrong_state", "detail": format!("sent to {path}") })),
    })
}

#[test]
fn a_command_that_is_suggested_has_all_that_was_given() {
    let url = two_runs();
    let said = said_by(&url, &["approve", "big", "--deny", "--reason", "no way", "--wait"], 2);
    assert!(said.contains("belay approve big --deny --reason 'no way' --wait --run r1"), "{said}");
    assert!(said.contains("belay approve big --deny --reason 'no way' --wait --run r2"), "{said}");
    let said = said_by(&url, &["override", "big", "blue_ready", "--reason", "r"], 2);
    assert!(said.contains("belay override big blue_ready --reason r --run r2"), "{said}");
    let said = said_by(&url, &["approve", "--deny", "--reason", "r"], 2);
    assert!(said.contains("belay approve --deny --reason r small --run r2"), "{said}");
    let said = said_by(&url, &["hold", "--reason", "r", "--json"], 2);
    assert!(said.contains("belay hold --reason r --json r1"), "{said}");
}

#[test]
fn where_one_open_run_alone_has_the_step_that_one_is_meant() {
    let url = two_runs();
    let said = said_by(&url, &["approve", "small", "--reason", "r"], 5);
    assert!(said.contains("sent to /v1/runs/r2/steps/small/approve"), "{said}");
    let said = said_by(&url, &["approve", "tiny", "--reason", "r"], 2);
    assert!(said.contains("no open run has a step tiny") && said.contains("big, small"), "{said}");
}

#[test]
fn where_events_cannot_be_heard_the_end_is_waited_for_all_the_same() {
    let url = answering(|path| match path {
        "/v1/events" => problem(404, json!({ "detail": "no such path" })),
        "/v1/migrations/shop" => (200, "application/json", migration("halted").to_string()),
        "/v1/runs/0kf3x9a2mq71/resume" => (200, "application/json", run("running").to_string()),
        _ => (200, "application/json", run("halted").to_string()),
    });
    let said = said_by(&url, &["resume", "0kf3x9a2mq71", "--reason", "r", "--wait"], 4);
    assert!(said.contains("dns_back: failed: no permission"), "{said}");
    assert!(said.contains("belay retry dns_back --run 0kf3x9a2mq71"), "{said}");
}

#[test]
fn who_waits_without_a_terminal_is_shown_the_commands_that_are_needed() {
    let looks = AtomicUsize::new(0);
    let url = answering(move |path| match path {
        "/v1/events" => problem(404, json!({ "detail": "no such path" })),
        "/v1/migrations/shop" if looks.fetch_add(1, Ordering::Relaxed) < 3 => {
            let mut document = migration("rolling_back");
            document["run"]["state"] = json!("running");
            document["run"]["steps"]["dns_back"]["phase"] = json!("awaiting_approval");
            document["run"]["waiting_for"] =
                json!([{ "reason": "a person's word", "verbs": ["approve", "skip"], "step": "dns_back" }]);
            (200, "application/json", document.to_string())
        }
        "/v1/migrations/shop" => (200, "application/json", migration("halted").to_string()),
        _ => (200, "application/json", run("running").to_string()),
    });
    let said = said_by(&url, &["resume", "0kf3x9a2mq71", "--reason", "r", "--wait"], 4);
    let command = "belay approve dns_back --deny --run 0kf3x9a2mq71";
    assert_eq!(said.matches(command).count(), 1, "once: {said}");
    assert!(said.find(command) < said.find("halted"), "while it waits: {said}");
}

#[test]
fn something_else_at_the_address_is_not_taken_for_a_daemon() {
    let html = || "<html>hello</html>".to_owned();
    let url = answering(move |_| (502, "text/html", html()));
    assert!(said_by(&url, &["status"], 6).contains("answers in its place"));
    let url = answering(move |_| (200, "text/html", html()));
    assert!(said_by(&url, &["status"], 1).contains("did not answer with JSON"));
    let url = answering(move |_| (307, "text/html", html()));
    assert!(said_by(&url, &["status"], 2).contains("sends us"));
    assert!(said_by("ftp://127.0.0.1", &["status"], 2).contains("is not a URL of a daemon"));
}

#[test]
fn a_token_is_printed_once_and_the_configuration_knows_its_hash_alone() {
    let folder = tempfile::tempdir().unwrap();
    let made =
        belay(folder.path(), &["token", "release-team", "--role", "viewer"]).assert().code(0).get_output().clone();
    let token = text(&made.stdout);
    assert_eq!(token.trim().len(), "belay_".len() + 64, "{token}");
    let entry = text(&made.stderr);
    assert!(entry.contains("- name: release-team") && entry.contains("roles: [viewer]"), "{entry}");
    assert!(!entry.contains(token.trim()));
    // The same token from elsewhere has the same entry.
    let again = belay(folder.path(), &["token", "release-team", "--stdin", "--json"])
        .write_stdin(token.clone())
        .assert()
        .code(0);
    let again: Value = serde_json::from_slice(&again.get_output().stdout).unwrap();
    assert!(entry.contains(again["sha256"].as_str().unwrap()), "{again}");
    assert_eq!(again["token"], Value::Null);
    let other = text(&belay(folder.path(), &["token"]).assert().code(0).get_output().stdout);
    assert_ne!(token, other);
    let short = belay(folder.path(), &["token", "x", "--stdin"]).write_stdin("hunter2").assert().code(2);
    assert!(text(&short.get_output().stderr).contains("16 at least"));
    belay(folder.path(), &["token", "Release Team"]).assert().code(2);
    belay(folder.path(), &["token", "x", "--stdin"]).write_stdin("\n").assert().code(2);
}

#[test]
fn every_command_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    belay(folder.path(), &["man", "--dir", "pages"]).assert().code(0);
    let pages: Vec<String> = files(&folder.path().join("pages"));
    for page in ["belay.1", "belay-rollback.1", "belay-dry-run.1", "belay-undo.1"] {
        assert!(pages.contains(&page.to_owned()), "{pages:?}");
    }
    let page = text(&belay(folder.path(), &["man", "rollback"]).assert().code(0).get_output().stdout);
    assert!(page.starts_with(".ie") || page.contains(".TH belay-rollback"), "{page}");
    let page = text(&belay(folder.path(), &["man", "override"]).assert().code(0).get_output().stdout);
    assert!(page.contains("belay override [OPTIONS] \\-\\-reason <REASON> [STEP] [SIGNAL]"), "{page}");
    assert_eq!(page.matches(".SH OPTIONS").count(), 1, "{page}");
    assert!(!page.contains("\\-\\-version"), "{page}");
    belay(folder.path(), &["man", "nothing"]).assert().code(2);
}

fn files(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect()
}
