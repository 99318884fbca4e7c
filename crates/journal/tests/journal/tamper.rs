//! Whatever is changed behind Belay's back is noticed.

use std::path::Path;

use belay_journal::{AuditFailure, OpenError, SqliteJournal, audit, head_at};
use belay_ports::{AppendError, Head, Journal, ReadFailure};
use futures::executor::block_on;
use rusqlite::Connection;

use crate::samples::{at, note};

const COLUMNS: [&str; 9] = ["stream", "seq", "version", "at", "actor", "type", "body", "prev", "hash"];

/// Three records, the second with a blob.
fn journal(path: &Path) -> Vec<String> {
    let journal = SqliteJournal::open(path).unwrap();
    let records = vec![note("one"), note("x".repeat(70_000)), note("three")];
    let records = block_on(journal.append("s", 0, records)).unwrap();
    records.into_iter().map(|record| record.hash).collect()
}

/// Audits every stream there is, as `belay audit` does; the first failure.
fn failure(path: &Path) -> Option<AuditFailure> {
    let journal = SqliteJournal::open_read_only(path).unwrap();
    let streams = block_on(journal.streams()).unwrap();
    streams.iter().find_map(|stream| block_on(audit(&journal, stream, None)).err())
}

#[test]
fn one_changed_character_in_any_column_breaks_the_chain() {
    for column in COLUMNS {
        for seq in 1..=3 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("belay.db");
            journal(&path);
            assert_eq!(failure(&path), None);
            let raw = Connection::open(&path).unwrap();
            let edit = match column {
                "seq" | "version" => format!("{column} + 100"),
                // The last character; of a body that is JSON it would be a brace, so the one before.
                _ => format!("substr({column}, 1, length({column}) - 2) || '~' || substr({column}, -1)"),
            };
            raw.pragma_update(None, "foreign_keys", false).unwrap();
            let changed = raw.execute(&format!("UPDATE records SET {column} = {edit} WHERE seq = {seq}"), []);
            assert_eq!(changed, Ok(1), "{column}");
            let failure = failure(&path);
            let broken = matches!(failure, Some(AuditFailure::Read(ReadFailure::Broken { .. })));
            // A last record that moved elsewhere breaks that other stream: it starts with record 3.
            assert!(broken, "{column} of record {seq}: {failure:?}");
        }
    }
}

#[test]
fn a_changed_or_missing_blob_breaks_the_chain() {
    for edit in ["UPDATE blobs SET data = replace(data, 'xxxx', 'xxxy')", "DELETE FROM blobs"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("belay.db");
        journal(&path);
        let raw = Connection::open(&path).unwrap();
        raw.pragma_update(None, "foreign_keys", false).unwrap();
        raw.execute(edit, []).unwrap();
        assert!(matches!(failure(&path), Some(AuditFailure::Read(ReadFailure::Broken { seq: 2, .. }))), "{edit}");
    }
}

#[test]
fn a_removed_record_is_named_and_a_cut_end_needs_the_head() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let hashes = journal(&path);
    let raw = Connection::open(&path).unwrap();
    raw.execute("DELETE FROM records WHERE seq = 3", []).unwrap();
    {
        let journal = SqliteJournal::open_read_only(&path).unwrap();
        assert_eq!(block_on(audit(&journal, "s", None)).unwrap().head, hashes[1]);
        assert_eq!(block_on(audit(&journal, "s", Some(&hashes[1]))).unwrap().records, 2);
        let cut = block_on(audit(&journal, "s", Some(&hashes[2])));
        assert_eq!(cut, Err(AuditFailure::Cut { stream: "s".to_owned(), records: 2, head: hashes[2].clone() }));
        let gone = block_on(journal.read("s", 3));
        assert!(matches!(gone, Err(ReadFailure::Broken { seq: 3, .. })), "{gone:?}");
    }
    raw.execute("DELETE FROM records WHERE seq = 1", []).unwrap();
    assert!(matches!(failure(&path), Some(AuditFailure::Read(ReadFailure::Broken { seq: 1, .. }))));
}

