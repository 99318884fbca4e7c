//! Journals as earlier versions of Belay wrote them, in `tests/journals`: `NAME.jsonl` has a record a line, `NAME.end.json` what the
//! interfaces show at its end. Each version has to fold them to the same views.
//!
//! A journal that is there is never written again: that a newer version would write another one is no reason. `UPDATE_GOLDEN=1`
//! writes the journals of new scenes, and the ends anew; an end may gain members, but must not lose or change one.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc, time::Duration};

use belay_core::{event::Record, migration::Migration};
use belay_engine::{
    Snapshot,
    view::{IncidentView, MigrationView, RunView, incidents},
};
use serde::Serialize;
use serde_json::Value;

use crate::golden_scenes::SCENES;

#[derive(Serialize)]
struct End {
    migration: MigrationView,
    runs: Vec<RunView>,
    incidents: Vec<IncidentView>,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/journals")).join(name)
}

fn updates() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

pub(crate) fn journals() -> Vec<(String, Vec<Record>)> {
    if updates() {
        for (name, play) in SCENES {
            let path = file(name).with_extension("jsonl");
            if !path.exists() {
                let lines =
                    play().iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect::<String>();
                fs::write(path, lines).unwrap();
            }
        }
    }
    let mut found: Vec<PathBuf> = fs::read_dir(file("")).unwrap().map(|file| file.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    found.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), records)
    };
    found.into_iter().map(read).collect()
}

fn end(records: &[Record]) -> Value {
    let mut state = Migration::new(records[0].stream.clone());
    for record in records {
        state.evolve(record).unwrap();
    }
    let state = Arc::new(state);
    let now = state.at.unwrap();
    let snapshot = Snapshot {
        state: state.clone(),
        progress: Default::default(),
        evidence: Arc::default(),
        losses: Arc::default(),
        readiness: None,
        relatives: Arc::from([]),
        faults: Vec::new(),
        slow_append: None,
        poll: Duration::from_secs(5),
        at: now,
    };
    let past = state.past_runs.iter().map(AsRef::as_ref);
    let end = End {
        migration: MigrationView::new(&snapshot, None, now),
        runs: past.chain(&state.run).map(|run| RunView::new(&state, run, None, now)).collect(),
        incidents: incidents(&state),
    };
    serde_json::to_value(end).unwrap()
}

#[test]
fn an_old_journal_folds_to_the_same_views() {
    for (name, records) in journals() {
        let end = end(&records);
        let path = file(&name).with_extension("end.json");
        if updates() {
            fs::write(&path, serde_json::to_string_pretty(&end).unwrap() + "\n").unwrap();
        }
        let expected: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(lost("", &expected, &end), [""; 0], "{name} does not end as it did");
    }
}

/// What of `old` is not in `new`, or is another value there, with the way to it. `new` may have more members.
fn lost(way: &str, old: &Value, new: &Value) -> Vec<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old
            .iter()
            .flat_map(|(key, old)| match new.get(key) {
                Some(new) => lost(&format!("{way}/{key}"), old, new),
                None => vec![format!("{way}/{key}")],
            })
            .collect(),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => old
            .iter()
            .zip(new)
            .enumerate()
            .flat_map(|(at, (old, new))| lost(&format!("{way}/{at}"), old, new))
            .collect(),
        // Text to binary and back may cost a float its last digit.
        (Value::Number(old), Value::Number(new)) if old.is_f64() => {
            let (old, new) = (old.as_f64().unwrap(), new.as_f64().unwrap_or(f64::NAN));
            if (old - new).abs() <= old.abs() * 1e-12 { Vec::new() } else { vec![format!("{way}: {old}, now {new}")] }
        }
        _ if old == new => Vec::new(),
        _ => vec![format!("{way}: {old}, now {new}")],
    }
}

/// At each record: what is read back goes on as what was written.
#[test]
fn a_snapshot_of_an_old_journal_is_the_state() {
    for (name, records) in journals() {
        let mut state = Migration::new(records[0].stream.clone());
        let mut begun = state.clone();
        for record in &records {
            state.evolve(record).unwrap();
            begun.evolve(record).unwrap();
            let text = begun.to_snapshot().unwrap_or_else(|| panic!("{name}, record {}", record.seq));
            begun = Migration::of_snapshot(&text).unwrap();
            assert_eq!(begun, state, "{name}, record {}", record.seq);
        }
    }
}

/// A field that was renamed would decode to its default without a word.
#[test]
fn nothing_of_an_old_record_is_left_out_when_it_is_read() {
    for (name, records) in journals() {
        let text = fs::read_to_string(file(&name).with_extension("jsonl")).unwrap();
        for (line, record) in text.lines().zip(records) {
            let (old, new) = (serde_json::from_str(line).unwrap(), serde_json::to_value(&record).unwrap());
            assert_eq!(lost("", &old, &new), [""; 0], "{name}, record {}", record.seq);
        }
    }
}

/// What the scenes are for: a kind of event that is in none of them is not held by them.
#[test]
fn the_journals_have_all_that_happens_in_a_rollback() {
    let mut found = BTreeSet::new();
    for (_, records) in journals() {
        for record in records {
            let event = serde_json::to_value(&record.event).unwrap();
            found.insert(event["did"].as_str().or(event["type"].as_str()).unwrap().to_owned());
        }
    }
    let missing: Vec<&str> = HELD.into_iter().filter(|kind| !found.contains(*kind)).collect();
    assert_eq!(missing, [""; 0]);
}

const HELD: [&str; 70] = [
    "commanded",
    "plan_pinned",
    "baseline_captured",
    "attempt_begun",
    "armed",
    "disarmed",
    "cutover_marked",
    "phase_begun",
    "muted",
    "unmuted",
    "watch_resumed",
    "signal_turned",
    "dwell_started",
    "dwell_paused",
    "dwell_resumed",
    "dwell_reset",
    "trigger_fired",
    "healing_started",
    "healing_reset",
    "trigger_healed",
    "trigger_unknown",
    "trigger_known",
    "blinded",
    "sighted",
    "incident_opened",
    "incident_joined",
    "decided",
    "word_given",
    "incident_closed",
    "notice_due",
    "notice_sent",
    "notice_failed",
    "drill_started",
    "drill_ended",
    "run_started",
    "undo_started",
    "run_held",
    "run_resumed",
    "run_aborting",
    "run_halted",
    "confirm_opened",
    "run_ended",
    "confirm",
    "rehearsed",
    "started",
    "look_failed",
    "planned",
    "approval_awaited",
    "approval_given",
    "approved",
    "require_opened",
    "require",
    "require_passed",
    "unproven",
    "overridden",
    "intended",
    "accepted",
    "outcome_unknown",
    "effective",
    "doubted",
    "wait_started",
    "stage_passed",
    "settled",
    "verify_opened",
    "verify",
    "done",
    "failed",
    "skipped",
    "reset",
    "no_effect",
];
