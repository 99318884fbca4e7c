//! Reading on behind a position, through all streams.

use belay_journal::{AppendFault, MemoryJournal, SqliteJournal};
use belay_ports::{Journal, Placed, ReadFailure};
use futures::{
    executor::block_on,
    future::{FutureExt, join, join_all},
};
use rusqlite::Connection;

use crate::samples::note;

/// Everything, in pages of at most `max`.
fn all(journal: &dyn Journal, max: usize) -> Vec<Placed> {
    let mut found: Vec<Placed> = Vec::new();
    loop {
        let from = found.last().map_or(1, |last| last.position + 1);
        let page = block_on(journal.across(from, max)).unwrap();
        assert!(page.len() <= max);
        if page.is_empty() {
            return found;
        }
        found.extend(page);
    }
}

fn places(found: &[Placed]) -> Vec<(u64, String, u64)> {
    found.iter().map(|placed| (placed.position, placed.record.stream.clone(), placed.record.seq)).collect()
}

/// Several streams grow at once, in shared commits, while a reader follows: it sees each record once, each stream in
/// its order.
#[test]
fn a_reader_beside_group_commits_misses_nothing_and_sees_nothing_twice() {
    const STREAMS: usize = 24;
    const EACH: u64 = 8;
    let directory = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(directory.path().join("belay.db")).unwrap();
    let streams: Vec<String> = (0..STREAMS).map(|number| format!("s{number}")).collect();
    let appends = join_all(streams.iter().map(|stream| async {
        for after in (0..EACH).step_by(2) {
            journal.append(stream, after, vec![note("x"), note("y")]).await.unwrap();
        }
    }));
    let follow = async {
        let mut found: Vec<Placed> = Vec::new();
        while found.len() < STREAMS * EACH as usize {
            let last = found.last().map_or(0, |last| last.position);
            journal.grown(last).await;
            let page = journal.across(last + 1, 5).await.unwrap();
            assert!(!page.is_empty(), "it said that there was something behind {last}");
            found.extend(page);
        }
        found
    };
    let (_, found) = block_on(join(appends, follow));
    assert!(journal.commits() < STREAMS as u64 * EACH / 2, "some appends shared a commit");
    assert!(found.windows(2).all(|pair| pair[0].position < pair[1].position));
    for stream in &streams {
        let seen = found.iter().filter(|placed| placed.record.stream == *stream).map(|placed| placed.record.seq);
        assert!(seen.eq(1..=EACH), "{stream}");
        let whole = block_on(journal.read(stream, 0)).unwrap();
        assert!(whole.iter().eq(found.iter().map(|placed| &placed.record).filter(|record| record.stream == *stream)));
    }
    assert_eq!(journal.head(), found.last().unwrap().position);
}

#[test]
fn positions_outlive_a_restart_and_go_on_from_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.append("a", 0, vec![note("1"), note("2")])).unwrap();
    block_on(journal.append("b", 0, vec![note("3")])).unwrap();
    let before = places(&all(&journal, 10));
    drop(journal);
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(journal.head(), before.last().unwrap().0);
    assert_eq!(places(&all(&journal, 1)), before);
    // A stream that was refused leaves no gap that somebody could wait for.
    assert!(block_on(journal.append("a", 1, vec![note("no")])).is_err());
    block_on(journal.append("a", 2, vec![note("4")])).unwrap();
    let after = places(&all(&journal, 10));
    assert_eq!(after[..3], before);
    assert_eq!(after[3].1, "a");
}

#[test]
fn long_records_make_short_pages_and_never_empty_ones() {
    let directory = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(directory.path().join("belay.db")).unwrap();
    let long = "x".repeat(100_000); // kept apart from its record
    block_on(journal.append("s", 0, vec![note(&long), note(&long), note("short")])).unwrap();
    assert_eq!(block_on(journal.across(1, 10)).unwrap().len(), 1);
    assert_eq!(all(&journal, 10).len(), 3);
    assert_eq!(block_on(journal.across(3, 10)).unwrap().len(), 1);
    assert_eq!(block_on(journal.across(u64::MAX, 10)).unwrap().len(), 0);
}

#[test]
fn nobody_is_woken_for_what_is_not_durable() {
    let journal = MemoryJournal::default();
    assert!(journal.grown(0).now_or_never().is_none());
    for fault in [AppendFault::Refuse, AppendFault::Lose] {
        journal.fail_next(fault);
        assert!(block_on(journal.append("s", 0, vec![note("x")])).is_err());
        assert_eq!((journal.head(), journal.grown(0).now_or_never()), (0, None));
    }
    // Written, though nobody was told so.
    journal.fail_next(AppendFault::WriteUnknown);
    assert!(block_on(journal.append("s", 0, vec![note("x")])).is_err());
    assert_eq!((journal.head(), journal.grown(0).now_or_never()), (1, Some(())));
}

#[test]
fn a_record_that_was_changed_is_not_passed_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.append("s", 0, vec![note("1"), note("2")])).unwrap();
    Connection::open(&path).unwrap().execute("UPDATE records SET actor = 'eve' WHERE seq = 2", []).unwrap();
    assert!(matches!(block_on(journal.across(1, 10)), Err(ReadFailure::Broken { seq: 2, .. })));
    assert_eq!(block_on(journal.across(1, 1)).unwrap().len(), 1);
}
