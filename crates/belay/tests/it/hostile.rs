//! Text from outside that would move a terminal: in every field that a daemon, a plan, a file or a person can fill.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::{
    answers::{answering, migration, problem, run},
    belay, text,
};

/// Sets a title, clears the screen, goes up (with ESC and as a C1 control), turns the direction of writing, is magenta,
/// which Belay never is, and forges lines.
const HOSTILE: &str =
    "evil\x1b]0;title\x07\x1b[2J\u{9b}1A\u{202e}\x1b[35m\r\nFORGED\u{85}FORGED\u{2028}FORGED\x0bFORGED\x7f";

/// Words that Belay goes by, and names by which documents refer to each other.
const KEYS_KEPT: [&str; 8] = ["state", "phase", "kind", "action", "verbs", "health", "type", "step"];
/// By name.
const MAPS: [&str; 4] = ["steps", "signals", "triggers", "blind"];

fn hostile(value: &Value, kept: &[&str]) -> Value {
    match value {
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => value.clone(),
        Value::String(text) => json!(format!("{text}{HOSTILE}")),
        Value::Array(items) => items.iter().map(|item| hostile(item, kept)).collect(),
        Value::Object(map) => {
            let member = |(key, value): (&String, &Value)| match kept.contains(&key.as_str()) {
                true => (key.clone(), value.clone()),
                false if kept.is_empty() && MAPS.contains(&key.as_str()) => (key.clone(), hostile_names(value)),
                false => (key.clone(), hostile(value, kept)),
            };
            Value::Object(map.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

fn hostile_names(map: &Value) -> Value {
    let member = |(name, value): (&String, &Value)| (format!("{name}{HOSTILE}"), hostile(value, &[]));
    map.as_object().map_or_else(|| hostile(map, &[]), |map| Value::Object(map.iter().map(member).collect()))
}

/// A migration with everything that the board can show.
fn everything(state: &str, run_state: &str) -> Value {
    let mut run = run(run_state);
    let gate = json!({ "signal": "errors", "state": "broken", "for_s": 60, "within_s": 300, "holding_since": null, "evidence": "12 > 1" });
    let change = json!({ "id": "w", "title": "shift", "call": "route53:X", "before": { "blue": 0 }, "after": { "blue": 1 }, "effective": true });
    let step = &mut run["steps"]["dns_back"];
    step["changes"] = json!([change]);
    step["require"] = json!([gate]);
    step["verify"] = json!([gate]);
    step["report"] = json!({ "output": "done", "logs": "group" });
    step["approval"] = json!({ "role": "lead", "quorum": 2, "given": ["ada"], "deadline": null, "otherwise": "halt" });
    step["progress"] = json!({ "note": "creating", "fraction": 0.5, "expected_left_s": 9 });
    run["confirm"] = json!([gate]);
    run["left"] = json!(["db lost data"]);
    let signal =
        |health: &str| json!({ "health": health, "evidence": "why", "since": "2026-03-01T22:00:00Z", "read": true });
    let trigger = |state: &str| {
        json!({
            "state": state, "severity": "critical", "scope": "system_wide", "signals": ["errors"], "for_s": 60.0, "held_s": 12.0,
            "fires_at": null, "unknown_since": "2026-03-01T22:00:00Z",
        })
    };
    let mut document = migration(state);
    document["run"] = run;
    document["summary"] = json!("a summary");
    document["armed"] = json!("2026-03-01T21:00:00Z");
    document["plan_sha256"] = json!("3f1c9a2b7d10e5f6");
    document["pending_plan"] = json!("4f1c9a2b7d10e5f6");
    document["triggers"] = json!({ "hurt": trigger("fired"), "slow": trigger("paused") });
    document["signals"] = json!({ "errors": signal("unhealthy"), "page": signal("unknown") });
    document["blind"] = json!({ "CloudWatch": "2026-03-01T22:00:00Z" });
    document["faults"] = json!(["the disk is full"]);
    document["drill"] = json!({ "trigger": "hurt", "actor": "ada", "reason": "why" });
    document["incident"] = json!({
        "id": "i1", "opened": "2026-03-01T22:00:00Z", "triggers": ["hurt"], "decision": "roll_back", "why": "critical",
    });
    document["waiting_for"] = json!([{ "reason": "a decision", "verbs": ["decide"] }]);
    document
}

fn records() -> Vec<Value> {
    let events = [
        json!({ "type": "commanded", "verb": "rollback", "reason": "why", "detail": { "step": "dns_back" } }),
        json!({ "type": "signal_turned", "signal": "errors", "from": "healthy", "to": "unhealthy", "evidence": "12 > 1" }),
        json!({ "type": "run_started", "run": "r1", "reason": "why" }),
        json!({ "type": "of_a_newer_daemon" }),
        json!({ "type": "plan_pinned", "plan": { "sha256": "00" }, "plan_sha256": "3f1c9a2b7d10e5f6" }),
    ];
    let record = |(seq, event): (usize, Value)| json!({ "seq": seq, "at": "2026-03-01T22:00:00Z", "actor": "ada", "migration": "shop", "event": event });
    events.into_iter().enumerate().map(record).collect()
}

/// A daemon all of whose texts are hostile, but for those in `kept`.
fn daemon(kept: &'static [&'static str]) -> String {
    answering(move |path| {
        let document = match path {
            "/v1/events" => {
                let event = |record: Value| format!("event: record\nid: 1\ndata: {record}\n\n");
                let events = records().iter().map(|record| event(keep_name(hostile(record, kept)))).collect();
                return (200, "text/event-stream", events);
            }
            "/v1/migrations" => json!({ "items": [everything("halted", "halted"), everything("incident", "running")] }),
            "/v1/migrations/shop" => everything("halted", "halted"),
            "/v1/runs/0kf3x9a2mq71" => everything("halted", "halted")["run"].clone(),
            "/v1/runs/0kf3x9a2mq71/resume" => run("running"),
            _ => {
                let detail = "no";
                let body = json!({
                    "type": "wrong_state", "title": "t", "detail": detail, "state": "halted", "possible": ["retry", "skip"],
                    "help": "h",
                });
                let mut body = hostile(&body, kept);
                body["type"] = json!("/problems/wrong_state");
                return problem(409, body);
            }
        };
        let mut document = hostile(&document, kept);
        if path != "/v1/migrations" {
            document = keep_name(document);
        }
        (200, "application/json", document.to_string())
    })
}

/// What is asked for by name has that name.
fn keep_name(mut document: Value) -> Value {
    for (key, name) in [("name", "shop"), ("migration", "shop"), ("id", "0kf3x9a2mq71")] {
        if document.get(key).is_some() {
            document[key] = json!(name);
        }
    }
    document
}

/// What a terminal would obey, beside the end of a line and, where it is allowed, a colour of Belay's.
#[track_caller]
fn assert_tame(shown: &str, colours: bool) {
    let mut plain = shown.to_owned();
    if colours {
        let own = ["0", "1", "2", "31", "32", "33", "36", "1;31", "1;32", "1;33", "1;36", "91", "93", "94", "96"];
        own.iter().for_each(|codes| plain = plain.replace(&format!("\x1b[{codes}m"), ""));
        plain = plain.replace("\r\n", "\n");
    }
    let obeyed = |letter: char| {
        letter != '\n' && (letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}'))
    };
    assert!(!plain.contains(obeyed), "{plain:?}");
    // On a terminal, a long text goes on in a next row, which may begin with anything.
    assert!(colours || plain.lines().all(|line| !line.trim_start().starts_with("FORGED")), "{plain}");
}

/// What a command says on a terminal.
fn on_a_terminal(folder: &Path, url: &str, arguments: &[&str]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let screen = File::options().read(true).write(true).open(name).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_belay"));
    command.args(arguments).current_dir(folder).env("BELAY_URL", url).env("TERM", "xterm").env_remove("NO_COLOR");
    command.stdin(Stdio::null()).stdout(screen.try_clone().unwrap()).stderr(screen);
    let mut child = command.spawn().unwrap();
    drop(command);
    let read = thread::spawn(move || {
        let mut bytes = Vec::new();
        // Ends with an error when nobody has the other side any more.
        let _ = File::from(terminal).read_to_end(&mut bytes);
        text(&bytes)
    });
    child.wait().unwrap();
    read.join().unwrap()
}

const COMMANDS: [&[&str]; 8] = [
    &["status"],
    &["status", "shop"],
    &["status", "0kf3x9a2mq71"],
    &["resume", "0kf3x9a2mq71", "--reason", HOSTILE],
    &["resume", "0kf3x9a2mq71", "--reason", HOSTILE, "--wait"],
    &["retry", "dns_back", "--run", "0kf3x9a2mq71", "--reason", "r"],
    &["disarm", "shop", "--reason", HOSTILE],
    &["guard", "shop.yaml", "--", "true"],
];

/// Where the commands find their files.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plan = "belay: 1\nmigration: shop\nsteps: { people: { action: manual, with: { instructions: Look. } } }\n";
    fs::write(folder.path().join("shop.yaml"), plan).unwrap();
    folder
}

#[test]
fn whatever_a_daemon_answers_no_pipe_gets_more_than_text() {
    let folder = folder();
    for kept in [&KEYS_KEPT[..], &[]] {
        let url = daemon(kept);
        // Of a run in a state that nobody knows, the end is never seen.
        for arguments in COMMANDS.iter().filter(|arguments| !kept.is_empty() || !arguments.contains(&"--wait")) {
            let done = belay(folder.path(), arguments).env("BELAY_URL", &url).output().unwrap();
            assert_tame(&text(&done.stdout), false);
            assert_tame(&text(&done.stderr), false);
        }
    }
}

#[test]
fn whatever_a_daemon_answers_no_terminal_is_moved() {
    let folder = folder();
    let url = daemon(&KEYS_KEPT);
    // With --wait the picture moves, and so does the cursor.
    for arguments in COMMANDS.iter().filter(|arguments| !arguments.contains(&"--wait")) {
        let shown = on_a_terminal(folder.path(), &url, arguments);
        assert!(shown.contains("evil␛]0;title"), "{arguments:?}: {shown:?}");
        assert_tame(&shown, true);
    }
    let waited = on_a_terminal(folder.path(), &url, COMMANDS[4]);
    for sequence in ["\x1b]0;", "\x1b[2J", "\u{9b}", "\u{202e}", "\x1b[35m"] {
        assert!(!waited.contains(sequence), "{sequence:?} in {waited:?}");
    }
}

#[test]
fn json_is_exact_and_moves_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let url = daemon(&KEYS_KEPT);
    for arguments in [&["status", "shop", "--json"][..], &["disarm", "shop", "--reason", "r", "--json"]] {
        let done = belay(folder.path(), arguments).env("BELAY_URL", &url).output().unwrap();
        let shown = text(&done.stdout);
        assert_tame(&shown, false);
        let document: Value = serde_json::from_str(&shown).unwrap();
        assert!(document.to_string().contains(json!(HOSTILE).to_string().trim_matches('"')), "{document}");
    }
    let document = belay(folder.path(), &["status", "shop", "--json"]).env("BELAY_URL", &url).output().unwrap();
    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    assert_eq!(document, keep_name(hostile(&everything("halted", "halted"), &KEYS_KEPT)));
}

#[test]
fn nothing_in_a_plan_or_its_name_moves_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{}.yaml", HOSTILE.replace('/', ""));
    let escaped = json!(HOSTILE).to_string();
    let plan = format!(
        "belay: 1\nmigration: shop\nsummary: {escaped}\nsteps:\n  people:\n    action: manual\n    with: {{ instructions: {escaped} }}\n  \
         fence:\n    needs: [people]\n    action: command\n    with: {{ argv: [\"true\", {escaped}] }}\n"
    );
    fs::write(folder.path().join(&name), &plan).unwrap();
    let wrong =
        format!("{plan}  # \u{9b}2J\n  {escaped}: {escaped}\ntriggers: [{escaped}, \u{202e}]\nconfirm: [{escaped}]\n");
    fs::write(folder.path().join("wrong.yaml"), wrong).unwrap();
    for (arguments, code) in [
        (vec!["validate", name.as_str()], 0),
        (vec!["graph", name.as_str()], 0),
        (vec!["graph", name.as_str(), "--format", "svg"], 0),
        (vec!["explore", name.as_str()], 0),
        (vec!["drill", name.as_str(), "--simulate"], 0),
        (vec!["validate", "wrong.yaml"], 2),
        (vec!["validate", HOSTILE], 2),
        (vec![HOSTILE], 2),
        (vec!["arm", "--baseline", HOSTILE], 6),
        (vec!["status", "--url", HOSTILE], 2),
    ] {
        let done = belay(folder.path(), &arguments).output().unwrap();
        let shown = [text(&done.stdout), text(&done.stderr)];
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {shown:?}");
        shown.iter().for_each(|shown| assert_tame(shown, false));
    }
    for arguments in [&["validate", "wrong.yaml"][..], &["explore", &name], &[HOSTILE]] {
        assert_tame(&on_a_terminal(folder.path(), "http://127.0.0.1:1", arguments), true);
    }
}

