//! The files stay the ones that were opened, and are for their owner alone.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use belay_journal::{OpenError, SqliteJournal};
use belay_ports::{AppendError, Journal};
use futures::executor::block_on;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::samples::note;

fn opened() -> (TempDir, PathBuf, SqliteJournal) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.append("s", 0, vec![note("one")])).unwrap();
    (directory, path, journal)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

fn refusal(journal: &SqliteJournal) -> String {
    let refused = block_on(journal.append("s", 1, vec![note("two")]));
    let Err(AppendError::Refused { why }) = refused else { panic!("{refused:?}") };
    let check = block_on(journal.check()).unwrap_err().to_string();
    assert!(check.contains(&why), "{check}\n{why}");
    why
}

#[test]
fn a_file_that_was_deleted_or_replaced_takes_nothing_until_it_is_back() {
    for (suffix, cure) in [("", "belay journal rescue"), ("-wal", "belay journal rescue"), (".lock", "restart Belay")] {
        let (directory, path, journal) = opened();
        block_on(journal.check()).unwrap();
        let (file, aside) = (beside(&path, suffix), directory.path().join("aside"));
        fs::rename(&file, &aside).unwrap();
        let why = refusal(&journal);
        assert!(why.contains("deleted") && why.contains(cure), "{why}");
        assert!(block_on(journal.read("s", 0)).is_err(), "what stands in it may be lost");
        fs::copy(&aside, &file).unwrap();
        assert!(refusal(&journal).contains("replaced"));
        fs::rename(&aside, &file).unwrap();
        block_on(journal.append("s", 1, vec![note("two")])).unwrap();
        block_on(journal.check()).unwrap();
    }
}

#[test]
fn all_records_of_a_deleted_journal_are_rescued_to_a_new_one() {
    let (_directory, path, journal) = opened();
    block_on(journal.append("other", 0, vec![note("x".repeat(70_000))])).unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        fs::remove_file(beside(&path, suffix)).unwrap();
    }
    let rescued = block_on(journal.rescue()).unwrap();
    assert_eq!(
        (rescued.path.clone(), rescued.records),
        (beside(&path.canonicalize().unwrap_or(path.clone()), ".rescued"), 2)
    );
    assert_eq!(fs::metadata(&rescued.path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(block_on(journal.rescue()).unwrap().path, beside(&path, ".rescued-2"));
    drop(journal);
    let journal = SqliteJournal::open(&rescued.path).unwrap();
    assert_eq!(block_on(journal.read("other", 0)).unwrap().len(), 1);
    block_on(journal.append("s", 1, vec![note("two")])).unwrap();
}

#[test]
fn a_journal_whose_directory_is_gone_is_rescued_elsewhere() {
    let (directory, path, journal) = opened();
    fs::remove_dir_all(directory.path()).unwrap();
    assert!(refusal(&journal).contains("deleted"));
    let rescued = block_on(journal.rescue()).unwrap();
    assert!(!rescued.path.starts_with(path.parent().unwrap()));
    assert_eq!(block_on(SqliteJournal::open_read_only(&rescued.path).unwrap().read("s", 0)).unwrap().len(), 1);
    fs::remove_file(rescued.path).unwrap();
}

#[test]
fn a_file_that_was_overwritten_in_place_takes_nothing() {
    let (directory, path, journal) = opened();
    drop(journal);
    let old = fs::read(&path).unwrap();
    {
        let journal = SqliteJournal::open(&path).unwrap();
        block_on(journal.append("s", 1, vec![note("two")])).unwrap();
    }
    let journal = SqliteJournal::open(&path).unwrap();
    fs::write(&path, &old).unwrap();
    let refused = block_on(journal.append("s", 2, vec![note("three")]));
    assert!(matches!(&refused, Err(AppendError::Refused { why }) if why.contains("overwritten")), "{refused:?}");
    assert!(block_on(journal.check()).is_err());
    drop((directory, journal));
}

#[test]
fn a_checkpoint_by_another_program_is_no_reason_to_stop() {
    let (_directory, path, journal) = opened();
    let other = Connection::open(&path).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    block_on(journal.append("s", 1, vec![note("two")])).unwrap();
    drop(other);
    block_on(journal.append("s", 2, vec![note("three")])).unwrap();
    block_on(journal.check()).unwrap();
}

#[test]
fn files_are_for_their_owner_alone_and_others_are_told() {
    let (_directory, path, journal) = opened();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mode = fs::metadata(beside(&path, suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    assert_eq!(journal.loose_files(), []);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(journal.loose_files(), [(path, 0o640)]);
}

#[test]
fn no_symbolic_link_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (elsewhere, path) = (directory.path().join("elsewhere"), directory.path().join("belay.db"));
    for name in [beside(&path, ".lock"), path.clone()] {
        symlink(&elsewhere, &name).unwrap();
        let error = SqliteJournal::open(&path).err().expect("it is refused");
        assert!(matches!(&error, OpenError::Link { path } if *path == name), "{error}");
        assert!(!elsewhere.exists(), "nothing was made behind the link");
        fs::remove_file(name).unwrap();
    }
    symlink(&elsewhere, &path).unwrap();
    assert!(matches!(SqliteJournal::open_read_only(&path).err(), Some(OpenError::Link { .. })));
}
