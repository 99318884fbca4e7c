//! The journal in memory and the one on disk say the same to everything.

use belay_journal::{MemoryJournal, SqliteJournal, audit};
use belay_ports::Journal;
use futures::{executor::block_on, future::FutureExt};
use proptest::prelude::*;

use crate::samples::note;

#[derive(Debug, Clone)]
enum Call {
    /// Off by so much from the true end.
    Append {
        stream: usize,
        off: i64,
        count: usize,
    },
    Read {
        stream: usize,
        after: u64,
    },
    Page {
        stream: usize,
        after: u64,
        max: usize,
    },
    Audit {
        stream: usize,
    },
    Across {
        from: u64,
        max: usize,
    },
    Head,
    Streams,
}

const STREAMS: [&str; 3] = ["alpha", "beta", ""];

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let stream = 0..STREAMS.len();
    let off = prop_oneof![4 => Just(0), 1 => -2..3_i64];
    let call = prop_oneof![
        6 => (stream.clone(), off, 0..4_usize).prop_map(|(stream, off, count)| Call::Append { stream, off, count }),
        2 => (stream.clone(), 0..12_u64).prop_map(|(stream, after)| Call::Read { stream, after }),
        2 => (stream.clone(), 0..12_u64, 0..8_usize)
            .prop_map(|(stream, after, max)| Call::Page { stream, after, max }),
        1 => stream.prop_map(|stream| Call::Audit { stream }),
        2 => (0..12_u64, 0..8_usize).prop_map(|(from, max)| Call::Across { from, max }),
        1 => Just(Call::Head),
        1 => Just(Call::Streams),
    ];
    prop::collection::vec(call, 1..24)
}

fn answer(journal: &dyn Journal, call: &Call, ends: &[u64; 3]) -> String {
    match *call {
        Call::Append { stream, off, count } => {
            let records = (0..count).map(|number| note(number.to_string())).collect();
            let after = ends[stream].saturating_add_signed(off);
            format!("{:?}", block_on(journal.append(STREAMS[stream], after, records)))
        }
        Call::Read { stream, after } => format!("{:?}", block_on(journal.read(STREAMS[stream], after))),
        Call::Page { stream, after, max } => format!("{:?}", block_on(journal.page(STREAMS[stream], after, max))),
        Call::Audit { stream } => format!("{:?}", block_on(audit(journal, STREAMS[stream], None))),
        Call::Across { from, max } => format!("{:?}", block_on(journal.across(from, max))),
        Call::Head => format!("{}, {:?}", journal.head(), journal.grown(journal.head()).now_or_never()),
        Call::Streams => format!("{:?}", block_on(journal.streams())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn memory_and_sqlite_agree(calls in calls()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("belay.db");
        let sqlite = SqliteJournal::open(&path).unwrap();
        let memory = MemoryJournal::default();
        for call in &calls {
            let ends = STREAMS.map(|stream| block_on(memory.read(stream, 0)).unwrap().len() as u64);
            prop_assert_eq!(answer(&sqlite, call, &ends), answer(&memory, call, &ends), "{:?}", call);
        }
        drop(sqlite);
        let sqlite = SqliteJournal::open_read_only(&path).unwrap();
        for stream in STREAMS {
            prop_assert_eq!(block_on(sqlite.read(stream, 0)), block_on(memory.read(stream, 0)));
        }
    }
}
