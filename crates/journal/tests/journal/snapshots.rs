//! Snapshots beside the records.

use std::path::Path;

use belay_journal::SqliteJournal;
use belay_ports::{Journal, Snapshot};
use futures::executor::block_on;
use rusqlite::Connection;

use crate::samples::note;

fn snapshot(journal: &SqliteJournal, seq: u64, text: &str) -> Snapshot {
    let records = block_on(journal.read("s", 0)).unwrap();
    let hash = records.iter().find(|record| record.seq == seq).unwrap().hash.clone();
    Snapshot { seq, hash, text: text.to_owned() }
}

fn kept(path: &Path) -> Option<Snapshot> {
    block_on(SqliteJournal::open_read_only(path).unwrap().snapshot("s")).unwrap()
}

#[test]
fn the_last_snapshot_of_a_stream_is_kept_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.append("s", 0, vec![note("1"), note("2"), note("3")])).unwrap();
    assert_eq!(block_on(journal.snapshot("s")), Ok(None));
    let (first, second) = (snapshot(&journal, 1, "one"), snapshot(&journal, 3, "three"));
    block_on(journal.keep_snapshot("s", first)).unwrap();
    block_on(journal.keep_snapshot("s", second.clone())).unwrap();
    // It is no write of somebody else.
    block_on(journal.append("s", 3, vec![note("4")])).unwrap();
    assert_eq!(block_on(journal.check()), Ok(()));
    assert_eq!(block_on(journal.snapshot("other")), Ok(None));
    drop(journal);
    assert_eq!(kept(&path), Some(second.clone()));
    let reader = SqliteJournal::open_read_only(&path).unwrap();
    assert!(block_on(reader.keep_snapshot("s", second)).is_err(), "who reads keeps nothing");
}

#[test]
fn a_snapshot_counts_only_on_its_own_record_and_whole() {
    let edits = [
        "UPDATE snapshots SET data = 'forged'",
        "UPDATE snapshots SET seq = 1",
        "UPDATE snapshots SET seq = 1, hash = (SELECT hash FROM records WHERE seq = 1)",
        "UPDATE records SET hash = 'x' WHERE seq = 2",
        "DELETE FROM records WHERE seq = 2",
    ];
    for edit in edits {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("belay.db");
        let journal = SqliteJournal::open(&path).unwrap();
        block_on(journal.append("s", 0, vec![note("1"), note("2")])).unwrap();
        let second = snapshot(&journal, 2, "two");
        block_on(journal.keep_snapshot("s", second.clone())).unwrap();
        drop(journal);
        assert_eq!(kept(&path), Some(second));
        Connection::open(&path).unwrap().execute(edit, []).unwrap();
        assert_eq!(kept(&path), None, "{edit}");
    }
}

/// Its records stay as they are; its owner adds the table, and a reader does without.
#[test]
fn a_file_of_an_earlier_version_is_read_and_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.append("s", 0, vec![note("1")])).unwrap();
    let first = snapshot(&journal, 1, "one");
    let before = block_on(journal.read("s", 0)).unwrap();
    drop(journal);
    Connection::open(&path).unwrap().execute_batch("DROP TABLE snapshots; PRAGMA user_version = 1").unwrap();
    assert_eq!(kept(&path), None);
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(block_on(journal.read("s", 0)).unwrap(), before);
    block_on(journal.keep_snapshot("s", first.clone())).unwrap();
    drop(journal);
    assert_eq!(kept(&path), Some(first));
}
