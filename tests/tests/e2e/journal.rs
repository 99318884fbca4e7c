//! The journal as it lies on the disk, read past Belay: SQLite by another program.

use std::path::Path;
use std::process::Command;

use belay_tests::{Belay, testbed};
use serde_json::Value;

const READER: &str = "
import json, sqlite3, sys
journal = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)
rows = journal.execute('select seq, at, actor, coalesce(data, body) from records left join blobs on blob = sha256 order by position')
print(json.dumps([{'seq': seq, 'at': at, 'actor': actor, 'event': json.loads(body)} for seq, at, actor, body in rows]))
";

/// All records so far, in their order: `{ seq, at, actor, event }`.
#[track_caller]
pub(crate) fn records(belay: &Belay) -> Vec<Value> {
    records_in(belay.folder())
}

/// The same for a folder: a hook of the proxy cannot hold on to a [`Belay`].
#[track_caller]
pub(crate) fn records_in(folder: &Path) -> Vec<Value> {
    let mut python = Command::new(testbed::folder().join("venv/bin/python"));
    let done = python.args(["-c", READER]).arg(folder.join("belay.db")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The intents among them: one for each call that may change something.
pub(crate) fn intents(records: &[Value]) -> Vec<&Value> {
    step_events(records, "intended")
}

/// What happened to steps, of one kind: `intended`, `no_effect`, `outcome_unknown`, ...
pub(crate) fn step_events<'r>(records: &'r [Value], did: &str) -> Vec<&'r Value> {
    let events = records.iter().map(|record| &record["event"]);
    events.filter(|event| event["type"] == "step" && event["did"] == did).collect()
}

/// Events of one type.
pub(crate) fn events<'r>(records: &'r [Value], kind: &str) -> Vec<&'r Value> {
    records.iter().map(|record| &record["event"]).filter(|event| event["type"] == kind).collect()
}
