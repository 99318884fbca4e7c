use belay_core::event::{Event, Record};
use belay_journal::{MemoryJournal, SqliteJournal};
use belay_ports::{AppendError, Journal, NewRecord, ReadFailure};
use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::samples::{at, events, note, record};

fn reads_back(journal: &dyn Journal) {
    let new: Vec<NewRecord> = events().into_iter().map(record).collect();
    let appended = block_on(journal.append("checkout", 0, new.clone())).unwrap();
    let given: Vec<&Event> = new.iter().map(|new| &new.event).collect();
    let taken: Vec<&Event> = appended.iter().map(|record| &record.event).collect();
    assert_eq!(taken, given);
    assert_eq!(
        appended.iter().map(|record| record.seq).collect::<Vec<_>>(),
        (1..=new.len() as u64).collect::<Vec<_>>()
    );
    assert_eq!(block_on(journal.read("checkout", 0)).unwrap(), appended);
    assert_eq!(block_on(journal.read("checkout", 40)).unwrap(), appended[40..]);
    assert_eq!(block_on(journal.read("checkout", new.len() as u64)).unwrap(), []);
    assert_eq!(block_on(journal.streams()).unwrap(), ["checkout"]);
}

#[test]
fn every_kind_of_event_reads_back_from_memory() {
    reads_back(&MemoryJournal::default());
}

#[test]
fn every_kind_of_event_reads_back_from_the_file_and_after_opening_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    reads_back(&journal);
    let before = block_on(journal.read("checkout", 0)).unwrap();
    drop(journal);
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(block_on(journal.read("checkout", 0)).unwrap(), before);
}

#[test]
fn long_bodies_are_kept_once_and_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("belay.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let long = note("x".repeat(70_000));
    block_on(journal.append("a", 0, vec![long.clone(), note("short")])).unwrap();
    block_on(journal.append("b", 0, vec![long.clone()])).unwrap();
    assert_eq!(block_on(journal.read("b", 0)).unwrap()[0].event, long.event);
    let raw = rusqlite::Connection::open(&path).unwrap();
    let count = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM blobs"), 1);
    assert_eq!(count("SELECT count(*) FROM records WHERE body LIKE 'sha256:%' AND length(body) = 71"), 2);
}

#[test]
fn an_event_that_could_not_be_read_back_is_refused() {
    let mut nested = json!(1);
    for _ in 0..200 {
        nested = json!([nested]);
    }
    let unreadable =
        record(Event::Commanded { verb: "arm".to_owned(), reason: String::new(), detail: nested, key: None });
    let directory = tempfile::tempdir().unwrap();
    let sqlite = SqliteJournal::open(directory.path().join("belay.db")).unwrap();
    let memory = MemoryJournal::default();
    for journal in [&sqlite as &dyn Journal, &memory] {
        let refused = block_on(journal.append("s", 0, vec![note("fine"), unreadable.clone()]));
        assert!(matches!(refused, Err(AppendError::Refused { .. })), "{refused:?}");
        assert_eq!(block_on(journal.read("s", 0)).unwrap(), []);
    }
}

#[test]
fn what_is_asked_after_the_end_is_reported_as_cut_off() {
    let memory = MemoryJournal::default();
    block_on(memory.append("s", 0, vec![note("one")])).unwrap();
    assert!(matches!(block_on(memory.read("s", 2)), Err(ReadFailure::Broken { seq: 2, .. })));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_text_and_number_reads_back(
        actor in any::<String>(),
        reason in any::<String>(),
        detail in any_json(),
        seconds in 0..4_000_000_000_i64,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(directory.path().join("belay.db")).unwrap();
        let event = Event::Commanded { verb: "arm".to_owned(), reason, detail, key: None };
        let new = NewRecord { at: at(seconds), actor, event };
        let appended = block_on(journal.append("s", 0, vec![new.clone()])).unwrap();
        let Record { at, actor, event, .. } = block_on(journal.read("s", 0)).unwrap().remove(0);
        prop_assert_eq!(NewRecord { at, actor, event }, new);
        prop_assert_eq!(block_on(journal.read("s", 0)).unwrap(), appended);
    }
}
