//! What must hold after every answer.

use std::collections::BTreeSet;

use belay_core::event::{Event, Record, StepEvent};
use serde_json::{Value, json};

use crate::world::Answer;

use super::ask::Ask;

/// A refusal is a problem in good form, and nothing is on record of what it refused.
pub(super) fn refused(ask: &Ask, answer: &Answer, before: &Value, after: &Value, commands: usize) {
    let told = format!("{ask:?}: {} {:#}", answer.status, answer.body);
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{told}");
    assert_ne!(answer.status.as_u16(), 500, "{told}");
    for member in ["type", "title", "detail"] {
        assert!(answer.body[member].as_str().is_some_and(|text| !text.is_empty()), "{told}");
    }
    assert_eq!(commands, 0, "refused, and on record all the same: {told}");
    if before["head"] == after["head"] {
        assert_eq!(steady(before), steady(after), "refused, and something has changed: {told}");
    }
    if ends_with(answer, "wrong_state") || ends_with(answer, "already_running") {
        assert!(answer.body["state"].is_string(), "{told}");
        assert!(answer.body["possible"].is_array(), "{told}");
        assert!(answer.body["help"].as_str().is_some_and(|help| !help.is_empty()), "{told}");
    }
}

pub(super) fn ends_with(answer: &Answer, kind: &str) -> bool {
    answer.body["type"].as_str().is_some_and(|path| path == format!("/problems/{kind}"))
}

/// The document without what only tells how time goes by.
fn steady(migration: &Value) -> Value {
    let mut steady = migration.clone();
    for key in ["at", "now"] {
        steady[key] = Value::Null;
    }
    for trigger in steady["triggers"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        trigger["held_s"] = Value::Null;
    }
    if let Some(run) = steady["run"].as_object_mut() {
        run.insert("expected_left_s".to_owned(), Value::Null);
        for step in run["steps"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
            step["progress"] = Value::Null;
        }
    }
    // What the disk holds is looked at anew with every answer.
    for key in ["pending_plan", "plan_problem", "plan_file"] {
        steady[key] = Value::Null;
    }
    steady
}

/// Whatever waits names verbs; an open run is never silent.
pub(super) fn way_out(migration: &Value) {
    let run = &migration["run"];
    let open = ["running", "held", "confirming", "halted"].iter().any(|state| run["state"] == *state);
    if open && run["aborting"] == true {
        return; // ends by itself when the call under way is answered
    }
    let waiting = migration["waiting_for"].as_array().expect("a list");
    assert!(!open || !waiting.is_empty(), "an open run, and nothing is said to be waited for: {migration:#}");
    for one in waiting {
        assert!(one["verbs"].as_array().is_some_and(|verbs| !verbs.is_empty()), "no way out of {one}: {migration:#}");
        assert!(one["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{migration:#}");
    }
    let parked = run["state"] == "held" || run["state"] == "halted";
    let moves = waiting.iter().any(|one| one["verbs"].as_array().is_some_and(|verbs| verbs.contains(&json!("resume"))));
    assert!(!parked || moves, "{migration:#}");
}

/// Every call that reached the world had an intent of its own before it, and none was made twice.
pub(super) fn sends(calls: &[belay_sim::Call], records: &[Record]) {
    let mut intended = BTreeSet::new();
    let mut run = String::new();
    for record in records {
        match &record.event {
            Event::RunStarted { run: started, .. } => run = started.to_string(),
            Event::Step { step, what: StepEvent::Intended { attempt, .. } } => {
                assert!(intended.insert((run.clone(), step.clone(), *attempt)), "the same intent twice");
            }
            _ => {}
        }
    }
    let mut sent = BTreeSet::new();
    for call in calls {
        let key = (call.key.run.to_string(), call.key.step.clone(), call.key.attempt);
        assert!(intended.contains(&key), "{key:?} was sent and never intended");
        assert!(sent.insert(key.clone()), "{key:?} was sent twice");
    }
}