#[test]
fn one_head_over_all_streams_shows_what_was_cut_removed_or_renamed() {
    let edits = [
        "DELETE FROM records WHERE stream = 't' AND seq = 2",
        "DELETE FROM records WHERE stream = 't'",
        "UPDATE records SET hash = 'other' WHERE stream = 's'",
    ];
    for edit in edits {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("belay.db");
        let journal = SqliteJournal::open(&path).unwrap();
        block_on(journal.append("s", 0, vec![note("one")])).unwrap();
        let early = block_on(head_at(&journal, &Head::of_nothing(), u64::MAX)).unwrap();
        block_on(journal.append("t", 0, vec![note("one"), note("two")])).unwrap();
        let whole = block_on(head_at(&journal, &early, u64::MAX)).unwrap();
        assert_eq!((early.position, whole.position), (1, 3));
        assert_eq!(block_on(head_at(&journal, &Head::of_nothing(), 3)), Ok(whole.clone()), "the same from the begin");
        assert_eq!(block_on(head_at(&journal, &Head::of_nothing(), 1)), Ok(early.clone()), "and at each place");
        assert_eq!(Head::parse(&whole.to_string()), Some(whole.clone()));
        drop(journal);
        Connection::open(&path).unwrap().execute(edit, []).unwrap();
        let journal = SqliteJournal::open_read_only(&path).unwrap();
        assert_ne!(block_on(head_at(&journal, &Head::of_nothing(), 3)).unwrap(), whole, "{edit}");
    }
}

#[test]
fn a_schema_that_was_changed_is_refused_by_owner_and_audit() {
    let cases = [
        ("CREATE TRIGGER eat BEFORE INSERT ON records BEGIN SELECT RAISE(IGNORE); END", "the trigger `eat` was added"),
        ("CREATE VIEW more AS SELECT * FROM records", "the view `more` was added"),
        ("CREATE UNIQUE INDEX one ON records (stream)", "the index `one` was added"),
        ("CREATE TABLE cats (name)", "the table `cats` was added"),
        ("ALTER TABLE records ADD COLUMN more TEXT", "the table `records` was added or changed"),
        ("DROP TABLE blobs", "the table `blobs` is missing"),
    ];
    for (change, words) in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("belay.db");
        drop(SqliteJournal::open(&path).unwrap());
        Connection::open(&path).unwrap().execute_batch(change).unwrap();
        for opened in [SqliteJournal::open(&path), SqliteJournal::open_read_only(&path)] {
            let error = opened.err().expect("it is refused");
            assert!(matches!(error, OpenError::Altered { .. }), "{change}: {error}");
            assert!(error.to_string().contains(words), "{change}: {error}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    journal(&path);
    Connection::open(&path).unwrap().execute_batch("ANALYZE").unwrap();
    SqliteJournal::open(&path).unwrap();
}

#[test]
fn a_schema_that_is_changed_under_the_owner_stops_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.append("s", 0, vec![note("one")])).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TRIGGER eat BEFORE INSERT ON records BEGIN SELECT RAISE(IGNORE); END").unwrap();
    let refused = block_on(journal.append("s", 1, vec![note("two")]));
    assert!(matches!(&refused, Err(AppendError::Refused { why }) if why.contains("`eat`")), "{refused:?}");
    other.execute_batch("DROP TRIGGER eat").unwrap();
    block_on(journal.append("s", 1, vec![note("two")])).unwrap();
}

#[test]
fn the_report_shows_clocks_that_jump() {
    let directory = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(directory.path().join("belay.db")).unwrap();
    let mut records = vec![note("one"), note("two"), note("three")];
    for (record, second) in records.iter_mut().zip([10, 5, 20]) {
        record.at = at(second);
    }
    block_on(journal.append("s", 0, records)).unwrap();
    let report = block_on(audit(&journal, "s", None)).unwrap();
    assert_eq!((report.records, report.clock_steps_back), (3, 1));
    assert_eq!((report.first_at, report.last_at), (at(10), at(20)));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["head"], report.head);
    let none = block_on(audit(&journal, "other", None));
    assert_eq!(none, Err(AuditFailure::NoStream { stream: "other".to_owned() }));
}
