//! One owner, one queue.

use std::{os::unix::fs::symlink, sync::Arc};

use belay_journal::{AppendFault, MemoryJournal, OpenError, Process, SqliteJournal};
use belay_ports::{AppendError, Journal};
use futures::{
    executor::block_on,
    future::{FutureExt, join_all},
};
use rusqlite::Connection;

use crate::samples::note;

#[test]
fn a_second_owner_is_told_who_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let first = SqliteJournal::open(&path).unwrap();
    let link = directory.path().join("link");
    symlink(directory.path(), &link).unwrap();
    for path in [&path, &link.join("belay.db")] {
        let error = SqliteJournal::open(path).err().expect("it is held");
        let text = error.to_string();
        let OpenError::Held { by, .. } = error else { panic!("{error}") };
        assert!(matches!(by.process, Some(Process { pid, .. }) if pid == std::process::id()), "{by:?}");
        assert!(by.since.is_some());
        assert!(text.contains(" is in use by process ") && text.contains("stop it"), "{text}");
    }
    drop(first);
    SqliteJournal::open(&path).unwrap();
}

#[test]
fn an_append_after_the_wrong_record_is_a_conflict_that_harms_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(directory.path().join("belay.db")).unwrap();
    block_on(journal.append("a", 0, vec![note("one")])).unwrap();
    let calls = ["a", "b", "a"].map(|stream| journal.append(stream, 0, vec![note("other")]));
    let answers = block_on(join_all(calls));
    let conflict = Err(AppendError::Conflict { stream: "a".to_owned(), expected: 0, found: 1 });
    assert_eq!(answers[0], conflict);
    assert!(answers[1].is_ok());
    assert_eq!(answers[2], conflict);
}

#[test]
fn a_record_that_somebody_else_wrote_is_a_conflict() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.append("s", 0, vec![note("one")])).unwrap();
    let copy = "INSERT INTO records (stream, seq, version, at, actor, type, body, prev, hash)
                SELECT stream, 2, version, at, actor, type, body, prev, hash FROM records";
    Connection::open(&path).unwrap().execute(copy, []).unwrap();
    let answer = block_on(journal.append("s", 1, vec![note("two")]));
    assert_eq!(answer, Err(AppendError::Conflict { stream: "s".to_owned(), expected: 1, found: 2 }));
}

#[test]
fn appends_that_wait_together_share_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(directory.path().join("belay.db")).unwrap();
    let streams: Vec<String> = (0..64).map(|number| format!("s{number}")).collect();
    let appends = streams.iter().map(|stream| async {
        for after in 0..4 {
            journal.append(stream, after, vec![note("x")]).await.unwrap();
        }
    });
    block_on(join_all(appends));
    assert!(journal.commits() < 256, "256 appends took {} commits", journal.commits());
    assert_eq!(block_on(journal.streams()).unwrap().len(), 64);
}

#[test]
fn dropping_carries_out_what_was_queued() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    // Asked, and given up before the answer came.
    assert!(journal.append("s", 0, vec![note("one")]).now_or_never().is_none_or(|answer| answer.is_ok()));
    drop(journal);
    let journal = SqliteJournal::open_read_only(&path).unwrap();
    assert_eq!(block_on(journal.read("s", 0)).unwrap().len(), 1);
}

#[test]
fn memory_fails_as_it_is_told() {
    let journal = MemoryJournal::default();
    let append = |after| block_on(journal.append("s", after, vec![note("x")]));
    journal.fail_next(AppendFault::Refuse);
    assert!(matches!(append(0), Err(AppendError::Refused { .. })));
    journal.fail_at(2, AppendFault::Lose);
    assert!(matches!(append(0), Err(AppendError::Unknown { .. })));
    assert_eq!(block_on(journal.read("s", 0)).unwrap().len(), 0);
    journal.fail_next(AppendFault::WriteUnknown);
    assert!(matches!(append(0), Err(AppendError::Unknown { .. })));
    assert_eq!(block_on(journal.read("s", 0)).unwrap().len(), 1);
    assert!(append(1).is_ok());
    assert_eq!(journal.appends(), 4);
}

#[test]
fn memory_outlives_the_process_that_crashes() {
    for (fault, survived) in [(AppendFault::CrashBefore, 0), (AppendFault::CrashAfter, 1)] {
        let journal = Arc::new(MemoryJournal::default());
        journal.fail_next(fault);
        assert!(journal.crashed().now_or_never().is_none());
        assert!(journal.append("s", 0, vec![note("x")]).now_or_never().is_none());
        assert!(journal.crashed().now_or_never().is_some());
        // The dead process gets nothing any more.
        assert!(journal.append("other", 0, vec![note("x")]).now_or_never().is_none());
        assert!(journal.read("s", 0).now_or_never().is_none());
        journal.restart();
        assert_eq!(block_on(journal.read("s", 0)).unwrap().len(), survived);
        assert_eq!(block_on(journal.read("other", 0)).unwrap().len(), 0);
    }
}
