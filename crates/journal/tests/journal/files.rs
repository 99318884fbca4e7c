//! Which files are opened, and what is said of the others.

use std::{error::Error, fs, path::Path};

use belay_journal::{OpenError, SqliteJournal};
use belay_ports::{AppendError, Journal};
use futures::executor::block_on;
use rusqlite::Connection;

use crate::samples::note;

fn refusal(path: &Path) -> OpenError {
    SqliteJournal::open(path).err().expect("it is refused")
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.db");
    fs::write(&text, "some notes, longer than the header of an SQLite file would be: ".repeat(10)).unwrap();
    let other = directory.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE cats (name)").unwrap();
    for path in [text, other] {
        let before = fs::read(&path).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("name another file"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    drop(SqliteJournal::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 3).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2, .. }), "{error}");
}

#[test]
fn a_path_that_leads_nowhere_says_what_to_check() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    // Fails for root too: nothing can be made below a file, and a directory is no database.
    for path in [file.join("belay.db"), directory.path().join("missing/belay.db")] {
        let error = refusal(&path);
        assert!(error.to_string().contains("check that its directory exists"), "{error}");
        assert!(error.source().is_some());
    }
    let error = refusal(directory.path());
    assert!(error.to_string().contains("cannot be opened"), "{error}");
    let missing = SqliteJournal::open_read_only(directory.path().join("missing.db")).err();
    assert!(matches!(missing, Some(OpenError::Missing { .. })));
}

#[test]
fn a_damaged_file_is_neither_read_nor_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.append("s", 0, vec![note("one")])).unwrap();
    drop(journal);
    let mut bytes = fs::read(&path).unwrap();
    // The first page says that it is ours; everything behind it is rubbish.
    bytes[4096..].fill(0xaa);
    fs::write(&path, &bytes).unwrap();
    for error in [refusal(&path), SqliteJournal::open_read_only(&path).err().expect("it is damaged")] {
        assert!(matches!(&error, OpenError::Unusable { why } if why.contains("damaged")), "{error}");
        assert!(error.to_string().contains("backup"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
    bytes.fill(0xaa);
    fs::write(&path, &bytes).unwrap();
    let error = refusal(&path);
    assert!(matches!(&error, OpenError::Foreign { why, .. } if why.contains("damaged")), "{error}");
}

#[test]
fn reading_only_goes_beside_the_owner_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let owner = SqliteJournal::open(&path).unwrap();
    block_on(owner.append("s", 0, vec![note("one")])).unwrap();
    let reader = SqliteJournal::open_read_only(&path).unwrap();
    assert_eq!(block_on(reader.read("s", 0)).unwrap().len(), 1);
    block_on(owner.append("s", 1, vec![note("two")])).unwrap();
    assert_eq!(block_on(reader.read("s", 0)), block_on(owner.read("s", 0)));
    let refused = block_on(reader.append("s", 2, vec![note("three")]));
    assert!(matches!(refused, Err(AppendError::Refused { .. })), "{refused:?}");
}
