//! Disks that are full, broken or read-only, for real wherever that works without being root (and also as root).

use std::{
    cell::Cell,
    env,
    path::{Path, PathBuf},
    process::Command,
};

use belay_core::event::{EVENT_VERSION, Event};
use belay_ports::{AppendError, Journal, NewRecord, ReadFailure};
use futures::{executor::block_on, future::join};
use jiff::Timestamp;
use rusqlite::{Connection, Transaction};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::{
    OpenError, SqliteJournal, audit,
    chain::{self, Tail},
    schema,
    store::{Append, Appended, Disk, Store},
};

fn note(why: impl Into<String>) -> Vec<NewRecord> {
    vec![NewRecord { at: Timestamp::UNIX_EPOCH, actor: "belay".to_owned(), event: Event::Disarmed { why: why.into() } }]
}

/// A journal with one record in the stream "s".
fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.append("s", 0, note("one"))).unwrap();
    (directory, path)
}

type Commit = fn(Transaction<'_>) -> rusqlite::Result<()>;

/// Opens with faults: `opened` is what happens to a fresh connection, `commit` stands in for the first commit.
struct Faulty<O> {
    path: PathBuf,
    opened: O,
    commit: Cell<Option<Commit>>,
}

impl<O: Fn(&Connection) + Send> Disk for Faulty<O> {
    fn open(&self) -> Result<Connection, OpenError> {
        let connection = schema::open(&self.path)?;
        (self.opened)(&connection);
        Ok(connection)
    }

    fn commit(&self, transaction: Transaction<'_>) -> rusqlite::Result<()> {
        match self.commit.take() {
            Some(commit) => commit(transaction),
            None => transaction.commit(),
        }
    }
}

fn open_with(path: &Path, opened: impl Fn(&Connection) + Send + 'static) -> SqliteJournal {
    let disk = Faulty { path: path.to_owned(), opened, commit: Cell::new(None) };
    SqliteJournal::open_on(path.to_owned(), Box::new(disk)).unwrap()
}

fn fail_commit(path: &Path, commit: Commit) -> SqliteJournal {
    let disk = Faulty { path: path.to_owned(), opened: |_: &Connection| {}, commit: Cell::new(Some(commit)) };
    SqliteJournal::open_on(path.to_owned(), Box::new(disk)).unwrap()
}

fn failure(code: i32) -> rusqlite::Result<()> {
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
}

fn append(journal: &dyn Journal, after: u64, why: impl Into<String>) -> Appended {
    block_on(journal.append("s", after, note(why)))
}

fn refused(answer: &Appended, words: &str) -> bool {
    matches!(answer, Err(AppendError::Refused { why }) if why.contains(words))
}

#[test]
fn a_full_file_refuses_the_large_append_and_takes_the_small_one_beside_it() {
    let (_directory, path) = directory();
    let journal = open_with(&path, |connection| {
        connection.pragma_update_and_check(None, "max_page_count", 32, |_| Ok(())).unwrap()
    });
    let (large, small) =
        block_on(join(journal.append("large", 0, note("x".repeat(1_000_000))), journal.append("s", 1, note("two"))));
    assert!(refused(&large, "free some"), "{large:?}");
    assert_eq!(small.unwrap().len(), 1);
    assert_eq!(block_on(journal.streams()).unwrap(), ["s"]);
    assert_eq!(block_on(journal.read("s", 0)).unwrap().len(), 2);
}

#[test]
fn a_disk_that_is_full_at_the_commit_refuses_and_goes_on_when_there_is_space() {
    let (_directory, path) = directory();
    let journal = fail_commit(&path, |transaction| {
        transaction.rollback()?;
        failure(rusqlite::ffi::SQLITE_FULL)
    });
    let full = append(&journal, 1, "two");
    assert!(refused(&full, "free some"), "{full:?}");
    assert_eq!(append(&journal, 1, "two").unwrap()[0].seq, 2);
    assert_eq!(block_on(audit(&journal, "s", None)).unwrap().records, 2);
}

#[test]
fn a_failed_commit_that_was_written_all_the_same_is_unknown_and_found_by_reading() {
    for code in [rusqlite::ffi::SQLITE_FULL, rusqlite::ffi::SQLITE_IOERR] {
        let (_directory, path) = directory();
        let commit: Commit = match code {
            rusqlite::ffi::SQLITE_FULL => |transaction| {
                transaction.commit()?;
                failure(rusqlite::ffi::SQLITE_FULL)
            },
            _ => |transaction| {
                transaction.commit()?;
                failure(rusqlite::ffi::SQLITE_IOERR)
            },
        };
        let journal = fail_commit(&path, commit);
        let answer = append(&journal, 1, "two");
        assert!(matches!(answer, Err(AppendError::Unknown { .. })), "{answer:?}");
        assert_eq!(block_on(journal.read("s", 1)).unwrap().len(), 1);
        assert_eq!(append(&journal, 2, "three").unwrap()[0].seq, 3);
    }
}

#[test]
fn a_doubtful_batch_is_settled_as_a_whole() {
    let codes: [Commit; 2] = [
        |transaction| {
            transaction.commit()?;
            failure(rusqlite::ffi::SQLITE_IOERR)
        },
        |transaction| {
            transaction.rollback()?;
            failure(rusqlite::ffi::SQLITE_IOERR)
        },
    ];
    for (commit, length) in codes.into_iter().zip([3, 1]) {
        let (_directory, path) = directory();
        let disk = Faulty { path: path.clone(), opened: |_: &Connection| {}, commit: Cell::new(Some(commit)) };
        let mut store = Store::open(path.clone(), Box::new(disk), None).unwrap();
        // The third conflicts with the second, of which nobody knows whether it is there.
        let batch = [1, 2, 2].map(|after| Append { stream: "s".to_owned(), after, records: note("x") });
        let answers = store.append_all(&batch);
        assert!(answers[..2].iter().all(|answer| matches!(answer, Err(AppendError::Unknown { .. }))), "{answers:?}");
        assert!(matches!(answers[2], Err(AppendError::Refused { .. })), "{answers:?}");
        assert_eq!(store.read("s", 0).unwrap().len(), length);
    }
}

#[test]
fn a_file_that_ends_in_a_third_way_is_not_written_any_more() {
    let (_directory, path) = directory();
    let journal = fail_commit(&path, |transaction| {
        transaction.execute("UPDATE records SET hash = 'neither' WHERE seq = 2", [])?;
        transaction.commit()?;
        failure(rusqlite::ffi::SQLITE_IOERR)
    });
    let answer = append(&journal, 1, "two");
    assert!(matches!(answer, Err(AppendError::Unknown { .. })), "{answer:?}");
    for after in [1, 2] {
        let answer = append(&journal, after, "three");
        assert!(refused(&answer, "belay audit"), "{answer:?}");
    }
    assert!(matches!(block_on(journal.read("s", 0)), Err(ReadFailure::Unreadable { .. })));
}

#[test]
fn a_read_only_file_is_read_and_not_written() {
    struct Mounted(PathBuf);
    impl Disk for Mounted {
        fn open(&self) -> Result<Connection, OpenError> {
            schema::open_read_only(&self.0)
        }
    }
    let (_directory, path) = directory();
    let journal = SqliteJournal::open_on(path.clone(), Box::new(Mounted(path))).unwrap();
    let answer = append(&journal, 1, "two");
    assert!(refused(&answer, "is read-only; check the owner and mode"), "{answer:?}");
    assert_eq!(block_on(journal.read("s", 0)).unwrap().len(), 1);
}

#[test]
fn a_write_protected_file_is_not_opened_by_an_owner() {
    let (_directory, path) = directory();
    // As SQLite opens such a file; permissions would not hold root back.
    let connection = schema::open_read_only(&path).unwrap();
    let error = schema::refuse_read_only(&path, &connection).unwrap_err();
    assert!(error.to_string().contains("is read-only; check the owner and mode"), "{error}");
}

#[test]
fn a_stream_of_a_newer_belay_is_neither_read_nor_written() {
    let (_directory, path) = directory();
    let first = Connection::open(&path).unwrap();
    let hash: String = first.query_row("SELECT hash FROM records", [], |row| row.get(0)).unwrap();
    let tail = Tail { seq: 1, version: EVENT_VERSION, hash };
    let (mut link, _) = chain::seal("s", &tail, &note("two")[0]).unwrap();
    link.version = EVENT_VERSION + 1;
    link.hash = chain::hash("s", &link);
    first
        .execute(
            "INSERT INTO records (stream, seq, version, at, actor, type, body, prev, hash)
             VALUES ('s', 2, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            rusqlite::params![link.version, link.at, link.actor, link.kind, link.body, link.prev, link.hash],
        )
        .unwrap();
    let journal = SqliteJournal::open(&path).unwrap();
    let newer = ReadFailure::Newer { stream: "s".to_owned(), seq: 2, version: EVENT_VERSION + 1 };
    assert_eq!(block_on(journal.read("s", 0)), Err(newer));
    let answer = append(&journal, 2, "three");
    assert!(refused(&answer, "newer than this Belay understands"), "{answer:?}");
    assert!(block_on(journal.append("other", 0, note("one"))).is_ok());
}

/// Set in the process of the test with a file size limit, to the path of its journal.
const LIMITED: &str = "BELAY_JOURNAL_LIMITED_TEST";

/// The kernel fails writes beyond a file size limit. The limit is that of the whole process, and its signal must be
/// ignored from the start: so the test runs itself again, as a process of its own.
#[test]
fn a_disk_that_fails_at_the_commit_leaves_the_outcome_unknown() {
    if let Some(path) = env::var_os(LIMITED) {
        return append_up_to_the_limit(Path::new(&path));
    }
    let (_directory, path) = directory();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "fault_tests::a_disk_that_fails_at_the_commit_leaves_the_outcome_unknown", "--nocapture"])
        .env(LIMITED, &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

fn append_up_to_the_limit(path: &Path) {
    let journal = SqliteJournal::open(path).unwrap();
    append(&journal, 1, "two").unwrap();
    let unlimited = getrlimit(Resource::Fsize);
    // More than the index of the log, which SQLite makes 32 KiB long.
    let limit = 64 * 1024;
    setrlimit(Resource::Fsize, Rlimit { current: Some(limit), ..unlimited }).unwrap();
    let mut last = 2;
    let error = loop {
        match append(&journal, last, "x".repeat(1_000)) {
            Ok(_) => last += 1,
            Err(error) => break error,
        }
        assert!(last < 1_000, "the limit does not work");
    };
    assert!(matches!(&error, AppendError::Unknown { why } if why.contains("the disk under")), "{error}");
    setrlimit(Resource::Fsize, unlimited).unwrap();
    let found = block_on(journal.read("s", last)).unwrap().len() as u64;
    assert!(found <= 1);
    append(&journal, last + found, "after").unwrap();
    assert_eq!(block_on(audit(&journal, "s", None)).unwrap().records, last + found + 1);
}