#[test]
fn nothing_in_a_scenario_moves_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let (name, escaped) = (format!("{}.yaml", HOSTILE.replace('/', "")), json!(HOSTILE).to_string());
    write(
        "plan.yaml",
        "belay: 1\nmigration: shop\nsteps: { fence: { action: command, with: { argv: [\"true\"] } } }\n",
    );
    write(&name, &format!("scenario: 1\nsummary: {escaped}\nevents: [{{ kill: {{}}, at: 20h }}]\n"));
    write(
        "wrong.yaml",
        &format!(
            "scenario: 1\nsummary: {escaped}\nhorizon: {escaped}\nevents: [{{ {escaped}: {escaped} }}]\n{escaped}: \u{9b}2J\n"
        ),
    );
    let drill = ["drill", "plan.yaml", "--simulate", "--scenario"];
    for (more, code) in [
        (vec![name.as_str()], 0),
        (vec![&name, "--runs", "2", "--svg", "runs.svg"], 0),
        (vec![&name, "--scenario", &name, "--runs", "2"], 0),
        (vec![&name, "--json"], 0),
        (vec!["wrong.yaml"], 2),
        (vec![HOSTILE], 2),
    ] {
        let arguments = [&drill[..], &more].concat();
        let done = belay(folder.path(), &arguments).output().unwrap();
        let shown = [text(&done.stdout), text(&done.stderr)];
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {shown:?}");
        shown.iter().for_each(|shown| assert_tame(shown, false));
    }
    let svg = fs::read_to_string(folder.path().join("runs.svg")).unwrap();
    assert!(svg.contains("evil␛]0;title") && svg.contains("Steps: evil␛"), "{svg}");
    assert_tame(&svg, false);
    for more in [&[name.as_str()][..], &["wrong.yaml"]] {
        let arguments = [&drill[..], more].concat();
        assert_tame(&on_a_terminal(folder.path(), "http://127.0.0.1:1", &arguments), true);
    }
}
